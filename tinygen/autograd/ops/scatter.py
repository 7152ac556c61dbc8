"""Scattering: values go to elements that an index names along one dimension; several may go to one.

In all of these, src[i, j, ...] goes to x[i, ..., index[i, j, ...] at dim, ...]. The index may be
smaller than src; it has as many dimensions as x.
"""

import numpy as np

from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .along import add_along, along, check_index_fits, fitting_index
from .choose import where
from .compare import eq
from .index import (
    checked_index,
    getitem,
    index_put_sum,
    number_like,
    same_dtype,
    setitem,
    sized,
)
from .shape import expand, flatten, reshape

__all__ = ["index_reduce", "scatter", "scatter_add", "scatter_reduce"]


def scattered(x, dim, index, src, op: str) -> tuple:
    """x with a dimension at least, where in it values go (as a NumPy index), and which ones."""
    line, dim = sized(x, dim, op)
    index = np.atleast_1d(checked_index(index, line.shape[dim], op, dim))
    check_index_fits(line, index, dim, op)
    if isinstance(src, Tensor):
        same_dtype(x, src, op)
        src = part_for(index, sized(src, 0, op)[0], op)
    else:
        src = number_like(x, src)
    if not index.size:
        index = index.reshape((0,) * line.ndim)
        src = src if not isinstance(src, Tensor) else reshape(src, index.shape)
    return line, along(index, dim), src


def part_for(index, src, op: str):
    """The part of src that the index is for."""
    if src.shape == index.shape:
        return src
    if not index.size:
        return reshape(src, (-1,))[:0]
    if src.ndim != index.ndim or any(n > m for n, m in zip(index.shape, src.shape)):
        raise ShapeError(f"{op}: src of shape {src.shape} must be at least as large as the index, "
                         f"{index.shape}, in every dimension")  # fmt: skip
    return getitem(src, tuple(slice(n) for n in index.shape))


@composition
def scatter_add(x, dim, index, src):
    """x, to which src is added where the index says"""
    line, dim = sized(x, dim, "scatter_add")
    index = fitting_index(line, dim, index, "scatter_add")
    if not (isinstance(src, Tensor) and index.array.size):
        line, at, src = scattered(x, dim, index, src, "scatter_add")
        return reshaped(index_put_sum(line, src, at), x)
    same_dtype(x, src, "scatter_add")
    src = part_for(index.array, sized(src, 0, "scatter_add")[0], "scatter_add")
    return reshaped(add_along(line, src, index, dim), x)


def reshaped(out, x):
    return out if x.ndim else reshape(out, ())


@composition
def scatter(x, dim, index, src=None, *, value=None, reduce=None):
    """x, in which src (a tensor or a number, also called value) is put where the index says; of
    several values for one element one stays. reduce: "add" or "multiply" what is there with them"""
    src = value if src is None else src
    if src is None:
        raise TypeError("scatter: give a tensor `src` or a number `value`")
    write = {None: setitem, "add": index_put_sum, "multiply": multiply_at}.get(reduce)
    if write is None:
        raise RuntimeError(f'scatter: reduce must be "add" or "multiply"; got {reduce!r}')
    line, at, src = scattered(x, dim, index, src, "scatter")
    return reshaped(write(line, src, at), x)


@composition
def scatter_reduce(x, dim, index, src, reduce, *, include_self=True):
    """x, in which each element is the "sum", "prod", "mean", "amax" or "amin" of the values that go
    there and, if include_self, of itself. Equal extremes share the gradient equally."""
    if reduce not in WAYS:
        raise RuntimeError(f"scatter_reduce: reduce must be one of {list(WAYS)}; got {reduce!r}")
    line, at, src = scattered(x, dim, index, src, "scatter_reduce")
    neutral, write = WAYS[reduce]
    start = line if include_self else setitem(line, neutral(x.dtype), at)
    out = write(start, src, at)
    if reduce == "mean":
        count = np.ones(line.shape, x.dtype)
        count[at] = include_self
        np.add.at(count, at, 1)
        out = out / count if x.dtype.kind == "f" else out // Tensor(count)
    return reshaped(out, x)


