"""Drivers: one step after the other, of given sizes or of those that the error allows.

Both are generators of (t, state), t being the end of the step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.tensor import Tensor
from ..ode.controller import PIDController
from ..ode.problem import root_mean_square
from .methods import Increment, Method, State
from .problem import Problem

Increments = Callable[[float, float], Increment]

GRAIN = 2.0**-30  # adaptive steps end on multiples of this share of the whole time
TOO_SMALL = (
    "the step at t = {:.8g} is as small as dt_min = {:.3g} allows, and its error larger than rtol "
    "and atol allow: allow smaller steps, or more error"
)


def steps_between(times: list[float], dt: float) -> list[float]:
    """The times between which steps of a given size go: every interval between two of the output
    times is cut into equal steps, no longer than dt, so that no output is interpolated."""
    grid = times[:1]
    for t0, t1 in pairwise(times):
        steps = max(1, math.ceil((t1 - t0) / dt - 1e-6))
        grid += [t0 + n * (t1 - t0) / steps for n in range(1, steps)]
        grid.append(t1)
    return grid


@np.errstate(over="ignore", invalid="ignore")  # drivers look for what is not finite
def advance(method: Method, problem: Problem, dt: Increment, state: State) -> State:
    return method.step(problem, dt, state)


def fixed_steps(
    problem: Problem, method: Method, increments: Increments, grid: list[float], state: State
) -> Iterator[tuple[float, State]]:
    for t0, t1 in pairwise(grid):
        state = advance(method, problem, increments(t0, t1), state)
        if not np.isfinite(state[0].array).all():
            raise not_finite(t0, t1, state[0])
        yield t1, state


def not_finite(t0: float, t1: float, y: Tensor) -> FloatingPointError:
    path = int(np.argwhere(~np.isfinite(y.array))[0][0])
    return FloatingPointError(
        f"y is nan or infinite after the step from t = {t0:.8g} to {t1:.8g}, first in path {path}: "
        "are f and g defined there? If the solution blows up, take smaller steps (dt), or write f "
        "and g such that it does not"
    )


def adaptive_steps(
    problem: Problem,
    method: Method,
    increments: Increments,
    times: list[float],
    state: State,
    size: float,
    smallest: float,
    rtol: float,
    atol: float,
) -> Iterator[tuple[float, State]]:
    """Each step is taken twice: at once, and in two halves, on the same Brownian path. How far the
    ends lie apart is the error, and the halves are kept if it is small enough.

    Sizes are chosen outside of the graph: gradients are those of the steps that were taken.

    times: the first is the start; at the others a step has to end.
    size: of the first step. smallest: a step as small is kept whatever its error.
    """
    # The local error is half an order higher than the strong order.
    controller = PIDController(method.order + 0.5, icoeff=0.7, pcoeff=0.3, dcoeff=0.0, ifactor=2.0)
    t, resolution = times[0], (times[-1] - times[0]) * GRAIN
    for end in times[1:]:
        while t < end:
            t1 = next_time(t, end, size, times[0], resolution)
            middle, h = (t + t1) / 2, t1 - t
            with no_grad():
                whole = advance(method, problem, increments(t, t1), state)
            half = advance(method, problem, increments(t, middle), state)
            after = advance(method, problem, increments(middle, t1), half)
            ratio = error_ratio(state[0], whole[0], after[0], rtol, atol)
            least = h <= 1.01 * max(smallest, resolution)
            if least and not math.isfinite(ratio):
                raise not_finite(t, t1, after[0])
            if ratio > 1 and least:
                warnings.warn(TOO_SMALL.format(t, smallest), stacklevel=2)
            kept = ratio <= 1 or least
            allowed = max(smallest, h * controller.factor(ratio, kept))
            if kept:
                yield middle, half
                yield t1, after
                # A step that was cut short tells little about the size that is allowed.
                size = max(size, allowed) if t1 == end else allowed
                t, state = t1, after
            else:
                size = allowed


def next_time(t: float, end: float, size: float, start: float, resolution: float) -> float:
    """The end of the step: on a grid in which the Brownian path is found in few cuts, and at `end`
    if that is near (or a crumb would be left over)."""
    if end - t <= 1.01 * size:
        return end
    place = math.floor((t + size - start) / resolution)
    on_grid = start + place * resolution
    return min(on_grid if on_grid > t else t + resolution, end)


def error_ratio(y0: Tensor, whole: Tensor, halves: Tensor, rtol: float, atol: float) -> float:
    """The error relative to what is allowed, as the root mean square over all paths and components;
    infinite if it is not a number."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.abs(y0.array), np.abs(halves.array))
        ratio = root_mean_square((whole.array - halves.array) / (atol + rtol * size))
    return ratio if math.isfinite(ratio) else math.inf
