"""Comparisons, arithmetic, functions of every element."""

import math

import numpy as np

import tinygen as tg

from .table import *

# fmt: off

ABOVE_1 = domain(lambda rng, shape: rng.uniform(1.1, 3.0, shape))

# ---- Comparisons, logic, rounding ----------------------------------------------------------------

COMPARED = [with_(ints(1, 2, 3), ints(3, 2, 1)), with_(SPECIAL, SPECIAL[:, ::-1]),
            with_(SPECIAL, 0.0), with_(N(2, 1), N(3)), with_(N(0, 3), N(3)),
            with_(ints(1, 2, 3), SPECIAL), with_(BOOLS, 1)]
for name, oracle in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
                     "gt": np.greater, "ge": np.greater_equal}.items():
    row(name, oracle, COMPARED, differentiable=False)
for name in ("logical_and", "logical_or", "logical_xor"):
    row(name, getattr(np, name), with_(BOOLS, BOOLS[:, ::-1]), with_(SPECIAL, ints(0, 1, 2)),
        differentiable=False)
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    row(name, getattr(np, name), with_(BOOLS, BOOLS[0]), with_(ints(5, 6), ints(3, 3)),
        differentiable=False)
for name in ("bitwise_left_shift", "bitwise_right_shift"):
    row(name, getattr(np, name), with_(ints(5, -6), ints(3, 0)), with_(ints(5, 6), 2),
        differentiable=False)
row("logical_not", np.logical_not, with_(BOOLS), KINDS, differentiable=False)
row("bitwise_not", np.bitwise_not, with_(BOOLS), with_(ints(5, -6)), differentiable=False)
for name in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit"):
    row(name, getattr(np, name), KINDS, with_(np.array([0.0, -0.0])), differentiable=False)
row("isclose", lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(x, y, rtol, atol,
    equal_nan),
    with_(SPECIAL, SPECIAL + 1e-7), with_(N(3), N(2, 3), rtol=0.5, atol=0.1),
    with_(SPECIAL, SPECIAL, equal_nan=True), differentiable=False)
row("heaviside", np.heaviside, with_(SPECIAL[:, :2], SPECIAL[0, 0]), with_(N(2, 3), N(3)),
    with_(np.array([0.0, -0.0, 1.0]), N(3)), differentiable=False)
for name in ("sign", "floor", "ceil", "round", "trunc"):
    row(name, getattr(np, name), each(STEPS))
row("sgn", np.sign, each(STEPS), torch=None)  # its gradient there is not an ordinary tensor
row("round", lambda x, decimals: np.round(x, decimals), with_(STEPS(2, 3), decimals=1),
    with_(STEPS(3), decimals=-1))
DIVISIONS = [with_(STEPS(2, 2), np.array([[1.0, 2.0], [-2.0, 1.0]])),
             with_(STEPS(2, 3), np.array([1.0, 2.0, -2.0])), with_(STEPS(3), 2),
             with_(STEPS(0, 3), 1.0)]
INTEGERS = [with_(ints(7, -7, 0), ints(2, 2, -3)), with_(ints(7, -8), 4)]
trunc_divide = lambda x, y: np.trunc(np.asarray(x / y)).astype(np.result_type(x, y))
for name in ("remainder", "fmod"):
    row(name, getattr(np, name), DIVISIONS)
    row(name, getattr(np, name), INTEGERS, differentiable=False)
for name, oracle in {"floor_divide": np.floor_divide, "trunc_divide": trunc_divide}.items():
    row(name, oracle, DIVISIONS, with_(7.3, np.array([1.0, 2.0, -2.0])), torch=None)
    row(name, oracle, INTEGERS, torch=None, differentiable=False)

# ---- Arithmetic ----------------------------------------------------------------------------------

row("add", lambda x, y, alpha=1: x + alpha * y, pairs(N), pairs(N, alpha=-0.5)[:4])
row("sub", lambda x, y, alpha=1: x - alpha * y, pairs(N), pairs(N, alpha=-0.5)[:4])
row("rsub", lambda x, y, alpha=1: y - alpha * x, pairs(N)[:-1], pairs(N, alpha=-0.5)[:4])
row("mul", np.multiply, pairs(N))
row("div", np.true_divide, pairs(N, NONZERO))
row("positive", np.positive, each(N))
row("neg", np.negative, each(N))
row("abs", np.abs, each(NONZERO))
row("square", np.square, each(N))
row("reciprocal", np.reciprocal, each(NONZERO))
row("addcmul", lambda x, y, z, value=1: x + value * y * z, with_(N(2, 3), N(3), N(2, 1)),
    with_(N(2, 2), N(2, 2), N(2, 2), value=-0.5), with_(N(0, 3), N(3), N()))
row("addcdiv", lambda x, y, z, value=1: x + value * y / z, with_(N(2, 3), N(3), NONZERO(2, 1)),
    with_(N(2, 2), N(2, 2), NONZERO(2, 2), value=-0.5), with_(N(0, 3), N(3), NONZERO()))
POWERS = [with_(N(3), 2), with_(N(3), 3), with_(N(3), 0), with_(N(3), 1), with_(P(3), -1.5),
          with_(P(3), 0.5), with_(N(2, 2), 2.0), with_(0.5, N(3))]
