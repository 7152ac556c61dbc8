"""Matrices as sums of eigenvectors or singular vectors, each with its value.

Values and vectors come out of their primitives in one array, one below the other, so that the
gradient can read what the forward pass has found, and be differentiated in turn. undetermined.py
says what happens where values are equal.
"""

from collections import namedtuple
from typing import Literal

import numpy as np

from ...primitive import primitive
from ...tensor import Tensor
from ..diagonal import diag_embed
from ..shape import unsqueeze
from .common import above_one_another, checked_matrices, symmetric
from .undetermined import Quotient, completed, differences, scale_of, sums

__all__ = ["svd"]

EighResult = namedtuple("EighResult", "eigenvalues eigenvectors")
SVDResult = namedtuple("SVDResult", "U S Vh")
OldSVDResult = namedtuple("OldSVDResult", "U S V")


# ---- Symmetric eigenvalues -----------------------------------------------------------------------


@primitive(name="linalg_eigh")
def values_and_vectors(x, UPLO: Literal["L", "U"] = "L"):
    """The eigenvalues [..., n], in ascending order, and below them the eigenvectors, as columns"""
    return above_one_another(*np.linalg.eigh(x, UPLO))


def gradient_of_eigh(g, out):
    """dV = V (F ∘ Vᵀ dx V) with F_ij = 1 / (λj - λi), and dΛ is the diagonal of Vᵀ dx V"""
    values, vectors, g_values = out[..., 0, :], out[..., 1:, :], g[..., 0, :]
    inner = vectors.mT @ g[..., 1:, :]
    quotient = Quotient("linalg.eigh", "eigenvalues", values)
    core = quotient((inner - inner.mT) / 2, differences(values), scale_of(inner))
    quotient.check_values(g_values, inner)
    return symmetric(vectors @ (core + diag_embed(g_values)) @ vectors.mT)


values_and_vectors.vjp(x=gradient_of_eigh)


def checked_symmetric(A, UPLO, op):
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"{op}: UPLO is 'L' or 'U', not {UPLO!r}")
    return checked_matrices(A, op, square=True, finite=True), UPLO.upper()


def eigh(A, UPLO="L"):
    """The eigenvalues [..., n], ascending, and eigenvectors [..., n, n] (columns) of symmetric A.

    Only the lower triangle of A is read (UPLO="U": the upper one); the gradient is that of a
    symmetric matrix. At repeated eigenvalues there is one only for some losses, and an error for
    the others: undetermined.py says which. `eigvalsh` has one always.
    """
    packed = values_and_vectors(*checked_symmetric(A, UPLO, "linalg.eigh"))
    return EighResult(packed[..., 0, :], packed[..., 1:, :])


@primitive(name="linalg_eigvalsh")
def eigenvalues(x, UPLO: Literal["L", "U"] = "L"):
    """The eigenvalues [..., n] of symmetric matrices, in ascending order"""
    return np.linalg.eigvalsh(x, UPLO)


def gradient_of_eigenvalues(g, x, UPLO):
    vectors = eigh(x, UPLO).eigenvectors
    return symmetric((vectors * unsqueeze(g, -2)) @ vectors.mT)


eigenvalues.vjp(x=gradient_of_eigenvalues)


def eigvalsh(A, UPLO="L"):
    """The eigenvalues [..., n] of symmetric A, ascending. Repeated ones have a gradient, too: it is
    exact for what treats them equally, and a subgradient else."""
    return eigenvalues(*checked_symmetric(A, UPLO, "linalg.eigvalsh"))


# ---- Singular values -----------------------------------------------------------------------------


@primitive(name="linalg_svd")
def singular_triples(x):
    """x [..., m, n] = U diag(S) Vᵀ: U [..., m, k], below it S, below it V [..., n, k], k the
    smaller of m and n"""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return above_one_another(u, s, np.swapaxes(vt, -1, -2))


