"""Group and batch normalisation (Wu and He 2018; Ioffe and Szegedy 2015), forward and backward.

    z = (x - mean) rstd,   y = z weight + bias,   rstd = 1 / sqrt(variance + eps)

mean and (biased) variance are those of each example and group of channels, with all places; or, if
`groups` is None, of each channel, with all examples and places. With dz = dy weight, and means over
the same sets, the gradients are

    dx = rstd (dz - mean(dz) - z mean(dz z)),   dweight = sum dy z,   dbias = sum dy

Shapes: x, y and their gradients [examples, channels, places]; weight, bias [channels]. The numbers
of one example and channel, a plane, lie in a row: kernels sum over planes, and go over them with a
coefficient each; what is between is NumPy on a few numbers, [examples, groups, channels of each].
Statistics are [examples, groups, 1], or [1, channels, 1].
"""

import numpy as np

from tinygen.kernels import column_norm
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        first,
        load_first,
        store_first,
        sum_lanes,
        where,
    )

PARALLEL = 16_384  # elements from which two threads are faster than one


def statistics(x: np.ndarray, groups: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance); NaN of nothing."""
    if of_vectors(x, groups):
        mean, variance = column_norm.statistics(x[:, :, 0])
        return mean[None, :, None], variance[None, :, None]
    shape, axes, count = by_group(x, groups)
    count = count or np.nan
    mean = plane_sums(x, None).reshape(shape).sum(axes, keepdims=True) / x.dtype.type(count)
    squares = plane_sums(x, spread_out(mean, shape)).reshape(shape)
    return mean, squares.sum(axes, keepdims=True) / x.dtype.type(count)


def forward(
    x: np.ndarray,
    groups: int | None,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd); no weight counts as ones, no bias as zeros. known: the statistics of x."""
    shape, _, _ = by_group(x, groups)
    mean, variance = known or statistics(x, groups)
    rstd = (1 / np.sqrt(variance + eps)).astype(x.dtype)
    scale = rstd * per_channel(weight, shape, x.dtype)
    if of_vectors(x, groups):
        y = column_norm.forward(x[:, :, 0], scale.reshape(-1), bias, mean.reshape(-1))
        return y[:, :, None], mean, rstd
    y = scaled_planes(x, spread_out(mean, shape), spread_out(scale, shape), bias)
    return y, mean, rstd


