"""Sums over windows, and where the largest element of each lies: what pooling is made of.

    out[r, p] = sum of x[r] over window p;   dx[r] += g[r, p] over window p
    index[r, p] = argmax of x[r] over window p

A window is a product of ranges, one for each dimension: from `begin`, in steps, to before `end`. So
padding, dilation, a rest at the border and windows of changing size are all a matter of the ranges.
Of several that are equal the first one counts; of NaNs, the last one. Shapes: x [rows, d, h, w];
out, g, index [rows, places], the latter into a flattened [d, h, w].

The lines of x that a band of windows meets are first brought down to one line, whole vectors at a
time; then each window looks at its part of that.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

PARALLEL = 16_384  # elements of x

Ranges = list[tuple[np.ndarray, np.ndarray]]  # of each dimension: begins and ends


def served(x: np.ndarray) -> bool:
    return ENABLED and (x.dtype.kind in "iu" or x.dtype in (np.float32, np.float64))


def flat_ranges(ranges: Ranges) -> list[np.ndarray]:
    """Begins and ends of each dimension, as kernels take them."""
    return [np.ascontiguousarray(a, np.int64) for pair in ranges for a in pair]


# ---- Sums ----------------------------------------------------------------------------------------


def sums_reference(x, ranges):
    for axis, (begins, ends) in enumerate(ranges, 1):
        lines = np.moveaxis(x, axis, -1)
        parts = [lines[..., b:e].sum(-1, dtype=x.dtype) for b, e in zip(begins, ends)]
        x = np.moveaxis(np.stack(parts, -1), -1, axis)
    return x


def spread_reference(g, sizes, ranges):
    for axis, (size, (begins, ends)) in enumerate(zip(sizes, ranges), 1):
        lines = np.moveaxis(g, axis, -1)
        wide = np.zeros((*lines.shape[:-1], size), g.dtype)
        for i, (b, e) in enumerate(zip(begins, ends)):
            wide[..., b:e] += lines[..., i : i + 1]
        g = np.moveaxis(wide, -1, axis)
    return g


def sums(x: np.ndarray, ranges: Ranges) -> np.ndarray:
    """out [rows, *places] for x [rows, d, h, w] and the windows' ranges along d, h and w."""
    out = np.empty((len(x), *[len(begins) for begins, _ in ranges]), x.dtype)
    if not out.size:
        return out
    if not served(x):
        return sums_reference(x, ranges)
    add_up(plain(x), *flat_ranges(ranges), out, threads_for(x.size, PARALLEL))
    return out


def spread(g: np.ndarray, sizes: tuple[int, ...], ranges: Ranges) -> np.ndarray:
    """dx [rows, *sizes] for g [rows, *places]: each element of a window gets what its sum gets."""
    if not g.size:
        return np.zeros((len(g), *sizes), g.dtype)
    if not served(g):
        return spread_reference(g, sizes, ranges)
    dx = np.empty((len(g), *sizes), g.dtype)
    give_back(plain(g), *flat_ranges(ranges), dx, threads_for(dx.size, PARALLEL))
    return dx


@kernel(parallel=True)
def add_up(x, d0, d1, h0, h1, w0, w1, out, threads):
    if threads == 1:
        add_up_part(x, d0, d1, h0, h1, w0, w1, out, 0, len(x))
    else:
        for t in prange(threads):
            begin, end = t * len(x) // threads, (t + 1) * len(x) // threads
            add_up_part(x, d0, d1, h0, h1, w0, w1, out, begin, end)


@kernel
def add_up_part(x, d0, d1, h0, h1, w0, w1, out, begin, end):
    line = np.empty(x.shape[3], x.dtype)
    for r in range(begin, end):
        for i in range(len(d0)):
            for j in range(len(h0)):
                line[:] = 0
                for d in range(d0[i], d1[i]):
                    for h in range(h0[j], h1[j]):
                        add_line(line, x[r, d, h])
                for k in range(len(w0)):
                    out[r, i, j, k] = 0
                    for w in range(w0[k], w1[k]):
                        out[r, i, j, k] += line[w]


@kernel
def add_line(line, x):
    for w in range(len(line)):
        line[w] += x[w]


