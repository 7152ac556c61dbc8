"""Comparisons, logic, rounding: functions with steps.

The result of a comparison is bool and has no gradient; that of rounding is a number, whose gradient
is 0 wherever it exists.
"""

import numpy as np

from ..dtypes import result_dtype
from ..primitive import primitive
from ..registry import composition
from ..tensor import Tensor

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "ceil", "eq", "equal", "floor", "floor_divide", "fmod",
    "ge", "gt", "heaviside", "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf",
    "isreal", "le", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne",
    "remainder", "round", "sgn", "sign", "signbit", "trunc",
]  # fmt: skip

arithmetic = primitive(promotes="common", pointwise=True)


# ---- Comparisons and logic -----------------------------------------------------------------------


def comparison(function, name):
    """A comparison of two numbers in the type in which they would be added."""

    def compare(x, y):
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.dtype != y.dtype:
            dtype = result_dtype((x, y))
            x, y = x.astype(dtype), y.astype(dtype)
        return function(x, y)

    return primitive(compare, name=name)


eq = comparison(np.equal, "eq")
ne = comparison(np.not_equal, "ne")
lt = comparison(np.less, "lt")
le = comparison(np.less_equal, "le")
gt = comparison(np.greater, "gt")
ge = comparison(np.greater_equal, "ge")


def test_of_one(function, name):
    return primitive(lambda x: function(x), name=name)


def test_of_two(function, name):
    return primitive(lambda x, y: function(x, y), name=name)


isnan = test_of_one(np.isnan, "isnan")
isinf = test_of_one(np.isinf, "isinf")
isfinite = test_of_one(np.isfinite, "isfinite")
isposinf = test_of_one(lambda x: x == np.inf, "isposinf")
isneginf = test_of_one(lambda x: x == -np.inf, "isneginf")
isreal = test_of_one(lambda x: np.full(np.shape(x), True), "isreal")
signbit = test_of_one(lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, "signbit")
logical_not = test_of_one(np.logical_not, "logical_not")
bitwise_not = test_of_one(np.bitwise_not, "bitwise_not")

logical_and = test_of_two(np.logical_and, "logical_and")
logical_or = test_of_two(np.logical_or, "logical_or")
logical_xor = test_of_two(np.logical_xor, "logical_xor")
bitwise_and = test_of_two(np.bitwise_and, "bitwise_and")
bitwise_or = test_of_two(np.bitwise_or, "bitwise_or")
bitwise_xor = test_of_two(np.bitwise_xor, "bitwise_xor")
bitwise_left_shift = test_of_two(np.left_shift, "bitwise_left_shift")
bitwise_right_shift = test_of_two(np.right_shift, "bitwise_right_shift")


@primitive
def isclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Where |x - y| <= atol + rtol |y|. The types may differ, which PyTorch refuses."""
    if rtol < 0 or atol < 0:
        raise ValueError(f"tolerances can't be negative; got rtol={rtol}, atol={atol}")
    return np.isclose(x, y, rtol, atol, equal_nan)


def allclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=False) -> bool:
    """Whether |x - y| <= atol + rtol |y| everywhere"""
    return bool(isclose(x, y, rtol, atol, equal_nan).array.all())


def equal(x: Tensor, y: Tensor) -> bool:
    """Whether both have the same shape and the same elements"""
    return x.shape == y.shape and bool((x.array == y.array).all())


# ---- Steps: their gradient is 0 wherever it exists -----------------------------------------------


def step_function(function, name):
    op = primitive(lambda x: function(x), name=name, promotes="common", pointwise=True)
    return op.vjp(x=lambda g: g * 0.0)


def sign_array(x):
    """-1, 0 or 1; 0 for NaN, as in PyTorch. Bools as they are."""
    x = np.asarray(x)
    return x if x.dtype.kind == "b" else np.subtract(x > 0, x < 0, dtype=x.dtype)


sign = step_function(sign_array, "sign")
floor = step_function(np.floor, "floor")
ceil = step_function(np.ceil, "ceil")
trunc = step_function(np.trunc, "trunc")


@arithmetic
def round(x, decimals=0):
    """x rounded to this many decimals, halves to the even neighbour"""
    return np.round(x, decimals)


round.vjp(x=lambda g: g * 0.0)


@composition
def sgn(x):
    """The sign: another name for it, as there are no complex numbers"""
    return sign(x)


@primitive
def heaviside(x, values):
    """0 for x < 0, 1 for x > 0, and `values` for x = 0. No gradient."""
    return np.where(np.equal(x, 0), values, np.greater(x, 0)).astype(x.dtype)


# ---- Division with a remainder -------------------------------------------------------------------


def whole_division(function, name, doc):
    """Of two numbers; an error where integers are divided by 0, for which there is no inf."""

    def divide(x, y):
        with np.errstate(all="ignore"):
            result = function(x, y)
        if result.dtype.kind in "iu" and not np.all(y):
            raise RuntimeError(f"{name}: an integer was divided by zero")
        return result

    divide.__doc__ = doc
    return primitive(divide, name=name, promotes="common", pointwise=True)


def trunc_array(x, y):
    """x / y rounded towards 0, exact for integers"""
    if np.result_type(x, y).kind in "iu":
        return np.floor_divide(x - np.fmod(x, y), y)
    return np.trunc(np.true_divide(x, y))


floor_divide = whole_division(
    np.floor_divide, "floor_divide", "floor(x / y), an integer if both are"
)
floor_divide.vjp(x=lambda g: g * 0.0, y=lambda g: g * 0.0)
trunc_divide = whole_division(trunc_array, "trunc_divide", "trunc(x / y), an integer if both are")
trunc_divide.vjp(x=lambda g: g * 0.0, y=lambda g: g * 0.0)
remainder = whole_division(np.remainder, "remainder", "x - floor(x / y) y: has the sign of y")
remainder.vjp(x=lambda g: g, y=lambda g, x, y: -g * floor_divide(x, y))
fmod = whole_division(np.fmod, "fmod", "x - trunc(x / y) y: has the sign of x")
fmod.vjp(x=lambda g: g, y=lambda g, x, y: -g * trunc_divide(x, y))
