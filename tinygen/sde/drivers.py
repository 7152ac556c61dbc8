"""Drivers: one step after the other, of given sizes or of those that the error allows.

They are generators of (t, state), t being the end of the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from ..autograd.tensor import Tensor
from .methods import Increment, Method, State
from .problem import Problem

Increments = Callable[[float, float], Increment]


def steps_between(times: list[float], dt: float) -> list[float]:
    """The times between which steps of a given size go: every interval between two of the output
    times is cut into equal steps, no longer than dt, so that no output is interpolated."""
    grid = times[:1]
    for t0, t1 in pairwise(times):
        steps = max(1, math.ceil((t1 - t0) / dt - 1e-6))
        grid += [t0 + n * (t1 - t0) / steps for n in range(1, steps)]
        grid.append(t1)
    return grid


def fixed_steps(
    problem: Problem, method: Method, increments: Increments, grid: list[float], state: State
) -> Iterator[tuple[float, State]]:
    for t0, t1 in pairwise(grid):
        state = method.step(problem, increments(t0, t1), state)
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
