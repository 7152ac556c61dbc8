"""Schrödinger bridges between two sets of points, learned: of all processes that go from one
distribution to the other, the one closest to Brownian motion, by networks for its drifts.

    forwards    dX = b(X, t) dt + σ dB,   X(0) ~ p, X(1) ~ q
    backwards   dY = c(Y, s) ds + σ dB,   Y(0) ~ q, Y(1) ~ p, the same in s = 1 - t

Shi, De Bortoli, Campbell & Doucet 2023, "Diffusion Schrödinger bridge matching"; Peluchetti 2023,
"Diffusion bridge mixture transports". The bridge is the one process that is both

    Markovian                 it has a drift, that knows where it is and not where it began
    a mixture of bridges      given both its ends, it is a Brownian bridge, as Brownian motion is

Iterative Markovian fitting makes it one and the other in turn. Bridges between pairs of ends have
a mean velocity at each point, which a network learns: so the mixture becomes Markovian, and its
distributions at all times stay. Its paths give new pairs of ends, and bridges between those a
mixture that is closer. Directions alternate, as only the first ends are real data: what errors add
up at one end is forgotten.

Where a distribution is known as a density on a line, see schrodinger_bridge.py.

Shapes: B points x [B, d]; times t [B], from 0, where a process starts, to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import nn
from ..autograd.creation import full_like, linspace, tensor
from ..autograd.grad_mode import is_grad_enabled, no_grad
from ..autograd.ops.elementwise import sqrt
from ..autograd.random import Generator, rand, randn
from ..autograd.tensor import Tensor
from ..sde.diffusion import for_each
from ..sde.sdeint import sdeint


class BridgeMatching(nn.Module):
    """dX = b(X, t) dt + σ dB from X(0) to X(1), b a network (x [B, d], t [B]) -> [B, d]."""

    noise_type, sde_type = "diagonal", "ito"
    steps_trained: Tensor

    def __init__(self, network: nn.Module, sigma: float):
        super().__init__()
        if not 0 < sigma < math.inf:
            raise ValueError(f"BridgeMatching needs sigma above 0; got {sigma}")
        self.network, self.sigma = network, sigma
        self.register_buffer("steps_trained", tensor(0))

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return self.network(x, for_each(t, x))

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return full_like(x, self.sigma)

    def loss(self, x0: Tensor, x1: Tensor, *, generator: Generator | None = None) -> Tensor:
        """The squared error of the drift on Brownian bridges from x0 to x1 [B, d], a scalar:

            (1 - t) |b(x, t) - (x1 - x) / (1 - t)|²,   x = (1 - t) x0 + t x1 + σ √(t (1 - t)) z

        (Shi et al. 2023, section 3). The weight 1 - t is 1 over how fast the variance of the
        target grows to the end; with it nothing is divided by 0:

            |√(1 - t) (b(x, t) - (x1 - x0)) + σ √t z|²
        """
        if x0.ndim != 2 or x0.shape != x1.shape:
            raise ValueError(
                "BridgeMatching: a bridge has two ends, of the same shape [B, d]; got "
                f"{list(x0.shape)} and {list(x1.shape)}"
            )
        t = rand(x0.shape[0], dtype=x0.dtype, generator=generator)
        z = randn(x0.shape, dtype=x0.dtype, generator=generator)
        part, rest = t[:, None], 1 - t[:, None]
        x = rest * x0 + part * x1 + self.sigma * sqrt(part * rest) * z
        error = sqrt(rest) * (self.network(x, t) - (x1 - x0)) + self.sigma * sqrt(part) * z
        if is_grad_enabled():
            self.steps_trained += 1
        return (error**2).mean()

    @no_grad()
    def sample(self, x0: Tensor, steps: int = 50, *, path: bool = False) -> Tensor:
        """Where the process takes x0 [B, d] in so many steps of Euler and Maruyama: [B, d], or with
        `path` all states [steps + 1, B, d]. Raises RuntimeError before training."""
        if self.steps_trained.item() == 0:
            raise RuntimeError(
                "BridgeMatching: this process was never trained, and would go anywhere; train it, "
                "or load_state_dict() of one that was"
            )
        times = linspace(0.0, 1.0, (steps if path else 1) + 1)
        states = sdeint(self, x0, times, method="euler", dt=1 / steps)
        return states if path else states[-1]


class SchrodingerBridge(nn.Module):
    """Processes from p to q and from q to p: one and the same, once they are trained.

    forward_drift, backward_drift: networks (x [B, d], t [B]) -> [B, d], such as nn.MLPDenoiser.
    sigma: of the Brownian motion of which to be close; the cost of transport is |x0 - x1|² / 2, and
        σ² the weight of its entropy.
    """

    def __init__(self, forward_drift: nn.Module, backward_drift: nn.Module, sigma: float):
        super().__init__()
        self.forwards = BridgeMatching(forward_drift, sigma)
        self.backwards = BridgeMatching(backward_drift, sigma)

    def fit(
        self,
        draw_p: Callable[[int], Tensor],
        draw_q: Callable[[int], Tensor],
        train: Callable[[BridgeMatching, Tensor, Tensor], None],
        *,
        iterations: int = 5,
        pairs: int = 10_000,
        steps: int = 50,
    ) -> None:
        """Iterative Markovian fitting (Shi et al. 2023, algorithm 1).

        draw_p, draw_q: n -> points [n, d] of each end.
        train: (process, x0, x1), which trains a process by its loss on batches of pairs [pairs, d].
        iterations: of both directions; the first has ends that are independent.
        steps: of each path.
        """
        x0, x1 = draw_p(pairs), draw_q(pairs)
        for _ in range(iterations):
            train(self.backwards, x1, x0)
            x1 = draw_q(pairs)
            x0 = self.backwards.sample(x1, steps)
            train(self.forwards, x0, x1)
            x0 = draw_p(pairs)
            x1 = self.forwards.sample(x0, steps)
