"""Indexing: reading and writing some of the elements.

An index may be anything that NumPy takes: ints, slices (also backwards, which PyTorch refuses),
None, ..., lists, arrays and tensors of ints or bools. Where an element is read several times its
gradient is summed. slices.py, scatter.py and mask.py have the other ways to choose elements.
"""

import math
import warnings
from operator import index as as_int
from typing import Any

import numpy as np

from ...kernels import embedding as embedding_kernel
from ...kernels import scatter
from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .elementwise import where
from .shape import checked_dim, reshape

__all__ = ["index_put", "select"]


def plain(index) -> Any:
    """An index without tensors in it, as NumPy wants it. Arrays are copied: the gradient will read
    them, and who has written something else into them by then must not get another gradient."""
    if isinstance(index, tuple):
        return tuple(plain(i) for i in index)
    if isinstance(index, Tensor | np.ndarray):
        return index_array(np.array(getattr(index, "array", index)))
    if isinstance(index, list | range):
        array = np.asarray([plain(i) for i in index])
        return array if array.size else array.astype(int)  # that of [] is float
    if isinstance(index, slice):
        ends = (index.start, index.stop, index.step)
        return slice(*[as_int(n) if isinstance(n, Tensor) else n for n in ends])
    return index


def index_array(array: np.ndarray):
    """A 0-d array of ints is an int; uint8 is a mask, as in PyTorch."""
    if array.dtype == np.uint8:
        warnings.warn(
            "an index of uint8 is taken as a mask, as in PyTorch, where this is deprecated: use "
            ".bool() for a mask, .long() for indices", stacklevel=4)  # fmt: skip
        return array.astype(bool)
    return int(array) if not array.ndim and array.dtype.kind in "iu" else array


def has_tensor(index: slice) -> bool:
    return isinstance(index.start, Tensor) or isinstance(index.stop, Tensor) or isinstance(
        index.step, Tensor)  # fmt: skip


def is_int(i) -> bool:
    return isinstance(i, int | np.integer) and not isinstance(i, bool)


def is_basic(index) -> bool:
    """Whether the index is of ints, slices, None and ... only: it reads no element twice."""
    if index.__class__ is int or index.__class__ is slice:
        return True
    parts = index if isinstance(index, tuple) else (index,)
    return all(i is None or i is Ellipsis or isinstance(i, slice) or is_int(i) for i in parts)


def is_mixed(index) -> bool:
    """Whether ints stand beside arrays."""
    return isinstance(index, tuple) and any(map(is_int, index)) and not is_basic(index)


def in_two_steps(index: tuple) -> tuple[tuple, tuple]:
    """An index by ints, slices, None and ..., and one by arrays into what that gives: so an int
    takes its dimension away and no more, as in PyTorch. (To NumPy an int beside arrays is one of
    them, so that the result of x[0, :, [1, 2]] has its dimensions in another order.)"""
    basic, arrays = [], []
    for i in index:
        if isinstance(i, np.ndarray | bool):
            basic += [slice(None)] * (np.ndim(i) if np.asarray(i).dtype == bool else 1)
            arrays.append(i)
        else:
            basic.append(i)
            arrays += [] if is_int(i) else [i if i is Ellipsis else slice(None)]
    return tuple(basic), tuple(arrays)


def get_item(x, index) -> Tensor:
    """x[index]"""
    if index.__class__ is int or (index.__class__ is slice and not has_tensor(index)):  # most often
        return getitem(x, index)
    index = plain(index)
    if is_mixed(index):
        basic, index = in_two_steps(index)
        x = getitem(x, basic)
    return getitem(x, index)


@primitive(is_view=True)
def getitem(x, index):
    """x[index]"""
    try:
        found = x[index]
    except IndexError as error:
        raise in_our_words(error) from None
    if isinstance(found, np.ndarray):
        return found
    # One element: NumPy gives a number, but with ... in the index it gives a view.
    return x[(*index, ...) if isinstance(index, tuple) else (index, ...)]


getitem.vjp(x=lambda g, x_shape, index: put_zeros(g, x_shape, index))


def in_our_words(error: IndexError) -> IndexError:
    return IndexError(
        str(error).replace("out of bounds", "out of range").replace(" axis", " dim")
        .replace("boolean dim", "mask").replace("boolean index", "mask")
    )  # fmt: skip


@primitive
def put_zeros(x, shape, index):
    """Zeros of `shape`, to which x is added at `index`"""
    out = np.zeros(shape, x.dtype)
    if is_basic(index):
        out[index] = x
    else:
        scatter.add_at(out, index, x)
    return out


put_zeros.vjp(x=lambda g, index: getitem(g, index))


@primitive
def setitem(x, value, index):
    """x with `value` at `index` instead; of several values for one element, the last one stays"""
    out = np.array(x)
    put_values(out, index, value)
    return out


def put_values(array: np.ndarray, index, value) -> None:
    """array[index] = value; errors in our words"""
    try:
        array[index] = value
    except IndexError as error:
        raise IndexError(f"x[...] = value: {in_our_words(error)}") from None
    except ValueError as error:
        if not any(word in str(error) for word in ("broadcast", "assign")):
            raise  # a NaN among integers, say
        target = array[index].shape
        raise ShapeError(f"x[...] = value: a value of shape {np.shape(value)} can't be broadcast "
                         f"to the shape {target} of the part of x ({array.shape}) that it is to "
                         "replace") from error  # fmt: skip


