"""Distributions of positive numbers, of proportions and of intervals: the gamma family, Uniform."""

from __future__ import annotations

from ..autograd.creation import full_like
from ..autograd.ops.choose import clamp, where
from ..autograd.ops.elementwise import exp, expm1, log, log1p, sigmoid
from ..autograd.ops.incomplete_beta import betainc, betaincinv
from ..autograd.ops.incomplete_gamma import gammainc, gammaincinv
from ..autograd.ops.index import one_hot
from ..autograd.ops.order import argmax
from ..autograd.ops.shape import unsqueeze
from ..autograd.ops.softmax import softmax
from ..autograd.ops.special import digamma, lgamma, xlog1py, xlogy
from ..autograd.tensor import Tensor
from . import constraints, draws
from .distribution import Distribution, broadcast_all

__all__ = ["Beta", "Chi2", "Dirichlet", "Exponential", "Gamma", "Uniform"]


class Uniform(Distribution):
    """Density 1 / (high - low) in [low, high)"""

    arg_constraints = {"low": constraints.real, "high": constraints.real}
    has_rsample = True

    def __init__(self, low, high, validate_args: bool | None = None):
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate_args:
            above = constraints.greater_than(self.low)
            above.text = "greater than low"
            self._check("parameter high", self.high, above)

    @property
    def support(self):
        return constraints.interval(self.low, self.high)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        u = draws.uniforms(self._extended_shape(sample_shape), self.low.dtype, generator)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        inside = (value >= self.low) & (value < self.high)
        return where(inside, -log(self.high - self.low), -float("inf"))

    def cdf(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        return clamp((value - self.low) / (self.high - self.low), 0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return self.low + value * (self.high - self.low)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        return self.low * float("nan")

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12


class Exponential(Distribution):
    """Density rate e^(-rate x), x >= 0"""

    arg_constraints = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    rate: Tensor

    def __init__(self, rate, validate_args: bool | None = None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return draws.exponentials(shape, self.rate.dtype, generator) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        return log(self.rate) - self.rate * self._validate_sample(value)

    def cdf(self, value: Tensor) -> Tensor:
        return -expm1(-self.rate * self._validate_sample(value))

    def icdf(self, value: Tensor) -> Tensor:
        return -log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        return 1 - log(self.rate)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate * 0

    @property
    def variance(self) -> Tensor:
        return self.rate**-2


class Gamma(Distribution):
    """Density rate^a x^(a-1) e^(-rate x) / Γ(a), with a = concentration. The gradient of a sample
    with respect to the concentration is that of its quantile (Figurnov et al. 2018)."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration, rate, validate_args: bool | None = None):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return exp(draws.log_gammas(self.concentration, shape, generator)) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        value, a = self._validate_sample(value), self.concentration
        return xlogy(a, self.rate) + xlogy(a - 1, value) - self.rate * value - lgamma(a)

    def cdf(self, value: Tensor) -> Tensor:
        return gammainc(self.concentration, self.rate * self._validate_sample(value))

    def icdf(self, value: Tensor) -> Tensor:
        return gammaincinv(self.concentration, value) / self.rate

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1 - a) * digamma(a)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return clamp(self.concentration - 1, min=0) / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2


class Chi2(Gamma):
    """The sum of the squares of `df` standard normals: Gamma(df/2, 1/2)."""

    arg_constraints = {"df": constraints.positive}
    df: Tensor

    def __init__(self, df, validate_args: bool | None = None):
        (self.df,) = broadcast_all(df)
        Distribution.__init__(self, self.df.shape, validate_args=validate_args)

    @property
    def concentration(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.df / 2

    @property
    def rate(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        return full_like(self.df, 0.5)


class Beta(Distribution):
    """Density x^(a-1) (1-x)^(b-1) / B(a, b), with a = concentration1 and b = concentration0. As
    g/(g + h) of gamma variables of shapes a and b, a sample has their pathwise gradient."""

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True
    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1, concentration0, validate_args: bool | None = None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def _total(self) -> Tensor:
        return self.concentration1 + self.concentration0

    @property
    def _log_beta(self) -> Tensor:
        return lgamma(self.concentration1) + lgamma(self.concentration0) - lgamma(self._total)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape = self._extended_shape(sample_shape)
        g, h = (draws.log_gammas(a, shape, generator)
                for a in (self.concentration1, self.concentration0))  # fmt: skip
        return sigmoid(g - h)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        one, other = xlogy(self.concentration1 - 1, value), xlog1py(self.concentration0 - 1, -value)
        return one + other - self._log_beta

    def cdf(self, value: Tensor) -> Tensor:
        return betainc(self.concentration1, self.concentration0, self._validate_sample(value))

    def icdf(self, value: Tensor) -> Tensor:
        return betaincinv(self.concentration1, self.concentration0, value)

    def entropy(self) -> Tensor:
        a, b, s = self.concentration1, self.concentration0, self._total
        return self._log_beta - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (s - 2) * digamma(s)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / self._total

    @property
    def mode(self) -> Tensor:
        """Where both concentrations are below 1, the end where the density grows faster"""
        a, b = clamp(self.concentration1 - 1, min=0), clamp(self.concentration0 - 1, min=0)
        ends = (self.concentration1 < 1) & (self.concentration0 < 1)
        end = (self.concentration1 >= self.concentration0).to(a.dtype)
        return where(ends, end, a / where(ends, 1.0, a + b))

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (self._total + 1)


class Dirichlet(Distribution):
    """Proportions x [classes] that sum to 1, of density Π x_k^(a_k - 1) Γ(Σa) / Π Γ(a_k), with
    a = concentration [..., classes]. A sample is made of gamma variables, as for Beta."""

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    concentration: Tensor

    def __init__(self, concentration, validate_args: bool | None = None):
        (self.concentration,) = broadcast_all(concentration)
        shape = self.concentration.shape
        if not shape:
            raise ValueError("Dirichlet: concentration must have at least one dimension, [classes]")
        super().__init__(shape[:-1], shape[-1:], validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return softmax(draws.log_gammas(self.concentration, shape, generator), -1)

    @property
    def _total(self) -> Tensor:
        return self.concentration.sum(-1)

    @property
    def _log_beta(self) -> Tensor:
        return lgamma(self.concentration).sum(-1) - lgamma(self._total)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        return xlogy(self.concentration - 1, value).sum(-1) - self._log_beta

    def entropy(self) -> Tensor:
        a, classes = self.concentration, self.event_shape[0]
        scores = ((a - 1) * digamma(a)).sum(-1)
        return self._log_beta + (self._total - classes) * digamma(self._total) - scores

    @property
    def mean(self) -> Tensor:
        return self.concentration / unsqueeze(self._total, -1)

    @property
    def mode(self) -> Tensor:
        """Where all concentrations are below 1, the corner where the density grows fastest"""
        above = clamp(self.concentration - 1, min=0)
        corners = (self.concentration < 1).all(-1, keepdim=True)
        corner = one_hot(argmax(self.concentration, -1), self.event_shape[0]).to(above.dtype)
        return where(corners, corner, above / above.sum(-1, keepdim=True))

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (unsqueeze(self._total, -1) + 1)
