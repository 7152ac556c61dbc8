"""Joining and cutting: several tensors into one, one into several, one into copies of itself."""

from itertools import accumulate, pairwise

import numpy as np

from ..parts import Several
from ..primitive import primitive
from ..registry import ShapeError, composition, numpy_names
from ..tensor import Tensor
from .index import getitem, select
from .shape import checked_dim, expand, narrow, one_list, reshape, sizes, squeeze

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "cat", "chunk", "column_stack", "concat",
    "concatenate", "dsplit", "dstack", "hsplit", "hstack", "row_stack", "split",
    "split_with_sizes", "stack", "tensor_split", "tile", "unbind", "vsplit", "vstack",
]  # fmt: skip


# ---- Several into one ----------------------------------------------------------------------------


@primitive(name="cat", promotes="common")
def joined(*arrays, dim, starts):
    """The arrays one behind the other along `dim`; array i begins at starts[i]"""
    return np.concatenate(arrays, dim)


joined.vjp(
    arrays=lambda g, position, dim, starts: narrow(
        g, dim, starts[position], starts[position + 1] - starts[position]
    )
)


def listed(tensors, op: str) -> list:
    """The tensors in a list, of which there is at least one."""
    tensors = list(tensors)
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"{op} takes a list of tensors; one of them is a {type(x).__name__}")
    if not tensors:
        raise ShapeError(f"{op}: there is nothing to join; the list of tensors is empty")
    return tensors


@numpy_names
def cat(tensors, dim=0):
    """The tensors one behind the other along `dim`; their other dimensions agree. Empty 1-D tensors
    fit everywhere, as in PyTorch."""
    tensors = listed(tensors, "cat")
    shapes = [x.array.shape for x in tensors]
    if len(set(shapes)) > 1:
        tensors, shapes = made_to_fit(tensors, shapes, dim)
    if not shapes[0]:
        raise ShapeError("cat: a 0-d tensor has no dimension to join along; use stack")
    dim = checked_dim(dim, len(shapes[0]), "cat")
    starts = list(accumulate([shape[dim] for shape in shapes], initial=0))
    return joined(*tensors, dim=dim, starts=starts)


def made_to_fit(tensors, shapes, dim):
    """Tensors of different shapes, and these, if they differ in no dimension but `dim`."""
    like = next(shape for shape in shapes if shape != (0,))
    at = checked_dim(dim, len(like), "cat")
    empty = (*like[:at], 0, *like[at + 1 :])
    tensors = [reshape(x, empty) if x.shape == (0,) else x for x in tensors]
    shapes = [x.array.shape for x in tensors]
    if () in shapes:
        raise ShapeError("cat: a 0-d tensor has no dimension to join along; use stack")
    if len({(*shape[:at], *shape[at + 1 :]) for shape in shapes}) > 1:
        different = " and ".join(map(str, dict.fromkeys(shapes)))
        raise ShapeError(f"cat: shapes {different} must agree in all dimensions but dim {dim}")
    return tensors, shapes


concat = concatenate = cat


@primitive(name="stack", promotes="common")
def stacked(*arrays, dim):
    """The arrays, all of one shape, along a new dimension `dim`"""
    new = (slice(None),) * dim + (None,)
    return np.concatenate([x[new] for x in arrays], dim)


stacked.vjp(arrays=lambda g, position, dim: select(g, dim, position))


@numpy_names
def stack(tensors, dim=0):
    """The tensors, all of one shape, along a new dimension `dim`"""
    tensors = listed(tensors, "stack")
    shapes = {x.array.shape for x in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"stack: the shapes differ: {', '.join(map(str, sorted(shapes)))}")
    return stacked(*tensors, dim=checked_dim(dim, tensors[0].ndim + 1, "stack"))


def each_of(tensors, change):
    """`change` of the tensor, if it is one, else of each in a tuple."""
    single = len(tensors) == 1 and not isinstance(tensors[0], tuple | list)
    changed = tuple(change(x) for x in one_list(tensors))
    return changed[0] if single else changed


@composition
def atleast_1d(*tensors):
    """Each tensor with one dimension, if it has none"""
    return each_of(tensors, lambda x: x if x.ndim else reshape(x, (1,)))


@composition
def atleast_2d(*tensors):
    """Each tensor with two dimensions at least: a vector becomes a row"""
    return each_of(tensors, lambda x: x if x.ndim > 1 else reshape(x, (1, x.array.size)))


@composition
def atleast_3d(*tensors):
    """Each tensor with three dimensions at least: [n] becomes [1, n, 1], [m, n] [m, n, 1]"""
    shape = lambda x: (1,) * (x.ndim < 2) + x.shape + (1,) * (1 + (x.ndim < 1))
    return each_of(tensors, lambda x: x if x.ndim > 2 else reshape(x, shape(x)))


@composition
def hstack(tensors):
    """The tensors side by side: along the second dimension, or the first of vectors"""
    tensors = atleast_1d(listed(tensors, "hstack"))
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


@composition
def vstack(tensors):
    """The tensors below one another: along the first dimension, vectors being rows"""
    return cat(atleast_2d(listed(tensors, "vstack")), 0)


row_stack = vstack


@composition
def dstack(tensors):
    """The tensors behind one another: along the third dimension"""
    return cat(atleast_3d(listed(tensors, "dstack")), 2)


@composition
def column_stack(tensors):
    """The tensors side by side, vectors being columns"""
    tensors = listed(tensors, "column_stack")
    return hstack([x if x.ndim > 1 else reshape(x, (x.array.size, 1)) for x in tensors])


# ---- One into several ----------------------------------------------------------------------------


def piece(i, x, lengths, dim=0):
    """How to make the i-th piece alone."""
    return narrow, (dim, sum(lengths[:i]), lengths[i]), {}


