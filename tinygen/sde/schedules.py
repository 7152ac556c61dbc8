"""Noise schedules of diffusion models: β(t), and what follows from it.

A forward process keeps α(t) x(0) of the data, where

    d ln α / dt = -β(t)/2,       α(t) = exp(-½ ∫ β ds from 0 to t)

A schedule is β and its integral; log_snr(t) = ln(α²/σ²) of the process that preserves the variance,
σ² = 1 - α² (Kingma, Salimans, Poole & Ho 2021, "Variational diffusion models"), tells how much is
left of the data at t, and each schedule can be inverted for it. All act elementwise on tensors t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..autograd.ops.activation import logsigmoid
from ..autograd.ops.elementwise import acos, cos, exp, expm1, log, sqrt, tan
from ..autograd.tensor import Tensor


class NoiseSchedule:
    """β(t), its integral B(t), and t as a function of B. end: the last time there is."""

    end: float

    def beta(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def integral(self, t: Tensor) -> Tensor:
        """B(t) = ∫ β ds from 0 to t"""
        raise NotImplementedError

    def time_of_integral(self, B: Tensor) -> Tensor:
        raise NotImplementedError

    def log_snr(self, t: Tensor) -> Tensor:
        """ln(α²/(1 - α²)) = -ln(e^B - 1)"""
        return -log(expm1(self.integral(t)))

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        """The time at which log_snr has a value: B = ln(1 + e^-value)."""
        return self.time_of_integral(-logsigmoid(value))


@dataclass(frozen=True)
class LinearSchedule(NoiseSchedule):
    """β rises from beta_min to beta_max while t goes from 0 to 1 (Ho, Jain & Abbeel 2020; in
    continuous time Song et al. 2021, equation 32)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    end: float = 1.0

    def beta(self, t: Tensor) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + (self.beta_max - self.beta_min) / 2 * t * t

    def time_of_integral(self, B: Tensor) -> Tensor:
        root = sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * B)
        return 2 * B / (self.beta_min + root)


@dataclass(frozen=True)
class CosineSchedule(NoiseSchedule):
    """α(t) = cos(π/2 (t + s)/(1 + s)) / cos(π/2 s/(1 + s)) (Nichol & Dhariwal 2021, equation 17).

    β grows without bound as t → 1; the process ends a little before, where β is 300.
    """

    s: float = 0.008
    end: float = 0.9946

    def angle(self, t: Tensor | float):
        return (t + self.s) * (math.pi / 2 / (1 + self.s))

    def beta(self, t: Tensor) -> Tensor:
        return tan(self.angle(t)) * (math.pi / (1 + self.s))

    def integral(self, t: Tensor) -> Tensor:
        return -2 * log(cos(self.angle(t)) / math.cos(self.angle(0.0)))

    def time_of_integral(self, B: Tensor) -> Tensor:
        angle = acos(exp(-B / 2) * math.cos(self.angle(0.0)))
        return angle * ((1 + self.s) * 2 / math.pi) - self.s
