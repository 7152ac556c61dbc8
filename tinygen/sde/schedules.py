"""Noise schedules: how much is left of the data at a time t, and how much noise there is.

All models that learn to remove noise, discrete or continuous, are about

    x(t) = α(t) x(0) + σ(t) ε,    ε ~ N(0, 1),    t from 0 (data) to `end` (noise)

A schedule is α and σ. The rest follows (Kingma, Salimans, Poole & Ho 2021, "Variational diffusion
models", section 3 and appendix; Song et al. 2021, appendix B):

    β = -2 d ln α / dt            of the SDE dx = -½ β x dt + g dW that has these marginals
    g² = dσ²/dt + β σ²
    log_snr = ln(α²/σ²)           which falls, and can be inverted for t

    LinearSchedule, CosineSchedule, DiscreteSchedule    σ² = 1 - α²   preserves variance; DDPM, DDIM
    SubVPSchedule                                       σ  = 1 - α²
    VESchedule                                          α  = 1        variance explodes
    FlowMatchingSchedule                                α  = 1 - t, σ = t: the straight line

All act elementwise on tensors t, and can be differentiated, but for DiscreteSchedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..autograd.ops.activation import logsigmoid, sigmoid
from ..autograd.ops.elementwise import acos, asinh, cos, exp, expm1, log, log1p, sqrt, tan
from ..autograd.tensor import Tensor


class NoiseSchedule:
    """α(t) and σ(t), and what follows. end: the last time there is; prior_std: σ there."""

    end: float = 1.0
    prior_std: float = 1.0

    def alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def sigma(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def beta(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def diffusion(self, t: Tensor) -> Tensor:
        """g(t)"""
        raise NotImplementedError

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        """The time at which log_snr has a value."""
        raise NotImplementedError

    def log_snr(self, t: Tensor) -> Tensor:
        """ln(α²/σ²): how much is left of the data at t."""
        return 2 * log(self.alpha(t) / self.sigma(t))

    def alpha_slope(self, t: Tensor) -> Tensor:
        """dα/dt"""
        return self.beta(t) * self.alpha(t) * -0.5

    def sigma_slope(self, t: Tensor) -> Tensor:
        """dσ/dt = (g² - β σ²) / 2σ"""
        sigma = self.sigma(t)
        return (self.diffusion(t) ** 2 / sigma - self.beta(t) * sigma) * 0.5

    # From one time to another, s < t (Kingma et al. 2021, appendix A).

    def transition(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(a, variance) of x(t) given x(s), which is N(a x(s), variance)."""
        a = self.alpha(t) / self.alpha(s)
        return a, self.sigma(t) ** 2 - (a * self.sigma(s)) ** 2

    def posterior(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(a, b, variance) of x(s) given x(t) and x(0), which is N(a x(t) + b x(0), variance) (Ho,
        Jain & Abbeel 2020, equation 7, where s is one step before t)."""
        a, variance = self.transition(s, t)
        share = (self.sigma(s) / self.sigma(t)) ** 2
        return a * share, self.alpha(s) - self.alpha(t) * a * share, variance * share


# ---- Variance is preserved -----------------------------------------------------------------------


class VPSchedule(NoiseSchedule):
    """σ² = 1 - α², by β(t), its integral B(t), and t as a function of B: α = exp(-B/2)."""

    def integral(self, t: Tensor) -> Tensor:
        """B(t) = ∫ β ds from 0 to t"""
        raise NotImplementedError

    def time_of_integral(self, B: Tensor) -> Tensor:
        raise NotImplementedError

    def alpha(self, t: Tensor) -> Tensor:
        return exp(self.integral(t) * -0.5)

    def sigma(self, t: Tensor) -> Tensor:
        return sqrt(-expm1(-self.integral(t)))

    def diffusion(self, t: Tensor) -> Tensor:
        return sqrt(self.beta(t))

    def log_snr(self, t: Tensor) -> Tensor:
        """ln(α²/(1 - α²)) = -ln(e^B - 1)"""
        return -log(expm1(self.integral(t)))

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        """B = ln(1 + e^-value)"""
        return self.time_of_integral(-logsigmoid(value))


@dataclass(frozen=True)
class LinearSchedule(VPSchedule):
    """β rises from beta_min to beta_max while t goes from 0 to 1 (Ho, Jain & Abbeel 2020; in
    continuous time Song et al. 2021, equation 32)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    end: float = 1.0

    def __post_init__(self):
        if not 0 < self.beta_min <= self.beta_max or not self.end > 0:
            raise ValueError(
                "LinearSchedule: 0 < beta_min <= beta_max and 0 < end must hold; they are "
                f"{self.beta_min:g}, {self.beta_max:g} and {self.end:g}"
            )

    def beta(self, t: Tensor) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + (self.beta_max - self.beta_min) / 2 * t * t

    def time_of_integral(self, B: Tensor) -> Tensor:
        root = sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * B)
        return 2 * B / (self.beta_min + root)


