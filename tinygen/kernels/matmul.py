"""Matrix product C = A B of float32, as fast as a core can multiply and add.

    matmul(a [..., m, k], b [..., k, n]) -> [..., m, n], with the batch dimensions broadcast

The loops (Goto and van de Geijn 2008; BLIS: Van Zee and van de Geijn 2015), outermost first:

    gemm           every matrix of the batch, or a piece of one, is work for some thread
      block        a slab of B, DEPTH x WIDTH, is packed into scratch memory: 1.5 MB, for L2 cache
        panel      ROWS x DEPTH of A meet the whole slab: 21 KB, for L1 cache
          tile     a few vectors of C stay in registers while k runs (see `tile`)

Every number of C is a chain of fused multiply-adds over k = 0, 1, 2, ... in slabs of DEPTH,
whichever piece, panel or tile it falls in: its bits depend neither on threads nor on the batch.
"""

import functools
import math
import os

import numpy as np

from tinygen.kernels.jit import (
    ENABLED,
    c_function,
    hold_blas,
    kernel,
    plain,
    prange,
    scratch,
    serves,
    threads_for,
)

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.simd import LANES, broadcast, load_first, store_first
    from tinygen.kernels.tile import COLUMNS, MATRIX, POINTER, ROWS, copy_rows, multiply, pack
else:
    COLUMNS, ROWS, MATRIX, POINTER, multiply, pack = 1, 1, None, None, None, None

DEPTH = 384
WIDTH = 1024
COPY_STRIDE = DEPTH + 16  # between rows of a copied panel; a power of 2 would crowd one cache set
# So many columns of C repay copying a panel of A: rows are read well enough where they are, while
# in a transposed A every step k is on another page of memory.
COPY_ROWS, COPY_COLUMNS = 8 * COLUMNS, 2 * COLUMNS
SLAB = DEPTH * WIDTH + 16 * COPY_STRIDE  # scratch of one thread, in floats: of B, and of A

# Multiply-adds from which two threads are faster than one: at 96³ one takes 20 µs and two take 22,
# at 128³ 39 and 34.
PARALLEL = 112**3


