"""Group and batch normalisation (Wu and He 2018; Ioffe and Szegedy 2015), forward and backward.

    z = (x - mean) rstd,   y = z weight + bias,   rstd = 1 / sqrt(variance + eps)

mean and (biased) variance are those of a set of planes, a plane being the places of one example and
channel. With `groups`, a set is a group of channels of one example; without (None), a channel in
all examples. With dz = dy weight, and means over the same sets, the gradients are

    dx = rstd (dz - mean(dz) - z mean(dz z)),   dweight = sum dy z,   dbias = sum dy

or dx = rstd dz, if mean and variance are `fixed` numbers. Shapes: x, y and their gradients
[examples, channels, *places]; weight, bias [channels]; mean, variance, rstd [sets]. One set after
the other, three times forward and twice backward. (Planes of one number lie in columns, or make up
rows: `column_norm` and `layer_norm` have kernels for these.)
"""

import math

import numpy as np

from tinygen.kernels import layer_norm
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.reductions import squares_of, sum_of
    from tinygen.kernels.simd import LANES, broadcast, load_first, store_first, sum_lanes

PARALLEL = 32_768  # elements: there one thread takes 16 µs, and two take 17

quietly = np.errstate(invalid="ignore")  # inf - inf says enough by being NaN


# ---- NumPy lines ---------------------------------------------------------------------------------


