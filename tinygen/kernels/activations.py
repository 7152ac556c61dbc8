"""Activations that need an exponential: forward, and backward from the input.

    sigmoid:   y = s,             dy/dx = s (1 - s)             where s = 1 / (1 + exp(-x))
    silu:      y = x s,           dy/dx = s (1 + x (1 - s))     (Elfwing et al. 2017)
    softplus:  y = log(1 + e^x),  dy/dx = s

softplus is max(x, 0) + log(1 + e^-|x|), which overflows nowhere. Arrays of any shape; one loop over
all elements, a vector at a time in float32.
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import LANES, exp, fma, load_first, maximum, store_first, where

PARALLEL = 16_384  # elements from which two threads are faster than one
SIGMOID, SILU, SOFTPLUS = range(3)


def sigmoid_reference(x):
    with np.errstate(over="ignore"):  # to infinity, whose reciprocal is 0
        return 1 / (1 + np.exp(-x))


def forward_reference(form, x):
    if form == SOFTPLUS:
        return np.logaddexp(x, 0, dtype=x.dtype)
    s = sigmoid_reference(x)
    return s if form == SIGMOID else x * s


def backward_reference(form, dy, x):
    s = sigmoid_reference(x)
    if form == SIGMOID:
        return dy * s * (1 - s)
    return dy * s if form == SOFTPLUS else dy * s * (1 + x * (1 - s))


def forward(form: int, x: np.ndarray) -> np.ndarray:
    """y, in the shape of x."""
    if not serves(x):
        return forward_reference(form, x)
    y, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    forward_elements(form, plain(x).reshape(-1), y.reshape(-1), threads)
    return y


def backward(form: int, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx, for the cotangent dy of y."""
    if not serves(x):
        return backward_reference(form, dy, x)
    dx, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    dy, x = plain(dy).reshape(-1), plain(x).reshape(-1)
    backward_elements(form, x, dy, dx.reshape(-1), threads)
    return dx


# ---- Kernels -------------------------------------------------------------------------------------


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
        if form == SIGMOID:
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
        s = sigmoid(v)
        if form == SIGMOID:
            s = s * (1.0 - s)
        elif form == SILU:
            s = s * (1.0 + v * (1.0 - s))
        store_first(dx, i, s * load_first(dy, i, left), left)
