"""Layer normalisation of rows, forward and backward (Ba, Kiros and Hinton 2016, equation 4).

    z = (x - mean) rstd,   y = z weight + bias,   rstd = 1 / sqrt(variance + eps)

mean and (biased) variance are those of each row. With dz = dy weight, the gradients are

    dx = rstd (dz - mean(dz) - z mean(dz z)),   dweight = sum over rows of dy z,   dbias = ... of dy

Shapes: x, y and their gradients [rows, columns]; weight, bias [columns]; mean, rstd [rows]. A row
is passed over three times forward and twice backward, while it is in the L1 cache. Weights and
biases may also be several times as many as columns: then rows take them in turn, as the groups of
group normalisation do.
"""

import functools
import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.reductions import squares_of, sum_of
    from tinygen.kernels.simd import LANES, broadcast, load_first, store_first, sum_lanes

PARALLEL = 16_384  # elements: there one thread takes 14 µs, and to share work costs about 4
CHUNKS = 16  # pieces in which rows are summed up, whatever the number of threads


def forward_reference(x, weight, bias, eps):
    mean, variance = x.mean(1), x.var(1)
    rstd = (1 / np.sqrt(variance + eps)).astype(x.dtype)
    z = (x - mean[:, None]) * rstd[:, None]
    return z * np.resize(weight, x.shape) + np.resize(bias, x.shape), mean, rstd


def backward_reference(dy, x, weight, mean, rstd):
    z, dz = (x - mean[:, None]) * rstd[:, None], dy * np.resize(weight, x.shape)
    dx = dz - dz.mean(1, keepdims=True) - z * (dz * z).mean(1, keepdims=True)
    dweight, dbias = ((dy * a).reshape(-1, len(weight)).sum(0) for a in (z, 1))
    return dx * rstd[:, None], dweight, dbias


def forward(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd) of x [rows, columns]; no weight counts as ones, no bias as zeros."""
    weight = constant(1, x.shape[1], x.dtype) if weight is None else plain(weight)
    bias = constant(0, x.shape[1], x.dtype) if bias is None else plain(bias)
    if not serves(x) or x.size == 0:
        return forward_reference(x, weight, bias, eps)
    y, mean, rstd = np.empty(x.shape, x.dtype), *np.empty((2, len(x)), x.dtype)
    forward_rows(plain(x), weight, bias, eps, y, mean, rstd, threads_for(x.size, PARALLEL))
    return y, mean, rstd


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray | None, mean: np.ndarray, rstd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dx, dweight, dbias) for the cotangent dy [rows, columns] of y."""
    weight = constant(1, x.shape[1], x.dtype) if weight is None else plain(weight)
    if not serves(x) or x.size == 0:
        return backward_reference(dy, x, weight, mean, rstd)
    dx, sums = np.empty(x.shape, x.dtype), np.zeros((CHUNKS, 2, len(weight)), x.dtype)
    threads = threads_for(x.size, PARALLEL)
    backward_rows(plain(dy), plain(x), weight, plain(mean), plain(rstd), dx, sums, threads)
    dweight, dbias = sums.sum(0)
    return dx, dweight, dbias


@functools.lru_cache(maxsize=64)
def constant(value, columns, dtype):
    return np.full(columns, value, dtype)


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def forward_rows(x, weight, bias, eps, y, mean, rstd, threads):
    rows = len(x)
    if threads == 1:
        normalise(x, 0, rows, weight, bias, eps, y, mean, rstd)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            normalise(x, begin, end, weight, bias, eps, y, mean, rstd)


@kernel
def normalise(x, begin, end, weight, bias, eps, y, mean, rstd):
    columns = x.shape[1]
    for r in range(begin, end):
        row, w = r * columns, r * columns % weight.size
        m = sum_of(x, row, columns) / columns
        s = 1 / math.sqrt(squares_of(x, row, columns, m) / columns + eps)
        for c in range(0, columns, LANES):
            left = columns - c
            z = (load_first(x, row + c, left) - m) * s
            scale, shift = load_first(weight, w + c, left), load_first(bias, w + c, left)
            store_first(y, row + c, z * scale + shift, left)
        mean[r], rstd[r] = m, s


@kernel(parallel=True)
def backward_rows(dy, x, weight, mean, rstd, dx, sums, threads):
    if threads == 1:
        gradients(0, CHUNKS, dy, x, weight, mean, rstd, dx, sums)
    else:
        for t in prange(threads):
            begin, end = t * CHUNKS // threads, (t + 1) * CHUNKS // threads
            gradients(begin, end, dy, x, weight, mean, rstd, dx, sums)


@kernel
def gradients(begin, end, dy, x, weight, mean, rstd, dx, sums):
    """dx of some chunks of rows, and the sums over each: dweight in [:, 0], dbias in [:, 1]."""
    rows, columns = x.shape
    for chunk in range(begin, end):
        for r in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            row, w, m, s = r * columns, r * columns % weight.size, mean[r], rstd[r]
            dweight = 2 * chunk * weight.size + w
            dbias = dweight + weight.size
            total, total_z = broadcast(0.0), broadcast(0.0)
            for c in range(0, columns, LANES):
                left = columns - c
                z, g = (load_first(x, row + c, left) - m) * s, load_first(dy, row + c, left)
                store_first(sums, dweight + c, load_first(sums, dweight + c, left) + g * z, left)
                store_first(sums, dbias + c, load_first(sums, dbias + c, left) + g, left)
                dz = g * load_first(weight, w + c, left)  # 0 beyond the row's end, where z is not
                total = total + dz
                total_z = total_z + dz * z
            dz_mean, dzz_mean = sum_lanes(total) / columns, sum_lanes(total_z) / columns
            for c in range(0, columns, LANES):
                left = columns - c
                z = (load_first(x, row + c, left) - m) * s
                dz = load_first(dy, row + c, left) * load_first(weight, w + c, left)
                store_first(dx, row + c, (dz - dz_mean - z * dzz_mean) * s, left)
