"""Products of matrices and vectors."""

import math

import numpy as np

from ....kernels import matmul as kernel
from ...primitive import primitive
from ...registry import ShapeError, composition
from ..reduce import sum
from ..shape import reshape, transpose, unsqueeze

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "dot", "ger", "inner", "matmul", "mm",
    "mv", "outer", "vdot",
]  # fmt: skip

# ---- Matrices ------------------------------------------------------------------------------------


@primitive(name="matmul", promotes="common")
def matrix_product(x, y):
    """x @ y of (stacks of) matrices [..., m, k] and [..., k, n]: [..., m, n]"""
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(
            f"matmul: {x.shape} @ {y.shape}: the last size of the first ({x.shape[-1]}) must be "
            f"the last but one of the second ({y.shape[-2]})"
        )
    return kernel.matmul(x, y)


matrix_product.vjp(
    x=lambda g, y: matrix_product(g, transpose(y, -1, -2)),
    y=lambda g, x: matrix_product(transpose(x, -1, -2), g),
)


def matmul(x, y):
    """x @ y. A 1-D operand is a row on the left, a column on the right; its dimension goes away."""
    if x.ndim == y.ndim == 2:
        return matrix_product(x, y)
    if x.ndim > 2 and y.ndim == 2:  # one large product, not many: faster, and so is its gradient
        rows = matrix_product(reshape(x, (-1, x.shape[-1])) if x.shape[-1] else x, y)
        return reshape(rows, (*x.shape[:-1], y.shape[-1]))
    if x.ndim >= 2 and y.ndim >= 2:
        return matrix_product(x, y)
    if not (x.ndim and y.ndim):
        raise ShapeError(
            f"matmul: both operands need a dimension; their shapes are {x.shape}, {y.shape}"
        )
    out = matmul(unsqueeze(x, 0) if x.ndim == 1 else x, unsqueeze(y, 1) if y.ndim == 1 else y)
    shape = list(out.shape)
    if y.ndim == 1:
        del shape[-1]
    if x.ndim == 1:
        del shape[len(shape) - (y.ndim > 1) - 1]
    return reshape(out, shape)


def of_dims(name: str, *ndims: int):
    """matmul under a name that says what it takes, as in PyTorch: mm, mv and bmm."""

    def product(x, y):
        if (x.ndim, y.ndim) != ndims:
            raise ShapeError(
                f"{name} takes tensors of {ndims[0]} and {ndims[1]} dimensions; their shapes are "
                f"{x.shape}, {y.shape}: matmul takes them"
            )
        return matmul(x, y)

    return composition(product, name)


mm, mv, bmm = of_dims("mm", 2, 2), of_dims("mv", 2, 1), of_dims("bmm", 3, 3)


# ---- Vectors -------------------------------------------------------------------------------------


@composition
def dot(x, y):
    """The sum of x_i y_i, of two vectors of one length"""
    if x.ndim != 1 or x.shape != y.shape:
        raise ShapeError(
            f"dot takes two vectors of one length; their shapes are {x.shape}, {y.shape}"
        )
    products = x * y
    return sum(products, dtype=products.dtype)


vdot = dot  # they differ for complex numbers, which are not here


@composition
def outer(x, y):
    """The matrix of all products x_i y_j of two vectors"""
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError(f"outer takes two vectors; their shapes are {x.shape}, {y.shape}")
    return unsqueeze(x, 1) * y


ger = outer


@composition
def inner(x, y):
    """The dot products of all vectors along the last dimensions of x and y: [*x, *y]"""
    if not (x.ndim and y.ndim):
        return x * y
    if x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"inner: the last sizes of {x.shape} and {y.shape} must be equal")
    product = matrix_product(as_rows(x), transpose(as_rows(y), 0, 1))
    return reshape(product, (*x.shape[:-1], *y.shape[:-1]))


# ---- Products added to something -----------------------------------------------------------------


def plus(name: str, product):
    """The op beta input + alpha product(x, y). With beta = 0 the input is not looked at. Of
    integers, beta and alpha are made integers, too, as in PyTorch."""

    def added(input, x, y, *, beta=1, alpha=1):
        out = product(x, y)
        if out.dtype.kind != "f":
            beta, alpha = out.dtype.type(beta), out.dtype.type(alpha)
        out = out if alpha == 1 else out * alpha
        if np.broadcast_shapes(input.shape, out.shape) != out.shape:
            raise ShapeError(f"{name}: {input.shape} can't be added to a product {out.shape}")
        if beta == 0:
            return out
        return (input if beta == 1 else input * beta) + out

    return composition(added, name)


addmm, addmv, addr = plus("addmm", mm), plus("addmv", mv), plus("addr", outer)
baddbmm, addbmm = plus("baddbmm", bmm), plus("addbmm", lambda x, y: sum(bmm(x, y), 0))


# ---- Layers --------------------------------------------------------------------------------------


@primitive(promotes="common")
def linear(x, weight, bias=None):
    """x weight' + bias: x [..., in], weight [out, in], bias [out]; [..., out]"""
    check_features(x, weight)
    out, _ = kernel.linear(as_rows(x), weight, bias)
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], len(weight))


def check_features(x, weight):
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: the input has {x.shape[-1] if x.ndim else 'no'} features (shape {x.shape}), "
            f"the weight {weight.shape} takes {weight.shape[-1] if weight.ndim else 'none'}"
        )


def as_rows(x):
    """[..., n] as a matrix of rows [rows, n]"""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


linear.vjp(
    x=lambda g, weight: matmul(g, weight),
    weight=lambda g, x: matmul(transpose(as_rows(g), 0, 1), as_rows(x)),
    bias=lambda g: sum_rows(as_rows(g)),
)


@primitive
def sum_rows(x):
    """The sum of the rows of a matrix [rows, columns], in an order that no thread count changes"""
    return kernel.column_sum(x)


sum_rows.vjp(x=lambda g, x_shape: g.expand(x_shape))
