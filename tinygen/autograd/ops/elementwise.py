"""Elementwise primitives: the derivatives of calculus. special.py and composed.py build on them.

At a kink the subgradient is PyTorch's: 0 for abs and relu at 0.
"""

import math

import numpy as np

from ...kernels import activations
from ...kernels import arithmetic as kernels
from ...kernels.gelu import erf as erf_array
from ..primitive import primitive
from ..tensor import Tensor
from .choose import where
from .compare import eq, sign

__all__ = [
    "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "clone", "cos",
    "cosh", "erf", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "mul", "neg", "pow",
    "reciprocal", "relu", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "sub", "tan", "tanh",
]  # fmt: skip

arithmetic = primitive(promotes="common", pointwise=True)
real_function = primitive(promotes="float", pointwise=True)  # integers become floats


# ---- Arithmetic ----------------------------------------------------------------------------------


@arithmetic
def add(x, y, alpha=1):
    """x + alpha y"""
    return kernels.add(x, y if alpha == 1 else alpha * y)


add.vjp(x=lambda g: g, y=lambda g, alpha: g if alpha == 1 else g * alpha)


@arithmetic
def sub(x, y, alpha=1):
    """x - alpha y"""
    return kernels.subtract(x, y if alpha == 1 else alpha * y)


sub.vjp(x=lambda g: g, y=lambda g, alpha: -g if alpha == 1 else g * -alpha)


@arithmetic
def neg(x):
    """-x"""
    return kernels.negative(x)


neg.vjp(x=lambda g: -g)


@arithmetic
def mul(x, y):
    """x y"""
    return kernels.multiply(x, y)


mul.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)


@real_function
def div(x, y):
    """x / y"""
    return kernels.divide(x, y)


div.vjp(x=lambda g, y: g / y, y=lambda g, out, y: -g * out / y)


@arithmetic
def abs(x):
    """|x|"""
    return kernels.absolute(x)


abs.vjp(x=lambda g, x: g * sign(x))


# ---- Powers --------------------------------------------------------------------------------------


@arithmetic
def pow(x, y):
    """x to the power of y. Among integers, a power between -1 and 1 is rounded to 0."""
    if isinstance(y, int | float):  # NumPy is quick for -1, 1/2, 1 and 2, but not for 3
        x = np.asarray(x)
        return x * x * x if y == 3 and x.dtype.kind == "f" else x**y
    if y.dtype.kind == "i" and np.asarray(x).dtype.kind == "i":
        return np.where((y >= 0) | (np.abs(x) == 1), x ** np.abs(y), 0)
    return x**y


def slope_of_power(x, y):
    """y x^(y - 1), and 0 for y = 0, even where x^-1 is infinite"""
    if isinstance(y, Tensor | np.ndarray):
        return where(y == 0, 0.0, y * x ** (y - 1))
    return 2 * x if y == 2 else y * x ** (y - 1) if y != 0 else 0.0


def log_of_base(x, y):
    """log x, and 0 for x = 0 if y >= 0, when the power does not change with y"""
    if isinstance(x, Tensor | np.ndarray):
        return log(where(eq(x, 0) & (y >= 0), 1.0, x))
    if x == 0:
        return where(y >= 0, 0.0, -math.inf)
    return math.log(x) if x > 0 else math.nan


pow.vjp(
    x=lambda g, x, y: g * slope_of_power(x, y), y=lambda g, x, y, out: g * out * log_of_base(x, y)
)


# ---- A table of derivatives ----------------------------------------------------------------------


def real(name, function, vjp):
    """A real function of NumPy's, and what its derivative does to the cotangent g."""
    return primitive(lambda x: function(x), name=name, promotes="float", pointwise=True).vjp(x=vjp)


sqrt = real("sqrt", kernels.square_root, lambda g, out: g / (2 * out))
rsqrt = real("rsqrt", lambda x: 1 / np.sqrt(x), lambda g, x, out: -0.5 * g * out / x)
reciprocal = real("reciprocal", lambda x: 1 / x, lambda g, out: -g * out * out)

