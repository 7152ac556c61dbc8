"""Flow matching: a network learns the velocity of a straight line from noise to data, and of the
many lines through a point the mean; that carries noise to data.

    x(t) = (1 - t) x0 + t x1,   x0 data, x1 ~ N(0, 1) or any other source,   t in [0, 1]
    loss = E |v(x(t), t) - (x1 - x0)|²        least for v(x, t) = E[x1 - x0 | x(t) = x]
    samples: dx/dt = v(x, t), from x1 at t = 1 down to t = 0

Lipman, Chen, Ben-Hamu, Nickel & Le 2023, "Flow matching for generative modeling" (equations 22 and
23, with σ_min = 0); Albergo & Vanden-Eijnden 2023; Liu, Gong & Liu 2023, "Flow straight and fast"
(rectified flow); Tong et al. 2024, "Improving and generalizing flow-based generative models with
minibatch optimal transport"; Esser et al. 2024, "Scaling rectified flow transformers" (times).

Time goes from data to noise, as in all of tinygen.sde, and is 1 minus that of Lipman et al. This is
the denoising model of one schedule and one prediction: every sampler of tinygen.sde takes it.

Where lines cross, the mean turns, so that the ODE's paths are curved and take steps. Two ways to
straighter ones are to pair noise and data so that lines hardly cross (optimal transport), and to
learn again on the pairs that the flow itself has made, whose paths cannot cross (reflow).

Shapes: B samples of any shape [B, ...]; times t [B].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd.ops.elementwise import sigmoid
from ..autograd.random import Generator, rand, randn
from ..autograd.tensor import Tensor
from ..sde.adaptive_flow import AdaptiveProbabilityFlow
from ..sde.denoiser import DenoisingModel
from ..sde.guidance import classifier_free_guidance
from ..sde.likelihood import log_likelihood
from ..sde.samplers import ProbabilityFlow, Sampler, sample
from ..sde.schedules import FlowMatchingSchedule

TIMES = ("uniform", "logit-normal")


class FlowMatching(DenoisingModel):
    """A network (x [B, ...], t [B]) -> velocity [B, ...].

    optimal_transport: pair the data and the source of each batch so that the sum of |x0 - x1|² is
        least (Tong et al. 2024, section 3.2). Exactly, in O(B³): milliseconds for 256.
    times: of training: "uniform", or "logit-normal", that is sigmoid of N(0, 1), with more of them
        in the middle, where the mean is hardest to tell (Esser et al. 2024, equation 19).
    """

    def __init__(
        self, network: nn.Module, *, optimal_transport: bool = False, times: str = "uniform"
    ):
        super().__init__(network, FlowMatchingSchedule(), "velocity")
        if times not in TIMES:
            raise ValueError(f"FlowMatching: times must be {' or '.join(TIMES)}, not {times!r}")
        self.optimal_transport, self.times = optimal_transport, times

    # ---- Training --------------------------------------------------------------------------------

    def loss(
        self,
        x0: Tensor,
        condition: Any = None,
        *,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """The squared error of the velocity at a random time for each of x0 [B, ...], the mean over
        all numbers, a scalar (Lipman et al. 2023, equation 23).

        source: x1 [B, ...], the other ends of the lines; by default noise. They may be any data:
            the flow then goes from those to these, and is sampled with x=…. Row i belongs to row i
            of x0, unless optimal_transport pairs them anew.
        condition: of x0 [B, ...].
        """
        t = self.draw_times(x0, generator)
        if source is None:
            source = randn(x0.shape, dtype=x0.dtype, generator=generator)
        elif source.shape != x0.shape:
            raise ValueError(
                f"FlowMatching: a line has two ends, so the source has the shape of the data, "
                f"{list(x0.shape)}; got {list(source.shape)}"
            )
        if self.optimal_transport:
            source = source[optimal_assignment(x0, source)]
        return self.denoising_loss(x0, t, condition, noise=source)

    def draw_times(self, x0: Tensor, generator: Generator | None) -> Tensor:
        draw = rand if self.times == "uniform" else randn
        t = draw(x0.shape[0], dtype=x0.dtype, generator=generator)
        return t if self.times == "uniform" else sigmoid(t)

    # ---- Sampling and likelihood -----------------------------------------------------------------

    def sample(
        self,
        shape: Sequence[int],
        sampler: Sampler | None = None,
        steps: int = 50,
        *,
        condition: Any = None,
        guidance: float = 1.0,
        **options: Any,
    ) -> Tensor:
        """Samples [*shape].

        sampler: by default Euler's method, ProbabilityFlow(), with so many equal steps;
            AdaptiveProbabilityFlow() chooses its own. guidance: the scale of classifier-free
            guidance to `condition` [B, ...]. options: of tinygen.sde.sample, such as x=…, where to
            start: the source of a flow that does not come from noise.

        Raises RuntimeError before training.
        """
        denoiser = self.denoiser()
        if condition is not None:
            denoiser = classifier_free_guidance(denoiser, condition, guidance)
        return sample(denoiser, shape, sampler or ProbabilityFlow(), steps, **options)

    def velocity(self, x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The learned dx/dt [B, ...] of x [B, ...] at t (0-d or [B])."""
        return self.denoiser(condition).velocity(x, t)

    def log_prob(self, x: Tensor, condition: Any = None, **options: Any) -> Tensor:
        """log p(x) [B] in nats, if the source is noise; options: of tinygen.sde.log_likelihood."""
        return log_likelihood(self.denoiser(condition), x, **{"start": 0.0, **options})

    def reflow_pairs(
        self, shape: Sequence[int], condition: Any = None, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """(x0, x1) [*shape]: noise x1, and the x0 to which the flow carries it, from which another
        model learns by loss(x0, source=x1) (Liu et al. 2023, algorithm 1). That has the same ends,
        goes no longer ways, and straighter ones.

        options: x=…, the noise, and those of AdaptiveProbabilityFlow.
        """
        x1 = options.pop("x", None)
        if x1 is None:
            x1 = randn(shape)
        solver = AdaptiveProbabilityFlow(**options)
        return self.sample(shape, solver, condition=condition, x=x1), x1


def optimal_assignment(x0: Tensor, x1: Tensor) -> np.ndarray:
    """The order [B] of x1 [B, ...] in which Σ |x0 - x1|² is least, exactly. Only the product of x0
    and x1 depends on which goes with which."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = (x.detach().array.reshape(len(x), -1).astype(np.float64) for x in (x0, x1))
    return linear_sum_assignment(rows @ columns.T, maximize=True)[1]


def straightness(path: Tensor) -> float:
    """∫ E |(x1 - x0) - dx/dt|² dt / E |x1 - x0|² of paths [times, B, ...] at evenly spaced times,
    as sample(…, path=True) returns them: 0 if all points move evenly on straight lines (S of Liu
    et al. 2023, in parts of the squared way)."""
    states = path.detach().array.astype(np.float64)
    way, steps = states[-1] - states[0], np.diff(states, axis=0)
    return float(((way - len(steps) * steps) ** 2).mean() / (way**2).mean())
