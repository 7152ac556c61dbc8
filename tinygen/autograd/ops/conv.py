"""Convolution over any number of dimensions, as one matrix product of the filters with all windows.

Whoever contracts a filter w, an input x and an output y to a number

    T(x, w, y) = Σ  w[m, c, k] · x[n, c, p · stride + k · dilation − padding] · y[n, m, p]

has all there is to say: the three primitives are its derivatives by y, by x and by w. So each one's
gradients are the other two, and gradients of any order are there.

    convolution          x, w -> y      a convolution
    convolution_input    y, w -> x      its transpose, which is what "transposed convolution" means
    convolution_weight   x, y -> w      what a filter learns

In float32 windows are multiplied as they lie in x, by a kernel (kernels/conv.py); otherwise, and of
several groups, they are copied out first. Shapes: x [N, C, *sizes], w [M, C / groups, *kernel], y
[N, M, *places]. Of `groups` groups of channels, each one's outputs see only their own inputs.
"""

import math
from typing import NamedTuple

import numpy as np

from ...kernels import conv as implicit
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


def served(layout: Layout, *arrays) -> bool:
    """Whether the kernel for windows where they lie can serve."""
    return layout.groups == 1 and implicit.serve(*arrays)


@primitive(promotes="common")
def convolution(x, weight, bias=None, *, layout):
    """x [N, C, *sizes] with filters weight [M, C / groups, *kernel]: [N, M, *places]"""
    places = layout.places(x.shape[2:], weight.shape[2:])
    if served(layout, x, weight) and 0 not in places:
        whole = padded(x, layout.padding)
        out = implicit.forward(whole, weight, layout.stride, layout.dilation)
    else:
        out = by_columns(x, weight, places, layout)
    if bias is not None:
        out += bias.reshape(-1, *[1] * len(places))
    return out


def by_columns(x, weight, places, layout):
    """The convolution of windows that are copied out."""
    sizes, groups = weight.shape[2:], layout.groups
    filters = filters_of(weight, groups)
    out = np.empty((len(x), groups, filters.shape[1], math.prod(places)), x.dtype)
    for part in parts_of_batch(x, x.shape[1] * math.prod(sizes + places)):
        out[part] = kernel.matmul(filters, columns_of(x[part], sizes, layout))
    return out.reshape(len(x), len(weight), *places)


@primitive(promotes="common")
def convolution_input(y, weight, *, sizes, layout):
    """y [N, M, *places] spread by the filters [M, C / groups, *kernel]: [N, C, *sizes]"""
    groups, window, places = layout.groups, weight.shape[2:], y.shape[2:]
    if served(layout, y, weight) and set(layout.stride) == {1}:
        return turned_round(y, weight, layout.dilation, layout.padding)
    if served(layout, y, weight) and set(layout.dilation) == {1}:
        return phase_by_phase(y, weight, sizes, layout)
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


def turned_round(y, weight, dilation, padding):
    """convolution_input for a stride of 1: a convolution of y, entered from all sides, with the
    filters turned round."""
    reach = [(n - 1) * d for n, d in zip(weight.shape[2:], dilation)]
    around = tuple((n - a, n - b) for n, (a, b) in zip(reach, padding))
    turned = np.flip(weight, tuple(range(2, weight.ndim))).swapaxes(0, 1)
    return implicit.forward(padded(y, around), turned, (1,) * len(reach), dilation)


def phase_by_phase(y, weight, sizes, layout):
    """convolution_input for any stride: the places i, i + stride, ... of x see only the taps i,
    i + stride, ... of the filters, and these one step apart."""
    stride, whole = layout.stride, layout.padded_sizes(sizes)
    out = np.zeros((len(y), weight.shape[1], *whole), y.dtype)
    for phase in np.ndindex(*stride):
        every = tuple(slice(i, None, s) for i, s in zip(phase, stride))
        target, taps = out[(..., *every)], weight[(..., *every)]
        if taps.size and target.size:
            part = turned_round(y, taps, (1,) * len(stride), ((0, 0),) * len(stride))
            reached = tuple(slice(min(n, m)) for n, m in zip(target.shape[2:], part.shape[2:]))
            target[(..., *reached)] = part[(..., *reached)]
    return padded(out, [(-a, -b) for a, b in layout.padding])


@primitive(promotes="common")
def convolution_weight(x, y, *, sizes, layout):
    """Products of inputs x [N, C, *sizes] with outputs y [N, M, *places], summed over the batch and
    all places: [M, C / groups, *kernel]; `sizes` are those of the kernel"""
    groups, M, C = layout.groups, y.shape[1], x.shape[1] // layout.groups
    if served(layout, x, y):
        whole = padded(x, layout.padding)
        return implicit.weight_gradient(whole, y, sizes, layout.stride, layout.dilation)
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
