"""Products with few columns, or few rows: C = A B as dot products.

    C[i, j] = sum over k of A[i, k] B[k, j]

where the rows of A and the columns of B are adjacent numbers, as in a linear layer x W'. Tiles
would spend most of their width on nothing, and packing B for a single row of A takes longer than
its product. Four dot products run at a time: each is a vector of partial sums over k, added up in
the end.
"""

from tinygen.kernels.jit import kernel
from tinygen.kernels.simd import LANES, broadcast, fma, load_first, sum_lanes


@kernel
def dots(a, a_at, a_row, b, b_at, b_col, depth, c, c_at, c_row, top, bottom, left, right):
    """C[top:bottom, left:right] for rows of A and columns of B whose numbers are adjacent: a dot
    product of two of them each, four of the longer side at a time."""
    x, x_at, x_row, y, y_at, y_row = a, a_at + top * a_row, a_row, b, b_at + left * b_col, b_col
    few, many, step, row = bottom - top, right - left, 1, c_row
    if few > many:
        x, x_at, x_row, y, y_at, y_row = y, y_at, y_row, x, x_at, x_row
        few, many, step, row = many, few, c_row, 1
    at = c_at + top * c_row + left
    for i in range(few):
        dot_products(x, x_at + i * x_row, depth, y, y_at, y_row, many, c, at + i * row, step)


@kernel
def dot_products(x, x_at, depth, y, y_at, stride, rows, c, at, step):
    """The dot products of x with so many rows of y, to every `step`th number from c[at]."""
    for r in range(0, rows, 4):
        y0 = y_at + r * stride
        y1 = y_at + min(r + 1, rows - 1) * stride  # after the last row comes the last one again
        y2 = y_at + min(r + 2, rows - 1) * stride
        y3 = y_at + min(r + 3, rows - 1) * stride
        s0, s1, s2, s3 = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
        for k in range(0, depth, LANES):
            left = depth - k
            v = load_first(x, x_at + k, left)
            s0 = fma(v, load_first(y, y0 + k, left), s0)
            s1 = fma(v, load_first(y, y1 + k, left), s1)
            s2 = fma(v, load_first(y, y2 + k, left), s2)
            s3 = fma(v, load_first(y, y3 + k, left), s3)
        c[at + r * step] = sum_lanes(s0)
        if r + 1 < rows:
            c[at + (r + 1) * step] = sum_lanes(s1)
        if r + 2 < rows:
            c[at + (r + 2) * step] = sum_lanes(s2)
        if r + 3 < rows:
            c[at + (r + 3) * step] = sum_lanes(s3)
