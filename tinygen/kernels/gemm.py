"""The loops of a matrix product (Goto and van de Geijn 2008; BLIS: Van Zee and van de Geijn 2015).

Outermost first:

    gemm           every matrix of the batch, or a piece of one, is work for some thread
      piece        a slab of B, DEPTH x WIDTH, is packed into scratch memory: 0.5 MB, for L2 cache
        panel      ROWS x DEPTH of A meet the whole slab: 14 KB, for L1 cache
          tile     a few vectors of C stay in registers while k runs (see `tile`)
        write_back a finished panel of C gets its bias and activation (see `write_back`)

Every number of C is a chain of fused multiply-adds over k = 0, 1, 2, ... in slabs of at most DEPTH,
whichever piece, panel or tile it falls in; or, where A B' has few columns or rows, a dot product of
two rows (see `dots`).
"""

from tinygen.kernels.jit import ENABLED, c_function, kernel, prange
from tinygen.kernels.write_back import IDENTITY, POINTER, write_back

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
