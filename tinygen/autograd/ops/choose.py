"""Choosing between numbers: the larger, the nearest within bounds, the one where a condition holds.

At a tie the subgradient is PyTorch's: an equal share for equal arguments of maximum and minimum,
all of it for the first argument of fmax and fmin, 1 at the bounds of clamp.
"""

import numpy as np

from ...kernels import arithmetic as kernels
from ..dtypes import result_dtype
from ..primitive import primitive
from ..tensor import Tensor
from .compare import isnan

__all__ = ["clamp", "fmax", "fmin", "maximum", "minimum"]

arithmetic = primitive(promotes="common", pointwise=True)


@arithmetic
def where(condition, x, y):
    """x where the condition holds, else y. A NaN in the branch not taken reaches no gradient."""
    if getattr(condition, "dtype", np.True_.dtype).kind not in "bu":
        raise TypeError(
            f"the condition must be bool, not {condition.dtype}; write x != 0, or x.bool()"
        )
    chosen = kernels.where(condition, x, y)
    if not (isinstance(x, np.ndarray) or isinstance(y, np.ndarray)):
        return chosen.astype(result_dtype((x, y)))
    return chosen


where.vjp(
    x=lambda g, condition: where(condition, g, 0.0),
    y=lambda g, condition: where(condition, 0.0, g),
)


@arithmetic
def maximum(x, y):
    """The larger of each pair; NaN if either is NaN"""
    return kernels.larger(x, y)


maximum.vjp(x=lambda g, x, y: share(g, x, y), y=lambda g, x, y: share(g, y, x))


@arithmetic
def minimum(x, y):
    """The smaller of each pair; NaN if either is NaN"""
    return kernels.smaller(x, y)


minimum.vjp(x=lambda g, x, y: share(g, y, x), y=lambda g, x, y: share(g, x, y))


def share(g, winner, loser):
    """g where the first number is the larger one, half of it in a tie, all of it for a NaN. Which
    is larger does not change, as far as there is a derivative: no op need be recorded for it."""
    x, y = (getattr(a, "array", a) for a in (winner, loser))
    losses = np.add(np.less(x, y), np.less_equal(x, y), dtype=g.dtype)
    return g * Tensor(1 - losses / 2)


@arithmetic
def fmax(x, y):
    """The larger of each pair; if one is NaN, the other"""
    return np.fmax(x, y)


fmax.vjp(x=lambda g, x, y: g * ((x >= y) | isnan(y)), y=lambda g, x, y: g * ~((x >= y) | isnan(y)))


@arithmetic
def fmin(x, y):
    """The smaller of each pair; if one is NaN, the other"""
    return np.fmin(x, y)


fmin.vjp(x=lambda g, x, y: g * ((x <= y) | isnan(y)), y=lambda g, x, y: g * ~((x <= y) | isnan(y)))


@arithmetic
def clamp(x, min=None, max=None):
    """x, but not below min nor above max (if they cross: max); numbers, tensors, or one None"""
    if min is None and max is None:
        raise ValueError("clamp needs min or max; both are None")
    x = x if min is None else kernels.larger(x, min)
    return x if max is None else kernels.smaller(x, max)


def inside(x, min, max):
    """Whether min <= x <= max"""
    if min is None or max is None:
        return x <= max if min is None else x >= min
    return (x >= min) & (x <= max)


clamp.vjp(
    x=lambda g, x, min, max: g * inside(x, min, max),
    min=lambda g, x, min, max: g * ((x < min) if max is None else (x < min) & (min < max)),
    max=lambda g, x, min, max: g * ((x > max) if min is None else (x > max) | (max < min)),
)