def backward(
    dy: np.ndarray,
    x: np.ndarray,
    groups: int | None,
    weight: np.ndarray | None,
    mean: np.ndarray,
    rstd: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dx, dweight, dbias) for the cotangent dy of y."""
    shape, axes, count = by_group(x, groups)
    if of_vectors(x, groups):
        w = np.ones((), x.dtype) if weight is None else weight
        columns = (mean.reshape(-1), rstd.reshape(-1))
        dx, dweight, dbias = column_norm.backward(dy[:, :, 0], x[:, :, 0], w, *columns)
        return dx[:, :, None], dweight, dbias
    centre, w = spread_out(mean, shape), per_channel(weight, shape, x.dtype)
    sums, products = plane_products(dy, x, centre)  # of dy, and of dy (x - mean)
    sums, products = sums.reshape(shape), products.reshape(shape) * rstd
    mean_dz = (sums * w).sum(axes, keepdims=True) / max(count, 1)
    mean_dzz = (products * w).sum(axes, keepdims=True) / max(count, 1)
    steep, flat = spread_out(rstd * rstd * mean_dzz, shape), spread_out(rstd * mean_dz, shape)
    dx = combined_planes(dy, x, centre, spread_out(rstd * w, shape), steep, flat)
    return dx, products.sum(0).reshape(-1), sums.sum(0).reshape(-1)


def of_vectors(x, groups) -> bool:
    """Whether planes are single numbers: then columns are what lies in rows."""
    return groups is None and x.shape[2] == 1


def by_group(x, groups):
    """The shape [examples, groups, channels of each]; over which of its axes to average; and how
    many numbers that are."""
    examples, channels, places = x.shape
    if groups is None:
        return (examples, channels, 1), (0, 2), examples * places
    return (examples, groups, channels // groups), (2,), channels // groups * places


def spread_out(values, shape):
    """One number for each plane, [examples channels], of one for each group."""
    return np.ascontiguousarray(np.broadcast_to(values, shape)).reshape(-1)


def per_channel(weight, shape, dtype):
    """The weights as [1, groups, channels of each]."""
    return np.ones((), dtype) if weight is None else weight.reshape(1, *shape[1:])


# ---- Over planes ---------------------------------------------------------------------------------


def plane_sums(x, centre):
    """The sum of each plane; with `centre` that of (x - centre)²."""
    rows = x.reshape(-1, x.shape[2])
    if not serves(x) or x.size == 0:
        return rows.sum(1) if centre is None else ((rows - centre[:, None]) ** 2).sum(1)
    sums, squares = np.empty(len(rows), np.float32), centre is not None
    centre = centre if squares else sums  # which is not read then
    sum_planes(plain(rows), centre, squares, sums, threads_for(x.size, PARALLEL))
    return sums


def scaled_planes(x, centre, scale, bias):
    """(x - centre) scale + bias, centre and scale being of each plane, bias of each channel."""
    examples, channels, places = x.shape
    shift = np.tile(np.zeros(channels, x.dtype) if bias is None else bias, examples)
    rows = x.reshape(-1, places)
    if not serves(x) or x.size == 0:
        y = (rows - centre[:, None]) * scale[:, None] + shift[:, None]
        return y.reshape(x.shape)
    y = np.empty(rows.shape, np.float32)
    scale_planes(plain(rows), centre, scale, shift, y, threads_for(x.size, PARALLEL))
    return y.reshape(x.shape)


def plane_products(dy, x, centre):
    """The sums of dy and of dy (x - centre) of each plane."""
    g, rows = dy.reshape(-1, x.shape[2]), x.reshape(-1, x.shape[2])
    if not serves(x) or x.size == 0:
        return g.sum(1), (g * (rows - centre[:, None])).sum(1)
    sums, products = np.empty((2, len(rows)), np.float32)
    multiply_planes(plain(g), plain(rows), centre, sums, products, threads_for(x.size, PARALLEL))
    return sums, products


def combined_planes(dy, x, centre, scale, steep, flat):
    """dy scale - (x - centre) steep - flat."""
    g, rows = dy.reshape(-1, x.shape[2]), x.reshape(-1, x.shape[2])
    if not serves(x) or x.size == 0:
        dx = g * scale[:, None] - (rows - centre[:, None]) * steep[:, None] - flat[:, None]
        return dx.reshape(x.shape)
    dx, threads = np.empty(rows.shape, np.float32), threads_for(x.size, PARALLEL)
    combine_planes(plain(g), plain(rows), centre, scale, steep, flat, dx, threads)
    return dx.reshape(x.shape)


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def sum_planes(x, centre, squares, sums, threads):
    if threads == 1:
        sum_part(x, centre, squares, sums, 0, len(x))
    else:
        for t in prange(threads):
            begin, end = t * len(x) // threads, (t + 1) * len(x) // threads
            sum_part(x, centre, squares, sums, begin, end)


@kernel
def sum_part(x, centre, squares, sums, begin, end):
    places = x.shape[1]
    for r in range(begin, end):
        total, m = broadcast(0.0), centre[r] if squares else 0.0
        for c in range(0, places, LANES):
            left = places - c
            v = load_first(x, r * places + c, left)
            if squares:
                d = where(first(left), v - m, 0.0)
                v = d * d
            total = total + v
        sums[r] = sum_lanes(total)


@kernel(parallel=True)
def scale_planes(x, centre, scale, shift, y, threads):
    if threads == 1:
        scale_part(x, centre, scale, shift, y, 0, len(x))
    else:
        for t in prange(threads):
            begin, end = t * len(x) // threads, (t + 1) * len(x) // threads
            scale_part(x, centre, scale, shift, y, begin, end)


@kernel
def scale_part(x, centre, scale, shift, y, begin, end):
    places = x.shape[1]
    for r in range(begin, end):
        for c in range(0, places, LANES):
            at, left = r * places + c, places - c
            z = load_first(x, at, left) - centre[r]
            store_first(y, at, z * scale[r] + shift[r], left)


@kernel(parallel=True)
def multiply_planes(dy, x, centre, sums, products, threads):
    if threads == 1:
        multiply_part(dy, x, centre, sums, products, 0, len(x))
    else:
        for t in prange(threads):
            begin, end = t * len(x) // threads, (t + 1) * len(x) // threads
            multiply_part(dy, x, centre, sums, products, begin, end)


@kernel
def multiply_part(dy, x, centre, sums, products, begin, end):
    places = x.shape[1]
    for r in range(begin, end):
        total, total_z = broadcast(0.0), broadcast(0.0)
        for c in range(0, places, LANES):
            at, left = r * places + c, places - c
            g = load_first(dy, at, left)  # 0 beyond the plane's end
            total = total + g
            total_z = total_z + g * (load_first(x, at, left) - centre[r])
        sums[r], products[r] = sum_lanes(total), sum_lanes(total_z)


@kernel(parallel=True)
def combine_planes(dy, x, centre, scale, steep, flat, dx, threads):
    if threads == 1:
        combine_part(dy, x, centre, scale, steep, flat, dx, 0, len(x))
    else:
        for t in prange(threads):
            begin, end = t * len(x) // threads, (t + 1) * len(x) // threads
            combine_part(dy, x, centre, scale, steep, flat, dx, begin, end)


@kernel
def combine_part(dy, x, centre, scale, steep, flat, dx, begin, end):
    places = x.shape[1]
    for r in range(begin, end):
        for c in range(0, places, LANES):
            at, left = r * places + c, places - c
            z = load_first(x, at, left) - centre[r]
            store_first(dx, at, load_first(dy, at, left) * scale[r] - z * steep[r] - flat[r], left)
