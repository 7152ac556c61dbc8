"""Where along a solution an event function first crosses zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygen.autograd import Tensor, no_grad
from tinygen.autograd.functional import jvp
from tinygen.autograd.ops.reduce import amin
from tinygen.autograd.ops.shape import reshape

from .problem import Problem, Time
from .runge_kutta import Step


class Event:
    """Several conditions as one number, which is positive until the first of them changes its sign.

    function: (t, y) -> a tensor of one or more numbers. A condition that is 0 at the start, to
    within atol, as when a ball is thrown up from the ground, counts from when it is left.
    """

    def __init__(self, f: Problem, function: Callable, t0: float, direction: int):
        self.f, self.function = f, function
        with no_grad():
            before = self.conditions(t0, f.y0).array
            rates = self.rate(self.conditions, t0, f.y0).array * direction
        at_zero = np.abs(before) <= np.max(f.atol)
        self.signs = Tensor(np.where(np.where(at_zero, rates, before) < 0, -1, 1).astype(f.dtype))

    def __call__(self, t: Time, y: Tensor) -> Any:
        return amin(self.conditions(t, y) * self.signs)

    def conditions(self, t: Time, y: Tensor) -> Tensor:
        found = self.function(self.f.tensor(t), self.f.layout.unpack(y))
        if not isinstance(found, Tensor) or found.dtype.kind != "f":
            raise TypeError("event_fn must return a floating-point tensor, of one or more numbers")
        return reshape(found, (-1,))

    def rate(self, function: Callable, t: float, y: Tensor) -> Any:
        """d/dt of a function of (t, y) along the solution."""
        slope, one = self.f(t, y), Tensor(np.ones((), self.f.dtype))
        return jvp(function, (self.f.tensor(t), y), (one, slope))[1]


def first_event(
    f: Problem, steps: Iterator[Step], function: Callable, t0: float, direction: int
) -> tuple[float, Tensor]:
    """The time of the event, and the solution then: at that time held fixed, in the graph."""
    event = Event(f, function, float(t0), direction)
    for step in steps:
        with no_grad():
            crossed = not event(step.t1, step.y1).item() > 0
        if crossed:
            time = bisection(event, step)
            return time, step.at(np.array([time]))[0]
    raise AssertionError("steps towards an event have no end")


def bisection(event: Event, step: Step) -> float:
    """The time within the step up to which the event is positive, to the last bit but a few."""
    low, high = float(step.t0), float(step.t1)
    for _ in range(64):
        middle = (low + high) / 2
        y = step.at(np.array([middle]))[0]
        if event(middle, y.detach()).item() > 0:
            low = middle
        else:
            high = middle
    return high
