"""Gaussian error linear unit (Hendrycks and Gimpel 2016, section 2), forward and backward; and erf.

    "none":  y = x Phi(x),       Phi(x) = (1 + erf(x / sqrt 2)) / 2,   dy/dx = Phi(x) + x phi(x)
    "tanh":  y = x sigmoid(2u),  u = sqrt(2 / pi) (x + 0.044715 x³),   dy/dx = s + x s (1 - s) 2u'

where phi is the normal density, s = sigmoid(2u), and sigmoid(2u) = (1 + tanh u) / 2. Arrays of any
shape. The limits hold: y(inf) = inf and y(-inf) = 0. In float64 the tails keep their relative
accuracy (erfc instead of 1 + erf). Formulas that both NumPy and the loops of pointwise.py read.
"""

import math

import numpy as np
from numpy import exp, maximum, minimum

from tinygen.kernels.jit import ENABLED, kernel, plain
from tinygen.kernels.pointwise import NAMESAKES, of_one, of_two

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels import simd
    from tinygen.kernels.simd import fma

FAR = 40.0  # beyond it the normal distribution function is 0 or 1, and its density 0
SQRT_HALF, SQRT_2_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)
CUBIC = 0.044715


@of_one
def erf(x):
    """erf of each element. In float32 it is off by at most 4e-7."""
    return erf_of_arrays(x)


@of_one
def erf_gelu(x):
    x = maximum(x, -FAR)
    return x * normal_cdf(x)


@of_two
def erf_gelu_gradient(g, x):
    x = minimum(maximum(x, -FAR), FAR)
    return g * (normal_cdf(x) + x * exp(-0.5 * x * x) * DENSITY_AT_0)


@of_one
def tanh_gelu(x):
    x = maximum(x, -FAR)
    return x / (1 + exp(-2 * SQRT_2_PI * x * (1 + CUBIC * x * x)))


@of_two
def tanh_gelu_gradient(g, x):
    x = minimum(maximum(x, -FAR), FAR)
    s = 1 / (1 + exp(-2 * SQRT_2_PI * x * (1 + CUBIC * x * x)))
    return g * (s + x * s * (1 - s) * (2 * SQRT_2_PI) * (1 + 3 * CUBIC * x * x))


# ---- Public functions ----------------------------------------------------------------------------

FORMS = {"none": (erf_gelu, erf_gelu_gradient), "tanh": (tanh_gelu, tanh_gelu_gradient)}


def forward(x: np.ndarray, approximate: str) -> np.ndarray:
    """y, in the shape of x; approximate is "none" or "tanh". In float32 it is off by 3e-7 |x|."""
    return FORMS[approximate][0](x)


def backward(dy: np.ndarray, x: np.ndarray, approximate: str) -> np.ndarray:
    """dx, for the cotangent dy of y."""
    return FORMS[approximate][1](dy, x)


# ---- The error function, of vectors and of arrays ------------------------------------------------


@kernel
def erf_of_vector(x):
    """A rational minimax approximation of erf(x) / x in x², on [-4, 4], off by 2.5e-8, and by less
    than 4e-7 with rounding. Beyond 3.92 erf rounds to ±1."""
    z = x * x
    p = fma(z, 1.98693101e-6, 2.84547103e-4)
    p = fma(z, p, 3.8824908e-3)
    p = fma(z, p, 5.30990731e-2)
    p = fma(z, p, 1.93525091e-1)
    p = fma(z, p, 1.12837911)
    q = fma(z, 3.74207557e-5, 1.18536595e-3)
    q = fma(z, q, 1.52055267e-2)
    q = fma(z, q, 1.15341716e-1)
    q = fma(z, q, 5.04839718e-1)
    q = fma(z, q, 1.0)
    y = simd.minimum(simd.maximum(x * p / q, -1.0), 1.0)
    y = simd.where(x > 3.92, 1.0, y)
    return simd.where(x < -3.92, -1.0, y)


@kernel
def normal_cdf_of_vector(x):
    return 0.5 + 0.5 * erf_of_vector(x * SQRT_HALF)


def erf_of_arrays(x):
    if ENABLED and x.dtype == np.float64:  # for which NumPy has no erf
        return of_each(erf_float64, x)
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def normal_cdf(x):
    if ENABLED and x.dtype == np.float64:
        return of_each(normal_cdf_float64, x)
    return np.vectorize(lambda t: 0.5 * math.erfc(-t * SQRT_HALF), otypes=[x.dtype])(x)


NAMESAKES.update({erf_of_arrays: erf_of_vector, normal_cdf: normal_cdf_of_vector})


def of_each(function, x):
    y = np.empty(x.shape)
    function(plain(x).reshape(-1), y.reshape(-1))
    return y


@kernel
def erf_float64(x, y):
    for i in range(x.size):
        y[i] = math.erf(x[i])


@kernel
def normal_cdf_float64(x, y):
    for i in range(x.size):
        y[i] = 0.5 * math.erfc(-x[i] * SQRT_HALF)
