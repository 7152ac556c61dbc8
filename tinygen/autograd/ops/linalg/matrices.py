"""Matrices: traces, powers, blocks, and products of several."""

import functools
import itertools

import numpy as np

from ...registry import ShapeError, composition
from ...tensor import Tensor
from ..arrange import roll
from ..diagonal import diagonal
from ..join import cat
from ..reduce import sum
from ..shape import checked_dim, reshape, unsqueeze
from .common import checked_matrices, linalg_op
from .products import matmul
from .systems import inv

__all__ = ["block_diag", "cross", "matrix_power", "trace"]


@composition
def trace(x):
    """The sum of the diagonal of a matrix"""
    if x.ndim != 2:
        raise ShapeError(f"trace takes a matrix; the shape is {x.shape}")
    return sum(diagonal(x))


@linalg_op
def linalg_diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of the matrices in dimensions dim1 and dim2, along a new last dimension"""
    return diagonal(A, offset, dim1, dim2)


@composition
def block_diag(*tensors):
    """A matrix with these matrices along its diagonal, and 0 elsewhere; a vector is a row"""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tensors[0]
    for t in tensors:
        if t.ndim > 2:
            raise ShapeError(f"block_diag takes matrices and vectors; one has shape {t.shape}")
    blocks = [t if t.ndim == 2 else reshape(t, (1, t.array.size)) for t in tensors]
    width, rows, at = builtin_sum(b.shape[1] for b in blocks), [], 0
    for b in blocks:
        zeros = lambda n, b=b: Tensor(np.zeros((b.shape[0], n), b.dtype))
        rows.append(cat([zeros(at), b, zeros(width - at - b.shape[1])], 1))
        at += b.shape[1]
    return cat(rows) if rows else Tensor(np.zeros((1, 0), np.float32))


def builtin_sum(numbers) -> int:
    return functools.reduce(lambda a, b: a + b, numbers, 0)


# ---- Powers and chains ---------------------------------------------------------------------------


@composition
def matrix_power(A, n):
    """A multiplied n times by itself, in about log2 n products; for n < 0, its inverse -n times"""
    checked_matrices(A, "linalg.matrix_power", square=True)
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        return A * 0.0 + np.eye(A.shape[-1], dtype=A.dtype)
    half = matrix_power(A, n // 2) if n > 1 else None
    square = matmul(half, half) if half is not None else None
    return A if square is None else matmul(square, A) if n % 2 else square


@linalg_op
def multi_dot(tensors):
    """The product of two or more matrices, in the order that takes the fewest multiplications. The
    first may be a row vector [n], the last a column vector [n]."""
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"linalg.multi_dot takes at least two matrices; given {len(tensors)}")
    first, last = tensors[0], tensors[-1]
    chain = [unsqueeze(first, 0) if first.ndim == 1 else first, *tensors[1:-1],
             unsqueeze(last, 1) if last.ndim == 1 else last]  # fmt: skip
    if any(t.ndim != 2 for t in chain) or any(
        x.shape[1] != y.shape[0] for x, y in itertools.pairwise(chain)
    ):
        shapes = ", ".join(str(t.shape) for t in tensors)
        raise ShapeError(f"linalg.multi_dot: {shapes} don't fit one another")
    sizes = (*[t.shape[0] for t in chain], chain[-1].shape[1])
    out = multiplied(chain, best_cuts(sizes), 0, len(chain))
    shape = out.shape[first.ndim == 1 : 1 if last.ndim == 1 else 2]
    return reshape(out, shape)


def best_cuts(sizes):
    """{(i, j): where to cut the product of matrices i to j - 1}, matrix i being sizes[i] by
    sizes[i + 1] (Cormen et al., Introduction to Algorithms, section 15.2)."""
    count = len(sizes) - 1
    cost, cuts = {(i, i + 1): 0 for i in range(count)}, {}
    for length in range(2, count + 1):
        for i in range(count - length + 1):
            j = i + length
            price = lambda k, i=i, j=j: cost[i, k] + cost[k, j] + sizes[i] * sizes[k] * sizes[j]
            cuts[i, j] = min(range(i + 1, j), key=price)
            cost[i, j] = price(cuts[i, j])
    return cuts


def multiplied(chain, cuts, i, j):
    """The product of matrices i to j - 1."""
    if j == i + 1:
        return chain[i]
    k = cuts[i, j]
    return matmul(multiplied(chain, cuts, i, k), multiplied(chain, cuts, k, j))


# ---- Vectors -------------------------------------------------------------------------------------


@linalg_op
def vecdot(x, y, *, dim=-1):
    """The dot products of the vectors along `dim`; the other dimensions are broadcast"""
    ndim = max(x.ndim, y.ndim)
    checked_dim(dim, ndim, "linalg.vecdot")
    return sum(x * y, dim)


@linalg_op
def linalg_cross(input, other, *, dim=-1):
    """The cross products of the vectors of three along `dim`; other dimensions are broadcast"""
    if input.ndim != other.ndim or not input.ndim:
        raise ShapeError(
            f"linalg.cross: as many dimensions are needed of both; {input.shape}, {other.shape}"
        )
    dim = checked_dim(dim, input.ndim, "linalg.cross")
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise ShapeError(
            f"linalg.cross: dim {dim} must have size 3; the shapes are {input.shape}, {other.shape}"
        )
    next_but = lambda x, n: roll(x, -n, dim)  # element i + n, counted round
    return next_but(input, 1) * next_but(other, 2) - next_but(input, 2) * next_but(other, 1)


@composition
def cross(input, other, dim=None):
    """The cross products of the vectors of three along `dim`, or the first dimension of size 3"""
    if dim is None:
        shape = np.broadcast_shapes(input.shape, other.shape)
        if 3 not in shape:
            raise ShapeError(f"cross: no dimension of {shape} has size 3")
        dim = shape.index(3)
    return linalg_cross(input, other, dim=dim)


@linalg_op
def vander(x, *, N=None):
    """The powers 0 to N - 1 (default: as many as elements) of x [..., n], along a new dimension"""
    x = x if x.ndim else reshape(x, (1,))
    N = x.shape[-1] if N is None else N
    if N <= 1:
        raise RuntimeError(f"linalg.vander: N must be larger than 1; it is {N}")
    return unsqueeze(x, -1) ** np.arange(N, dtype=x.dtype)
