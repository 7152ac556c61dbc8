"""Scans: element i along `dim` is made of elements 0 to i. And what is made of neighbours:
differences, and integrals by the trapezoidal rule."""

import numpy as np

from ..dtypes import float32, result_dtype
from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .arrange import flip
from .compare import ne
from .elementwise import clone, mul
from .join import cat
from .order import Ordered, picked
from .reduce import axis_of, sum
from .shape import narrow, reshape
from .special import logaddexp

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "logcumsumexp",
    "trapezoid", "trapz",
]  # fmt: skip

# ---- Sums, products, extremes --------------------------------------------------------------------


SHORT = 16  # so many terms: no more rounding than in a sum of the kind that NumPy adds in pairs


@primitive
def cumsum(x, dim, dtype=None):
    """Element i along `dim` is the sum of elements 0 to i; bool and integers are summed as int64.
    float32 is summed in float64, unless it is short, for the error would grow with the length."""
    axis = axis_of(dim, x.ndim)
    if dtype is None and x.dtype is float32 and axis is not None and x.shape[axis] <= SHORT:
        return np.add.accumulate(x, axis)
    dtype = np.dtype(dtype or (np.int64 if x.dtype.kind in "biu" else x.dtype))
    exact = np.dtype(np.float64) if dtype.kind == "f" else dtype
    if axis is None:
        return x.astype(dtype)
    total = np.add.accumulate(x.astype(dtype, copy=False), axis, dtype=exact)
    return total.astype(dtype, copy=False)


cumsum.vjp(x=lambda g, x_dtype, dim: cumulated_from_end(g, dim).to(x_dtype))


def cumulated_from_end(g, dim):
    return flip(cumsum(flip(g, dim), dim), dim) if g.ndim else g


def scan(combine, x, dim, op: str):
    """Every element combined with all before it, for an associative `combine` of two tensors.

    Round k combines what is 2^k apart, so that runs of 2^(k + 1) elements are done after it
    (Hillis & Steele 1986, "Data parallel algorithms"): log2(n) rounds, whose gradients, of any
    order, are those of `combine`. Where that is a product, nothing is divided by an element, which
    might be 0.
    """
    axis = axis_of(dim, x.ndim, op)
    if axis is None:
        return clone(x)
    step, n = 1, x.shape[axis]
    while step < n:
        pairs = combine(narrow(x, axis, 0, n - step), narrow(x, axis, step, n - step))
        x = cat([narrow(x, axis, 0, step), pairs], axis)
        step *= 2
    return x


@composition
def cumprod(x, dim, dtype=None):
    """Element i along `dim` is the product of elements 0 to i"""
    return scan(mul, x.to(np.int64 if dtype is None and x.dtype.kind in "biu" else dtype), dim,
                "cumprod")  # fmt: skip


@composition
def logcumsumexp(x, dim):
    """Element i along `dim` is the logarithm of the sum of e^x over elements 0 to i"""
    return scan(logaddexp, x.to(result_dtype([x.array], floating=True)), dim, "logcumsumexp")


@composition
def cummax(x, dim) -> Ordered:
    """(the largest of elements 0 to i along `dim`, where the last one is); NaN after NaN"""
    return running_extreme(np.maximum, x, axis_of(dim, x.ndim, "cummax"))


@composition
def cummin(x, dim) -> Ordered:
    """(the smallest of elements 0 to i along `dim`, where the last one is); NaN after NaN"""
    return running_extreme(np.minimum, x, axis_of(dim, x.ndim, "cummin"))


def running_extreme(choose, x, axis) -> Ordered:
    """An element is a new extreme if the extreme so far is equal to it, or if both are NaN."""
    a = x.array
    if axis is None or not a.size:
        return Ordered(clone(x), Tensor(np.zeros(a.shape, np.int64)))
    is_new = (a == choose.accumulate(a, axis=axis)) | (a != a)
    places = np.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - axis - 1))
    index = np.maximum.accumulate(np.where(is_new, places, 0), axis=axis)
    return picked(x, Tensor(index), axis)


# ---- Neighbours ----------------------------------------------------------------------------------


def neighbours(x, axis) -> tuple:
    """All elements but the last, and all but the first, along an axis."""
    pairs = max(x.shape[axis] - 1, 0)
    return narrow(x, axis, 0, pairs), narrow(x, axis, x.shape[axis] - pairs, pairs)


@composition
def diff(x, n=1, dim=-1, prepend=None, append=None):
    """Each element less the one before it along `dim`, n times over; `prepend` and `append` are put
    at the ends first. The differences of bools tell where they change."""
    axis = axis_of(dim, x.ndim, "diff")
    parts = [part for part in (prepend, x, append) if part is not None]
    if axis is None or any(part.ndim != x.ndim for part in parts):
        raise ShapeError(
            "diff: the tensor needs a dimension, and prepend and append as many as it has; the "
            f"shapes are {', '.join(str(part.shape) for part in parts)}"
        )
    if n < 0:
        raise RuntimeError(f"diff: n, how often differences are taken, can't be negative; got {n}")
    if n == 0:
        return clone(x)
    x = cat(parts, axis) if len(parts) > 1 else x
    for _ in range(min(n, x.shape[axis])):
        before, after = neighbours(x, axis)
        x = ne(after, before) if x.dtype == np.bool_ else after - before
    return x


@composition
def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral of y over `dim` by the trapezoidal rule: Σ (y_i + y_i+1) (x_i+1 - x_i) / 2.

    x: where y was taken, [n], or a shape that is broadcast to y's; if not given, the distance is dx
    """
    return sum(areas(y, x, dx, dim, "trapezoid"), dim)


trapz = trapezoid


@composition
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integrals of y up to its elements 1, 2, … along `dim`, as `trapezoid` computes them"""
    return cumsum(areas(y, x, dx, dim, "cumulative_trapezoid"), dim)


def areas(y, x, dx, dim, op: str):
    """The areas of the trapezoids between neighbouring elements."""
    axis = axis_of(dim, y.ndim, op)
    if axis is None:
        raise IndexError(f"{op}: a 0-d tensor has no dimension to integrate over")
    if x is not None:
        if x.ndim == 1 and len(x) != y.shape[axis]:
            raise ShapeError(f"{op}: {len(x)} places x for {y.shape[axis]} values y along {dim=}")
        if x.ndim == 1:
            x = reshape(x, x.shape + (1,) * (y.ndim - 1 - axis))
        dx = diff(x, dim=axis - y.ndim)
    before, after = neighbours(y, axis)
    return (before + after) * dx / 2