def u_s_v_of(packed, m):
    return packed[..., :m, :], packed[..., m, :], packed[..., m + 1 :, :]


def gradient_of_svd(g, out, x_shape):
    """With A = Uᵀ gU - gUᵀ U and B the same of V: U C Vᵀ, and what is outside of U or V, where

        C_ij = (A_ij sj + si B_ij) / (sj² - si²)
             = ½ (A_ij + B_ij) / (sj - si) + ½ (A_ij - B_ij) / (sj + si)       and gS_i for i = j.

    The second form keeps apart what may be rotated: U and V together for equal singular values,
    each for itself for those that are 0. (Giles 2008, with (sj² - si²) in partial fractions.)"""
    m, n = x_shape[-2:]
    k = min(m, n)
    (u, s, v), (gu, gs, gv) = u_s_v_of(out, m), u_s_v_of(g, m)
    in_u, in_v = u.mT @ gu, v.mT @ gv
    a, b, scale = in_u - in_u.mT, in_v - in_v.mT, scale_of(in_u, in_v)
    quotient = Quotient("linalg.svd", "singular values", s)
    core = (quotient(a + b, differences(s), scale) + quotient(a - b, sums(s), scale)) / 2
    quotient.check_values(gs, in_u + in_v)
    found = u @ (core + diag_embed(gs)) @ v.mT
    row = unsqueeze(s, -2)
    if m > k:
        outside = gu - u @ in_u
        found = found + quotient(outside, row, scale_of(gu), gs) @ v.mT
    if n > k:
        outside = gv - v @ in_v
        found = found + u @ quotient(outside, row, scale_of(gv), gs).mT
    return found


singular_triples.vjp(x=gradient_of_svd)


def svd(A, full_matrices=True, *, driver=None):
    """A [..., m, n] = U diag(S) Vh: (U, S, Vh), S [..., k] descending, k the smaller of m and n.

    U is [..., m, m] and Vh [..., n, n], or with full_matrices=False [..., m, k] and [..., k, n]. At
    repeated singular values, at 0 if A is not square, and for what completes U or Vh there is a
    gradient only for some losses, and an error for the others: undetermined.py says which.
    `svdvals` has one always. `driver` is for GPUs, and is not looked at.
    """
    checked_matrices(A, "linalg.svd", finite=True)
    m, n = A.shape[-2:]
    u, s, v = u_s_v_of(singular_triples(A), m)
    if full_matrices and m != n:
        full_u, _, full_vt = np.linalg.svd(A.array)
        if m > n:
            u = completed(u, full_u[..., n:], "linalg.svd")
        else:
            v = completed(v, np.swapaxes(full_vt, -1, -2)[..., m:], "linalg.svd")
    return SVDResult(u, s, v.mT)


def old_svd(x, some=True, compute_uv=True):
    """linalg.svd under its older signature: (U, S, V), reduced if `some`; V is not transposed"""
    if not compute_uv:
        (m, n), batch = x.shape[-2:], x.shape[:-2]
        zeros = lambda n: Tensor(np.zeros((*batch, n, n), x.dtype))
        return OldSVDResult(zeros(m), svdvals(x), zeros(n))
    u, s, vh = svd(x, full_matrices=not some)
    return OldSVDResult(u, s, vh.mT)


@primitive(name="linalg_svdvals")
def singular_values(x):
    """The singular values [..., k] of matrices, in descending order"""
    return np.linalg.svd(x, compute_uv=False)


def gradient_of_singular_values(g, x):
    u, _, vh = svd(x, full_matrices=False)
    return (u * unsqueeze(g, -2)) @ vh


singular_values.vjp(x=gradient_of_singular_values)


def svdvals(A, *, driver=None):
    """The singular values [..., k] of A [..., m, n], descending. Repeated ones and 0 have a
    gradient, too: it is exact for what is smooth there, and a subgradient else."""
    return singular_values(checked_matrices(A, "linalg.svdvals", finite=True))
