"""Gaussian elimination: a matrix with its rows in another order is L U, of triangular factors."""

from collections import namedtuple

import numpy as np

from ...primitive import primitive
from ...registry import ShapeError, composition
from ...tensor import Tensor
from ..along import take_along_dim
from ..diagonal import tril, triu
from ..join import cat
from .common import LinAlgError, checked_matrices, one_of
from .systems import checked_substitution

__all__ = ["lu_solve"]

LUFactorResult = namedtuple("LUFactorResult", "LU pivots")
LUFactorExResult = namedtuple("LUFactorExResult", "LU pivots info")
LUResult = namedtuple("LUResult", "P L U")


def eliminated(x, pivot: bool):
    """(L and U in one array [..., m, n], without the 1 on L's diagonal; with which row from j on
    row j was exchanged [..., min(m, n)]) of an array, each column clearing those behind it."""
    a, k = np.array(x), min(x.shape[-2:])
    pivots = np.broadcast_to(np.arange(k), (*x.shape[:-2], k)).copy()
    for j in range(k):
        if pivot:
            pivots[..., j] = j + np.argmax(np.abs(a[..., j:, j]), -1)
            rows = np.stack([np.full_like(pivots[..., j], j), pivots[..., j]], -1)[..., None]
            pair = np.take_along_axis(a, rows, -2)
            np.put_along_axis(a, rows[..., ::-1, :], pair, -2)
        top = a[..., j : j + 1, j]
        a[..., j + 1 :, j] /= np.where(top == 0, 1, top)
        a[..., j + 1 :, j + 1 :] -= a[..., j + 1 :, j, None] * a[..., j, None, j + 1 :]
    return a, pivots


def order_of(pivots, m: int):
    """Which row of the matrix is row i of L U [..., m], an array."""
    order = np.broadcast_to(np.arange(m), (*pivots.shape[:-1], m)).copy()
    for j in range(pivots.shape[-1]):
        rows = np.stack([np.full_like(pivots[..., j], j), pivots[..., j]], -1)
        pair = np.take_along_axis(order, rows, -1)
        np.put_along_axis(order, rows[..., ::-1], pair, -1)
    return order


@primitive(name="linalg_lu_factor")
def packed_factors(x, found):
    """`found`: L and U of x, whose rows are in their final order"""
    return np.array(found)


def gradient_of_lu(g, out):
    """De Hoog, Anderssen and Lukas 2011: of a square x, L⁻ᵀ (low(Lᵀ gL) + up(gU Uᵀ)) U⁻ᵀ. Columns
    of x behind those are L⁻¹ x = U, rows below are x U⁻¹ = L, which reach the square by way of L or
    U."""
    m, n = out.shape[-2:]
    k = min(m, n)
    square, gl, gu = out[..., :k, :k], tril(g[..., :k, :k], -1), triu(g[..., :k, :k])
    from_left = lambda y: checked_substitution(square.mT, y, True, True)  # L⁻ᵀ y
    from_right = lambda y: checked_substitution(square, y.mT, True).mT  # y U⁻ᵀ
    beside = below = None
    if n > k:
        beside = from_left(g[..., k:])
        gl = gl - beside @ out[..., k:].mT
    if m > k:
        below = from_right(g[..., k:, :])
        gu = gu - out[..., k:, :].mT @ below
    low = square.mT.triu(1) + np.eye(k, dtype=g.dtype)  # Lᵀ
    found = from_right(from_left(tril(low @ gl, -1) + triu(gu @ triu(square).mT)))
    if beside is not None:
        return cat([found, beside], -1)
    return found if below is None else cat([found, below], -2)


packed_factors.vjp(x=gradient_of_lu)


def factored(A, pivot, op):
    """(L and U in one tensor, the order of rows, pivots counted from 0)"""
    found, pivots = eliminated(checked_matrices(A, op).array, pivot)
    order = order_of(pivots, A.shape[-2])
    index = np.broadcast_to(order[..., None], A.shape)
    return packed_factors(take_along_dim(A, Tensor(index), -2), found), order, pivots


def lu_factor(A, *, pivot=True):
    """(LU, pivots): the triangles of A's factors in one matrix [..., m, n], L without the 1 on its
    diagonal; and with which row each row was exchanged, counted from 1, as LAPACK says it"""
    found, pivots, info = lu_factor_ex(A, pivot=pivot)
    if info.array.any():
        at = one_of(np.argwhere(info.array)[0])
        raise LinAlgError(f"linalg.lu_factor: {at} is singular: its U has a 0 on the diagonal")
    return LUFactorResult(found, pivots)


def lu_factor_ex(A, *, pivot=True, check_errors=False):
    """(LU, pivots, info): info is the number, from 1, of the first 0 on U's diagonal, or 0"""
    if check_errors:
        lu_factor(A, pivot=pivot)
    found, _, pivots = factored(A, pivot, "linalg.lu_factor")
    zeros = np.diagonal(found.array, axis1=-2, axis2=-1) == 0
    info = np.where(zeros.any(-1), zeros.argmax(-1) + 1, 0) if zeros.size else zeros.sum(-1)
    as_int32 = lambda x: Tensor(np.asarray(x, np.int32))
    return LUFactorExResult(found, as_int32(pivots + 1), as_int32(info))


def lu(A, *, pivot=True):
    """A = P L U: (P, L, U), a permutation [..., m, m], L [..., m, k] with 1 on its diagonal, and U
    [..., k, n], k = min(m, n). Without pivot, P is empty, and there may be no such factors."""
    found, order, _ = factored(A, pivot, "linalg.lu")
    m, n = A.shape[-2:]
    k = min(m, n)
    low = tril(found[..., :k], -1) + np.eye(m, k, dtype=A.dtype)
    permutation = np.asarray(order[..., None, :] == np.arange(m)[:, None], A.dtype)
    return LUResult(
        Tensor(permutation if pivot else np.zeros(0, A.dtype)), low, triu(found[..., :k, :])
    )


def solve_lu(LU, pivots, B, *, left=True, adjoint=False):
    """The X of A X = B, or with left=False of X A = B, given lu_factor of A; adjoint: of Aᵀ
    instead"""
    checked_matrices(LU, "linalg.lu_solve", square=True)
    if B.ndim < 2 or B.shape[-2 if left else -1] != LU.shape[-1]:
        raise ShapeError(f"linalg.lu_solve: LU {LU.shape} and B {B.shape} don't fit")
    if not left:
        return solve_lu(LU, pivots, B.mT, adjoint=not adjoint).mT
    order = order_of(pivots.array.astype(int) - 1, LU.shape[-1])
    if not adjoint:
        y = rows_of(B, order)
        return checked_substitution(LU, checked_substitution(LU, y, False, True), True)
    y = checked_substitution(LU.mT, B, False)
    return rows_of(checked_substitution(LU.mT, y, True, True), np.argsort(order, -1))


def rows_of(x, order):
    """The rows of matrices x [..., n, k] in an order [..., n]"""
    batch = np.broadcast_shapes(x.shape[:-2], order.shape[:-1])
    x = x.expand((*batch, *x.shape[-2:]))
    return take_along_dim(x, Tensor(np.broadcast_to(order[..., None], x.shape)), -2)


@composition
def lu_solve(b, LU_data, LU_pivots):
    """linalg.lu_solve, under its older signature"""
    return solve_lu(LU_data, LU_pivots, b)
