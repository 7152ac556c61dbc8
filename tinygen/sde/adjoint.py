"""sdeint_adjoint: gradients in memory that does not grow with the number of steps.

Let a(t) = dL/dy(t) be the gradient of a loss with respect to the state at time t, and the equation
be in the sense of Stratonovich, which has the chain rule of calculus. Then a obeys

    da = -a ∂f/∂y dt - a ∂g/∂y ∘dW,        dL/dθ = ∫ a ∂f/∂θ dt + ∫ a ∂g/∂θ ∘dW

(Li, Wong, Chen & Duvenaud 2020, "Scalable gradients for stochastic differential equations",
theorem 3.1), which is solved backwards on the same Brownian path together with y, which is computed
again; an Itô equation is first turned into one of Stratonovich. At every time of the solution, a
jumps by the cotangent that comes in. What is found differs from the gradient of the steps by the
errors of the steps, forwards and backwards.

reversible_heun needs no second equation: each step is undone exactly, and differentiated where it
was taken (Kidger, Foster, Li & Lyons 2021, algorithm 2). What is found is the gradient of the
steps, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from ..autograd.engine import sweep
from ..autograd.function import Function
from ..autograd.grad_mode import enable_grad, is_grad_enabled
from ..autograd.tensor import Tensor
from ..nn.module import Module
from .methods import Increment, State, heun_step, midpoint_step
from .problem import Problem
from .sdeint import Plan, Times

SECOND_EQUATION = {"heun": heun_step, "midpoint": midpoint_step}


def sdeint_adjoint(
    sde: Any,
    y0: Tensor,
    ts: Times,
    bm: Callable | None = None,
    method: str | None = None,
    adjoint_method: str | None = None,
    dt: float = 1e-3,
    adaptive: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-4,
    dt_min: float = 1e-5,
    names: Mapping[str, str] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Tensor:
    """sdeint, with gradients from the way back: see the head of this file.

    sde: a Module, to whose parameters gradients flow; or any object, with adjoint_params.
    adjoint_method: "heun" (the default) or "midpoint", for the equation of a; reversible_heun has
        a way back of its own.
    adjoint_params: the tensors other than y0 that are to get gradients.

    The way back takes the steps of the way there. Everything else is as in sdeint. Gradients of
    gradients are refused: take sdeint for them.
    """
    if adjoint_params is None and not isinstance(sde, Module):
        raise ValueError(
            "sde must be a Module, whose parameters then get gradients; for another object, say "
            "which tensors get them: adjoint_params=(…), or () if there are none"
        )
    params = sde.parameters() if adjoint_params is None else adjoint_params
    params = [p for p in params if p.requires_grad]
    plan = Plan(Problem(sde, y0, names), ts, bm, method, dt, adaptive, rtol, atol, dt_min)
    reversible = plan.method.name == "reversible_heun"
    known = ("reversible_heun",) if reversible else tuple(SECOND_EQUATION)
    if adjoint_method not in (None, *known):
        raise ValueError(
            f"the adjoint of {plan.method.name} is found with {' or '.join(known)}, not with "
            f"{adjoint_method!r}"
        )
    way_back = undo if reversible else second_equation(SECOND_EQUATION[adjoint_method or known[0]])
    found: Any = Adjoint.apply(plan, way_back, plan.problem.y0, *params)
    return found


class Adjoint(Function):
    """The solution forwards; what is kept of it are the states that it returns, and the last."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, way_back: Callable, y0: Tensor, *params: Tensor):
        solution, state, grid = plan.solution()
        ctx.plan, ctx.way_back, ctx.grid, ctx.count = plan, way_back, grid, len(params)
        ctx.save_for_backward(solution, *params, *state)
        return solution

    @staticmethod
    def backward(ctx: Any, cotangents: Tensor):
        if is_grad_enabled():
            raise NotImplementedError(
                "sdeint_adjoint has no gradients of gradients (create_graph=True): take sdeint, "
                "which is differentiated through its steps"
            )
        solution, *rest = ctx.saved_tensors
        params, state = rest[: ctx.count], rest[ctx.count :]
        back = WayBack(ctx.plan, ctx.grid, params, solution, cotangents)
        return (None, None, *ctx.way_back(back, tuple(state)))


