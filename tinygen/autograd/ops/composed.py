"""Elementwise functions made of others: no gradient needs to be written."""

import math

import numpy as np

from ..dtypes import float64
from ..registry import composition
from ..tensor import Tensor
from . import choose, elementwise
from .choose import clamp
from .compare import floor_divide, trunc, trunc_divide
from .elementwise import cast, pow, sub

__all__ = [
    "addcdiv", "addcmul", "clamp_max", "clamp_min", "deg2rad", "div", "float_power", "frac",
    "nan_to_num", "positive", "rad2deg", "rsub", "square", "true_divide", "where",
]  # fmt: skip

# ---- Arithmetic ----------------------------------------------------------------------------------

true_divide = elementwise.div


def div(x, y, *, rounding_mode=None) -> Tensor:
    """x / y; rounded to an integer with rounding_mode "trunc" (towards 0) or "floor" (down)"""
    if rounding_mode is None:
        return true_divide(x, y)
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode == "trunc":
        return trunc_divide(x, y)
    raise ValueError(f'div: rounding_mode must be None, "trunc" or "floor", not {rounding_mode!r}')


@composition
def positive(x):
    """x itself"""
    return x


@composition
def rsub(x, y, alpha=1):
    """y - alpha x"""
    return sub(y, x, alpha)


@composition
def square(x):
    """x²"""
    return pow(x, 2)


@composition
def float_power(x, y):
    """x to the power of y, in float64 whatever the types"""
    return pow(*[cast(a, float64) if isinstance(a, Tensor) else float(a) for a in (x, y)])


@composition
def addcmul(x, y, z, *, value=1):
    """x + value y z"""
    return x + (y * z if value == 1 else value * y * z)


@composition
def addcdiv(x, y, z, *, value=1):
    """x + value y / z"""
    return x + (y / z if value == 1 else value * y / z)


@composition
def frac(x):
    """What follows the decimal point, with the sign of x"""
    return x - trunc(x)


@composition
def deg2rad(x):
    """Degrees to radians"""
    return x * (math.pi / 180)


@composition
def rad2deg(x):
    """Radians to degrees"""
    return x * (180 / math.pi)


# ---- Choosing ------------------------------------------------------------------------------------


def where(condition, input=None, other=None):
    """input where the condition holds, else other; of the condition alone: the indices where it
    holds, an int64 tensor for each dimension"""
    if input is None and other is None:
        return tuple(Tensor(index) for index in np.nonzero(condition.array))
    return choose.where(condition, input, other)


@composition
def clamp_min(x, min):
    """x, but not below min"""
    return clamp(x, min)


@composition
def clamp_max(x, max):
    """x, but not above max"""
    return clamp(x, None, max)


@composition
def nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    """x with numbers in the place of NaN and of the infinities: 0 and the largest, if not given"""
    if x.dtype.kind != "f":
        return x
    largest = np.finfo(x.dtype).max.item()
    x = choose.where(x == math.inf, largest if posinf is None else posinf, x)
    x = choose.where(x == -math.inf, -largest if neginf is None else neginf, x)
    return choose.where(x != x, nan or 0.0, x)
