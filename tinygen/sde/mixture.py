"""The exact score of normals under the noise of any schedule: what a denoiser is measured against.

If the data are a mixture of normals N(m_k, std²) with weights w_k, then x(t) = α x(0) + σ ε is one
of N(α m_k, v) with the same weights, v = α² std² + σ², and by Tweedie's formula

    ∇ log p_t(x) = (α E[m | x] - x) / v,    P(k | x) ∝ w_k exp(-|x - α m_k|² / 2v)
"""

from __future__ import annotations

import math

import numpy as np

from ..autograd.ops.reduce import logsumexp
from ..autograd.ops.softmax import softmax
from ..autograd.random import Generator, randn, rng_of
from ..autograd.tensor import Tensor
from .denoiser import Denoiser
from .diffusion import beside
from .schedules import NoiseSchedule


class GaussianMixture:
    """A mixture of normals with means [K, d], one standard deviation, and weights [K] (by default
    equal), as data of a diffusion with a schedule. Computes in the type of the means."""

    def __init__(
        self, means: Tensor, std: float, schedule: NoiseSchedule, weights: Tensor | None = None
    ):
        if means.ndim != 2 or not std > 0:
            raise ValueError(
                f"GaussianMixture: means are [K, d] and std is positive; got {means.shape}, {std:g}"
            )
        K = len(means)
        w = np.full(K, 1 / K) if weights is None else weights.array.astype(np.float64)
        if w.shape != (K,) or not (w > 0).all():
            raise ValueError(f"GaussianMixture: weights are {K} positive numbers; got {w}")
        self.means, self.std, self.schedule, self.weights = means, std, schedule, w / w.sum()
        self.log_weights = Tensor(np.log(self.weights).astype(means.dtype))
        self.squares = (means * means).sum(-1)  # [K]

    def sample(self, n: int, *, generator: Generator | None = None) -> Tensor:
        """n data [n, d]."""
        k = rng_of(generator).choice(len(self.weights), n, p=self.weights)
        means = self.means.array[k]
        return Tensor(means) + self.std * randn(means.shape, dtype=means.dtype, generator=generator)

    def log_prob(self, x: Tensor, t: Tensor) -> Tensor:
        """log p_t(x) [B] of x [B, d] at t (0-d or [B])."""
        alpha, v = self.moments(x, t)
        square = (x * x).sum(-1, keepdim=True)
        log_normal = -(square / v + x.shape[1] * (v * (2 * math.pi)).log()) / 2
        return logsumexp(self.logits(x, alpha, v), -1) + log_normal[:, 0]

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        """∇ log p_t(x) [B, d]."""
        alpha, v = self.moments(x, t)
        mean = softmax(self.logits(x, alpha, v), -1) @ self.means
        return (alpha * mean - x) / v

    def denoiser(self) -> Denoiser:
        """The score, for samplers."""
        return Denoiser(self.score, self.schedule, "score")

    def moments(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """α and the variance v, which broadcast to x."""
        alpha, sigma = self.schedule.alpha(t), self.schedule.sigma(t)
        return beside(alpha, x), beside(alpha * alpha * self.std**2 + sigma * sigma, x)

    def logits(self, x: Tensor, alpha: Tensor, v: Tensor) -> Tensor:
        """[B, K]: those of P(k | x), which what all k have in common does not change."""
        return (alpha / v) * (x @ self.means.T - (alpha / 2) * self.squares) + self.log_weights
