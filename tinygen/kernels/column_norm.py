"""Batch normalisation of vectors (Ioffe and Szegedy 2015): each column of a matrix by itself.

    z = (x - mean) rstd,   y = z weight + bias,   rstd = 1 / sqrt(variance + eps)
    dx = rstd weight (dy - mean(dy) - z mean(dy z)),   dweight = sum dy z,   dbias = sum dy

with means over the rows; dx = rstd weight dy if mean and variance are `fixed` numbers. Shapes: x, y
and their gradients [rows, columns]; all else [columns]. LANES columns at a time go down all rows: a
vector holds a number of each, so nothing is added up across lanes.
"""

import numpy as np

from tinygen.kernels.group_norm import of_channels, quietly, with_rstd
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import LANES, load_first, store_first

PARALLEL = 65_536  # elements: there statistics take one thread 23 µs, and two 22


@quietly
def statistics_reference(x):
    count = x.dtype.type(len(x) or np.nan)
    mean = x.sum(0) / count
    return mean, ((x - mean) ** 2).sum(0) / count


@quietly
def apply_reference(x, weight, bias, mean, rstd):
    return (x - mean) * (rstd * weight) + bias


@quietly
def backward_reference(dy, x, weight, mean, rstd, fixed):
    z = (x - mean) * rstd
    dweight, dbias, count = (dy * z).sum(0), dy.sum(0), max(len(x), 1)
    dz = dy if fixed else dy - dbias / count - z * (dweight / count)
    return dz * (rstd * weight), dweight, dbias


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance), NaN of nothing."""
    if not serves(x) or x.size == 0:
        return statistics_reference(x)
    mean, variance = np.empty((2, x.shape[1]), x.dtype)
    find_statistics(plain(x), mean, variance, threads_for(x.size, PARALLEL))
    return mean, variance


def forward(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd); no weight counts as ones, no bias as zeros. known: the mean and variance to
    take, if these are not those of x, or have been computed."""
    weight, bias = of_channels(1, weight, x), of_channels(0, bias, x)
    mean, rstd = with_rstd(known or statistics(x), x, eps)
    if not serves(x) or x.size == 0:
        return apply_reference(x, weight, bias, mean, rstd), mean, rstd
    y = np.empty(x.shape, x.dtype)
    normalise(plain(x), weight, bias, mean, rstd, y, threads_for(x.size, PARALLEL))
    return y, mean, rstd


def backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    rstd: np.ndarray,
    fixed: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dx, dweight, dbias) for the cotangent dy of y. fixed: whether mean and rstd are constants,
    not those of x."""
    weight = of_channels(1, weight, x)
    if not serves(x) or x.size == 0:
        return backward_reference(dy, x, weight, mean, rstd, fixed)
    dx, dweight, dbias = np.empty(x.shape, x.dtype), *np.empty((2, x.shape[1]), x.dtype)
    threads = threads_for(x.size, PARALLEL)
    differentiate(plain(dy), plain(x), weight, mean, rstd, fixed, dx, dweight, dbias, threads)
    return dx, dweight, dbias


# ---- Kernels -------------------------------------------------------------------------------------


@kernel
def share(columns, t, threads):
    """The columns of thread t: where they begin, and where they end."""
    vectors = -(-columns // LANES)
    return t * vectors // threads * LANES, min((t + 1) * vectors // threads * LANES, columns)


@kernel(parallel=True)
def find_statistics(x, mean, variance, threads):
    if threads == 1:
        statistics_part(x, mean, variance, 0, 1)
    else:
        for t in prange(threads):
            statistics_part(x, mean, variance, t, threads)


@kernel
def statistics_part(x, mean, variance, t, threads):
    rows, columns = x.shape
    begin, end = share(columns, t, threads)
    mean[begin:end] = variance[begin:end] = 0
    for row in range(0, x.size, columns):
        for c in range(begin, end, LANES):
            left = columns - c
            store_first(mean, c, load_first(mean, c, left) + load_first(x, row + c, left), left)
    mean[begin:end] /= rows
    for row in range(0, x.size, columns):
        for c in range(begin, end, LANES):
            left = columns - c
            d = load_first(x, row + c, left) - load_first(mean, c, left)
            store_first(variance, c, d * d + load_first(variance, c, left), left)
    variance[begin:end] /= rows


@kernel(parallel=True)
def normalise(x, weight, bias, mean, rstd, y, threads):
    if threads == 1:
        normalise_part(x, weight, bias, mean, rstd, y, 0, 1)
    else:
        for t in prange(threads):
            normalise_part(x, weight, bias, mean, rstd, y, t, threads)


@kernel
def normalise_part(x, weight, bias, mean, rstd, y, t, threads):
    columns = x.shape[1]
    begin, end = share(columns, t, threads)
    for row in range(0, x.size, columns):
        for c in range(begin, end, LANES):
            left = columns - c
            z = (load_first(x, row + c, left) - load_first(mean, c, left)) * load_first(
                rstd, c, left
            )
            y_c = z * load_first(weight, c, left) + load_first(bias, c, left)
            store_first(y, row + c, y_c, left)


@kernel(parallel=True)
def differentiate(dy, x, weight, mean, rstd, fixed, dx, dweight, dbias, threads):
    if threads == 1:
        gradients(dy, x, weight, mean, rstd, fixed, dx, dweight, dbias, 0, 1)
    else:
        for t in prange(threads):
            gradients(dy, x, weight, mean, rstd, fixed, dx, dweight, dbias, t, threads)


@kernel
def gradients(dy, x, weight, mean, rstd, fixed, dx, dweight, dbias, t, threads):
    columns, part = x.shape[1], 1 / len(x)
    begin, end = share(columns, t, threads)
    dweight[begin:end] = dbias[begin:end] = 0
    for row in range(0, x.size, columns):
        for c in range(begin, end, LANES):
            left = columns - c
            g, m = load_first(dy, row + c, left), load_first(mean, c, left)
            z = (load_first(x, row + c, left) - m) * load_first(rstd, c, left)
            store_first(dbias, c, g + load_first(dbias, c, left), left)
            store_first(dweight, c, g * z + load_first(dweight, c, left), left)
    for row in range(0, x.size, columns):
        for c in range(begin, end, LANES):
            left = columns - c
            g, s = load_first(dy, row + c, left), load_first(rstd, c, left)
            if not fixed:
                z = (load_first(x, row + c, left) - load_first(mean, c, left)) * s
                g = g - (load_first(dbias, c, left) + z * load_first(dweight, c, left)) * part
            store_first(dx, row + c, g * s * load_first(weight, c, left), left)
