"""Samples with something given: a class, or a part of the data. No model is trained for it.

Guidance makes another denoiser, so that any sampler can take it. Since every prediction is a x +
b score, with a and b that depend on t alone, adding s times a difference of scores adds s times the
difference of predictions.

    ∇ log p(x | y) = ∇ log p(x) + ∇ log p(y | x)                      Bayes

Inpainting makes another sampler: after each step the part that is known is put back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from .. import nn
from ..autograd.engine import grad
from ..autograd.grad_mode import enable_grad
from ..autograd.ops.choose import where
from ..autograd.ops.join import cat, chunk
from ..autograd.ops.softmax import log_softmax
from ..autograd.tensor import Tensor
from .denoiser import Denoiser
from .diffusion import beside
from .samplers import Noise, Sampler, at
from .schedules import NoiseSchedule


def classifier_free_guidance(denoiser: Denoiser, condition: Tensor, scale: float) -> Denoiser:
    """The prediction without the condition, and `scale` times what the condition [B, ...] changes
    (Ho & Salimans 2022, "Classifier-free diffusion guidance", equation 6, where scale is 1 + w).

    scale: 0 has no condition, 1 has it, more exaggerates it.

    A network with a method null_condition, as all in tinygen.nn have, is called once, for both.
    """
    function = denoiser.function
    null = getattr(function, "null_condition", None)

    def guided(x: Tensor, t: Tensor) -> Tensor:
        if scale == 1:
            return function(x, t, condition)
        if null is None:
            without, with_it = function(x, t), function(x, t, condition)
        else:
            both = cat([null(condition), condition])
            without, with_it = chunk(function(cat([x, x]), cat([t, t]), both), 2)
        return without + scale * (with_it - without)

    return replace(denoiser, function=guided, condition=None)


def classifier_guidance(
    denoiser: Denoiser, classifier: Any, classes: Tensor, scale: float = 1.0
) -> Denoiser:
    """The score, and scale ∇ log p_t(y | x) (Dhariwal & Nichol 2021, "Diffusion models beat GANs",
    equation 10 and algorithm 2).

    classifier: (x [B, ...], t [B]) -> logits [B, classes], trained on data with the noise of t.
    classes: y [B].
    """

    def guided(x: Tensor, t: Tensor) -> Tensor:
        with enable_grad():
            at_x = x.detach().requires_grad_()
            log_probs = log_softmax(classifier(at_x, t), -1)
            (slope,) = grad(nn.functional.nll_loss(log_probs, classes, reduction="sum"), at_x)
        assert slope is not None  # for types: grad raises where x has no part in the classes
        return denoiser.score(x, t) - scale * slope

    return Denoiser(guided, denoiser.schedule, "score")


def clipped(denoiser: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """The same with x0 held within the range of the data, as Ho, Jain & Abbeel 2020 do in code."""
    return Denoiser(
        lambda x, t: denoiser.predict("x0", x, t).clamp(low, high), denoiser.schedule, "x0"
    )


@dataclass(frozen=True)
class Inpaint:
    """A sampler of what is not known, given what is.

    known: data of the shape of the samples, of which those at mask are kept. mask: bool, True where
    it is known; broadcasts to `known`.
    resample: with more than 1, each step is taken so many times, the noise between being put back,
        so that both parts fit (Lugmayr et al. 2022, "RePaint", algorithm 1). With 1 the known part
        is replaced (Song et al. 2021, appendix I.2), which need not end in the conditional
        distribution.
    """

    sampler: Sampler
    known: Tensor
    mask: Tensor
    resample: int = 1

    def __post_init__(self):
        if self.mask.dtype != bool:
            raise ValueError(
                f"Inpaint: mask is bool, True where the data are known, not {self.mask.dtype}"
            )
        if self.resample < 1:
            raise ValueError(f"Inpaint: resample must be 1 or more, not {self.resample}")

    def times(self, schedule: NoiseSchedule, steps: int) -> list[float]:
        return self.sampler.times(schedule, steps)

    def __call__(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        schedule = denoiser.schedule
        for again in range(self.resample):
            if again:
                a, variance = schedule.transition(at(s), at(t))
                x = float(a) * x + math.sqrt(float(variance)) * noise(x)
            x = self.sampler(denoiser, x, t, s, noise)
            known = beside(schedule.alpha(at(s)), x) * self.known
            if s > 0:
                known = known + beside(schedule.sigma(at(s)), x) * noise(x)
            x = where(self.mask, known, x)
        return x