@composition
def index_reduce(x, dim, index, source, reduce, *, include_self=True):
    """x, in which slice index[i] along `dim` is reduced with source[i], as in scatter_reduce"""
    line, dim = sized(x, dim, "index_reduce")
    index = np.atleast_1d(checked_index(index, line.shape[dim], "index_reduce", dim))
    expected = (*line.shape[:dim], index.size, *line.shape[dim + 1 :])
    source = sized(source, 0, "index_reduce")[0]
    if index.ndim > 1 or source.shape != expected:
        raise ShapeError(f"index_reduce: for this index (shape {index.shape}) the source must have "
                         f"the shape {expected}; it has {source.shape}")  # fmt: skip
    numbers = Tensor(index.reshape((-1,) + (1,) * (line.ndim - 1 - dim)))
    whole = scatter_reduce(line, dim, expand(numbers, expected), source, reduce,
                           include_self=include_self)  # fmt: skip
    return reshaped(whole, x)


# ---- Products and extremes -----------------------------------------------------------------------


def multiply_at(x, value, index):
    """x, multiplied at `index` by each of the values that go there. These are first multiplied with
    one another in pairs, as in prod: so the gradient is right where some are 0, too."""
    target = np.ravel_multi_index(index, x.shape)
    if not isinstance(value, Tensor):
        value = Tensor(np.full(target.shape, value, x.dtype))
    target = target.reshape(-1)
    order = np.argsort(target, kind="stable")
    target, value = target[order], getitem(flatten(value), order)
    while (target[1:] == target[:-1]).any():
        starts = np.flatnonzero(np.diff(target, prepend=-1))  # of the runs with one target
        rank = np.arange(target.size) - np.repeat(starts, np.diff(starts, append=target.size))
        left = np.flatnonzero(rank % 2 == 0)
        right = np.minimum(left + 1, target.size - 1)
        paired = (target[right] == target[left]) & (right > left)
        value = getitem(value, left) * where(paired, getitem(value, right), 1)
        target = target[left]
    flat = flatten(x)
    return reshape(setitem(flat, getitem(flat, target) * value, target), x.shape)


@primitive
def amax_at(x, value, index):
    """The larger of x and the values that go to its elements at `index`"""
    out = np.array(x)
    np.maximum.at(out, index, value)
    return out


@primitive
def amin_at(x, value, index):
    """The smaller of x and the values that go to its elements at `index`"""
    out = np.array(x)
    np.minimum.at(out, index, value)
    return out


def share_of_each(g, x, value, index, out):
    """Which of x and of the values are the extreme, and the cotangent over their number."""
    out = out.detach()
    of_x, of_value = eq(x, out).to(g.dtype), eq(value, getitem(out, index)).to(g.dtype)
    count = index_put_sum(of_x, of_value, index)
    return of_x, of_value, g / where(count == 0, 1.0, count)  # none is equal to NaN


def share_of_x(g, x, value, index, out):
    of_x, _, share = share_of_each(g, x, value, index, out)
    return share * of_x


def share_of_value(g, x, value, index, out):
    _, of_value, share = share_of_each(g, x, value, index, out)
    return getitem(share, index) * of_value


amax_at.vjp(x=share_of_x, value=share_of_value)
amin_at.vjp(x=share_of_x, value=share_of_value)


def lowest(dtype):
    return -np.inf if dtype.kind == "f" else 0 if dtype.kind == "b" else np.iinfo(dtype).min


def highest(dtype):
    return np.inf if dtype.kind == "f" else 1 if dtype.kind == "b" else np.iinfo(dtype).max


# What changes nothing, and how values are combined.
WAYS = {
    "sum": (lambda dtype: 0, index_put_sum), "prod": (lambda dtype: 1, multiply_at),
    "mean": (lambda dtype: 0, index_put_sum), "amax": (lowest, amax_at), "amin": (highest, amin_at),
}  # fmt: skip
