"""odeint: the solution of an initial value problem at given times, or up to an event."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np

from tinygen.autograd import Tensor, is_grad_enabled
from tinygen.autograd.dtypes import float64
from tinygen.autograd.ops.join import cat
from tinygen.autograd.ops.shape import reshape

from .controller import PIDController
from .drivers import adaptive_steps, fixed_steps
from .locate import first_event
from .problem import Problem, Statistics, Time, checked_times
from .runge_kutta import Step
from .tableau import Tableau
from .tableaux import METHODS

FIXED = {"step_size", "grid_constructor", "perturb"}
CONTROLLER = {"safety", "ifactor", "dfactor", "pcoeff", "icoeff", "dcoeff"}
ADAPTIVE = CONTROLLER | {"first_step", "min_step", "max_step", "max_num_steps", "step_t", "jump_t"}
COMMON = {"norm", "dtype"}


def odeint(
    func: Callable,
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: Callable | None = None,
    statistics: Statistics | None = None,
):
    """The solution of dy/dt = func(t, y), y(t[0]) = y0, at all times t.

    func: (t, y) -> dy/dt, in the form of y; t is a 0-d tensor of the type of y.
    y0: a tensor of any shape, or a tuple of tensors, of one floating-point type.
    t [times]: strictly increasing or decreasing. Methods that choose their steps do so regardless
        of the times between the first and the last, where the solution is interpolated as
        accurately as the method is (see tableau.py).
    rtol, atol: the error that a step may have is atol + rtol |y|, in the root mean square; numbers,
        or tensors that fit y0, or a tuple with one for each tensor of y0.
    method: "bosh3", "dopri5" (the default), "tsit5" and "dopri8", of orders 3, 5, 5 and 8, choose
        their steps; "euler", "midpoint", "heun2" and "rk4" (the 3/8 rule), of orders 1, 2, 2 and 4,
        step from each time of t to the next.
    options:
        step_size: steps of this size instead, with any method; or grid_constructor: a function
            (func, y0, t) that returns the times between which to step, from t[0] to t[-1];
            perturb: evaluate func just inside of the steps, for one that jumps at their ends.
        first_step, min_step, max_step: bounds on the steps; max_num_steps: RuntimeError after it.
        step_t, jump_t: times at which a step has to end; at jump_t, func may jump.
        safety, ifactor, dfactor, icoeff, pcoeff, dcoeff: see controller.py.
        norm: in place of the root mean square: a function of what has the form of y.
        dtype: that in which times are kept, which is always float64.
    event_fn: (t, y) -> a number, or several: see odeint_event, which also differentiates the time.
    statistics: a Statistics, to which this call adds its counts.

    Returns [times, *shape of y0], or a tuple of such. With event_fn: (time of the event, solution
    at t[0] and then), for which t has two times, the second telling the direction only.

    Gradients of any order reach y0, t, and whatever func computes with: they are those of the steps
    that were taken. Raises ValueError or TypeError for arguments that do not fit,
    FloatingPointError where func is nan, RuntimeError where the step would be too small.
    """
    norm = (options or {}).get("norm")
    f = Problem(func, y0, rtol, atol, statistics, norm)
    found = solve(f, t, method, options, event_fn)
    if event_fn is None:
        return f.layout.unpack(found)
    event_t, solution = found
    return event_t, f.layout.unpack(solution)


def solve(f: Problem, t: Tensor, method, options, event_fn: Callable | None = None) -> Any:
    """odeint for a state that is one tensor."""
    t = checked_times(t)
    times = t.to(float64)
    known = not (t.requires_grad and is_grad_enabled()) and t.tangent is None
    grid: Any = times.array if known else times
    if event_fn is None:
        return at_times(f, grid, make_steps(f, grid, method, options)) if len(t) > 1 else f.y0[None]
    if len(t) != 2:
        raise ValueError(
            f"with event_fn, t has two times: the start, and a direction; got {len(t)}"
        )
    direction = 1 if times.array[1] > times.array[0] else -1
    steps = make_steps(f, grid, method, options, endless=direction)
    event_t, y = first_event(f, steps, event_fn, times.array[0], direction)
    return Tensor(np.array(event_t, t.dtype)), cat([f.y0[None], y[None]])


def at_times(f: Problem, times: Any, steps: Iterator[Step]) -> Tensor:
    """The solution at the times [n], as [n, *shape of y0]."""
    values = np.asarray(getattr(times, "array", times))
    sign = 1 if values[1] > values[0] else -1
    pieces, done = [reshape(f.y0, (1, *f.y0.shape))], 1
    for step in steps:
        upto = int(np.searchsorted(sign * values, sign * float(step.t1), side="right"))
        if upto > done:
            pieces.append(step.at(times[done:upto]))
            done = upto
    return cat(pieces)


# ---- Options -------------------------------------------------------------------------------------


def make_steps(f: Problem, times: Any, method, options, endless: int = 0) -> Iterator[Step]:
    """The steps that a method takes from the first of the times to the last; or, if `endless`,
    onwards, in the direction +1 or -1."""
    tableau = tableau_of(method)
    given = dict(options or {})
    fixed = not tableau.adaptive or not {"step_size", "grid_constructor"}.isdisjoint(given)
    check_options(given, tableau.name, FIXED | COMMON if fixed else ADAPTIVE | COMMON, fixed)
    start, end = as_time(times[0]), as_time(times[-1])
    if fixed:
        grid = make_grid(f, times, given, endless)
        return fixed_steps(f, tableau, grid, given.get("perturb", False))
    if endless:
        end = endless * math.inf
    jumps = numbers(given.get("jump_t", ()))
    sign = 1 if float(end) > float(start) else -1
    stops = sorted({*jumps, *numbers(given.get("step_t", ()))}, reverse=sign < 0)
    weights = {name: float(given[name]) for name in CONTROLLER & given.keys()}
    controller = PIDController(tableau.order, **weights)
    size = given.get("first_step")
    return adaptive_steps(
        f, tableau, start, end, controller,
        first=None if size is None else positive("first_step", size),
        min_step=float(given.get("min_step", 0.0)),
        max_step=positive("max_step", given.get("max_step", math.inf)),
        max_num_steps=int(given.get("max_num_steps", 20_000 if endless else 2**31 - 1)),
        stops=[s for s in stops if sign * float(start) < sign * s < sign * float(end)],
        jumps=jumps,
    )  # fmt: skip


def tableau_of(method: str | None) -> Tableau:
    name = "dopri5" if method is None else method
    if name not in METHODS:
        raise ValueError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]


def check_options(given: dict, method: str, known: set[str], fixed: bool) -> None:
    if unknown := sorted(given.keys() - known):
        kind = "with steps of a given size" if fixed else "which chooses its steps,"
        raise ValueError(
            f"{method}, {kind} has no option {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    if "step_size" in given and "grid_constructor" in given:
        raise ValueError("step_size and grid_constructor exclude each other: give one of them")
    if given.get("dtype") not in (None, float64):
        raise ValueError("times are kept in float64, whatever the type of y: leave dtype out")


def make_grid(f: Problem, times: Any, given: dict, endless: int) -> Iterable[Time]:
    """The times between which steps of a given size go."""
    start, end = as_time(times[0]), as_time(times[-1])
    if endless:
        if "step_size" not in given:
            raise ValueError(
                "to find an event, a method without an error estimate needs "
                "options={'step_size': …}: t tells only where to start"
            )
        size = endless * positive("step_size", given["step_size"])
        most = 20_000
        return (start + i * size if i <= most else no_event(start + i * size) for i in count())
    if "step_size" in given:
        size = positive("step_size", given["step_size"])
        length = float(end) - float(start)
        steps = max(1, math.ceil(abs(length) / size - 1e-6))  # no crumb at the end
        return [*[start + i * math.copysign(size, length) for i in range(steps)], end]
    if "grid_constructor" in given:
        grid = given["grid_constructor"](f.func, f.layout.unpack(f.y0), Tensor(times)
                                         if isinstance(times, np.ndarray) else times)  # fmt: skip
        grid = checked_times(grid)
        if float(grid[0]) != float(start) or float(grid[-1]) != float(end):
            raise ValueError(
                f"the grid must go from t[0] = {float(start):g} to t[-1] = {float(end):g}; "
                f"grid_constructor made one from {float(grid[0]):g} to {float(grid[-1]):g}"
            )
        times = grid.to(float64) if grid.requires_grad else grid.array.astype(np.float64)
    return [as_time(time) for time in times]


def no_event(t: Time):
    raise RuntimeError(
        f"no event was found up to t = {float(t):.8g}: look at the sign of event_fn along the "
        "solution, or take larger steps"
    )


def as_time(t: Any) -> Time:
    return t if isinstance(t, Tensor) else float(t)


def numbers(times: Any) -> list[float]:
    return np.asarray(getattr(times, "array", times), np.float64).ravel().tolist()


def positive(name: str, value: Any) -> float:
    number = float(value)
    if not number > 0:
        raise ValueError(f"{name} must be positive, also where time runs down; got {number:g}")
    return number
