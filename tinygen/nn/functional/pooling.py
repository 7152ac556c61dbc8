"""Pooling: one number for each window, its largest or its mean.

An option may be one number for all dimensions, or a number for each. The batch dimension of an
input may be missing. The gradient of a maximum goes to the first of several that are equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.composed import div
from tinygen.autograd.ops.window import (
    PerDim,
    check_at_least,
    collect,
    constant_pad_nd,
    per_dim,
    pick,
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
        index = largest_of_windows(op, x.array, options, ceil_mode)
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


def largest_of_windows(op: str, x: np.ndarray, options: tuple, ceil_mode: bool) -> np.ndarray:
    """Where in each flattened plane of x [N, C, *sizes] the first largest element of each window
    lies, or the last NaN: [N, C, *places]."""
    sizes, (kernel, stride, padding, dilation) = x.shape[2:], options
    found = [pool_places(*z, ceil_mode) for z in zip(sizes, kernel, stride, padding, dilation)]
    places, ends = [f for f, _ in found], [e for _, e in found]
    check_fits([s + p + max(e, p) for s, p, e in zip(sizes, padding, ends)], kernel, dilation, op)
    starts, first = [], []  # of each window; and which of its elements is the first in x
    for size, n, s, p, d in zip(sizes, places, stride, padding, dilation):
        starts.append(np.arange(n) * s - p)
        first.append(np.maximum(-(starts[-1] // d), 0))
        if (starts[-1] + first[-1] * d).max() >= size:
            raise ShapeError(
                f"{op}: a window lies wholly in the padding, where there is nothing to choose from"
            )
    begins = [s + f * d for s, f, d in zip(starts, first, dilation)]
    limits = [np.minimum(s + (k - 1) * d + 1, size)
              for s, k, d, size in zip(starts, kernel, dilation, sizes)]  # fmt: skip
    return largest_in(x, begins, limits, dilation)


def largest_in(x: np.ndarray, begins, ends, steps) -> np.ndarray:
    """Where in each flattened plane of x [N, C, *sizes] the largest element of each window lies;
    the windows are products of ranges, of which each dimension has some: [N, C, *places]."""
    ones = 3 - len(begins)
    whole = ([np.zeros(1, np.int64)] * ones, [np.ones(1, np.int64)] * ones, (1,) * ones)
    planes = x.reshape(math.prod(x.shape[:2]), *[1] * ones, *x.shape[2:])
    index = kernels.largest(planes, [*whole[0], *begins], [*whole[1], *ends], (*whole[2], *steps))
    return index.reshape(*x.shape[:2], *map(len, begins))


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


def mean_of_windows(
    op: str,
    n: int,
    input: Tensor,
    options: tuple,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    """The sum of each window, over the number of its elements."""
    x, batched = with_batch(input, n, op)
    check_pooled(x, op)
    if divisor == 0:
        raise RuntimeError(f"{op}: divisor must be not zero")
    kernel, stride, padding, dilation = options
    places, counts, ends = [], np.ones(()), []
    for size, k, s, p in zip(x.shape[2:], kernel, stride, padding):
        number, end = pool_places(size, k, s, p, 1, ceil_mode)
        start = np.arange(max(number, 0)) * s - p
        stop = np.minimum(start + k, size + p)
        inside = np.minimum(stop, size) - np.maximum(start, 0)
        counts = np.multiply.outer(counts, stop - start if count_include_pad else inside)
        places, ends = [*places, number], [*ends, end]
    check_fits([s + p + max(e, p) for s, p, e in zip(x.shape[2:], padding, ends)],
               kernel, dilation, op)  # fmt: skip
    around = [e for pair in zip(reversed(padding), reversed(ends)) for e in pair]
    sums = window_sum(constant_pad_nd(x, around) if any(around) else x, kernel, stride)
    divisors = divisor or Tensor(counts.astype(x.dtype))
    out = sums / divisors if x.dtype.kind == "f" else div(sums, divisors, rounding_mode="trunc")
    return out if batched else out.squeeze(0)


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


def adaptive_windows(size: int, places: int) -> list[tuple[int, int]]:
    """From where to where the windows reach: ⌊i size / places⌋ to ⌈(i + 1) size / places⌉."""
    return [(i * size // places, -(-(i + 1) * size // places)) for i in range(places)]


def adaptive_avg_pool_of(n: int):
    """Means over as many windows as are asked for."""
    op = f"adaptive_avg_pool{n}d"

    def adaptive_avg_pool(input: Tensor, output_size) -> Tensor:
        """The means of windows on [N, C, *sizes] that, evenly spread, are `output_size` many."""
        x, batched = with_batch(input, n, op)
        for dim, places in enumerate(adaptive_sizes(x, output_size, n, op), 2):
            x = means_along(x, dim, adaptive_windows(x.shape[dim], places))
        return x if batched else x.squeeze(0)

    return named(op, adaptive_avg_pool)


def means_along(x: Tensor, dim: int, bounds: list[tuple[int, int]]) -> Tensor:
    """The means of x from start to stop along `dim`, for each (start, stop)."""
    size, places = x.shape[dim], len(bounds)
    if places and size % places == 0:  # all windows are of one size
        parts = x.reshape(*x.shape[:dim], places, size // places, *x.shape[dim + 1 :])
        return parts.mean(dim + 1)
    counts = np.array([stop - start for start, stop in bounds], np.intp)
    elements = np.array([i for start, stop in bounds for i in range(start, stop)], np.intp)
    owner = np.repeat(np.arange(places), counts)
    sums = collect(pick(x, elements, dim), owner, dim, places)
    return sums / counts.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1 - dim))


def adaptive_max_pool_of(n: int):
    """Maxima over as many windows as are asked for."""
    op = f"adaptive_max_pool{n}d"

    def adaptive_max_pool(input: Tensor, output_size, return_indices: bool = False):
        """The largest elements of windows on [N, C, *sizes] that, evenly spread, are `output_size`
        many. With `return_indices` (values, indices), as of max_pool."""
        x, batched = with_batch(input, n, op)
        places = adaptive_sizes(x, output_size, n, op)
        bounds = [adaptive_windows(size, p) for size, p in zip(x.shape[2:], places)]
        begins, ends = (
            [[b for b, _ in each] for each in bounds],
            [[e for _, e in each] for each in bounds],
        )
        index = largest_in(x.array, begins, ends, (1,) * n)
        return picked(x, index, batched, return_indices)

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