row("pow", np.power, pairs(P, N), POWERS, with_(0.0, P(3)))
row("pow", lambda x, y: np.trunc(x ** y.astype(float)).astype(int),
    with_(ints(2, -1, 1), ints(-3, -3, -1)), with_(ints(2, -1, 3), ints(3, 3, 0)),
    differentiable=False)
row("float_power", np.float_power, pairs(P, N), POWERS)

# ---- Functions of one number ---------------------------------------------------------------------

for name, oracle in {"exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "sin": np.sin,
                     "cos": np.cos, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
                     "atan": np.arctan, "asinh": np.arcsinh, "deg2rad": np.deg2rad,
                     "rad2deg": np.rad2deg}.items():
    row(name, oracle, each(N))
for name, oracle in {"log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
                     "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x)}.items():
    row(name, oracle, each(P))
for name, oracle in {"tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
                     "atanh": np.arctanh}.items():
    row(name, oracle, each(UNIT))
row("acosh", np.arccosh, each(ABOVE_1))
row("frac", lambda x: x - np.trunc(x), each(STEPS))
row("atan2", np.arctan2, pairs(NONZERO, numbers=False))
row("sigmoid", lambda x: 1 / (1 + np.exp(-x)), each(N))
row("relu", lambda x: np.maximum(x, 0), each(NONZERO))
row("tanh_gradient", lambda g, y: g * (1 - y * y), with_(N(2, 3), N(2, 3)), with_(N(0, 3), N(0, 3)),
    torch=None)
row("sigmoid_gradient", lambda g, y: g * y * (1 - y), with_(N(2, 3), N(2, 3)), torch=None)
row("relu_gradient", lambda g, y: g * (y > 0), with_(N(2, 3), NONZERO(2, 3)), torch=None)
row("logsigmoid_gradient", lambda g, x: g / (1 + np.exp(x)), with_(N(2, 3), N(2, 3)), torch=None)
row("erf", np.vectorize(math.erf, otypes=[float]), each(N))

# ---- Choosing ------------------------------------------------------------------------------------

for name in ("maximum", "minimum", "fmax", "fmin"):
    row(name, getattr(np, name), pairs(DISTINCT, BETWEEN, numbers=False))
    row(name, getattr(np, name), with_(DISTINCT(2, 3), 0.7), with_(0.7, DISTINCT(3)), torch=None)
row("clamp", lambda x, min=None, max=None: np.clip(x, min, max), each(NONZERO, min=0.0),
    each(STEPS, (2, 2), (2, 3), (), min=-1.0, max=1.0), with_(NONZERO(3), max=0.0),
    with_(STEPS(2, 2), ints(-1.0, 0.0), ints(1.0, 2.0)), with_(STEPS(2, 3), ints(-1.0, 0.0, 0.0)),
    with_(STEPS(3), None, ints(-1.0, 0.0, 1.0)),
    with_(STEPS(3), ints(1.0, -1.0, 1.0), ints(0.0, 0.0, -1.0)))
row("clamp_min", np.maximum, with_(NONZERO(2, 3), 0.0), with_(STEPS(2, 3), ints(-1.0, 0.0, 0.0)))
row("clamp_max", np.minimum, with_(NONZERO(2, 3), 0.0), with_(STEPS(2, 3), ints(-1.0, 0.0, 0.0)))
row("where", np.where, with_(BOOLS, N(2, 3), N(2, 3)), with_(BOOLS, N(3), N(2, 1)),
    with_(BOOLS[0], N(2, 3), N()), with_(BOOLS, N(2, 3), 0.5), with_(BOOLS, 0.5, N(3)),
    with_(np.eye(3, k=1) > 0, N(3, 3), N(3, 3)), with_(BOOLS[:0], N(0, 3), N(3)))
row("nan_to_num", np.nan_to_num, each(N))
row("cast", lambda x, dtype: x.astype(dtype), [with_(N(*s), tg.float64) for s in [(2, 2),
    (2, 3), ()]],
    torch=None)
row("clone", np.array, each(N))

# ---- Activations ---------------------------------------------------------------------------------

row("softplus", lambda x, beta=1.0, threshold=20.0: np.log1p(np.exp(beta * x)) / beta,
    each(NONZERO),
    with_(NONZERO(2, 3), beta=2.0), with_(NONZERO(3), 0.5, 40.0))
row("logsigmoid", lambda x: -np.log1p(np.exp(-x)), each(NONZERO))
row("silu", lambda x: x / (1 + np.exp(-x)), each(N))
row("gelu", lambda x: x * 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))),
    each(N))
row("gelu", None, each(N, approximate="tanh"))
row("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, slope * x), each(NONZERO),
    with_(NONZERO(3), 0.2))
row("elu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)), each(NONZERO),
    with_(NONZERO(3), alpha=1.7))
row("selu", lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    each(NONZERO))
row("mish", lambda x: x * np.tanh(np.log1p(np.exp(x))), each(NONZERO))
row("softsign", lambda x: x / (1 + np.abs(x)), each(NONZERO))
row("hardtanh", lambda x, a=-1.0, b=1.0: np.clip(x, a, b), each(STEPS), with_(STEPS(3), -2.0, 0.0))
row("glu", lambda x, dim=-1: np.split(x, 2, dim)[0] / (1 + np.exp(-np.split(x, 2, dim)[1])),
    with_(N(2, 4)), with_(N(2, 3), dim=0), with_(N(0, 4)))
