"""From noise to data: all samplers are one loop, and differ in one step.

    denoiser = Denoiser(network_or_exact_score, schedule, "epsilon")
    samples = sample(denoiser, (64, 2), DDIM(), steps=50)               # [64, 2]

A step goes from x at t to x at s < t. With x0 and ε what the denoiser says about x, β̃ the variance
of x(s) given x(t) and x(0), dt = s - t < 0, and z ~ N(0, 1), it is, for

    DDIM             α_s x0 + √(σ_s² - η² β̃) ε + η √β̃ z            Song, Meng & Ermon 2021, eq. 12
    Ancestral        the same with η = 1: x(s) given x(t) and x0    Ho, Jain & Abbeel 2020, alg. 2
    ProbabilityFlow  x + velocity dt                                Song et al. 2021, eq. 13
    EulerMaruyama    x + (velocity - ½ g² score) dt + g √|dt| z     Song et al. 2021, eq. 6

As predictions convert into one another, each is A x + B prediction + C z: three numbers. Made of
such steps are Heun (Karras et al. 2022, algorithm 2: the probability flow in σ/α, to second order)
and PredictorCorrector (Song et al. 2021, algorithm 1: Langevin steps after each).

The last step, to 0, is the mean of the data, given x(t), for all: that is where DDIM gets, and what
Song et al. 2021 and Karras et al. 2022 do for the others. Nothing is on the tape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.ops.join import stack
from ..autograd.random import Generator, randn
from ..autograd.tensor import Tensor
from .at_numbers import AtNumbers, at
from .denoiser import Denoiser, coefficients
from .schedules import NoiseSchedule

Noise = Callable[[Tensor], Tensor]  # x -> z ~ N(0, 1) of its shape and type
Step = Callable[[Denoiser, Tensor, float, float, Noise], Tensor]  # denoiser, x, t, s, noise


@no_grad()
def sample(
    denoiser: Denoiser,
    shape: Sequence[int],
    sampler: Sampler | None = None,
    steps: int = 100,
    *,
    times: Sequence[float] | Tensor | None = None,
    x: Tensor | None = None,
    path: bool = False,
    dtype=None,
    generator: Generator | None = None,
) -> Tensor:
    """Samples of the data [*shape], shape = (batch, ...).

    sampler: by default DDIM(). steps: how many; each is one call of the network (Heun: two).
    times: those to step between instead, which fall; by default the sampler's, from the end to 0.
    x: where to start, at times[0]; by default noise.
    path: return the states at all times [times, *shape].

    Raises ValueError for times that do not fit, or a step that is not defined.
    """
    sampler = sampler or DDIM()
    grid = checked_times(denoiser.schedule, sampler, steps, times)
    noise: Noise = lambda x: randn(x.shape, dtype=x.dtype, generator=generator)
    if x is None:
        x = start(denoiser.schedule, grid[0]) * randn(shape, dtype=dtype, generator=generator)
    states = [x]
    for t, s in pairwise(grid):
        x = sampler(denoiser, x, t, s, noise)
        if path:
            states.append(x)
    return stack(states) if path else x


def start(schedule: NoiseSchedule, t: float) -> float:
    """The standard deviation of x(t) that is all noise."""
    ends = schedule.sigma(at(t)) / schedule.sigma(at(schedule.end))
    return schedule.prior_std * float(ends)


def checked_times(schedule, sampler, steps: int, times) -> list[float]:
    if times is None:
        if steps < 1:
            raise ValueError(f"sample: steps must be 1 or more, not {steps}")
        return sampler.times(schedule, steps)
    grid = [float(t) for t in times]
    falls = all(t > s for t, s in pairwise(grid))
    if len(grid) < 2 or not falls or not 0 <= grid[-1] < grid[0] <= schedule.end:
        raise ValueError(
            f"sample: times must fall, from {schedule.end:g} at most to 0 at least; got "
            f"{len(grid)} times {grid[:3]} …"
        )
    return grid


# ---- One step ------------------------------------------------------------------------------------


class Sampler:
    """One step after another; `step` is what differs."""

    def times(self, schedule: NoiseSchedule, steps: int) -> list[float]:
        return [schedule.end * (1 - n / steps) for n in range(steps + 1)]

    def step(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        raise NotImplementedError

    def __call__(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        if s == 0:
            return denoiser.predict("x0", x, at(t))
        return self.step(denoiser, x, t, s, noise)


class Affine(Sampler):
    """A x + B prediction + C z: such a sampler is three numbers a step."""

    def numbers(self, schedule: Any, given: str, t: Any, s: Any) -> tuple:
        """A, B, C for a prediction that is `given`, by a schedule at numbers."""
        raise NotImplementedError

    def step(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        with np.errstate(all="ignore"):
            found = self.numbers(AtNumbers(denoiser.schedule), denoiser.prediction, t, s)
        A, B, C = (float(number) for number in found)
        if not math.isfinite(A + B + C):
            raise ValueError(
                f"{type(self).__name__}: under {type(denoiser.schedule).__name__} there is no step "
                f"from t = {t:g} to {s:g} by a prediction of {denoiser.prediction}; begin a little "
                "later, times=…, or take another sampler or another prediction"
            )
        x = A * x + B * denoiser(x, at(t))
        return x + C * noise(x) if C else x


@dataclass(frozen=True)
class DDIM(Affine):
    """Song, Meng & Ermon 2021, "Denoising diffusion implicit models". eta: 0 adds no noise."""

    eta: float = 0.0

    def __post_init__(self):
        if not 0 <= self.eta <= 1:
            raise ValueError(f"DDIM: eta must lie between 0 and 1, not {self.eta}")

    def numbers(self, schedule: Any, given: str, t: Any, s: Any) -> tuple:
        a, b = coefficients(schedule, t, given, "x0")
        c, d = coefficients(schedule, t, given, "epsilon")
        variance = schedule.posterior(s, t)[2] * self.eta**2
        alpha, rest = schedule.alpha(s), np.sqrt(schedule.sigma(s) ** 2 - variance)
        return alpha * a + rest * c, alpha * b + rest * d, np.sqrt(variance)


@dataclass(frozen=True)
class Ancestral(Affine):
    """Ho, Jain & Abbeel 2020, algorithm 2: a draw of x(s) given x(t) and x(0).

    variance: "small", that of the same, which is best if the data are one point, or "large", that
        of x(t) given x(s), which is best if they are N(0, 1) (section 3.2).
    """

    variance: str = "small"

    def __post_init__(self):
        if self.variance not in ("small", "large"):
            raise ValueError(f'Ancestral: variance is "small" or "large", not {self.variance!r}')

    def numbers(self, schedule: Any, given: str, t: Any, s: Any) -> tuple:
        a, b = coefficients(schedule, t, given, "x0")
        of_x, of_x0, variance = schedule.posterior(s, t)
        if self.variance == "large":
            _, variance = schedule.transition(s, t)
        return of_x + of_x0 * a, of_x0 * b, np.sqrt(variance)


class Euler(Affine):
    """x + (velocity - ½ λ² g² score) dt + λ g √|dt| z: of any λ, the marginals are the same."""

    noise_scale: float  # λ

    def numbers(self, schedule: Any, given: str, t: Any, s: Any) -> tuple:
        dt = s - t
        A, B = coefficients(schedule, t, given, "velocity")
        if not self.noise_scale:
            return 1 + A * dt, B * dt, 0.0
        a, b = coefficients(schedule, t, given, "score")
        g = self.noise_scale * schedule.diffusion(t)
        return 1 + (A - g * g * a / 2) * dt, (B - g * g * b / 2) * dt, g * np.sqrt(-dt)


@dataclass(frozen=True)
class ProbabilityFlow(Euler):
    """The probability-flow ODE by Euler's method; on the straight line, DDIM."""

    noise_scale: float = 0.0


