"""Sums over numbers that lie in a row: a sum, and a sum of squares around a centre.

An addition takes three or four cycles, and waits for the one before if there is but one sum. Four
sums at a time keep the unit busy. Their order depends on the length alone.
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import LANES, broadcast, first, load, load_first, sum_lanes, where

    FOUR = 4 * LANES

PARALLEL = 65_536  # elements: there one thread takes 10 µs, and two 8


def row_sums(x: np.ndarray) -> np.ndarray:
    """The sum [rows] of each row of x [rows, columns]."""
    if not serves(x) or x.size == 0:
        return x.sum(1)
    sums = np.empty(len(x), np.float32)
    sum_rows(plain(x), sums, threads_for(x.size, PARALLEL))
    return sums


@kernel(parallel=True)
def sum_rows(x, sums, threads):
    if threads == 1:
        sum_part(x, sums, 0, len(x))
    else:
        for t in prange(threads):
            sum_part(x, sums, t * len(x) // threads, (t + 1) * len(x) // threads)


@kernel
def sum_part(x, sums, begin, end):
    columns = x.shape[1]
    for r in range(begin, end):
        sums[r] = sum_of(x, r * columns, columns)


# ---- For other kernels ---------------------------------------------------------------------------


@kernel
def sum_of(x, at, n):
    """x[at] + x[at + 1] + ..., n numbers."""
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    whole = n // FOUR * FOUR
    for i in range(at, at + whole, FOUR):
        a = a + load(x, i)
        b = b + load(x, i + LANES)
        c = c + load(x, i + 2 * LANES)
        d = d + load(x, i + 3 * LANES)
    for i in range(whole, n, LANES):
        a = a + load_first(x, at + i, n - i)
    return sum_lanes((a + b) + (c + d))


@kernel
def squares_of(x, at, n, centre):
    """(x[at] - centre)² + (x[at + 1] - centre)² + ..., n numbers."""
    a, b, c, d = broadcast(0.0), broadcast(0.0), broadcast(0.0), broadcast(0.0)
    whole = n // FOUR * FOUR
    for i in range(at, at + whole, FOUR):
        u, v = load(x, i) - centre, load(x, i + LANES) - centre
        a, b = u * u + a, v * v + b
        u, v = load(x, i + 2 * LANES) - centre, load(x, i + 3 * LANES) - centre
        c, d = u * u + c, v * v + d
    for i in range(whole, n, LANES):
        left = n - i
        u = where(first(left), load_first(x, at + i, left) - centre, 0.0)
        a = u * u + a
    return sum_lanes((a + b) + (c + d))
