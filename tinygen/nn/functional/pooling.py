"""Pooling: one number for each window, its largest or its mean.

An option may be one number for all dimensions, or a number for each. The batch dimension of an
input may be missing. The gradient of a maximum goes to the first of several that are equal.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.composed import div
from tinygen.autograd.ops.window import (
    PerDim,
    check_at_least,
    kernel_form,
    per_dim,
    pick_each,
    place_each,
    window_sum,
)
from tinygen.autograd.registry import ShapeError
from tinygen.kernels import pooling as kernels

from .conv import check_fits, named, with_batch

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


# ---- Where the windows lie -----------------------------------------------------------------------


def window_options(n: int, op: str, kernel_size, stride, padding, dilation: PerDim = 1) -> tuple:
    """Kernel, stride, padding and dilation for n dimensions; the stride is the kernel if None."""
    kernel = per_dim(kernel_size, n, "kernel_size", op)
    stride = kernel if stride is None or stride == () else per_dim(stride, n, "stride", op)
    padding, dilation = per_dim(padding, n, "padding", op), per_dim(dilation, n, "dilation", op)
    check_at_least(1, op, kernel_size=kernel, stride=stride, dilation=dilation)
    check_at_least(0, op, padding=padding)
    if any(2 * p > d * (k - 1) + 1 for p, k, d in zip(padding, kernel, dilation)):
        raise RuntimeError(
            f"{op}: padding should be at most half of effective kernel size, but got {padding} for "
            f"a kernel {kernel} with dilation {dilation}"
        )
    return kernel, stride, padding, dilation


def pool_places(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> tuple[int, int]:
    """How many windows lie along a dimension of size n, and how much they reach beyond its end.

    With `ceil_mode` one more where a rest is left over, unless it would begin in the padding.
    """
    rest = n + 2 * p - d * (k - 1) - 1
    places = (rest + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (places - 1) * s >= n + p:
        places -= 1
    return places, (places - 1) * s + d * (k - 1) + 1 - n - p


def check_pooled(x: Tensor, op: str) -> None:
    """Refuse an input without channels or places. Its batch may be empty."""
    if 0 in x.shape[1:]:
        raise ShapeError(
            f"{op}: only the batch may be empty, all other dimensions must have elements; got "
            f"shape {x.shape}"
        )


# ---- Maximum -------------------------------------------------------------------------------------


def max_pool_of(n: int):
    """Maximum over windows on n dimensions."""
    op = f"max_pool{n}d"

    def max_pool(
        input: Tensor,
        kernel_size: PerDim,
        stride: PerDim | None = None,
        padding: PerDim = 0,
        dilation: PerDim = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ):
        """The largest element of each window on [N, C, *sizes]: [N, C, *places].

        padding: how much the windows may reach beyond both ends, where no element is chosen.
        ceil_mode: whether a window may reach beyond the end where a rest would be left over.
        return_indices: give (values, indices), these counted in each flattened [*sizes].
        """
        x, batched = with_batch(input, n, op)
        check_pooled(x, op)
        options = window_options(n, op, kernel_size, stride, padding, dilation)
        ranges = places_to_choose_from(op, x.shape[2:], options, ceil_mode)
        index = largest_in(x.array, ranges, options[3])
        return picked(x, index, batched, return_indices)

    return named(op, max_pool)


def picked(x: Tensor, index: np.ndarray, batched: bool, return_indices: bool):
    """The elements of x [N, C, *sizes] at the index [N, C, *places] into flattened [*sizes]."""
    values = pick_each(flat_planes(x), flat_planes(index)).reshape(index.shape)
    found = (values, Tensor(index)) if batched else (values.squeeze(0), Tensor(index[0]))
    return found if return_indices else found[0]


def flat_planes(x):
    """[N, C, *sizes] as [N, C, size]: a tensor or an array."""
    return x.reshape((*x.shape[:2], math.prod(x.shape[2:])))


@functools.lru_cache(maxsize=256)
def places_to_choose_from(op: str, sizes: tuple, options: tuple, ceil_mode: bool) -> tuple:
    """The ranges of the windows on planes of so many elements, without what is padding."""
    kernel, stride, padding, dilation = options
    found = [pool_places(*z, ceil_mode) for z in zip(sizes, kernel, stride, padding, dilation)]
    places, ends = [f for f, _ in found], [e for _, e in found]
    check_fits([s + p + max(e, p) for s, p, e in zip(sizes, padding, ends)], kernel, dilation, op)
    ranges = []
    for size, n, k, s, p, d in zip(sizes, places, kernel, stride, padding, dilation):
        start = np.arange(n) * s - p
        begin = start + np.maximum(-(start // d), 0) * d  # the first element that is in x
        if begin.max() >= size:
            raise ShapeError(
                f"{op}: a window lies wholly in the padding, where there is nothing to choose from"
            )
        ranges.append((begin, np.minimum(start + (k - 1) * d + 1, size)))
    return tuple(ranges)


def largest_in(x: np.ndarray, ranges, steps) -> np.ndarray:
    """Where in each flattened plane of x [N, C, *sizes] the largest element of each window lies;
    the windows are products of ranges, of which each dimension has some: [N, C, *places]."""
    rows, windows = kernel_form(x, ranges)
    index = kernels.largest(rows, windows, (1,) * (3 - len(steps)) + tuple(steps))
    return index.reshape(*x.shape[:2], *index.shape[4 - len(ranges) :])


def max_unpool_of(n: int):
    """The partial inverse of max_pool over n dimensions."""
    op = f"max_unpool{n}d"

    def max_unpool(
        input: Tensor,
        indices: Tensor,
        kernel_size: PerDim,
        stride: PerDim | None = None,
        padding: PerDim = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        """Zeros, with each element of [N, C, *places] where max_pool says that it came from.

        Without `output_size` it is (place − 1) stride − 2 padding + kernel.
        """
        x, batched = with_batch(input, n, op)
        if indices.shape != input.shape:
            raise ShapeError(
                f"{op}: indices must have the shape of the input, {input.shape}; got "
                f"{indices.shape}"
            )
        options = window_options(n, op, kernel_size, stride, padding)[:3]
        sizes = [(i - 1) * s - 2 * p + k for i, k, s, p in zip(x.shape[2:], *options)]
        sizes = sizes if output_size is None else tuple(output_size)[-n:]
        index, size = flat_planes(indices.array.reshape(x.shape)), math.prod(sizes)
        if index.size and (index.min() < 0 or index.max() >= size):
            raise IndexError(f"{op}: an index is outside of [0, {size}), the output {sizes}")
        out = place_each(flat_planes(x), index, size).reshape(*x.shape[:2], *sizes)
        return out if batched else out.squeeze(0)

    return named(op, max_unpool)


# ---- Mean ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def places_to_average(
    op: str, sizes: tuple, options: tuple, ceil_mode: bool, count_include_pad: bool
) -> tuple:
    """The ranges of the windows on planes of so many elements, without what is padding; and how
    many elements each counts, along each dimension."""
    kernel, stride, padding, dilation = options
    ranges, counts, ends = [], [], []
    for size, k, s, p in zip(sizes, kernel, stride, padding):
        number, end = pool_places(size, k, s, p, 1, ceil_mode)
        start = np.arange(max(number, 0)) * s - p
        stop = np.minimum(start + k, size + p)
        inside = np.maximum(start, 0), np.minimum(stop, size)
        ranges.append(inside)
        counts.append(stop - start if count_include_pad else inside[1] - inside[0])
        ends.append(end)
    check_fits([s + p + max(e, p) for s, p, e in zip(sizes, padding, ends)], kernel, dilation, op)
    return tuple(ranges), one_or_each(counts)


def one_or_each(counts: list) -> float | np.ndarray:
    """The products of numbers along each dimension; one number, if they are all the same."""
    products = functools.reduce(np.multiply.outer, counts)
    numbers = np.unique(products)
    return numbers.item() if numbers.size == 1 else products


def mean_of_windows(op, n, input, options, ceil_mode, count_include_pad, divisor) -> Tensor:
    """The sum of each window, over the number of its elements."""
    x, batched = with_batch(input, n, op)
    check_pooled(x, op)
    if divisor == 0:
        raise RuntimeError(f"{op}: divisor must be not zero")
    ranges, counts = places_to_average(op, x.shape[2:], options, ceil_mode, count_include_pad)
    out = means_of_ranges(x, ranges, divisor or counts)
    return out if batched else out.squeeze(0)


def means_of_ranges(x: Tensor, ranges, counts: float | np.ndarray) -> Tensor:
    """The sum of each window of x [N, C, *sizes], over the number that is given for it, or all."""
    sums = window_sum(x, ranges)
    each = Tensor(counts.astype(x.dtype)) if isinstance(counts, np.ndarray) else counts
    return sums / each if x.dtype.kind == "f" else div(sums, each, rounding_mode="trunc")


def avg_pool1d(
    input: Tensor,
    kernel_size: PerDim,
    stride: PerDim | None = None,
    padding: PerDim = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window on [N, C, size]: [N, C, places]. Options as of avg_pool2d."""
    options = window_options(1, "avg_pool1d", kernel_size, stride, padding)
    return mean_of_windows("avg_pool1d", 1, input, options, ceil_mode, count_include_pad, None)


