"""Slices along a dimension, and elements of the flattened tensor, chosen by their numbers."""

import math

import numpy as np

from ..registry import ShapeError, composition
from ..tensor import Tensor
from .index import checked_index, getitem, index_put_sum, same_dtype, setitem, sized
from .shape import flatten, reshape

__all__ = [
    "index_add", "index_copy", "index_fill", "index_select", "put", "take", "unravel_index",
]  # fmt: skip

# ---- Along one dimension -------------------------------------------------------------------------


def slices_at(x, dim: int, index, op: str, negative: bool = False) -> tuple:
    """The NumPy index of the slices along dim whose numbers are in a 1-D (or 0-d) index."""
    found = np.atleast_1d(checked_index(index, x.shape[dim], op, dim, negative))
    if found.ndim > 1:
        raise ShapeError(f"{op}: the index must be 1-D; its shape is {found.shape}")
    return (slice(None),) * dim + (found,)


@composition
def index_select(x, dim, index):
    """The slices of x along `dim` whose numbers are in the 1-D index"""
    line, dim = sized(x, dim, "index_select")
    out = getitem(line, slices_at(line, dim, index, "index_select"))
    return out if x.ndim else reshape(out, ())


def write_slices(x, dim, index, source, op: str, write):
    """write(x, source, where), where x[where] are the slices along dim with numbers in index."""
    line, dim = sized(x, dim, op)
    where_ = slices_at(line, dim, index, op, negative=op == "index_fill")
    if isinstance(source, Tensor) and op != "index_fill":
        same_dtype(x, source, op)
        source = sized(source, 0, op)[0]
        expected = (*line.shape[:dim], where_[-1].size, *line.shape[dim + 1 :])
        if source.shape != expected:
            raise ShapeError(f"{op}: the source must have the shape {expected} of the slices of "
                             f"{x.shape} at the index; it has {source.shape}")  # fmt: skip
    out = write(line, source, where_)
    return out if x.ndim else reshape(out, ())


@composition
def index_add(x, dim, index, source, *, alpha=1):
    """x, to which alpha source[i] is added at slice index[i] along `dim`"""
    source = source if alpha == 1 else source * alpha
    return write_slices(x, dim, index, source, "index_add", index_put_sum)


@composition
def index_copy(x, dim, index, source):
    """x, in which slice index[i] along `dim` is source[i]"""
    return write_slices(x, dim, index, source, "index_copy", setitem)


@composition
def index_fill(x, dim, index, value):
    """x with a number (or 0-d tensor) in all slices along `dim` whose numbers are in index"""
    if isinstance(value, Tensor) and value.ndim:
        raise ShapeError(f"index_fill: the value must be a number or a 0-d tensor; its shape is "
                         f"{value.shape}")  # fmt: skip
    return write_slices(x, dim, index, value, "index_fill", setitem)


# ---- Of the flattened tensor ---------------------------------------------------------------------


@composition
def take(x, index):
    """The elements of the flattened x at an index of any shape, which is the result's"""
    found = checked_index(index, x.array.size, "take", negative=True)
    return getitem(flatten(x), found) if found.ndim else getitem(flatten(x), (int(found),)).clone()


@composition
def put(x, index, source, accumulate=False):
    """x, in which element index[i] of the flattened x is source[i]; `accumulate` adds instead"""
    found = checked_index(index, x.array.size, "put", negative=True).reshape(-1)
    same_dtype(x, source, "put")
    if source.array.size != found.size:
        raise ShapeError(f"put: {found.size} indices (shape {index.shape}) for "
                         f"{source.array.size} values (shape {source.shape})")  # fmt: skip
    write = index_put_sum if accumulate else setitem
    return reshape(write(flatten(x), flatten(source), (found,)), x.shape)


@composition
def unravel_index(indices, shape):
    """Indices into a flattened tensor as a tuple of indices, one for each dimension of `shape`"""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if min(shape, default=0) < 0:
        raise ShapeError(f"unravel_index: sizes can't be negative; got {shape}")
    found = checked_index(indices, math.prod(shape), "unravel_index")
    return tuple(Tensor(np.asarray(i)) for i in np.unravel_index(found, shape))
