"""Diagonals and triangles of matrices."""

import math

import numpy as np

from ..inplace import put_view
from ..primitive import primitive
from ..registry import ShapeError, composition
from ..tensor import Tensor, View
from .index import getitem, select, setitem
from .shape import checked_dim, checked_dims, flatten, reshape, view_op

__all__ = [
    "diag", "diag_embed", "diagflat", "diagonal", "diagonal_scatter", "select_scatter",
    "slice_scatter", "tril", "triu",
]  # fmt: skip


# ---- Triangles -----------------------------------------------------------------------------------


def of_matrices(x, op: str):
    if x.ndim < 2:
        raise ShapeError(f"{op} needs a tensor of at least 2 dimensions; the shape is {x.shape}")
    return x


@primitive
def tril(x, diagonal=0):
    """The lower triangle of the last two dimensions, 0 above the diagonal"""
    return np.tril(of_matrices(x, "tril"), diagonal)


tril.vjp(x=lambda g, diagonal: tril(g, diagonal))


@primitive
def triu(x, diagonal=0):
    """The upper triangle of the last two dimensions, 0 below the diagonal"""
    return np.triu(of_matrices(x, "triu"), diagonal)


triu.vjp(x=lambda g, diagonal: triu(g, diagonal))


# ---- Diagonals -----------------------------------------------------------------------------------


@view_op
def diagonal(x, offset=0, dim1=0, dim2=1):
    """The diagonal of the plane of two dimensions, as a view; it becomes the last dimension.
    offset > 0 is above the main diagonal, < 0 below it."""
    dims = checked_dims((dim1, dim2), x.ndim, "")
    x = np.moveaxis(x, dims, (-2, -1))
    x = x[..., max(-offset, 0) :, max(offset, 0) :]
    n = min(x.shape[-2:])
    return np.einsum("...ii->...i", x[..., :n, :n])


diagonal.vjp(
    x=lambda g, x_shape, offset, dim1, dim2: put_part(
        Tensor(np.zeros(x_shape, g.dtype)), g, diagonal, offset, dim1, dim2
    )
)


def put_part(x, src, op, *args) -> Tensor:
    """x with src in the place of the part op(x, *args), where op gives a view."""
    view = View(None, ((op, args, {}),), 0)
    part = op(x.detach(), *args)
    if src.shape != part.shape:
        raise ShapeError(f"{op.__name__}_scatter: src must have the shape {part.shape} of the part "
                         f"that it replaces; it has {src.shape}")  # fmt: skip
    return put_view(x, src.to(x.dtype), view)


@composition
def diagonal_scatter(x, src, offset=0, dim1=0, dim2=1):
    """A copy of x with src in the place of diagonal(x, offset, dim1, dim2)"""
    return put_part(x, src, diagonal, offset, dim1, dim2)


@composition
def select_scatter(x, src, dim, index):
    """A copy of x with src in the place of select(x, dim, index)"""
    return put_part(x, src, select, dim, index)


def slice_(x, dim, start, end, step):
    """Part of the elements along `dim`, as a view"""
    before = (slice(None),) * checked_dim(dim, x.ndim, "slice_scatter")
    return getitem(x, (*before, slice(start, end, step)))


@composition
def slice_scatter(x, src, dim=0, start=None, end=None, step=1):
    """A copy of x with src in the place of the elements start:end:step along `dim`"""
    if step < 1:
        raise ShapeError(f"slice_scatter: step must be positive; got {step}")
    return put_part(x, src, slice_, dim, start, end, step)


@composition
def diag_embed(x, offset=0, dim1=-2, dim2=-1):
    """Matrices with x [..., n] on the diagonal, 0 elsewhere; dim1 and dim2 are their dimensions"""
    if not x.ndim:
        raise IndexError("diag_embed: a 0-d tensor has no dimension to lie on the diagonal")
    first, second = checked_dims((dim1, dim2), x.ndim + 1, "diag_embed")
    n = x.shape[-1] + abs(offset)
    shape = list(x.shape[:-1])
    for dim in sorted((first, second)):
        shape.insert(dim, n)
    zeros = Tensor(np.zeros(shape, x.dtype))
    return put_part(zeros, x, diagonal, offset, first, second)


@composition
def diag(x, diagonal=0):
    """The matrix with the vector x on its diagonal; or a copy of the diagonal of the matrix x"""
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag takes a vector or a matrix; got shape {x.shape}")
    return diag_embed(x, diagonal) if x.ndim == 1 else diagonal_of(x, diagonal).clone()


diagonal_of = diagonal  # under another name, where `diagonal` is the offset


@composition
def diagflat(x, offset=0):
    """The matrix with the elements of x on its diagonal"""
    return diag_embed(flatten(x), offset)


def fill_diagonal(x, value, wrap=False):
    """x with a number on its main diagonal; `wrap`: begin anew below it, one row left out"""
    if x.ndim < 2 or (x.ndim > 2 and len(set(x.shape)) > 1):
        raise ShapeError(f"fill_diagonal_ needs a matrix, or more dimensions of one size; the "
                         f"shape is {x.shape}")  # fmt: skip
    step = sum(math.prod(x.shape[i + 1 :]) for i in range(x.ndim))
    n = min(x.shape)
    end = x.array.size if wrap and x.ndim == 2 else n * step
    return reshape(setitem(flatten(x), value, slice(0, end, step)), x.shape)
