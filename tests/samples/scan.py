"""Scans, differences and integrals."""

import numpy as np

from .table import *

# fmt: off

SCANNED = [with_(N(2, 3), 1), with_(N(2, 3), 0), with_(N(3), -1), with_(N(2, 2), 0),
           with_(N(2, 5, 2), -2), with_(N(0, 3), 0), with_(N(1), 0)]
ZEROS = np.array([[0.0, 2.0, 3.0], [1.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
row("cumsum", lambda x, dim: np.cumsum(x, dim), SCANNED)
row("cumprod", lambda x, dim: np.cumprod(x, dim), SCANNED, with_(ZEROS, 0), with_(ZEROS, 1),
    with_(N(9), 0))
for name in ("cumsum", "cumprod"):
    row(name, getattr(np, name), with_(ints(2, 3, 4), 0), with_(BOOLS, 1), differentiable=False)
row("logcumsumexp", lambda x, dim: np.logaddexp.accumulate(x, dim), SCANNED[:-2], with_(N(1), 0),
    with_(N(9), 0))
row("logcumsumexp", None, with_(ints(800.0, 801.0, -800.0), 0),
    with_(np.array([-np.inf, -np.inf, 1.0, np.inf, np.nan, 0.0]), 0),
    differentiable=False)
for name in ("cumsum", "cumprod", "logcumsumexp"):
    row(name, lambda x, dim: x, with_(N(), 0), with_(N(), -1))


def np_running(extreme):
    """The last place of the extreme so far, one step after the other; after a NaN, that."""
    def running(x, dim):
        x = np.moveaxis(np.atleast_1d(x), dim, -1)
        values, indices = np.array(x), np.zeros(x.shape, int)
        for at in np.ndindex(x.shape):
            before = x[at[:-1]][: at[-1] + 1]
            values[at] = extreme(before)
            indices[at] = np.flatnonzero((before == values[at]) | np.isnan(before))[-1]
        return tuple(np.moveaxis(a, -1, dim) for a in (values, indices))

    return running


TIES = ints(1, 1, 0, 2, 2, 1)
NANS = np.array([1.0, np.nan, 2.0, np.nan, 3.0])
for name, extreme in {"cummax": np.max, "cummin": np.min}.items():
    row(name, np_running(extreme), with_(DISTINCT(2, 3), 0), with_(DISTINCT(2, 3), -1),
        with_(DISTINCT(2, 4, 2), 1))
    row(name, np_running(extreme), with_(DISTINCT(0, 2), 0), torch=None)
    row(name, np_running(extreme), with_(TIES, 0), with_(BOOLS, 1), differentiable=False)
    row(name, None, with_(NANS, 0), differentiable=False)
    row(name, None, with_(N(), 0))


# ---- Neighbours ----------------------------------------------------------------------------------


def np_diff(x, n=1, dim=-1, prepend=None, append=None):
    ends = {k: v for k, v in {"prepend": prepend, "append": append}.items() if v is not None}
    return np.diff(x, n, dim, **ends)


row("diff", np_diff, with_(N(3, 3)), with_(N(2, 4), 2), with_(N(3, 2), 1, 0), with_(N(2, 3), 9),
    with_(N(2, 3), 1, -1, N(2, 1), N(2, 2)), with_(N(2, 3), 1, 0, None, N(1, 3)), with_(N(0, 2)),
    with_(N(3), 0))
row("diff", np_diff, with_(BOOLS), with_(ints(3, 1, 4)), differentiable=False)
AT = np.array([0.0, 0.5, 2.0])


def np_trapezoid(y, x=None, dx=1, dim=-1):
    return np.trapezoid(y, x, dx, dim)


def np_cumulative(y, x=None, dx=1, dim=-1):
    """The integrals of the first 2, 3, … elements."""
    cut = lambda a, n: a if a is None else np.take(a, range(n), dim if a.ndim == y.ndim else 0)
    sums = [np.trapezoid(cut(y, n), cut(x, n), dx, dim) for n in range(2, y.shape[dim] + 1)]
    return np.stack(sums, dim)


INTEGRATED = [with_(N(2, 3)), with_(N(3, 2), dim=0), with_(N(2, 3), dx=0.5), with_(N(2, 3), AT),
              with_(N(3, 2), N(3), dim=0), with_(N(2, 3), N(2, 3)), with_(N(3), N(3))]
for name in ("trapezoid", "cumulative_trapezoid"):
    row(name, None, with_(ints(1, 2, 4)), with_(ints(1, 4), ints(0, 3)),
        differentiable=False)
row("trapezoid", np_trapezoid, INTEGRATED, with_(N(2, 1)), with_(N(2, 0)))
row("trapezoid", None, with_(N(2, 2, 3), N(2, 3), dim=1), with_(N(2, 3), N(1, 3)))
row("cumulative_trapezoid", np_cumulative, INTEGRATED)
row("cumulative_trapezoid", None, with_(N(2, 1)))
