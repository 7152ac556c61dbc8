"""Root mean square normalisation of rows, forward and backward (Zhang and Sennrich 2019, eq. 4).

    z = x rstd,   y = z weight,   rstd = 1 / sqrt(mean(x²) + eps)

    dx = rstd (dz - z mean(dz z)),   dz = dy weight,   dweight = sum over rows of dy z

Shapes: x, y and their gradients [rows, columns]; weight [columns]; rstd [rows]. Layer norm without
the mean: a row is passed over twice forward and twice backward, while it is in the L1 cache.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for
from tinygen.kernels.layer_norm import CHUNKS, PARALLEL, constant

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import LANES, broadcast, load_first, store_first, sum_lanes


@np.errstate(invalid="ignore")  # infinity times 0
def forward_reference(x, weight, eps):
    rstd = (1 / np.sqrt((x * x).mean(1) + eps)).astype(x.dtype)
    return x * rstd[:, None] * weight, rstd


@np.errstate(invalid="ignore")
def backward_reference(dy, x, weight, rstd):
    z, dz = x * rstd[:, None], dy * weight
    dx = dz - z * (dz * z).mean(1, keepdims=True)
    return dx * rstd[:, None], (dy * z).sum(0)


def forward(x: np.ndarray, weight: np.ndarray | None, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """(y, rstd) of x [rows, columns]; no weight counts as ones."""
    weight = constant(1, x.shape[1], x.dtype) if weight is None else plain(weight)
    if not serves(x) or x.size == 0:
        return forward_reference(x, weight, eps)
    y, rstd = np.empty(x.shape, x.dtype), np.empty(len(x), x.dtype)
    forward_rows(plain(x), weight, eps, y, rstd, threads_for(x.size, PARALLEL))
    return y, rstd


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray | None, rstd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(dx, dweight) for the cotangent dy [rows, columns] of y."""
    weight = constant(1, x.shape[1], x.dtype) if weight is None else plain(weight)
    if not serves(x) or x.size == 0:
        return backward_reference(dy, x, weight, rstd)
    dx, sums = np.empty(x.shape, x.dtype), np.zeros((CHUNKS, x.shape[1]), x.dtype)
    threads = threads_for(x.size, PARALLEL)
    backward_rows(plain(dy), plain(x), weight, plain(rstd), dx, sums, threads)
    return dx, sums.sum(0)


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def forward_rows(x, weight, eps, y, rstd, threads):
    rows = len(x)
    if threads == 1:
        normalise(x, 0, rows, weight, eps, y, rstd)
    else:
        for t in prange(threads):
            normalise(x, t * rows // threads, (t + 1) * rows // threads, weight, eps, y, rstd)


@kernel
def normalise(x, begin, end, weight, eps, y, rstd):
    columns = x.shape[1]
    for r in range(begin, end):
        row, total = r * columns, broadcast(0.0)
        for c in range(0, columns, LANES):
            v = load_first(x, row + c, columns - c)
            total = total + v * v
        s = 1 / math.sqrt(sum_lanes(total) / columns + eps)
        for c in range(0, columns, LANES):
            left = columns - c
            z = load_first(x, row + c, left) * s
            store_first(y, row + c, z * load_first(weight, c, left), left)
        rstd[r] = s


@kernel(parallel=True)
def backward_rows(dy, x, weight, rstd, dx, sums, threads):
    if threads == 1:
        gradients(0, CHUNKS, dy, x, weight, rstd, dx, sums)
    else:
        for t in prange(threads):
            begin, end = t * CHUNKS // threads, (t + 1) * CHUNKS // threads
            gradients(begin, end, dy, x, weight, rstd, dx, sums)


@kernel
def gradients(begin, end, dy, x, weight, rstd, dx, sums):
    """dx of some chunks of rows, and dweight summed over each."""
    rows, columns = x.shape
    for chunk in range(begin, end):
        for r in range(chunk * rows // CHUNKS, (chunk + 1) * rows // CHUNKS):
            row, s, total = r * columns, rstd[r], broadcast(0.0)
            for c in range(0, columns, LANES):
                at, left = chunk * columns + c, columns - c
                gz = load_first(dy, row + c, left) * load_first(x, row + c, left) * s
                store_first(sums, at, load_first(sums, at, left) + gz, left)
                total = total + gz * load_first(weight, c, left)
            dzz_mean = sum_lanes(total) / columns
            for c in range(0, columns, LANES):
                left = columns - c
                z = load_first(x, row + c, left) * s
                dz = load_first(dy, row + c, left) * load_first(weight, c, left)
                store_first(dx, row + c, (dz - z * dzz_mean) * s, left)