@dataclass(frozen=True)
class CosineSchedule(VPSchedule):
    """α(t) = cos(π/2 (t + s)/(1 + s)) / cos(π/2 s/(1 + s)) (Nichol & Dhariwal 2021, equation 17).

    β grows without bound as t → 1; the process ends a little before, where β is 300.
    """

    s: float = 0.008
    end: float = 0.9946

    def __post_init__(self):
        if not 0 < self.end < 1 or not self.s > 0:
            raise ValueError(
                "CosineSchedule: end must lie in (0, 1), for at 1 nothing is left of the data and "
                f"β is infinite, and s above 0; they are {self.end:g} and {self.s:g}"
            )

    def angle(self, t: Tensor | float):
        return (t + self.s) * (math.pi / 2 / (1 + self.s))

    def beta(self, t: Tensor) -> Tensor:
        return tan(self.angle(t)) * (math.pi / (1 + self.s))

    def integral(self, t: Tensor) -> Tensor:
        return -2 * log(cos(self.angle(t)) / math.cos(self.angle(0.0)))

    def time_of_integral(self, B: Tensor) -> Tensor:
        angle = acos(exp(-B / 2) * math.cos(self.angle(0.0)))
        return angle * ((1 + self.s) * 2 / math.pi) - self.s


class DiscreteSchedule(VPSchedule):
    """The β_n, n = 1 … N, of a chain of N steps: at t = n/N, α² is ∏ (1 - β_k) over k <= n exactly
    (Ho, Jain & Abbeel 2020, equation 4: their betas are np.linspace(1e-4, 0.02, 1000)).

    Between, β(t) is constant. Times get no gradients.
    """

    def __init__(self, betas: Sequence[float] | np.ndarray | Tensor):
        betas = np.asarray(getattr(betas, "array", betas), np.float64)
        if betas.ndim != 1 or not len(betas) or not ((betas > 0) & (betas < 1)).all():
            raise ValueError(
                "DiscreteSchedule: each β is the part of the variance that a step replaces by "
                f"noise, and lies in (0, 1); got {betas.size} from {betas.min(initial=1):g} to "
                f"{betas.max(initial=0):g}"
            )
        self.betas = betas
        self.times = np.arange(len(betas) + 1) / len(betas)
        self.integrals = np.concatenate([[0.0], np.cumsum(-np.log1p(-betas))])

    def beta(self, t: Tensor) -> Tensor:
        N = len(self.betas)
        n = np.clip(np.ceil(t.array * N - 1e-9).astype(np.int64), 1, N)
        return Tensor((np.diff(self.integrals)[n - 1] * N).astype(t.dtype))

    def integral(self, t: Tensor) -> Tensor:
        return Tensor(np.asarray(np.interp(t.array, self.times, self.integrals), t.dtype))

    def time_of_integral(self, B: Tensor) -> Tensor:
        return Tensor(np.asarray(np.interp(B.array, self.integrals, self.times), B.dtype))


# ---- Others --------------------------------------------------------------------------------------


class SubVPSchedule(NoiseSchedule):
    """The α of a schedule that preserves variance, and less noise on the way: σ = 1 - α² (Song et
    al. 2021, equations 12 and 29)."""

    def __init__(self, base: VPSchedule | None = None):
        self.base = base or LinearSchedule()
        self.end = self.base.end

    def alpha(self, t: Tensor) -> Tensor:
        return self.base.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        return -expm1(-self.base.integral(t))

    def beta(self, t: Tensor) -> Tensor:
        return self.base.beta(t)

    def diffusion(self, t: Tensor) -> Tensor:
        """g² = β (1 - α⁴)"""
        return sqrt(self.beta(t) * -expm1(self.base.integral(t) * -2))

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        """1/α - α = σ/α = 2 sinh(B/2)"""
        return self.base.time_of_integral(2 * asinh(exp(value * -0.5) / 2))


class VESchedule(NoiseSchedule):
    """α = 1, and noise of s(t) = sigma_min (sigma_max / sigma_min)^t: σ² = s(t)² - s(0)² (Song et
    al. 2021, equations 9 and 31)."""

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0, end: float = 1.0):
        if not 0 < sigma_min < sigma_max:
            raise ValueError(
                f"0 < sigma_min < sigma_max must hold; they are {sigma_min:g} and {sigma_max:g}"
            )
        self.sigma_min, self.sigma_max, self.end = sigma_min, sigma_max, end
        self.rate = math.log(sigma_max / sigma_min)
        self.prior_std = sigma_max

    def alpha(self, t: Tensor) -> Tensor:
        return 0 * t + 1

    def sigma(self, t: Tensor) -> Tensor:
        """√(s(t)² - s(0)²). Near T it is s(t), which Song et al. write everywhere in their code."""
        return sqrt(expm1(t * (2 * self.rate))) * self.sigma_min

    def beta(self, t: Tensor) -> Tensor:
        return 0 * t

    def diffusion(self, t: Tensor) -> Tensor:
        """g² = ds²/dt"""
        return exp(t * self.rate) * (self.sigma_min * math.sqrt(2 * self.rate))

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        return log1p(exp(-value) / self.sigma_min**2) / (2 * self.rate)


class FlowMatchingSchedule(NoiseSchedule):
    """The straight line x(t) = (1 - t) x(0) + t ε (Lipman et al. 2023, "Flow matching for
    generative modeling"; Liu, Gong & Liu 2023, "Flow straight and fast").

    Time runs from data to noise, as in all schedules here, so it is 1 minus theirs, and the
    velocity is ε - x(0). At t = 1 nothing is left of the data, and β and g are infinite.
    """

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return 1 * t

    def beta(self, t: Tensor) -> Tensor:
        return 2 / (1 - t)

    def diffusion(self, t: Tensor) -> Tensor:
        """g² = 2t / (1 - t)"""
        return sqrt(2 * t / (1 - t))

    def alpha_slope(self, t: Tensor) -> Tensor:
        return 0 * t - 1

    def sigma_slope(self, t: Tensor) -> Tensor:
        return 0 * t + 1

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        """t / (1 - t) = σ/α"""
        return sigmoid(value * -0.5)
