"""Matrix product C = A B of float32, as fast as a core can multiply and add.

    matmul(a [..., m, k], b [..., k, n]) -> [..., m, n], with the batch dimensions broadcast

The loops (Goto and van de Geijn 2008; BLIS: Van Zee and van de Geijn 2015), outermost first:

    products       every matrix of the batch, or a piece of one, is work for some thread
      block        a slab of B, DEPTH x WIDTH, is packed into scratch memory: 1.5 MB, for the L2 cache
        panel      ROWS x DEPTH of A meet the whole slab: 21 KB, for the L1 cache
          tile     a few vectors of C stay in registers while k runs (see `tile`)

Every number of C is a chain of fused multiply-adds over k = 0, 1, 2, ... in slabs of DEPTH,
whichever piece, panel or tile it falls in: its bits depend neither on threads nor on the batch.
"""

import functools
import os

import numpy as np

from tinygen.kernels.jit import (
    ENABLED,
    REORDER,
    hold_blas,
    kernel,
    plain,
    prange,
    scratch,
    serves,
    threads_for,
)

if ENABLED:
    from tinygen.kernels.tile import COLUMNS, ROWS, copy_rows, multiply, pack
else:
    COLUMNS, ROWS, multiply, pack = 1, 1, None, None

DEPTH = 384
WIDTH = 1024
COPY_STRIDE = DEPTH + 16  # between rows of a copied panel; a power of 2 would crowd one cache set
COPY_WIDTH = 8 * COLUMNS  # so many columns of C repay copying a panel of A
SLAB = DEPTH * WIDTH + 16 * COPY_STRIDE  # scratch of one thread, in floats: of B, and of A

# Multiply-adds from which two threads are faster than one: at 64³ one takes 3 µs, at 96³ 9 µs and
# two 7 µs.
PARALLEL = 80**3


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
    m, k, n = *a.shape[-2:], b.shape[-1]
    if k != b.shape[-2]:
        raise misfit(a, b)
    if not a.flags.aligned:
        a = np.array(a)
    if not (4 in b.strides[-2:] and b.flags.aligned):
        b = np.array(b, order="C")  # `pack` wants adjacent rows or columns
    if a.ndim == 2 and b.ndim == 2:
        return products(a, b, FIRST, FIRST)
    if b.ndim == 2 and a.flags.c_contiguous:
        return products(a.reshape(-1, k), b, FIRST, FIRST).reshape(*a.shape[:-1], n)
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

MATRIX = "const(float32[:, :])"


@kernel(
    parallel=True,
    calls=(multiply, pack),
    signature=f"void({MATRIX}, {MATRIX}, float32[:, ::1], int64[::1], int64[::1], intp, intp,"
    " float32[::1], intp)",
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


@kernel
def piece(p, a, b, out, a_starts, b_starts, row_parts, column_parts, memory, slab):
    """Piece p: of item p // parts, the rows and columns that fall to it."""
    m, n = a.shape[0], b.shape[1]
    item, part = p // (row_parts * column_parts), p % (row_parts * column_parts)
    top, bottom = share(part // column_parts, row_parts, m, 1)
    left, right = share(part % column_parts, column_parts, n, COLUMNS)
    block(a, a_starts[item], b, b_starts[item], out, item * m * n,
          top, bottom, left, right, memory, slab)  # fmt: skip


@kernel
def share(part, parts, size, unit):
    """Where the part begins and ends if `size` is cut in about equal parts, at multiples of unit."""
    units = -(-size // unit)
    return part * units // parts * unit, min(size, (part + 1) * units // parts * unit)


@kernel
def block(a, a_at, b, b_at, out, out_at, top, bottom, left, right, memory, slab):
    """C[top:bottom, left:right] = A[top:bottom, :] @ B[:, left:right]."""
    a_row, a_col = a.strides[0] // 4, a.strides[1] // 4
    b_row, b_col = b.strides[0] // 4, b.strides[1] // 4
    inner, n, copy = a.shape[1], b.shape[1], slab + DEPTH * WIDTH
    for j in range(left, right, WIDTH):
        width = min(WIDTH, right - j)
        for k in range(0, inner, DEPTH):
            depth = min(DEPTH, inner - k)
            pack(b.ctypes, b_at + k * b_row + j * b_col, b_row, b_col, depth, width,
                 memory.ctypes, slab)  # fmt: skip
            for i in range(top, bottom, ROWS):
                rows, a_here, out_here = (
                    min(ROWS, bottom - i),
                    a_at + i * a_row + k * a_col,
                    out_at + i * n + j,
                )
                if width >= COPY_WIDTH and (a_row == 1 or a_col == 1):
                    row, col = copy_panel(a, a_here, a_row, a_col, rows, depth, memory, copy)
                    multiply(rows, memory.ctypes, copy, row, col, depth, memory.ctypes, slab,
                             depth * COLUMNS, out.ctypes, out_here, n, width, k > 0)  # fmt: skip
                else:
                    multiply(rows, a.ctypes, a_here, a_row, a_col, depth, memory.ctypes, slab,
                             depth * COLUMNS, out.ctypes, out_here, n, width, k > 0)  # fmt: skip


@kernel
def copy_panel(a, a_at, a_row, a_col, rows, depth, memory, copy):
    """Copy A[rows, depth], for its rows may all compete for the same lines of the cache where they
    are. Returns the strides of the copy."""
    if a_col == 1:
        copy_rows(a, a_at, a_row, rows, depth, memory, copy, COPY_STRIDE)
        return COPY_STRIDE, 1
    copy_rows(a, a_at, a_col, depth, rows, memory, copy, 16)
    return 1, 16


# ---- Sum of columns ------------------------------------------------------------------------------


def column_sum(x: np.ndarray) -> np.ndarray:
    return x.sum(0)
