"""Order: positions of extremes, sorting, and what is quick on sorted numbers.

NaN counts as larger than every number, as in PyTorch. The positions are found in NumPy; values are
gathered from there, so that the gradient goes to where they came from.
"""

import math
from collections import namedtuple

import numpy as np

from ..dtypes import as_array
from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .along import along
from .choose import maximum, minimum
from .elementwise import clone
from .index import put_zeros
from .reduce import amax, amin, axis_of, dims_with_elements
from .shape import narrow, unsqueeze

__all__ = [
    "argmax", "argmin", "argsort", "bucketize", "isin", "kthvalue", "max", "min", "msort",
    "searchsorted", "sort", "topk", "unique", "unique_consecutive",
]  # fmt: skip

Ordered = namedtuple("Ordered", "values indices")  # what max, min, sort and topk return for a dim


def picked(x, index, dim, keepdim=True) -> Ordered:
    """(the elements of x at `index` along dim, index); index has size 1 there if not keepdim"""
    if not x.ndim:
        return Ordered(clone(x), index)
    values = elements_at(x, index, dim, keepdim)
    return Ordered(values, index if keepdim else Tensor(index.array.squeeze(dim)))


@primitive
def elements_at(x, index, dim, keepdim=True):
    """x[i, ..., index[i, j, ...] at dim, ...], without the size 1 at `dim` if not keepdim"""
    found = one_of_each_row(x, index, dim) if index.shape[dim] == 1 else None
    found = np.take_along_axis(x, index, dim) if found is None else found
    return found if keepdim else found.squeeze(dim)


def one_of_each_row(x, index, dim):
    """np.take_along_axis of one element a row, in a third of its time; None if rows aren't rows."""
    if not x.flags.c_contiguous or dim not in (-1, x.ndim - 1):
        return None
    begins = np.arange(0, x.size, x.shape[-1]).reshape(index.shape)
    return x.reshape(-1)[index + begins]


def put_back(g, x_shape, index, dim, keepdim):
    g = g if keepdim else unsqueeze(g, dim)
    if index.shape[dim] == 1:
        return put_one(g, x_shape, index, dim)
    return put_zeros(g, x_shape, along(index.array, dim))  # some may have been read several times


elements_at.vjp(x=put_back)


@primitive
def put_one(x, shape, index, dim):
    """Zeros of `shape`, but for one element of each slice along dim: that of x, at `index`"""
    out = np.zeros(shape, x.dtype)
    np.put_along_axis(out, index, x, dim)
    return out


put_one.vjp(x=lambda g, index, dim: elements_at(g, index, dim))


def size_along(x, dim, op: str) -> int:
    """The size of dimension `dim`; 1 for a 0-d tensor."""
    axis = axis_of(dim, x.ndim, op)
    return 1 if axis is None else x.shape[axis]


# ---- Extremes ------------------------------------------------------------------------------------


@primitive
def argmax(x, dim=None, keepdim=False):
    """The index of the first largest element (of the flattened tensor, if dim is None)"""
    return position(np.ndarray.argmax, x, dim, keepdim)


@primitive
def argmin(x, dim=None, keepdim=False):
    """The index of the first smallest element (of the flattened tensor, if dim is None)"""
    return position(np.ndarray.argmin, x, dim, keepdim)


def position(function, x, dim, keepdim):
    if dim is None and not x.size:
        raise IndexError("a tensor without elements has no extreme; give a `dim` that has some")
    dims_with_elements(x, dim)
    return function(x, axis=None if dim is None else axis_of(dim, x.ndim), keepdims=keepdim)


def extreme(x, dim, keepdim, everywhere, index_of, pairwise):
    """max and min have three forms in PyTorch: of all, along a dim, and of two tensors."""
    if isinstance(dim, Tensor) and isinstance(x, Tensor):
        return pairwise(x, dim)
    if not isinstance(x, Tensor):
        raise TypeError(
            f"max and min take a tensor first, not {x!r}; tg.maximum and tg.minimum also a number"
        )
    if dim is None:
        return everywhere(x)
    return picked(x, index_of(x, dim, True), dim, keepdim)


@composition
def max(x, dim=None, keepdim=False, *, other=None):
    """The largest element; with an int dim, (values, indices); with a tensor, of each pair"""
    return extreme(x, dim if other is None else other, keepdim, amax, argmax, maximum)


@composition
def min(x, dim=None, keepdim=False, *, other=None):
    """The smallest element; with an int dim, (values, indices); with a tensor, of each pair"""
    return extreme(x, dim if other is None else other, keepdim, amin, argmin, minimum)


# ---- Sorting -------------------------------------------------------------------------------------


@primitive
def argsort(x, dim=-1, descending=False, stable=False):
    """The indices that put x in order along `dim`; equal elements keep their order"""
    axis = axis_of(dim, x.ndim)
    if axis is None:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.flip(x.shape[axis] - 1 - backwards, axis)


@composition
def sort(x, dim=-1, descending=False, stable=False):
    """(values in order along `dim`, where each of them was); equal elements keep their order"""
    return picked(x, argsort(x, dim, descending), dim)


@composition
def msort(x):
    """x in order along the first dimension"""
    return sort(x, 0).values


