"""Drivers: one step after the other, on a grid that is given, or as long as the error allows.

Both are generators of the steps that count; whoever takes them decides how far to go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from tinygen.autograd import Tensor

from .controller import PIDController, error_ratio, first_step
from .problem import Problem, Time
from .runge_kutta import Step
from .tableau import Tableau


def fixed_steps(
    f: Problem, tableau: Tableau, grid: Iterable[Time], perturb: bool = False
) -> Iterator[Step]:
    """Steps from each time of the grid to the next.

    perturb: f may jump at times of the grid; evaluate it just after the start and just before the
        end of a step.
    """
    y, slope = f.y0, None
    for t0, t1 in pairwise(grid):
        if slope is None:
            slope = f(t0, y, float(t1) if perturb else None)
        step = Step(f, tableau, t0, t1, t1 - t0, y, slope, perturb)
        if (where := step.not_finite_at()) is not None:
            raise FloatingPointError(
                f"func, or the solution, is nan or infinite at t = {where:.8g}, in the step from "
                f"{float(t0):.8g} to {float(t1):.8g}: look at func there, or take smaller steps "
                "(options={'step_size': …})"
            )
        f.statistics.steps += 1
        yield step
        y = step.y1
        slope = None if perturb or not tableau.first_same_as_last else step.slopes[-1]


def adaptive_steps(
    f: Problem,
    tableau: Tableau,
    t0: Time,
    end: Time,
    controller: PIDController,
    *,
    first: float | None = None,
    min_step: float = 0.0,
    max_step: float = math.inf,
    max_num_steps: int,
    stops: Sequence[float] = (),
    jumps: Sequence[float] = (),
) -> Iterator[Step]:
    """Steps from t0 to `end`, each as long as the tolerance allows.

    Sizes are chosen outside of the graph: gradients are those of the steps that were taken.

    first: the size of the first step; None: estimated.
    min_step: a step as small is kept whatever its error.
    stops: times at which a step must end, in order; jumps: those of them at which f jumps.
    """
    direction = 1 if float(end) > float(t0) else -1
    targets: list[Time] = [*stops, end]
    t, y = t0, f.y0
    slope = f(t, y, float(end) if float(t) in jumps else None)
    check_start(float(t), y, slope)
    limit = min(max_step, abs(float(targets[0]) - float(t)))
    size = first or first_step(f, tableau.order, float(t), y, slope, direction, limit)
    where = None  # f was not finite, in the last attempt
    for _ in range(max_num_steps):
        size = min(max(size, min_step), max_step)
        # One hundredth longer, rather than that a crumb is left over.
        reaches = abs(float(targets[0]) - float(t)) <= 1.01 * size
        t1 = targets[0] if reaches else t + direction * size
        h = t1 - t if reaches else direction * size
        if not reaches and float(t) + h / 4 == float(t):
            raise too_small(f, float(t), where)
        jump = reaches and float(t1) in jumps
        step = Step(f, tableau, t, t1, h, y, slope, jump)
        ratio = error_ratio(f, step)
        where = None if math.isfinite(ratio) else step.not_finite_at()
        kept = ratio <= 1 or (size <= min_step and where is None)
        allowed = abs(float(h)) * controller.factor(ratio, kept)
        if not kept:
            f.statistics.rejected += 1
            size = allowed
            continue
        f.statistics.steps += 1
        yield step
        if reaches and not (targets := targets[1:]):
            return
        t, y, slope = t1, step.y1, step.slopes[-1]
        if jump:
            slope = f(t, y, float(end))
        # A step that was cut short tells little about the size that is allowed.
        size = max(size, allowed) if reaches else allowed
    raise RuntimeError(
        f"max_num_steps = {max_num_steps:,} steps were tried, and only t = {float(t):.8g} of "
        f"{float(end):.8g} was reached: allow more (options={{'max_num_steps': …}}) or a larger "
        "error (rtol, atol); a stiff problem needs tiny steps from every method here"
        if math.isfinite(float(end))
        else f"no event was found in {max_num_steps:,} steps, up to t = {float(t):.8g}: look at "
        "the sign of event_fn along the solution, or allow more (options={'max_num_steps': …})"
    )


def check_start(t: float, y: Tensor, slope: Tensor) -> None:
    for what, x in (("y0", y), ("func(t, y0)", slope)):
        if not np.isfinite(x.array).all():
            raise FloatingPointError(f"{what} is nan or infinite at the initial time, t = {t:.8g}")


def too_small(f: Problem, t: float, where: float | None) -> Exception:
    if where is not None:
        return FloatingPointError(
            f"func, or the solution, is nan or infinite just after t = {where:.8g}, however small "
            "the step: is func defined there, or does the solution blow up?"
        )
    return RuntimeError(
        f"underflow of the step at t = {t:.8g}: a smaller one would not change t in float64. "
        "Either the solution is singular there, or func jumps (options={'jump_t': …} tells where), "
        f"or rtol and atol ask for more than {f.dtype} can give; options={{'min_step': …}} goes on "
        "in spite of the error"
    )
