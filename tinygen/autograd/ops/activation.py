"""Activations with a kernel for the value and one for the gradient: a single pass over memory each.

Every function stands here as a composition, which says what it is. The kernels' formulas are in
kernels/activations.py.
"""

import math
from collections.abc import Callable

from ...kernels import activations as kernels
from ..fused import Fused
from .choose import clamp, where
from .elementwise import abs, expm1, logsigmoid, sigmoid, tanh


def with_kernels(value: Callable, gradient: Callable) -> Callable[[Callable], Fused]:
    """Decorator: a fused op of one tensor, and of numbers that both kernels take after it."""

    def declare(reference):
        op = Fused(reference)
        op.kernel(lambda x, *numbers: (value(x, *numbers), ()))
        op.gradient(lambda g, saved, wanted, x, *numbers:
                    (gradient(g, x, *numbers), *[None] * len(numbers)))  # fmt: skip
        return op

    return declare


# ---- Straight on one side ------------------------------------------------------------------------


@with_kernels(kernels.leaky_relu, kernels.leaky_relu_gradient)
def leaky_relu(x, slope=0.01):
    """x where it is positive, else slope x"""
    return where(x > 0, x, x * slope)


@with_kernels(kernels.elu, kernels.elu_gradient)
def elu(x, alpha=1.0, scale=1.0, width=1.0):
    """scale x where x is positive, else scale alpha (e^(x / width) - 1)"""
    positive = x > 0
    negative_part = where(positive, 0.0, x)  # e^x must not overflow unused
    return where(positive, x * scale, scale * alpha * expm1(negative_part / width))


# ---- Smooth --------------------------------------------------------------------------------------


@with_kernels(kernels.silu, kernels.silu_gradient)
def silu(x):
    """x sigmoid(x) (Elfwing et al. 2017; swish: Ramachandran et al. 2017)"""
    return x * sigmoid(x)


@with_kernels(kernels.softplus, kernels.softplus_gradient)
def softplus(x, beta=1.0, threshold=20.0):
    """log(1 + e^(beta x)) / beta; x itself where beta x is above the threshold"""
    return where(x * beta > threshold, x, logsigmoid(x * -beta) * (-1 / beta))


@with_kernels(kernels.mish, kernels.mish_gradient)
def mish(x):
    """x tanh(softplus(x)) (Misra 2020)"""
    return x * tanh(softplus(x, 1.0, math.inf))


@with_kernels(kernels.softsign, kernels.softsign_gradient)
def softsign(x):
    """x / (1 + |x|)"""
    return x / (1 + abs(x))


@with_kernels(kernels.tanhshrink, kernels.tanhshrink_gradient)
def tanhshrink(x):
    """x - tanh(x)"""
    return x - tanh(x)


# ---- In straight pieces --------------------------------------------------------------------------


@with_kernels(kernels.hardtanh, kernels.hardtanh_gradient)
def hardtanh(x, low=-1.0, high=1.0):
    """x, cut off at low and high; its gradient is 0 at both"""
    outside = (x <= low) | (x >= high)
    return where(outside, clamp(x.detach(), low, high), x)


@with_kernels(kernels.hardsigmoid, kernels.hardsigmoid_gradient)
def hardsigmoid(x):
    """0 up to -3, 1 from 3, a straight line between"""
    return hardtanh(x + 3.0, 0.0, 6.0) / 6.0


@with_kernels(kernels.hardswish, kernels.hardswish_gradient)
def hardswish(x):
    """x hardsigmoid(x) (Howard et al. 2019, section 5.2)"""
    return x * hardsigmoid(x)


@with_kernels(kernels.hardshrink, kernels.shrink_gradient)
def hardshrink(x, lambd=0.5):
    """x, but 0 where |x| <= lambd"""
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


@with_kernels(kernels.softshrink, kernels.shrink_gradient)
def softshrink(x, lambd=0.5):
    """x moved towards 0 by lambd, and 0 where |x| <= lambd"""
    return x - clamp(x, -lambd, lambd)
