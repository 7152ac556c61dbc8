"""Distributions of whole numbers: successes, failures, events. Those of classes: categorical.py."""

from __future__ import annotations

import numpy as np

from ..autograd.creation import arange
from ..autograd.ops.choose import clamp, where
from ..autograd.ops.elementwise import exp, log1p, logsigmoid, sigmoid
from ..autograd.ops.incomplete_beta import betainc
from ..autograd.ops.incomplete_gamma import gammaincc
from ..autograd.ops.special import lgamma, logit, xlogy
from ..autograd.random import bernoulli, poisson
from ..autograd.tensor import Tensor
from . import constraints, draws
from .distribution import Distribution, broadcast_all

__all__ = ["Bernoulli", "Binomial", "Geometric", "Poisson", "ProbsOrLogits"]


def capped(probs: Tensor) -> Tensor:
    """Probabilities that have a finite logarithm and logit"""
    eps = float(np.finfo(probs.dtype).eps)
    return clamp(probs, eps, 1 - eps)


def enumerated(classes: int, distribution: Distribution, dtype, expand: bool) -> Tensor:
    """0, 1, ..., classes - 1 along a first dimension, before the batch shape"""
    batch = distribution.batch_shape
    values = arange(classes, dtype=dtype).reshape((classes,) + (1,) * len(batch))
    return values.expand((classes, *batch)) if expand else values


class ProbsOrLogits(Distribution):
    """What is told by `probs` or by `logits`: the other one is computed when asked for."""

    probs: Tensor
    logits: Tensor

    def _given(self, probs, logits) -> tuple[str, object]:
        if (probs is None) == (logits is None):
            raise ValueError(f"{type(self).__name__}: pass one of probs and logits, not both")
        return ("probs", probs) if logits is None else ("logits", logits)

    def __getattr__(self, name: str):
        if name == "probs" and "logits" in vars(self):
            return self._probs_of(self.logits)
        if name == "logits" and "probs" in vars(self):
            return self._logits_of(self.probs)
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")

    @property
    def _parameter(self) -> Tensor:
        return vars(self)["probs" if "probs" in vars(self) else "logits"]

    def _probs_of(self, logits: Tensor) -> Tensor:
        return sigmoid(logits)

    def _logits_of(self, probs: Tensor) -> Tensor:
        return logit(capped(probs))


# ---- Success or failure --------------------------------------------------------------------------


class Bernoulli(ProbsOrLogits):
    """1 with probability `probs`, else 0; logits = log(probs / (1 - probs))."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        name, value = self._given(probs, logits)
        (parameter,) = broadcast_all(value)
        setattr(self, name, parameter)
        super().__init__(parameter.shape, validate_args=validate_args)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        probs = self.probs.detach().expand(self._extended_shape(sample_shape))
        return bernoulli(probs, generator=generator)

    def log_prob(self, value: Tensor) -> Tensor:
        value, logits = self._validate_sample(value), self.logits
        return value * logsigmoid(logits) + (1 - value) * logsigmoid(-logits)

    def entropy(self) -> Tensor:
        logits, p = self.logits, self.probs
        return -(p * logsigmoid(logits) + (1 - p) * logsigmoid(-logits))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return enumerated(2, self, self._parameter.dtype, expand)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        """NaN where both are as likely"""
        p = self.probs
        return where(p == 0.5, float("nan"), (p > 0.5).to(p.dtype))

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class Binomial(ProbsOrLogits):
    """How many of `total_count` tries succeed, each with probability `probs`"""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    total_count: Tensor

    def __init__(self, total_count=1, probs=None, logits=None, validate_args: bool | None = None):
        name, value = self._given(probs, logits)
        self.total_count, parameter = broadcast_all(total_count, value)
        setattr(self, name, parameter)
        super().__init__(parameter.shape, validate_args=validate_args)

    @property
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return draws.binomials(self.total_count, self.probs.detach(), shape, generator)

    def log_prob(self, value: Tensor) -> Tensor:
        k, n, logits = self._validate_sample(value), self.total_count, self.logits
        ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return ways + k * logsigmoid(logits) + (n - k) * logsigmoid(-logits)

    def cdf(self, value: Tensor) -> Tensor:
        """I_{1-p}(n - k, k + 1)"""
        k, n = self._validate_sample(value), self.total_count
        below = betainc(where(k < n, n - k, 1.0), k + 1, 1 - self.probs)
        return where(k < n, below, 1.0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        counts = self.total_count.array
        if counts.size and (counts != counts.flat[0]).any():
            raise NotImplementedError("Binomial: different total_counts have different supports")
        return enumerated(int(counts.max(initial=0)) + 1, self, counts.dtype, expand)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return clamp(((self.total_count + 1) * self.probs).floor(), max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.probs)


class Geometric(ProbsOrLogits):
    """How many tries fail before the first success: (1 - p)^k p, k = 0, 1, ..."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        name, value = self._given(probs, logits)
        (parameter,) = broadcast_all(value)
        setattr(self, name, parameter)
        super().__init__(parameter.shape, validate_args=validate_args)
        if self._validate_args and name == "probs":
            self._check("parameter probs", parameter, constraints.positive)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        """floor(E / -log(1 - p)), E being exponential"""
        waits = draws.exponentials(self._extended_shape(sample_shape), self.mean.dtype, generator)
        return (waits / -log1p(-capped(self.probs.detach()))).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        logits = self.logits
        return self._validate_sample(value) * logsigmoid(-logits) + logsigmoid(logits)

    def cdf(self, value: Tensor) -> Tensor:
        return 1 - exp((self._validate_sample(value) + 1) * logsigmoid(-self.logits))

    def entropy(self) -> Tensor:
        p, logits = self.probs, self.logits
        return -((1 - p) * logsigmoid(-logits) + p * logsigmoid(logits)) / p

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return self.probs * 0

    @property
    def variance(self) -> Tensor:
        return self.mean / self.probs


class Poisson(Distribution):
    """How many events there are where `rate` are expected: e^-rate rate^k / k!"""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    rate: Tensor

    def __init__(self, rate, validate_args: bool | None = None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        rate = self.rate.detach().expand(self._extended_shape(sample_shape))
        return poisson(rate, generator=generator)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        return xlogy(value, self.rate) - self.rate - lgamma(value + 1)

    def cdf(self, value: Tensor) -> Tensor:
        return gammaincc(self._validate_sample(value) + 1, self.rate)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate
