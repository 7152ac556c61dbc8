"""Masks: bool tensors that say which elements are meant, and where such elements are."""

import numpy as np

from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .choose import where
from .index import getitem, number_like, plain, same_dtype, setitem
from .shape import broadcast_shapes, expand, flatten

__all__ = ["argwhere", "masked_fill", "masked_scatter", "masked_select", "nonzero"]


def check_mask(mask, op: str) -> None:
    if getattr(mask, "dtype", None) != np.bool_:
        raise RuntimeError(f"{op}: the mask must be a bool tensor; it is "
                           f"{getattr(mask, 'dtype', mask)}")  # fmt: skip


@composition
def masked_fill(x, mask, value):
    """x with `value`, a number or 0-d tensor, where the bool mask, broadcast to x, is True"""
    check_mask(mask, "masked_fill")
    if isinstance(value, Tensor):
        if value.ndim:
            raise ShapeError("masked_fill: the value must be a number or a 0-d tensor; its shape "
                             f"is {value.shape}")  # fmt: skip
        return where(mask, value.to(x.dtype), x)
    return where(mask, number_like(x, value), x)


@composition
def masked_select(x, mask):
    """The elements of x where the mask is True, in a 1-D tensor"""
    check_mask(mask, "masked_select")
    shape = broadcast_shapes(x.shape, mask.shape)
    found = getitem(expand(x, shape), plain(expand(mask, shape)))
    return found if shape else flatten(found)


@composition
def masked_scatter(x, mask, source):
    """x, in which the elements where the mask is True are the first ones of the flattened source"""
    check_mask(mask, "masked_scatter")
    same_dtype(x, source, "masked_scatter")
    shape = broadcast_shapes(x.shape, mask.shape)
    chosen = np.array(expand(mask, shape).array)
    count = int(chosen.sum())
    if count > source.array.size:
        raise ShapeError(f"masked_scatter: the mask chooses {count} elements; the source, of shape "
                         f"{source.shape}, has only {source.array.size}")  # fmt: skip
    return setitem(expand(x, shape), getitem(flatten(source), slice(count)), chosen)


# ---- Where they are ------------------------------------------------------------------------------


@primitive
def argwhere(x):
    """The indices of the elements that are not 0, one a row: int64 [count, ndim]"""
    return np.argwhere(x)


def nonzero(x, *, as_tuple=False):
    """The indices of the elements that are not 0: [count, ndim], or a tuple of 1-D tensors"""
    if as_tuple:
        return tuple(Tensor(i) for i in np.nonzero(np.atleast_1d(x.array)))
    return argwhere(x)
