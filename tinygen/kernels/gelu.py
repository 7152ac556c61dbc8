"""Gaussian error linear unit (Hendrycks and Gimpel 2016, section 2), forward and backward; and erf.

    "none":  y = x Phi(x),       Phi(x) = (1 + erf(x / sqrt 2)) / 2,   dy/dx = Phi(x) + x phi(x)
    "tanh":  y = x sigmoid(2u),  u = sqrt(2 / pi) (x + 0.044715 x³),   dy/dx = s + x s (1 - s) 2u'

where phi is the normal density, s = sigmoid(2u), and sigmoid(2u) = (1 + tanh u) / 2. Arrays of any
shape; one loop over all elements, a vector at a time in float32. The limits hold: y(inf) = inf and
y(-inf) = 0. In float64 the tails keep their relative accuracy (erfc instead of 1 + erf).
"""

import math

import numpy as np

from tinygen.kernels import pointwise
from tinygen.kernels.jit import ENABLED, kernel, plain, serves
from tinygen.kernels.pointwise import CUBIC, DENSITY_AT_0, FAR, SQRT_2_PI, SQRT_HALF

# ---- NumPy lines ---------------------------------------------------------------------------------


def erf_reference(x):
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def normal_cdf(x):
    if ENABLED and x.dtype == np.float64:
        return of_each(normal_cdf_float64, x)
    return np.vectorize(lambda t: 0.5 * math.erfc(-t * SQRT_HALF), otypes=[x.dtype])(x)


def sigmoid_of_2u(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-2 * SQRT_2_PI * x * (1 + CUBIC * x * x)))


def forward_reference(x, approximate):
    x = np.maximum(x, -FAR)
    return x * (normal_cdf(x) if approximate == "none" else sigmoid_of_2u(x))


def backward_reference(dy, x, approximate):
    x = np.clip(x, -FAR, FAR)
    if approximate == "none":
        return dy * (normal_cdf(x) + x * np.exp(-0.5 * x * x) * DENSITY_AT_0)
    s = sigmoid_of_2u(x)
    return dy * (s + x * s * (1 - s) * 2 * SQRT_2_PI * (1 + 3 * CUBIC * x * x))


# ---- Public functions ----------------------------------------------------------------------------

FORMS = {"none": pointwise.GELU_ERF, "tanh": pointwise.GELU_TANH}


def erf(x: np.ndarray) -> np.ndarray:
    """erf of each element. In float32 it is off by at most 4e-7."""
    if serves(x):
        return pointwise.forward(pointwise.ERF, x)
    return of_each(erf_float64, x) if ENABLED and x.dtype == np.float64 else erf_reference(x)


def forward(x: np.ndarray, approximate: str) -> np.ndarray:
    """y, in the shape of x; approximate is "none" or "tanh". In float32 it is off by 3e-7 |x|."""
    form = FORMS[approximate]
    return pointwise.forward(form, x) if serves(x) else forward_reference(x, approximate)


def backward(dy: np.ndarray, x: np.ndarray, approximate: str) -> np.ndarray:
    """dx, for the cotangent dy of y."""
    if not serves(x):
        return backward_reference(dy, x, approximate)
    return pointwise.backward(FORMS[approximate], dy, x)


# ---- Kernels: float64, for which NumPy has no erf ------------------------------------------------


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
