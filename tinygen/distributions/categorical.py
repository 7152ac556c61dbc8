"""Distributions of classes, as labels or as rows of zeros with a 1; and what is nearly that, with
gradients: the relaxed forms (Maddison et al. 2017, "The concrete distribution")."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.creation import as_tensor, eye, zeros
from ..autograd.ops.along import gather
from ..autograd.ops.choose import clamp
from ..autograd.ops.elementwise import exp, log, log1p, logsigmoid, sigmoid
from ..autograd.ops.index import one_hot
from ..autograd.ops.order import argmax
from ..autograd.ops.reduce import logsumexp
from ..autograd.ops.shape import broadcast_shapes, squeeze, unsqueeze
from ..autograd.ops.softmax import log_softmax, softmax
from ..autograd.ops.special import logit
from ..autograd.random import multinomial
from ..autograd.tensor import Tensor
from . import constraints, draws
from .discrete import Bernoulli, ProbsOrLogits, capped, enumerated
from .distribution import broadcast_all

__all__ = ["Categorical", "OneHotCategorical", "RelaxedBernoulli", "RelaxedOneHotCategorical"]


class Categorical(ProbsOrLogits):
    """A label 0, 1, ..., classes - 1 (int64) with these `probs` [..., classes], which are divided
    by their sum; or with `logits`, from which their logsumexp is subtracted."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args: bool | None = None):
        name, value = self._given(probs, logits)
        (value,) = broadcast_all(value)
        if not value.ndim:
            raise ValueError(f"{type(self).__name__}: {name} needs a dimension, [classes]")
        by_sum = name == "probs"
        normalised = value / value.sum(-1, keepdim=True) if by_sum else log_softmax(value, -1)
        setattr(self, name, normalised)
        self._classes = value.shape[-1]
        super().__init__(value.shape[:-1], self._event_shape(), validate_args)

    def _event_shape(self) -> tuple[int, ...]:
        return ()

    @property
    def support(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return constraints.integer_interval(0, self._classes - 1)

    def _probs_of(self, logits: Tensor) -> Tensor:
        return exp(logits)

    def _logits_of(self, probs: Tensor) -> Tensor:
        return log(capped(probs))

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape, count = (*sample_shape, *self.batch_shape), math.prod(sample_shape)
        if not math.prod(shape):
            return zeros(shape, dtype="int64")
        rows = self.probs.detach().reshape(-1, self._classes)
        return multinomial(rows, count, True, generator=generator).T.reshape(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._log_prob_of_label(self._validate_sample(value).long())

    def _log_prob_of_label(self, label: Tensor) -> Tensor:
        shape = broadcast_shapes(label.shape, self.batch_shape)
        logits = self.logits.expand((*shape, self._classes))
        return squeeze(gather(logits, -1, unsqueeze(label.expand(shape), -1)), -1)

    def entropy(self) -> Tensor:
        logits = clamp(self.logits, min=-1e38)  # so that 0 · log 0 is 0
        return -(self.probs * logits).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return enumerated(self._classes, self, "int64", expand)

    @property
    def mean(self) -> Tensor:
        """NaN: labels are no numbers"""
        return self.probs.sum(-1) * float("nan")

    @property
    def mode(self) -> Tensor:
        return argmax(self._parameter, -1)

    @property
    def variance(self) -> Tensor:
        return self.mean


class OneHotCategorical(Categorical):
    """A row [classes] of zeros with a 1 at the label of a Categorical"""

    support: Any = constraints.one_hot

    def _event_shape(self) -> tuple[int, ...]:
        return (self._classes,)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        label = super().sample(sample_shape, generator=generator)
        return one_hot(label, self._classes).to(self._parameter.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._log_prob_of_label(argmax(self._validate_sample(value), -1))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n, batch = self._classes, self.batch_shape
        rows = eye(n, dtype=self._parameter.dtype).reshape((n,) + (1,) * len(batch) + (n,))
        return rows.expand((n, *batch, n)) if expand else rows

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        label = argmax(self._parameter, -1)
        return one_hot(label, self._classes).to(self._parameter.dtype)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)


class RelaxedBernoulli(ProbsOrLogits):
    """sigmoid((logits + logistic noise) / temperature): towards temperature 0 a Bernoulli variable,
    but with a gradient, which grows without bound."""

    arg_constraints = {"temperature": constraints.positive, **Bernoulli.arg_constraints}
    support = constraints.unit_interval
    has_rsample = True
    temperature: Tensor

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None):
        name, value = self._given(probs, logits)
        self.temperature, parameter = broadcast_all(temperature, value)
        setattr(self, name, parameter)
        super().__init__(parameter.shape, validate_args=validate_args)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape, logits = self._extended_shape(sample_shape), self.logits
        noise = draws.logistics(shape, logits.dtype, generator)
        return sigmoid((logits + noise) / self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        value = capped(self._validate_sample(value))
        d = self.logits - self.temperature * logit(value)
        density = log(self.temperature) + logsigmoid(d) + logsigmoid(-d)
        return density - log(value) - log1p(-value)


class RelaxedOneHotCategorical(ProbsOrLogits):
    """softmax((logits + Gumbel noise) / temperature), [..., classes]: towards temperature 0 a
    OneHotCategorical variable, but with a gradient. `temperature` is one number."""

    arg_constraints = {"temperature": constraints.positive, **Categorical.arg_constraints}
    support = constraints.simplex
    has_rsample = True
    temperature: Tensor

    def __init__(self, temperature, probs=None, logits=None, validate_args: bool | None = None):
        discrete = OneHotCategorical(probs, logits, validate_args)
        self.temperature = as_tensor(temperature, dtype=discrete._parameter.dtype)
        setattr(self, self._given(probs, logits)[0], discrete._parameter)
        super().__init__(discrete.batch_shape, discrete.event_shape, validate_args)

    def _probs_of(self, logits: Tensor) -> Tensor:
        return exp(logits)

    def _logits_of(self, probs: Tensor) -> Tensor:
        return log(capped(probs))

    def expand(self, batch_shape) -> RelaxedOneHotCategorical:
        shape = (*batch_shape, *self.event_shape)
        given = {"probs" if "probs" in vars(self) else "logits": self._parameter.expand(shape)}
        return type(self)(self.temperature, **given, validate_args=False)._like(self)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        shape, logits = self._extended_shape(sample_shape), self.logits
        gumbel = -log(draws.exponentials(shape, logits.dtype, generator))
        return softmax((logits + gumbel) / self.temperature, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log of (n - 1)! T^(n-1) Π α y^(-T-1) / (Σ α y^-T)^n, α = e^logits (definition 1)"""
        log_y, n = log(capped(self._validate_sample(value))), self.event_shape[0]
        scores = self.logits - self.temperature * log_y
        scale = math.lgamma(n) + (n - 1) * log(self.temperature)
        return scale + (scores - log_y).sum(-1) - n * logsumexp(scores, -1)
