"""The forward processes of diffusion models, their exact marginals, and the way back.

Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole 2021, "Score-based generative modeling through
stochastic differential equations". Each is of the form dx = -½ β(t) x dt + g(t) dW, so that x(t) is
normal, given x(0), with mean α(t) x(0) and standard deviation σ(t): those of a noise schedule, of
which there is one for each (see schedules.py).

Times are tensors: 0-d, or [batch], with a time for each row of x [batch, ...].
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..autograd.random import Generator, randn
from ..autograd.tensor import Tensor
from .expressions import of_time
from .processes import Equation, Process
from .schedules import LinearSchedule, NoiseSchedule, SubVPSchedule, VESchedule, VPSchedule

Score = Callable[[Tensor, Tensor], Tensor]  # (x [batch, ...], t [batch]) -> ∇ log p_t(x)


class DiffusionProcess(Process):
    """The forward process of a schedule, on times from 0 to T."""

    def __init__(self, schedule: NoiseSchedule):
        self.schedule = schedule
        self.T, self.prior_std = schedule.end, schedule.prior_std
        # What is asked of the process most is what its schedule says.
        self.alpha, self.sigma, self.beta = schedule.alpha, schedule.sigma, schedule.beta
        self.diffusion, self.log_snr = schedule.diffusion, schedule.log_snr

    # ---- The equation forwards -------------------------------------------------------------------

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return beside(self.beta(t), x) * x * -0.5

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return beside(self.diffusion(t), x).to(x.dtype).expand(x.shape)

    def equation(self) -> Equation:
        beta, diffusion = (
            of_time(lambda t, part=part: part(Tensor(t)).array)
            for part in (self.beta, self.diffusion)
        )
        return lambda t, x: -0.5 * beta(t) * x, lambda t, x: diffusion(t), ()

    def marginal_prob(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The mean, of the shape of x, and the standard deviation, which broadcasts to it, of x(t)
        given x(0) = x."""
        return beside(self.alpha(t), x) * x, beside(self.sigma(t), x)

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
    """Variance preserving: data of variance 1 keeps it. DDPM in continuous time (equations 11 and
    29)."""

    def __init__(self, schedule: VPSchedule | None = None):
        super().__init__(schedule or LinearSchedule())


class SubVP(DiffusionProcess):
    """Sub-variance preserving: the mean of VP, and less noise on the way (equations 12 and 29)."""

    def __init__(self, schedule: VPSchedule | None = None):
        super().__init__(SubVPSchedule(schedule))


class VE(DiffusionProcess):
    """Variance exploding: data under noise of s(t) = sigma_min (sigma_max / sigma_min)^t (equations
    9 and 29)."""

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0, T: float = 1.0):
        super().__init__(VESchedule(sigma_min, sigma_max, T))


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

    def equation(self) -> Equation:
        raise TypeError(
            "simulate takes plain functions, and the score of a reverse process is one of tensors: "
            "take sdeint"
        )


def beside(t: Tensor, x: Tensor) -> Tensor:
    """Numbers, one for all or one a row [batch], in a shape that broadcasts to x [batch, ...]."""
    return t.to(x.dtype).reshape(-1, *(1,) * (x.ndim - 1)) if t.ndim else t


def for_each(t: Tensor, x: Tensor) -> Tensor:
    """The time as a network takes it: [batch]."""
    return t.to(x.dtype).expand(x.shape[:1])
