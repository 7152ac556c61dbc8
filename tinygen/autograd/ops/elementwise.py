"""Elementwise primitives. Each gradient stands under its forward. composed.py builds on them.

At a kink the subgradient is PyTorch's: 0 for abs, sign and relu at 0, an equal share for equal
arguments of maximum and minimum, 1 at the bounds of clamp.
"""

import math

import numpy as np

from ...kernels.gelu import erf as erf_array
from ..primitive import primitive
from ..tensor import Tensor
from .compare import eq, floor, sign

__all__ = [
    "abs", "add", "atan", "atan2", "clamp", "clone", "cos", "div", "erf", "exp", "expm1",
    "floor_divide", "log", "log1p", "maximum", "minimum", "mul", "neg", "pow", "relu",
    "remainder", "sigmoid", "sin", "sqrt", "sub", "tanh", "where",
]  # fmt: skip

arithmetic = primitive(promotes="common", pointwise=True)
real_function = primitive(promotes="float", pointwise=True)  # integers become floats


# ---- Arithmetic ----------------------------------------------------------------------------------


@arithmetic
def add(x, y, alpha=1):
    """x + alpha y"""
    return np.add(x, y if alpha == 1 else alpha * y)


add.vjp(x=lambda g: g, y=lambda g, alpha: g if alpha == 1 else g * alpha)


@arithmetic
def sub(x, y, alpha=1):
    """x - alpha y"""
    return np.subtract(x, y if alpha == 1 else alpha * y)


sub.vjp(x=lambda g: g, y=lambda g, alpha: -g if alpha == 1 else g * -alpha)


@arithmetic
def neg(x):
    return np.negative(x)


neg.vjp(x=lambda g: -g)


@arithmetic
def mul(x, y):
    return np.multiply(x, y)


mul.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)


@real_function
def div(x, y):
    return np.true_divide(x, y)


div.vjp(x=lambda g, y: g / y, y=lambda g, out, y: -g * out / y)


@arithmetic
def pow(x, y):
    """x to the power of y. The gradient for y is taken as 0 where x is 0, as in PyTorch."""
    return np.power(x, y)


def slope_of_power(x, y):
    """y x^(y - 1), and 0 for y = 0, even where x^-1 is infinite"""
    if isinstance(y, Tensor | np.ndarray):
        return where(y == 0, 0.0, y * x ** (y - 1))
    return y * x ** (y - 1) if y != 0 else 0.0


pow.vjp(
    x=lambda g, x, y: g * slope_of_power(x, y),
    y=lambda g, x, out: g * out * log(where(eq(x, 0), 1.0, x)),
)


@arithmetic
def remainder(x, y):
    """x - floor(x / y) y: has the sign of y"""
    return np.remainder(x, y)


remainder.vjp(x=lambda g: g, y=lambda g, x, y: -g * floor(x / y))


@arithmetic
def floor_divide(x, y):
    """floor(x / y), an integer if both are"""
    return np.floor_divide(x, y)


floor_divide.vjp(x=lambda g: g * 0.0, y=lambda g: g * 0.0)


@arithmetic
def abs(x):
    return np.abs(x)


abs.vjp(x=lambda g, x: g * sign(x))


# ---- Exponentials and logarithms -----------------------------------------------------------------


@real_function
def exp(x):
    return np.exp(x)


exp.vjp(x=lambda g, out: g * out)


@real_function
def expm1(x):
    """e^x - 1, exact for small x"""
    return np.expm1(x)


expm1.vjp(x=lambda g, out: g * (out + 1))


@real_function
def log(x):
    return np.log(x)


log.vjp(x=lambda g, x: g / x)


@real_function
def log1p(x):
    """log(1 + x), exact for small x"""
    return np.log1p(x)


log1p.vjp(x=lambda g, x: g / (1 + x))


@real_function
def sqrt(x):
    return np.sqrt(x)


sqrt.vjp(x=lambda g, out: g / (2 * out))


