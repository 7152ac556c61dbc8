"""Schedules at times that are numbers, not tensors, as samplers ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from .schedules import NoiseSchedule


def at(t: float) -> Tensor:
    """A time as schedules want it."""
    return Tensor(np.array(t, np.float64))


class AtNumbers(NoiseSchedule):
    """A schedule at times that are numbers, as numbers: a step takes dozens of operations on them,
    and on tensors each would cost a call of an op. No value is computed twice."""

    def __init__(self, schedule: NoiseSchedule):
        self.schedule, self.known = schedule, {}

    def value(self, name: str, t: Any) -> Any:
        key = name, float(t)
        if key not in self.known:
            self.known[key] = np.float64(float(getattr(self.schedule, name)(at(key[1]))))
        return self.known[key]

    def alpha(self, t: Any) -> Any:
        return self.value("alpha", t)

    def sigma(self, t: Any) -> Any:
        return self.value("sigma", t)

    def alpha_slope(self, t: Any) -> Any:
        return self.value("alpha_slope", t)

    def sigma_slope(self, t: Any) -> Any:
        return self.value("sigma_slope", t)

    def diffusion(self, t: Any) -> Any:
        return self.value("diffusion", t)

    def log_snr(self, t: Any) -> Any:
        return self.value("log_snr", t)
