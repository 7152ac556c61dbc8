"""Draws that are independent of one another: inverse transform, rejection, importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..autograd.creation import full
from ..autograd.grad_mode import no_grad
from ..autograd.ops.choose import where
from ..autograd.ops.elementwise import log
from ..autograd.ops.join import cat
from ..autograd.ops.reduce import logsumexp
from ..autograd.ops.softmax import softmax
from ..autograd.random import Generator, multinomial, rand
from ..autograd.tensor import Tensor
from ..distributions import Distribution
from .chains import LogProb

__all__ = ["WeightedSamples", "importance_sampling", "inverse_transform", "rejection_sampling"]


def inverse_transform(
    sample_shape,
    *,
    icdf: Callable[[Tensor], Tensor] | None = None,
    cdf: Callable[[Tensor], Tensor] | None = None,
    bounds: tuple[float, float] | None = None,
    dtype=None,
    generator: Generator | None = None,
) -> Tensor:
    """F^-1(u) for uniform u has the distribution function F. Give F^-1 as `icdf`; or F as `cdf`,
    with `bounds` within which to look for the value, which halving finds to the last digit."""
    u = rand(sample_shape, dtype=dtype, generator=generator)
    if icdf is not None:
        return icdf(u)
    if cdf is None or bounds is None:
        raise ValueError("inverse_transform needs icdf, or cdf and bounds=(low, high)")
    low, high = (full(u.shape, float(b), dtype=u.dtype) for b in bounds)
    with no_grad():
        for _ in range(64):
            middle = low + (high - low) / 2
            below = cdf(middle) < u
            low, high = where(below, middle, low), where(below, high, middle)
    return high


def rejection_sampling(
    log_prob: LogProb,
    proposal: Distribution,
    num_samples: int,
    *,
    log_bound: float,
    batch_size: int = 1024,
    generator: Generator | None = None,
) -> tuple[Tensor, float]:
    """Exact draws from p (von Neumann 1951): x from the proposal q is kept with probability
    p(x) / (M q(x)). Returns samples [num_samples, ...] and the share that was kept.

    log_prob: log p of a batch of draws, [batch]; it need not be normalised.
    log_bound: log M, with p(x) <= M q(x) for all x. A draw that violates it is a ValueError.
    """
    kept, count, tried = [], 0, 0
    with no_grad():
        while count < num_samples:
            x = proposal.sample((batch_size,), generator=generator)
            ratio = log_prob(x) - proposal.log_prob(x) - log_bound
            if (ratio > 1e-6).any():
                raise ValueError(
                    "rejection_sampling: log p - log q reaches "
                    f"{ratio.max().item() + log_bound:.6g}, above log_bound = {log_bound:.6g}: the "
                    "draws would be wrong; raise log_bound"
                )
            uniform = rand(ratio.shape, dtype=ratio.dtype, generator=generator)
            with np.errstate(divide="ignore"):
                x = x[log(uniform) < ratio]
            tried, count = tried + batch_size, count + x.shape[0]
            kept.append(x)
            if tried >= 10**8 and count < tried * 1e-6:
                raise RuntimeError(
                    f"rejection_sampling: {count} of {tried} draws were kept; a proposal nearer to "
                    "the target, or a smaller log_bound, is needed"
                )
    return cat(kept)[:num_samples], count / tried


@dataclass
class WeightedSamples:
    """Draws from a proposal q with the logarithms of weights p/q, which make them stand for p.
    samples [num_samples, ...], log_weights [num_samples]."""

    samples: Tensor
    log_weights: Tensor

    @property
    def weights(self) -> Tensor:
        """With the sum 1"""
        return softmax(self.log_weights, 0)

    @property
    def effective_sample_size(self) -> float:
        """1 / Σ w²: as good as this many draws from p itself (Kong 1992)"""
        return 1 / (self.weights**2).sum().item()

    @property
    def log_normalizer(self) -> Tensor:
        """An estimate, unbiased before the logarithm, of log ∫ p"""
        return logsumexp(self.log_weights, 0) - math.log(self.log_weights.shape[0])

    def expectation(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Σ w f(x), the self-normalised estimate of E_p[f(x)]"""
        values = function(self.samples)
        weights = self.weights
        return (weights.reshape(weights.shape + (1,) * (values.ndim - 1)) * values).sum(0)

    def resample(self, num_samples: int, *, generator: Generator | None = None) -> Tensor:
        """Samples of equal weight, [num_samples, ...]"""
        return self.samples[multinomial(self.weights, num_samples, True, generator=generator)]


def importance_sampling(
    log_prob: LogProb,
    proposal: Distribution,
    num_samples: int,
    *,
    generator: Generator | None = None,
) -> WeightedSamples:
    """Draw from the proposal, and weight by p/q. It must be possible wherever p is, with heavier
    tails than p, or a few weights outweigh all others: see `effective_sample_size`.

    log_prob: log p of a batch of draws, [num_samples]; it need not be normalised.
    """
    x = proposal.sample((num_samples,), generator=generator)
    with no_grad():
        return WeightedSamples(x, log_prob(x) - proposal.log_prob(x))