def split_arrays(x, lengths, dim=0):
    """Pieces of these lengths along `dim`"""
    at = checked_dim(dim, x.ndim, "split")
    if not x.ndim:
        raise ShapeError("split: a 0-d tensor can't be cut into pieces")
    if sum(lengths) != x.shape[at] or min(lengths, default=0) < 0:
        raise ShapeError(
            f"split: sizes {list(lengths)} do not add up to {x.shape[at]}, the size of dim {dim}"
        )
    before, starts = (slice(None),) * at, accumulate(lengths, initial=0)
    return [x[(*before, slice(start, start + n))] for start, n in zip(starts, lengths)]


pieces = Several(split_arrays, "split_with_sizes", view_step=piece)
pieces.vjp(x=lambda g, dim: cat(g, dim))


def split_with_sizes(x, split_sizes, dim=0):
    """Pieces of these sizes along `dim`"""
    return pieces(x, tuple(split_sizes), dim)


@composition
def split(x, split_size_or_sections, dim=0):
    """Pieces along `dim`, of one size (the last may be smaller) or of the sizes in a list"""
    lengths = split_size_or_sections
    if isinstance(lengths, int | np.integer):
        total = size_of(x, dim, "split")
        if lengths < (1 if total else 0):
            raise ShapeError(f"split: the size of a piece must be at least 1; got {lengths}")
        lengths = [min(lengths, total - at) for at in range(0, total, lengths or 1)] or [0]
    return pieces(x, tuple(lengths), dim)


def size_of(x, dim: int, op: str) -> int:
    """The size of a dimension that must be there."""
    at = checked_dim(dim, x.ndim, op)
    if not x.ndim:
        raise ShapeError(f"{op}: a 0-d tensor can't be cut into pieces")
    return x.shape[at]


@composition
def chunk(x, chunks, dim=0):
    """At most `chunks` pieces along `dim`, of equal size but for the last"""
    if chunks < 1:
        raise ShapeError(f"chunk: the number of pieces must be at least 1; got {chunks}")
    total = size_of(x, dim, "chunk")
    size = -(-total // chunks)
    return pieces(x, tuple([min(size, total - at) for at in range(0, total, size or 1)])
                  if total else (0,) * chunks, dim)  # fmt: skip


@composition
def unbind(x, dim=0):
    """The slices along `dim`, without that dimension"""
    if not x.ndim:
        raise IndexError("unbind: a 0-d tensor has no dimension to take slices along")
    return tuple(squeeze(one, dim) for one in split(x, 1, dim)) if size_of(x, dim, "unbind") else ()


@composition
def tensor_split(x, indices_or_sections, dim=0):
    """So many pieces along `dim`, the first ones larger by one if need be; or, for a list of
    indices, the pieces between them"""
    total, parts = size_of(x, dim, "tensor_split"), indices_or_sections
    parts = parts.tolist() if isinstance(parts, Tensor) else parts
    if isinstance(parts, int | np.integer):
        if parts < 1:
            raise ShapeError(f"tensor_split: there must be at least 1 section; got {parts}")
        lengths = [total // parts + (i < total % parts) for i in range(parts)]
        return pieces(x, tuple(lengths), dim)
    before = (slice(None),) * (dim % x.ndim)
    ends = [None, *parts, None]
    return tuple(getitem(x, (*before, slice(*pair))) for pair in pairwise(ends))


def evenly_split(x, parts, dim: int, ndim: int, name: str):
    """tensor_split for tensors of at least `ndim` dimensions, where a number of pieces must fit."""
    if x.ndim < ndim:
        raise ShapeError(f"{name} needs a tensor of at least {ndim} dimensions; got {x.shape}")
    if isinstance(parts, int | np.integer) and (parts < 1 or x.shape[dim] % parts):
        raise ShapeError(f"{name}: {x.shape[dim]} elements (dim {dim}) can't be divided into "
                         f"{parts} equal pieces; tensor_split can")  # fmt: skip
    return tensor_split(x, parts, dim)


@composition
def hsplit(x, indices_or_sections):
    """Equal pieces, or those between indices, along the second dimension; of a vector, the first"""
    return evenly_split(x, indices_or_sections, 0 if x.ndim == 1 else 1, 1, "hsplit")


@composition
def vsplit(x, indices_or_sections):
    """Equal pieces, or those between indices, along the first dimension"""
    return evenly_split(x, indices_or_sections, 0, 2, "vsplit")


@composition
def dsplit(x, indices_or_sections):
    """Equal pieces, or those between indices, along the third dimension"""
    return evenly_split(x, indices_or_sections, 2, 3, "dsplit")


# ---- One into copies of itself -------------------------------------------------------------------


@composition
def repeat(x, repeats):
    """x copied repeats[i] times along dimension i; more repeats than dimensions add leading ones"""
    times = sizes((repeats,))
    if len(times) < x.ndim or min(times, default=0) < 0:
        raise ShapeError(f"repeat: repeats {times} for a tensor of shape {x.shape}: each dimension "
                         "needs one, and none may be negative")  # fmt: skip
    shape = (1,) * (len(times) - x.ndim) + x.shape
    paired = [m for n in shape for m in (1, n)]
    spread = [m for n, t in zip(shape, times) for m in (t, n)]
    out = reshape(expand(reshape(x, paired), spread), [n * t for n, t in zip(shape, times)])
    return out if out._view is None else out.clone()  # a copy in any case, which can be written


@composition
def tile(x, dims):
    """x copied dims[i] times along dimension i; fewer dims than x has are for the last ones"""
    times = sizes((dims,))
    return repeat(x, (1,) * (x.ndim - len(times)) + times)
