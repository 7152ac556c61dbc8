"""What all Markov chains share: running them, accepting moves, and the gradient of log_prob."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autograd.engine import grad
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.ops.choose import where
from ..autograd.ops.elementwise import log
from ..autograd.ops.join import stack
from ..autograd.random import Generator, rand
from ..autograd.registry import ShapeError
from ..autograd.tensor import Tensor

LogProb = Callable[[Tensor], Tensor]


@dataclass
class Chains:
    """samples [num_samples, chains, dim]; acceptance_rate [chains], the share of proposed moves
    that were made after the burn-in; step_size, where the sampler has one."""

    samples: Tensor
    acceptance_rate: Tensor
    step_size: float | None = None

    @property
    def flat(self) -> Tensor:
        """The samples of all chains, [num_samples · chains, dim]"""
        return self.samples.reshape(-1, self.samples.shape[-1])


def collect(
    transition: Callable, state: tuple, num_samples: int, burn_in: int = 0, thinning: int = 1
) -> Chains:
    """Run chains: `transition(state)` gives the next state, a tuple that starts with the positions
    [chains, dim], and which chains moved, [chains]. Of `thinning` states one is kept."""
    for name, n, least in (("num_samples", num_samples, 1), ("thinning", thinning, 1),
                           ("burn_in", burn_in, 0)):  # fmt: skip
        if n < least:
            raise ValueError(f"{name} must be at least {least}; got {n}")
    kept, moves = [], np.zeros(state[0].shape[0])
    with no_grad():
        for _ in range(burn_in):
            state, _ = transition(state)
        for _ in range(num_samples):
            for _ in range(thinning):
                state, moved = transition(state)
                moves += moved.array
            kept.append(state[0])
        rate = moves / (num_samples * thinning)
        dtype = kept[0].dtype if kept[0].dtype.kind == "f" else np.float64
        return Chains(stack(kept), Tensor(rate.astype(dtype)))


def checked_start(x0: Tensor, floats: bool = True) -> Tensor:
    """Starting positions, [chains, dim], refused if they have another shape or no gradient."""
    if x0.ndim != 2:
        raise ShapeError(
            "x0 must be the starts of all chains, [chains, dim]; got shape "
            f"{x0.shape}: of one chain it is x0.reshape(1, -1)"
        )
    if floats and x0.dtype.kind != "f":
        raise TypeError(f"x0 must hold floats, for gradients; got {x0.dtype}: pass x0.float()")
    return x0.detach()


def checked_log_prob(log_prob: LogProb, x: Tensor) -> Tensor:
    """log_prob(x), refused unless it is one number for every chain."""
    value = log_prob(x)
    if value.shape != x.shape[:1]:
        raise ShapeError(
            f"log_prob of x {x.shape} must be one number for each chain, {x.shape[:1]}; got "
            f"{value.shape}: sum over the last dimension, .sum(-1)"
        )
    return value


def score_of(log_prob: LogProb) -> LogProb:
    """The score ∇ log p, as a function [chains, dim] -> [chains, dim]."""
    return lambda x: with_score(log_prob, x)[1]


def with_score(log_prob: LogProb, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p [chains] and its gradient [chains, dim], of all chains at once."""
    with enable_grad():
        x = x.detach().requires_grad_()
        value = checked_log_prob(log_prob, x)
        score: Any = grad([value.sum()], [x])[0]
    return value.detach(), score


def accept(log_ratio: Tensor, new: tuple, old: tuple, generator: Generator | None) -> Any:
    """The new state in chains where a uniform number is below e^log_ratio, else the old one; and
    which those are, [chains]. A NaN is not accepted."""
    uniform = rand(log_ratio.shape, dtype=log_ratio.dtype, generator=generator)
    with np.errstate(divide="ignore"):
        moved = log(uniform) < log_ratio
    state = tuple(where(moved.reshape((-1,) + (1,) * (a.ndim - 1)), a, b) for a, b in zip(new, old))
    return state, moved
