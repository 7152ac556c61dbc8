"""Deep belief network: restricted Boltzmann machines, each of which models the hidden bits of the
one below (Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets").

    p(v, h1, …, hL) = p(v | h1) … p(hL−2 | hL−1) p(hL−1, hL)

The topmost machine makes bits by Gibbs sampling; through all others they only go down. Upwards
there is no closed form, and each machine's own p(h | v) stands in for p(h | v) of the whole.

Shapes: B samples; `sizes` are those of the layers, from the visible bits on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .. import nn
from ..autograd.grad_mode import no_grad
from ..autograd.random import Generator
from ..autograd.tensor import Tensor


class DeepBeliefNetwork(nn.Module):
    """A stack of machines, the lowest first: RBM(784, 500), RBM(500, 500), RBM(500, 2000)."""

    def __init__(self, machines: Sequence[nn.Module]):
        super().__init__()
        if not machines:
            raise ValueError("DeepBeliefNetwork needs at least one RBM, the lowest first")
        self.machines: Any = nn.ModuleList(list(machines))
        for below, above in zip(self.machines, self.machines[1:]):
            if below.hidden != above.visible:
                raise ValueError(
                    f"DeepBeliefNetwork: on an RBM of {below.hidden} hidden bits goes one of "
                    f"{below.hidden} visible ones, not {above.visible}"
                )

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.machines[0].visible, *(machine.hidden for machine in self.machines))

    @no_grad()
    def up(self, v: Tensor, level: int, *, generator: Generator | None = None) -> Tensor:
        """Bits of layer `level`, drawn one layer after the other from data v [B, sizes[0]]:
        [B, sizes[level]]. Level 0 is v."""
        for machine in self.machines[:level]:
            v = machine.sample_hidden(v, generator=generator)
        return v

    def train_greedily(self, train: Callable[[Any, Callable[[Tensor], Tensor]], object]) -> None:
        """Train one machine after the other, the lowest first (section 4): `train(machine, inputs)`
        does so, `inputs(v)` making of data v [B, sizes[0]] what this machine has to model.

        Before, each is started so that the network is as good as without it, where widths allow.
        """
        for level, machine in enumerate(self.machines):
            if level:
                self.start_tied(level)
            train(machine, partial(self.up, level=level))

    def start_tied(self, level: int) -> bool:
        """Turn the machine below upside down: with its transposed weights, machine `level` has for
        a density of its visible bits just that of the hidden bits below, so that p(v) stays as it
        was (section 4.1); every rise of it from there on raises a bound of p(v). False if the
        machine has not as many hidden bits as the one below visible ones: it stays as it is."""
        below, machine = self.machines[level - 1], self.machines[level]
        if machine.hidden != below.visible:
            return False
        machine.weight.array[...] = below.weight.array.T
        machine.visible_bias.array[...] = below.hidden_bias.array
        machine.hidden_bias.array[...] = below.visible_bias.array
        return True

    @no_grad()
    def sample(self, n: int, k: int = 1000, *, generator: Generator | None = None) -> Tensor:
        """n samples [n, sizes[0]]: k Gibbs steps of the topmost machine, then ancestral, down."""
        v = self.machines[-1].sample(n, k, generator=generator)
        for machine in reversed(self.machines[:-1]):
            v = machine.sample_visible(v, generator=generator)
        return v

    @no_grad()
    def log_prob_bound(self, v: Tensor, *, generator: Generator | None = None) -> Tensor:
        """An estimate of the lower bound of log p(v) in nats, v [B, sizes[0]]: [B], from one draw

            log p(hL−1) + Σ_l log p(h_l−1 | h_l) − log q(h_l | h_l−1),   h_l ~ q(· | h_l−1)

        (equation 8), whose mean over draws is the bound. The topmost machine's log Z is exact, so
        one of its layers has to be small."""
        bound = 0.0
        for machine in self.machines[:-1]:
            h = machine.sample_hidden(v, generator=generator)
            bound = bound + machine.visible_log_prob(v, h) - machine.hidden_log_prob(h, v)
            v = h
        return bound + self.machines[-1].log_prob(v)