exp = real("exp", np.exp, lambda g, out: g * out)
exp2 = real("exp2", np.exp2, lambda g, out: g * out * math.log(2))
expm1 = real("expm1", np.expm1, lambda g, out: g * (out + 1))
log = real("log", np.log, lambda g, x: g / x)
log2 = real("log2", np.log2, lambda g, x: g / (x * math.log(2)))
log10 = real("log10", np.log10, lambda g, x: g / (x * math.log(10)))
log1p = real("log1p", np.log1p, lambda g, x: g / (1 + x))

sin = real("sin", np.sin, lambda g, x: g * cos(x))
cos = real("cos", np.cos, lambda g, x: -g * sin(x))
tan = real("tan", np.tan, lambda g, out: g * (1 + out * out))
asin = real("asin", np.arcsin, lambda g, x: g / sqrt((1 - x) * (1 + x)))
acos = real("acos", np.arccos, lambda g, x: -g / sqrt((1 - x) * (1 + x)))
atan = real("atan", np.arctan, lambda g, x: g / (1 + x * x))

sinh = real("sinh", np.sinh, lambda g, x: g * cosh(x))
cosh = real("cosh", np.cosh, lambda g, x: g * sinh(x))
tanh = real("tanh", np.tanh, lambda g, out: tanh_gradient(g, out))
asinh = real("asinh", np.arcsinh, lambda g, x: g / sqrt(x * x + 1))
acosh = real("acosh", np.arccosh, lambda g, x: g / sqrt((x - 1) * (x + 1)))
atanh = real("atanh", np.arctanh, lambda g, x: g / ((1 - x) * (1 + x)))

erf = real("erf", lambda x: erf_array(as_floats(x)), lambda g, x: g * gaussian(x))


def as_floats(x):
    """An array of floats, of float64 if x holds integers"""
    x = np.asarray(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def gaussian(x):
    """The slope of erf, which is this curve's integral from 0 to x"""
    return exp(-x * x) * (2 / math.sqrt(math.pi))


@real_function
def atan2(x, y):
    """The angle of the point with abscissa y and ordinate x, in (-π, π]"""
    return np.arctan2(x, y)


def over_square_of_radius(x, y, z):
    """z / (x² + y²), and 0 at the origin"""
    square = x * x + y * y
    return z / where(square == 0, 1.0, square)


atan2.vjp(
    x=lambda g, x, y: over_square_of_radius(x, y, g * y),
    y=lambda g, x, y: over_square_of_radius(x, y, -g * x),
)


# ---- Activations ---------------------------------------------------------------------------------


@real_function
def sigmoid(x):
    """1 / (1 + e^-x): where e^-x overflows, it is 0"""
    return activations.sigmoid(as_floats(x))


@arithmetic
def relu(x):
    """max(x, 0)"""
    return kernels.larger(x, 0)


@real_function
def logsigmoid(x):
    """log(sigmoid(x)) = -log(1 + e^-x), without overflow"""
    return activations.logsigmoid(as_floats(x))


sigmoid.vjp(x=lambda g, out: sigmoid_gradient(g, out))
logsigmoid.vjp(x=lambda g, x: logsigmoid_gradient(g, x))
relu.vjp(x=lambda g, out: relu_gradient(g, out))

# Their gradients, one pass over memory each; y is an output.


@arithmetic
def tanh_gradient(g, y):
    """g (1 - y²)"""
    return activations.tanh_gradient(g, y)


@arithmetic
def sigmoid_gradient(g, y):
    """g y (1 - y)"""
    return activations.sigmoid_gradient(g, y)


@arithmetic
def relu_gradient(g, y):
    """g where y is positive, else 0"""
    return activations.relu_gradient(g, y)


@arithmetic
def logsigmoid_gradient(g, x):
    """g sigmoid(-x)"""
    return activations.logsigmoid_gradient(g, x)


tanh_gradient.vjp(g=lambda h, y: tanh_gradient(h, y), y=lambda h, g, y: h * g * y * -2)
sigmoid_gradient.vjp(g=lambda h, y: sigmoid_gradient(h, y), y=lambda h, g, y: h * g * (1 - 2 * y))
logsigmoid_gradient.vjp(
    g=lambda h, x: logsigmoid_gradient(h, x),
    x=lambda h, g, x: -sigmoid_gradient(h * g, sigmoid(x)),
)
relu_gradient.vjp(g=lambda h, y: relu_gradient(h, y))


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
