"""Comparisons, logic, rounding: functions with steps.

The result of a comparison is bool and has no gradient; that of rounding is a number, whose gradient
is 0 wherever it exists.
"""

import numpy as np

from ..primitive import primitive

__all__ = [
    "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "ceil", "eq",
    "floor", "ge", "gt", "isclose", "isfinite", "isinf", "isnan", "le", "logical_and",
    "logical_not", "logical_or", "lt", "ne", "round", "sign", "trunc",
]  # fmt: skip

eq = primitive(lambda x, y: np.equal(x, y), name="eq")
ne = primitive(lambda x, y: np.not_equal(x, y), name="ne")
lt = primitive(lambda x, y: np.less(x, y), name="lt")
le = primitive(lambda x, y: np.less_equal(x, y), name="le")
gt = primitive(lambda x, y: np.greater(x, y), name="gt")
ge = primitive(lambda x, y: np.greater_equal(x, y), name="ge")
logical_and = primitive(lambda x, y: np.logical_and(x, y), name="logical_and")
logical_or = primitive(lambda x, y: np.logical_or(x, y), name="logical_or")
logical_not = primitive(lambda x: np.logical_not(x), name="logical_not")
isnan = primitive(lambda x: np.isnan(x), name="isnan")
isinf = primitive(lambda x: np.isinf(x), name="isinf")
isfinite = primitive(lambda x: np.isfinite(x), name="isfinite")
bitwise_and = primitive(lambda x, y: np.bitwise_and(x, y), name="bitwise_and")
bitwise_or = primitive(lambda x, y: np.bitwise_or(x, y), name="bitwise_or")
bitwise_xor = primitive(lambda x, y: np.bitwise_xor(x, y), name="bitwise_xor")
bitwise_not = primitive(lambda x: np.bitwise_not(x), name="bitwise_not")
isclose = primitive(
    lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(x, y, rtol, atol, equal_nan),
    name="isclose",
)


def allclose(x, y, rtol=1e-5, atol=1e-8, equal_nan=False) -> bool:
    """Whether |x - y| <= atol + rtol |y| everywhere"""
    return bool(isclose(x, y, rtol, atol, equal_nan).array.all())


# ---- Steps: their gradient is 0 wherever it exists -----------------------------------------------


def step_function(forward, name):
    op = primitive(lambda x: forward(x), name=name, promotes="common")
    return op.vjp(x=lambda g: g * 0.0)


sign = step_function(np.sign, "sign")
floor = step_function(np.floor, "floor")
ceil = step_function(np.ceil, "ceil")
round = step_function(np.round, "round")
trunc = step_function(np.trunc, "trunc")
