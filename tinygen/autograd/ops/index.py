"""Indexing: reading and writing some of the elements.

An index may be anything that NumPy takes: ints, slices, None, ..., lists, arrays and tensors of
ints or bools. Where an element is read several times its gradient is summed.
"""

import math

import numpy as np

from ...kernels import embedding as embedding_kernel
from ..primitive import composition, primitive
from ..tensor import Tensor
from .elementwise import where

__all__ = [
    "gather", "index_select", "masked_fill", "masked_select", "nonzero", "scatter",
    "scatter_add", "take_along_dim",
]  # fmt: skip


def plain(index):
    """An index without tensors in it, as NumPy wants it. Arrays are copied: the gradient will read
    them, and who has written something else into them by then must not get another gradient."""
    if isinstance(index, tuple):
        return tuple(plain(i) for i in index)
    if isinstance(index, Tensor | np.ndarray):
        return np.array(getattr(index, "array", index))
    if isinstance(index, list):
        array = np.asarray([plain(i) for i in index])
        return array if array.size else array.astype(int)  # that of [] is float
    return index


def is_basic(index) -> bool:
    """Whether the index is of ints, slices, None and ... only: it reads no element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        i is None or i is Ellipsis or isinstance(i, slice)
        or (isinstance(i, int | np.integer) and not isinstance(i, bool | np.bool_))
        for i in parts
    )  # fmt: skip


@primitive(is_view=True)
def getitem(x, index):
    """x[index]"""
    found = x[index]
    if isinstance(found, np.ndarray):
        return found
    # One element: NumPy gives a number, but with ... in the index it gives a view.
    return x[(*index, ...) if isinstance(index, tuple) else (index, ...)]


getitem.vjp(x=lambda g, x_shape, index: put_zeros(g, x_shape, index))


@primitive
def put_zeros(x, shape, index):
    """Zeros of `shape`, to which x is added at `index`"""
    out = np.zeros(shape, x.dtype)
    if is_basic(index):
        out[index] = x
    else:
        np.add.at(out, index, x)
    return out


put_zeros.vjp(x=lambda g, index: getitem(g, index))


@primitive
def setitem(x, value, index):
    """x with `value` at `index` instead; of several values for one element, the last one stays"""
    out = np.array(x)
    out[index] = value
    return out


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


# ---- Along one dimension -------------------------------------------------------------------------


def along(index, dim):
    """The NumPy index whose element [i, j, ...] is x[i, ..., index[i, j, ...] at dim, ...]."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


def checked_index(index, size: int, op: str) -> np.ndarray:
    """An index array counted from the front; an error if it points outside."""
    index = index.array if isinstance(index, Tensor) else np.asarray(index)
    if index.dtype.kind not in "iu":
        raise IndexError(f"{op}: the index must hold integers; it is {index.dtype}")
    if index.size and (index.min() < -size or index.max() >= size):
        wrong = index[(index < -size) | (index >= size)][0]
        raise IndexError(f"{op}: index {wrong} is out of range for a dimension of size {size}")
    return index % size if index.size else index


@composition
def gather(x, dim, index):
    """out[i, j, ...] = x[i, ..., index[i, j, ...] at dim, ...]; index is no larger elsewhere"""
    return getitem(x, along(checked_index(index, x.shape[dim], "gather"), dim))


@composition
def take_along_dim(x, indices, dim=None):
    """gather, where index and x are broadcast against one another outside of dim"""
    if dim is None:
        return gather(x.reshape((-1,)), 0, indices.reshape((-1,)))
    dim = dim % x.ndim
    common = np.broadcast_shapes(*[(*s[:dim], 1, *s[dim + 1 :]) for s in (x.shape, indices.shape)])
    with_dim = lambda t: t.expand((*common[:dim], t.shape[dim], *common[dim + 1 :]))
    return gather(with_dim(x), dim, with_dim(indices))


@composition
def index_select(x, dim, index):
    """The slices of x along `dim` whose numbers are in the 1-D index"""
    index = checked_index(index, x.shape[dim], "index_select")
    return getitem(x, (slice(None),) * (dim % x.ndim) + (index,))


@primitive
def index_put_sum(x, value, index):
    """x, with `value` added at `index`, as often as an element occurs there"""
    out = np.array(x)
    np.add.at(out, index, value)
    return out


index_put_sum.vjp(
    x=lambda g: g, value=lambda g, value_dtype, index: getitem(g, index).to(value_dtype)
)


def cut_to(index, src):
    """The part of src, a tensor or a number, that the index is for: it may be larger"""
    if isinstance(src, Tensor) and src.shape != index.shape:
        return getitem(src, tuple(slice(n) for n in index.shape))
    return src


@composition
def scatter_add(x, dim, index, src):
    """x, to which src[i, j, ...] is added at [i, ..., index[i, j, ...] at dim, ...]"""
    index = checked_index(index, x.shape[dim], "scatter_add")
    return index_put_sum(x, cut_to(index, src), along(index, dim))


@composition
def scatter(x, dim, index, src):
    """x, in which src[i, j, ...] (or a number) is put at [i, ..., index[i, j, ...] at dim, ...]"""
    index = checked_index(index, x.shape[dim], "scatter")
    return setitem(x, cut_to(index, src), along(index, dim))


# ---- Masks ---------------------------------------------------------------------------------------


@composition
def masked_fill(x, mask, value):
    """x with `value` where the bool mask, broadcast to x, is True"""
    if getattr(mask, "dtype", None) != np.bool_:
        raise RuntimeError(
            f"masked_fill: the mask must be bool; it is {getattr(mask, 'dtype', mask)}"
        )
    return where(mask, value if isinstance(value, Tensor) else cast_number(value, x), x)


def cast_number(value, like):
    """A number in the type of a tensor: filling an int tensor must not make it float."""
    return np.asarray(value, like.dtype) if like.dtype.kind != "f" else value


@composition
def masked_select(x, mask):
    """The elements of x where the mask is True, in a 1-D tensor"""
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return getitem(x.expand(shape), plain(mask.expand(shape)))


@primitive
def nonzero_rows(x):
    """The indices of the elements that are not 0, one a row"""
    return np.argwhere(x)


@composition
def nonzero(x, as_tuple=False):
    """The indices of the elements that are not 0: [count, ndim], or a tuple of 1-D tensors"""
    rows = nonzero_rows(x)
    return tuple(rows[:, i] for i in range(x.ndim)) if as_tuple else rows


# ---- Embeddings ----------------------------------------------------------------------------------


@primitive
def embedding(weight, indices):
    """Row indices[...] of the table weight [num_embeddings, width]: [..., width]"""
    if indices.dtype.kind not in "iu":
        raise IndexError(f"indices must be integers; they are {indices.dtype}")
    if indices.size and (indices.min() < 0 or indices.max() >= len(weight)):
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
