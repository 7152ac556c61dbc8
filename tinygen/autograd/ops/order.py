"""Order: positions of extremes, and sorting."""

from collections import namedtuple

import numpy as np

from ..primitive import composition, primitive
from ..tensor import Tensor
from .elementwise import maximum, minimum
from .index import take_along_dim
from .reduce import amax, amin
from .shape import narrow, squeeze

__all__ = [
    "argmax", "argmin", "argsort", "max", "min", "sort", "topk",
]  # fmt: skip

Ordered = namedtuple("Ordered", "values indices")  # what max, min, sort and topk return for a dim


@primitive
def argmax(x, dim=None, keepdim=False):
    """The index of the first largest element (of the flattened tensor, if dim is None)"""
    return np.argmax(x, axis=dim, keepdims=keepdim)


@primitive
def argmin(x, dim=None, keepdim=False):
    """The index of the first smallest element (of the flattened tensor, if dim is None)"""
    return np.argmin(x, axis=dim, keepdims=keepdim)


def extreme(x, dim, keepdim, everywhere, position, pairwise):
    """max and min have three forms in PyTorch: of all, along a dim, and of two tensors."""
    if dim is None:
        return everywhere(x)
    if isinstance(dim, Tensor):
        return pairwise(x, dim)
    index = position(x, dim, keepdim=True)
    values = take_along_dim(x, index, dim)
    if not keepdim:
        values, index = squeeze(values, dim), squeeze(index, dim)
    return Ordered(values, index)


@composition
def max(x, dim=None, keepdim=False):
    """The largest element; with an int dim, (values, indices); with a tensor, of each pair"""
    return extreme(x, dim, keepdim, amax, argmax, maximum)


@composition
def min(x, dim=None, keepdim=False):
    """The smallest element; with an int dim, (values, indices); with a tensor, of each pair"""
    return extreme(x, dim, keepdim, amin, argmin, minimum)


@primitive
def argsort(x, dim=-1, descending=False, stable=False):
    """The indices that put x in order along `dim`; equal elements keep their order"""
    order = np.argsort(-x if descending and x.dtype.kind == "f" else x, axis=dim, kind="stable")
    if descending and x.dtype.kind != "f":  # integers may have no negative: sort backwards instead
        backwards = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
        order = np.flip(x.shape[dim] - 1 - backwards, dim)
    return order


@composition
def sort(x, dim=-1, descending=False, stable=False):
    """(values in order along `dim`, where each of them was)"""
    index = argsort(x, dim, descending)
    return Ordered(take_along_dim(x, index, dim), index)


@composition
def topk(x, k, dim=-1, largest=True, sorted=True):
    """(the k largest or smallest along `dim`, best first, where each of them was)"""
    if not 0 <= k <= x.shape[dim]:
        raise ValueError(
            f"topk: k = {k}, but dim {dim} of shape {x.shape} has {x.shape[dim]} elements"
        )
    index = narrow(argsort(x, dim, largest), dim, 0, k)
    return Ordered(take_along_dim(x, index, dim), index)
