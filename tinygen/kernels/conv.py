"""Convolution as a matrix product whose right factor is never made (implicit GEMM).

    y[n, m, p] = bias[m] + sum over c, k of  w[m, c, k] x[n, c, p stride + k dilation - padding]

Rows of the matrix of windows are rows of x: with x [channels, places] laid out flat, the row of
channel c and tap k begins at a `start` that depends on c and k alone, and goes on like x itself.
So the tile (see `conv_tile`) reads it where it lies. The product is computed for all places, also
for those at the end of a line, where a window would reach into the next one; they are left out of
y. That is one place in 29 if a kernel of 3 slides over lines of 28: cheaper than copying windows.

To be read so, x is first copied, an example at a time, into memory of the thread's that stays in
the cache. There, every line is followed by zeros, which are the padding behind it and before the
next; and for a stride of 2, say, its even and odd places are parted: of each, windows are one step
apart. The loops, outermost first:

    convolve          thread t takes its share of examples and groups, or of lines if these are few
      lay_out         copies the channels of an example, with zeros around
      slide           filters times windows, for about as many places as the cache holds
      write_lines     adds the bias, and puts lines where they belong in y

The gradient for x is a convolution too, of dy with the filters turned round. With a stride, the
places i, i + stride, ... of x see only the taps i, i + stride, ... of the filters: one `Pass` for
each i. A forward convolution has one pass. Shapes: x [examples, channels, *sizes]; w [filters,
channels / groups, *kernel]; y [examples, filters, *places], all float32; up to three sizes. The
order of additions depends neither on threads nor on the batch. Filters of 3 × 3 with many channels
go to `winograd`, which multiplies less.
"""

import math

import numpy as np

from tinygen.kernels import conv_columns as columns
from tinygen.kernels import winograd
from tinygen.kernels.conv_lines import lay_out
from tinygen.kernels.conv_plan import (
    FILTERS,
    FIRST,
    LAID_OUT,
    LINES,
    OUT_STEPS,
    OUTS,
    PHASE,
    SIZES,
    TAPS,
    TARGET,
    Pairs,
    Plan,
    Sizes,
    best_plan,
    forward_plan,
    input_plan,
    whole,
)
from tinygen.kernels.conv_way import serve, way_of
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, scratch, serves, threads_for
from tinygen.kernels.matmul import PARALLEL

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.conv_tile import PANEL, pack_panel, slide
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        interleave_high,
        interleave_low,
        load,
        store,
        store_first,
    )
    from tinygen.kernels.tile import COLUMNS
else:
    COLUMNS, PANEL, LANES, slide, pack_panel = 1, 1, 1, None, None

BLOCK = 1 << 16  # numbers of y that are computed before they are written: 256 KB of the L2 cache


