"""Normal vectors, told by a full covariance or by one of low rank plus a diagonal."""

from __future__ import annotations

import math

from ..autograd.creation import eye
from ..autograd.ops.diagonal import diag_embed, diagonal
from ..autograd.ops.elementwise import log, sqrt
from ..autograd.ops.linalg.factors import cholesky
from ..autograd.ops.linalg.products import matmul
from ..autograd.ops.linalg.systems import solve_triangular
from ..autograd.ops.shape import adjoint, broadcast_shapes, squeeze, unsqueeze
from ..autograd.registry import ShapeError
from ..autograd.tensor import Tensor
from . import constraints, draws
from .distribution import Distribution

__all__ = ["LowRankMultivariateNormal", "MultivariateNormal"]


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrices [..., m, n] times vectors [..., n]. One matrix takes all vectors as one product."""
    if matrix.ndim == 2:
        return matmul(vector, adjoint(matrix)) if vector.ndim > 1 else matmul(matrix, vector)
    return squeeze(matmul(matrix, unsqueeze(vector, -1)), -1)


def inverse_factor(scale_tril: Tensor) -> Tensor:
    """L^-1: it makes white noise of what L made of white noise."""
    identity = eye(scale_tril.shape[-1], dtype=scale_tril.dtype)
    return solve_triangular(scale_tril, identity.expand(scale_tril.shape), upper=False)


def half_log_det(scale_tril: Tensor) -> Tensor:
    return log(diagonal(scale_tril, dim1=-2, dim2=-1)).sum(-1)


def factor_of_precision(precision: Tensor) -> Tensor:
    """L with L Lᵀ = P^-1. With rows and columns in reverse order, P = Uᵀ U is a Cholesky
    decomposition; L is the inverse of U."""
    flipped = cholesky(precision.flip((-2, -1)))
    upper = adjoint(flipped.flip((-2, -1)))
    return inverse_factor(upper)


class MultivariateNormal(Distribution):
    """Normal vectors with mean `loc` [..., n] and one of `covariance_matrix`, `precision_matrix`,
    and `scale_tril` L, with L Lᵀ the covariance, [..., n, n]. All is computed from L."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    loc: Tensor
    scale_tril: Tensor

    def __init__(
        self,
        loc,
        covariance_matrix=None,
        precision_matrix=None,
        scale_tril=None,
        validate_args: bool | None = None,
    ):
        self._validate_args = type(self)._validate_args if validate_args is None else validate_args
        matrices = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix,
                    "scale_tril": scale_tril}  # fmt: skip
        given = {name: matrix for name, matrix in matrices.items() if matrix is not None}
        if len(given) != 1:
            raise ValueError(
                "MultivariateNormal: pass one of covariance_matrix, precision_matrix and "
                f"scale_tril; got {', '.join(given) or 'none of them'}"
            )
        ((name, matrix),) = given.items()
        if matrix.ndim < 2 or loc.ndim < 1:
            raise ShapeError(
                f"MultivariateNormal: loc is [..., n] and {name} [..., n, n]; got shapes "
                f"{loc.shape} and {matrix.shape}"
            )
        if self._validate_args:
            self._check(f"parameter {name}", matrix, self.arg_constraints[name])
        batch = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        factor = {"covariance_matrix": cholesky, "precision_matrix": factor_of_precision,
                  "scale_tril": lambda L: L}[name](matrix)  # fmt: skip
        self._factor = factor  # not expanded: one matrix serves all
        self.scale_tril = factor.expand(batch + matrix.shape[-2:])
        self.loc = loc.expand(batch + matrix.shape[-1:])
        super().__init__(batch, matrix.shape[-1:], validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        noise = draws.normals(self._extended_shape(sample_shape), self.loc.dtype, generator)
        return self.loc + times(self._factor, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        white = times(inverse_factor(self._factor), self._validate_sample(value) - self.loc)
        constant = 0.5 * math.log(2 * math.pi) * self.event_shape[0]
        return -0.5 * (white * white).sum(-1) - half_log_det(self._factor) - constant

    def entropy(self) -> Tensor:
        constant = 0.5 * math.log(2 * math.pi * math.e) * self.event_shape[0]
        return (half_log_det(self._factor) + constant).expand(self.batch_shape)

    @property
    def covariance_matrix(self) -> Tensor:
        return matmul(self.scale_tril, adjoint(self.scale_tril))

    @property
    def precision_matrix(self) -> Tensor:
        whitener = inverse_factor(self.scale_tril)
        return matmul(adjoint(whitener), whitener)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.scale_tril * self.scale_tril).sum(-1)


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with mean `loc` [..., n] and covariance W Wᵀ + D: `cov_factor` W [..., n, r],
    `cov_diag` the diagonal of D [..., n]. Inverse and determinant cost r³ instead of n³, through
    the capacitance matrix C = 1 + Wᵀ D^-1 W (Woodbury's identity, matrix determinant lemma)."""

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc, cov_factor, cov_diag, validate_args: bool | None = None):
        if cov_factor.ndim < 2 or cov_factor.shape[-2] != cov_diag.shape[-1]:
            raise ShapeError(
                "LowRankMultivariateNormal: cov_factor is [..., n, r] and cov_diag [..., n]; got "
                f"shapes {cov_factor.shape} and {cov_diag.shape}"
            )
        batch = broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc = loc.expand(batch + cov_diag.shape[-1:])
        self.cov_factor = cov_factor.expand(batch + cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(batch + cov_diag.shape[-1:])
        super().__init__(batch, cov_diag.shape[-1:], validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape, rank = self._extended_shape(sample_shape), self.cov_factor.shape[-1]
        few = draws.normals((*shape[:-1], rank), self.loc.dtype, generator)
        own = draws.normals(shape, self.loc.dtype, generator)
        return self.loc + times(self.cov_factor, few) + sqrt(self.cov_diag) * own

    @property
    def _scaled(self) -> Tensor:
        """Wᵀ D^-1, [..., r, n]"""
        return adjoint(self.cov_factor) / unsqueeze(self.cov_diag, -2)

    @property
    def _capacitance_tril(self) -> Tensor:
        inner = matmul(self._scaled, self.cov_factor)
        return cholesky(inner + eye(inner.shape[-1], dtype=inner.dtype))

    def _half_log_det(self) -> Tensor:
        return half_log_det(self._capacitance_tril) + 0.5 * log(self.cov_diag).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        d = self._validate_sample(value) - self.loc
        inside = times(inverse_factor(self._capacitance_tril), times(self._scaled, d))
        distance = (d * d / self.cov_diag).sum(-1) - (inside * inside).sum(-1)
        constant = 0.5 * math.log(2 * math.pi) * self.event_shape[0]
        return -0.5 * distance - self._half_log_det() - constant

    def entropy(self) -> Tensor:
        return self._half_log_det() + 0.5 * math.log(2 * math.pi * math.e) * self.event_shape[0]

    @property
    def covariance_matrix(self) -> Tensor:
        return matmul(self.cov_factor, adjoint(self.cov_factor)) + diag_embed(self.cov_diag)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.cov_factor * self.cov_factor).sum(-1) + self.cov_diag
