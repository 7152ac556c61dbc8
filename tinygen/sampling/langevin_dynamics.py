"""Langevin dynamics dX = ∇log p(X) dt + √2 dW, of which p is the stationary distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.random import Generator, randn
from ..autograd.tensor import Tensor
from .chains import Chains, LogProb, accept, checked_start, collect, score_of, with_score

__all__ = ["annealed_langevin", "langevin", "mala", "score_of"]


def langevin(
    score: LogProb,
    x0: Tensor,
    num_samples: int,
    *,
    step_size: float,
    burn_in: int = 0,
    thinning: int = 1,
    generator: Generator | None = None,
) -> Chains:
    """The unadjusted Langevin algorithm: x ← x + h ∇log p(x) + √(2h) z, h = step_size.

    score: ∇log p, [chains, dim] -> [chains, dim]: a network, or `score_of(log_prob)`.

    The stationary distribution is off by O(h): of a normal with variance σ² it has the variance
    σ² / (1 - h / (2 σ²)), and none for h >= 2 σ². `mala` has no such bias.
    """
    x0, noise = checked_start(x0), math.sqrt(2 * step_size)
    everywhere = Tensor(np.ones(x0.shape[0], np.bool_))

    def transition(state):
        (x,) = state
        z = randn(x.shape, dtype=x.dtype, generator=generator)
        return (x + step_size * score(x) + noise * z,), everywhere

    chains = collect(transition, (x0,), num_samples, burn_in, thinning)
    chains.step_size = step_size
    return chains


def mala(
    log_prob: LogProb,
    x0: Tensor,
    num_samples: int,
    *,
    step_size: float,
    burn_in: int = 0,
    thinning: int = 1,
    generator: Generator | None = None,
) -> Chains:
    """The Metropolis-adjusted Langevin algorithm (Roberts & Tweedie 1996): a Langevin step is
    proposed, and accepted so that p is stationary exactly.

    log_prob: log p up to a constant, [chains, dim] -> [chains]; its gradient is taken.
    step_size: h of `langevin`; it should fall as dim^(-1/3), so that 57 % are accepted
        (Roberts & Rosenthal 1998).
    """
    x0, noise = checked_start(x0), math.sqrt(2 * step_size)

    def log_q(after, before, score):
        """log of the density of moving there, up to a constant"""
        away = after - before - step_size * score
        return (away * away).sum(-1) * (-0.25 / step_size)

    def transition(state):
        x, log_p, score = state
        z = randn(x.shape, dtype=x.dtype, generator=generator)
        y = x + step_size * score + noise * z
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is not accepted
            new_log_p, new_score = with_score(log_prob, y)
            ratio = new_log_p - log_p + log_q(x, y, new_score) - log_q(y, x, score)
        return accept(ratio, (y, new_log_p, new_score), state, generator)

    chains = collect(transition, (x0, *with_score(log_prob, x0)), num_samples, burn_in, thinning)
    chains.step_size = step_size
    return chains


def annealed_langevin(
    score: Callable[[Tensor, float], Tensor],
    x0: Tensor,
    sigmas: Sequence[float],
    *,
    steps: int = 100,
    epsilon: float = 2e-5,
    generator: Generator | None = None,
) -> Tensor:
    """Annealed Langevin dynamics (Song & Ermon 2019, algorithm 1): from x0 [chains, dim] to samples
    [chains, dim].

    score: (x, σ) -> ∇log of the density of the data with normal noise of standard deviation σ.
    sigmas: noise levels, from the largest to the smallest; at each there are `steps` Langevin steps
        of size α/2, α = epsilon σ² / sigmas[-1]², so that signal and noise keep their proportion.
    """
    levels = [float(s) for s in sigmas]
    if not levels or min(levels) <= 0 or sorted(levels, reverse=True) != levels:
        raise ValueError(f"sigmas must be positive, from the largest to the smallest; got {levels}")
    x = checked_start(x0)
    with no_grad():
        for sigma in levels:
            half = epsilon * (sigma / levels[-1]) ** 2 / 2
            for _ in range(steps):
                z = randn(x.shape, dtype=x.dtype, generator=generator)
                x = x + half * score(x, sigma) + math.sqrt(2 * half) * z
    return x.detach()
