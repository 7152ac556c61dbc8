"""Convolution by 3 × 3 filters with 16 multiplications where 36 are usual (Winograd's algorithm).

Two neighbouring outputs of a filter w of 3 see a window d of 4 numbers. They take 6
multiplications; or 4, since both are sums of the same products:

    y = A' (G w * B' d)        of numbers: B' d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3), ...

In two dimensions, applied to lines and to columns, 2 × 2 outputs over a window of 4 × 4 take 16
instead of 36. The windows' B' d B serves all filters, and A' can wait until all channels are summed
up; what is left in between is, for each of the 16 numbers, a product of matrices:

    M[windows, filters] = V[windows, channels] U[channels, filters],    V = B' d B,  U = G w G'

The loops, outermost first:

    convolve              thread t takes its share of examples, or of blocks of their lines
      lay_out             LANES channels of a block side by side, with zeros around
      transform_windows   V of them (see `winograd_tile`)
      multiply            M, for all windows of the block, which lie in the L2 cache (see `tile`)
      write_outputs       A' M A + bias, to their planes in y

The gradient for x is such a convolution, too; for that of filters, see `winograd_weight`. Shapes
are those of `conv`. Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016,
"Fast algorithms for convolutional neural networks" (F(2×2, 3×3), section 4.1).

Sums and differences of d make rounding errors about twice as large as usual. They also make NaN of
±inf, in outputs that see none: where something is not finite, the result here is None.
"""

import functools

import numpy as np

from tinygen.kernels.conv_lines import not_finite
from tinygen.kernels.conv_plan import Pairs, Sizes, whole
from tinygen.kernels.gemm import DEPTH
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, scratch, threads_for
from tinygen.kernels.matmul import PARALLEL

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.simd import LANES, broadcast, store
    from tinygen.kernels.tile import COLUMNS, multiply
    from tinygen.kernels.winograd_tile import (
        lay_out,
        transform_filters,
        transform_windows,
        write_outputs,
    )
else:
    COLUMNS, LANES, multiply = 1, 1, None
    lay_out, transform_filters, transform_windows, write_outputs = None, None, None, None

BLOCK = 1 << 17  # numbers of V and M at a time: 512 KB of the L2 cache
FEWEST = 12  # channels, and filters, from which vectors of them are busy
WANTED = 0.7  # the share of windows' outputs that must belong to y: of 7 × 7, but not of 5 × 5


