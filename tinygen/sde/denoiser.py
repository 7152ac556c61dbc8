"""What a denoising network predicts, and how one prediction becomes another.

Given x(t) = α x(0) + σ ε, each of these determines the others, for each is p x(0) + q ε:

    "epsilon"     the noise ε             p = 0     q = 1       Ho, Jain & Abbeel 2020
    "x0"          the data x(0)           p = 1     q = 0
    "v"           α ε - σ x(0)            p = -σ    q = α       Salimans & Ho 2022, appendix D
    "score"       ∇ log p_t(x) = -ε/σ     p = 0     q = -1/σ    Song & Ermon 2019
    "velocity"    dx/dt                   p = dα/dt q = dσ/dt   Lipman et al. 2023

The last is that of the probability-flow ODE. The best prediction is the mean of each, given x(t).
So one matrix of two by two, with rows (α, σ) and (p, q), is all there is to converting.

A denoising function is any callable (x [B, ...], t [B]) or (x, t, condition), t as in schedules.py:
a network, or an exact score. A Denoiser says what it predicts, and every sampler takes one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .. import nn
from ..autograd.creation import tensor
from ..autograd.grad_mode import is_grad_enabled
from ..autograd.random import Generator, randn
from ..autograd.tensor import Tensor
from .diffusion import beside, for_each
from .schedules import NoiseSchedule

PREDICTIONS = ("epsilon", "x0", "v", "score", "velocity")


def check_prediction(kind: str) -> str:
    if kind not in PREDICTIONS:
        raise ValueError(f"a prediction is one of {', '.join(PREDICTIONS)}, not {kind!r}")
    return kind


def parts(kind: str, schedule: NoiseSchedule, t: Tensor) -> tuple[Any, Any]:
    """(p, q) of a prediction p x(0) + q ε."""
    if kind == "epsilon":
        return 0.0, 1.0
    if kind == "x0":
        return 1.0, 0.0
    if kind == "v":
        return -schedule.sigma(t), schedule.alpha(t)
    if kind == "score":
        return 0.0, -1 / schedule.sigma(t)
    return schedule.alpha_slope(t), schedule.sigma_slope(t)


def coefficients(schedule: NoiseSchedule, t: Tensor, given: str, wanted: str) -> tuple[Any, Any]:
    """(a, b) such that a x + b prediction is what is wanted. Of the shape of t.

    Near an end of time one part of x drowns in the other: ε cannot be told from x(0) at t = 0, nor
    x(0) from ε where α = 0.
    """
    if given == wanted:
        return 0.0, 1.0
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    (p, q), (P, Q) = parts(given, schedule, t), parts(wanted, schedule, t)
    determinant = alpha * q - sigma * p
    return (P * q - Q * p) / determinant, (Q * alpha - P * sigma) / determinant


def convert(
    prediction: Tensor, x: Tensor, t: Tensor, schedule: NoiseSchedule, given: str, wanted: str
) -> Tensor:
    """The prediction `wanted` that says the same about x [B, ...] at t (0-d or [B]) as the one that
    is `given`."""
    if given == wanted:
        return prediction
    a, b = (beside(c, x) for c in coefficients(schedule, t, given, wanted))
    return a * x + b * prediction


@dataclass(frozen=True)
class Denoiser:
    """A denoising function, the schedule that its t is a time of, and what it predicts.

    condition: what the function is given as a third argument, if not None.
    """

    function: Callable[..., Tensor]
    schedule: NoiseSchedule
    prediction: str = "epsilon"
    condition: Any = None

    def __post_init__(self):
        check_prediction(self.prediction)

    def given(self, condition: Any) -> Denoiser:
        """The same under a condition."""
        return replace(self, condition=condition)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """What the function predicts for x [B, ...] at t (0-d or [B])."""
        t = for_each(t, x)
        return (
            self.function(x, t) if self.condition is None else self.function(x, t, self.condition)
        )

    def predict(self, wanted: str, x: Tensor, t: Tensor) -> Tensor:
        """One of PREDICTIONS."""
        return convert(self(x, t), x, t, self.schedule, self.prediction, wanted)

    def score(self, x: Tensor, t: Tensor) -> Tensor:
        return self.predict("score", x, t)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        return self.predict("velocity", x, t)


class DenoisingModel(nn.Module):
    """A network that is trained to remove the noise of a schedule.

    network: a denoising function with parameters (see tinygen.nn.denoisers).
    prediction: what it predicts, one of PREDICTIONS.
    """

    steps_trained: Tensor

    def __init__(self, network: nn.Module, schedule: NoiseSchedule, prediction: str = "epsilon"):
        super().__init__()
        self.network, self.schedule = network, schedule
        self.prediction = check_prediction(prediction)
        self.register_buffer("steps_trained", tensor(0))

    def denoising_loss(
        self,
        x0: Tensor,
        t: Tensor,
        condition: Any = None,
        *,
        weight: Callable[[Tensor], Tensor] | None = None,
        noise: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """The mean of weight(t) |prediction - truth|² over all numbers of x0 [B, ...], a scalar.

        t: [B]. noise: of the shape of x0; by default drawn.
        """
        schedule = self.schedule
        if noise is None:
            noise = randn(x0.shape, dtype=x0.dtype, generator=generator)
        alpha, sigma = beside(schedule.alpha(t), x0), beside(schedule.sigma(t), x0)
        x = alpha * x0 + sigma * noise
        p, q = parts(self.prediction, schedule, t)
        p, q = (beside(c, x0) if isinstance(c, Tensor) else c for c in (p, q))
        given = () if condition is None else (condition,)
        error = (self.network(x, t, *given) - (p * x0 + q * noise)) ** 2
        if is_grad_enabled():
            self.steps_trained += 1
        return error.mean() if weight is None else (beside(weight(t), x0) * error).mean()

    def denoiser(self, condition: Any = None) -> Denoiser:
        """The network, for samplers. Raises RuntimeError if it was never trained."""
        if self.steps_trained.item() == 0:
            raise RuntimeError(
                f"{type(self).__name__}: this model was never trained, and would make noise of "
                "noise; train it, or load_state_dict() of one that was (to sample from a bare "
                "network, write tg.sde.Denoiser(network, schedule, prediction))"
            )
        return Denoiser(self.network, self.schedule, self.prediction, condition)
