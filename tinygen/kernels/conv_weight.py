"""The gradient of convolution's filters: every output times the window that it came from.

    dw[m, c, k] = sum over n, p of  dy[n, m, p] x[n, c, p stride + k dilation - padding]

This is a matrix product as well, whose inner dimension is that of examples and places together.
Both are laid out in lines of one length, x as in `conv`, dy with zeros at the ends of lines: so the
places of an example are one run of numbers, in dy as in each row of windows. The loops:

    weight_gradient   some examples at a time, as many as the caches hold
      correlate_all   thread t lays out its share of the examples, then takes its share of dw
        correlate     a tile of dw stays in registers while all examples and places pass by

Shapes are those of `conv`. The order of additions does not depend on threads. Where x is not
finite, zeros at the ends of lines would not stop it (0 inf = NaN), and the NumPy lines take over.
"""

import math

import numpy as np

from tinygen.kernels import conv_columns as columns
from tinygen.kernels import winograd_weight
from tinygen.kernels.conv import LANES
from tinygen.kernels.conv_lines import copy, lay_out, not_finite
from tinygen.kernels.conv_plan import (
    LAID_OUT,
    LINES,
    OUTS,
    PHASE,
    SIZES,
    Pairs,
    Sizes,
    best_plan,
    forward_plan,
    whole,
)
from tinygen.kernels.conv_way import serve
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, scratch, threads_for
from tinygen.kernels.matmul import PARALLEL

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.conv_tile import FILTERS, TAPS, correlate
    from tinygen.kernels.simd import broadcast, store
else:
    FILTERS, TAPS, correlate = (1,), (1,), None

BATCH = 1 << 21  # numbers of x and dy that are laid out at a time: 8 MB


def weight_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    kernel_sizes: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int = 1,
) -> np.ndarray:
    """dw [filters, channels / groups, *kernel], summed over examples, for the cotangent dy of y."""
    x, padding = columns.cropped(x, padding)
    known = (tuple(kernel_sizes), stride, padding, dilation)
    ready = serve(dy.shape[2:], x, dy) and math.prod(kernel_sizes)
    if columns.one_tap(kernel_sizes, stride, padding) or not ready:
        return columns.weight_gradient(x, dy, *known, groups)
    w_shape = (dy.shape[1], x.shape[1] // groups, *kernel_sizes)
    if winograd_weight.fits(dy.shape[2:], w_shape, stride, dilation, groups):
        dw = winograd_weight.weight_gradient(x, dy, padding)
        if dw is not None:
            return dw
    examples, channels, filters = len(x), x.shape[1] // groups, dy.shape[1] // groups
    plan = best_plan(forward_plan, examples, LAID_OUT, channels, x.shape[2:], *known)
    together = plan.together
    taps, run = len(plan.starts), -(-plan.run // LANES) * LANES
    room = whole(channels * plan.volume + 2 * LANES) + filters * run  # for x and dy of an item
    dw = np.zeros((groups * filters, taps), np.float32)
    bad = np.empty(examples * groups, np.float32)
    threads = threads_for(dy.size * taps, PARALLEL)
    step = max(1, BATCH // (room * groups)) * together
    x, dy = plain(x), plain(dy)
    for n in range(0, examples, step):
        some = min(step, examples - n)
        items = -(-some // together) * groups
        correlate_all(
            x[n : n + some].reshape(-1), dy[n : n + some].reshape(-1), dw, some, together, items,
            groups, channels, plan.table, plan.starts, run, room,
            bad[n * groups : (n + some) * groups], scratch(items * room), threads,
        )  # fmt: skip
    if bad.any():
        return columns.weight_gradient(x, dy, *known, groups)
    return dw.reshape(groups * filters, channels, *kernel_sizes)


@kernel(
    parallel=True,
    calls=(correlate,),
    signature="void(const(float32[::1]), const(float32[::1]), float32[:, ::1], intp, intp, intp,"
    " intp, intp, int64[:, ::1], int64[::1], intp, intp, float32[::1], float32[::1], intp)",
)
def correlate_all(
    x, dy, dw, examples, together, items, groups, channels, table, starts, run, room, bad,
    memory, threads,
):  # fmt: skip
    """dw += what some examples add to it. An item is a group of those that are laid out together,
    and `room` numbers of memory."""
    filters = len(dw) // groups
    across = -(-len(starts) // TAPS[0])
    tiles = groups * -(-filters // FILTERS[0]) * across
    if threads == 1:
        for item in range(items):
            lay_out_both(x, dy, item, examples, together, groups, filters, channels, table, run,
                         room, bad, memory)  # fmt: skip
        for tile in range(tiles):
            correlate_tile(tile, across, dw, items, groups, filters, starts, run, room, memory)
    else:
        for t in prange(threads):
            for item in range(t * items // threads, (t + 1) * items // threads):
                lay_out_both(x, dy, item, examples, together, groups, filters, channels, table, run,
                             room, bad, memory)  # fmt: skip
        for t in prange(threads):
            for tile in range(t * tiles // threads, (t + 1) * tiles // threads):
                correlate_tile(tile, across, dw, items, groups, filters, starts, run, room, memory)


@kernel
def lay_out_both(
    x, dy, item, examples, together, groups, filters, channels, table, run, room, bad, memory
):
    """The filters of dy [filters, run], and behind them the channels of x."""
    at, group, n = item * room, item % groups, item // groups * together
    for i in range(at, at + room, LANES):
        store(memory, i, broadcast(0.0))
    depth, height, width = table[OUTS, 0], table[OUTS, 1], table[OUTS, 2]
    size = channels * table[SIZES, 0] * table[SIZES, 1] * table[SIZES, 2]
    for e in range(min(together, examples - n)):
        one = (n + e) * groups + group
        for f in range(filters):
            for d in range(depth):
                source = ((one * filters + f) * depth + d) * height * width
                target = at + f * run + d * table[LINES, 1] * table[LINES, 2] + e * table[PHASE, 2]
                for h in range(height):
                    copy(dy, source + h * width, memory, target + h * table[LINES, 2], width)
        lay_out(x, one, channels, table, memory, at + filters * run, e)
        bad[one] = not_finite(x, one, size)


@kernel
def correlate_tile(tile, across, dw, items, groups, filters, starts, run, room, memory):
    """One tile of dw: neighbouring ones share the filters."""
    down = -(-filters // FILTERS[0])
    group, f, k = tile // (down * across), tile // across % down, tile % across
    f, k, at = f * FILTERS[0], k * TAPS[0], group * room
    correlate(
        min(FILTERS[0], filters - f), min(TAPS[0], len(starts) - k), memory.ctypes,
        at + filters * run, groups * room, starts.ctypes, k, memory.ctypes, at + f * run,
        groups * room, run, items // groups, run, dw.ctypes,
        (group * filters + f) * len(starts) + k, len(starts),
    )  # fmt: skip
