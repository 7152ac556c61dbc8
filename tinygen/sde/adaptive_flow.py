"""The probability-flow ODE by a solver that chooses its own steps, as a sampler."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..autograd.tensor import Tensor
from ..ode import odeint
from .denoiser import Denoiser
from .samplers import Noise, Sampler
from .schedules import NoiseSchedule


@dataclass(frozen=True)
class AdaptiveProbabilityFlow(Sampler):
    """dx/dt = velocity to a tolerance (Song et al. 2021, appendix D.4). The error says which steps
    that takes; of the number of steps that `sample` is told nothing is made.

    rtol, atol, method: of tinygen.ode.odeint, method being one with steps of its own.
    stop: where it ends before the last step to 0, as the velocity may be infinite there.
    """

    rtol: float = 1e-5
    atol: float = 1e-5
    method: str = "dopri5"
    stop: float = 1e-5

    def times(self, schedule: NoiseSchedule, steps: int) -> list[float]:
        return [schedule.end, self.stop, 0.0]

    def step(self, denoiser: Denoiser, x: Tensor, t: float, s: float, noise: Noise) -> Tensor:
        times = Tensor(np.array([t, s]))
        flow = lambda time, x: denoiser.velocity(x, time)
        return odeint(flow, x, times, rtol=self.rtol, atol=self.atol, method=self.method)[-1]