def fits(outs: Sizes, w_shape: Sizes, stride: Sizes, dilation: Sizes, groups: int) -> bool:
    """Whether a convolution of these shapes is of the kind, and gains by it."""
    if w_shape[2:] != (3, 3) or not stride == dilation == (1, 1) or groups != 1:
        return False
    windows = -(-outs[0] // 2) * -(-outs[1] // 2)
    wide = 16 * -(-outs[1] // 2) * sum(w_shape[:2]) <= 4 * BLOCK
    return min(w_shape[:2]) >= FEWEST and outs[0] * outs[1] >= 4 * WANTED * windows and wide


@functools.lru_cache(maxsize=256)
def layout(
    examples: int, channels: int, filters: int, sizes: Sizes, outs: Sizes, padding: Pairs,
    threads: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """What `convolve` needs to know of shapes, in this order; and `places_of_lines`."""
    height, wide = (-(-n // 2) for n in outs)  # lines of windows, and windows of a line
    most = max(BLOCK // (16 * (lanes(channels) + lanes(filters))), wide)
    together = max(1, min(most // (height * wide), -(-examples // threads)))  # examples of a block
    parts = max(-(-height // (most // wide)), min(height, -(-threads // examples)))
    high = -(-height // parts)  # lines of windows of a block
    before = [a for a, _ in padding]
    shape = [examples, channels, filters, *sizes, *outs, *before, wide, together, high]
    return np.array(shape), places_of_lines(sizes[1], high, wide)


def places_of_lines(width: int, high: int, wide: int) -> np.ndarray:
    """Where each place belongs, of lines of `width`, among lines as long as windows see."""
    places = np.arange((2 * high + 2) * width)
    return (places // width * (2 * wide + 2) + places % width) * LANES


def lanes(size: int) -> int:
    """`size` rounded up to whole vectors."""
    return -(-size // LANES) * LANES


def forward(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, padding: Pairs, turned: bool = False
) -> np.ndarray | None:
    """y [examples, filters, *places] of x [examples, channels, *sizes], w [filters, channels, 3, 3]
    and bias [filters].

    turned: w is [channels, filters, 3, 3], and is read backwards, as the gradient for x wants it.
    """
    examples, channels, filters = len(x), x.shape[1], w.shape[int(turned)]
    outs = tuple(n + a + b - 2 for n, (a, b) in zip(x.shape[2:], padding))
    threads = threads_for(x.size * w.size // channels, PARALLEL)
    shape, places = layout(examples, channels, filters, x.shape[2:], outs, padding, threads)
    wide, together, high = shape[-3:].tolist()
    windows = together * high * wide
    # From one to the next of 16: no power of 2, which would crowd a set of the cache
    u_step = channels * -(-filters // COLUMNS) * COLUMNS
    v_step, m_step = windows * lanes(channels) + LANES, windows * lanes(filters) + LANES
    room = whole((2 * high + 2) * (2 * wide + 2) * LANES + COLUMNS)
    own = room + 16 * whole(v_step + m_step)
    y, bad = np.empty((examples, filters, *outs), np.float32), np.zeros(examples + 1, np.float32)
    bias = np.zeros(filters, np.float32) if bias is None else plain(bias)
    convolve(plain(x).reshape(-1), plain(w).reshape(-1), turned, bias, y.reshape(-1), bad, shape,
             places, u_step, v_step, m_step, room, own, scratch(16 * u_step + threads * own),
             threads)  # fmt: skip
    return None if bad.any() else y


@kernel
def lay_out_block(source, item, group, shape, places, first, high, before, memory, at):
    """LANES channels of an example, from channel `group` on, in the lines that `high` lines of
    windows see, of which the first one is number `first`."""
    channels, height, width, wide = shape[1], shape[3], shape[4], shape[9]
    begin = max(2 * first - before, 0)
    end = min(2 * (first + high) + 2 - before, height)
    line = (2 * wide + 2) * LANES
    lay_out(source.ctypes, (item * channels + group) * height * width, begin * width, end * width,
            height * width, channels - group, places.ctypes, memory.ctypes,
            at + (begin - 2 * first + before) * line + shape[8] * LANES)  # fmt: skip


# ---- Forward -------------------------------------------------------------------------------------


@kernel(
    parallel=True,
    calls=(multiply, lay_out, transform_filters, transform_windows, write_outputs),
    signature="void(const(float32[::1]), const(float32[::1]), boolean, const(float32[::1]),"
    " float32[::1], float32[::1], int64[::1], int64[::1], intp, intp, intp, intp, intp,"
    " float32[::1], intp)",
)
def convolve(
    x, w, turned, bias, y, bad, shape, places, u_step, v_step, m_step, room, own, memory, threads
):
    """U is made first, at the beginning of memory; then each thread has a part of it for itself."""
    channels, filters, of_u = shape[1], shape[2], 16 * u_step
    bad[shape[0]] = not_finite(w, 0, len(w))
    if threads == 1:
        transform_filters(w.ctypes, turned, filters, channels, 0, channels, memory.ctypes, u_step,
                          of_u)  # fmt: skip
        convolve_share(0, 1, x, bias, y, bad, shape, places, u_step, v_step, m_step, room, memory,
                       of_u)  # fmt: skip
    else:
        for t in prange(threads):
            transform_filters(w.ctypes, turned, filters, channels, t * channels // threads,
                              (t + 1) * channels // threads, memory.ctypes, u_step,
                              of_u + t * own)  # fmt: skip
        for t in prange(threads):
            convolve_share(t, threads, x, bias, y, bad, shape, places, u_step, v_step, m_step, room,
                           memory, of_u + t * own)  # fmt: skip


@kernel
def convolve_share(
    t, threads, x, bias, y, bad, shape, places, u_step, v_step, m_step, room, memory, at
):
    """What falls to thread t, whose memory begins at `at`."""
    examples, together, height, high = shape[0], shape[10], shape[5], shape[11]
    parts = -(-height // (2 * high))
    blocks = -(-examples // together) * parts
    for block in range(t * blocks // threads, (t + 1) * blocks // threads):
        n, first = block // parts * together, block % parts * high
        many = min(together, examples - n)
        if first == 0:
            for e in range(many):
                bad[n + e] = not_finite(x, n + e, len(x) // examples)
        convolve_block(n, many, first, min(high, -(-height // 2) - first), x, bias, y, shape,
                       places, u_step, v_step, m_step, memory, at, room)  # fmt: skip


@kernel
def convolve_block(
    n, many, first, high, x, bias, y, shape, places, u_step, v_step, m_step, memory, laid, room
):
    """Some lines of windows, from line `first` on, of examples n, n + 1, ..."""
    channels, filters, height, width, wide = shape[1], shape[2], shape[5], shape[6], shape[9]
    v_at, across, windows = laid + room, -(-channels // LANES) * LANES, high * wide
    m_at, row = v_at + 16 * v_step, -(-filters // LANES) * LANES
    for i in range(laid, laid + room, LANES):
        store(memory, i, broadcast(0.0))
    for c in range(0, channels, LANES):
        for e in range(many):
            lay_out_block(x, n + e, c, shape, places, first, high, shape[7], memory, laid)
            transform_windows(memory.ctypes, laid, (2 * wide + 2) * LANES, high, wide,
                              v_at + e * windows * across + c, across, v_step)  # fmt: skip
    for i in range(16):
        for k in range(0, channels, DEPTH):
            multiply(many * windows, memory.ctypes, v_at + i * v_step + k, across, 1,
                     min(DEPTH, channels - k), memory.ctypes, i * u_step + k * COLUMNS,
                     channels * COLUMNS, memory.ctypes, m_at + i * m_step, row, row,
                     k > 0)  # fmt: skip
    lines, plane = min(2 * high, height - 2 * first), height * width
    for f in range(0, filters, LANES):
        for e in range(many):
            write_outputs(
                memory.ctypes, m_at + e * windows * row + f, m_step, row, high, wide, bias.ctypes,
                f, filters, lines, width, y.ctypes,
                ((n + e) * filters + f) * plane + 2 * first * width, plane, laid,
            )  # fmt: skip
