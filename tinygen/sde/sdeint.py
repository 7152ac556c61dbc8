"""sdeint: solve an SDE at the times that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..autograd.ops.join import stack
from ..autograd.tensor import Tensor
from .brownian import BrownianInterval
from .drivers import Increments, fixed_steps, steps_between
from .methods import Increment, Method, State, method_of
from .problem import Problem, checked_times

Times = Tensor | Sequence[float]


def sdeint(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Callable | None = None,
    method: str | None = None,
    dt: float = 1e-3,
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
    names: what the methods of `sde` are called, if not f and g: {"drift": …, "diffusion": …}.

    Returns [times, batch, d]. Gradients go through the steps to y0 and to whatever f and g compute
    with, in memory that grows with the number of steps (see sdeint_adjoint).
    Raises ValueError or TypeError for arguments that do not fit, FloatingPointError where the
    solution is not finite.
    """
    problem = Problem(sde, y0, names)
    plan = Plan(problem, ts, bm, method, dt)
    state = plan.start()
    found, outputs = [state[0]], set(plan.times[1:])
    for t, (y, *_) in plan.steps(state):
        if t in outputs:
            found.append(y)
    return stack(found)


class Plan:
    """Which steps a solution takes, and with which Brownian path."""

    def __init__(self, problem: Problem, ts: Times, bm: Any, method: str | None, dt: float):
        self.problem, self.times = problem, checked_times(ts)
        self.method: Method = method_of(problem, method)
        self.dt = positive("dt", dt)
        self.grid = steps_between(self.times, self.dt)
        self.increments = increments_of(self, bm)

    def start(self) -> State:
        return self.method.start(self.problem, self.times[0], self.problem.y0)

    def steps(self, state: State) -> Iterator[tuple[float, State]]:
        return fixed_steps(self.problem, self.method, self.increments, self.grid, state)


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


def positive(name: str, value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"{name} must be positive and finite; got {number:g}")
    return number
