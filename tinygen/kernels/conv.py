"""Convolution as a matrix product whose right factor is never made (implicit GEMM).

    y[n, m, p] = sum over c, k of  w[m, c, k] x[n, c, p stride + k dilation]

Rows of the matrix of windows are rows of x: with x [channels, places] laid out flat, the row of
channel c and tap k begins at a `start` that depends on c and k alone, and goes on like x itself.
So it is packed for the tile straight from x (see `tile`), and the product is computed for all
places p, also for those at the end of a line, where a window would reach into the next line; they
are left out in the end. With a kernel of 3 and lines of 34 places that is 6 % more work, while
copying the windows out first takes as long as the product. For a stride of 2, say, x is first
sorted into its even and its odd places: of each, windows are one step apart.

    forward          y from x and w: [filters, taps] times the windows [taps, places]
    weight_gradient  dw from x and dy: the windows [taps, places] times dy' [places, filters]

The gradient for x is a convolution as well: of dy, padded, with the filters turned round. Shapes:
x [examples, channels, *sizes], already padded; w [filters, channels, *kernel]; y [examples,
filters, *places]. All float32; the order of additions does not depend on threads.
"""

import math

import numpy as np

from tinygen.kernels.jit import (
    ENABLED,
    c_function,
    kernel,
    prange,
    scratch,
    serves,
    threads_for,
)
from tinygen.kernels.matmul import COPY_STRIDE, DEPTH, PARALLEL, SLAB, WIDTH, copy_panel

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.simd import LANES, load_first, store
    from tinygen.kernels.tile import COLUMNS, POINTER, ROWS, copy_rows, multiply, pack
else:
    COLUMNS, ROWS, POINTER, multiply, pack = 1, 1, None, None, None

STARTS = "CPointer(int64)"  # where the row of each channel and tap begins


def serve(*arrays: np.ndarray) -> bool:
    """Whether the kernels here take these arrays: float32, and something in them."""
    return all(serves(a) and a.size for a in arrays)


def forward_reference(x, w, stride, dilation):
    windows = windows_of(x, w.shape[2:], stride, dilation)  # [examples, channels, *places, *kernel]
    axes = [1, *range(windows.ndim - w.ndim + 2, windows.ndim)]
    return np.moveaxis(np.tensordot(windows, w, (axes, range(1, w.ndim))), -1, 1)


def weight_gradient_reference(x, dy, kernel_sizes, stride, dilation):
    windows = windows_of(x, kernel_sizes, stride, dilation)
    axes = [0, *range(2, dy.ndim)]
    return np.tensordot(dy, windows, (axes, axes))


def windows_of(x, kernel_sizes, stride, dilation):
    spans = [(k - 1) * d + 1 for k, d in zip(kernel_sizes, dilation)]
    axes = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, axes)
    steps = [slice(None, None, s) for s in stride]
    return windows[(slice(None), slice(None), *steps, *[slice(None, None, d) for d in dilation])]


