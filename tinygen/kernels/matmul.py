"""Matrix product C = A B of float32, as fast as a core can multiply and add.

    matmul(a [..., m, k], b [..., k, n]) -> [..., m, n], with the batch dimensions broadcast
    linear(x [m, k], weight [n, k], bias [n], ...) -> f(x weight' + bias), in one go

The loops (Goto and van de Geijn 2008; BLIS: Van Zee and van de Geijn 2015), outermost first:

    gemm           every matrix of the batch, or a piece of one, is work for some thread
      piece        a slab of B, DEPTH x WIDTH, is packed into scratch memory: 0.5 MB, for L2 cache
        panel      ROWS x DEPTH of A meet the whole slab: 14 KB, for L1 cache
          tile     a few vectors of C stay in registers while k runs (see `tile`)
        write_back a finished panel of C gets its bias and activation (see `write_back`)

Every number of C is a chain of fused multiply-adds over k = 0, 1, 2, ... in slabs of at most DEPTH,
whichever piece, panel or tile it falls in; or, where A B' has few columns or rows, a dot product of
two rows (see `dots`). Its bits depend on the shapes of A and B, but not on threads.
"""

import functools
import math
import os

import numpy as np

from tinygen.kernels.jit import ENABLED, c_function, hold_blas, kernel, prange, scratch, threads_for
from tinygen.kernels.write_back import (
    IDENTITY,
    KEEPS_Z,
    POINTER,
    column_sum,
    gradient,
    value_reference,
    write_back,
)

__all__ = ["column_sum", "gradient", "linear", "matmul"]

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.dots import dots
    from tinygen.kernels.simd import LANES
    from tinygen.kernels.tile import COLUMNS, ROWS, copy_columns, copy_rows, multiply, pack
else:
    COLUMNS, LANES, ROWS, multiply, pack = 1, 1, 1, None, None

DEPTH, WIDTH = 256, 512  # of a slab of B: half of an L2 cache of 1 MB
COPY_STRIDE = DEPTH + 16  # between rows of a copied panel; a power of 2 would crowd one cache set
# So many columns of C repay copying a panel of A. Rows are read well enough where they are, unless
# they begin CROWDED elements from one another, so that all compete for the same lines of the cache.
# In a transposed A every step k is on another page of memory; of it, GROUP panels are copied
# together, for their numbers are neighbours.
COPY_ROWS, COPY_COLUMNS, CROWDED = 8 * COLUMNS, 2 * COLUMNS, 512
GROUP, PANEL = 8, DEPTH * 16 + 16
SLAB = DEPTH * WIDTH + max(16 * COPY_STRIDE, GROUP * PANEL)  # scratch of a thread, in floats
NARROW = 8  # columns, or rows, of C up to which dot products are faster than tiles

# Multiply-adds from which two threads are faster than one: at 96³ one takes 20 µs and two take 22,
# at 128³ 39 and 34.
PARALLEL = 112**3

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
    if a.ndim == b.ndim == 2:
        return product(a, b, SINGLE)
    if a.shape[-1] != b.shape[-2]:
        raise misfit(a, b)
    m, k, n = *a.shape[-2:], b.shape[-1]
    if b.ndim == 2 and a.flags.c_contiguous:
        rows = a.reshape(math.prod(a.shape[:-1]), k)
        return product(rows, b, SINGLE).reshape(*a.shape[:-1], n)
    a, b = readable(a, b)
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise misfit(a, b) from None
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
    fused = USE_KERNEL and x.size and weight.size and all(a.dtype is FLOAT32 for a in arrays)
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


# ---- The kernel ----------------------------------------------------------------------------------