@kernel(parallel=True)
def give_back(g, d0, d1, h0, h1, w0, w1, dx, threads):
    if threads == 1:
        give_back_part(g, d0, d1, h0, h1, w0, w1, dx, 0, len(g))
    else:
        for t in prange(threads):
            begin, end = t * len(g) // threads, (t + 1) * len(g) // threads
            give_back_part(g, d0, d1, h0, h1, w0, w1, dx, begin, end)


@kernel
def give_back_part(g, d0, d1, h0, h1, w0, w1, dx, begin, end):
    line = np.empty(dx.shape[3], dx.dtype)
    for r in range(begin, end):
        dx[r] = 0
        for i in range(len(d0)):
            for j in range(len(h0)):
                line[:] = 0
                for k in range(len(w0)):
                    for w in range(w0[k], w1[k]):
                        line[w] += g[r, i, j, k]
                for d in range(d0[i], d1[i]):
                    for h in range(h0[j], h1[j]):
                        add_line(dx[r, d, h], line)


# ---- Largest elements ----------------------------------------------------------------------------


def largest_reference(x, ranges, steps):
    planes = np.arange(math.prod(x.shape[1:])).reshape(x.shape[1:])
    places = tuple(len(begins) for begins, _ in ranges)
    index = np.empty((len(x), *places), np.int64)
    for place in np.ndindex(*places):
        window = tuple(slice(b[i], e[i], s) for i, (b, e), s in zip(place, ranges, steps))
        block = x[(slice(None), *window)].reshape(len(x), planes[window].size)
        last = block.shape[1] - 1 - np.isnan(block[:, ::-1]).argmax(1)
        which = np.where(np.isnan(block).any(1), last, block.argmax(1))
        index[(slice(None), *place)] = planes[window].reshape(-1)[which]
    return index


def largest(x: np.ndarray, ranges: Ranges, steps: tuple[int, ...]) -> np.ndarray:
    """index [rows, *places] for x [rows, d, h, w]; the windows' ranges, none of them empty, along
    d, h and w, and the steps within them."""
    index = np.empty((len(x), *[len(begins) for begins, _ in ranges]), np.int64)
    if not index.size:
        return index
    if not served(x):
        return largest_reference(x, ranges, steps)
    steps = tuple(int(s) for s in steps)
    find_largest(plain(x), *flat_ranges(ranges), *steps, index, threads_for(x.size, PARALLEL))
    return index


@kernel(parallel=True)
def find_largest(x, d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index, threads):
    if threads == 1:
        largest_part(x, d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index, 0, len(x))
    else:
        for t in prange(threads):
            begin, end = t * len(x) // threads, (t + 1) * len(x) // threads
            largest_part(x, d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index, begin, end)


@kernel
def largest_part(x, d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index, begin, end):
    height, width = x.shape[2:]
    best, at = np.empty(width, x.dtype), np.empty(width, np.int64)
    for r in range(begin, end):
        for i in range(len(d0)):
            for j in range(len(h0)):
                first_line(best, at, x[r, d0[i], h0[j]], (d0[i] * height + h0[j]) * width)
                for d in range(d0[i], d1[i], d_step):
                    for h in range(h0[j], h1[j], h_step):
                        larger_of_lines(best, at, x[r, d, h], (d * height + h) * width)
                for k in range(len(w0)):
                    index[r, i, j, k] = largest_on_line(best, at, w0[k], w1[k], w_step)


@kernel
def first_line(best, at, x, place):
    for w in range(len(best)):
        best[w], at[w] = x[w], place + w


@kernel
def larger_of_lines(best, at, x, place):
    """The larger one of best[w] and x[w], for all w; and, in `at`, where it came from."""
    for w in range(len(best)):
        v = x[w]
        better = (v > best[w]) | (v != v)
        best[w] = v if better else best[w]
        at[w] = place + w if better else at[w]


@kernel
def largest_on_line(best, at, begin, end, step):
    """Where the largest of best[begin:end:step] came from; lines are not behind one another, so of
    equal ones that is not the first on the line."""
    v, place, w = best[begin], at[begin], begin + step
    while w < end:  # for a range, Numba would divide by the step
        u, here = best[w], at[w]
        first = (u > v) | ((u == v) & (here < place))
        last = (u != u) & ((v == v) | (here > place))
        place = here if first | last else place
        v = u if first | last else v
        w += step
    return place
