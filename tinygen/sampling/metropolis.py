"""Markov chains that need no gradient: Metropolis-Hastings with any proposal, and Gibbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..autograd.creation import arange
from ..autograd.grad_mode import no_grad
from ..autograd.ops.choose import where
from ..autograd.ops.join import stack
from ..autograd.random import Generator, randint, randn
from ..autograd.tensor import Tensor
from .chains import Chains, LogProb, accept, checked_log_prob, checked_start, collect

__all__ = ["gibbs", "metropolis_hastings", "random_walk"]

Proposal = Callable[[Tensor, Generator | None], tuple[Tensor, Tensor | float]]


def random_walk(scale) -> Proposal:
    """Propose x + scale z, with z normal: a number, or one for every dimension."""

    def propose(x: Tensor, generator: Generator | None):
        return x + scale * randn(x.shape, dtype=x.dtype, generator=generator), 0.0

    return propose


def metropolis_hastings(
    log_prob: LogProb,
    x0: Tensor,
    num_samples: int,
    *,
    proposal: Proposal | None = None,
    scale=1.0,
    burn_in: int = 0,
    thinning: int = 1,
    generator: Generator | None = None,
) -> Chains:
    """Metropolis-Hastings (Hastings 1970): a proposed x' is accepted with probability
    min(1, p(x') q(x | x') / (p(x) q(x' | x))).

    log_prob: log p up to a constant, [chains, dim] -> [chains].
    x0: where the chains start, [chains, dim]; integers as well, if the proposal makes such.
    proposal: (x, generator) -> (x', log q(x | x') - log q(x' | x)), the latter [chains], or 0.0 if
        q is symmetric. By default a random walk with steps of standard deviation `scale`. For a
        normal target in many dimensions 2.4 / √dim of its own is best, with 23 % accepted
        (Roberts, Gelman & Gilks 1997).
    """
    propose = proposal or random_walk(scale)
    x0 = checked_start(x0, floats=proposal is None)

    def transition(state):
        x, log_p = state
        new, log_q = propose(x, generator)
        new_log_p = log_prob(new)
        return accept(new_log_p - log_p + log_q, (new, new_log_p), state, generator)

    with no_grad():
        start = (x0, checked_log_prob(log_prob, x0))
    return collect(transition, start, num_samples, burn_in, thinning)


def gibbs(
    conditionals: Sequence[Callable[[Tensor, Generator | None], Tensor]],
    x0: Tensor,
    num_samples: int,
    *,
    random_scan: bool = False,
    burn_in: int = 0,
    thinning: int = 1,
    generator: Generator | None = None,
) -> Chains:
    """Gibbs sampling (Geman & Geman 1984): every coordinate in turn is drawn anew, given the rest.

    conditionals: for coordinate i, (x [chains, dim], generator) -> new values of x_i, [chains],
        drawn from p(x_i | all others).
    random_scan: draw in each step one coordinate of each chain, chosen at random, instead of all in
        order. Then the chain satisfies detailed balance, as reversible methods want it.
    """
    x0 = checked_start(x0, floats=False)
    if len(conditionals) != x0.shape[1]:
        raise ValueError(
            f"gibbs needs a conditional for each of the {x0.shape[1]} coordinates of x0; got "
            f"{len(conditionals)}"
        )
    everywhere = Tensor(np.ones(x0.shape[0], np.bool_))

    def sweep(state):
        columns = list(state[0].unbind(1))
        for i, draw in enumerate(conditionals):
            columns[i] = draw(stack(columns, 1), generator).to(x0.dtype)
        return (stack(columns, 1),), everywhere

    def one_at_random(state):
        (x,) = state
        choice = randint(x.shape[1], (x.shape[0], 1), generator=generator)
        drawn = stack([draw(x, generator).to(x.dtype) for draw in conditionals], 1)
        return (where(choice == arange(x.shape[1]), drawn, x),), everywhere

    return collect(one_at_random if random_scan else sweep, (x0,), num_samples, burn_in, thinning)
