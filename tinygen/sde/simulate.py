"""simulate: millions of independent paths in one compiled loop.

    def drift(t, x, a):                 # plain functions of one path's state, a small vector
        return a * (x - x**3)

    def diffusion(t, x, a):
        return 0.5

    x = tg.sde.simulate(drift, diffusion, tg.zeros(100_000, 1), (0.0, 10.0), 1000, args=(4.0,))

Both functions are called once, with numbers that are not yet known (expressions.py). That gives
one step of the method as straight-line code (traced.py, programs.py), which Numba compiles into a
loop over all steps and paths, the noise included (kernels/paths.py); and the transpose of the step,
for gradients. Functions that cannot be written as one formula, for they ask what x is, are compiled
as they stand (called.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.function import Function
from ..autograd.grad_mode import is_grad_enabled
from ..autograd.tensor import Tensor
from .brownian_steps import key_of_simulation
from .called import CalledRun
from .expressions import Untraceable, variables
from .processes import Process
from .programs import LARGEST
from .runs import Grid, TracedRun
from .traced import TracedEquation

SIMULATED = ("euler", "milstein", "srk", "midpoint", "heun")


def simulate(
    drift: Callable | Process | str,
    diffusion: Callable | None,
    x0: Tensor | np.ndarray,
    t_span: Sequence[float],
    n_steps: int,
    *,
    method: str = "euler",
    seed: int = 0,
    args: Sequence[Any] = (),
    save_every: int | None = None,
) -> Tensor:
    """Solve dX = drift(t, X, *args) dt + diffusion(t, X, *args) dW for many paths at once, each
    with a W of its own, in n_steps equal steps from t_span[0] to t_span[1].

    drift, diffusion: functions of (t, x, *args) for one path: t is a number, x a vector [dim].
        drift returns a vector [dim]; diffusion one (diagonal noise), or a number for all
        components, or a matrix [dim, noise]. Or drift is a ready process (processes.py,
        diffusion.py), or the name of its class, whose arguments are then `args`, and diffusion is
        None.
    x0: [paths, dim], float32 or float64.
    method: "euler", "milstein" (diagonal noise) and "srk" (additive noise, strong order 1.5) for
        equations in the sense of Itô; "heun" and "midpoint" for Stratonovich. See methods.py.
    seed: determines the noise. That of path i at step n depends on nothing else; for sdeint the
        same is BrownianSteps(t_span, n_steps, …, seed=seed).
    args: numbers, arrays, tensors. Integers, and what the functions take from elsewhere, are
        compiled in as constants.
    save_every: after how many steps to save a state; it divides n_steps.

    Returns the final states [paths, dim]; with save_every [n_steps / save_every + 1, paths, dim],
    of which the first is x0. Tensors among args, and x0, get gradients: pathwise, those of the
    steps, by a compiled reverse sweep that computes the states again (about three times the work)
    and keeps none of them.
    Raises ValueError or TypeError for arguments that do not fit, FloatingPointError where a path is
    not finite.
    """
    if isinstance(drift, str | Process):
        drift, diffusion, args = equation_of(drift, diffusion, args)
    plan = Plan(drift, diffusion, x0, t_span, n_steps, method, seed, args, save_every)
    tensors = [a for a in plan.args if isinstance(a, Tensor)]
    return Simulated.apply(plan, plan.x0, *tensors)  # type: ignore[return-value]


class Simulated(Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, x0: Tensor, *tensors: Tensor) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(x0, *tensors)
        return Tensor(plan.solution())

    @staticmethod
    def backward(ctx: Any, g: Tensor):
        if is_grad_enabled():
            raise NotImplementedError(
                "simulate has no gradients of gradients (create_graph=True): take sdeint, with "
                "bm=BrownianSteps(…) for the same noise"
            )
        return None, *ctx.plan.gradients(g.array)


class Plan:
    """The arguments of simulate, checked, and what is computed from them."""

    def __init__(self, drift, diffusion, x0, t_span, n_steps, method, seed, args, save_every):
        for name, function in (("drift", drift), ("diffusion", diffusion)):
            if not callable(function):
                raise TypeError(
                    f"{name} must be a function of (t, x, *args), not a {type(function).__name__}"
                )
        if method not in SIMULATED:
            raise ValueError(
                f"simulate has no method {method!r}; it has {', '.join(SIMULATED)}, and sdeint more"
            )
        self.x0, self.args = checked_start(x0), checked_args(args)
        self.grid = checked_grid(t_span, n_steps, save_every)
        self.trajectories = save_every is not None
        self.dtype, self.dim = self.x0.dtype, self.x0.shape[1]
        self.wants_gradients = is_grad_enabled() and any(
            t.requires_grad for t in (self.x0, *self.args) if isinstance(t, Tensor)
        )
        self.start = np.ascontiguousarray(self.x0.array.T)  # [dim, paths]
        self.run = self.make_run(drift, diffusion, method, key_of_simulation(seed))

    def make_run(self, drift: Callable, diffusion: Callable, method: str, key: int) -> Any:
        """By tracing; if that cannot be done, by calls of the functions as Numba compiles them."""
        symbols, values, wanted = symbols_of(self.args)
        try:
            equation = TracedEquation(drift, diffusion, self.dim, symbols)
            run = TracedRun(equation, method, values, wanted, self.dtype, key)
            if run.size <= LARGEST:
                return run
            reason = f"a step is {run.size} operations long"
        except Untraceable as untraceable:
            reason = f"they use {untraceable}"
        if self.wants_gradients:
            raise ValueError(
                f"no gradients go through this drift and diffusion, as {reason}: write them as one "
                "formula of x (np.where instead of if), or take sdeint"
            )
        return CalledRun(drift, diffusion, method, self.args, self.start, self.grid, key, reason)

    def solution(self) -> np.ndarray:
        saved = self.run.forward(self.start, self.grid)
        self.check_finite(saved[-1])
        if not self.trajectories:
            return np.ascontiguousarray(saved[-1].T)
        return np.concatenate([self.x0.array[None], saved.swapaxes(1, 2)])

    def gradients(self, g: np.ndarray) -> list[Tensor | None]:
        """Those of x0 and of the tensors among args."""
        given = g[1:].swapaxes(1, 2) if self.trajectories else g.T[None]
        found, sums = self.run.backward(self.start, np.ascontiguousarray(given), self.grid)
        of_x0 = found.T + g[0] if self.trajectories else found.T
        gradients: list[Tensor | None] = [Tensor(np.ascontiguousarray(of_x0))]
        at = 0
        for a in self.args:
            if isinstance(a, Tensor):
                size = a.array.size if a.requires_grad else 0
                part = sums[at : at + size].astype(a.dtype)
                gradients.append(Tensor(part.reshape(a.shape)) if size else None)
                at += size
        return gradients

    def check_finite(self, x: np.ndarray) -> None:
        """Whoever is not finite stays so, as a step only adds to x: looking at the end will do."""
        bad = np.flatnonzero(~np.isfinite(x).all(0))
        if not len(bad):
            return
        path, steps = int(bad[0]), self.grid.steps
        unit = path // 64
        part = self.start[:, unit * 64 : path + 1]

        def lost(n: int) -> bool:
            after = self.run.forward(part, self.grid.upto(n), unit)
            return not np.isfinite(after[-1][:, -1]).all()

        n = bisect_left(range(1, steps), True, key=lost) + 1
        raise FloatingPointError(
            f"x is nan or infinite in {len(bad)} of {x.shape[1]} paths; in path {path} since step "
            f"{n} of {steps}, from t = {self.grid.starts[n - 1]:.8g}: are drift and diffusion "
            "defined there? If the solution blows up, take more steps, or write both such that it "
            "does not"
        )


# ---- Arguments -----------------------------------------------------------------------------------


def symbols_of(args: Sequence[Any]):
    """The arguments with unknown numbers for their floats; the values of these, by name; and those
    for which there is to be a gradient."""
    symbols, values, wanted = [], {}, []
    for k, a in enumerate(args):
        array = a.array if isinstance(a, Tensor) else a
        if not isinstance(array, float | np.floating | np.ndarray) or (
            isinstance(array, np.ndarray) and array.dtype.kind != "f"
        ):
            symbols.append(array)
            continue
        symbol = variables(f"a{k}_", *np.shape(array), uniform=True)
        values |= {e.value: np.float64(v) for e, v in zip(symbol.flat, np.ravel(array))}
        symbols.append(symbol if symbol.ndim else symbol.item())
        if isinstance(a, Tensor) and a.requires_grad:
            wanted += list(symbol.flat)
    return symbols, values, wanted


def checked_args(args: Any) -> tuple[Any, ...]:
    if not isinstance(args, tuple | list):
        raise TypeError(
            f"args must be a tuple of what drift and diffusion take after (t, x), not a "
            f"{type(args).__name__}: write args=(…,)"
        )
    return tuple(args)


def checked_start(x0: Any) -> Tensor:
    if isinstance(x0, np.ndarray):
        x0 = Tensor(x0)
    if not isinstance(x0, Tensor):
        raise TypeError(f"x0 must be a tensor or array [paths, dim], not a {type(x0).__name__}")
    if x0.ndim != 2 or 0 in x0.shape:
        raise ValueError(
            f"x0 must be [paths, dim]; it has the shape {x0.shape}: reshape it, to (-1, 1) if each "
            "number is a path, or to (1, -1) if it is one path"
        )
    if x0.dtype not in (np.float32, np.float64):
        raise ValueError(f"x0 must be float32 or float64; it is {x0.dtype}: write x0.float()")
    return x0


def checked_grid(t_span: Any, n_steps: Any, save_every: Any) -> Grid:
    times = np.asarray(getattr(t_span, "array", t_span), np.float64)
    if times.shape != (2,) or not np.isfinite(times).all() or not times[0] < times[1]:
        raise ValueError(f"t_span must be two finite times, t0 < t1; got {t_span}")
    steps = whole("n_steps", n_steps)
    every = steps if save_every is None else whole("save_every", save_every)
    if steps % every:
        nearest = max(d for d in range(1, every + 1) if steps % d == 0)
        raise ValueError(
            f"save_every must divide n_steps: {every} does not divide {steps}, and {nearest} does"
        )
    return Grid(float(times[0]), float(times[1]), steps, every)


def whole(name: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number, at least 1; got {value!r}")
    return int(value)


def equation_of(process: Any, diffusion: Any, args: Sequence[Any]):
    """(drift, diffusion, args) of a ready process, or of the name of its class."""
    if diffusion is not None:
        raise ValueError("a ready process has a diffusion of its own: pass None in its place")
    if isinstance(process, str):
        known = ready()
        if process not in known:
            raise ValueError(f"there is no process {process!r}; there are {', '.join(known)}")
        process = known[process](*args)
    elif len(args):
        raise ValueError("a ready process has its arguments already: leave args out")
    return process.equation()


def ready() -> dict[str, type]:
    """The processes that have plain functions, by name."""
    from .. import sde

    public = {name: getattr(sde, name) for name in sde.__all__}
    without = (sde.DiffusionProcess, sde.ReverseProcess)
    return {name: c for name, c in public.items()
            if isinstance(c, type) and issubclass(c, Process) and c not in without}  # fmt: skip
