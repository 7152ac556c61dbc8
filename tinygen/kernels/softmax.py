"""Softmax, log-softmax and log-sum-exp of rows, forward and backward.

    softmax:      y = exp(x - m) / sum exp(x - m),       dx = y (dy - sum dy y)
    log-softmax:  y = x - m - log sum exp(x - m),        dx = dy - exp(y) sum dy
    log-sum-exp:  y = m + log sum exp(x - m),            dx = dy exp(x - y)

where m is the largest number of the row: no exponential overflows, and one of them is 1. Shapes:
all [rows, columns], but y and dy of log-sum-exp are [rows]. A softmax of a row with a NaN or +inf,
or of -inf alone, is NaN; its log-sum-exp is NaN, inf or -inf. One row after the other, two or three
times forward, once or twice backward, while it is in the L1 cache.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        exp,
        first,
        load_first,
        max_lanes,
        max_of_numbers,
        maximum,
        store_first,
        sum_lanes,
        where,
    )

PARALLEL = 16_384  # elements: there one thread takes 14 µs, and two 13


def forward_reference(x, log):
    with np.errstate(invalid="ignore", divide="ignore"):  # inf - inf, and the log of no sum
        z = x - x.max(1, keepdims=True, initial=-np.inf)
        e = np.exp(z)
        total = e.sum(1, keepdims=True)
        return z - np.log(total) if log else e / total


def backward_reference(dy, y, log):
    if log:
        return dy - np.exp(y) * dy.sum(1, keepdims=True)
    return y * (dy - (dy * y).sum(1, keepdims=True))


def forward(x: np.ndarray, log: bool) -> np.ndarray:
    """softmax(x) of the rows of x, or its logarithm."""
    if not serves(x) or x.size == 0:
        return forward_reference(x, log)
    y = np.empty(x.shape, np.float32)
    forward_rows(plain(x), log, y, threads_for(x.size, PARALLEL))
    return y


def backward(dy: np.ndarray, y: np.ndarray, log: bool) -> np.ndarray:
    """dx for the cotangent dy of y = forward(x, log)."""
    if not serves(y) or y.size == 0:
        return backward_reference(dy, y, log)
    dx = np.empty(y.shape, np.float32)
    backward_rows(plain(dy), plain(y), log, dx, threads_for(y.size, PARALLEL))
    return dx


def logsumexp_reference(x):
    with np.errstate(invalid="ignore", divide="ignore"):
        peak = x.max(1, keepdims=True, initial=-np.inf)
        total = np.log(np.exp(x - peak).sum(1)) + peak[:, 0]
    return np.where(np.isinf(peak[:, 0]), peak[:, 0], total)


def logsumexp_backward_reference(dy, x, y):
    sure = np.where(y == -np.inf, x.dtype.type(0), y)  # of no terms but zeros, each is 0
    with np.errstate(invalid="ignore"):
        return dy[:, None] * np.exp(x - sure[:, None])


def logsumexp(x: np.ndarray) -> np.ndarray:
    """log sum exp(x) [rows] of the rows of x."""
    if not serves(x) or x.size == 0:
        return logsumexp_reference(x)
    y = np.empty(len(x), np.float32)
    log_sum_rows(plain(x), y, threads_for(x.size, PARALLEL))
    return y


def logsumexp_backward(dy: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx for the cotangent dy [rows] of y = logsumexp(x)."""
    if not serves(x) or x.size == 0:
        return logsumexp_backward_reference(dy, x, y)
    dx = np.empty(x.shape, np.float32)
    share_rows(plain(dy), plain(x), plain(y), dx, threads_for(x.size, PARALLEL))
    return dx


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def forward_rows(x, log, y, threads):
    rows = len(x)
    if threads == 1:
        normalise(x, 0, rows, log, y)
    else:
        for t in prange(threads):
            normalise(x, t * rows // threads, (t + 1) * rows // threads, log, y)


@kernel
def load_padded(x, row, c, columns):
    """A vector of the row, -inf beyond its end: it changes neither the maximum nor the sum."""
    left = columns - c
    return where(first(left), load_first(x, row + c, left), -math.inf)


@kernel
def largest(x, row, columns):
    peaks = load_padded(x, row, 0, columns)
    for c in range(LANES, columns, LANES):
        peaks = maximum(peaks, load_padded(x, row, c, columns))
    return max_lanes(peaks)


@kernel
def largest_number(x, row, columns):
    """The same, but without a look at NaN: where the numbers are summed up, it is noticed anyway.
    A comparison with NaN does not hold."""
    peaks = broadcast(-math.inf)
    for c in range(0, columns, LANES):
        v = load_padded(x, row, c, columns)
        peaks = where(v > peaks, v, peaks)
    return max_of_numbers(peaks)


@kernel
def exponentials(x, row, columns, peak):
    """The sum of exp(x - peak) over a row."""
    total = broadcast(0.0)
    for c in range(0, columns, LANES):
        total = total + exp(load_padded(x, row, c, columns) - peak)
    return sum_lanes(total)


@kernel
def normalise(x, begin, end, log, y):
    columns = x.shape[1]
    for r in range(begin, end):
        row = r * columns
        peak = largest_number(x, row, columns)
        total = broadcast(0.0)
        for c in range(0, columns, LANES):
            e = exp(load_padded(x, row, c, columns) - peak)
            total = total + e
            if not log:
                store_first(y, row + c, e, columns - c)
        s = sum_lanes(total)

        if log:
            shift = peak + math.log(s)
            for c in range(0, columns, LANES):
                left = columns - c
                store_first(y, row + c, load_first(x, row + c, left) - shift, left)
        else:
            for c in range(0, columns, LANES):
                left = columns - c
                store_first(y, row + c, load_first(y, row + c, left) / s, left)


@kernel(parallel=True)
def backward_rows(dy, y, log, dx, threads):
    rows = len(y)
    if threads == 1:
        gradients(dy, y, 0, rows, log, dx)
    else:
        for t in prange(threads):
            gradients(dy, y, t * rows // threads, (t + 1) * rows // threads, log, dx)


@kernel
def gradients(dy, y, begin, end, log, dx):
    columns = y.shape[1]
    for r in range(begin, end):
        row = r * columns
        total = broadcast(0.0)
        for c in range(0, columns, LANES):
            left = columns - c
            d = load_first(dy, row + c, left)
            total = total + (d if log else d * load_first(y, row + c, left))
        s = sum_lanes(total)
        for c in range(0, columns, LANES):
            left = columns - c
            d, p = load_first(dy, row + c, left), load_first(y, row + c, left)
            store_first(dx, row + c, d - exp(p) * s if log else p * (d - s), left)


@kernel(parallel=True)
def log_sum_rows(x, y, threads):
    if threads == 1:
        log_sums(x, 0, len(x), y)
    else:
        for t in prange(threads):
            log_sums(x, t * len(x) // threads, (t + 1) * len(x) // threads, y)


@kernel
def log_sums(x, begin, end, y):
    columns = x.shape[1]
    for r in range(begin, end):
        peak = largest(x, r * columns, columns)
        total = exponentials(x, r * columns, columns, peak)
        y[r] = peak if math.isinf(peak) else peak + math.log(total)


@kernel(parallel=True)
def share_rows(dy, x, y, dx, threads):
    if threads == 1:
        shares(dy, x, 0, len(x), y, dx)
    else:
        for t in prange(threads):
            shares(dy, x, t * len(x) // threads, (t + 1) * len(x) // threads, y, dx)


@kernel
def shares(dy, x, begin, end, y, dx):
    columns = x.shape[1]
    for r in range(begin, end):
        lse = 0 if y[r] == -math.inf else y[r]
        for c in range(0, columns, LANES):
            at, left = r * columns + c, columns - c
            store_first(dx, at, exp(load_first(x, at, left) - lse) * dy[r], left)
