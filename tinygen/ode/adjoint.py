"""odeint_adjoint: gradients from a second equation, solved backwards, in constant memory.

Let a(t) = dL/dy(t) be the gradient of a loss with respect to the state at time t. It obeys the
adjoint equation (Pontryagin 1962; Chen, Rubanova, Bettencourt & Duvenaud 2018, "Neural ordinary
differential equations", algorithm 1)

    da/dt = -a ∂f/∂y,        dL/dθ = -∫ a ∂f/∂θ dt  from the last time down to the first

and is solved together with y itself, which is computed again: nothing of the way there was kept.
At every time t_i of the solution, a jumps by the cotangent g_i that comes in. Times get gradients
dL/dt_i = g_i f(t_i, y_i), the first one dL/dt_0 = -a f: shifting the start by dt amounts to
shifting y0 by -f dt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygen.autograd import Function, Tensor, enable_grad, is_grad_enabled
from tinygen.autograd.engine import sweep
from tinygen.autograd.ops.join import cat, stack
from tinygen.autograd.ops.shape import reshape
from tinygen.autograd.tensor import clock
from tinygen.nn.module import Module

from .odeint import solve
from .problem import Problem, Statistics, root_mean_square


def odeint_adjoint(
    func: Callable,
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: Callable | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    statistics: Statistics | None = None,
    adjoint_statistics: Statistics | None = None,
):
    """odeint, with gradients from the adjoint equation: in memory that does not grow with the
    number of steps, for a second solution backwards, and exact only to the tolerances.

    func: a Module, to whose parameters gradients flow; or any function, with adjoint_params.
    adjoint_params: the tensors other than y0 and t that are to get gradients.
    adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options: those of the solution backwards;
        left out, they are those of the solution forwards (but its norm).
        adjoint_options["norm"]: "seminorm" leaves the parameters' gradients, which feed back on
        nothing, out of the error, and so saves steps (Kidger, Chen & Lyons 2021, "Hey, that's not
        an ODE"); or a function of the tuple (y, a, *gradients of parameters), y and a as vectors.
    statistics, adjoint_statistics: as in odeint, for either solution.

    Everything else is as in odeint. Gradients of gradients work too, by backpropagation through the
    solution backwards (then memory does grow with its steps).
    """
    if adjoint_params is None and not isinstance(func, Module):
        raise ValueError(
            "func must be a Module, whose parameters then get gradients; for another function, say "
            "which tensors get them: adjoint_params=(…), or () if there are none"
        )
    params = func.parameters() if adjoint_params is None else adjoint_params
    params = [p for p in params if p.requires_grad]
    if adjoint_method not in (None, method) and options and adjoint_options is None:
        raise ValueError(
            "options are for one method and adjoint_method is another: give adjoint_options, too"
        )
    if adjoint_options is None:
        adjoint_options = {k: v for k, v in (options or {}).items() if k != "norm"}
    f = Problem(func, y0, rtol, atol, statistics, (options or {}).get("norm"))
    backwards = Backwards(
        f,
        params,
        f.rtol if adjoint_rtol is None else adjoint_rtol,
        f.atol if adjoint_atol is None else adjoint_atol,
        adjoint_method or method,
        dict(adjoint_options),
        adjoint_statistics,
    )
    solution_of = lambda: solve(f, t, method, options, event_fn)
    event_t, solution = Adjoint.apply(backwards, solution_of, f.y0, t, *params)
    solution = f.layout.unpack(solution)
    return solution if event_fn is None else (event_t, solution)


class Adjoint(Function):
    """The solution forwards; what is kept of it are the states that it returns."""

    @staticmethod
    def forward(ctx: Any, backwards: Backwards, solution_of: Callable, y0, t, *params):
        found = solution_of()
        event_t, solution = found if isinstance(found, tuple) else (None, found)
        ctx.backwards, ctx.event_t = backwards, event_t
        ctx.save_for_backward(t, solution)
        return event_t, solution

    @staticmethod
    def backward(ctx: Any, *cotangents):
        t, solution = ctx.saved_tensors
        end = ctx.event_t
        times = t if end is None else cat([t[:1], reshape(end, (1,))])
        wants_t = ctx.needs_input_grad[3]
        gradients = ctx.backwards(times, solution, cotangents[1], wants_t)
        if wants_t and end is not None:  # which is not t[1]
            gradients[1] = cat([gradients[1][:1], 0 * gradients[1][1:]])
        return (None, None, *gradients)


class Backwards:
    """The adjoint equation of a problem, and its solution. See the head of this file."""

    def __init__(self, f: Problem, params: list[Tensor], rtol, atol, method, options, statistics):
        self.f, self.params, self.method, self.statistics = f, params, method, statistics
        self.rtol, self.atol = self.for_all(rtol), self.for_all(atol)
        norm = options.pop("norm", None)
        if isinstance(norm, str) and norm != "seminorm":
            raise ValueError(f'adjoint_options["norm"] is a function, or "seminorm", not {norm!r}')
        self.norm = norm if callable(norm) else None
        self.seminorm = norm == "seminorm"
        self.options = options

    def for_all(self, tolerance: Any) -> Any:
        """A tolerance for (y, a, *gradients), from one for y."""
        if isinstance(tolerance, np.ndarray):
            flat = tolerance.ravel()
            return (flat, flat, *[float(flat.min())] * len(self.params))
        return tolerance

    def __call__(self, t: Tensor, solution: Tensor, g: Tensor, wants_t: bool) -> list:
        """The gradients for y0, t and the parameters; g are the cotangents of the solution."""
        f, shape = self.f, self.f.y0.shape
        a = g[-1]
        gradients = [Tensor(np.zeros_like(p.array)) for p in self.params]
        for_times = []
        for i in range(len(t) - 1, 0, -1):
            y = solution[i]
            if wants_t:
                for_times.append((g[i] * f(t[i], y)).sum())
            state = (reshape(y, (-1,)), reshape(a, (-1,)), *gradients)
            between = stack([t[i], t[i - 1]])
            before = Problem(self.slopes, state, self.rtol, self.atol, self.statistics)
            before.norm = self.norm_of(before)
            found = before.layout.unpack(solve(before, between, self.method, self.options)[-1])
            _, a, *gradients = found
            a = reshape(a, shape)
            if i > 1:
                a = a + g[i - 1]
        if not wants_t:
            return [a + g[0] if len(t) > 1 else a, None, *gradients]
        start = -(a * f(t[0], solution[0])).sum() if len(t) > 1 else 0 * t[0]
        for_t = stack([x.to(t.dtype) for x in (start, *reversed(for_times))])
        return [a + g[0] if len(t) > 1 else a, for_t, *gradients]

    def slopes(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """d/dt of (y, a, *gradients of the parameters)."""
        y, a, *_ = state
        again = is_grad_enabled()  # with create_graph: these slopes are differentiated in turn
        y = reshape(y if again and y.requires_grad else y.detach(), self.f.y0.shape)
        if not y.requires_grad:
            y = y.detach().requires_grad_()
        since = clock()  # what y was computed from is not its derivative's business
        with enable_grad():
            slope = self.f(t, y)
        wanted = [y, *self.params]
        found = [None] * len(wanted)
        if slope.requires_grad:
            cotangent = reshape(-a, slope.shape)
            found = [g for _, g in sweep((slope,), (cotangent,), again, again, wanted, since)[0]]
        found = [Tensor(np.zeros_like(x.array)) if g is None else g for x, g in zip(wanted, found)]
        slope = slope if again else slope.detach()
        return (reshape(slope, (-1,)), reshape(found[0], (-1,)), *found[1:])

    def norm_of(self, before: Problem) -> Callable[[np.ndarray], float]:
        """How large an error of (y, a, *gradients) is: the norm of the part where it is largest."""
        if self.norm is not None:
            return before.own_norm(self.norm)
        places = np.cumsum(before.layout.sizes)[:-1]
        shape = self.f.y0.shape

        def norm(error: np.ndarray) -> float:
            y, a, *rest = np.split(error, places)
            sizes = [self.f.norm(y.reshape(shape)), self.f.norm(a.reshape(shape))]
            return max(sizes + ([] if self.seminorm else [root_mean_square(x) for x in rest]))

        return norm
