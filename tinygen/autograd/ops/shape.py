"""Shapes: the same elements, arranged differently. Views where NumPy can give one, else copies."""

import math
from operator import index as as_int

import numpy as np

from ..primitive import primitive
from ..registry import ShapeError, composition

__all__ = [
    "adjoint", "broadcast_shapes", "broadcast_tensors", "broadcast_to", "flatten",
    "moveaxis", "movedim", "narrow", "permute", "ravel", "reshape", "squeeze",
    "swapaxes", "swapdims", "t", "transpose", "unflatten", "unsqueeze",
]  # fmt: skip


def sizes(shape) -> tuple[int, ...]:
    """`view(2, 3)` and `view((2, 3))` mean the same."""
    if len(shape) == 1 and isinstance(shape[0], tuple | list | np.ndarray):
        shape = shape[0]
    for n in shape:
        if n.__class__ is not int:
            break
    else:
        return tuple(shape)
    try:
        return tuple(as_int(n) for n in shape)
    except TypeError:
        raise TypeError(
            f"sizes and dims are ints, one by one or in a tuple; got {shape} (view(dtype) is not "
            "there: .to(dtype) converts the values)"
        ) from None


def one_by_one(op, name: str):
    """The method that takes sizes or dims one by one, as one tuple, or as the keyword `name`."""

    def method(x, *given, **named):
        return op(x, sizes((named.pop(name),) if name in named else given), **named)

    method.__name__, method.__doc__ = op.__name__, op.__doc__
    return method


def checked_dim(dim: int, ndim: int, op: str) -> int:
    """`dim` counted from the front; an error if there is no such dimension. A 0-d tensor is taken
    to have one, as in PyTorch. A primitive adds its name to errors by itself: there op is ""."""
    count = max(ndim, 1)
    if not -count <= dim < count:
        raise IndexError(
            f"{op and op + ': '}dim {dim} is out of range for a tensor of {ndim} dimensions; it "
            f"must be in [{-count}, {count - 1}]"
        )
    return dim % count


def checked_dims(dims, ndim: int, op: str) -> tuple[int, ...]:
    """One dim or several, each there and none of them twice, counted from the front."""
    dims = dims if isinstance(dims, tuple | list) else (dims,)
    found = tuple(checked_dim(d, ndim, op) for d in dims)
    if len(set(found)) < len(found):
        text = f"a dimension occurs twice in dims {tuple(dims)}"
        raise ShapeError(f"{op}: {text}") if op else ValueError(text)
    return found


view_op = primitive(is_view=True)


# ---- One shape into another ----------------------------------------------------------------------


@view_op
def reshape(x, shape):
    """x with another shape of as many elements; one size may be -1, and is worked out"""
    return x.reshape(shape)


reshape.vjp(x=lambda g, x_shape: reshape(g, x_shape))


@composition
def view(x, size):
    """x with another shape, sharing its memory: an error where that is impossible"""
    out = reshape(x, sizes((size,)))
    if out._view is None and x.array.size:
        raise RuntimeError(
            f"no view of shape {out.shape} is possible of a tensor of shape {x.shape} that is not "
            "contiguous; use .reshape(), which copies"
        )
    return out


def view_as(x, other):
    """x as a view with the shape of `other`"""
    return view(x, other.shape)


def reshape_as(x, other):
    """x with the shape of `other`"""
    return reshape(x, other.shape)


@composition
def unsqueeze(x, dim):
    """x with a new dimension of size 1 at `dim`"""
    shape = x.array.shape
    places = len(shape) + 1
    if not -places <= dim < places:
        raise IndexError(f"unsqueeze: dim {dim} is not in [{-places}, {places - 1}]")
    at = dim % places
    return reshape(x, (*shape[:at], 1, *shape[at:]))


@composition
def squeeze(x, dim=None):
    """x without its dimensions of size 1, or without those of `dim` that have size 1"""
    gone = range(x.ndim) if dim is None else checked_dims(dim, x.ndim, "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in gone))


@composition
def flatten(x, start_dim=0, end_dim=-1):
    """x with the dimensions from start_dim to end_dim made one"""
    start, end = (checked_dim(d, x.ndim, "flatten") for d in (start_dim, end_dim))
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim}")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def ravel(x):
    """x in one dimension"""
    return flatten(x)


