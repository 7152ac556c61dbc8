"""Elements in another order, or several times: flip, roll, rotate, repeat, and grids of them."""

import itertools

import numpy as np

from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .index import getitem
from .join import stack
from .shape import (
    checked_dim,
    checked_dims,
    expand,
    flatten,
    one_list,
    reshape,
    sizes,
    transpose,
)  # fmt: skip
from .slices import index_select

__all__ = [
    "cartesian_prod", "combinations", "flip", "fliplr", "flipud", "meshgrid", "repeat_interleave",
    "roll", "rot90",
]  # fmt: skip


# ---- Another order -------------------------------------------------------------------------------


@primitive
def flipped(x, dims):
    """A copy of x with the order of elements reversed along `dims`"""
    return np.flip(x, dims).copy()


flipped.vjp(x=lambda g, dims: flipped(g, dims))


@composition
def flip(x, dims):
    """A copy of x with the order of elements reversed along `dims`"""
    dims = checked_dims(sizes((dims,)), x.ndim, "flip")
    return flipped(x, dims if x.ndim else ())


@composition
def fliplr(x):
    """A copy of x with the order of its columns reversed"""
    if x.ndim < 2:
        raise ShapeError(f"fliplr needs a tensor of at least 2 dimensions; got {x.shape}")
    return flip(x, 1)


@composition
def flipud(x):
    """A copy of x with the order of its rows reversed"""
    if x.ndim < 1:
        raise ShapeError("flipud needs a tensor of at least 1 dimension; got a 0-d one")
    return flip(x, 0)


@primitive
def rolled(x, shifts, dims):
    """x shifted along `dims`; what leaves at one end enters at the other"""
    return np.roll(x, shifts, dims)


rolled.vjp(x=lambda g, shifts, dims: rolled(g, tuple(-s for s in shifts), dims))


@composition
def roll(x, shifts, dims=None):
    """x shifted along `dims`, or flattened if there are none; what leaves at one end enters at the
    other"""
    shifts = sizes((shifts,))
    if dims is None:
        dims = ()
    dims = tuple(checked_dim(d, x.ndim, "roll") for d in sizes((dims,)))
    if len(dims) == 0 and len(shifts) == 1:
        return reshape(rolled(reshape(x, (-1,)), shifts, (0,)), x.shape)
    if not shifts or len(shifts) != len(dims):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(dims)} dims; each dim needs one")
    if not x.ndim:
        raise IndexError("roll: a 0-d tensor has no dimension to roll along; leave dims out")
    return rolled(x, shifts, dims)


@composition
def rot90(x, k=1, dims=(0, 1)):
    """x turned k times by 90 degrees in the plane of two dims, from the first to the second"""
    if x.ndim < 2 or len(dims) != 2:
        raise ShapeError(f"rot90 turns a plane: it needs two dims, not {tuple(dims)}, of a tensor "
                         f"of at least two dimensions, not shape {x.shape}")  # fmt: skip
    first, second = checked_dims(dims, x.ndim, "rot90")
    if k % 4 == 0:
        return x.clone()
    if k % 4 == 2:
        return flip(x, (first, second))
    return flip(transpose(x, first, second), first if k % 4 == 1 else second)


# ---- Several times -------------------------------------------------------------------------------


@composition
def repeat_interleave(x, repeats=None, dim=None, *, output_size=None):
    """Each element (of the flattened x, if dim is None) as often as `repeats`, a number or one for
    each, says; alone, a tensor of repeats gives the indices that do this"""
    if repeats is None:
        x, repeats = Tensor(np.arange(x.array.size)), x
    if dim is None:
        x, dim = flatten(x), 0
    elif not x.ndim:
        x = reshape(x, (1,))
    dim = checked_dim(dim, x.ndim, "repeat_interleave")
    index = np.repeat(np.arange(x.shape[dim]), checked_repeats(repeats, x.shape[dim]))
    if output_size is not None and output_size != index.size:
        raise ShapeError(f"repeat_interleave: output_size is {output_size}, but the repeats add up "
                         f"to {index.size}")  # fmt: skip
    return index_select(x, dim, index)


def checked_repeats(repeats, size: int) -> np.ndarray:
    """Non-negative integers: one, or one for each of `size` elements."""
    repeats = repeats.array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if repeats.dtype.kind not in "iu":
        raise TypeError(f"repeat_interleave: repeats must be integers; they are {repeats.dtype}")
    if repeats.ndim > 1 or repeats.size not in (1, size) or (repeats < 0).any():
        raise ShapeError(
            f"repeat_interleave: repeats of shape {repeats.shape} for {size} elements: there must "
            "be one, or one for each, and none negative"
        )
    return repeats


# ---- Grids and tuples ----------------------------------------------------------------------------


@composition
def meshgrid(*tensors, indexing="ij"):
    """The coordinates of a grid, of each of n vectors one [len(0), ..., len(n-1)]: element [i, j]
    of the first is its i-th, of the second its j-th. "xy" exchanges the first two dimensions."""
    vectors = one_list(tensors)
    if not vectors or any(v.ndim > 1 or v.dtype != vectors[0].dtype for v in vectors):
        raise ShapeError("meshgrid takes vectors or 0-d tensors of one dtype; got " + ", ".join(
            f"{v.shape} {v.dtype}" for v in vectors))  # fmt: skip
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'meshgrid: indexing must be "ij" or "xy"; got {indexing!r}')
    n, shape = len(vectors), [v.array.size for v in vectors]
    line = lambda i: (1,) * i + (shape[i],) + (1,) * (n - 1 - i)
    grids = tuple(expand(reshape(v, line(i)), shape) for i, v in enumerate(vectors))
    if indexing == "xy" and n > 1:
        return tuple(transpose(grid, 0, 1) for grid in grids)
    return grids


@composition
def cartesian_prod(*tensors):
    """All tuples with one element of each vector, as rows; of one vector, itself"""
    vectors = one_list(tensors)
    if any(v.ndim != 1 for v in vectors):
        raise ShapeError(f"cartesian_prod takes vectors; got shapes {[v.shape for v in vectors]}")
    if len(vectors) == 1:
        return vectors[0]
    return stack([flatten(grid) for grid in meshgrid(*vectors)], 1)


@composition
def combinations(x, r=2, with_replacement=False):
    """All ways to choose r elements of a vector, in order, as rows"""
    if x.ndim != 1 or r < 0:
        raise ShapeError(f"combinations takes a vector and r >= 0; got shape {x.shape}, r = {r}")
    if r == 0:
        return Tensor(np.empty(0, x.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(x.shape[0]), r)), int).reshape(-1, r)
    return getitem(x, rows)