USE_KERNEL = ENABLED and os.environ.get("TINYGEN_MATMUL") != "blas"


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a [..., m, k] @ b [..., k, n], both of at least two dimensions, as a new C-contiguous array.

    Strides are arbitrary: a transpose costs no copy. float32 runs on the kernel below, anything
    else (and everything, under TINYGEN_MATMUL=blas) on np.matmul with one thread. Raises
    ValueError if the shapes do not fit.
    """
    if not (USE_KERNEL and a.dtype == b.dtype == np.float32):
        hold_blas()
        return np.matmul(a, b)
    if a.shape[-1] != b.shape[-2]:
        raise misfit(a, b)
    if not a.flags.aligned:
        a = np.array(a)
    if not (4 in b.strides[-2:] and b.flags.aligned):
        b = np.array(b, order="C")  # `pack` wants adjacent rows or columns
    if a.ndim == b.ndim == 2:
        return products(a, b, FIRST, FIRST)
    m, k, n = *a.shape[-2:], b.shape[-1]
    if b.ndim == 2 and a.flags.c_contiguous:
        rows = a.reshape(math.prod(a.shape[:-1]), k)
        return products(rows, b, FIRST, FIRST).reshape(*a.shape[:-1], n)
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise misfit(a, b) from None
    if 0 in batch:
        return np.empty((*batch, m, n), np.float32)
    a_starts = starts(batch, a.shape[:-2], a.strides[:-2])
    b_starts = starts(batch, b.shape[:-2], b.strides[:-2])
    first = products(a[(0,) * (a.ndim - 2)], b[(0,) * (b.ndim - 2)], a_starts, b_starts)
    return first.reshape(*batch, m, n)


def misfit(a, b):
    return ValueError(
        f"matmul: {a.shape} @ {b.shape} does not fit: the last dimension of the first must equal"
        " the last but one of the second, and those before must broadcast"
    )


@functools.lru_cache(maxsize=1024)
def starts(batch, shape, strides):
    """How many elements after the first one each matrix of the broadcast batch begins, [items]."""
    offsets = np.zeros(batch, np.int64)
    for axis in range(-len(shape), 0):
        if shape[axis] > 1:
            steps = np.arange(batch[axis]) * (strides[axis] // 4)
            offsets += steps.reshape(-1, *[1] * (-1 - axis))
    return offsets.ravel()


FIRST = np.zeros(1, np.int64)  # the starts of a single matrix


def products(a, b, a_starts, b_starts):
    """[items m, n]: the products of the matrices that begin so many elements after a [m, k] and
    b [k, n] do."""
    (m, k), n, items = a.shape, b.shape[1], len(a_starts)
    out = np.empty((items * m, n), np.float32)
    work = items * m * n * k
    if work == 0:
        out.fill(0)
        return out
    threads = threads_for(work, PARALLEL)
    row_parts, column_parts = grid(m, n, items, threads) if threads > 1 else (1, 1)
    gemm(a, b, out, a_starts, b_starts, row_parts, column_parts, scratch(threads * SLAB), threads)
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
def piece(p, a, b, out, a_starts, b_starts, row_parts, column_parts, memory, slab):
    """Piece p: of item p // parts, the rows and columns that fall to it."""
    m, inner, n = a.shape[0], a.shape[1], b.shape[1]
    item, part = p // (row_parts * column_parts), p % (row_parts * column_parts)
    top, bottom = share(part // column_parts, row_parts, m, 1)
    left, right = share(part % column_parts, column_parts, n, COLUMNS)
    block(a.ctypes, a_starts[item], a.strides[0] // 4, a.strides[1] // 4,
          b.ctypes, b_starts[item], b.strides[0] // 4, b.strides[1] // 4,
          inner, out.ctypes, item * m * n, n, top, bottom, left, right,
          memory.ctypes, slab)  # fmt: skip


@kernel
def share(part, parts, size, unit):
    """Where a part begins and ends if `size` is cut into equal parts, at multiples of unit."""
    units = -(-size // unit)
    return part * units // parts * unit, min(size, (part + 1) * units // parts * unit)


@c_function(
    f"void({MATRIX}, {MATRIX}, intp, {POINTER}, intp, intp, intp, intp, intp, intp,"
    f" {POINTER}, intp)"
)
def block(
    a, a_at, a_row, a_col, b, b_at, b_row, b_col, inner, c, c_at, c_row, top, bottom, left, right,
    memory, slab,
):  # fmt: skip
    """C[top:bottom, left:right] = A[top:bottom, :inner] @ B[:inner, left:right]."""
    copy = slab + DEPTH * WIDTH
    for j in range(left, right, WIDTH):
        width = min(WIDTH, right - j)
        for k in range(0, inner, DEPTH):
            depth = min(DEPTH, inner - k)
            pack(b, b_at + k * b_row + j * b_col, b_row, b_col, depth, width, memory, slab)
            for i in range(top, bottom, ROWS):
                rows, at = min(ROWS, bottom - i), a_at + i * a_row + k * a_col
                panel, panel_row, panel_col = a, a_row, a_col
                if (a_col == 1 and width >= COPY_ROWS) or (a_row == 1 and width >= COPY_COLUMNS):
                    panel_row, panel_col = copy_panel(
                        a, at, a_row, a_col, rows, depth, memory, copy
                    )
                    panel, at = memory, copy
                multiply(rows, panel, at, panel_row, panel_col, depth, memory, slab,
                         depth * COLUMNS, c, c_at + i * c_row + j, c_row, width, k > 0)  # fmt: skip


@kernel
def copy_panel(a, a_at, a_row, a_col, rows, depth, memory, copy):
    """Copy A[rows, depth], for its rows may all compete for the same lines of the cache where they
    are. Returns the strides of the copy."""
    if a_col == 1:
        copy_rows(a, a_at, a_row, rows, depth, memory, copy, COPY_STRIDE)
        return COPY_STRIDE, 1
    copy_rows(a, a_at, a_col, depth, rows, memory, copy, 16)
    return 1, 16


@kernel(
    parallel=True,
    calls=(multiply, pack, block),
    signature="void(const(float32[:, :]), const(float32[:, :]), float32[:, ::1],"
    " int64[::1], int64[::1], intp, intp, float32[::1], intp)",
)
def gemm(a, b, out, a_starts, b_starts, row_parts, column_parts, memory, threads):
    """All pieces of all products: thread t takes the t-th share of them, one after the other."""
    pieces = len(a_starts) * row_parts * column_parts
    if threads == 1:
        for p in range(pieces):
            piece(p, a, b, out, a_starts, b_starts, row_parts, column_parts, memory, 0)
    else:
        for t in prange(threads):
            for p in range(t * pieces // threads, (t + 1) * pieces // threads):
                piece(p, a, b, out, a_starts, b_starts, row_parts, column_parts, memory, t * SLAB)


# ---- Sum of columns ------------------------------------------------------------------------------

CHUNKS = 16  # pieces in which rows are summed up, whatever the number of threads
PARALLEL_SUM = 131_072  # elements: there one thread takes 15 µs, two take 12


def column_sum(x: np.ndarray) -> np.ndarray:
    """The sum [columns] of the rows of x [rows, columns]: the gradient of a bias."""
    if not serves(x) or x.size == 0:
        return x.sum(0)
    sums, threads = np.empty((CHUNKS, x.shape[1]), np.float32), threads_for(x.size, PARALLEL_SUM)
    sum_chunks(plain(x), sums, threads)
    return sums.sum(0)


@kernel(parallel=True)
def sum_chunks(x, sums, threads):
    if threads == 1:
        add_up(0, CHUNKS, x, sums)
    else:
        for t in prange(threads):
            add_up(t * CHUNKS // threads, (t + 1) * CHUNKS // threads, x, sums)


@kernel
def add_up(begin, end, x, sums):
    """The sums of some chunks of rows, four vectors of columns at a time."""
    rows, columns = x.shape
    for chunk in range(begin, end):
        top, bottom = chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS
        for c in range(0, columns, 4 * LANES):
            s0, s1, s2, s3 = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
            left = columns - c
            for r in range(top, bottom):
                at = r * columns + c
                s0 = s0 + load_first(x, at, left)
                s1 = s1 + load_first(x, at + LANES, left - LANES)
                s2 = s2 + load_first(x, at + 2 * LANES, left - 2 * LANES)
                s3 = s3 + load_first(x, at + 3 * LANES, left - 3 * LANES)
            at = chunk * columns + c
            store_first(sums, at, s0, left)
            store_first(sums, at + LANES, s1, left - LANES)
            store_first(sums, at + 2 * LANES, s2, left - 2 * LANES)
            store_first(sums, at + 3 * LANES, s3, left - 3 * LANES)
