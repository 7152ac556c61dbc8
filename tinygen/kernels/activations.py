"""Activations that need an exponential: forward, and backward from the input.

    sigmoid:   y = s,             dy/dx = s (1 - s)             where s = 1 / (1 + exp(-x))
    silu:      y = x s,           dy/dx = s (1 + x (1 - s))     (Elfwing et al. 2017)
    softplus:  y = log(1 + e^x),  dy/dx = s

softplus is max(x, 0) + log(1 + e^-|x|), which overflows nowhere. Arrays of any shape; one loop over
all elements, a vector at a time in float32.
"""

import numpy as np

from tinygen.kernels import pointwise
from tinygen.kernels.jit import serves
from tinygen.kernels.pointwise import SIGMOID, SOFTPLUS


def sigmoid_reference(x):
    with np.errstate(over="ignore"):  # to infinity, whose reciprocal is 0
        return 1 / (1 + np.exp(-x))


def forward_reference(form, x):
    if form == SOFTPLUS:
        with np.errstate(invalid="ignore"):  # a NaN is not worth a warning
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
    return pointwise.forward(form, x) if serves(x) else forward_reference(form, x)


def backward(form: int, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx, for the cotangent dy of y."""
    return pointwise.backward(form, dy, x) if serves(x) else backward_reference(form, dy, x)