def by_group(x, groups):
    """x as [examples, groups, channels of each, places], or as [examples, channels, 1, places]; and
    over which axes of that to normalise."""
    examples, channels, *places = x.shape
    if groups is None:
        return x.reshape(examples, channels, 1, math.prod(places)), (0, 3)
    return x.reshape(examples, groups, channels // groups, math.prod(places)), (2, 3)


@quietly
def statistics_reference(x, groups):
    planes, axes = by_group(x, groups)
    count = x.dtype.type(math.prod(planes.shape[a] for a in axes) or np.nan)
    mean = planes.sum(axes, keepdims=True) / count
    variance = ((planes - mean) ** 2).sum(axes) / count
    return mean.reshape(-1), variance.reshape(-1)


@quietly
def apply_reference(x, groups, weight, bias, mean, rstd):
    planes, _ = by_group(x, groups)
    mean, rstd = (s.reshape(-1, planes.shape[1], 1, 1) for s in (mean, rstd))
    weight, bias = (w.reshape(*planes.shape[1:3], 1) for w in (weight, bias))
    return ((planes - mean) * rstd * weight + bias).reshape(x.shape)


@quietly
def backward_reference(dy, x, groups, weight, mean, rstd, fixed):
    (planes, axes), g = by_group(x, groups), by_group(dy, groups)[0]
    mean, rstd = (s.reshape(-1, planes.shape[1], 1, 1) for s in (mean, rstd))
    z, dz = (planes - mean) * rstd, g * weight.reshape(*planes.shape[1:3], 1)
    dweight, dbias = (g * z).sum((0, 3)).reshape(-1), g.sum((0, 3)).reshape(-1)
    if x.size and not fixed:
        dz = dz - dz.mean(axes, keepdims=True) - z * (dz * z).mean(axes, keepdims=True)
    return (dz * rstd).reshape(x.shape), dweight, dbias


# ---- Calls ---------------------------------------------------------------------------------------


def statistics(x: np.ndarray, groups: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance), NaN of nothing."""
    if not serves(x) or x.size == 0:
        return statistics_reference(x, groups)
    number, *layout = sets(x, groups)
    mean, variance = np.empty((2, number), np.float32)
    find_statistics(planes_of(x), number, *layout, mean, variance, threads_for(x.size, PARALLEL))
    return mean, variance


def forward(
    x: np.ndarray,
    groups: int | None,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    eps: float,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd); no weight counts as ones, no bias as zeros. known: the mean and variance to
    take, if these are not those of x, or have been computed."""
    weight, bias = of_channels(1, weight, x), of_channels(0, bias, x)
    if not serves(x) or x.size == 0:
        mean, rstd = with_rstd(known or statistics_reference(x, groups), x, eps)
        return apply_reference(x, groups, weight, bias, mean, rstd), mean, rstd
    layout, y, threads = sets(x, groups), np.empty(x.shape, x.dtype), threads_for(x.size, PARALLEL)
    mean, rstd = with_rstd(known, x, eps) if known else np.empty((2, layout[0]), x.dtype)
    normalise(planes_of(x), *layout, weight, bias, eps, bool(known), mean, rstd, planes_of(y),
              threads)  # fmt: skip
    return y, mean, rstd


def backward(
    dy: np.ndarray,
    x: np.ndarray,
    groups: int | None,
    weight: np.ndarray | None,
    mean: np.ndarray,
    rstd: np.ndarray,
    fixed: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dx, dweight, dbias) for the cotangent dy of y. fixed: whether mean and rstd are constants,
    not those of x."""
    weight = of_channels(1, weight, x)
    if not serves(x) or x.size == 0:
        return backward_reference(dy, x, groups, weight, mean, rstd, fixed)
    dx, sums = np.empty(x.shape, x.dtype), np.empty((2, *x.shape[:2]), x.dtype)
    differentiate(planes_of(dy), planes_of(x), *sets(x, groups), weight, mean, rstd, fixed,
                  planes_of(dx), sums, threads_for(x.size, PARALLEL))  # fmt: skip
    dweight, dbias = sums.sum(1)
    return dx, dweight, dbias


def of_channels(default: float, values: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    """The weight, or bias, of each channel."""
    return layer_norm.constant(default, x.shape[1], x.dtype) if values is None else plain(values)


def with_rstd(known, x, eps):
    """(mean, rstd) in the type of x, of (mean, variance)."""
    mean, variance = known
    rstd = 1 / np.sqrt(variance + eps)
    return plain(mean.astype(x.dtype, copy=False)), rstd.astype(x.dtype, copy=False)


def planes_of(x):
    """[examples, channels, *places] as [examples, channels, places], as kernels expect it."""
    return plain(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def sets(x, groups):
    """How many sets there are; how many planes each has; and how many planes lie from one of these
    to the next, and from the first one of a set to that of the next set."""
    examples, channels = x.shape[:2]
    if groups is None:
        return channels, examples, channels, 1
    return examples * groups, channels // groups, 1, channels // groups


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def find_statistics(x, number, planes, step, jump, mean, variance, threads):
    if threads == 1:
        statistics_part(x, 0, number, planes, step, jump, mean, variance)
    else:
        for t in prange(threads):
            begin, end = t * number // threads, (t + 1) * number // threads
            statistics_part(x, begin, end, planes, step, jump, mean, variance)


@kernel
def statistics_part(x, begin, end, planes, step, jump, mean, variance):
    for s in range(begin, end):
        mean[s], variance[s] = statistics_of_set(x, s * jump, planes, step)


@kernel
def statistics_of_set(x, first, planes, step):
    """(mean, variance). Planes that follow on one another are one row of numbers."""
    places = x.shape[2]
    runs, length = (1, planes * places) if step == 1 else (planes, places)
    total, squares = 0.0, 0.0
    for r in range(runs):
        total += sum_of(x, (first + r * step) * places, length)
    mean = total / (planes * places)
    for r in range(runs):
        squares += squares_of(x, (first + r * step) * places, length, mean)
    return mean, squares / (planes * places)


@kernel(parallel=True)
def normalise(x, number, planes, step, jump, weight, bias, eps, known, mean, rstd, y, threads):
    if threads == 1:
        normalise_part(x, 0, number, planes, step, jump, weight, bias, eps, known, mean, rstd, y)
    else:
        for t in prange(threads):
            begin, end = t * number // threads, (t + 1) * number // threads
            normalise_part(x, begin, end, planes, step, jump, weight, bias, eps, known, mean, rstd,
                           y)  # fmt: skip


@kernel
def normalise_part(x, begin, end, planes, step, jump, weight, bias, eps, known, mean, rstd, y):
    channels, places = x.shape[1:]
    for s in range(begin, end):
        if not known:
            mean[s], variance = statistics_of_set(x, s * jump, planes, step)
            rstd[s] = 1 / math.sqrt(variance + eps)
        for plane in range(s * jump, s * jump + planes * step, step):
            scale, shift = rstd[s] * weight[plane % channels], bias[plane % channels]
            for i in range(0, places, LANES):
                at, left = plane * places + i, places - i
                store_first(y, at, (load_first(x, at, left) - mean[s]) * scale + shift, left)


@kernel(parallel=True)
def differentiate(
    dy, x, number, planes, step, jump, weight, mean, rstd, fixed, dx, sums, threads
):  # fmt: skip
    if threads == 1:
        gradients(dy, x, 0, number, planes, step, jump, weight, mean, rstd, fixed, dx, sums)
    else:
        for t in prange(threads):
            begin, end = t * number // threads, (t + 1) * number // threads
            gradients(dy, x, begin, end, planes, step, jump, weight, mean, rstd, fixed, dx, sums)


@kernel
def gradients(dy, x, begin, end, planes, step, jump, weight, mean, rstd, fixed, dx, sums):
    """dx of some sets, and what each of their planes adds to dweight and dbias."""
    dweight, dbias = sums[0].reshape(-1), sums[1].reshape(-1)
    channels, places = x.shape[1:]
    for s in range(begin, end):
        dz_mean, dzz_mean, last = 0.0, 0.0, s * jump + planes * step
        for plane in range(s * jump, last, step):
            total, total_z = plane_sums(dy, x, plane * places, places, mean[s])
            dbias[plane], dweight[plane] = total, total_z * rstd[s]
            dz_mean += weight[plane % channels] * dbias[plane] / (planes * places)
            dzz_mean += weight[plane % channels] * dweight[plane] / (planes * places)
        flat = 0.0 if fixed else rstd[s] * dz_mean
        steep = 0.0 if fixed else rstd[s] * rstd[s] * dzz_mean
        for plane in range(s * jump, last, step):
            scale = rstd[s] * weight[plane % channels]
            for i in range(0, places, LANES):
                at, left = plane * places + i, places - i
                d, g = load_first(x, at, left) - mean[s], load_first(dy, at, left)
                store_first(dx, at, g * scale - d * steep - flat, left)


@kernel
def plane_sums(dy, x, begin, places, mean):
    """The sums of dy and of dy (x - mean) over a plane."""
    total, total_z = broadcast(0.0), broadcast(0.0)
    for i in range(0, places, LANES):
        at, left = begin + i, places - i
        g = load_first(dy, at, left)  # 0 beyond the plane's end
        total = total + g
        total_z = g * (load_first(x, at, left) - mean) + total_z
    return sum_lanes(total), sum_lanes(total_z)
