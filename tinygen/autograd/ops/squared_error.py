"""The mean squared error, the loss of regression and of denoising."""

from __future__ import annotations

from ..fused import Fused
from .reduce import add_up, mean


@Fused
def mean_squared_error(x, y):
    """The mean of (x - y)² over all elements; x and y have one shape"""
    difference = x - y
    return mean(difference * difference)


@mean_squared_error.kernel
def _(x, y):
    difference = x - y
    total = add_up(difference * difference, tuple(range(x.ndim)))
    return total / x.dtype.type(x.size), (difference,)


@mean_squared_error.gradient
def _(g, saved, wanted, x, y):
    (difference,) = saved
    dx = difference * (2 * g / x.dtype.type(x.size))
    return dx if wanted[0] else None, -dx if wanted[1] else None
