"""Windows that slide over the last dimensions, and slices picked along one dimension.

A window of `kernel` elements, `dilation` apart, is laid at every `stride`-th place where it fits:

    sliding_windows(x [..., *sizes])  ->  [..., *kernel, *places]
    out[..., k, p] = x[..., p · stride + k · dilation]

Convolution and pooling are made of these; `padded` lets the windows reach beyond the border. What
is here comes in pairs, of which each is the other's gradient.
"""

import math
from collections.abc import Sequence

import numpy as np

from ...kernels import pooling, scatter
from ...kernels.conv_columns import overlapped, padded, windows_of
from ..primitive import primitive
from ..registry import ShapeError

__all__ = ["constant_pad_nd"]

PerDim = int | Sequence[int]  # an option: one number for all dimensions, or a number for each

# ---- Padding -------------------------------------------------------------------------------------


@primitive
def constant_pad_nd(x, pad, value=0):
    """x with `value` around it: pad[0] before and pad[1] behind the last dimension, pad[2] and
    pad[3] around the one before it, and so on. A negative number cuts off."""
    if len(pad) % 2 or len(pad) > 2 * x.ndim:
        raise ShapeError(
            f"pad: needs two lengths for each dimension from the last one on, at most {2 * x.ndim} "
            f"for shape {x.shape}; got {tuple(pad)}"
        )
    out = padded(x, list(zip(pad[::2], pad[1::2]))[::-1], value)
    return out if any(n > 0 for n in pad) else np.array(out)


constant_pad_nd.vjp(x=lambda g, pad: constant_pad_nd(g, tuple(-n for n in pad)))


# ---- Windows -------------------------------------------------------------------------------------


def per_dim(value, n: int, name: str, op: str) -> tuple[int, ...]:
    """An option that is one number for all `n` dimensions, or a number for each."""
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(numbers) not in (1, n) or not all(isinstance(v, int | np.integer) for v in numbers):
        raise RuntimeError(f"{op}: {name} must be a whole number, or {n} of them; got {value!r}")
    return tuple(int(v) for v in numbers) * (n // len(numbers))


def check_at_least(least: int, op: str, **options) -> None:
    """Refuse numbers below `least`."""
    for name, numbers in options.items():
        if min(numbers) < least:
            kind = "positive" if least == 1 else "at least 0"
            raise RuntimeError(f"{op}: {name} must be {kind}, got {numbers}")


@primitive
def sliding_windows(x, kernel, stride, dilation):
    """A copy of every window on the last dimensions of x [..., *sizes]: [..., *kernel, *places]"""
    return np.array(windows_of(x, kernel, stride, dilation), order="C")


@primitive
def overlap_add(x, sizes, stride, dilation):
    """Zeros [..., *sizes], to which windows x [..., *kernel, *places] are added at their places"""
    return overlapped(x, sizes, stride, dilation)


sliding_windows.vjp(
    x=lambda g, x_shape, kernel, stride, dilation: overlap_add(
        g, x_shape[-len(kernel) :], stride, dilation
    )
)
overlap_add.vjp(
    x=lambda g, x_shape, sizes, stride, dilation: sliding_windows(
        g, x_shape[-2 * len(sizes) : -len(sizes)], stride, dilation
    )
)


# ---- Windows of any size -------------------------------------------------------------------------
# `ranges` has, for each of the last dimensions, where its windows begin, and before which element
# they end: two arrays.


def kernel_form(x, ranges) -> tuple:
    """x as [rows, d, h, w], and the ranges along each of these three."""
    n = len(ranges)
    whole = [(np.zeros(1, np.int64), np.ones(1, np.int64))] * (3 - n)
    rows = x.reshape(math.prod(x.shape[:-n]), *[1] * (3 - n), *x.shape[-n:])
    return rows, [*whole, *ranges]


@primitive
def window_sum(x, ranges):
    """The sum of every window on the last dimensions of x [..., *sizes]: [..., *places]"""
    out = pooling.sums(*kernel_form(x, ranges))
    return out.reshape(*x.shape[: -len(ranges)], *out.shape[4 - len(ranges) :])


@primitive
def window_spread(x, sizes, ranges):
    """Zeros [..., *sizes], to which x [..., *places] is added all over each window"""
    rows, windows = kernel_form(x, ranges)
    out = pooling.spread(rows, (1,) * (3 - len(ranges)) + tuple(sizes), windows)
    return out.reshape(*x.shape[: -len(ranges)], *sizes)


window_sum.vjp(x=lambda g, x_shape, ranges: window_spread(g, x_shape[-len(ranges) :], ranges))
window_spread.vjp(x=lambda g, ranges: window_sum(g, ranges))


# ---- Slices along a dimension --------------------------------------------------------------------


@primitive
def pick(x, index, dim):
    """The slices of x along `dim` whose numbers are in the array index [n]"""
    return np.take(x, index, dim)


@primitive
def collect(x, index, dim, size):
    """Zeros of `size` along `dim`, to which slice i of x is added as slice index[i]"""
    out = np.zeros((*x.shape[:dim], size, *x.shape[dim + 1 :]), x.dtype)
    scatter.add_at(out, (slice(None),) * dim + (index,), x)
    return out


pick.vjp(x=lambda g, x_shape, index, dim: collect(g, index, dim, x_shape[dim]))
collect.vjp(x=lambda g, index, dim: pick(g, index, dim))


# ---- One element of each row ---------------------------------------------------------------------


def flat(index, size: int):
    """Indices into rows [..., size] as indices into all rows behind one another."""
    lead = index.shape[:-1]
    return index + (np.arange(math.prod(lead)) * size).reshape(*lead, 1)


def rows(x):
    """[..., n] as [rows, n, 1]"""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1], 1)


@primitive
def pick_each(x, index):
    """x[row, index[row, i]] for rows x [..., n] and an array index [..., i]: [..., i]"""
    return scatter.pick_along(rows(x), rows(index)).reshape(index.shape)


@primitive
def collect_each(x, index, size):
    """Zeros [..., size], to which x[row, i] is added at index[row, i]"""
    out = np.zeros((*x.shape[:-1], size), x.dtype)
    scatter.add_along(rows(out), rows(index), rows(x))
    return out


@primitive
def place_each(x, index, size):
    """Zeros [..., size], with x[row, i] at index[row, i]. Where an index occurs twice, the last one
    counts; but the gradient is given to all, as in PyTorch."""
    out = np.zeros((*x.shape[:-1], size), x.dtype)
    out.reshape(-1)[flat(index, size)] = x
    return out


pick_each.vjp(x=lambda g, x_shape, index: collect_each(g, index, x_shape[-1]))
place_each.vjp(x=lambda g, index: pick_each(g, index))
collect_each.vjp(x=lambda g, index: pick_each(g, index))
