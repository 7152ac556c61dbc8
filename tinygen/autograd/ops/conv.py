"""Convolution over any number of dimensions, as one matrix product of the filters with all windows.

Whoever contracts a filter w, an input x and an output y to a number

    T(x, w, y) = Σ  w[m, c, k] · x[n, c, p · stride + k · dilation − padding] · y[n, m, p]

has all there is to say: the three primitives are its derivatives by y, by x and by w. So each one's
gradients are the other two, and gradients of any order are there.

    convolution          x, w -> y      a convolution
    convolution_input    y, w -> x      its transpose, which is what "transposed convolution" means
    convolution_weight   x, y -> w      what a filter learns

In float32 windows are multiplied as they lie in x, by kernels (kernels/conv.py); in other types
they are copied out first (kernels/conv_columns.py). Shapes: x [N, C, *sizes], w [M, C / groups,
*kernel], y [N, M, *places]. Of `groups` groups of channels, each one's outputs see only their own
inputs.
"""

import math
from typing import NamedTuple

import numpy as np

from ...kernels import conv, conv_weight, reductions
from ...kernels.conv_columns import places_of
from ..primitive import primitive
from .shape import expand, reshape

__all__ = []


class Layout(NamedTuple):
    """Where the windows lie, a number for each dimension; padding is a pair (before, behind)."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def padded_sizes(self, sizes) -> tuple[int, ...]:
        return tuple(n + a + b for n, (a, b) in zip(sizes, self.padding))

    def places(self, sizes, kernel) -> tuple[int, ...]:
        return places_of(self.padded_sizes(sizes), kernel, self.stride, self.dilation)


@primitive(promotes="common")
def convolution(x, weight, bias=None, *, layout):
    """x [N, C, *sizes] with filters weight [M, C / groups, *kernel]: [N, M, *places]"""
    return conv.forward(x, weight, bias, *layout)


@primitive(promotes="common")
def convolution_input(y, weight, bias=None, *, sizes, layout):
    """y [N, M, *places] spread by the filters [M, C / groups, *kernel]: [N, C, *sizes]"""
    return conv.input_gradient(y, weight, bias, sizes, *layout)


@primitive(promotes="common")
def convolution_weight(x, y, *, sizes, layout):
    """Products of inputs x [N, C, *sizes] with outputs y [N, M, *places], summed over the batch and
    all places: [M, C / groups, *kernel]; `sizes` are those of the kernel"""
    return conv_weight.weight_gradient(x, y, sizes, *layout)


@primitive
def channel_sum(x):
    """The sum of x [N, C, *sizes] over all but the channels: what a bias learns"""
    if not x.size:
        return np.zeros(x.shape[1], x.dtype)
    planes = x.reshape(x.shape[0] * x.shape[1], math.prod(x.shape[2:]))
    return reductions.row_sums(planes).reshape(x.shape[:2]).sum(0)


channel_sum.vjp(x=lambda g, x_shape: expand(reshape(g, (-1, *[1] * (len(x_shape) - 2))), x_shape))


convolution.vjp(
    x=lambda g, x_shape, weight, layout: convolution_input(
        g, weight, sizes=x_shape[2:], layout=layout
    ),
    weight=lambda g, x, weight_shape, layout: convolution_weight(
        x, g, sizes=weight_shape[2:], layout=layout
    ),
    bias=lambda g: channel_sum(g),
)
convolution_input.vjp(
    y=lambda g, weight, layout: convolution(g, weight, layout=layout),
    weight=lambda g, y, weight_shape, layout: convolution_weight(
        g, y, sizes=weight_shape[2:], layout=layout
    ),
    bias=lambda g: channel_sum(g),
)
convolution_weight.vjp(
    x=lambda g, x_shape, y, layout: convolution_input(y, g, sizes=x_shape[2:], layout=layout),
    y=lambda g, x, layout: convolution(x, g, layout=layout),
)