def avg_pool_of(n: int):
    """Mean over windows on n dimensions."""
    op = f"avg_pool{n}d"

    def avg_pool(
        input: Tensor,
        kernel_size: PerDim,
        stride: PerDim | None = None,
        padding: PerDim = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        """The mean of each window on [N, C, *sizes]: [N, C, *places].

        padding: how many zeros to put at both ends; whether they count as elements is
            `count_include_pad`.
        ceil_mode: whether a window may reach beyond the end where a rest would be left over; what
            lies beyond the padding never counts.
        divisor_override: divide the sum by this instead.
        """
        options = window_options(n, op, kernel_size, stride, padding)
        return mean_of_windows(
            op, n, input, options, ceil_mode, count_include_pad, divisor_override
        )

    return named(op, avg_pool)


# ---- A given number of places --------------------------------------------------------------------


def adaptive_sizes(x: Tensor, output_size, n: int, op: str) -> tuple[int, ...]:
    """The sizes asked for; None keeps that of the input."""
    check_pooled(x, op)
    asked = tuple(output_size) if isinstance(output_size, list | tuple) else (output_size,) * n
    if len(asked) != n or any(a is not None and a < 0 for a in asked):
        raise RuntimeError(f"{op}: output_size must be {n} numbers >= 0 (or None), got {asked}")
    return tuple(size if a is None else int(a) for a, size in zip(asked, x.shape[2:]))


@functools.lru_cache(maxsize=256)
def adaptive_windows(sizes: tuple, places: tuple) -> tuple:
    """The ranges, ⌊i size / places⌋ to ⌈(i + 1) size / places⌉ along each dimension, and how many
    elements the windows have."""
    ranges = []
    for size, n in zip(sizes, places):
        i = np.arange(n)
        ranges.append((i * size // max(n, 1), -(-(i + 1) * size // max(n, 1))))
    return tuple(ranges), one_or_each([end - begin for begin, end in ranges])


def adaptive_avg_pool_of(n: int):
    """Means over as many windows as are asked for."""
    op = f"adaptive_avg_pool{n}d"

    def adaptive_avg_pool(input: Tensor, output_size) -> Tensor:
        """The means of windows on [N, C, *sizes] that, evenly spread, are `output_size` many."""
        x, batched = with_batch(input, n, op)
        ranges, counts = adaptive_windows(x.shape[2:], adaptive_sizes(x, output_size, n, op))
        out = means_of_ranges(x, ranges, counts)
        return out if batched else out.squeeze(0)

    return named(op, adaptive_avg_pool)


def adaptive_max_pool_of(n: int):
    """Maxima over as many windows as are asked for."""
    op = f"adaptive_max_pool{n}d"

    def adaptive_max_pool(input: Tensor, output_size, return_indices: bool = False):
        """The largest elements of windows on [N, C, *sizes] that, evenly spread, are `output_size`
        many. With `return_indices` (values, indices), as of max_pool."""
        x, batched = with_batch(input, n, op)
        ranges, _ = adaptive_windows(x.shape[2:], adaptive_sizes(x, output_size, n, op))
        return picked(x, largest_in(x.array, ranges, (1,) * n), batched, return_indices)

    return named(op, adaptive_max_pool)


max_pool1d, max_pool2d, max_pool3d = max_pool_of(1), max_pool_of(2), max_pool_of(3)
max_unpool1d, max_unpool2d, max_unpool3d = max_unpool_of(1), max_unpool_of(2), max_unpool_of(3)
named("avg_pool1d", avg_pool1d)
avg_pool2d, avg_pool3d = avg_pool_of(2), avg_pool_of(3)
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    adaptive_avg_pool_of(n) for n in (1, 2, 3)
)
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    adaptive_max_pool_of(n) for n in (1, 2, 3)
)
