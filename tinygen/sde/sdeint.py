"""sdeint: solve an SDE at the times that are asked for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..autograd.ops.join import stack
from ..autograd.tensor import Tensor
from .brownian import BrownianInterval
from .drivers import Increments, adaptive_steps, fixed_steps, steps_between
from .methods import Increment, Method, State, method_of
from .problem import Problem, checked_times

Times = Tensor | Sequence[float]

EULER_ADAPTIVE = (
    "with sizes of steps that depend on the path, euler need not converge to the solution if the "
    "noise is not additive (Gaines & Lyons 1997): take milstein or srk"
)


def sdeint(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Callable | None = None,
    method: str | None = None,
    dt: float = 1e-3,
    adaptive: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-4,
    dt_min: float = 1e-5,
    names: Mapping[str, str] | None = None,
) -> Tensor:
    """Solve dY = f(t, Y) dt + g(t, Y) dW, Y(ts[0]) = y0, at the times ts [times], which rise.

    sde: an object (a Module, if it has parameters) with methods f(t, y) and g(t, y), t a 0-d
        tensor and y [batch, d], and attributes noise_type ("diagonal", "additive", "scalar",
        "general": see problem.py for the shapes) and sde_type ("ito", "stratonovich").
    y0: [batch, d]. Each row is a path of its own.
    bm: the Brownian path, a BrownianInterval; another one each time, if it is left out, which
        tg.manual_seed determines.
    method: see methods.py; default, as in torchsde: for Itô srk, but euler if the noise is general;
        for Stratonovich midpoint.
    dt: the size of the steps. An interval between two times of ts is cut into equal steps no longer
        than dt, so that ts are the ends of steps (torchsde interpolates between them).
    adaptive: choose the sizes of the steps, beginning with dt, such that the error of each, as the
        root mean square over all paths, is at most atol + rtol |y|, but none below dt_min.
    names: what the methods of `sde` are called, if not f and g: {"drift": …, "diffusion": …}.

    Returns [times, batch, d]. Gradients go through the steps to y0 and to whatever f and g compute
    with, in memory that grows with the number of steps (see sdeint_adjoint).
    Raises ValueError or TypeError for arguments that do not fit, FloatingPointError where the
    solution is not finite.
    """
    plan = Plan(Problem(sde, y0, names), ts, bm, method, dt, adaptive, rtol, atol, dt_min)
    return plan.solution()[0]


class Plan:
    """Which steps a solution takes, and with which Brownian path."""

    def __init__(
        self,
        problem: Problem,
        ts: Times,
        bm: Any,
        method: str | None,
        dt: float,
        adaptive: bool = False,
        rtol: float = 1e-5,
        atol: float = 1e-4,
        dt_min: float = 1e-5,
    ):
        self.problem, self.times = problem, checked_times(ts)
        self.method: Method = method_of(problem, method)
        self.dt, self.dt_min = positive("dt", dt), positive("dt_min", dt_min)
        self.rtol, self.atol = tolerances(rtol, atol)
        self.grid = None if adaptive else steps_between(self.times, self.dt)
        if adaptive and self.method.name == "euler" and problem.noise_type != "additive":
            warnings.warn(EULER_ADAPTIVE, stacklevel=3)
        self.increments = increments_of(self, bm)

    def solution(self) -> tuple[Tensor, State, list[float]]:
        """The solution at all times [times, batch, d], the last state, and the ends of all steps
        with the start."""
        state = self.method.start(self.problem, self.times[0], self.problem.y0)
        found, ends, outputs = [state[0]], self.times[:1], set(self.times[1:])
        for t, after in self.steps(state):
            ends.append(t)
            state = after
            if t in outputs:
                found.append(state[0])
        return stack(found), state, ends

    def steps(self, state: State) -> Iterator[tuple[float, State]]:
        if self.grid is not None:
            return fixed_steps(self.problem, self.method, self.increments, self.grid, state)
        return adaptive_steps(
            self.problem, self.method, self.increments, self.times, state,
            max(self.dt, self.dt_min), self.dt_min, self.rtol, self.atol,
        )  # fmt: skip


def increments_of(plan: Plan, bm: Any) -> Increments:
    """(t0, t1) -> Increment of the path bm, or of a new one."""
    size = plan.problem.noise_size(plan.times[0])
    dtype, needs_U = plan.problem.y0.dtype, plan.method.needs_U
    if bm is None and len(plan.times) > 1:
        area = "space-time" if needs_U else "none"
        bm = BrownianInterval(plan.times[0], plan.times[-1], size, dtype, grid=plan.grid,
                              levy_area_approximation=area)  # fmt: skip
    path: Any = check_path(plan, bm, size)

    def increments(t0: float, t1: float) -> Increment:
        found = path(t0, t1, return_U=True) if needs_U else path(t0, t1)
        parts = [part.to(dtype) for part in (found if needs_U else (found,))]
        return Increment(t0, t1, t1 - t0, *parts)

    return increments


def check_path(plan: Plan, bm: Any, size: tuple[int, int]) -> Any:
    if bm is not None and not callable(bm):
        raise TypeError(f"bm must be a BrownianInterval, not a {type(bm).__name__}")
    if not isinstance(bm, BrownianInterval):
        return bm
    if bm.size != size:
        raise ValueError(
            f"bm has the size {bm.size}; for {plan.problem.noise_type} noise and y0 of shape "
            f"{plan.problem.y0.shape} it must be [batch, components of W] = {size}"
        )
    if not bm.t0 <= plan.times[0] <= plan.times[-1] <= bm.t1:
        raise ValueError(
            f"ts go from {plan.times[0]:g} to {plan.times[-1]:g}, and bm from {bm.t0:g} to "
            f"{bm.t1:g}: make a BrownianInterval(t0={plan.times[0]:g}, t1={plan.times[-1]:g}, …)"
        )
    if plan.method.needs_U and bm.levy_area_approximation == "none":
        raise ValueError(
            f"{plan.method.name} needs the integral of W, too: make bm with "
            'levy_area_approximation="space-time"'
        )

    return bm


def tolerances(rtol: float, atol: float) -> tuple[float, float]:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not 0 <= float(value) < math.inf:
            raise ValueError(f"{name} must be finite and not negative; got {value}")
    if rtol == atol == 0:
        raise ValueError("rtol and atol are both 0, and no step is as exact as that: raise one")
    return float(rtol), float(atol)


def positive(name: str, value: Any) -> float:
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite; got {number:g}")
    return number
