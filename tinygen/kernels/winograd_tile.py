"""The transforms of `winograd`, on vectors of LANES channels or filters.

In one dimension, with B, G and A of Lavin & Gray 2016, equations 5 to 7, and * number by number:

    of a window d of 4 places     B' d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
    of a filter w of 3            G w  = (w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2)
    of their product m            A' m = (m0 + m1 + m2, m1 - m2 - m3)       two outputs

and, for gradients, those of A and G: A y = (y0, y0 + y1, y0 - y1, -y1), and so on. In two
dimensions each is applied to lines, and to columns of the result; number 4 i + j of the 16 is that
of line i and column j. `step` is how far the numbers are apart in memory.
"""

from tinygen.kernels import simd
from tinygen.kernels.conv_tile import STARTS
from tinygen.kernels.jit import c_function, kernel
from tinygen.kernels.simd import LANES, load, load_first, store
from tinygen.kernels.tile import COLUMNS, POINTER, from_source, transpose, transpose_source

# Rows of a source become vectors in `target`, at `places`; or rows of it again, target_stride apart
scatter = from_source(
    "scatter",
    transpose_source(
        "scatter", "target, target_at, places, first",
        "store(target, target_at + places[first + {i}], r{i})",
    ),
    vars(simd),
)  # fmt: skip
turn = from_source(
    "turn",
    transpose_source(
        "turn", "target, target_at, target_stride",
        "store_first(target, target_at + {i} * target_stride, r{i}, rows)",
    ),
    vars(simd),
)  # fmt: skip


@kernel
def store4(memory, at, step, column):
    """Column j of the 16, at number j."""
    store(memory, at, column[0])
    store(memory, at + 4 * step, column[1])
    store(memory, at + 8 * step, column[2])
    store(memory, at + 12 * step, column[3])


@kernel
def load4(memory, at, step):
    return (
        load(memory, at), load(memory, at + step), load(memory, at + 2 * step),
        load(memory, at + 3 * step),
    )  # fmt: skip


@kernel
def load3(memory, at, step):
    return load(memory, at), load(memory, at + step), load(memory, at + 2 * step)


# ---- Filters -------------------------------------------------------------------------------------


@kernel
def of_filter(w):
    half, middle = 0.5 * (w[0] + w[2]), 0.5 * w[1]
    return w[0], half + middle, half - middle, w[2]


@c_function(f"void({POINTER}, boolean, intp, intp, intp, intp, {POINTER}, intp, intp)")
def transform_filters(w, turned, filters, channels, begin, end, memory, step, spare):
    """U = G w G' from channel `begin` to `end`: each of the 16 a matrix [channels, filters], packed
    in strips. w is [filters, channels, 3, 3]; or if turned, [channels, filters, 3, 3], and
    backwards."""
    f_step, c_step = (9, 9 * filters) if turned else (9 * channels, 9)
    first, next = (spare + 8 * COLUMNS, -COLUMNS) if turned else (spare, COLUMNS)
    for c in range(begin, end):
        for f in range(0, filters, LANES):
            at = f * f_step + c * c_step
            for k in range(0, 9, LANES):
                transpose(w, at + k, f_step, filters - f, min(LANES, 9 - k), memory,
                          spare + k * COLUMNS)  # fmt: skip
            a = of_filter(load3(memory, first, next))
            b = of_filter(load3(memory, first + 3 * next, next))
            g = of_filter(load3(memory, first + 6 * next, next))
            to = f // COLUMNS * channels * COLUMNS + c * COLUMNS + f % COLUMNS
            for_columns = ((a[0], b[0], g[0]), (a[1], b[1], g[1]), (a[2], b[2], g[2]),
                           (a[3], b[3], g[3]))  # fmt: skip
            store4(memory, to, step, of_filter(for_columns[0]))
            store4(memory, to + step, step, of_filter(for_columns[1]))
            store4(memory, to + 2 * step, step, of_filter(for_columns[2]))
            store4(memory, to + 3 * step, step, of_filter(for_columns[3]))


@kernel
def of_filter_gradient(u):
    """G' u"""
    half, rest = 0.5 * (u[1] + u[2]), 0.5 * (u[1] - u[2])
    return u[0] + half, rest, half + u[3]


@c_function(f"void({POINTER}, intp, intp, intp, intp, {POINTER}, {POINTER}, intp)")
def filter_gradients(u, step, channels, begin, end, dw, memory, spare):
    """dw = G' dU G [filters, channels, 3, 3] from filter `begin` to `end`, of 16 dU [filters,
    channels]."""
    for f in range(begin, end):
        for c in range(0, channels, LANES):
            at = f * channels + c
            a = of_filter_gradient(load4(u, at, step))
            b = of_filter_gradient(load4(u, at + 4 * step, step))
            g = of_filter_gradient(load4(u, at + 8 * step, step))
            d = of_filter_gradient(load4(u, at + 12 * step, step))
            for_columns = ((a[0], b[0], g[0], d[0]), (a[1], b[1], g[1], d[1]),
                           (a[2], b[2], g[2], d[2]))  # fmt: skip
            store3(memory, spare, of_filter_gradient(for_columns[0]))
            store3(memory, spare + LANES, of_filter_gradient(for_columns[1]))
            store3(memory, spare + 2 * LANES, of_filter_gradient(for_columns[2]))
            for k in range(0, 9, LANES):
                turn(memory, spare + k * LANES, LANES, min(LANES, 9 - k), min(LANES, channels - c),
                     dw, 9 * at + k, 9)  # fmt: skip


