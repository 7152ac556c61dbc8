"""Activations that are hot enough for a kernel."""

import numpy as np

from ...kernels import activations as kernels
from ...kernels.pointwise import SILU, SOFTPLUS
from ..fused import Fused
from ..primitive import primitive
from .choose import where
from .elementwise import logsigmoid, sigmoid


@primitive(promotes="common", pointwise=True)
def leaky_relu(x, slope=0.01):
    """x where it is positive, else slope x"""
    return (np.maximum if slope <= 1 else np.minimum)(x, x * slope)


leaky_relu.vjp(x=lambda g, x, slope: where(x > 0, g, g * slope))


@Fused
def silu(x):
    """x sigmoid(x) (Elfwing et al. 2017; swish: Ramachandran et al. 2017)"""
    return x * sigmoid(x)


@silu.kernel
def _(x):
    return kernels.forward(SILU, x), ()


@silu.gradient
def _(g, saved, wanted, x):
    return (kernels.backward(SILU, g, x),)


@Fused
def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + e^(beta x)) / beta; x itself where beta x is above the threshold"""
    return where(x * beta > threshold, x, logsigmoid(x * -beta) * (-1 / beta))


@softplus.kernel
def _(x, beta, threshold):
    scaled = x * x.dtype.type(beta) if beta != 1 else x
    y = kernels.forward(SOFTPLUS, scaled)
    y = y if beta == 1 else y / x.dtype.type(beta)
    return y if rounds_to_x(x, threshold) else np.where(scaled > threshold, x, y), (scaled,)


def rounds_to_x(x, threshold) -> bool:
    """Whether log(1 + e^x) is x, to the last digit, above the threshold."""
    return x.dtype == np.float32 and threshold >= 20


@softplus.gradient
def _(g, saved, wanted, x, beta, threshold):
    (scaled,) = saved
    dx = kernels.backward(SOFTPLUS, g, scaled)
    return dx if rounds_to_x(x, threshold) else np.where(scaled > threshold, g, dx), None, None
