"""Matrices as products of triangular and orthogonal ones: Cholesky and QR."""

from collections import namedtuple

import numpy as np

from ...primitive import primitive
from ...tensor import Tensor
from ..diagonal import tril
from ..join import cat
from .common import (
    above_one_another,
    checked_matrices,
    failures,
    or_nan,
    symmetric,
    without_failures,
)
from .systems import info_of, solve_triangular
from .undetermined import completed

__all__ = ["cholesky", "qr"]

QRResult = namedtuple("QRResult", "Q R")
CholeskyExResult = namedtuple("CholeskyExResult", "L info")


# ---- Cholesky ------------------------------------------------------------------------------------


@primitive(name="cholesky")
def cholesky_or_nan(x):
    """The lower triangular L of x = L Lᵀ, from the lower triangle of x; NaN where there is none"""
    return or_nan(np.linalg.cholesky, x)


def gradient_of_cholesky(g, out):
    """Murray 2016, eq. 10: L⁻ᵀ Φ(Lᵀ g) L⁻¹, made symmetric"""
    p = tril(out.mT @ g)
    phi = (p + tril(p, -1).mT) / 2
    left = solve_triangular(out.mT, phi, upper=True)
    return symmetric(solve_triangular(out, left, upper=False, left=False))


cholesky_or_nan.vjp(x=gradient_of_cholesky)


def cholesky(A, *, upper=False):
    """The lower triangular L of A = L Lᵀ [..., n, n], or the upper triangular one of A = Lᵀ L.

    A must be symmetric and positive-definite, else it is a LinAlgError. Only its lower triangle is
    read (with upper=True, the upper one); the gradient is that of a symmetric matrix.
    """
    message = "linalg.cholesky: {} is not positive-definite: an eigenvalue of it is 0 or negative"
    checked_matrices(A, "linalg.cholesky", square=True)
    found = without_failures(cholesky_or_nan(A.mT if upper else A), message=message)
    return found.mT if upper else found


def old_cholesky(x, upper=False):
    """linalg.cholesky, under its older name"""
    return cholesky(x, upper=upper)


def cholesky_ex(A, *, upper=False, check_errors=False):
    """(L, info): info is 1 where A is not positive-definite, whose L is NaN here"""
    checked_matrices(A, "linalg.cholesky_ex", square=True)
    if check_errors:
        cholesky(A, upper=upper)
    found = cholesky_or_nan(A.mT if upper else A)
    return CholeskyExResult(found.mT if upper else found, info_of(failures(found)))


# ---- QR ------------------------------------------------------------------------------------------


@primitive(name="linalg_qr")
def q_and_r(x):
    """x [..., m, n] = Q R with orthonormal columns Q [..., m, k] and upper triangular R [..., k,
    n], k the smaller of m and n: Q, and below it Rᵀ"""
    q, r = np.linalg.qr(x)
    return above_one_another(q, np.swapaxes(r, -1, -2))


def q_r_of(packed, m):
    return packed[..., :m, :], packed[..., m:, :].mT


def gradient_of_qr(g, out, x_shape):
    """Walter and Lehmann 2012. Of a wide matrix [X Y] = Q [U Qᵀ Y], Y has a part of its own, and
    one by way of Q"""
    m, n = x_shape[-2:]
    (q, r), (gq, gr) = q_r_of(out, m), q_r_of(g, m)
    if m >= n:
        return gradient_of_square_qr(q, r, gq, gr)
    y, gy = q @ r[..., m:], q @ gr[..., m:]
    gx = gradient_of_square_qr(q, r[..., :m], gq + y @ gr[..., m:].mT, gr[..., :m])
    return cat([gx, gy], -1)


def gradient_of_square_qr(q, r, gq, gr):
    """(gq + q M) r⁻ᵀ, where M is the symmetric matrix with the lower triangle of r grᵀ - gqᵀ q"""
    low = tril(r @ gr.mT - gq.mT @ q)
    return solve_triangular(r.mT, gq + q @ (low + tril(low, -1).mT), upper=False, left=False)


q_and_r.vjp(x=gradient_of_qr)


def qr(A, mode="reduced"):
    """A [..., m, n] = Q R: (Q, R), with the signs that LAPACK gives.

    mode: "reduced" for Q [..., m, k] and R [..., k, n] with k = min(m, n), "complete" for Q
    [..., m, m] and R [..., m, n], "r" for the R of "reduced" and an empty Q. The gradient needs
    the first k columns of A to be independent. What completes Q may be any orthonormal basis of the
    rest: there is a gradient for what does not depend on which one, and else a RuntimeError.
    """
    checked_matrices(A, "linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"linalg.qr: mode is 'reduced', 'complete' or 'r', not {mode!r}")
    m, n = A.shape[-2:]
    q, r = q_r_of(q_and_r(A), m)
    if mode == "r":
        return QRResult(Tensor(np.zeros(0, A.dtype)), r)
    if mode == "complete" and m > n:
        rest = np.linalg.qr(A.array, "complete")[0][..., n:]
        zeros = Tensor(np.zeros((*A.shape[:-2], m - n, n), A.dtype))
        return QRResult(completed(q, rest, "linalg.qr"), cat([r, zeros], -2))
    return QRResult(q, r)


def old_qr(x, some=True):
    """linalg.qr under its older signature: reduced if `some`, else complete"""
    return qr(x, "reduced" if some else "complete")
