"""Elementwise functions made of others: no gradient needs to be written."""

import math

from ..primitive import composition
from .compare import isfinite
from .elementwise import cos, exp, expm1, log, logsigmoid, maximum, sigmoid, sin, sqrt, where

__all__ = [
    "cosh", "lerp", "log10", "log2", "logaddexp", "reciprocal", "rsqrt", "sinh", "square",
    "tan", "xlogy",
]  # fmt: skip


@composition
def square(x):
    return x * x


@composition
def reciprocal(x):
    return 1.0 / x


@composition
def lerp(start, end, weight):
    """start + weight (end - start)"""
    return start + weight * (end - start)


@composition
def rsqrt(x):
    return 1.0 / sqrt(x)


@composition
def log2(x):
    return log(x) * (1 / math.log(2))


@composition
def log10(x):
    return log(x) * (1 / math.log(10))


@composition
def xlogy(x, y):
    """x log y, which is 0 for x = 0 whatever y"""
    return where(x == 0, 0.0, x * log(where(x == 0, 1.0, y)))


@composition
def logaddexp(x, y):
    """log(e^x + e^y), without overflow"""
    larger = maximum(x, y).detach()
    larger = where(isfinite(larger), larger, 0.0)
    return larger + log(exp(x - larger) + exp(y - larger))


@composition
def tan(x):
    return sin(x) / cos(x)


@composition
def sinh(x):
    return (expm1(x) - expm1(-x)) * 0.5


@composition
def cosh(x):
    return (exp(x) + exp(-x)) * 0.5


@composition
def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + e^(beta x)) / beta; x itself where beta x is above the threshold"""
    return where(x * beta > threshold, x, logsigmoid(x * -beta) * (-1 / beta))


@composition
def silu(x):
    """x sigmoid(x) (Elfwing et al. 2017; swish: Ramachandran et al. 2017)"""
    return x * sigmoid(x)