@kernel
def store3(memory, at, column):
    store(memory, at, column[0])
    store(memory, at + 3 * LANES, column[1])
    store(memory, at + 6 * LANES, column[2])


# ---- Windows -------------------------------------------------------------------------------------


@c_function(f"void({POINTER}, intp, intp, intp, intp, intp, {STARTS}, {POINTER}, intp)")
def lay_out(source, plane, begin, end, step, channels, places, memory, at):
    """Places begin to end of LANES channels, whose planes in `source` are `step` numbers apart and
    of which there are `channels`, as vectors: place begin + i is written at + places[i]."""
    for q in range(begin, end, LANES):
        scatter(source, plane + q, step, channels, min(LANES, end - q), memory, at, places,
                q - begin)  # fmt: skip


@kernel
def of_window(d):
    return d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]


@c_function(f"void({POINTER}, intp, intp, intp, intp, intp, intp, intp)")
def transform_windows(memory, at, line, high, wide, to, row, step):
    """V = B' d B of windows two places apart, in high x wide of them; at `line` numbers from one
    line of places to the next. V is [windows], `row` from one to the next."""
    for i in range(high):
        for j in range(wide):
            d = at + 2 * i * line + 2 * j * LANES
            a = of_window(load4(memory, d, LANES))
            b = of_window(load4(memory, d + line, LANES))
            g = of_window(load4(memory, d + 2 * line, LANES))
            e = of_window(load4(memory, d + 3 * line, LANES))
            store4(memory, to, step, of_window((a[0], b[0], g[0], e[0])))
            store4(memory, to + step, step, of_window((a[1], b[1], g[1], e[1])))
            store4(memory, to + 2 * step, step, of_window((a[2], b[2], g[2], e[2])))
            store4(memory, to + 3 * step, step, of_window((a[3], b[3], g[3], e[3])))
            to += row


# ---- Outputs -------------------------------------------------------------------------------------


@kernel
def outputs_of(m):
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


@c_function(
    f"void({POINTER}, intp, intp, intp, intp, intp, {POINTER}, intp, intp, intp, intp,"
    f" {POINTER}, intp, intp, intp)"
)
def write_outputs(
    memory, at, step, row, high, wide, bias, f, filters, lines, width, y, y_at, plane, spare
):
    """A' M A + bias, of high x wide windows, for the filters from f on: as many `lines` of `width`
    places in y, whose planes, one a filter, are `plane` numbers apart."""
    b = load_first(bias, f, filters - f)
    for i in range(high):
        for j in range(wide):
            p = outputs_of(load4(memory, at, step))
            q = outputs_of(load4(memory, at + 4 * step, step))
            r = outputs_of(load4(memory, at + 8 * step, step))
            s = outputs_of(load4(memory, at + 12 * step, step))
            left, right = outputs_of((p[0], q[0], r[0], s[0])), outputs_of((p[1], q[1], r[1], s[1]))
            to = spare + (2 * i * width + 2 * j) * LANES
            store(memory, to, left[0] + b)
            if 2 * j + 1 < width:
                store(memory, to + LANES, right[0] + b)
            if 2 * i + 1 < lines:
                store(memory, to + width * LANES, left[1] + b)
                if 2 * j + 1 < width:
                    store(memory, to + (width + 1) * LANES, right[1] + b)
            at += row
    for place in range(0, lines * width, LANES):
        turn(memory, spare + place * LANES, LANES, min(LANES, lines * width - place),
             min(LANES, filters - f), y, y_at + place, plane)  # fmt: skip


@kernel
def of_outputs(y):
    """A y"""
    return y[0], y[0] + y[1], y[0] - y[1], 0.0 - y[1]


@c_function(f"void({POINTER}, intp, intp, intp, intp, intp, intp, intp)")
def transform_outputs(memory, at, line, high, wide, to, row, step):
    """A dy A' of 2 x 2 outputs, in high x wide of them; the arguments are those of
    `transform_windows`."""
    for i in range(high):
        for j in range(wide):
            d = at + 2 * i * line + 2 * j * LANES
            left = of_outputs((load(memory, d), load(memory, d + line)))
            right = of_outputs((load(memory, d + LANES), load(memory, d + line + LANES)))
            for_lines = ((left[0], right[0]), (left[1], right[1]), (left[2], right[2]),
                         (left[3], right[3]))  # fmt: skip
            store_line(memory, to, step, of_outputs(for_lines[0]))
            store_line(memory, to + 4 * step, step, of_outputs(for_lines[1]))
            store_line(memory, to + 8 * step, step, of_outputs(for_lines[2]))
            store_line(memory, to + 12 * step, step, of_outputs(for_lines[3]))
            to += row


@kernel
def store_line(memory, at, step, line):
    store(memory, at, line[0])
    store(memory, at + step, line[1])
    store(memory, at + 2 * step, line[2])
    store(memory, at + 3 * step, line[3])