# ---- Trigonometric and hyperbolic functions ------------------------------------------------------


@real_function
def sin(x):
    return np.sin(x)


sin.vjp(x=lambda g, x: g * cos(x))


@real_function
def cos(x):
    return np.cos(x)


cos.vjp(x=lambda g, x: -g * sin(x))


@real_function
def atan(x):
    return np.arctan(x)


atan.vjp(x=lambda g, x: g / (1 + x * x))


@real_function
def atan2(x, y):
    """The angle of the point with abscissa y and ordinate x, in (-π, π]"""
    return np.arctan2(x, y)


atan2.vjp(x=lambda g, x, y: g * y / (x * x + y * y), y=lambda g, x, y: -g * x / (x * x + y * y))


@real_function
def tanh(x):
    return np.tanh(x)


tanh.vjp(x=lambda g, out: g * (1 - out * out))


# ---- Activations ---------------------------------------------------------------------------------


@real_function
def sigmoid(x):
    """1 / (1 + e^-x), computed as (1 + tanh(x / 2)) / 2, which overflows nowhere"""
    return np.multiply(0.5, np.tanh(np.multiply(0.5, x)) + 1)


sigmoid.vjp(x=lambda g, out: g * out * (1 - out))


@real_function
def logsigmoid(x):
    """log(sigmoid(x)) = -log(1 + e^-x), without overflow"""
    return -np.logaddexp(0, np.negative(x))


logsigmoid.vjp(x=lambda g, x: g * sigmoid(-x))


@arithmetic
def relu(x):
    """max(x, 0)"""
    return np.maximum(x, 0)


relu.vjp(x=lambda g, out: g * (out > 0))


@real_function
def erf(x):
    """2/√π times the integral of exp(-t²) from 0 to x"""
    return erf_array(x)


erf.vjp(x=lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x))


# ---- Choosing ------------------------------------------------------------------------------------


@arithmetic
def maximum(x, y):
    """The larger of each pair; NaN if either is NaN"""
    return np.maximum(x, y)


def share_of_larger(g, x, y):
    """g where x > y, half of it where both are equal"""
    return g * ((x > y) + 0.5 * (x == y))


maximum.vjp(x=lambda g, x, y: share_of_larger(g, x, y), y=lambda g, x, y: share_of_larger(g, y, x))


@arithmetic
def minimum(x, y):
    """The smaller of each pair; NaN if either is NaN"""
    return np.minimum(x, y)


minimum.vjp(x=lambda g, x, y: share_of_larger(g, y, x), y=lambda g, x, y: share_of_larger(g, x, y))


@arithmetic
def clamp(x, min=None, max=None):
    """x, but not below min nor above max; either may be a number, a tensor or None"""
    if min is None and max is None:
        raise ValueError("clamp needs min or max; both are None")
    return np.clip(x, min, max)


def inside(x, min, max):
    """1 where min <= x <= max, else 0"""
    above = 1.0 if min is None else x >= min
    return above if max is None else (x <= max) * above


clamp.vjp(
    x=lambda g, x, min, max: g * inside(x, min, max),
    min=lambda g, x, min: g * (x < min),
    max=lambda g, x, max: g * (x > max),
)


@arithmetic
def where(condition, x, y):
    """x where the condition holds, else y. A NaN in the branch not taken reaches no gradient."""
    return np.where(condition, x, y)


where.vjp(
    x=lambda g, condition: where(condition, g, 0.0),
    y=lambda g, condition: where(condition, 0.0, g),
)


# ---- Types and copies ----------------------------------------------------------------------------


@primitive
def cast(x, dtype):
    """x with another dtype"""
    return x.astype(dtype)


cast.vjp(x=lambda g, x_dtype: cast(g, x_dtype))


@primitive
def clone(x):
    """A copy, in the graph, whose elements lie in memory in the order of their indices"""
    return np.array(x, order="C")


clone.vjp(x=lambda g: g)
