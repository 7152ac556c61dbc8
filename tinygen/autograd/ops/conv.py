"""Convolution over any number of dimensions, as one matrix product of the filters with all windows.

Whoever contracts a filter w, an input x and an output y to a number

    T(x, w, y) = Σ  w[m, c, k] · x[n, c, p · stride + k · dilation − padding] · y[n, m, p]

has all there is to say: the three primitives are its derivatives by y, by x and by w. So each one's
gradients are the other two, and gradients of any order are there.

    convolution          x, w -> y      a convolution
    convolution_input    y, w -> x      its transpose, which is what "transposed convolution" means
    convolution_weight   x, y -> w      what a filter learns

Shapes: x [N, C, *sizes], w [M, C / groups, *kernel], y [N, M, *places]. Of `groups` groups of
channels, each one's outputs see only their own inputs.
"""

import math
from typing import NamedTuple

import numpy as np

from ...kernels import matmul as kernel
from ..primitive import primitive
from .reduce import sum
from .window import overlap_add, padded, places_of, windows_of

__all__ = []

# So many numbers of windows are copied out at a time: about what a cache holds.
COLUMNS_AT_A_TIME = 1 << 20


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


def grouped(x: np.ndarray, groups: int) -> np.ndarray:
    """Channels and all that follows as matrices: [N, C, *sizes] -> [N, groups, C / groups, -1]."""
    return x.reshape(len(x), groups, x.shape[1] // groups, math.prod(x.shape[2:]))


def filters_of(weight: np.ndarray, groups: int) -> np.ndarray:
    """[groups, M / groups, C / groups · kernel]"""
    return weight.reshape(groups, len(weight) // groups, math.prod(weight.shape[1:]))


def columns_of(x: np.ndarray, sizes, layout: Layout) -> np.ndarray:
    """Every window as a column: [N, groups, C / groups · kernel, places]. Here they are copied."""
    view = windows_of(padded(x, layout.padding), sizes, layout.stride, layout.dilation)
    rows = x.shape[1] // layout.groups * math.prod(sizes)
    return view.reshape(len(x), layout.groups, rows, math.prod(view.shape[2 + len(sizes) :]))


def parts_of_batch(x: np.ndarray, numbers: int) -> list[slice]:
    """Slices of the batch with about COLUMNS_AT_A_TIME numbers each, of `numbers` per example."""
    step = max(1, COLUMNS_AT_A_TIME // max(numbers, 1))
    return [slice(i, i + step) for i in range(0, len(x), step)]


@primitive(promotes="common")
def convolution(x, weight, bias=None, *, layout):
    """x [N, C, *sizes] with filters weight [M, C / groups, *kernel]: [N, M, *places]"""
    sizes, groups = weight.shape[2:], layout.groups
    places = layout.places(x.shape[2:], sizes)
    filters = filters_of(weight, groups)
    out = np.empty((len(x), groups, filters.shape[1], math.prod(places)), x.dtype)
    for part in parts_of_batch(x, x.shape[1] * math.prod(sizes + places)):
        out[part] = kernel.matmul(filters, columns_of(x[part], sizes, layout))
    out = out.reshape(len(x), len(weight), *places)
    if bias is not None:
        out += bias.reshape(-1, *[1] * len(places))
    return out


@primitive(promotes="common")
def convolution_input(y, weight, *, sizes, layout):
    """y [N, M, *places] spread by the filters [M, C / groups, *kernel]: [N, C, *sizes]"""
    groups, window, places = layout.groups, weight.shape[2:], y.shape[2:]
    filters = filters_of(weight, groups).swapaxes(1, 2)
    channels, whole = weight.shape[1] * groups, layout.padded_sizes(sizes)
    cut = [(-a, -b) for a, b in layout.padding]
    out = np.empty((len(y), channels, *sizes), y.dtype)
    for part in parts_of_batch(y, channels * math.prod(window + places)):
        columns = kernel.matmul(filters, grouped(y[part], groups))
        columns = columns.reshape(len(columns), channels, *window, *places)
        spread = overlap_add.forward(columns, whole, layout.stride, layout.dilation)
        out[part] = padded(spread, cut)
    return out


@primitive(promotes="common")
def convolution_weight(x, y, *, sizes, layout):
    """Products of inputs x [N, C, *sizes] with outputs y [N, M, *places], summed over the batch and
    all places: [M, C / groups, *kernel]; `sizes` are those of the kernel"""
    groups, M, C = layout.groups, y.shape[1], x.shape[1] // layout.groups
    out = np.zeros((groups, M // groups, C * math.prod(sizes)), x.dtype)
    for part in parts_of_batch(x, x.shape[1] * math.prod(sizes + y.shape[2:])):
        columns = columns_of(x[part], sizes, layout)
        out += kernel.matmul(grouped(y[part], groups), columns.swapaxes(-1, -2)).sum(0)
    return out.reshape(M, C, *sizes)


convolution.vjp(
    x=lambda g, x_shape, weight, layout: convolution_input(
        g, weight, sizes=x_shape[2:], layout=layout
    ),
    weight=lambda g, x, weight_shape, layout: convolution_weight(
        x, g, sizes=weight_shape[2:], layout=layout
    ),
    bias=lambda g: sum(g, (0, *range(2, g.ndim))),
)
convolution_input.vjp(
    y=lambda g, weight, layout: convolution(g, weight, layout=layout),
    weight=lambda g, y, weight_shape, layout: convolution_weight(
        g, y, sizes=weight_shape[2:], layout=layout
    ),
)
convolution_weight.vjp(
    x=lambda g, x_shape, y, layout: convolution_input(y, g, sizes=x_shape[2:], layout=layout),
    y=lambda g, x, layout: convolution(x, g, layout=layout),
)
