"""Shapes: the same elements, arranged differently. Views where NumPy can give one, else copies."""

import math

import numpy as np

from ..parts import Several
from ..primitive import ShapeError, composition, primitive

__all__ = [
    "cat", "chunk", "flatten", "flip", "movedim", "narrow", "permute", "repeat", "reshape",
    "roll", "split", "squeeze", "stack", "transpose", "tril", "triu", "unbind", "unflatten",
    "unsqueeze",
]  # fmt: skip


def sizes(shape) -> tuple[int, ...]:
    """`view(2, 3)` and `view((2, 3))` mean the same."""
    if len(shape) == 1 and not isinstance(shape[0], int | np.integer):
        shape = shape[0]
    return tuple(int(n) for n in shape)


view_op = primitive(is_view=True)


# ---- One shape into another ----------------------------------------------------------------------


@view_op
def reshape(x, shape):
    """x with another shape of as many elements; one size may be -1, and is worked out"""
    return np.reshape(x, shape)


reshape.vjp(x=lambda g, x_shape: reshape(g, x_shape))


@view_op
def expand(x, shape):
    """x repeated, without copying, along dimensions of size 1 and new leading ones; -1: as it is"""
    lead = len(shape) - x.ndim
    shape = [x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)]
    return np.broadcast_to(x, shape)


expand.vjp(
    x=lambda g: g
)  # undoing the broadcast, which every cotangent gets, is the whole gradient


@view_op
def permute(x, dims):
    """Dimension i of the result is dimension dims[i] of x"""
    return np.transpose(x, dims)


permute.vjp(x=lambda g, dims: permute(g, tuple(np.argsort([d % len(dims) for d in dims]))))


@view_op
def transpose(x, dim0, dim1):
    """x with two dimensions exchanged"""
    return np.swapaxes(x, dim0, dim1)


transpose.vjp(x=lambda g, dim0, dim1: transpose(g, dim0, dim1))


@composition
def unsqueeze(x, dim):
    """x with a new dimension of size 1 at `dim`"""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise IndexError(f"unsqueeze: dim {dim} is not in [{-x.ndim - 1}, {x.ndim}]")
    at = dim % (x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


@composition
def squeeze(x, dim=None):
    """x without its dimensions of size 1, or without those of `dim` that have size 1"""
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, list | tuple) else (dim,)
    gone = {checked_dim(d, x.ndim, "squeeze") for d in dims}
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in gone))


def checked_dim(dim: int, ndim: int, op: str) -> int:
    """`dim` counted from the front; an error if there is no such dimension."""
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(f"{op}: dim {dim} is out of range for a tensor of {ndim} dimensions")
    return dim % max(ndim, 1)


@composition
def flatten(x, start_dim=0, end_dim=-1):
    """x with the dimensions from start_dim to end_dim made one"""
    if not x.ndim:
        return reshape(x, (1,))
    start, end = (checked_dim(d, x.ndim, "flatten") for d in (start_dim, end_dim))
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim}")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


@composition
def unflatten(x, dim, sizes):
    """The opposite of flatten: dimension `dim` becomes several, of these sizes"""
    dim = checked_dim(dim, x.ndim, "unflatten")
    return reshape(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


@composition
def movedim(x, source, destination):
    """x with the dimensions `source` moved to `destination`, the others in their order"""
    source = [source] if isinstance(source, int) else source
    target = [destination] if isinstance(destination, int) else destination
    moved = dict(sorted(zip((d % x.ndim for d in target), (d % x.ndim for d in source))))
    others = iter([d for d in range(x.ndim) if d not in moved.values()])
    return permute(x, tuple(moved[i] if i in moved else next(others) for i in range(x.ndim)))


# ---- Pieces --------------------------------------------------------------------------------------


@view_op
def narrow(x, dim, start, length):
    """Elements start to start + length of dimension `dim`"""
    if not 0 <= start <= start + length <= x.shape[dim]:
        raise IndexError(f"{start}:{start + length} is not within 0:{x.shape[dim]} of dim {dim}")
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, start + length),)]


narrow.vjp(x=lambda g, x_shape, dim, start: embed(g, x_shape, dim, start))


@primitive
def embed(x, shape, dim, start):
    """Zeros of `shape`, with x as the part of dimension `dim` that begins at `start`"""
    out = np.zeros(shape, x.dtype)
    at = dim % x.ndim
    out[(slice(None),) * at + (slice(start, start + x.shape[at]),)] = x
    return out


embed.vjp(x=lambda g, x_shape, dim, start: narrow(g, dim, start, x_shape[dim]))


