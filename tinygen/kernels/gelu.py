"""Gaussian error linear unit, and erf."""

import math

import numpy as np


def erf(x):
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def normal_cdf(x):
    return np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)), otypes=[x.dtype])(x)


def sigmoid_argument(x):
    return 2 * math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x)


def forward(x, approximate):
    x = np.maximum(x, -40)
    if approximate == "none":
        return x * normal_cdf(x)
    with np.errstate(over="ignore"):
        return x / (1 + np.exp(-sigmoid_argument(x)))


def backward(dy, x, approximate):
    x = np.clip(x, -40, 40)
    if approximate == "none":
        return dy * (normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
    with np.errstate(over="ignore"):
        s = 1 / (1 + np.exp(-sigmoid_argument(x)))
    slope = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return dy * (s + x * s * (1 - s) * slope)
