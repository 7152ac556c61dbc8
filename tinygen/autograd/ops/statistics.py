"""Statistics: spread, covariance, quantiles, counts."""

import math

import numpy as np

from ..primitive import primitive
from ..quiet import quiet
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .along import gather
from .choose import clamp, where
from .elementwise import sqrt
from .index import getitem
from .linalg.products import matmul
from .order import Ordered, argsort, picked, sort
from .reduce import (
    add_up,
    axis_of,
    check_float,
    dims_of,
    dims_with_elements,
    mean,
    reduced_count,
    root_of_sum,
    share_among_equals,
    spread,
    sum,
)
from .shape import movedim, narrow, reshape, squeeze, transpose

__all__ = [
    "bincount", "corrcoef", "cov", "histc", "median", "mode", "nanmedian", "nanquantile",
    "quantile", "std", "std_mean", "var", "var_mean",
]  # fmt: skip

# ---- Spread --------------------------------------------------------------------------------------


def what_to_average(shape, dim, correction, unbiased) -> tuple:
    """(dim, by what to divide). PyTorch's var(x, unbiased) has `unbiased` in the place of dim."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = 1 if correction is None else correction if unbiased is None else int(unbiased)
    return dim, max(reduced_count(shape, dim) - correction, 0)


@primitive
@quiet
def var(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """The mean squared deviation from the mean over `dim`, the mean being over count - correction;
    NaN of too few elements"""
    check_float(x, "var")
    dim, divisor = what_to_average(x.shape, dim, correction, unbiased)
    dims = dims_of(dim, x.ndim)
    centred = x - add_up(x, dims, keepdim=True) / reduced_count(x.shape, dim)
    return add_up(centred * centred, dims, keepdim) / divisor


def slope_of_var(g, x, dim, correction, keepdim, unbiased):
    dim, divisor = what_to_average(x.shape, dim, correction, unbiased)
    return spread(g * 2 / divisor, x.shape, dim, keepdim) * (x - mean(x, dim, keepdim=True))


var.vjp(x=slope_of_var)


@composition
def std(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """The square root of the variance; where that is 0, its gradient is taken as 0"""
    return root_of_sum(var(x, dim, correction, keepdim, unbiased))


@composition
def var_mean(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """(the variance, the mean) over `dim`"""
    dims, _ = what_to_average(x.shape, dim, correction, unbiased)
    return var(x, dim, correction, keepdim, unbiased), mean(x, dims, keepdim)


@composition
def std_mean(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """(the standard deviation, the mean) over `dim`"""
    variance, centre = var_mean(x, dim, correction, keepdim, unbiased)
    return root_of_sum(variance), centre


@composition
def cov(x, *, correction=1, fweights=None, aweights=None):
    """The covariances of the rows of x [variables, observations]: [variables, variables]; of a
    single row [observations], its variance, 0-d.

    fweights [observations] of ints: how often each observation was made; aweights: how important it
    is, of which only the ratios matter. The divisor is Σw - correction Σ(w · aweights) / Σw.
    """
    if x.ndim > 2:
        raise ShapeError(
            f"cov takes at most 2 dimensions, [variables, observations]; not {x.shape}"
        )
    rows = reshape(x * 1.0, x.shape if x.ndim == 2 else (1, -1))
    weights = observation_weights(rows.shape[1], fweights, aweights)
    total = rows.shape[1] if weights is None else sum(weights)
    weighted = rows if weights is None else rows * weights
    centred = rows - sum(weighted, 1, keepdim=True) / total
    weighted = centred if weights is None else centred * weights
    lost = correction if aweights is None else correction * sum(weights * aweights) / total
    divisor = total - lost
    divisor = clamp(divisor, 0) if isinstance(divisor, Tensor) else max(divisor, 0)
    out = matmul(weighted, transpose(centred, 0, 1)) / divisor
    return out if x.ndim > 1 and x.shape[0] != 1 else reshape(out, ())


def observation_weights(observations: int, fweights, aweights):
    """The product of both kinds of weights; None if there are none."""
    for name, weights, kinds in [("fweights", fweights, "iu"), ("aweights", aweights, "f")]:
        if weights is None:
            continue
        if weights.shape != (observations,) or weights.dtype.kind not in kinds:
            raise ShapeError(
                f"cov: {name} must be {'integers' if kinds == 'iu' else 'floats'} of shape "
                f"({observations},), one for each observation; they are {weights.dtype} of shape "
                f"{weights.shape}"
            )
        if (weights.array < 0).any():
            raise ShapeError(f"cov: {name} can't be negative")
    if fweights is None or aweights is None:
        return aweights if fweights is None else fweights
    return fweights * aweights


@composition
def corrcoef(x):
    """The correlation coefficients (Pearson's) of the rows of x [variables, observations]"""
    if x.ndim > 2:
        raise ShapeError(
            f"corrcoef takes at most 2 dimensions, [variables, observations]; not {x.shape}"
        )
    covariance = cov(x)
    if not covariance.ndim:
        return covariance / covariance
    deviation = sqrt(getitem(covariance, (np.arange(len(x)),) * 2))
    return clamp(covariance / deviation / reshape(deviation, (-1, 1)), -1, 1)


# ---- Medians and quantiles -----------------------------------------------------------------------


@primitive
def median_of_all(x, ignore_nan=False):
    """The lower median of all elements. Equal ones share the gradient equally."""
    x = x[~np.isnan(x)] if ignore_nan else x.reshape(-1)
    if not x.size or (x.dtype.kind == "f" and np.isnan(np.min(x))):
        return np.asarray(math.nan, x.dtype)
    middle = (x.size - 1) // 2
    return np.partition(x, middle)[middle]


median_of_all.vjp(x=lambda g, x, out: share_among_equals(g, x, out))


def median_along(x, dim, keepdim, ignore_nan, op: str):
    """The lower median and where it is. In order, NaNs are last, from place n - missing on."""
    if dim is None:
        return median_of_all(x, ignore_nan and x.dtype.kind == "f")
    dims_with_elements(x, dim, op)
    axis = axis_of(dim, x.ndim, op)
    order = argsort(x, dim)
    if axis is None:
        return picked(x, order, dim, keepdim)
    is_nan = x.array != x.array
    n, missing = x.shape[axis], is_nan.sum(axis=axis, keepdims=True)
    if ignore_nan:
        middle = np.maximum(n - missing - 1, 0) // 2
    else:
        middle = np.where(missing, n - missing, (n - 1) // 2)
    return picked(x, Tensor(np.take_along_axis(order.array, middle, axis)), axis, keepdim)


@composition
def median(x, dim=None, keepdim=False):
    """The median, of an even number of elements the lower of the two in the middle; NaN if one is.
    With an int dim, (values, indices)."""
    return median_along(x, dim, keepdim, False, "median")


@composition
def nanmedian(x, dim=None, keepdim=False):
    """`median` of the elements that are not NaN"""
    return median_along(x, dim, keepdim, True, "nanmedian")


@composition
def quantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    """Where, along `dim`, a part q (in [0, 1], a number or a tensor [Q]) of the elements is less:
    at rank q (n - 1) of those in order. Of [Q], the results are [Q, ...].

    interpolation: between the two elements next to the rank, "linear", "midpoint", or the "lower",
    "higher" or "nearest" one.
    """
    return quantiles(x, q, dim, keepdim, interpolation, False, "quantile")


@composition
def nanquantile(x, q, dim=None, keepdim=False, *, interpolation="linear"):
    """`quantile` of the elements that are not NaN"""
    return quantiles(x, q, dim, keepdim, interpolation, True, "nanquantile")


ROUNDED = {"linear": np.floor, "midpoint": np.floor, "lower": np.floor, "higher": np.ceil,
           "nearest": np.round}  # fmt: skip


def quantiles(x, q, dim, keepdim, interpolation, ignore_nan, op: str):
    q = checked_q(x, q, interpolation, op)
    axis = None if dim is None else axis_of(dim, x.ndim, op)
    flat = reshape(x, (-1,)) if axis is None else movedim(x, axis, -1)
    values = at_ranks(sort(flat).values, reshape(q, (-1,)), interpolation, ignore_nan)
    if keepdim:  # [..., Q] with a 1 for each dimension that went away
        kept = (1,) * x.ndim if axis is None else (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        values = reshape(values, (*kept, q.array.size))
    return movedim(values, -1, 0) if q.ndim else squeeze(values, -1)


def checked_q(x, q, interpolation, op: str):
    """q as a tensor, 0-d or [Q], after a look at all arguments."""
    check_float(x, op)
    if not x.array.size:
        raise ShapeError(f"{op}: a tensor of shape {x.shape} has no elements, so no quantiles")
    if interpolation not in ROUNDED:
        raise RuntimeError(
            f"{op}: interpolation must be one of {', '.join(ROUNDED)}; got {interpolation!r}"
        )
    if isinstance(q, Tensor) and q.dtype != x.dtype:
        raise RuntimeError(f"{op}: q is {q.dtype}, the tensor {x.dtype}; use q.to(x.dtype)")
    q = q if isinstance(q, Tensor) else Tensor(np.asarray(q, x.dtype))
    if q.ndim > 1 or not ((q.array >= 0) & (q.array <= 1)).all():
        raise ShapeError(f"{op}: q must be a number in [0, 1] or a tensor [Q] of them; got {q}")
    return q


def at_ranks(ordered, q, interpolation, ignore_nan):
    """The quantiles q [Q] of ordered [..., n], NaNs last: [..., Q]."""
    is_nan = np.isnan(ordered.array)
    missing = is_nan.sum(axis=-1, keepdims=True).astype(ordered.dtype)
    last = ordered.shape[-1] - 1
    if ignore_nan:
        ranks = q * np.maximum(last - missing, 0)
    else:
        ranks = where(Tensor(missing > 0), np.asarray(last, ordered.dtype), q * float(last))
    below = ROUNDED[interpolation](ranks.array)
    lower = gather(ordered, -1, Tensor(below.astype(np.int64)))
    if interpolation not in ("linear", "midpoint"):
        return lower
    upper = gather(ordered, -1, Tensor(np.ceil(ranks.array).astype(np.int64)))
    weight = ranks - below if interpolation == "linear" else 0.5
    return lower + weight * (upper - lower)


# ---- Counts --------------------------------------------------------------------------------------


@composition
def mode(x, dim=-1, keepdim=False) -> Ordered:
    """(the most frequent value along `dim`, the smallest of several, where it is last)"""
    dims_with_elements(x, dim, "mode")
    axis = axis_of(dim, x.ndim, "mode")
    order = argsort(x, dim)
    if axis is None or not x.array.size:
        return picked(x, order if axis is None else narrow(order, axis, 0, 1), dim, keepdim)
    ordered = np.moveaxis(np.take_along_axis(x.array, order.array, axis), axis, -1)
    places = np.arange(ordered.shape[-1])
    begins = np.ones(ordered.shape, bool)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    run = places - np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
    longest = np.expand_dims(run.argmax(-1), axis)
    return picked(x, Tensor(np.take_along_axis(order.array, longest, axis)), axis, keepdim)


@composition
def bincount(x, weights=None, minlength=0):
    """How often each of 0, 1, … occurs in x [n], or the sum of the weights [n] there; at least
    `minlength` of them. Nothing is differentiated."""
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.array < 0).any():
        raise ShapeError(
            f"bincount takes integers [n] that are not negative; got {x.dtype} of shape {x.shape}"
        )
    if minlength < 0:
        raise RuntimeError(f"bincount: minlength can't be negative; got {minlength}")
    if weights is None:
        return Tensor(np.bincount(x.array, minlength=minlength))
    if weights.shape != x.shape:
        raise ShapeError(f"bincount: weights have shape {weights.shape}, the integers {x.shape}")
    counts = np.bincount(x.array, weights.array, minlength)
    return Tensor(counts.astype(weights.dtype if weights.dtype == np.float32 else np.float64))


@composition
def histc(x, bins=100, min=0, max=0):
    """How many elements lie in each of `bins` intervals of equal width from min to max, which is
    the last one's. If both are equal, the smallest and largest element are taken for them."""
    check_float(x, "histc")
    if bins < 1 or min > max:
        raise RuntimeError(
            f"histc: needs at least 1 bin, and min <= max; got bins={bins}, min={min}, max={max}"
        )
    if min == max and x.array.size:
        min, max = float(x.array.min()), float(x.array.max())
    if min == max:
        min, max = min - 1, max + 1
    if not (math.isfinite(min) and math.isfinite(max)):
        raise RuntimeError(f"histc: the range from {min} to {max} is not finite")
    counts, _ = np.histogram(x.array[~np.isnan(x.array)], bins, (min, max))
    return Tensor(counts.astype(x.dtype))
