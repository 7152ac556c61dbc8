"""Special functions: the error function's and the gamma function's families, and products with
logarithms that have a limit where a factor is 0. Also `tg.special`, under that module's names.
"""

import math

import numpy as np

from ...kernels.gelu import erf as erf_array
from ..primitive import primitive
from ..registry import composition
from ..tensor import Tensor
from .choose import where
from .compare import eq, sign
from .elementwise import (
    abs,
    as_floats,
    exp,
    gaussian,
    log,
    log1p,
    real,
    real_function,
    sigmoid,
    sin,
)
from .quadrature import in_float64, quantile

__all__ = [
    "copysign", "digamma", "erfc", "erfinv", "hypot", "lerp", "lgamma", "logaddexp", "logaddexp2",
    "logit", "polygamma", "sinc", "xlogy",
]  # fmt: skip


# ---- The error function --------------------------------------------------------------------------


def each(function):
    """A function of a Python float, as one of arrays."""
    return lambda x: np.vectorize(function, otypes=[as_floats(x).dtype])(x)


erfc_array = each(math.erfc)
erfc = real("erfc", erfc_array, lambda g, x: -g * gaussian(x))


def erfinv_array(y):
    """A first guess, good to 0.2 %, then Halley's iteration, which triples the number of digits.

    Guess: S. Winitzki 2008, "A handy approximation for the error function and its inverse", eq. 7.
    """
    y64 = np.asarray(y, np.float64)
    tail = 1 - np.abs(y64)
    a = 0.147
    half = np.log(tail * (1 + np.abs(y64))) / 2  # log(1 - y²) / 2
    b = 2 / (math.pi * a) + half
    x = np.sqrt(-2 * half / a / (np.sqrt(b * b - 2 * half / a) + b))
    for _ in range(3):
        excess = np.where(tail > 0.5, erf_array(x) - np.abs(y64), tail - erfc_array(x))
        step = excess / (2 / math.sqrt(math.pi) * np.exp(-x * x))
        x = x - step / (1 + x * step)
    x = np.where(tail == 0, np.inf, x)
    return np.copysign(x, y64).astype(as_floats(y).dtype)


erfinv = real(
    "erfinv", erfinv_array, lambda g, out: g * (0.5 * math.sqrt(math.pi)) * exp(out * out)
)


@composition
def ndtr(x):
    """The distribution function of the standard normal"""
    return 0.5 * erfc(x * -math.sqrt(0.5))


def ndtri_array(p):
    """Newton's iteration from a bound, as Φ(-t) <= e^(-t²/2) / 2"""

    def tails(x):
        with_log = lambda x: np.log(0.5 * erfc_array(x * -math.sqrt(0.5)))
        return with_log(x), with_log(-x), -0.5 * x * x - 0.5 * math.log(2 * math.pi)

    inside = (p >= 0) & (p <= 1)
    p = np.where(inside, p, np.nan)
    bound = np.sqrt(-2 * np.log(2 * np.minimum(p, 1 - p)))
    start = np.where((p == 0) | (p == 1), 0.0, np.sign(p - 0.5) * bound)
    return quantile(tails, start, p, 1 - p)


ndtri = real(
    "ndtri",
    lambda p: in_float64(ndtri_array)(np.asarray(p)),
    lambda g, out: g * math.sqrt(2 * math.pi) * exp(0.5 * out * out),
)


# ---- The gamma function --------------------------------------------------------------------------

# B(2j) / (2j)! for j = 1, 2, ..., B being Bernoulli's numbers
BERNOULLI = [1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
             1 / 74724249600, -3617 / 10670622842880000]  # fmt: skip


def log_gamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole, at 0, -1, ...; or x too large
        return math.inf


def polygamma_array(x, n):
    """The n-th derivative of digamma. From 0 upwards a sum, for negative x by reflection:

    ψn(1 - x) (-1)^n - ψn(x) = dⁿ/dxⁿ π cot(πx)         (Abramowitz & Stegun 6.4.7)
    """
    x64 = np.asarray(x, np.float64)
    y = hurwitz_sum(np.where(x64 > 0, x64, 1 - x64), n)
    if (x64 <= 0).any():
        cot = 1 / np.tan(np.pi * (x64 - np.round(x64)))
        slope = np.polynomial.Polynomial([0, np.pi])  # π cot and its derivatives, in cot
        for _ in range(n):
            slope = slope.deriv() * np.polynomial.Polynomial([-np.pi, 0, -np.pi])
        y = np.where(x64 > 0, y, (-1) ** n * y - slope(cot))
        pole = np.inf if n % 2 else np.where(x64 == 0, -np.copysign(np.inf, x64), np.nan)
        y = np.where((x64 <= 0) & (x64 == np.floor(x64)), pole, y)
    return y.astype(as_floats(x).dtype)


def hurwitz_sum(x, n, terms=16):
    """ψn(x) = (-1)^(n+1) n! Σ_{k≥0} (x + k)^-(n+1), for x > 0 (for n = 0 up to a constant). The sum
    from k = 16 on is had from its integral, by the Euler-Maclaurin formula."""
    a = x + terms
    total = sum((x + k) ** -(n + 1.0) for k in range(terms))
    total = total + (-np.log(a) if n == 0 else a**-n / n) + 0.5 * a ** -(n + 1.0)
    rising = n + 1.0
    for j, b in enumerate(BERNOULLI, 1):
        total = total + b * rising * a ** -(n + 2.0 * j)
        rising *= (n + 2 * j) * (n + 2 * j + 1)
    return (-1) ** (n + 1) * math.factorial(n) * total