class WayBack:
    """What is known when the way back begins, and the gradients that are found on it."""

    def __init__(self, plan: Plan, grid: list[float], params, solution: Tensor, g: Tensor):
        self.problem, self.plan, self.grid, self.params = plan.problem, plan, grid, params
        self.solution, self.g, self.place = solution, g, {t: i for i, t in enumerate(plan.times)}

    def increments(self) -> Iterable[Increment]:
        """Those of all steps, the last one first."""
        for t1, t0 in pairwise(reversed(self.grid)):
            yield self.plan.increments(t0, t1)

    def zeros(self) -> list[Tensor]:
        return [zeros_like(p) for p in self.params]

    def pulled(self, outputs: State, x: Tensor, cotangents: State) -> list[Tensor]:
        """The gradients of Σ cotangent · output for x and the parameters."""
        pairs = [(y, a) for y, a in zip(outputs, cotangents) if y.requires_grad]
        wanted = [x, *self.params]
        if not pairs:
            return [zeros_like(p) for p in wanted]
        ys, bars = zip(*pairs)
        found, _ = sweep(ys, bars, False, False, wanted)
        return [zeros_like(p) if g is None else g for p, g in found]


# ---- The second equation -------------------------------------------------------------------------


def second_equation(step: Callable) -> Callable[[WayBack, State], list[Tensor]]:
    """The gradients for y0 and the parameters, by solving for (y, a, gradients) backwards."""

    def solved(back: WayBack, state: State) -> list[Tensor]:
        y, a, found = state[0], back.g[-1], back.zeros()
        for dt in back.increments():
            y, a, *found = step(slopes_back(back, dt), dt.t1, dt.t0, (y, a, *found))
            if (i := back.place.get(dt.t0)) is not None:
                y, a = back.solution[i], a + back.g[i]
        return [a, *found]

    return solved


def slopes_back(back: WayBack, dt: Increment) -> Callable[[float, State], State]:
    """The slopes of (y, a, gradients) from t1 to t0: both h and W are negative on the way."""

    def slopes(t: float, state: State) -> State:
        y, a = state[0].detach().requires_grad_(), state[1]
        with enable_grad():
            move = back.problem.stratonovich_move(t, y, dt.h, dt.W)
        return (-move.detach(), *back.pulled((move,), y, (a,)))

    return slopes


# ---- The reversible method -----------------------------------------------------------------------


def undo(back: WayBack, state: State) -> list[Tensor]:
    """The gradients for y0 and the parameters, step by step of reversible_heun (methods.py).

    One evaluation of f and g a step serves both to undo it and to differentiate it.
    """
    problem, found, a_y = back.problem, back.zeros(), back.g[-1]
    y, z, f, g = state
    a_z, a_f, a_g = (zeros_like(x) for x in (z, f, g))
    z, f, g = evaluated(problem, back.grid[-1], z)
    for dt in back.increments():
        a_f = a_f + a_y * (dt.h / 2)
        a_g = a_g + problem.cotangent_of_g(a_y / 2, dt.W)
        of_z, *more = back.pulled((f, g), z, (a_f, a_g))
        a_z, found = a_z + of_z, [s + m for s, m in zip(found, more)]
        z, f, g = z.detach(), f.detach(), g.detach()

        before = 2 * y - z - (f * dt.h + problem.product(g, dt.W))
        z, f0, g0 = evaluated(problem, dt.t0, before)
        moved = (f + f0.detach()) * (dt.h / 2) + problem.product((g + g0.detach()) / 2, dt.W)
        y, f, g = y - moved, f0, g0

        a_f = a_y * (dt.h / 2) + a_z * dt.h
        a_g = problem.cotangent_of_g(a_y / 2 + a_z, dt.W)
        a_y, a_z = a_y + 2 * a_z, -a_z
        if (i := back.place.get(dt.t0)) is not None:
            a_y = a_y + back.g[i]
    of_z, *more = back.pulled((f, g), z, (a_f, a_g))
    return [a_y + a_z + of_z, *[s + m for s, m in zip(found, more)]]


def evaluated(problem: Problem, t: float, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """z, and f and g at it, with the graph that leads to them."""
    z = z.detach().requires_grad_()
    with enable_grad():
        return z, problem.f(t, z), problem.g(t, z)


def zeros_like(x: Tensor) -> Tensor:
    return Tensor(np.zeros_like(x.array))
