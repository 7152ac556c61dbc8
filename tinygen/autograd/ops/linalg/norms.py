"""Norms of vectors and matrices. Subgradients at 0 are 0, as in PyTorch."""

import math

import numpy as np

from ...registry import ShapeError
from ..choose import where
from ..elementwise import abs, sqrt
from ..reduce import amax, amin, sum
from ..shape import movedim, reshape, unsqueeze
from .common import checked_matrices, failures, linalg_op
from .spectra import svdvals
from .systems import inv_ex

__all__: list[str] = []


def checked_floats(x, dtype, op):
    x = x if dtype is None else x.to(dtype)
    if x.dtype.kind != "f":
        raise RuntimeError(f"{op} takes floats; these are {x.dtype}: use .float()")
    return x


def dims_of(dim, ndim: int, op: str) -> tuple[int, ...]:
    """dim as a tuple of numbers counted from the front; None is all of them."""
    if dim is None:
        return tuple(range(ndim))
    found = []
    for d in dim if isinstance(dim, list | tuple) else (dim,):
        if not -max(ndim, 1) <= d < max(ndim, 1):
            raise IndexError(f"{op}: dim {d} is out of range for a tensor of {ndim} dimensions")
        found.append(d % max(ndim, 1))
    if len(set(found)) < len(found):
        raise RuntimeError(f"{op}: dim {dim} names a dimension twice")
    return tuple(found)


# ---- Vectors -------------------------------------------------------------------------------------


@linalg_op
def vector_norm(x, ord: float = 2, dim=None, keepdim=False, *, dtype=None):
    """(Σ |x|^ord)^(1/ord) over `dim`; the largest or smallest |x| for ord = ±inf, the number of
    elements that aren't 0 for ord = 0. Where powers overflow or vanish, x is scaled first."""
    op = "linalg.vector_norm"
    if isinstance(ord, str):
        raise RuntimeError(f"{op}: ord is a number, not {ord!r}; matrix_norm takes names")
    x = checked_floats(x, dtype, op)
    dims = dims_of(dim, x.ndim, op)
    dims = dims or tuple(range(x.ndim))  # dim=() is all, too
    if not x.ndim:
        return vector_norm(reshape(x, (1,)), ord, 0)
    empty = math.prod(x.shape[d] for d in dims) == 0
    if empty and (ord < 0 or ord == math.inf):
        raise RuntimeError(f"{op}: there is no norm of order {ord} of no elements")
    if ord == 0:
        return sum(where(x == 0, 0.0, 1.0 + x * 0.0), dims, keepdim)
    if math.isinf(ord):
        return (amax if ord > 0 else amin)(abs(x), dims, keepdim)
    if ord == 1 or empty:
        return sum(abs(x), dims, keepdim)
    with np.errstate(over="ignore"):
        total = sum_of_powers(x, ord, dims)
    if is_in_range(total.array):
        out = root(total, ord)
    else:
        scale = scale_over(x.array, dims, ord)
        out = root(sum_of_powers(x / scale, ord, dims), ord) * scale
    return out if keepdim else reshape(out, [n for i, n in enumerate(x.shape) if i not in dims])


def scale_over(x, dims, ord) -> np.ndarray:
    """What to divide x by so that powers of it neither overflow nor vanish; with kept dims."""
    scale = (np.max if ord > 0 else np.min)(np.abs(x), axis=dims, keepdims=True)
    return np.where((scale > 0) & np.isfinite(scale), scale, 1).astype(x.dtype)


def sum_of_powers(x, ord, dims):
    """Σ |x|^ord, with a gradient of 0 where x is 0, and with kept dims."""
    if ord == 2:
        return sum(x * x, dims, keepdim=True)
    zero = x == 0
    powers = where(zero, 1.0, abs(x)) ** ord
    return sum(where(zero, 0.0 if ord > 0 else math.inf, powers), dims, keepdim=True)


def is_in_range(total) -> bool:
    """Whether no sum of squares is so large or small that digits were lost."""
    limits = np.finfo(total.dtype)
    return bool(((total > limits.tiny / limits.eps) & (total <= limits.max)).all())


def root(total, ord):
    """total^(1/ord), with a gradient of 0 where the total is 0 or infinite."""
    if ord == 2 and is_in_range(total.array):
        return sqrt(total)
    outside = (total == 0) | (total == math.inf)
    return where(outside, total.detach() ** (1 / ord), where(outside, 1.0, total) ** (1 / ord))


# ---- Matrices ------------------------------------------------------------------------------------


@linalg_op
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """The norm of matrices, whose rows and columns are the two dimensions `dim`.

    ord: "fro" (the root of the sum of squares), "nuc" (the sum of singular values), 2 and -2 (the
    largest and smallest singular value), 1 and -1 (the largest and smallest sum of sizes in a
    column), inf and -inf (in a row).
    """
    op = "linalg.matrix_norm"
    A = checked_floats(A, dtype, op)
    dims = dims_of(dim, A.ndim, op)
    if len(dims) != 2 or A.ndim < 2:
        raise ShapeError(f"{op}: the dim of a matrix are two; given {dim} for shape {A.shape}")
    if ord == "fro":
        return vector_norm(A, 2, dims, keepdim)
    x = movedim(A, dims, (-2, -1))
    if ord == "nuc":
        out = sum(svdvals(x), -1)
    elif ord in (2, -2):
        out = extreme_of(svdvals(x), ord, op)
    elif ord in (1, -1, math.inf, -math.inf):
        out = extreme_of(sum(abs(x), -2 if math.isfinite(ord) else -1), ord, op)
    else:
        raise RuntimeError(f"{op}: ord is 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, not {ord!r}")
    for d in sorted(dims) if keepdim else ():
        out = unsqueeze(out, d)
    return out


def extreme_of(x, ord, op):
    if not x.shape[-1]:
        raise RuntimeError(f"{op}: there is no norm of order {ord} of an empty matrix")
    return (amax if ord > 0 else amin)(x, -1)


@linalg_op
def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """vector_norm, or matrix_norm if `dim` are two or, without dim, A has two dimensions; the root
    of the sum of squares of all elements if there is no ord"""
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is None:
        if A.ndim not in (1, 2):
            raise ShapeError(
                f"linalg.norm: with ord and no dim, A is a vector or a matrix, not {A.shape}"
            )
        dim = tuple(range(A.ndim))
    if isinstance(dim, int) or len(dim) == 1:
        return vector_norm(A, ord, dim, keepdim, dtype=dtype)
    return matrix_norm(A, ord, dim, keepdim, dtype=dtype)


@linalg_op
def cond(A, p=None):
    """The condition number ‖A‖ ‖A⁻¹‖ in the norm p; for p = 2 (as for None) or -2 a quotient of
    singular values, also of matrices that are not square"""
    checked_matrices(A, "linalg.cond", square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        sizes = svdvals(A)
        if not sizes.shape[-1]:
            return sum(sizes, -1)
        largest, smallest = sizes[..., 0], sizes[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    if not A.array.size:
        return sum(A, (-2, -1))
    inverse = inv_ex(A).inverse
    singular = failures(inverse, A)
    inverse = (
        where(np.asarray(singular)[..., None, None], math.inf, inverse)
        if singular.any()
        else inverse
    )
    return matrix_norm(A, p) * matrix_norm(inverse, p)
