"""Functions of every element, and their slopes: the vector formulas, and the one loop over them.

    y = f(x),   dx = dy f'(x)

for erf, GELU in both forms, sigmoid, SiLU and softplus, whose mathematics stands in gelu.py and
activations.py, beside the NumPy lines that they must equal. Arrays are flat; a vector at a time.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

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

PARALLEL = 8_192  # elements: there GELU takes one thread 13.0 µs backward, and two 10.5
ERF, GELU_ERF, GELU_TANH, SIGMOID, SILU, SOFTPLUS = range(6)

FAR = 40.0  # beyond it the normal distribution function is 0 or 1, and its density 0
SQRT_HALF, SQRT_2_PI = math.sqrt(0.5), math.sqrt(2 / math.pi)
DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)
CUBIC = 0.044715


def forward(form: int, x: np.ndarray) -> np.ndarray:
    """f(x), in the shape of x, of float32."""
    y, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    forward_elements(form, plain(x).reshape(-1), y.reshape(-1), threads)
    return y


def backward(form: int, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy f'(x), in the shape of x, of float32."""
    dx, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    dy, x = plain(dy).reshape(-1), plain(x).reshape(-1)
    backward_elements(form, x, dy, dx.reshape(-1), threads)
    return dx


# ---- Formulas ------------------------------------------------------------------------------------


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


@kernel
def sigmoid(x):
    return 1.0 / (1.0 + exp(-x))


@kernel
def log1p_of_at_most_1(z):
    """log(1 + z) for z in [0, 1]: 2 atanh(s) = 2 (s + s³/3 + s⁵/5 + ...) with s = z / (2 + z),
    which is at most 1/3; what is left out is below 1e-9 of the sum."""
    s = z / (2.0 + z)
    q = s * s
    p = fma(q, 2 / 17, 2 / 15)
    p = fma(q, p, 2 / 13)
    p = fma(q, p, 2 / 11)
    p = fma(q, p, 2 / 9)
    p = fma(q, p, 2 / 7)
    p = fma(q, p, 2 / 5)
    p = fma(q, p, 2 / 3)
    return s * fma(q, p, 2.0)


@kernel
def softplus(x):
    return maximum(x, 0.0) + log1p_of_at_most_1(exp(where(x > 0.0, -x, x)))


# ---- Loops ---------------------------------------------------------------------------------------


@kernel(parallel=True)
def forward_elements(form, x, y, threads):
    if threads == 1:
        forward_part(form, x, y, 0, x.size)
    else:
        for t in prange(threads):
            forward_part(form, x, y, t * x.size // threads, (t + 1) * x.size // threads)


@kernel
def forward_part(form, x, y, begin, end):
    for i in range(begin, end, LANES):
        v, left = load_first(x, i, end - i), end - i
        if form == ERF:
            v = erf_of(v)
        elif form == GELU_ERF:
            v = erf_gelu(v)
        elif form == GELU_TANH:
            v = tanh_gelu(v)
        elif form == SIGMOID:
            v = sigmoid(v)
        elif form == SILU:
            v = v * sigmoid(v)
        else:
            v = softplus(v)
        store_first(y, i, v, left)


@kernel(parallel=True)
def backward_elements(form, x, dy, dx, threads):
    if threads == 1:
        backward_part(form, x, dy, dx, 0, x.size)
    else:
        for t in prange(threads):
            backward_part(form, x, dy, dx, t * x.size // threads, (t + 1) * x.size // threads)


@kernel
def backward_part(form, x, dy, dx, begin, end):
    for i in range(begin, end, LANES):
        v, left = load_first(x, i, end - i), end - i
        if form == GELU_ERF:
            slope = erf_gelu_slope(v)
        elif form == GELU_TANH:
            slope = tanh_gelu_slope(v)
        else:
            slope = sigmoid_slope(form, v)
        store_first(dx, i, slope * load_first(dy, i, left), left)


@kernel
def sigmoid_slope(form, x):
    """The slope of sigmoid, SiLU or softplus."""
    s = sigmoid(x)
    if form == SIGMOID:
        return s * (1.0 - s)
    return s * (1.0 + x * (1.0 - s)) if form == SILU else s