@kernel
def share(part, parts, size, unit):
    """Where a part begins and ends if `size` is cut into equal parts, at multiples of unit."""
    if parts == 1:
        return 0, size
    units = -(-size // unit)
    return part * units // parts * unit, min(size, (part + 1) * units // parts * unit)


@c_function(
    f"void(intp, intp, {POINTER}, intp, intp, {POINTER}, intp, intp, intp, intp, intp, {POINTER},"
    f" CPointer(int64), intp, intp, intp, float32, {POINTER}, boolean, {POINTER}, boolean,"
    f" {POINTER}, intp)"
)
def pieces(
    begin, end, a, a_row, a_col, b, b_row, b_col, m, inner, n, c,
    starts, row_parts, column_parts, form, slope, bias, has_bias, kept, keeps, memory, slab,
):  # fmt: skip
    """Pieces begin, begin + 1, ...: of item p // parts, the rows and columns that fall to it."""
    is_dots = a_col == 1 and b_row == 1 and min(m, n) <= NARROW and inner >= 2 * LANES
    finishes = has_bias or form != IDENTITY
    parts = row_parts * column_parts
    for p in range(begin, end):
        item, part = (p, 0) if parts == 1 else (p // parts, p % parts)
        row = 0 if row_parts == 1 else part // column_parts
        top, bottom = share(row, row_parts, m, 1)
        left, right = share(part - row * column_parts, column_parts, n, COLUMNS)
        a_at, b_at, c_at = starts[2 * item], starts[2 * item + 1], item * m * n
        if is_dots:
            dots(a, a_at, a_row, b, b_at, b_col, inner, c, c_at, n, top, bottom, left, right)
            if finishes:
                write_back(form, slope, c, c_at + top * n + left, n, bottom - top, right - left,
                           bias, left if has_bias else -1, kept, keeps)  # fmt: skip
            continue
        column_slabs, depth_slabs = -(-(right - left) // WIDTH), -(-inner // DEPTH)
        for slab_column in range(column_slabs):
            j, end_column = share(slab_column, column_slabs, right - left, COLUMNS)
            j, width = left + j, end_column - j
            bias_at = j if has_bias else -1
            for slab_depth in range(depth_slabs):
                k, end_k = share(slab_depth, depth_slabs, inner, LANES)
                depth, finish = end_k - k, finishes and end_k == inner
                pack(b, b_at + k * b_row + j * b_col, b_row, b_col, depth, width, memory, slab)
                for i in range(top, bottom, ROWS):
                    rows, here = min(ROWS, bottom - i), c_at + i * n + j
                    panel, panel_at, panel_row, panel_col = panel_of(
                        a, a_at + i * a_row + k * a_col, a_row, a_col, (i - top) // ROWS,
                        bottom - i, depth, width, memory, slab + DEPTH * WIDTH,
                    )  # fmt: skip
                    multiply(rows, panel, panel_at, panel_row, panel_col, depth,
                             memory, slab, depth * COLUMNS, c, here, n, width, k > 0)  # fmt: skip
                    if finish:
                        write_back(form, slope, c, here, n, rows, width, bias, bias_at,
                                   kept, keeps)  # fmt: skip


@kernel
def panel_of(a, at, a_row, a_col, number, rows, depth, width, memory, copy):
    """Where a panel of A is, and its strides: in A itself, or copied if C has enough columns to
    repay it. `rows` are all that there are from this panel on."""
    if a_col == 1 and a_row % CROWDED == 0 and width >= COPY_ROWS:
        row, col = copy_panel(a, at, a_row, a_col, min(ROWS, rows), depth, memory, copy)
        return memory, copy, row, col
    if a_row == 1 and width >= COPY_COLUMNS:
        if number % GROUP == 0:
            rows = min(GROUP * ROWS, rows)
            copy_columns(a, at, a_col, rows, depth, memory, copy, PANEL)
        return memory, copy + number % GROUP * PANEL, 1, 16
    return a, at, a_row, a_col


@kernel
def copy_panel(a, a_at, a_row, a_col, rows, depth, memory, copy):
    """Copy A[rows, depth]. Returns the strides of the copy."""
    if a_col == 1:
        copy_rows(a, a_at, a_row, rows, depth, memory, copy, COPY_STRIDE)
        return COPY_STRIDE, 1
    copy_rows(a, a_at, a_col, depth, rows, memory, copy, 16)
    return 1, 16


@kernel(
    parallel=True,
    calls=(multiply, pack, write_back, pieces),
    signature="void(const(float32[:, :]), const(float32[:, :]), float32[:, ::1], int64[:, ::1],"
    " const(float32[::1]), float32[:, ::1], intp, float32, intp, intp, float32[::1], intp)",
)
def gemm(
    a, b, out, starts, bias, kept, form, slope, row_parts, column_parts, memory, threads
):  # fmt: skip
    """All pieces of all products: thread t takes the t-th share of them."""
    if threads == 1:
        share_of_thread(0, a, b, out, starts, bias, kept, form, slope, row_parts, column_parts,
                        memory, 1)  # fmt: skip
    else:
        for t in prange(threads):
            share_of_thread(t, a, b, out, starts, bias, kept, form, slope, row_parts, column_parts,
                            memory, threads)  # fmt: skip


@kernel
def share_of_thread(
    t, a, b, out, starts, bias, kept, form, slope, row_parts, column_parts, memory, threads
):  # fmt: skip
    m, n, items = a.shape[0], b.shape[1], starts.shape[0]
    number = items * row_parts * column_parts
    pieces(
        t * number // threads, (t + 1) * number // threads,
        a.ctypes, a.strides[0] // 4, a.strides[1] // 4,
        b.ctypes, b.strides[0] // 4, b.strides[1] // 4, m, a.shape[1], n, out.ctypes,
        starts.ctypes, row_parts, column_parts,
        form, slope, bias.ctypes, bias.size > 0, kept.ctypes, kept.size > 0,
        memory.ctypes, t * SLAB,
    )  # fmt: skip
