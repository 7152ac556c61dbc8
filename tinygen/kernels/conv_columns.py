"""Convolution by columns: every window is copied out, and one matrix product does the rest.

These are the NumPy lines that the kernels of `conv` and `conv_weight` must equal; they serve every
dtype, and run in the kernels' place under TINYGEN_JIT=0. The shapes, and what the arguments mean,
are those of the kernels.

    forward          y  = filters [M, C taps] @ columns [C taps, places]
    input_gradient   dx = filters' @ dy, each column added where it was copied from
    weight_gradient  dw = sum over examples of dy @ columns'
"""

import math

import numpy as np

from tinygen.kernels.matmul import matmul

# So many numbers of windows are copied out at a time: about what a cache holds.
COLUMNS_AT_A_TIME = 1 << 20


def forward(x, w, bias, stride, padding, dilation, groups):
    sizes = w.shape[2:]
    places = places_of(padded_sizes(x.shape[2:], padding), sizes, stride, dilation)
    filters = w.reshape(groups, len(w) // groups, math.prod(w.shape[1:]))
    known = (sizes, stride, padding, dilation, groups)
    if math.prod(places) == 1:
        out = matmul(rows_of(columns_of(x, *known)), filters.swapaxes(1, 2)).swapaxes(0, 1)
        return plus(out.reshape(len(x), len(w), *places), bias)
    out = np.empty((len(x), groups, filters.shape[1], math.prod(places)), x.dtype)
    for part in parts_of_batch(x, x.shape[1] * math.prod((*sizes, *places))):
        out[part] = matmul(filters, columns_of(x[part], *known))
    return plus(out.reshape(len(x), len(w), *places), bias)


def input_gradient(dy, w, bias, sizes, stride, padding, dilation, groups):
    window, places = w.shape[2:], dy.shape[2:]
    filters = w.reshape(groups, len(w) // groups, math.prod(w.shape[1:])).swapaxes(1, 2)
    channels, whole = w.shape[1] * groups, padded_sizes(sizes, padding)
    cut = [(-a, -b) for a, b in padding]
    out = np.empty((len(dy), channels, *sizes), dy.dtype)
    one = math.prod(places) == 1
    for part in parts_of_batch(dy, channels * math.prod((*window, *places))):
        if one:
            columns = matmul(rows_of(grouped(dy[part], groups)), filters.swapaxes(1, 2)).swapaxes(
                0, 1
            )
        else:
            columns = matmul(filters, grouped(dy[part], groups))
        columns = columns.reshape(len(columns), channels, *window, *places)
        out[part] = padded(overlapped(columns, whole, stride, dilation), cut)
    return plus(out, bias)


def weight_gradient(x, dy, sizes, stride, padding, dilation, groups):
    filters, channels = dy.shape[1], x.shape[1] // groups
    known = (sizes, stride, padding, dilation, groups)
    if math.prod(dy.shape[2:]) == 1:
        out = matmul(rows_of(grouped(dy, groups)).swapaxes(1, 2), rows_of(columns_of(x, *known)))
        return out.reshape(filters, channels, *sizes)
    out = np.zeros((groups, filters // groups, channels * math.prod(sizes)), x.dtype)
    for part in parts_of_batch(x, x.shape[1] * math.prod((*sizes, *dy.shape[2:]))):
        columns = columns_of(x[part], *known)
        out += matmul(grouped(dy[part], groups), columns.swapaxes(-1, -2)).sum(0)
    return out.reshape(filters, channels, *sizes)


def plus(out, bias):
    if bias is not None:
        out += bias.reshape(-1, *[1] * (out.ndim - 2))
    return out


# ---- Shapes --------------------------------------------------------------------------------------


def padded_sizes(sizes, padding) -> tuple[int, ...]:
    return tuple(n + a + b for n, (a, b) in zip(sizes, padding))


def places_of(sizes, kernel, stride, dilation) -> tuple[int, ...]:
    """How many windows there are along each dimension."""
    each = zip(sizes, kernel, stride, dilation)
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in each)


def one_tap(kernel_sizes, stride, padding) -> bool:
    """Whether windows are single places: then x itself is the matrix of windows."""
    return math.prod(kernel_sizes) == math.prod(stride) == 1 and not any(map(any, padding))


def grouped(x: np.ndarray, groups: int) -> np.ndarray:
    """Channels and all that follows as matrices: [N, C, *sizes] -> [N, groups, C / groups, -1]."""
    return x.reshape(len(x), groups, x.shape[1] // groups, math.prod(x.shape[2:]))


def rows_of(columns: np.ndarray) -> np.ndarray:
    """One column of each example, [N, groups, rows, 1], as a row: [groups, N, rows]."""
    return columns[..., 0].swapaxes(0, 1)


def parts_of_batch(x: np.ndarray, numbers: int) -> list[slice]:
    """Slices of the batch with about COLUMNS_AT_A_TIME numbers each, of `numbers` per example."""
    step = max(1, COLUMNS_AT_A_TIME // max(numbers, 1))
    return [slice(i, i + step) for i in range(0, len(x), step)]


# ---- Windows -------------------------------------------------------------------------------------


def padded(x: np.ndarray, pairs, value: float = 0) -> np.ndarray:
    """x with `value` before and after its last dimensions, of which each has a pair of lengths; a
    negative one cuts off. Nothing is copied if there is only something to cut off. Raises
    ValueError if more is cut off than there is."""
    lead = x.ndim - len(pairs)
    inner = [slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(pairs, x.shape[lead:])]
    shape = [n + a + b for (a, b), n in zip(pairs, x.shape[lead:])]
    if any(part.start > part.stop for part in inner):
        raise ValueError(f"pad: {tuple(pairs)} cuts off more than there is of shape {x.shape}")
    if not any(n > 0 for pair in pairs for n in pair):
        return x[(..., *inner)]
    place = [slice(max(0, a), n - max(0, b)) for (a, b), n in zip(pairs, shape)]
    out = np.full((*x.shape[:lead], *shape), value, x.dtype)
    out[(..., *place)] = x[(..., *inner)]
    return out


def cropped(x, padding):
    """x without what negative padding cuts off, and the padding that is left."""
    cut = [(min(a, 0), min(b, 0)) for a, b in padding]
    left = tuple((max(a, 0), max(b, 0)) for a, b in padding)
    return (padded(x, cut), left) if any(map(any, cut)) else (x, left)


def windows_of(x: np.ndarray, kernel, stride, dilation) -> np.ndarray:
    """The windows on x as a view, [..., *kernel, *places]: nothing is copied."""
    n = len(kernel)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    steps = [slice(None, None, step) for step in (*stride, *dilation)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(-n, 0)))
    return np.moveaxis(view[(..., *steps)], range(-n, 0), range(-2 * n, -n))


def columns_of(x: np.ndarray, sizes, stride, padding, dilation, groups) -> np.ndarray:
    """Every window as a column: [N, groups, C / groups · kernel, places]. Here they are copied."""
    if one_tap(sizes, stride, padding):
        return grouped(x, groups)
    view = windows_of(padded(x, padding), sizes, stride, dilation)
    rows = x.shape[1] // groups * math.prod(sizes)
    return view.reshape(len(x), groups, rows, math.prod(view.shape[2 + len(sizes) :]))


def under(k, places, stride, dilation) -> tuple:
    """The index of those elements that lie under element k of all the windows: [..., *places]."""
    ends = [(i * d, i * d + s * (n - 1) + 1) for i, n, s, d in zip(k, places, stride, dilation)]
    return (..., *[slice(start, end, s) for (start, end), s in zip(ends, stride)])


def overlapped(windows: np.ndarray, sizes, stride, dilation) -> np.ndarray:
    """Zeros [..., *sizes], to which windows [..., *kernel, *places] are added at their places."""
    n = len(sizes)
    kernel, places = windows.shape[-2 * n : -n], windows.shape[-n:]
    out = np.zeros((*windows.shape[: -2 * n], *sizes), windows.dtype)
    if math.prod(places) == 1:
        out[under((0,) * n, kernel, dilation, dilation)] = windows[(..., *[0] * n)]
        return out
    for k in np.ndindex(*kernel):
        out[under(k, places, stride, dilation)] += windows[(..., *k, *[slice(None)] * n)]
    return out