def forward(
    x: np.ndarray, w: np.ndarray, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> np.ndarray:
    """y [examples, filters, *places]."""
    if not serve(x, w):
        return forward_reference(x, w, stride, dilation)
    examples, filters = len(x), len(w)
    places, lines, starts = geometry(x.shape[1:], w.shape[2:], stride, dilation)
    x = in_phases(x, stride)
    wide = np.empty((examples, filters, math.prod(lines)), np.float32)
    threads = threads_for(wide.size * len(starts), PARALLEL)
    x, w = flat(x, examples), flat(w, filters)
    convolve(x, w, starts, wide, reach(places, lines), scratch(threads * SLAB), threads)
    wide = wide.reshape(examples, filters, *lines)
    return np.ascontiguousarray(wide[(..., *[slice(n) for n in places])])


def weight_gradient(
    x: np.ndarray,
    dy: np.ndarray,
    kernel_sizes: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> np.ndarray:
    """dw [filters, channels, *kernel], summed over examples, for the cotangent dy of y."""
    if not serve(x, dy):
        return weight_gradient_reference(x, dy, kernel_sizes, stride, dilation)
    examples, filters, channels = *dy.shape[:2], x.shape[1]
    places, lines, starts = geometry(x.shape[1:], kernel_sizes, stride, dilation)
    x = in_phases(x, stride)
    wide = np.zeros((examples, filters, *lines), np.float32)  # nothing comes of the line's end
    wide[(..., *[slice(n) for n in places])] = dy
    dw = np.empty((len(starts), filters), np.float32)
    threads = threads_for(wide.size * len(starts), PARALLEL)
    correlate(flat(x, examples), wide.reshape(examples, filters, -1), starts, dw,
              reach(places, lines), scratch(threads * SLAB), threads)  # fmt: skip
    return np.ascontiguousarray(dw.T).reshape(filters, channels, *kernel_sizes)


def in_phases(x, stride):
    """[examples, channels, *phases, *sizes]: each dimension cut into `stride` phases, of which the
    i-th has the places i, i + stride, ..."""
    if set(stride) == {1}:
        return x
    fill = [(0, -n % s) for n, s in zip(x.shape[2:], stride)]
    x = np.pad(x, ((0, 0), (0, 0), *fill))
    pairs = [part for n, s in zip(x.shape[2:], stride) for part in (n // s, s)]
    last = 2 + len(pairs)
    return x.reshape(*x.shape[:2], *pairs).transpose(0, 1, *range(3, last, 2), *range(2, last, 2))


def geometry(shape, kernel_sizes, stride, dilation):
    """The number of windows along each dimension of [channels, *sizes]; the same with lines as long
    as those of x in phases; and where the row of each channel and tap begins, [channels taps]."""
    channels, *sizes = shape
    places = [
        (n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(sizes, kernel_sizes, stride, dilation)
    ]
    sizes = [-(-n // s) for n, s in zip(sizes, stride)]  # of a phase
    lines, plane = (places[0], *sizes[1:]), math.prod(sizes)
    starts = np.arange(channels) * (math.prod(stride) * plane)
    for i, (k, s, d) in enumerate(zip(kernel_sizes, stride, dilation)):
        shift, phase = np.divmod(np.arange(k) * d, s)
        step, planes = math.prod(sizes[i + 1 :]), math.prod(stride[i + 1 :]) * plane
        starts = starts[..., None] + shift * step + phase * planes
    return places, lines, starts.reshape(-1)


def reach(places, lines) -> int:
    """How many places lie from the first to the last one, those at the ends of lines included."""
    steps = [math.prod(lines[i + 1 :]) for i in range(len(lines))]
    return 1 + sum((n - 1) * step for n, step in zip(places, steps))


def flat(x, rows):
    return np.ascontiguousarray(x).reshape(rows, -1)


# ---- The kernels ---------------------------------------------------------------------------------


@c_function(
    f"void({POINTER}, intp, {POINTER}, intp, intp, {STARTS}, {POINTER}, intp, intp, intp,"
    f" {POINTER}, intp)"
)
def convolve_one(x, x_at, w, filters, taps, starts, y, y_at, y_row, places, memory, slab):
    """y[filters, places] = w[filters, taps] @ windows[taps, places] of one example."""
    copy = slab + DEPTH * WIDTH
    for j in range(0, places, WIDTH):
        width = min(WIDTH, places - j)
        for k in range(0, taps, DEPTH):
            depth = min(DEPTH, taps - k)
            pack_windows(x, x_at + j, starts, k, depth, width, memory, slab)
            for i in range(0, filters, ROWS):
                rows = min(ROWS, filters - i)
                panel_row, _ = copy_panel(w, i * taps + k, taps, 1, rows, depth, memory, copy)
                multiply(rows, memory, copy, panel_row, 1, depth, memory, slab, depth * COLUMNS,
                         y, y_at + i * y_row + j, y_row, width, k > 0)  # fmt: skip


@kernel
def pack_windows(x, x_at, starts, k, depth, width, strips, at):
    """Rows k to k + depth of the windows, `width` columns of them, in strips (see tile.pack)."""
    for j in range(0, -(-width // COLUMNS) * COLUMNS, LANES):
        vector = at + j // COLUMNS * COLUMNS * depth + j % COLUMNS
        for i in range(depth):
            v = load_first(x, x_at + starts[k + i] + j, width - j)
            store(strips, vector + i * COLUMNS, v)


@kernel(
    parallel=True,
    calls=(multiply, convolve_one),
    signature="void(const(float32[:, ::1]), const(float32[:, ::1]), const(int64[::1]),"
    " float32[:, :, ::1], intp, float32[::1], intp)",
)
def convolve(x, w, starts, y, places, memory, threads):
    """All examples: thread t takes the t-th share of them."""
    examples = len(y)
    if threads == 1:
        for n in range(examples):
            convolve_example(n, x, w, starts, y, places, memory, 0)
    else:
        for t in prange(threads):
            for n in range(t * examples // threads, (t + 1) * examples // threads):
                convolve_example(n, x, w, starts, y, places, memory, t * SLAB)


@kernel
def convolve_example(n, x, w, starts, y, places, memory, slab):
    _, filters, row = y.shape
    convolve_one(x.ctypes, n * x.shape[1], w.ctypes, filters, len(starts), starts.ctypes, y.ctypes,
                 n * filters * row, row, places, memory.ctypes, slab)  # fmt: skip


@c_function(
    f"void({POINTER}, intp, {STARTS}, intp, intp, {POINTER}, intp, intp, intp, intp, {POINTER},"
    f" boolean, {POINTER}, intp)"
)
def correlate_one(
    x, x_at, starts, top, bottom, dy, dy_at, dy_row, filters, places, dw, add, memory, slab
):
    """dw[top:bottom, filters] = windows[top:bottom, places] @ dy[filters, places]' of one example
    (+ dw if add)."""
    copy = slab + DEPTH * WIDTH
    for j in range(0, filters, WIDTH):
        width = min(WIDTH, filters - j)
        for p in range(0, places, DEPTH):
            depth = min(DEPTH, places - p)
            pack(dy, dy_at + j * dy_row + p, 1, dy_row, depth, width, memory, slab)
            for i in range(top, bottom, ROWS):
                rows = min(ROWS, bottom - i)
                for r in range(rows):
                    copy_rows(x, x_at + starts[i + r] + p, 0, 1, depth, memory,
                              copy + r * COPY_STRIDE, 0)  # fmt: skip
                multiply(rows, memory, copy, COPY_STRIDE, 1, depth, memory, slab, depth * COLUMNS,
                         dw, i * filters + j, filters, width, add or p > 0)  # fmt: skip


@kernel(
    parallel=True,
    calls=(multiply, pack, correlate_one),
    signature="void(const(float32[:, ::1]), const(float32[:, :, ::1]), const(int64[::1]),"
    " float32[:, ::1], intp, float32[::1], intp)",
)
def correlate(x, dy, starts, dw, places, memory, threads):
    """All examples, one after the other: thread t takes the t-th share of the taps."""
    taps = len(starts)
    if threads == 1:
        correlate_taps(0, taps, x, dy, starts, dw, places, memory, 0)
    else:
        for t in prange(threads):
            top, bottom = t * taps // threads, (t + 1) * taps // threads
            correlate_taps(top, bottom, x, dy, starts, dw, places, memory, t * SLAB)


@kernel
def correlate_taps(top, bottom, x, dy, starts, dw, places, memory, slab):
    examples, filters, row = dy.shape
    for n in range(examples):
        correlate_one(x.ctypes, n * x.shape[1], starts.ctypes, top, bottom, dy.ctypes,
                      n * filters * row, row, filters, places, dw.ctypes, n > 0, memory.ctypes,
                      slab)  # fmt: skip
