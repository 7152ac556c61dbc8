"""How long the first step is, and how long each next one.

The error of a step, relative to what is allowed, is the ratio r = ‖error / (atol + rtol |y|)‖; the
step is kept if r ≤ 1. For a method of order k, r is proportional to h^k. Söderlind 2003, "Digital
filters in adaptive time-stepping", ACM Transactions on Mathematical Software 29, takes the next
step from the last three ratios, as a controller of the logarithms of r that drives them to 0:

    h ← h · safety · r₀^(-β₁/k) · r₁^(-β₂/k) · r₂^(-β₃/k)
    β₁ = I + P + D,   β₂ = -(P + 2 D),   β₃ = D

where r₀ is the ratio of this step, r₁ and r₂ those of the two kept before it, and I, P, D weigh the
sum of the deviations, the deviation, and its change. I = 1, P = D = 0 is the elementary rule, which
would be right if the error behaved at the next step as at this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tinygen.autograd import Tensor, no_grad

from .problem import Problem
from .runge_kutta import Step, moved


@dataclass
class PIDController:
    """The formula above. A step that was not kept is followed by one of the elementary rule.

    order: k. safety: aims below the ratio 1, as steps that are tried in vain cost most.
    dfactor, ifactor: the least and the greatest change of the step at once.
    """

    order: float
    icoeff: float = 0.7
    pcoeff: float = 0.2
    dcoeff: float = 0.05
    safety: float = 0.9
    dfactor: float = 0.2
    ifactor: float = 10.0

    before: tuple[float, float] = field(default=(1.0, 1.0), init=False)  # r₁, r₂

    def factor(self, ratio: float, kept: bool) -> float:
        """By how much to multiply the step, after one with this error ratio."""
        if not math.isfinite(ratio):
            return self.dfactor
        ratio = max(ratio, 1e-10)
        i, p, d = self.icoeff, self.pcoeff, self.dcoeff
        if not kept:
            return float(np.clip(self.safety * ratio ** (-1 / self.order), self.dfactor, 0.9))
        r1, r2 = self.before
        self.before = (ratio, r1)
        deviation = ratio ** -(i + p + d) * r1 ** (p + 2 * d) * r2**-d
        return float(
            np.clip(self.safety * deviation ** (1 / self.order), self.dfactor, self.ifactor)
        )


def error_ratio(f: Problem, step: Step) -> float:
    """r of a step; infinite if f or the solution is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.abs(step.y0.array), np.abs(step.y1.array))
        ratio = f.norm(step.error() / (f.atol + f.rtol * size))
    is_finite = math.isfinite(ratio) and np.isfinite(step.slopes[-1].array).all()
    return ratio if is_finite else math.inf


@no_grad()
def first_step(
    f: Problem, order: int, t0: float, y0: Tensor, f0: Tensor, direction: int, limit: float
) -> float:
    """A size for the first step, for one evaluation of f: such that a step of Euler's method would
    have an error of about a hundredth of the tolerance (HNW II.4, "Starting step size").

    limit: not longer than this.
    """
    scale = f.atol + f.rtol * np.abs(y0.array)
    d0, d1 = f.norm(y0.array / scale), f.norm(f0.array / scale)
    h0 = 1e-6 if min(d0, d1) < 1e-5 else 0.01 * d0 / d1
    h0 = min(h0, limit)
    f1 = f(t0 + direction * h0, moved(y0, direction * h0, [f0], [1.0]))
    d2 = f.norm((f1.array - f0.array) / scale) / h0
    if not math.isfinite(d2):
        return h0
    steepest = max(d1, d2)
    h1 = max(1e-6, 1e-3 * h0) if steepest <= 1e-15 else (0.01 / steepest) ** (1 / order)
    return min(100 * h0, h1, limit)
