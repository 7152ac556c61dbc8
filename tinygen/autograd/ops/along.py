"""Elements chosen along one dimension by an index that has a number for each of them."""

import math

import numpy as np

from ...kernels import scatter
from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor
from .index import check_points_inside, checked_index, getitem, sized
from .shape import checked_dim, flatten, reshape

__all__ = ["gather", "take_along_dim"]

# ---- Which elements ------------------------------------------------------------------------------


def along(index, dim):
    """The NumPy index whose element [i, j, ...] is x[i, ..., index[i, j, ...] at dim, ...]."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


def check_index_fits(x, index, dim: int, op: str) -> None:
    """A gather or scatter index has x's dimensions, and is no larger outside of dim."""
    outside = [n <= m or d == dim for d, (n, m) in enumerate(zip(index.shape, x.shape))]
    if index.size and (index.ndim != x.ndim or not all(outside)):
        raise ShapeError(f"{op}: an index of shape {index.shape} for a tensor of shape {x.shape}: "
                         "it must have as many dimensions, and be no larger in any of them but "
                         f"dim {dim}")  # fmt: skip


def as_lines(array: np.ndarray, dim: int) -> np.ndarray:
    """[lead, size, rest], where `size` is that of `dim`"""
    shape = array.shape
    return array.reshape(math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :]))


def reached(shape, index: np.ndarray, dim: int) -> tuple:
    """The part of a tensor that an index along `dim` reads or writes, as a NumPy index."""
    return tuple(slice(n if d == dim else m) for d, (n, m) in enumerate(zip(shape, index.shape)))


@primitive
def pick_along(x, index, dim):
    """x[i, ..., index[i, j, ...] at dim, ...], for an index that fits"""
    part = x[reached(x.shape, index, dim)]
    return scatter.pick_along(as_lines(part, dim), as_lines(index, dim)).reshape(index.shape)


@primitive
def add_along(x, src, index, dim):
    """x, to which src[i, j, ...] is added at [i, ..., index[i, j, ...] at dim, ...]"""
    out = np.array(x, order="C")
    add_there(out, src, index, dim)
    return out


@primitive
def collect_along(x, shape, index, dim):
    """Zeros of `shape`, to which x is added as in add_along"""
    out = np.zeros(shape, x.dtype)
    add_there(out, x, index, dim)
    return out


def add_there(out: np.ndarray, src, index, dim: int) -> None:
    part = out[reached(out.shape, index, dim)]
    lines = as_lines(part, dim)  # a copy, where the index leaves out something beside dim
    scatter.add_along(lines, as_lines(index, dim), as_lines(src, dim))
    if not np.may_share_memory(lines, out):
        part[...] = lines.reshape(part.shape)


pick_along.vjp(x=lambda g, x_shape, index, dim: collect_along(g, x_shape, index, dim))
add_along.vjp(x=lambda g: g, src=lambda g, index, dim: pick_along(g, index, dim))
collect_along.vjp(x=lambda g, index, dim: pick_along(g, index, dim))


@composition
def gather(x, dim, index, *, sparse_grad=False):
    """out[i, j, ...] = x[i, ..., index[i, j, ...] at dim, ...]; index is no larger elsewhere"""
    line, dim = sized(x, dim, "gather")
    found = fitting_index(line, dim, index, "gather")
    if not found.array.size:
        return getitem(flatten(x), found.array)
    out = pick_along(line, found, dim)
    return out if index.ndim else reshape(out, ())


def fitting_index(x, dim: int, index, op: str) -> Tensor:
    """The index as a tensor that fits, with a dimension at least."""
    found = index if isinstance(index, Tensor) else Tensor(np.array(index))
    found = found if found.ndim else reshape(found, (1,))
    if not (found.dtype.kind in "iu" and scatter.inside(found.array, x.shape[dim])):
        check_points_inside(found.array, x.shape[dim], op, dim)
    check_index_fits(x, found.array, dim, op)
    return found


@composition
def take_along_dim(x, indices, dim=None):
    """gather, where index and x are broadcast against one another outside of dim"""
    if dim is None:
        x, indices, dim = flatten(x), flatten(indices), 0
    dim = checked_dim(dim, x.ndim, "take_along_dim")
    if x.ndim != indices.ndim:
        raise ShapeError(f"take_along_dim: indices of shape {indices.shape} must have as many "
                         f"dimensions as the tensor, {x.shape}")  # fmt: skip
    shapes = [(*s[:dim], 1, *s[dim + 1 :]) for s in (x.shape, indices.shape)]
    common = np.broadcast_shapes(*shapes)
    with_dim = lambda t: t.expand((*common[:dim], t.shape[dim], *common[dim + 1 :]))
    index = checked_index(indices, x.shape[dim], "take_along_dim", dim, negative=True)
    return gather(with_dim(x), dim, with_dim(Tensor(index)))
