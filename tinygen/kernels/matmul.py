"""Matrix product C = A B of float32, as fast as a core can multiply and add.

    matmul(a [..., m, k], b [..., k, n]) -> [..., m, n], with the batch dimensions broadcast
    linear(x [m, k], weight [n, k], bias [n], ...) -> f(x weight' + bias), in one go

`gemm` has the loops. Here it is decided which matrices go there, in how many pieces, and which are
so small that a call of the BLAS is faster. The bits of C depend on the shapes and strides of A and
B, but not on threads.
"""

import functools
import math
import os

import numpy as np

from tinygen.kernels.gemm import NARROW, SLAB, gemm
from tinygen.kernels.jit import ENABLED, hold_blas, scratch, threads_for
from tinygen.kernels.write_back import IDENTITY, KEEPS_Z, column_sum, gradient, value_reference

__all__ = ["column_sum", "gradient", "linear", "matmul"]

# Multiply-adds from which two threads are faster than one: at 96³ one takes 20 µs and two take 22,
# at 128³ 39 and 34.
PARALLEL = 112**3

# Fewer than those are left to NumPy's BLAS, which takes its arrays in a fifth of the time. One
# thread of OpenBLAS and one of the kernel, call and all:
#   16³ 0.5 and 1.8 µs, 32³ 1.1 and 2.3, 64³ 5.1 and 6.8, 96³ 16 and 18;
#   512 × 128 × 4 6 and 40, 128 × 64 × 32 5.7 and 7.1; 64 products of 16³ 8 and 22.
SMALL = PARALLEL

USE_KERNEL = ENABLED and os.environ.get("TINYGEN_MATMUL") != "blas"
FLOAT32 = np.dtype(np.float32)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [..., m, k] @ b [..., k, n], both of at least two dimensions, as a new C-contiguous array.

    Strides are arbitrary: a transpose costs no copy. float32 runs on the kernel below, anything
    else (and everything, under TINYGEN_MATMUL=blas) on np.matmul with one thread. Raises
    ValueError if the shapes do not fit.
    """
    if not (USE_KERNEL and a.dtype is FLOAT32 and b.dtype is FLOAT32):
        hold_blas()
        return np.matmul(a, b)
    if a.shape[-1] != b.shape[-2]:
        raise misfit(a, b)
    m, k, n = *a.shape[-2:], b.shape[-1]
    if a.ndim == b.ndim == 2:
        if m * k * n < SMALL:
            hold_blas()
            return a.dot(b)
        return product(a, b, SINGLE)
    if b.ndim == 2 and a.flags.c_contiguous:
        return matmul(a.reshape(math.prod(a.shape[:-1]), k), b).reshape(*a.shape[:-1], n)
    try:
        if a.size * n < SMALL and m * b.size < SMALL:
            hold_blas()
            return np.matmul(a, b)
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise misfit(a, b) from None
    a, b = readable(a, b)
    if 0 in batch:
        return np.empty((*batch, m, n), np.float32)
    starts = batch_starts(batch, a.shape[:-2], a.strides[:-2], b.shape[:-2], b.strides[:-2])
    first = product(a[(0,) * (a.ndim - 2)], b[(0,) * (b.ndim - 2)], starts)
    return first.reshape(*batch, m, n)


def linear(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    form: int = IDENTITY,
    slope: float = 0.0,
    keep: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """f(x weight' + bias) [m, n] of x [m, k], weight [n, k] and bias [n], f being one of the forms
    of `write_back`; and what `write_back.gradient` wants to know of it, if `keep`."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    narrow = form == IDENTITY and len(weight) <= NARROW and x.size * len(weight) < SMALL
    fused = USE_KERNEL and x.size and weight.size and all(a.dtype is FLOAT32 for a in arrays)
    fused = fused and not narrow  # 512 × 64 × 2: 5 µs by the BLAS and a sum, 12 by the kernel
    if not fused or (bias is not None and bias.shape != weight.shape[:1]):
        z = matmul(x, weight.T)
        if bias is not None:
            z += bias
        y = value_reference(form, z, slope)
        return y, z if form >= KEEPS_Z else y
    kept = np.empty((len(x), len(weight)), np.float32) if keep and form >= KEEPS_Z else NOTHING
    bias = NO_BIAS if bias is None else np.ascontiguousarray(bias)
    y = product(x, weight.T, SINGLE, bias, kept, form, slope)
    return y, y if kept is NOTHING else kept


def misfit(a, b):
    return ValueError(
        f"matmul: {a.shape} @ {b.shape} does not fit: the last dimension of the first must equal"
        " the last but one of the second, and those before must broadcast"
    )


def readable(a, b):
    """The matrices as the kernel takes them: aligned, and the rows or columns of B adjacent."""
    if not a.flags.aligned:
        a = np.array(a)
    if not (4 in b.strides[-2:] and b.flags.aligned):
        b = np.array(b, order="C")
    return a, b


@functools.lru_cache(maxsize=1024)
def batch_starts(batch, *shapes_and_strides):
    """How many elements after the first one each matrix of A and of B begins [items, 2], if both
    are broadcast to the batch."""
    offsets = np.zeros((2, *batch), np.int64)
    for side in range(2):
        shape, strides = shapes_and_strides[2 * side : 2 * side + 2]
        for axis in range(-len(shape), 0):
            if shape[axis] > 1:
                steps = np.arange(batch[axis]) * (strides[axis] // 4)
                offsets[side] += steps.reshape(-1, *[1] * (-1 - axis))
    return np.ascontiguousarray(offsets.reshape(2, -1).T)


SINGLE = np.zeros((1, 2), np.int64)  # the starts of one matrix each
NO_BIAS, NOTHING = np.empty(0, np.float32), np.empty((0, 0), np.float32)


def product(a, b, starts, bias=NO_BIAS, kept=NOTHING, form=IDENTITY, slope=0.0):
    """[items m, n]: f(A B + bias) of the matrices that begin so many elements after a [m, k] and
    b [k, n] do."""
    (m, k), (inner, n) = a.shape, b.shape
    if k != inner:
        raise misfit(a, b)
    if not (4 in b.strides and a.flags.aligned and b.flags.aligned):
        a, b = readable(a, b)
    items = len(starts)
    out, work = np.empty((items * m, n), FLOAT32), items * m * n * k
    if work == 0:
        out.fill(0)
        return out
    if work < PARALLEL:
        gemm(a, b, out, starts, bias, kept, form, slope, 1, 1, scratch(SLAB), 1)
        return out
    threads = threads_for(work, PARALLEL)
    row_parts, column_parts = grid(m, n, items, threads) if threads > 1 else (1, 1)
    memory = scratch(threads * SLAB)
    gemm(a, b, out, starts, bias, kept, form, slope, row_parts, column_parts, memory, threads)
    return out


def grid(m, n, items, threads):
    """Into how many pieces, (down, across), to cut each matrix of C, so that all threads have the
    same to do, and read as little of A and B as possible: half the length of a piece's border."""
    if items % threads == 0 or items >= 8 * threads:
        return 1, 1
    cuts = [(rows, threads // rows) for rows in range(1, threads + 1) if threads % rows == 0]
    return min(cuts, key=lambda cut: m / cut[0] + n / cut[1])