lgamma = real("lgamma", each(log_gamma), lambda g, x: g * digamma(x))
digamma = real("digamma", lambda x: polygamma_array(x, 0), lambda g, x: g * polygamma(1, x))


@primitive(name="polygamma", promotes="float", pointwise=True)
def derivative_of_digamma(x, n):
    """The n-th. Digamma is the derivative of lgamma, which is the log of |Γ|."""
    if n < 0:
        raise ValueError(f"n must not be negative; got {n}")
    return polygamma_array(x, n)


derivative_of_digamma.vjp(x=lambda g, x, n: g * derivative_of_digamma(x, n + 1))


def polygamma(n: int, x: Tensor) -> Tensor:
    """The n-th derivative of digamma; as a method x.polygamma(n)"""
    return derivative_of_digamma(n, x) if isinstance(n, Tensor) else derivative_of_digamma(x, n)


# ---- Logarithms ----------------------------------------------------------------------------------


@real_function
def logaddexp(x, y):
    """log(e^x + e^y), without overflow"""
    return np.logaddexp(x, y)


logaddexp.vjp(x=lambda g, x, y: g * sigmoid(x - y), y=lambda g, x, y: g * sigmoid(y - x))


@composition
def logaddexp2(x, y):
    """log2(2^x + 2^y), without overflow"""
    return logaddexp(x * math.log(2), y * math.log(2)) / math.log(2)


@real_function
def xlogy(x, y):
    """x log y, which is 0 for x = 0 whatever y; where y is 0 too, so are both derivatives"""
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * of_number(np.log, y))


xlogy.vjp(
    x=lambda g, x, y: g * log(where(eq(x, 0) & (y <= 0), 1.0, as_tensor(y, g))),
    y=lambda g, x, y: g * x / where(eq(x, 0) & eq(y, 0), 1.0, as_tensor(y, g)),
)


def of_number(function, y):
    """function(y), where that of a Python number is one, which does not decide the type"""
    return function(y) if isinstance(y, np.ndarray) else float(function(y))


def as_tensor(y, g):
    """y as a tensor; a number gets the type of g"""
    return y if isinstance(y, Tensor) else Tensor(np.asarray(y, g.dtype))


@real_function
def xlog1py(x, y):
    """x log(1 + y), which is 0 for x = 0 whatever y; where y is -1, so are both derivatives"""
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * of_number(np.log1p, y))


xlog1py.vjp(
    x=lambda g, x, y: g * log1p(where(eq(x, 0) & (y <= -1), 0.0, as_tensor(y, g))),
    y=lambda g, x, y: g * x / where(eq(x, 0) & eq(y, -1), 1.0, 1 + as_tensor(y, g)),
)


@real_function
def logit(x, eps=None):
    """log(x / (1 - x)), the inverse of sigmoid; x is first clamped to [eps, 1 - eps]"""
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def slope_of_logit(x, eps):
    """1 / (x (1 - x)); where x is clamped 0, and where it is no probability NaN"""
    low, high, beyond = (0, 1, math.nan) if eps is None else (eps, 1 - eps, 0.0)
    within = (x >= low) & (x <= high)
    x = where(within, x, 0.5)
    return where(within, 1 / (x * (1 - x)), beyond)


logit.vjp(x=lambda g, x, eps: g * slope_of_logit(x, eps))


# ---- Others --------------------------------------------------------------------------------------


@composition
def sinc(x):
    """sin(πx) / (πx), and 1 at 0; there its Taylor series, which has the right derivatives"""
    u = x * math.pi
    near = abs(u) < 1
    square = where(near, u * u, 0.0)
    series = 1.0
    for k in range(9, 0, -1):
        series = 1 - series * square / (2 * k * (2 * k + 1))
    far = where(near, 1.0, u)
    return where(near, series, sin(far) / far)


@primitive(promotes="common", pointwise=True)
def lerp(start, end, weight):
    """start + weight (end - start); computed from the nearer end, which it meets exactly"""
    step = np.subtract(end, start)
    if isinstance(weight, int | float):
        return start + weight * step if -0.5 < weight < 0.5 else end - (1 - weight) * step
    near = np.less(np.abs(weight), 0.5)
    return np.where(near, start + weight * step, end - (1 - weight) * step)


lerp.vjp(
    start=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, start, end: g * (end - start),
)


@real_function
def hypot(x, y):
    """√(x² + y²), without overflow"""
    return np.hypot(x, y)


hypot.vjp(x=lambda g, x, out: g * x / out, y=lambda g, y, out: g * y / out)


@real_function
def copysign(x, y):
    """|x| with the sign of y, which for -0.0 is minus. No gradient for y, nor for x = 0."""
    return np.copysign(x, y)


copysign.vjp(x=lambda g, x, y: g * sign(x) * copysign(sign(x), y))

expit, gammaln, psi = sigmoid, lgamma, digamma
