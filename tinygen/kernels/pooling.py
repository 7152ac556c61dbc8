"""Where the largest element of each window lies: what max pooling has to know.

    index[r, p] = argmax of x[r] over window p

A window is a product of ranges, one for each dimension: from `begin`, in steps, to before `end`. So
padding, dilation, a rest at the border and windows of changing size are all a matter of the ranges.
Of several that are equal the first one counts; of NaNs, the last one. The loops run over rows,
places and the elements of a window, without a branch in the innermost one. Shapes: x [rows, d, h,
w]; index [rows, places], into a flattened [d, h, w].
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

PARALLEL = 16_384  # elements of x


def largest_reference(x, begins, ends, steps):
    planes = np.arange(math.prod(x.shape[1:])).reshape(x.shape[1:])
    places = tuple(len(b) for b in begins)
    index = np.empty((len(x), *places), np.int64)
    for place in np.ndindex(*places):
        window = tuple(slice(b[i], e[i], s) for i, b, e, s in zip(place, begins, ends, steps))
        block = x[(slice(None), *window)].reshape(len(x), planes[window].size)
        last = block.shape[1] - 1 - np.isnan(block[:, ::-1]).argmax(1)
        which = np.where(np.isnan(block).any(1), last, block.argmax(1))
        index[(slice(None), *place)] = planes[window].reshape(-1)[which]
    return index.reshape(len(x), math.prod(places))


def largest(x: np.ndarray, begins, ends, steps) -> np.ndarray:
    """index [rows, places] for x [rows, d, h, w]; begins and ends of the windows along each of the
    three dimensions, none of them empty, and the steps within them."""
    if not x.size or not all(len(b) for b in begins):
        return np.empty((len(x), math.prod(map(len, begins))), np.int64)
    if not ENABLED or x.dtype.kind not in "fiu":
        return largest_reference(x, begins, ends, steps)
    ranges = [np.ascontiguousarray(a, np.int64) for pair in zip(begins, ends) for a in pair]
    index = np.empty((len(x), *[len(b) for b in begins]), np.int64)
    find_largest(plain(x), *ranges, *[int(s) for s in steps], index, threads_for(x.size, PARALLEL))
    return index.reshape(len(x), -1)


@kernel(parallel=True)
def find_largest(x, d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index, threads):
    if threads == 1:
        for r in range(len(x)):
            largest_in_row(x[r], d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index[r])
    else:
        for t in prange(threads):
            for r in range(t * len(x) // threads, (t + 1) * len(x) // threads):
                largest_in_row(x[r], d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index[r])


@kernel
def largest_in_row(x, d0, d1, h0, h1, w0, w1, d_step, h_step, w_step, index):
    height, width = x.shape[1:]
    for i in range(len(d0)):
        for j in range(len(h0)):
            for k in range(len(w0)):
                best = x[d0[i], h0[j], w0[k]]
                at = (d0[i] * height + h0[j]) * width + w0[k]
                for d in range(d0[i], d1[i], d_step):
                    for h in range(h0[j], h1[j], h_step):
                        line = (d * height + h) * width
                        for w in range(w0[k], w1[k], w_step):
                            v = x[d, h, w]
                            better = (v > best) | (v != v)
                            best = v if better else best
                            at = line + w if better else at
                index[i, j, k] = at
