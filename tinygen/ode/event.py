"""odeint_event: solve until something happens, and differentiate when it happens.

At an event g(t, y(t)) = 0. By the implicit function theorem its time moves with any parameter p as
dt/dp = -(∂g/∂y dy/dp) / (dg/dt) (Chen, Amos & Nickel 2021, "Learning neural event functions for
ordinary differential equations", section 3.2). The same is had without a formula for the gradient
from steps of Newton's method, taken in the graph, at the time that was found:

    δ ← δ - g(t + δ, y(t + δ)) / (dg/dt)

They change no value, for g is 0; but each makes the derivatives of δ right to one order more. The
solution at t + δ is that of one step of size δ = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygen.autograd import Tensor, is_grad_enabled
from tinygen.autograd.dtypes import float64
from tinygen.autograd.ops.join import cat, stack
from tinygen.autograd.ops.shape import reshape

from .locate import Event
from .odeint import odeint
from .problem import Problem
from .runge_kutta import Step
from .tableaux import METHODS

ORDERS = 2  # of derivatives that are right


def odeint_event(
    func: Callable,
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable,
    reverse_time: bool = False,
    odeint_interface: Callable = odeint,
    **kwargs: Any,
):
    """(event_t, solution): when event_fn(t, y) first crosses zero after t0, and [2, *shape of y0],
    the state at t0 and then.

    event_fn: returns a tensor of one or more numbers; the event is that any of them changes sign.
        One that is 0 at t0 (to within atol) is waited for to come back to 0. A function that
        crosses zero twice within one step is missed: options={"max_step": …} helps.
    reverse_time: go back from t0.
    odeint_interface: odeint or odeint_adjoint; further arguments are for it. Methods without an
        error estimate need options={"step_size": …}.

    First and second derivatives of both, with respect to y0, t0 and whatever func and event_fn
    compute with, are right; with odeint_adjoint, its restrictions hold. RuntimeError if no event is
    found in 20,000 steps (options={"max_num_steps": …}), or if event_fn touches zero without
    crossing it, so that the time has no derivative.
    """
    start = reshape(t0, (1,))
    direction = -1 if reverse_time else 1
    times = cat([start, start.detach() + direction])
    event_t, solution = odeint_interface(func, y0, times, event_fn=event_fn, **kwargs)
    parts = solution if isinstance(solution, tuple) else (solution,)
    if not is_grad_enabled():
        return event_t, solution

    atol = kwargs.get("atol", 1e-9)
    event = Event(Problem(func, y0, 0.0, atol), event_fn, start.array.item(), direction)
    f = event.f
    y = f.layout.pack(tuple(p[-1] for p in parts) if f.layout.is_tuple else solution[-1])
    delta, moved = newton(event, float(event_t), y)
    ends = f.layout.unpack(moved)
    ends = ends if isinstance(ends, tuple) else (ends,)
    parts = tuple(stack([p[0], end]) for p, end in zip(parts, ends))
    return (event_t + delta).to(event_t.dtype), parts if f.layout.is_tuple else parts[0]


def newton(event: Event, t: float, y: Tensor) -> tuple[Tensor, Tensor]:
    """(δ, y(t + δ)), see above."""
    rate = event.rate(event, t, y.detach()).item()
    if rate == 0:
        raise RuntimeError(
            f"event_fn touches zero at t = {t:.8g} without crossing it: the time of such an event "
            "has no derivative; under no_grad() it can be found all the same"
        )
    delta, slope = Tensor(np.zeros((), float64)), event.f(t, y)
    moved = y
    for _ in range(ORDERS):
        delta = delta - event(t + delta, moved).to(float64) / rate
        moved = Step(event.f, METHODS["rk4"], t, t + delta, delta, y, slope).y1
    return delta, moved
