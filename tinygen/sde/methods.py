"""Methods: one step of each, from y at t0 to t1, given the Brownian increments over it.

    name             sense          noise                            strong order
    euler            Itô            any                              0.5; 1 if additive
    milstein         both           diagonal, scalar, additive       1
    srk              Itô            diagonal, scalar, additive       1.5
    midpoint, heun   Stratonovich   any                              1 if the noise commutes, or 0.5
    reversible_heun  Stratonovich   any                              0.5; 1 if additive

Noise commutes if (∂g_i/∂y) g_j = (∂g_j/∂y) g_i for all columns: diagonal, scalar and additive noise
does. Where the noise is additive, both senses agree and every method serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..autograd.tensor import Tensor
from .problem import Problem
from .stochastic_runge_kutta import srk

State = tuple[Tensor, ...]  # y, and what else a method carries from step to step


@dataclass(frozen=True)
class Increment:
    """The time from t0 to t1 = t0 + h, and what W does in it: its increment W, and the integral U
    of W - W(t0); both [batch, components]."""

    t0: float
    t1: float
    h: float
    W: Tensor
    U: Tensor | None = None


@dataclass(frozen=True)
class Method:
    """step(problem, increment, state) -> state. start(problem, t, y) -> state: (y,), if None.

    order: the strong order where the method is at its best, from which the size of steps is chosen.
    needs_U: whether the increment has to have U.
    """

    name: str
    step: Callable[[Problem, Increment, State], State]
    sde_types: tuple[str, ...]
    noise_types: tuple[str, ...]
    order: float
    start: Callable[[Problem, float, Tensor], State] = lambda problem, t, y: (y,)
    needs_U: bool = False

    def serves(self, sde_type: str, noise_type: str) -> bool:
        same = sde_type in self.sde_types or noise_type == "additive"
        return same and noise_type in self.noise_types


# ---- Itô -----------------------------------------------------------------------------------------


def euler(problem: Problem, dt: Increment, state: State) -> State:
    """Maruyama 1955: y + f h + g W."""
    (y,) = state
    return (y + problem.move(dt.t0, y, dt.h, dt.W),)


def milstein(problem: Problem, dt: Increment, state: State) -> State:
    """Milstein 1974: y + f h + g W + ½ g g' (W² - h), and with W² alone for Stratonovich."""
    (y,) = state
    if problem.noise_type == "additive":
        return euler(problem, dt, state)
    g, derivative = problem.derivative(dt.t0, y)
    squared = dt.W * dt.W
    if problem.sde_type == "ito":
        squared = squared - dt.h
    moved = problem.f(dt.t0, y) * dt.h + problem.product(g, dt.W)
    return (y + moved + derivative * (squared / 2),)


# ---- Stratonovich --------------------------------------------------------------------------------
# Both are methods for dy/ds = f h + g W, 0 ≤ s ≤ 1, where W is drawn as a straight line (Wong and
# Zakai 1965). They are written for any such slope of a tuple of tensors, as the adjoint needs them.

Slopes = Callable[[float, State], State]


def moved(state: State, slopes: State, factor: float) -> State:
    return tuple(x + k * factor for x, k in zip(state, slopes))


def midpoint_step(slopes: Slopes, t0: float, t1: float, state: State) -> State:
    half = moved(state, slopes(t0, state), 0.5)
    return moved(state, slopes((t0 + t1) / 2, half), 1.0)


def heun_step(slopes: Slopes, t0: float, t1: float, state: State) -> State:
    before = slopes(t0, state)
    after = slopes(t1, moved(state, before, 1.0))
    return moved(moved(state, before, 0.5), after, 0.5)


def midpoint(problem: Problem, dt: Increment, state: State) -> State:
    return midpoint_step(slopes_of(problem, dt), dt.t0, dt.t1, state)


def heun(problem: Problem, dt: Increment, state: State) -> State:
    return heun_step(slopes_of(problem, dt), dt.t0, dt.t1, state)


def slopes_of(problem: Problem, dt: Increment) -> Slopes:
    return lambda t, state: (problem.move(t, state[0], dt.h, dt.W),)


def reversible_start(problem: Problem, t: float, y: Tensor) -> State:
    return y, y, problem.f(t, y), problem.g(t, y)


def reversible_heun(problem: Problem, dt: Increment, state: State) -> State:
    """Kidger, Foster, Li & Lyons 2021, "Efficient and accurate gradients for neural SDEs",
    algorithm 1. It carries (y, z, f, g), f and g at z, and can be undone exactly."""
    y, z, f, g = state
    z1 = 2 * y - z + (f * dt.h + problem.product(g, dt.W))
    f1, g1 = problem.f(dt.t1, z1), problem.g(dt.t1, z1)
    y1 = y + ((f + f1) * (dt.h / 2) + problem.product((g + g1) / 2, dt.W))
    return y1, z1, f1, g1


# ---- All of them ---------------------------------------------------------------------------------

ANY = ("diagonal", "additive", "scalar", "general")
COMMUTATIVE = ANY[:3]
BOTH = ("ito", "stratonovich")

METHODS = {
    method.name: method
    for method in (
        Method("euler", euler, ("ito",), ANY, 0.5),
        Method("milstein", milstein, BOTH, COMMUTATIVE, 1.0),
        Method("srk", srk, ("ito",), COMMUTATIVE, 1.5, needs_U=True),
        Method("midpoint", midpoint, ("stratonovich",), ANY, 1.0),
        Method("heun", heun, ("stratonovich",), ANY, 1.0),
        Method("reversible_heun", reversible_heun, ("stratonovich",), ANY, 1.0, reversible_start),
    )
}


def method_of(problem: Problem, name: str | None) -> Method:
    """The method of a name, if it integrates this equation; by default torchsde's choice."""
    sde_type, noise_type = problem.sde_type, problem.noise_type
    if name is None:
        if sde_type == "ito":
            name = "euler" if noise_type == "general" else "srk"
        else:
            name = "midpoint"
    if name not in METHODS:
        raise ValueError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    method = METHODS[name]
    if not method.serves(sde_type, noise_type):
        able = [m.name for m in METHODS.values() if m.serves(sde_type, noise_type)]
        raise ValueError(
            f"{name} is for the noise types {', '.join(method.noise_types)} in the sense of "
            f"{' and '.join(method.sde_types)}, and cannot integrate {noise_type} noise in that of "
            f"{sde_type}; what can: {', '.join(able)}"
        )
    return method