def gradient_of_value(g, x_shape, value_shape, value_dtype, index):
    """Where one element is written several times, only the last value has an influence."""
    chosen = last_written(getitem(g, index).to(value_dtype), x_shape, index)
    extra = max(0, len(value_shape) - chosen.ndim)  # x[0] = [[1, 2]] has a dimension to spare
    return chosen.reshape((1,) * extra + chosen.shape)


def last_written(chosen, x_shape, index):
    """0 in place of those elements of x[index] that a later one of them overwrites."""
    if is_basic(index) or not chosen.array.size:
        return chosen
    order = np.arange(chosen.array.size).reshape(chosen.shape)
    last = np.full(x_shape, -1)
    last[index] = order
    return where(last[index] == order, chosen, 0.0)


setitem.vjp(x=lambda g, index: setitem(g, 0.0, index), value=gradient_of_value)


@primitive
def index_put_sum(x, value, index):
    """x, with `value` added at `index`, as often as an element occurs there"""
    out = np.array(x, order="C")
    scatter.add_at(out, index, value)
    return out


index_put_sum.vjp(
    x=lambda g: g, value=lambda g, value_dtype, index: getitem(g, index).to(value_dtype)
)


@composition
def index_put(x, indices, values, accumulate=False):
    """x with `values` at x[indices], a tuple of tensors (None: all); `accumulate` adds them"""
    index = tuple(slice(None) if i is None else plain(i) for i in indices)
    same_dtype(x, values, "index_put")
    return index_put_sum(x, values, index) if accumulate else setitem(x, values, index)


def same_dtype(x, src, op: str) -> None:
    """Refuse to write, say, floats among integers, which would round them."""
    if isinstance(src, Tensor) and src.dtype != x.dtype:
        raise RuntimeError(f"{op}: values of {src.dtype} can't go into a tensor of {x.dtype}; "
                           "convert them with .to(x.dtype)")  # fmt: skip


def number_like(x, value):
    """A number in the type of a tensor: filling an int tensor must not make it float."""
    if x.dtype.kind == "f":
        return value
    try:
        return np.asarray(value).astype(x.dtype) if np.isfinite(value) else int(value)
    except (OverflowError, ValueError):
        raise RuntimeError(f"{value} has no place in a tensor of {x.dtype}; convert it with "
                           ".float() first") from None  # fmt: skip


# ---- Along one dimension -------------------------------------------------------------------------


def checked_index(index, size: int, op: str, dim=0, negative: bool = False) -> np.ndarray:
    """A copy of an index; an error if it points outside. If `negative` ones are allowed, they count
    from the end, and are replaced."""
    index = index.array if isinstance(index, Tensor) else np.asarray(index)
    if index.dtype.kind in "iu" and scatter.inside(index, size):
        return np.array(index)
    check_points_inside(index, size, op, dim, -size if negative else 0)
    return index % size if index.size and negative else np.array(index)


def check_points_inside(index: np.ndarray, size: int, op: str, dim: int, lowest: int = 0) -> None:
    if index.dtype.kind not in "iu":
        raise IndexError(f"{op}: the index must hold integers; it is {index.dtype}")
    wrong = index[(index < lowest) | (index >= size)]
    if wrong.size:
        raise IndexError(f"{op}: index {wrong[0]} is out of range for dim {dim} with size {size}")


def sized(x, dim: int, op: str) -> tuple:
    """x with at least one dimension, and `dim` counted from the front"""
    return (x if x.ndim else reshape(x, (1,))), checked_dim(dim, x.ndim, op)


@composition
def select(x, dim, index):
    """The slice number `index` along `dim`, as a view"""
    if not x.ndim:
        raise IndexError("select: a 0-d tensor has no dimension to select from")
    dim, index = checked_dim(dim, x.ndim, "select"), as_int(index)
    if not -x.shape[dim] <= index < x.shape[dim]:
        raise IndexError(
            f"select: index {index} is out of range for dim {dim} with size {x.shape[dim]}"
        )
    return getitem(x, (slice(None),) * dim + (index,))


# ---- Embeddings ----------------------------------------------------------------------------------


@primitive
def embedding(weight, indices):
    """Row indices[...] of the table weight [num_embeddings, width]: [..., width]"""
    if weight.ndim != 2:
        raise ShapeError(f"the weight must be a table [num_embeddings, width], not {weight.shape}")
    if indices.dtype.kind not in "iu":
        raise IndexError(f"indices must be integers; they are {indices.dtype}")
    if not scatter.inside(indices, len(weight)):
        wrong = indices[(indices < 0) | (indices >= len(weight))][0]
        raise IndexError(f"index {wrong} is out of range for {len(weight)} embeddings")
    return weight[indices]


embedding.vjp(weight=lambda g, indices, weight_shape: embedding_sum(g, indices, weight_shape[0]))


@primitive
def embedding_sum(x, indices, num_embeddings):
    """The rows of x [..., width] summed up by index: [num_embeddings, width]"""
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return embedding_kernel.backward(rows, indices.reshape(-1), num_embeddings)


embedding_sum.vjp(x=lambda g, indices: embedding(g, indices))


@composition
def one_hot(x, num_classes=-1):
    """1 at each index, 0 elsewhere, along a new last dimension of num_classes (-1: largest + 1)"""
    index = x.array
    classes = int(index.max()) + 1 if num_classes == -1 and index.size else num_classes
    if index.size and index.min() < 0:
        raise IndexError(f"one_hot: class {index.min()} is negative")
    index = checked_index(index, classes, "one_hot")
    return Tensor((index[..., None] == np.arange(classes)).astype(np.int64))
