"""Hamiltonian Monte Carlo (Neal 2011, "MCMC using Hamiltonian dynamics"): a point with a random
momentum slides over -log p; far moves are accepted, as energy is nearly conserved."""

from __future__ import annotations

import math

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.ops.choose import clamp
from ..autograd.ops.elementwise import exp
from ..autograd.random import Generator, rand, randn
from ..autograd.tensor import Tensor
from .chains import Chains, LogProb, accept, checked_start, collect, with_score

__all__ = ["DualAveraging", "hmc", "leapfrog"]


def leapfrog(
    log_prob: LogProb,
    x: Tensor,
    momentum: Tensor,
    score: Tensor,
    step_size,
    num_steps: int,
    mass=1.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Follow dx/dt = p / mass, dp/dt = ∇log p(x) for num_steps steps: half a step for the momentum,
    one for the position, half a step for the momentum. Reversible, volume-preserving, and off by
    O(step_size²) in energy. `score` is that at x. Returns x, momentum, log p(x), ∇log p(x)."""
    momentum = momentum + 0.5 * step_size * score
    for _ in range(num_steps - 1):
        x = x + step_size * momentum / mass
        momentum = momentum + step_size * with_score(log_prob, x)[1]
    x = x + step_size * momentum / mass
    log_p, score = with_score(log_prob, x)
    return x, momentum + 0.5 * step_size * score, log_p, score


def hmc(
    log_prob: LogProb,
    x0: Tensor,
    num_samples: int,
    *,
    step_size: float = 0.1,
    num_steps: int = 10,
    mass=1.0,
    warmup: int = 0,
    target_accept: float = 0.8,
    jitter: float = 0.1,
    thinning: int = 1,
    generator: Generator | None = None,
) -> Chains:
    """Hamiltonian Monte Carlo with `num_steps` leapfrog steps a move.

    log_prob: log p up to a constant, [chains, dim] -> [chains]; its gradient is taken.
    mass: of the momentum, a number or [dim]; the inverse of the target's variances is best.
    warmup: moves before the samples, in which the step size, one for all chains, is adapted so that
        a share `target_accept` of moves is accepted (dual averaging).
    jitter: each move has a step size within this share of step_size, so that no orbit that comes
        back to its start is met again and again.
    """
    if num_steps < 1:
        raise ValueError(f"hmc: num_steps must be at least 1; got {num_steps}")
    x0, adapting = checked_start(x0), DualAveraging(step_size, target_accept)
    root = mass**0.5

    def move(state, size):
        x, log_p, score = state
        momentum = root * randn(x.shape, dtype=x.dtype, generator=generator)
        size = size * (1 + jitter * (2 * rand(1, dtype=x.dtype, generator=generator) - 1))
        with np.errstate(over="ignore", invalid="ignore"):  # what diverges is not accepted
            y, end, new_log_p, new_score = leapfrog(
                log_prob, x, momentum, score, size, num_steps, mass
            )
            kinetic = 0.5 * ((momentum * momentum - end * end) / mass).sum(-1)
        ratio = new_log_p - log_p + kinetic
        share = exp(clamp(ratio.nan_to_num(nan=-math.inf), max=0.0)).mean().item()
        return accept(ratio, (y, new_log_p, new_score), state, generator), share

    state = (x0, *with_score(log_prob, x0))
    with no_grad():
        for _ in range(warmup):
            (state, _), share = move(state, adapting.current)
            adapting.update(share)
    size = adapting.final if warmup else step_size
    chains = collect(lambda state: move(state, size)[0], state, num_samples, 0, thinning)
    chains.step_size = size
    return chains


class DualAveraging:
    """Adapts a step size until a share `target` of moves is accepted (Hoffman & Gelman 2014,
    algorithm 5): `current` is tried next, `final` an average that settles."""

    def __init__(self, step_size: float, target: float):
        if not 0 < target < 1 or step_size <= 0:
            raise ValueError(
                "a positive step_size and a target_accept between 0 and 1 are needed; got "
                f"{step_size} and {target}"
            )
        self.target, self.anchor = target, math.log(10 * step_size)
        self.current = self.final = step_size
        self.count, self.error, self.log_final = 0, 0.0, 0.0

    def update(self, accepted: float, gamma=0.05, t0=10.0, kappa=0.75) -> None:
        """`accepted`: the mean acceptance probability at the current step size"""
        self.count += 1
        m = self.count
        self.error += (self.target - accepted - self.error) / (m + t0)
        log_step = self.anchor - math.sqrt(m) / gamma * self.error
        self.log_final += m**-kappa * (log_step - self.log_final)
        self.current, self.final = math.exp(log_step), math.exp(self.log_final)
