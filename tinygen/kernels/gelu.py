"""Gaussian error linear unit (Hendrycks and Gimpel 2016, section 2), forward and backward; and erf.

    "none":  y = x Phi(x),       Phi(x) = (1 + erf(x / sqrt 2)) / 2,   dy/dx = Phi(x) + x phi(x)
    "tanh":  y = x sigmoid(2u),  u = sqrt(2 / pi) (x + 0.044715 x³),   dy/dx = s + x s (1 - s) 2u'

where phi is the normal density, s = sigmoid(2u), and sigmoid(2u) = (1 + tanh u) / 2. Arrays of any
shape; one loop over all elements, a vector at a time in float32. The limits hold: y(inf) = inf and
y(-inf) = 0. In float64 the tails keep their relative accuracy (erfc instead of 1 + erf).
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        exp,
        fma,
        load_first,
        maximum,
        minimum,
        store_first,
        where,
    )

PARALLEL = 8_192  # elements: there, backward, one thread takes 13.0 µs, two take 10.5
FAR = 40.0  # beyond it Phi is 0 or 1, and the density 0, in float64 too

SQRT_HALF, SQRT_2_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)
CUBIC = 0.044715


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

ERF, GELU_ERF, GELU_TANH = range(3)  # what the kernels compute
FORMS = {"none": GELU_ERF, "tanh": GELU_TANH}


def erf(x: np.ndarray) -> np.ndarray:
    """erf of each element. In float32 it is off by at most 4e-7."""
    if serves(x):
        return forward_flat(ERF, x)
    return of_each(erf_float64, x) if ENABLED and x.dtype == np.float64 else erf_reference(x)


def forward(x: np.ndarray, approximate: str) -> np.ndarray:
    """y, in the shape of x; approximate is "none" or "tanh". In float32 it is off by 3e-7 |x|."""
    return forward_flat(FORMS[approximate], x) if serves(x) else forward_reference(x, approximate)


def backward(dy: np.ndarray, x: np.ndarray, approximate: str) -> np.ndarray:
    """dx, for the cotangent dy of y."""
    if not serves(x):
        return backward_reference(dy, x, approximate)
    dx, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    dy, x = plain(dy).reshape(-1), plain(x).reshape(-1)
    backward_elements(FORMS[approximate], x, dy, dx.reshape(-1), threads)
    return dx


def forward_flat(form, x):
    y, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    forward_elements(form, plain(x).reshape(-1), y.reshape(-1), threads)
    return y


# ---- Kernels: float32 ----------------------------------------------------------------------------


@kernel
def erf_of(x):
    """erf of a vector: a rational minimax approximation of erf(x) / x in x², on [-4, 4], off by
    2.5e-8, and by less than 4e-7 with rounding. Beyond 3.92 erf rounds to ±1."""
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
    y = minimum(maximum(x * p / q, -1.0), 1.0)
    y = where(x > 3.92, 1.0, y)
    return where(x < -3.92, -1.0, y)


@kernel
def erf_gelu(x):
    x = maximum(x, -FAR)
    return x * (0.5 + 0.5 * erf_of(x * SQRT_HALF))


@kernel
def erf_gelu_slope(x):
    x = minimum(maximum(x, -FAR), FAR)
    return 0.5 + 0.5 * erf_of(x * SQRT_HALF) + x * exp(-0.5 * x * x) * DENSITY_AT_0


@kernel
def tanh_gelu(x):
    x = maximum(x, -FAR)
    return x / (1.0 + exp(-2 * SQRT_2_PI * x * (1.0 + CUBIC * x * x)))


@kernel
def tanh_gelu_slope(x):
    x = minimum(maximum(x, -FAR), FAR)
    s = 1.0 / (1.0 + exp(-2 * SQRT_2_PI * x * (1.0 + CUBIC * x * x)))
    return s + x * s * (1.0 - s) * (2 * SQRT_2_PI) * (1.0 + 3 * CUBIC * x * x)


@kernel(parallel=True)
def forward_elements(form, x, y, threads):
    """y = gelu(x), or erf(x), in the given form, of all elements."""
    if threads == 1:
        forward_part(form, x, y, 0, x.size)
    else:
        for t in prange(threads):
            forward_part(form, x, y, t * x.size // threads, (t + 1) * x.size // threads)


@kernel
def forward_part(form, x, y, begin, end):
    for i in range(begin, end, LANES):
        v, left = load_first(x, i, end - i), end - i
        if form == GELU_TANH:
            v = tanh_gelu(v)
        elif form == GELU_ERF:
            v = erf_gelu(v)
        else:
            v = erf_of(v)
        store_first(y, i, v, left)


@kernel(parallel=True)
def backward_elements(form, x, dy, dx, threads):
    """dx = dy gelu'(x) of all elements."""
    if threads == 1:
        backward_part(form, x, dy, dx, 0, x.size)
    else:
        for t in prange(threads):
            backward_part(form, x, dy, dx, t * x.size // threads, (t + 1) * x.size // threads)


@kernel
def backward_part(form, x, dy, dx, begin, end):
    for i in range(begin, end, LANES):
        v, left = load_first(x, i, end - i), end - i
        slope = tanh_gelu_slope(v) if form == GELU_TANH else erf_gelu_slope(v)
        store_first(dx, i, slope * load_first(dy, i, left), left)


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