@composition
def topk(x, k, dim=-1, largest=True, sorted=True):
    """(the k largest or smallest along `dim`, best first, where each of them was)"""
    size = size_along(x, dim, "topk")
    if not 0 <= k <= size:
        raise ShapeError(f"topk: k = {k}, but dim {dim} of shape {x.shape} has {size} elements")
    index = argsort(x, dim, largest)
    return picked(x, narrow(index, dim, 0, k) if x.ndim else index, dim)


@composition
def kthvalue(x, k, dim=-1, keepdim=False):
    """(the k-th smallest along `dim`, counted from 1, where it was)"""
    dims_with_elements(x, dim, "kthvalue")
    size = size_along(x, dim, "kthvalue")
    if not 1 <= k <= size:
        raise ShapeError(f"kthvalue: k = {k}, but dim {dim} of shape {x.shape} has {size} elements")
    index = argsort(x, dim)
    return picked(x, narrow(index, dim, k - 1, 1) if x.ndim else index, dim, keepdim)


# ---- What is there, and how often ----------------------------------------------------------------


@composition
def unique(x, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements of x in order, or, along `dim`, its different slices; and if wanted,
    for each element (or slice) of x its number among them, and how often each is there.

    They are in order with sorted=False, too. Nothing is differentiated.
    """
    axis = dim if dim is None else axis_of(dim, x.ndim, "unique")
    if axis is not None and 0 in x.shape[:axis] + x.shape[axis + 1 :]:
        raise ShapeError(f"unique: the slices along dim {dim} of shape {x.shape} have no elements")
    values, inverse, counts = np.unique(
        x.array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    shape = x.shape if dim is None else inverse.shape
    return with_extras(values, inverse.reshape(shape), counts, return_inverse, return_counts)


@composition
def unique_consecutive(x, return_inverse=False, return_counts=False, dim=None):
    """`unique`, where only neighbours that are equal become one, and nothing changes places"""
    axis = dim if dim is None else axis_of(dim, x.ndim, "unique_consecutive")
    rows = x.array.reshape(-1) if axis is None else np.moveaxis(x.array, axis, 0)
    flat = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (flat[1:] != flat[:-1]).any(1)
    values = rows[is_new] if axis is None else np.moveaxis(rows[is_new], 0, axis)
    inverse = np.cumsum(is_new) - 1
    counts = np.diff(np.append(np.flatnonzero(is_new), len(rows)))
    shape = x.shape if dim is None else inverse.shape
    return with_extras(values, inverse.reshape(shape), counts, return_inverse, return_counts)


def with_extras(values, inverse, counts, return_inverse, return_counts):
    """The values alone, or a tuple with what else is wanted."""
    extras = [inverse] * bool(return_inverse) + [counts] * bool(return_counts)
    found = tuple(Tensor(np.array(a)) for a in (values, *extras))
    return found if extras else found[0]


def array_of(x) -> np.ndarray:
    return x.array if isinstance(x, Tensor) else as_array(x)


@composition
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Which elements are among the test_elements; with `invert`, which are not"""
    pair = array_of(elements), array_of(test_elements)
    return Tensor(np.isin(*pair, assume_unique=assume_unique, invert=invert))


# ---- Places in what is sorted --------------------------------------------------------------------


@composition
def searchsorted(
    sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None
) -> Tensor:
    """How many elements of sorted_sequence [..., n] are less than each input [..., m]: [..., m].

    With right=True (or side="right"): less or equal. A sequence [n] serves inputs of any shape; of
    several sequences, each serves the row of inputs that has its place. sorter: the argsort of a
    sequence that is not sorted.
    """
    sequence, values = array_of(sorted_sequence), array_of(input)
    if sorter is not None:
        sequence = np.take_along_axis(sequence, array_of(sorter), -1)
    if side not in (None, "left", "right") or (side == "left" and right):
        raise RuntimeError(
            f'searchsorted: side must be "left" or "right", and agree with right; got side={side!r}'
            f", right={right}"
        )
    if sequence.ndim == 0 or (sequence.ndim > 1 and sequence.shape[:-1] != values.shape[:-1]):
        raise ShapeError(
            f"searchsorted: sequences of shape {sequence.shape} do not fit inputs of shape "
            f"{values.shape}: all sizes but the last must agree, or there be a single sequence [n]"
        )
    where = "right" if right or side == "right" else "left"
    if sequence.ndim == 1:
        found = np.searchsorted(sequence, values, where)
    else:
        found = np.empty(values.shape, np.int64)
        for row in np.ndindex(values.shape[:-1]):
            found[row] = np.searchsorted(sequence[row], values[row], where)
    return Tensor(np.asarray(found, np.int32 if out_int32 else np.int64))


@composition
def bucketize(input, boundaries, *, out_int32=False, right=False):
    """For each input the number of the bucket it is in, between the sorted boundaries [n]: 0 below
    the first. A boundary belongs to the bucket on its left, or with right=True to the other."""
    if array_of(boundaries).ndim != 1:
        raise ShapeError(
            f"bucketize: boundaries must have 1 dimension, not shape {array_of(boundaries).shape}"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