@composition
def unflatten(x, dim, sizes):
    """The opposite of flatten: dimension `dim` becomes several, of these sizes (one may be -1)"""
    dim, sizes = checked_dim(dim, x.ndim, "unflatten"), tuple(sizes)
    known = math.prod(n for n in sizes if n != -1)
    fits = known == x.shape[dim] if -1 not in sizes else known and x.shape[dim] % known == 0
    if not sizes or not fits or sizes.count(-1) > 1:
        raise ShapeError(f"unflatten: sizes {sizes} do not multiply to {x.shape[dim]}, the size of "
                         f"dim {dim} of a tensor of shape {x.shape}")  # fmt: skip
    sizes = tuple(x.shape[dim] // known if n == -1 else n for n in sizes)
    return reshape(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


# ---- Broadcasting --------------------------------------------------------------------------------


@view_op
def expand(x, shape):
    """x repeated, without copying, along dimensions of size 1 and new leading ones; -1: as it is"""
    lead, full = len(shape) - x.ndim, shape
    if -1 in shape:
        full = [x.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape)]
    try:
        out = repeated(x, full)
    except ValueError:
        raise ShapeError(
            f"expand: a tensor of shape {x.shape} can't be expanded to {tuple(shape)}: only "
            "dimensions of size 1 are repeated, and new ones come first"
        ) from None
    if out.size == x.size and x.size:  # nothing is repeated, so it can be written
        return x[(None,) * lead + (...,)]
    return out


def repeated(x, shape):
    """np.broadcast_to, and where memory is contiguous in half of its time"""
    lead = len(shape) - x.ndim
    strides = [0] * lead
    for n, size, stride in zip(x.shape, shape[lead:], x.strides):
        strides.append(stride if n == size else 0)
        if n not in (1, size):
            break
    else:
        if x.flags.c_contiguous and lead >= 0 and x.size:
            out = np.ndarray(shape, x.dtype, x, 0, strides)
            out.flags.writeable = False
            return out
    return np.broadcast_to(x, shape)


# Undoing the broadcast, which every cotangent gets, is the whole gradient.
expand.vjp(x=lambda g: g)


@composition
def broadcast_to(x, size):
    """x repeated, without copying, to this shape"""
    return expand(x, sizes((size,)))


def expand_as(x, other):
    """x repeated, without copying, to the shape of `other`"""
    return expand(x, other.shape)


def broadcast_shapes(*shapes) -> tuple[int, ...]:
    """The shape that tensors of these shapes (or 1-D sizes) have once broadcast to one another"""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        listed = ", ".join(map(str, shapes))
        raise ShapeError(f"broadcast_shapes: {listed} can't be broadcast to one another: aligned "
                         "at the right, sizes must be equal or 1") from error  # fmt: skip


@composition
def broadcast_tensors(*tensors):
    """The tensors, each expanded to the one shape that all can be broadcast to"""
    tensors = one_list(tensors)
    shape = broadcast_shapes(*[x.shape for x in tensors])
    return tuple(expand(x, shape) for x in tensors)


def one_list(tensors) -> tuple:
    """`f(a, b)` and `f([a, b])` mean the same."""
    single = len(tensors) == 1 and isinstance(tensors[0], tuple | list)
    return tuple(tensors[0]) if single else tensors


# ---- Dimensions in another order -----------------------------------------------------------------


@view_op
def permute(x, dims):
    """Dimension i of the result is dimension dims[i] of x"""
    try:
        return x.transpose(dims)
    except ValueError:  # np.exceptions.AxisError is one, too
        if len(dims) == x.ndim:
            checked_dims(dims, x.ndim, "")
        raise ShapeError(f"permute: dims {tuple(dims)} must name each of the {x.ndim} dimensions "
                         f"of a tensor of shape {x.shape} once") from None  # fmt: skip


def unpermuted(g, dims):
    """g with its dimensions in the order before `permute`"""
    back = [0] * len(dims)
    for i, dim in enumerate(dims):
        back[dim] = i
    return permute(g, tuple(back))


permute.vjp(x=unpermuted)


@view_op
def transpose(x, dim0, dim1):
    """x with two dimensions exchanged"""
    try:
        return x.swapaxes(dim0, dim1)
    except np.exceptions.AxisError:
        for dim in (dim0, dim1):
            checked_dim(dim, x.ndim, "")
        return x[...]  # 0-d


transpose.vjp(x=lambda g, dim0, dim1: transpose(g, dim0, dim1))
swapaxes = swapdims = transpose


@composition
def t(x):
    """The transpose of a matrix; a vector as it is"""
    if x.ndim > 2:
        raise RuntimeError(f"t() takes at most 2 dimensions, not shape {x.shape}; use .mT")
    return permute(x, tuple(reversed(range(x.ndim))))


@composition
def adjoint(x):
    """x with its last two dimensions exchanged (numbers being real, the conjugate is the number)"""
    if x.ndim < 2:
        raise RuntimeError(f"adjoint (or .mT) needs a matrix, or several; the shape is {x.shape}")
    return transpose(x, -2, -1)


@composition
def movedim(x, source, destination):
    """x with the dimensions `source` moved to `destination`, the others in their order"""
    source = checked_dims(source, x.ndim, "movedim")
    target = checked_dims(destination, x.ndim, "movedim")
    if len(source) != len(target):
        raise ShapeError(f"movedim: {len(source)} dimensions can't go to {len(target)} places")
    if not x.ndim:
        return reshape(x, ())
    moved = dict(zip(target, source))
    others = iter([d for d in range(x.ndim) if d not in source])
    return permute(x, tuple(moved[i] if i in moved else next(others) for i in range(x.ndim)))


moveaxis = movedim


# ---- Parts ---------------------------------------------------------------------------------------


@view_op
def narrow(x, dim, start, length):
    """Elements start to start + length of dimension `dim`; a negative start counts from the end"""
    at = checked_dim(dim, x.ndim, "")
    if not x.ndim:
        raise IndexError("a 0-d tensor has no dimension to cut from")
    size, start = x.shape[at], as_int(start)
    if start < 0:
        start += size
    if not 0 <= start <= start + length <= size:
        raise IndexError(
            f"{start}:{start + length} is not within 0:{size}, the elements of dim {dim}"
        )
    return x[(slice(None),) * at + (slice(start, start + length),)]


def gradient_of_narrow(g, x_shape, dim, start):
    start = as_int(start)
    return embed(g, x_shape, dim, start if start >= 0 else start + x_shape[dim])


narrow.vjp(x=gradient_of_narrow)


@primitive
def embed(x, shape, dim, start):
    """Zeros of `shape`, with x as the part of dimension `dim` that begins at `start`"""
    out = np.zeros(shape, x.dtype)
    at = dim % x.ndim
    out[(slice(None),) * at + (slice(start, start + x.shape[at]),)] = x
    return out


embed.vjp(x=lambda g, x_shape, dim, start: narrow(g, dim, start, x_shape[dim]))


@view_op
def unfolded(x, dimension, size, step):
    """Tensor.unfold: all slices of `size` elements along a dimension, `step` apart, as a view; the
    elements of a slice lie along a new last dimension. Where slices overlap, it can't be written.
    """
    dim = checked_dim(dimension, x.ndim, "")
    if not x.ndim:
        return unfolded.forward(x[None], 0, size, step)[0]
    if step < 1 or not 0 <= size <= x.shape[dim]:
        raise ShapeError(
            f"unfold: windows of size {size}, a step of {step} apart, in {x.shape[dim]} elements "
            f"(dim {dimension}): size must be in [0, {x.shape[dim]}], step at least 1"
        )
    count = (x.shape[dim] - size) // step + 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    strides = list(x.strides)
    strides[dim] *= step
    out = strided(x, shape, (*strides, x.strides[dim]))
    if size > step:
        out.flags.writeable = False
    return out


unfolded.vjp(x=lambda g, x_shape, dimension, size, step: unfolded_sum(g, x_shape, dimension, step))


@primitive
def unfolded_sum(x, shape, dimension, step):
    """The slices x [..., count, ..., size] added up in the places where `unfolded` found them"""
    out = np.zeros(shape or 1, x.dtype)
    if not shape:
        return out[0] + x.sum(dtype=x.dtype)
    at = np.moveaxis(out, dimension, -1)
    x = np.moveaxis(x, dimension % len(shape), -2)  # [..., count, size]
    count, size = x.shape[-2:]
    for i in range(size):
        at[..., i : i + (count - 1) * step + 1 : step] += x[..., i]
    return out


unfolded_sum.vjp(
    x=lambda g, x_shape, dimension, step: unfolded(g, dimension, x_shape[-1], step),
)


def strided(x: np.ndarray, shape, strides) -> np.ndarray:
    """x's memory, from its first element on, with other strides (in bytes). The result's `base` is
    the array that owns the memory, as for NumPy's own views; as_strided hides it."""
    owner = x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    owner = owner.transpose(np.argsort(owner.strides)[::-1])  # the order in which memory is filled
    if not owner.flags.c_contiguous:  # memory of others, with gaps
        return np.lib.stride_tricks.as_strided(x, shape, strides).copy()
    start = x.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    out = np.ndarray(shape, x.dtype, owner, start, strides)
    out.flags.writeable = x.flags.writeable
    return out
