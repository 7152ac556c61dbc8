"""Families loc + scale · z on the real line, each told by its standard variable z."""

from __future__ import annotations

import math

from ..autograd.ops.choose import where
from ..autograd.ops.elementwise import abs, atan2, exp, log, log1p, sqrt, tan
from ..autograd.ops.incomplete_beta import stdtr, stdtrit
from ..autograd.ops.special import digamma, lgamma, ndtr, ndtri
from ..autograd.tensor import Tensor
from . import constraints, draws
from .distribution import Distribution, broadcast_all

__all__ = ["Cauchy", "Gumbel", "Laplace", "LocationScale", "Normal", "StudentT"]

EULER = 0.5772156649015329  # Euler's constant γ


class LocationScale(Distribution):
    """The variable loc + scale z. A subclass gives, for z, `_standard_draw`, `_log_density`,
    `_standard_cdf` and `_standard_icdf`, and the constant or tensor `_standard_entropy`."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    loc: Tensor
    scale: Tensor
    _standard_entropy: float | Tensor

    def __init__(self, loc, scale, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.loc + self.scale * self._standard_draw(shape, self.loc.dtype, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        return self._log_density((value - self.loc) / self.scale) - log(self.scale)

    def cdf(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        return self._standard_cdf((value - self.loc) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * self._standard_icdf(value)

    def entropy(self) -> Tensor:
        return log(self.scale) + self._standard_entropy

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    def _standard_draw(self, shape, dtype, generator) -> Tensor:
        raise self._without("rsample")

    def _log_density(self, z: Tensor) -> Tensor:
        raise self._without("log_prob")

    def _standard_cdf(self, z: Tensor) -> Tensor:
        raise self._without("cdf")

    def _standard_icdf(self, p: Tensor) -> Tensor:
        raise self._without("icdf")


class Normal(LocationScale):
    """The normal (Gaussian) distribution with mean `loc` and standard deviation `scale`."""

    _standard_entropy = 0.5 * math.log(2 * math.pi * math.e)

    def _standard_draw(self, shape, dtype, generator) -> Tensor:
        return draws.normals(shape, dtype, generator)

    def _log_density(self, z: Tensor) -> Tensor:
        return z * z * -0.5 - 0.5 * math.log(2 * math.pi)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return ndtr(z)

    def _standard_icdf(self, p: Tensor) -> Tensor:
        return ndtri(p)

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    @property
    def stddev(self) -> Tensor:
        return self.scale


class Laplace(LocationScale):
    """Density e^(-|x - loc| / scale) / (2 scale)"""

    _standard_entropy = 1 + math.log(2)

    def _standard_draw(self, shape, dtype, generator) -> Tensor:
        x, y = (draws.exponentials(shape, dtype, generator) for _ in range(2))
        return x - y

    def _log_density(self, z: Tensor) -> Tensor:
        return -abs(z) - math.log(2)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        tail = 0.5 * exp(-abs(z))
        return where(z < 0, tail, 1 - tail)

    def _standard_icdf(self, p: Tensor) -> Tensor:
        """sign(½ - p) log(2 min(p, 1 - p)), where the argument of either logarithm is exact"""
        low = p < 0.5
        return where(low, log(2 * where(low, p, 0.5)), -log(2 * where(low, 0.5, 1 - p)))

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale * self.scale


class Gumbel(LocationScale):
    """The distribution of the largest of many: F(x) = exp(-e^-z), z = (x - loc) / scale."""

    _standard_entropy = 1 + EULER

    def _standard_draw(self, shape, dtype, generator) -> Tensor:
        return -log(draws.exponentials(shape, dtype, generator))

    def _log_density(self, z: Tensor) -> Tensor:
        return -z - exp(-z)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return exp(-exp(-z))

    def _standard_icdf(self, p: Tensor) -> Tensor:
        return -log(-log(p))

    @property
    def mean(self) -> Tensor:
        return self.loc + EULER * self.scale

    @property
    def variance(self) -> Tensor:
        return math.pi**2 / 6 * self.scale * self.scale


class Cauchy(LocationScale):
    """Density 1 / (π scale (1 + z²)), z = (x - loc) / scale. Mean NaN, variance infinite."""

    _standard_entropy = math.log(4 * math.pi)

    def _standard_draw(self, shape, dtype, generator) -> Tensor:
        return tan(math.pi * (draws.uniforms(shape, dtype, generator) - 0.5))

    def _log_density(self, z: Tensor) -> Tensor:
        return -math.log(math.pi) - log1p(z * z)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return atan2(z * 0 + 1, -z) / math.pi

    def _standard_icdf(self, p: Tensor) -> Tensor:
        return -1 / tan(math.pi * p)

    @property
    def mean(self) -> Tensor:
        return self.loc * math.nan

    @property
    def variance(self) -> Tensor:
        return self.scale * math.inf


class StudentT(LocationScale):
    """Student's t distribution with `df` degrees of freedom, moved and stretched. The mean is NaN
    for df <= 1; the variance is infinite for df <= 2, and NaN for df <= 1."""

    arg_constraints = {"df": constraints.positive, **LocationScale.arg_constraints}
    df: Tensor

    def __init__(self, df, loc=0.0, scale=1.0, validate_args: bool | None = None):
        self.df, loc, scale = broadcast_all(df, loc, scale)
        super().__init__(loc, scale, validate_args)

    def _standard_draw(self, shape, dtype, generator) -> Tensor:
        """A normal over √(χ²/df), with χ² = 2 Gamma(df/2)"""
        normal = draws.normals(shape, dtype, generator)
        log_gamma = draws.log_gammas(self.df / 2, shape, generator)
        return normal * exp(-0.5 * log_gamma) * sqrt(self.df / 2)

    def _log_density(self, z: Tensor) -> Tensor:
        half = (self.df + 1) / 2
        normaliser = lgamma(half) - lgamma(self.df / 2) - 0.5 * log(self.df * math.pi)
        return normaliser - half * log1p(z * z / self.df)

    def _standard_cdf(self, z: Tensor) -> Tensor:
        return stdtr(self.df, z)

    def _standard_icdf(self, p: Tensor) -> Tensor:
        return stdtrit(self.df, p)

    @property
    def _standard_entropy(self) -> Tensor:
        half = (self.df + 1) / 2
        log_beta = lgamma(self.df / 2) + math.log(math.pi) / 2 - lgamma(half)
        return half * (digamma(half) - digamma(self.df / 2)) + 0.5 * log(self.df) + log_beta

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        room = where(self.df > 2, self.df, 3.0)
        finite = self.scale * self.scale * room / (room - 2)
        return where(self.df > 2, finite, where(self.df > 1, math.inf, math.nan))
