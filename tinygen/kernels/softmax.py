"""Softmax and log-softmax of rows, forward and backward.

    softmax:      y = exp(x - m) / sum exp(x - m),       dx = y (dy - sum dy y)
    log-softmax:  y = x - m - log sum exp(x - m),        dx = dy - exp(y) sum dy

where m is the largest number of the row: no exponential overflows, and one of them is 1. Shapes:
all [rows, columns]. A row with a NaN or +inf, or of -inf alone, is NaN. One row after the other,
three times forward, twice backward, while it is in the L1 cache.
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
        maximum,
        store_first,
        sum_lanes,
        where,
    )

PARALLEL = 16_384  # elements from which two threads are faster than one


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
def normalise(x, begin, end, log, y):
    columns = x.shape[1]
    for r in range(begin, end):
        row = r * columns
        peaks = load_padded(x, row, 0, columns)
        for c in range(LANES, columns, LANES):
            peaks = maximum(peaks, load_padded(x, row, c, columns))
        peak = max_lanes(peaks)

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
