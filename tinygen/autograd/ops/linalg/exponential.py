"""The exponential of a matrix, by scaling, Padé approximation and squaring."""

import numpy as np

from ...primitive import primitive
from ..join import cat
from .common import checked_matrices

__all__ = ["matrix_exp"]

# Higham 2005, "The scaling and squaring method for the matrix exponential revisited", table 2.3:
# the coefficients of r13 = p(x) / p(-x), and the norm up to which it is exact in float64.
# fmt: off
PADE = [64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
        10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1]
# fmt: on
LARGEST_NORM = 5.371920351148152


@primitive(name="matrix_exp")
def exponential(x):
    """Σ xⁿ / n! of matrices [..., n, n]: r13(x / 2^s)^(2^s), each with its own s. float32 is
    computed in float64, for squaring doubles the relative error every time"""
    dtype, x = x.dtype, np.asarray(x, np.float64)
    norm = np.abs(x).sum(-2).max(-1, initial=0)
    with np.errstate(divide="ignore"):
        squarings = np.ceil(np.log2(np.where(np.isfinite(norm), norm, 0) / LARGEST_NORM))
    squarings = np.maximum(squarings, 0).astype(int)[..., None, None]
    y = rational(x / 2.0**squarings)
    for i in range(squarings.max(initial=0)):
        y = np.where(i < squarings, y @ y, y)
    return y.astype(dtype)


def rational(x):
    """p(-x)⁻¹ p(x), p(x) being even(x²) + x odd(x²); six products in all (Higham 2005, eq. 2.7)"""
    b, one = PADE, np.eye(x.shape[-1])
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    sum_from = lambda i: b[i + 6] * x6 + b[i + 4] * x4 + b[i + 2] * x2 + b[i] * one
    odd = x @ (x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + sum_from(1))
    even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + sum_from(0)
    return np.linalg.solve(even - odd, even + odd)


def gradient_of_exponential(g, x):
    """exp [xᵀ g; 0 xᵀ] = [exp(xᵀ) L(g); 0 exp(xᵀ)], where L is what differentiates exp at xᵀ. g is
    brought to the size of x, lest it decide the scaling"""
    n = x.shape[-1]
    size = np.abs(g.array).max((-2, -1), keepdims=True, initial=0)
    size = np.where((size > 0) & np.isfinite(size), size, 1).astype(g.dtype)
    top, bottom = cat([x.mT, g / size], -1), cat([g * 0.0, x.mT], -1)
    return exponential(cat([top, bottom], -2))[..., :n, n:] * size


exponential.vjp(x=gradient_of_exponential)


def matrix_exp(A):
    """Σ Aⁿ / n! of matrices [..., n, n]"""
    return exponential(checked_matrices(A, "linalg.matrix_exp", square=True))
