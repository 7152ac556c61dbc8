"""DDPM: a chain of N steps from data to noise, and a network that is trained to go them back.

    q(x_n | x_0) = N(α_n x_0, σ_n²),  n = 1 … N        what the chain does, α and σ of a schedule
    q(x_{n-1} | x_n, x_0) = N(a x_n + b x_0, β̃_n)      the way back, if x_0 were known
    p(x_{n-1} | x_n) = q(x_{n-1} | x_n, x_0 = x̂_0(x_n))        it is not: the network predicts it

Ho, Jain & Abbeel 2020, "Denoising diffusion probabilistic models"; Song, Meng & Ermon 2021,
"Denoising diffusion implicit models" (steps without noise, and fewer of them); Nichol & Dhariwal
2021, "Improved denoising diffusion probabilistic models" (the cosine schedule); Salimans & Ho 2022,
"Progressive distillation" (v prediction, and the weights).

Step n is the time t = n/N · end of the schedule, and that is what the network is told. So one
network serves chains of any length, and every sampler of tinygen.sde.samplers.

Shapes: B samples of any shape [B, ...], scaled to about [-1, 1]; steps n [B].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd.grad_mode import no_grad
from ..autograd.ops.choose import clamp
from ..autograd.ops.elementwise import exp
from ..autograd.random import Generator, randint, randn
from ..autograd.tensor import Tensor
from ..sde.denoiser import DenoisingModel, coefficients
from ..sde.diffusion import beside
from ..sde.guidance import classifier_free_guidance
from ..sde.samplers import Ancestral, Sampler, sample
from ..sde.schedules import LinearSchedule, NoiseSchedule

WEIGHTS = ("simple", "snr", "truncated snr", "min snr")


class DDPM(DenoisingModel):
    """A denoising network (x [B, ...], t [B]) for a chain of `steps` steps.

    schedule: of any kind; by default LinearSchedule(), the limit of Ho, Jain & Abbeel's for many
        steps, which ends in noise with any number of them (DiscreteSchedule(betas) has theirs).
    prediction: "epsilon", "x0", "v", … (see tinygen.sde.denoiser).
    weight: of the squared error, one of WEIGHTS:
        "simple"         |ε - ε̂|², |v - v̂|² …: whatever is predicted (Ho et al. 2020, equation 14)
        "snr"            |ε - ε̂|² = α²/σ² |x0 - x̂0|², whatever is predicted
        "truncated snr"  max(α²/σ², 1) |x0 - x̂0|² (Salimans & Ho 2022, section 4)
        "min snr"        min(α²/σ², 5) |x0 - x̂0|² (Hang et al. 2023, equation 6)
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule | None = None,
        steps: int = 1000,
        prediction: str = "epsilon",
        weight: str = "simple",
    ):
        super().__init__(network, schedule or LinearSchedule(), prediction)
        if steps < 1:
            raise ValueError(f"DDPM: a chain has at least 1 step, not {steps}")
        if weight not in WEIGHTS:
            raise ValueError(f"DDPM: weight must be one of {', '.join(WEIGHTS)}, not {weight!r}")
        self.steps, self.weight = steps, weight

    def time(self, n: Tensor, dtype: Any = np.float64) -> Tensor:
        """The time of step n."""
        return n.to(dtype) * (self.schedule.end / self.steps)

    # ---- The chain -------------------------------------------------------------------------------

    def q_sample(self, x0: Tensor, n: Tensor, noise: Tensor) -> Tensor:
        """x_n = α_n x_0 + σ_n ε: [B, ...]"""
        t = self.time(n)
        return beside(self.schedule.alpha(t), x0) * x0 + beside(self.schedule.sigma(t), x0) * noise

    def q_posterior(self, x0: Tensor, xn: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [B, ...] and variance, which broadcasts to it, of x_{n-1} given x_n and x_0 (Ho et
        al. 2020, equations 6 and 7)."""
        a, b, variance = (
            beside(c, x0) for c in self.schedule.posterior(self.time(n - 1), self.time(n))
        )
        return a * xn + b * x0, variance

    # ---- Training --------------------------------------------------------------------------------

    def loss(
        self, x0: Tensor, condition: Any = None, *, generator: Generator | None = None
    ) -> Tensor:
        """The weighted squared error of the prediction at a random step for each of x0 [B, ...], a
        scalar (Ho et al. 2020, algorithm 1)."""
        n = randint(1, self.steps + 1, (x0.shape[0],), generator=generator)
        weight = None if self.weight == "simple" else self.weight_of_prediction
        t = self.time(n, x0.dtype)
        return self.denoising_loss(x0, t, condition, weight=weight, generator=generator)

    def weight_of_prediction(self, t: Tensor) -> Tensor:
        """The weight of the squared error of x0, as that of the squared error of what is predicted,
        which is larger by a factor."""
        snr = exp(self.schedule.log_snr(t))
        weight = {
            "snr": lambda: snr,
            "truncated snr": lambda: clamp(snr, min=1.0),
            "min snr": lambda: clamp(snr, max=5.0),
        }[self.weight]()
        _, factor = coefficients(self.schedule, t, self.prediction, "x0")
        return weight * factor**2

    @no_grad()
    def variational_bound(self, x0: Tensor, *, generator: Generator | None = None) -> Tensor:
        """An estimate [B] of the negative log likelihood in nats, or rather of its upper bound

            KL(q(x_N | x_0) | N(0, prior_std²)) + Σ_n KL(q(x_{n-1} | x_n, x_0) | p(x_{n-1} | x_n))

        over n > 1, with -log N(x_0; x̂_0(x_1), (σ_1/α_1)²) for n = 1 (Ho et al. 2020, equation 5;
        both have variance β̃). All steps are taken, each with one draw of x_n.
        """
        B, d = x0.shape[0], math.prod(x0.shape[1:])
        denoiser, schedule = self.denoiser(), self.schedule
        last = Tensor(np.array(float(self.steps)))
        alpha, sigma = (float(f(self.time(last))) for f in (schedule.alpha, schedule.sigma))
        square = ((alpha * x0) ** 2).reshape(B, -1).sum(-1)
        prior = schedule.prior_std**2
        total = (square / prior + d * (sigma**2 / prior - 1 - math.log(sigma**2 / prior))) / 2
        for step in range(1, self.steps + 1):
            n = Tensor(np.full(B, float(step)))
            noise = randn(x0.shape, dtype=x0.dtype, generator=generator)
            xn, t = self.q_sample(x0, n, noise), self.time(n)
            error = ((x0 - denoiser.predict("x0", xn, t)) ** 2).reshape(B, -1).sum(-1)
            if step == 1:
                variance = float(exp(-schedule.log_snr(t))[0])
                total = total + (error / variance + d * math.log(2 * math.pi * variance)) / 2
            else:
                _, b, variance = (float(c[0]) for c in schedule.posterior(self.time(n - 1), t))
                total = total + error * (b * b / (2 * variance))
        return total

    # ---- Sampling --------------------------------------------------------------------------------

    def sample(
        self,
        shape: Sequence[int],
        sampler: Sampler | None = None,
        steps: int | None = None,
        *,
        condition: Any = None,
        guidance: float = 1.0,
        **options: Any,
    ) -> Tensor:
        """Samples [*shape] (Ho et al. 2020, algorithm 2, or another sampler).

        sampler: by default Ancestral(); DDIM() needs fewer steps. steps: by default all of the
        chain, or fewer. guidance: the scale of classifier-free guidance to `condition` [B, ...].
        options: of tinygen.sde.sample.

        Raises ValueError for more steps than the chain has, RuntimeError before training.
        """
        steps = self.steps if steps is None else steps
        if steps > self.steps:
            raise ValueError(
                f"DDPM: the chain was trained with {self.steps} steps, and knows no times between "
                f"them; it cannot be sampled in {steps}"
            )
        denoiser = self.denoiser()
        if condition is not None:
            denoiser = classifier_free_guidance(denoiser, condition, guidance)
        return sample(denoiser, shape, sampler or Ancestral(), steps, **options)
