"""Statistics."""

import numpy as np

from .table import *

# fmt: off

# ---- Spread --------------------------------------------------------------------------------------


def np_spread(*functions):
    """np.var or np.std under PyTorch's keywords; of two functions, both results."""
    def spread(x, dim=None, correction=1, keepdim=False):
        dim = None if dim == () else dim
        found = tuple(
            f(x, axis=dim, keepdims=keepdim, **({} if f is np.mean else {"ddof": correction}))
            for f in functions)
        return found if len(found) > 1 else found[0]

    return spread


SPREAD = reductions(N, empty=False)
SPREAD = [c for c in SPREAD if c.args[0].shape] + [
    with_(N(2, 3), dim=1, correction=0), with_(N(2, 3), correction=2),
    with_(N(2, 3), correction=0.5)]
for name, functions in {"var": [np.var], "std": [np.std], "var_mean": [np.var, np.mean],
                        "std_mean": [np.std, np.mean]}.items():
    row(name, np_spread(*functions), SPREAD)
    row(name, np_spread(*functions), with_(N(2, 3), ()), torch=None)  # whose gradient is infinite
    row(name, None, with_(np.ones((2, 3)), 1), with_(N(2, 3), 0, False), with_(N(2, 3), False),
        with_(N(2, 3), unbiased=False), with_(N(2, 3), 0, False, True), differentiable=False)


def np_cov(x, correction=1, fweights=None, aweights=None):
    return np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)


COUNTS = ints(1, 0, 3, 2)
row("cov", np_cov, with_(N(3, 4)), with_(N(2, 3), correction=0), with_(N(4)), with_(N(1, 4)))
row("cov", np_cov, [with_(N(2, 4), c, *w) for c in (0, 1) for w in (
    [COUNTS], [None, P(4)], [COUNTS, P(4)])], torch=None,
    call=lambda x, c, f=None, a=None: OPS["cov"](x, correction=c, fweights=f, aweights=a))
row("cov", None, with_(ints(1, 2, 3)), with_(N(), correction=0), differentiable=False)
row("corrcoef", np.corrcoef, with_(N(2, 4)), with_(N(3, 3)))
row("corrcoef", None, with_(N(4)), with_(ints([1, 2], [2, 5])), differentiable=False)


# ---- Medians and quantiles -----------------------------------------------------------------------


def np_median(x, dim=None, keepdim=False):
    """The lower median of numbers that are all different, and its place."""
    if dim is None:
        return np.sort(x.ravel())[(x.size - 1) // 2]
    order = np.argsort(x, dim)
    middle = np.take(order, [(x.shape[dim] - 1) // 2], dim)
    found = np.take_along_axis(x, middle, dim), middle
    return found if keepdim else tuple(np.squeeze(a, dim) for a in found)


NANS = np.array([[1.0, np.nan, 3.0, 0.5], [2.0, 1.0, 4.0, 0.0], [np.nan, np.nan, np.nan, 5.0]])
MEDIANS = reductions(DISTINCT, several=False, empty=False)
MEDIANS = [c for c in MEDIANS if c.options.get("dim", 0) is not None] + [
    with_(DISTINCT(4, 2), 0), with_(DISTINCT(2, 3)), with_(DISTINCT())]
row("median", np_median, MEDIANS, with_(DISTINCT(0, 2), 1))
row("nanmedian", np_median, MEDIANS)
row("median_of_all", np_median, with_(DISTINCT(2, 3)), with_(DISTINCT(3, 3)), with_(DISTINCT(4)),
    torch=None)
for name in ("median", "nanmedian"):
    row(name, None, with_(NANS), with_(NANS, 1), with_(NANS, 0, True), with_(np.zeros((0, 2))),
        with_(np.ones(4)), with_(N(), 0), with_(ints(3, 1, 2, 5)), with_(np.full(2, np.nan)),
        differentiable=False)


def np_quantile(x, q, dim=None, keepdim=False, interpolation="linear"):
    return np.quantile(x, q, dim, keepdims=keepdim, method=interpolation)


WAYS = ["linear", "lower", "higher", "nearest", "midpoint"]
for name in ("quantile", "nanquantile"):
    row(name, np_quantile, with_(DISTINCT(2, 3), 0.3), with_(DISTINCT(4, 2), 0.7, 0),
        with_(DISTINCT(2, 5), 0.4, -1, True), with_(DISTINCT(2, 5), 0.4, keepdim=True),
        with_(DISTINCT(5), 0.0), with_(DISTINCT(5), 1), with_(DISTINCT(3, 2, 2), 0.35, 1),
        [with_(DISTINCT(2, 6), 0.33, 1, interpolation=w) for w in WAYS],
        with_(DISTINCT(6), 0.5, interpolation="nearest"))
    row(name, np_quantile, with_(DISTINCT(4, 2), np.array([0.3, 0.8, 0.6]), 0),
        with_(DISTINCT(2, 3), np.array([0.3, 0.9])), with_(DISTINCT(2, 3), np.array(0.3), 1),
        with_(DISTINCT(2, 3), np.array([0.1, 0.9]), 0, True))
    row(name, None, with_(NANS, 0.3), with_(NANS, 0.6, 1), with_(NANS, 0.5, 0, True),
        [with_(NANS, 0.4, 1, interpolation=w) for w in WAYS], with_(np.array(2.0), 0.5),
        with_(np.array(2.0), 0.5, 0, True), with_(np.full((2, 2), np.nan), 0.5, 1),
        differentiable=False)

# ---- Counts --------------------------------------------------------------------------------------

FREQUENT = np.array([[2.0, 1.0, 2.0, 1.0, 3.0], [5.0, 4.0, 4.0, 7.0, 8.0]])
row("mode", None, with_(FREQUENT), with_(FREQUENT, 0), with_(FREQUENT, 1, True),
    with_(ints(3, 1, 3)), with_(BOOLS, 1),
    with_(np.zeros((0, 3)), 1), with_(np.array(2.0)), differentiable=False)
row("mode", lambda x, dim=-1: (np.min(x, dim), np.argmin(x, dim)), with_(DISTINCT(2, 3)),
    with_(DISTINCT(3, 2), 0))
row("bincount", np.bincount, with_(ints(0, 3, 3)), with_(ints(1, 0), minlength=4),
    with_(np.zeros(0, int)), differentiable=False)
row("bincount", lambda x, weights, minlength=0: np.bincount(x, weights, minlength),
    with_(ints(0, 3, 3), P(3)), with_(ints(1, 0), P(2), 4), differentiable=False)
np_histc = lambda x, bins=100, min=0, max=0: np.histogram(
    x, bins, (min, max) if min < max else None)[0].astype(float)
row("histc", np_histc, with_(N(20), 5), with_(N(4, 5), 4, -1, 1), with_(N(3), 2, min=0, max=9),
    with_(np.array([0.0, 1.0, 2.0]), 2), with_(N(3)), differentiable=False)
row("histc", None, with_(np.ones(3), 4), with_(SPECIAL, 3, 0, 3), with_(np.zeros(0), 2),
    differentiable=False)
