"""The gradient of 3 × 3 filters, with 16 multiplications where 36 are usual: see `winograd`.

What is a product there, M = V U, has the gradient

    dU[filters, channels] = dM'[filters, windows] V[windows, channels],    dM = A dy A'

for each of 16 numbers of the windows of all examples, and dw = G' dU G. The loops:

    weight_gradient    as many examples at a time, or lines of one, as the caches hold
      correlate        thread t makes V and dM of its share of channels, then takes its share of
        multiply       the 16 products: the order of additions does not depend on threads
      differentiate    dw
"""

import numpy as np

from tinygen.kernels import winograd
from tinygen.kernels.conv_lines import not_finite
from tinygen.kernels.conv_plan import Pairs, Sizes, whole
from tinygen.kernels.gemm import DEPTH
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, scratch, threads_for
from tinygen.kernels.matmul import PARALLEL
from tinygen.kernels.winograd import COLUMNS, LANES, lanes, lay_out_block, places_of_lines

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.simd import broadcast, store
    from tinygen.kernels.tile import multiply
    from tinygen.kernels.winograd_tile import (
        filter_gradients,
        lay_out,
        transform_outputs,
        transform_windows,
    )
else:
    filter_gradients, lay_out, multiply = None, None, None
    transform_outputs, transform_windows = None, None

BATCH = 1 << 19  # numbers of V and dM at a time: 2 MB, of which each thread reads its part


def fits(outs: Sizes, w_shape: Sizes, stride: Sizes, dilation: Sizes, groups: int) -> bool:
    """Whether it gains by this: not where half of each strip of channels would be empty."""
    return winograd.fits(outs, w_shape, stride, dilation, groups) and 2 * w_shape[1] > COLUMNS


def weight_gradient(x: np.ndarray, dy: np.ndarray, padding: Pairs) -> np.ndarray | None:
    """dw [filters, channels, 3, 3], summed over examples, for the cotangent dy of y."""
    (examples, channels, *sizes), (_, filters, *outs) = x.shape, dy.shape
    height, wide = (-(-n // 2) for n in outs)  # lines of windows, and windows of a line
    each = 16 * (whole_strips(channels) + lanes(filters)) * wide  # numbers of a line of windows
    high = max(1, min(height, BATCH // each))
    together = max(1, min(examples, BATCH // (each * high)))
    windows = together * high * wide
    v_step, m_step = windows * whole_strips(channels) + LANES, windows * lanes(filters) + LANES
    room = whole((2 * high + 2) * (2 * wide + 2) * LANES + LANES * LANES)
    threads = threads_for(dy.size * channels * 9, PARALLEL)
    memory = scratch(16 * (v_step + m_step) + threads * room)
    of_x = np.array([examples, channels, 0, *sizes, 0, 0, padding[0][0], padding[1][0], wide])
    of_dy = np.array([examples, filters, 0, *outs, 0, 0, 0, 0, wide])
    places = [places_of_lines(width, high, wide) for width in (sizes[1], outs[1])]
    du = np.zeros(16 * filters * channels, np.float32)
    x, dy = plain(x).reshape(-1), plain(dy).reshape(-1)
    for n in range(0, examples, together):
        for first in range(0, height, high):
            correlate(x, dy, n, min(together, examples - n), first, min(high, height - first), du,
                      of_x, of_dy, *places, v_step, m_step, room, memory, threads)  # fmt: skip
    dw = np.empty((filters, channels, 3, 3), np.float32)
    finite = differentiate(du, channels, dw.reshape(-1), memory)
    return dw if finite else None


def whole_strips(size: int) -> int:
    """`size` rounded up to strips, as `multiply` reads its right factor."""
    return -(-size // COLUMNS) * COLUMNS


@kernel(
    parallel=True,
    calls=(multiply, lay_out, transform_windows, transform_outputs),
    signature="void(const(float32[::1]), const(float32[::1]), intp, intp, intp, intp, float32[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], intp, intp, intp, float32[::1], intp)",
)
def correlate(
    x, dy, n, many, first, high, du, of_x, of_dy, places_x, places_dy, v_step, m_step, room, memory,
    threads,
):  # fmt: skip
    """dU += what some lines of windows add, from line `first` on, of examples n, n + 1, ..."""
    channels, filters = of_x[1], of_dy[1]
    jobs = many * (-(-channels // LANES) + -(-filters // LANES))
    if threads == 1:
        for job in range(jobs):
            transform(job, x, dy, n, many, first, high, of_x, of_dy, places_x, places_dy, v_step,
                      m_step, room, memory, 0)  # fmt: skip
        for i in range(16):
            add_product(i, many * high * of_x[9], channels, filters, du, v_step, m_step, memory)
    else:
        for t in prange(threads):
            for job in range(t * jobs // threads, (t + 1) * jobs // threads):
                transform(job, x, dy, n, many, first, high, of_x, of_dy, places_x, places_dy,
                          v_step, m_step, room, memory, t)  # fmt: skip
        for t in prange(threads):
            for i in range(t * 16 // threads, (t + 1) * 16 // threads):
                add_product(i, many * high * of_x[9], channels, filters, du, v_step, m_step, memory)


@kernel
def transform(
    job, x, dy, n, many, first, high, of_x, of_dy, places_x, places_dy, v_step, m_step, room,
    memory, t,
):  # fmt: skip
    """V of LANES channels of an example, or dM of LANES filters."""
    e, group = job % many, job // many * LANES
    wide, channels = of_x[9], of_x[1]
    line, windows = (2 * wide + 2) * LANES, high * wide
    at = 16 * (v_step + m_step) + t * room
    for i in range(at, at + room, LANES):
        store(memory, i, broadcast(0.0))
    if group < channels:
        lay_out_block(x, n + e, group, of_x, places_x, first, high, of_x[7], memory, at)
        to = group // COLUMNS * many * windows * COLUMNS + group % COLUMNS + e * windows * COLUMNS
        transform_windows(memory.ctypes, at, line, high, wide, to, COLUMNS, v_step)
    else:
        group -= -(-channels // LANES) * LANES
        row = -(-of_dy[1] // LANES) * LANES
        lay_out_block(dy, n + e, group, of_dy, places_dy, first, high, 0, memory, at)
        transform_outputs(memory.ctypes, at, line, high, wide,
                          16 * v_step + e * windows * row + group, row, m_step)  # fmt: skip


@kernel
def add_product(i, windows, channels, filters, du, v_step, m_step, memory):
    """dU += dM' V, of number i."""
    row = -(-filters // LANES) * LANES
    for k in range(0, windows, DEPTH):
        multiply(filters, memory.ctypes, 16 * v_step + i * m_step + k * row, 1, row,
                 min(DEPTH, windows - k), memory.ctypes, i * v_step + k * COLUMNS,
                 windows * COLUMNS, du.ctypes, i * filters * channels, channels, channels,
                 True)  # fmt: skip


@kernel(
    calls=(filter_gradients,),
    signature="boolean(float32[::1], intp, float32[::1], float32[::1])",
)
def differentiate(du, channels, dw, memory):
    """dw = G' dU G. Returns whether it is finite."""
    step = len(du) // 16
    filter_gradients(du.ctypes, step, channels, 0, step // channels, dw.ctypes, memory.ctypes, 0)
    return not not_finite(dw, 0, len(dw))