def forward(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
) -> np.ndarray:
    """y [examples, filters, *places]. padding: zeros (before, behind) each dimension of x; a
    negative number cuts off."""
    way = way_of(x.shape, w.shape, stride, padding, dilation, groups)
    if way.cuts:
        x, padding = columns.cropped(x, padding)
    if way.kernel == "columns" or not (serves(x) and serves(w)):
        return columns.forward(x, w, bias, stride, padding, dilation, groups)
    if way.kernel == "winograd":
        y = winograd.forward(x, w, bias, padding)
        if y is not None:
            return y
    channels, filters = x.shape[1] // groups, len(w) // groups
    threads = threads_for(len(x) * math.prod(way.places) * w.size, PARALLEL)
    shapes = (channels, x.shape[2:], w.shape[2:], stride, padding, dilation)
    plan = best_plan(forward_plan, -(-len(x) // threads), LAID_OUT, *shapes)
    y = run(x, w, bias, plan, groups, filters, threads)
    return y.reshape(len(x), len(w), *way.places)


def input_gradient(
    dy: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    sizes: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
) -> np.ndarray:
    """dx [examples, channels, *sizes] for the cotangent dy of y; also known as the transposed
    convolution of dy, to which a bias [channels] may be added."""
    ready = serve(dy.shape[2:], dy, w) and math.prod(sizes)
    if columns.one_tap(w.shape[2:], stride, padding) or not ready:
        return columns.input_gradient(dy, w, bias, sizes, stride, padding, dilation, groups)
    if winograd.fits(sizes, w.shape, stride, dilation, groups):
        windows, around = columns.cropped(dy, tuple((2 - a, 2 - b) for a, b in padding))
        dx = winograd.forward(windows, w, bias, around, turned=True)
        if dx is not None:
            return dx
    filters, channels = len(w) // groups, w.shape[1]
    threads = threads_for(dy.size // dy.shape[1] * w.size, PARALLEL)
    shapes = (filters, channels, dy.shape[2:], w.shape[2:], tuple(sizes), stride, padding, dilation)
    plan = best_plan(input_plan, -(-len(dy) // threads), LAID_OUT, *shapes)
    dx = run(dy, w, bias, plan, groups, channels, threads)
    return dx.reshape(len(dy), channels * groups, *sizes)


def run(x, w, bias, plan: Plan, groups, filters, threads):
    """y [examples groups filters outs], flat; `filters` are those of a group."""
    examples, channels, outs = len(x), x.shape[1] // groups, int(plan.table[OUTS].prod())
    y = np.empty(examples * groups * filters * outs, np.float32)
    bias = np.zeros(groups * filters, np.float32) if bias is None else plain(bias)
    phases = len(set(plan.passes[:, -1].tolist()))
    pair = phases if plan.table[OUT_STEPS, 2] == 2 else 1
    columns = max(BLOCK // (filters * pair), COLUMNS)  # of y, that are computed at a time
    panels = whole(groups * -(-filters // PANEL) * len(plan.starts) * LANES)  # for w
    room = whole(channels * plan.volume + 2 * COLUMNS)  # for x, and for vectors that reach over
    result = whole(filters * (columns + COLUMNS))
    memory = scratch(panels + threads * (room + pair * result))
    convolve(plain(x).reshape(-1), plain(w).reshape(-1), bias, y, examples, plan.together, groups,
             filters, plan.table, plan.passes, plan.starts, plan.order, pair, columns,
             memory, panels, room, result, threads)  # fmt: skip
    return y


# ---- The kernel ----------------------------------------------------------------------------------


@kernel(
    parallel=True,
    calls=(slide, pack_panel),
    signature="void(const(float32[::1]), const(float32[::1]), const(float32[::1]), float32[::1],"
    " intp, intp, intp, intp, int64[:, ::1], int64[:, ::1], int64[::1], int64[::1], intp,"
    " intp, float32[::1], intp, intp, intp, intp)",
)
def convolve(
    x, w, bias, y, examples, together, groups, filters, table, passes, starts, order, pair,
    columns, memory, panels, room, result, threads,
):  # fmt: skip
    """First the filters are packed into memory, then each thread takes its own part of it."""
    blocks = groups * -(-filters // PANEL)
    if threads == 1:
        for block in range(blocks):
            pack_filters(w, groups, block, filters, table, order, len(starts), memory, panels)
        convolve_share(0, 1, x, bias, y, examples, together, groups, filters, table, passes, starts,
                       pair, columns, memory, panels, room, result)  # fmt: skip
    else:
        for t in prange(threads):
            for block in range(t * blocks // threads, (t + 1) * blocks // threads):
                pack_filters(w, groups, block, filters, table, order, len(starts), memory,
                             panels + t * (room + pair * result))  # fmt: skip
        for t in prange(threads):
            convolve_share(t, threads, x, bias, y, examples, together, groups, filters, table,
                           passes, starts, pair, columns, memory,
                           panels + t * (room + pair * result), room, result)  # fmt: skip


@kernel
def pack_filters(w, groups, number, filters, table, order, taps, memory, spare):
    """Panel `number` of all: PANEL filters of a group, with so many taps in all passes."""
    panels = -(-filters // PANEL)
    group, top = number // panels, number % panels * PANEL
    row_step, block, block_step = table[FILTERS, 0], table[FILTERS, 1], table[FILTERS, 2]
    source = group * (len(w) // groups) + top * row_step
    pack_panel(w.ctypes, source, row_step, min(PANEL, filters - top), block, block_step,
               len(order) // block, order.ctypes, memory.ctypes, number * taps * LANES,
               spare)  # fmt: skip


@kernel
def convolve_share(
    t, threads, x, bias, y, examples, together, groups, filters, table, passes, starts, pair,
    columns, memory, laid, room, result,
):  # fmt: skip
    """What falls to thread t, whose memory begins at `laid`: some of the batches of each group, or,
    if they are too few, some lines of each."""
    for i in range(laid, laid + room, LANES):
        store(memory, i, broadcast(0.0))
    units, parts = groups * -(-examples // together), 1
    if units % threads and units < 8 * threads:
        parts = threads
    channels = len(x) // (examples * groups * table[SIZES, 0] * table[SIZES, 1] * table[SIZES, 2])
    last = -1
    for i in range(t * units * parts // threads, (t + 1) * units * parts // threads):
        unit = i // parts
        group, n = unit % groups, unit // groups * together
        many = min(together, examples - n)
        if unit != last:
            for e in range(many):
                lay_out(x, (n + e) * groups + group, channels, table, memory, laid, e)
        last = unit
        for number in range(0, len(passes), pair):
            convolve_pass(number, i % parts, parts, n, many, bias, y, groups, group, filters, table,
                          passes, starts, pair, columns, memory, laid, laid + room,
                          result)  # fmt: skip


@kernel
def convolve_pass(
    number, part, parts, n, together, bias, y, groups, group, filters, table, passes, starts, pair,
    columns, memory, laid, results, result,
):  # fmt: skip
    """A pass, or a pair of them, over one of `parts` parts of the lines of some examples."""
    line, segment = table[LINES, 2], table[PHASE, 2]
    depth, height, width = passes[number, 2], passes[number, 3], passes[number, 4]
    whole_line = line - segment + width
    high = max(min(columns // line, -(-height // parts)), 1)  # how many lines at a time
    across = whole_line  # how many places of a line
    if whole_line > columns:
        across = columns // COLUMNS * COLUMNS
    if height == 1 and parts > 1:
        across = min(across, -(-whole_line // (parts * COLUMNS)) * COLUMNS)
    panel, block = len(starts) * LANES, 0
    w_at = group * -(-filters // PANEL) * panel
    for d in range(depth):
        for h in range(0, height, high):
            for c in range(0, whole_line, across):
                block += 1
                if block % parts == part:
                    many, left = min(high, height - h), min(across, whole_line - c)
                    places = (many - 1) * line + left
                    row = -(-places // COLUMNS) * COLUMNS
                    for i in range(pair):
                        first, taps = passes[number + i, FIRST], passes[number + i, TAPS]
                        slide(filters, memory.ctypes, w_at + first * LANES, panel,
                              memory.ctypes, laid + (d * table[LINES, 1] + h) * line + c,
                              starts.ctypes, first, taps, places, memory.ctypes,
                              results + i * result, row)  # fmt: skip
                    for e in range(together):
                        begin = max(e * segment, c)
                        end = min(e * segment + width, c + left)
                        write_lines(
                            memory, results + begin - c, result, row, filters, many, end - begin,
                            bias, group * filters, y, ((n + e) * groups + group) * filters, d, h,
                            begin - e * segment, table, passes, number, pair,
                        )  # fmt: skip


@kernel
def write_lines(
    memory, at, result, row, filters, lines, width, bias, first, y, y_first, d, h, c, table, passes,
    number, pair,
):  # fmt: skip
    """Put `lines` lines of each filter, from place (d, h, c) of a pass on, where they belong in y,
    plus bias. Of a pair of passes the second one's places lie between those of the first."""
    step, line = table[OUT_STEPS, 2], table[LINES, 2]
    across, plane = table[OUTS, 2], table[OUTS, 1] * table[OUTS, 2]
    target = passes[number, TARGET + 2] + c * step
    end = across - target
    target += (passes[number, TARGET + 1] + h * table[OUT_STEPS, 1]) * across
    target += (passes[number, TARGET] + d * table[OUT_STEPS, 0]) * plane
    for f in range(filters):
        b, y_at = bias[first + f], (y_first + f) * plane * table[OUTS, 0] + target
        for i in range(lines):
            source, to = at + f * row + i * line, y_at + i * table[OUT_STEPS, 1] * across
            if step == 1:
                for j in range(0, width, LANES):
                    store_first(y, to + j, load(memory, source + j) + b, width - j)
            elif pair == 2:
                for j in range(0, width, LANES):
                    u, v = load(memory, source + j) + b, load(memory, source + result + j) + b
                    left = min(2 * (width - j), end - 2 * j)
                    store_first(y, to + 2 * j, interleave_low(u, v), left)
                    store_first(y, to + 2 * j + LANES, interleave_high(u, v), left - LANES)
            else:
                for j in range(width):
                    y[to + j * step] = memory[source + j] + b