def piece(i, x, lengths, dim):
    """How to make the i-th piece alone."""
    return narrow, (dim, sum(lengths[:i]), lengths[i]), {}


def split_arrays(x, lengths, dim):
    """Pieces of these lengths along `dim`"""
    return np.split(x, np.cumsum(lengths[:-1]), dim) if lengths else []


split_with_sizes = Several(split_arrays, "split_with_sizes", view_step=piece)
split_with_sizes.vjp(x=lambda g, dim: cat(g, dim))


@composition
def split(x, split_size_or_sections, dim=0):
    """Pieces along `dim`, of one size (the last may be smaller) or of the sizes in a list"""
    total, lengths = x.shape[dim], split_size_or_sections
    if isinstance(lengths, int):
        if lengths < 1:
            raise ShapeError(f"split: the size of a piece must be at least 1; got {lengths}")
        lengths = [min(lengths, total - at) for at in range(0, total, lengths)] or [0]
    if sum(lengths) != total or min(lengths, default=0) < 0:
        raise ShapeError(
            f"split: sizes {list(lengths)} do not add up to {total}, the size of dim {dim}"
        )
    return split_with_sizes(x, tuple(lengths), dim)


@composition
def chunk(x, chunks, dim=0):
    """At most `chunks` pieces along `dim`, of equal size but for the last"""
    if chunks < 1:
        raise ValueError(f"chunk: the number of pieces must be at least 1; got {chunks}")
    return split(x, max(1, -(-x.shape[dim] // chunks)), dim)


@composition
def unbind(x, dim=0):
    """The slices along `dim`, without that dimension"""
    return tuple(squeeze(one, dim) for one in split(x, 1, dim)) if x.shape[dim] else ()


# ---- Several into one ----------------------------------------------------------------------------


@primitive(name="cat", promotes="common")
def concatenate(*arrays, dim, starts):
    """The arrays one behind the other along `dim`; array i begins at starts[i]"""
    return np.concatenate(arrays, axis=dim)


concatenate.vjp(
    arrays=lambda g, position, dim, starts: narrow(
        g, dim, starts[position], starts[position + 1] - starts[position]
    )
)


def cat(tensors, dim=0):
    """The tensors one behind the other along `dim`; their other dimensions agree"""
    tensors = list(tensors)
    if not tensors:
        raise ValueError("cat: there is nothing to concatenate; the list of tensors is empty")
    for t in tensors:
        checked_dim(dim, t.ndim, "cat")
    starts = np.cumsum([0, *[t.shape[dim] if t.ndim else 1 for t in tensors]]).tolist()
    return concatenate(*tensors, dim=dim, starts=starts)


@composition
def stack(tensors, dim=0):
    """The tensors, all of one shape, along a new dimension `dim`"""
    tensors = list(tensors)
    shapes = {t.shape for t in tensors}
    if len(shapes) > 1:
        raise ShapeError(f"stack: the shapes differ: {', '.join(map(str, sorted(shapes)))}")
    return cat([unsqueeze(t, dim) for t in tensors], dim)


@composition
def repeat(x, *repeats):
    """x copied repeats[i] times along dimension i; more repeats than dimensions add leading ones"""
    times = sizes(repeats)
    if len(times) < x.ndim:
        raise ShapeError(f"repeat: {len(times)} repeats for a tensor of {x.ndim} dimensions")
    shape = (1,) * (len(times) - x.ndim) + x.shape
    paired = [m for n in shape for m in (1, n)]
    spread = [m for n, t in zip(shape, times) for m in (t, n)]
    return reshape(expand(reshape(x, paired), spread), [n * t for n, t in zip(shape, times)])


# ---- Order and triangles -------------------------------------------------------------------------


@view_op
def flip(x, dims):
    """x with the order of elements reversed along `dims`"""
    return np.flip(x, dims)


flip.vjp(x=lambda g, dims: flip(g, dims))


@primitive
def roll(x, shifts, dims=None):
    """x shifted along `dims`; what leaves at one end enters at the other"""
    return np.roll(x, shifts, dims)


def roll_back(g, shifts, dims):
    return roll(g, tuple(-s for s in shifts) if isinstance(shifts, tuple | list) else -shifts, dims)


roll.vjp(x=roll_back)


@primitive
def tril(x, diagonal=0):
    """The lower triangle of the last two dimensions, 0 above the diagonal"""
    return np.tril(x, diagonal)


tril.vjp(x=lambda g, diagonal: tril(g, diagonal))


@primitive
def triu(x, diagonal=0):
    """The upper triangle of the last two dimensions, 0 below the diagonal"""
    return np.triu(x, diagonal)


triu.vjp(x=lambda g, diagonal: triu(g, diagonal))
