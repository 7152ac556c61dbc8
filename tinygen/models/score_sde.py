"""Score-based generative modeling through SDEs: noise is added continuously, and a network learns
the score ∇ log p_t(x), which is all that the way back needs.

    forwards   dx = -½ β x dt + g dW                        VP, VE or sub-VP: a noise schedule
    backwards  dx = (-½ β x - g² ∇ log p_t) dt + g dW̄       the reverse SDE (Anderson 1982)
    or         dx = (-½ β x - ½ g² ∇ log p_t) dt            the probability-flow ODE

Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole 2021, "Score-based generative modeling through
stochastic differential equations". The score is learned by denoising (Vincent 2011, "A connection
between score matching and denoising autoencoders"): at x = α x(0) + σ ε the mean of -ε/σ given x is
the score at x. The ODE has a likelihood.

Shapes: B samples of any shape [B, ...]; times t [B].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from ..autograd.random import Generator, rand
from ..autograd.tensor import Tensor
from ..metrics.likelihood import bits_per_dimension
from ..sde.denoiser import DenoisingModel, coefficients
from ..sde.guidance import classifier_free_guidance
from ..sde.likelihood import log_likelihood
from ..sde.samplers import PredictorCorrector, Sampler, sample
from ..sde.schedules import LinearSchedule, NoiseSchedule

WEIGHTS = ("variance", "likelihood")


class ScoreSDE(DenoisingModel):
    """A denoising network (x [B, ...], t [B]), trained at all times from `start` to the end.

    schedule: LinearSchedule() and others for VP, VESchedule(…), SubVPSchedule(…).
    prediction: by default "epsilon", -σ times the score, which is of size 1 at all times.
    weight: λ(t) of λ |score - ŝ|² (Song et al. 2021, equation 7):
        "variance"    σ²: all times weigh the same; it is |ε - ε̂|²
        "likelihood"  g²: a bound of the likelihood (Song, Durkan, Murray & Ermon 2021, "Maximum
                      likelihood training of score-based diffusion models", theorem 1)
    start: the first time, for at 0 the score may be infinite.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule | None = None,
        prediction: str = "epsilon",
        weight: str = "variance",
        start: float = 1e-3,
    ):
        super().__init__(network, schedule or LinearSchedule(), prediction)
        if weight not in WEIGHTS:
            raise ValueError(f"ScoreSDE: weight must be {' or '.join(WEIGHTS)}, not {weight!r}")
        if not 0 < start < self.schedule.end:
            raise ValueError(
                f"ScoreSDE: start must lie between 0 and the end of the schedule, "
                f"{self.schedule.end:g}; it is {start:g}"
            )
        self.weight, self.start = weight, start

    # ---- Training --------------------------------------------------------------------------------

    def loss(
        self, x0: Tensor, condition: Any = None, *, generator: Generator | None = None
    ) -> Tensor:
        """Denoising score matching at a random time for each of x0 [B, ...], a scalar (Song et al.
        2021, equation 7)."""
        u = rand(x0.shape[0], dtype=x0.dtype, generator=generator)
        t = self.start + (self.schedule.end - self.start) * u
        return self.denoising_loss(
            x0, t, condition, weight=self.weight_of_prediction, generator=generator
        )

    def weight_of_prediction(self, t: Tensor) -> Tensor:
        """λ(t), as the weight of the squared error of what is predicted."""
        _, factor = coefficients(self.schedule, t, self.prediction, "score")
        scale = self.schedule.sigma if self.weight == "variance" else self.schedule.diffusion
        return (scale(t) * factor) ** 2

    # ---- Sampling and likelihood -----------------------------------------------------------------

    def sample(
        self,
        shape: Sequence[int],
        sampler: Sampler | None = None,
        steps: int = 200,
        *,
        condition: Any = None,
        guidance: float = 1.0,
        **options: Any,
    ) -> Tensor:
        """Samples [*shape]. sampler: by default PredictorCorrector() (Song et al. 2021, algorithm
        1). guidance: the scale of classifier-free guidance to `condition` [B, ...]. options: of
        tinygen.sde.sample. Raises RuntimeError before training."""
        denoiser = self.denoiser()
        if condition is not None:
            denoiser = classifier_free_guidance(denoiser, condition, guidance)
        return sample(denoiser, shape, sampler or PredictorCorrector(), steps, **options)

    def score(self, x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        """The learned ∇ log p_t(x) of x [B, ...] at t (0-d or [B])."""
        return self.denoiser(condition).score(x, t)

    def log_prob(self, x: Tensor, condition: Any = None, **options: Any) -> Tensor:
        """log p(x) [B] in nats, of the probability-flow ODE; options: of
        tinygen.sde.log_likelihood, of which divergence="hutchinson" is for images."""
        return log_likelihood(self.denoiser(condition), x, **{"start": self.start, **options})

    def bits_per_dimension(
        self,
        images: Tensor,
        levels: int = 256,
        *,
        generator: Generator | None = None,
        **options: Any,
    ) -> float:
        """The mean of -log₂ p per pixel of whole numbers [B, ...] from 0 to levels - 1, made
        continuous by uniform noise (Theis, van den Oord & Bethge 2016), under a model that was
        trained on images scaled to [-1, 1]."""
        numbers = images.array
        low, high = numbers.min(), numbers.max()
        if numbers.dtype.kind not in "iu" or low < 0 or high >= levels:
            raise ValueError(
                f"bits_per_dimension takes images of whole numbers from 0 to {levels - 1}; got "
                f"{numbers.dtype}, from {low} to {high}"
            )
        unit = (images.float() + rand(images.shape, generator=generator)) / levels
        log_prob = self.log_prob(2 * unit - 1, generator=generator, **options)
        scaled = math.prod(images.shape[1:]) * math.log(2)  # dx = 2 d unit
        return bits_per_dimension(np.asarray(log_prob.array) + scaled, images.shape[1:], levels)