@dataclass(frozen=True)
class EulerMaruyama(Euler):
    """The reverse SDE, or with noise_scale other than 1 a part or a multiple of its noise."""

    noise_scale: float = 1.0


# ---- Made of such steps --------------------------------------------------------------------------


@dataclass(frozen=True)
class Heun(Sampler):
    """Karras, Aittala, Aila & Laine 2022, "Elucidating the design space of diffusion-based
    generative models", algorithm 2.

    In x/α, as a function of σ/α, the probability flow is d(x/α) = ε d(σ/α), for any schedule.
    sigma_min, sigma_max, rho: the steps in σ/α, equal in its rho-th root (equation 5).
    churn: γ, by which part the noise is raised before a step, between churn_min and churn_max;
        their S_churn / steps, at most √2 - 1. churn_noise: their S_noise.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = math.inf
    churn_noise: float = 1.0

    def times(self, schedule: NoiseSchedule, steps: int) -> list[float]:
        with np.errstate(divide="ignore"):
            sigma_max = min(self.sigma_max, ratio(schedule, schedule.end))
        ramp = np.linspace(sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho), steps)
        return [*(time_of_ratio(schedule, root**self.rho) for root in ramp), 0.0]

    def step(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        x, t = self.churned(denoiser.schedule, x, t, noise)
        schedule = AtNumbers(denoiser.schedule)
        alpha, alpha_s = (float(schedule.alpha(time)) for time in (t, s))
        size = ratio(schedule, s) - ratio(schedule, t)
        epsilon = self.epsilon(denoiser, schedule, x, t)
        euler = alpha_s * (x / alpha + size * epsilon)
        epsilon = epsilon + self.epsilon(denoiser, schedule, euler, s)
        return alpha_s * (x / alpha + (size / 2) * epsilon)

    def epsilon(self, denoiser: Denoiser, schedule: AtNumbers, x: Tensor, t: Any) -> Tensor:
        """What the denoiser says about the noise."""
        a, b = coefficients(schedule, t, denoiser.prediction, "epsilon")
        prediction = float(b) * denoiser(x, at(t))
        return float(a) * x + prediction if a else prediction

    def churned(self, schedule: NoiseSchedule, x: Tensor, t: float, noise: Noise):
        """x and t with more noise."""
        sigma = ratio(schedule, t)
        if not self.churn or not self.churn_min <= sigma <= self.churn_max:
            return x, t
        raised = sigma * (1 + min(self.churn, math.sqrt(2) - 1))
        raised = max(sigma, min(raised, ratio(schedule, schedule.end)))
        before, t = float(schedule.alpha(at(t))), time_of_ratio(schedule, raised)
        more = self.churn_noise * math.sqrt(raised**2 - sigma**2)
        return float(schedule.alpha(at(t))) * (x / before + more * noise(x)), t


def ratio(schedule: NoiseSchedule, t: float) -> float:
    """σ/α"""
    return math.exp(float(schedule.log_snr(at(t))) / -2)


def time_of_ratio(schedule: NoiseSchedule, sigma: float) -> float:
    time = float(schedule.time_of_log_snr(at(-2 * math.log(sigma))))
    return min(time, schedule.end)


@dataclass(frozen=True)
class PredictorCorrector(Sampler):
    """Song et al. 2021, algorithms 1, 4 and 5: after each step of a predictor, Langevin steps
    x + h score + √(2h) z at the time that it reached, h = 2 (snr |z| / |score|)², the norms being
    means over the batch. (Their code makes h smaller by 1 - β_n for VP, which is nearly 1.)"""

    predictor: Sampler = field(default_factory=EulerMaruyama)
    snr: float = 0.16
    corrector_steps: int = 1

    def times(self, schedule: NoiseSchedule, steps: int) -> list[float]:
        return self.predictor.times(schedule, steps)

    def step(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        x = self.predictor(denoiser, x, t, s, noise)
        for _ in range(self.corrector_steps):
            score, z = denoiser.score(x, at(s)), noise(x)
            h = 2 * (self.snr * mean_norm(z) / mean_norm(score)) ** 2
            x = x + h * score + math.sqrt(2 * h) * z
        return x


def mean_norm(x: Tensor) -> float:
    """The mean over the rows of x [B, ...] of their Euclidean norms."""
    return float((x * x).reshape(x.shape[0], -1).sum(-1).sqrt().mean())
