"""The forward processes of diffusion models, their exact marginals, and the way back.

Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole 2021, "Score-based generative modeling through
stochastic differential equations". Each is of the form dx = -½ β(t) x dt + g(t) dW, so that x(t) is
normal, given x(0), with mean α(t) x(0) and standard deviation σ(t), where

    g² = dσ²/dt + β σ²

    VP      β of a schedule    σ² = 1 - α²           g² = β                      (equations 11, 29)
    sub-VP  β of a schedule    σ  = 1 - α²           g² = β (1 - α⁴)             (equations 12, 29)
    VE      β = 0              σ² = s(t)² - s(0)²    g² = ds²/dt                 (equations  9, 29)

Times are tensors: 0-d, or [batch], with a time for each row of x [batch, ...].
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..autograd.ops.elementwise import exp, expm1, log, sqrt
from ..autograd.random import Generator, randn
from ..autograd.tensor import Tensor
from .processes import Process
from .schedules import LinearSchedule, NoiseSchedule

Score = Callable[[Tensor, Tensor], Tensor]  # (x [batch, ...], t [batch]) -> ∇ log p_t(x)


class DiffusionProcess(Process):
    """A forward process, on times from 0 to T. What differs between them stands in the subclasses:
    α, σ, β, g and the distribution at T."""

    T: float = 1.0

    def beta(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def alpha(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def sigma(self, t: Tensor) -> Tensor:
        raise NotImplementedError

    def diffusion(self, t: Tensor) -> Tensor:
        """g(t)"""
        raise NotImplementedError

    prior_std: float = 1.0

    # ---- The equation forwards -------------------------------------------------------------------

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return beside(self.beta(t), x) * x * -0.5

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return beside(self.diffusion(t), x).to(x.dtype).expand(x.shape)

    def marginal_prob(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The mean, of the shape of x, and the standard deviation, which broadcasts to it, of x(t)
        given x(0) = x."""
        return beside(self.alpha(t), x) * x, beside(self.sigma(t), x)

    def log_snr(self, t: Tensor) -> Tensor:
        """ln(α²/σ²): how much is left of the data at t."""
        return 2 * log(self.alpha(t) / self.sigma(t))

    # ---- The distribution at T -------------------------------------------------------------------

    def prior_sampling(self, shape, dtype=None, generator: Generator | None = None) -> Tensor:
        """Samples of what the process has made of any data at T: N(0, prior_std²)."""
        return self.prior_std * randn(shape, dtype=dtype, generator=generator)

    def prior_log_prob(self, x: Tensor) -> Tensor:
        """The log density of that, [batch]."""
        z = x.reshape(x.shape[0], -1) / self.prior_std
        each = math.log(self.prior_std) + math.log(2 * math.pi) / 2
        return (z * z).sum(-1) * -0.5 - each * z.shape[1]

    # ---- The way back ----------------------------------------------------------------------------

    def reverse(self, score: Score) -> ReverseProcess:
        """The equation backwards in time, for sdeint on times s = T - t from 0 up (equation 6)."""
        return ReverseProcess(self, score)

    def probability_flow(self, score: Score) -> Callable[[Tensor, Tensor], Tensor]:
        """func(t, x) of the ODE that has the same marginals, for odeint, from T down for samples
        and up for densities: dx/dt = f - ½ g² ∇ log p (equation 13)."""

        def func(t: Tensor, x: Tensor) -> Tensor:
            square = beside(self.diffusion(t), x) ** 2
            return self.f(t, x) - square * score(x, for_each(t, x)) * 0.5

        return func


class VP(DiffusionProcess):
    """Variance preserving: data of variance 1 keeps it. DDPM in continuous time."""

    def __init__(self, schedule: NoiseSchedule | None = None):
        self.schedule = schedule or LinearSchedule()
        self.T = self.schedule.end

    def beta(self, t: Tensor) -> Tensor:
        return self.schedule.beta(t)

    def alpha(self, t: Tensor) -> Tensor:
        return exp(self.schedule.integral(t) * -0.5)

    def sigma(self, t: Tensor) -> Tensor:
        return sqrt(-expm1(-self.schedule.integral(t)))

    def diffusion(self, t: Tensor) -> Tensor:
        return sqrt(self.beta(t))


class SubVP(VP):
    """Sub-variance preserving: the mean of VP, and less noise on the way."""

    def sigma(self, t: Tensor) -> Tensor:
        return -expm1(-self.schedule.integral(t))

    def diffusion(self, t: Tensor) -> Tensor:
        return sqrt(self.beta(t) * -expm1(self.schedule.integral(t) * -2))


class VE(DiffusionProcess):
    """Variance exploding: data under noise of s(t) = sigma_min (sigma_max / sigma_min)^t."""

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0, T: float = 1.0):
        if not 0 < sigma_min < sigma_max:
            raise ValueError(
                f"0 < sigma_min < sigma_max must hold; they are {sigma_min:g} and {sigma_max:g}"
            )
        self.sigma_min, self.sigma_max, self.T = sigma_min, sigma_max, T
        self.rate = math.log(sigma_max / sigma_min)
        self.prior_std = sigma_max

    def beta(self, t: Tensor) -> Tensor:
        return 0 * t

    def alpha(self, t: Tensor) -> Tensor:
        return 0 * t + 1

    def sigma(self, t: Tensor) -> Tensor:
        """√(s(t)² - s(0)²). Near T it is s(t), which Song et al. write everywhere in their code."""
        return sqrt(expm1(t * (2 * self.rate))) * self.sigma_min

    def diffusion(self, t: Tensor) -> Tensor:
        return exp(t * self.rate) * (self.sigma_min * math.sqrt(2 * self.rate))


class ReverseProcess(Process):
    """dx = (-f + g² ∇ log p) ds + g dW, at s = T - t: noise becomes data while s rises."""

    def __init__(self, forward: DiffusionProcess, score: Score):
        self.forward, self.score = forward, score

    def f(self, s: Tensor, x: Tensor) -> Tensor:
        t = self.forward.T - s
        square = beside(self.forward.diffusion(t), x) ** 2
        return square * self.score(x, for_each(t, x)) - self.forward.f(t, x)

    def g(self, s: Tensor, x: Tensor) -> Tensor:
        return self.forward.g(self.forward.T - s, x)


def beside(t: Tensor, x: Tensor) -> Tensor:
    """Numbers, one for all or one a row [batch], in a shape that broadcasts to x [batch, ...]."""
    return t.reshape(-1, *(1,) * (x.ndim - 1)) if t.ndim else t


def for_each(t: Tensor, x: Tensor) -> Tensor:
    """The time as a network takes it: [batch]."""
    return t.to(x.dtype).expand(x.shape[:1])
