"""TracedEquation: drift and diffusion, plain functions of (t, x, *args), and one step of a method,
as expressions of the state and the noise of one path.

The step is that of methods.py: the lines that compute with tensors there compute with expressions
here, so that both solve the same equation in the same way.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .expressions import (
    Expression,
    Expressions,
    Untraceable,
    applied,
    cotangents,
    expression,
    in_order,
    variables,
)
from .methods import METHODS, Increment
from .programs import Program


class TracedEquation:
    """What methods.py asks of a Problem, for expressions; and the programs that come of it.

    args: as the functions get them, unknown numbers among them.
    """

    def __init__(self, drift: Callable, diffusion: Callable, dim: int, args: Sequence[Any]):
        self.drift, self.diffusion = traceable(drift), traceable(diffusion)
        self.args, self.dim = args, dim
        self.t, self.h = (variables(name, 1, uniform=True)[0] for name in "th")
        self.x = variables("x", dim)
        g = self.g(self.t, self.x)
        self.noise: int = g.shape[-1]
        of_x = {id(x) for x in self.x}
        self.additive = not any(id(e) in of_x for e in in_order(g.flat))
        self.noise_type = "diagonal" if g.ndim == 1 else "scalar" if self.noise == 1 else "general"

    # ---- As methods want it ----------------------------------------------------------------------

    def f(self, t: Any, y: Expressions) -> Expressions:
        return as_drift(self.drift(t, y.copy(), *self.args), self.dim)

    def g(self, t: Any, y: Expressions) -> Expressions:
        return as_diffusion(self.diffusion(t, y.copy(), *self.args), self.dim)

    def product(self, g: Expressions, v: Expressions) -> Any:
        return g * v if g.ndim == 1 else g @ v

    def move(self, t: Any, y: Expressions, h: Any, W: Expressions) -> Any:
        return self.f(t, y) * h + self.product(self.g(t, y), W)

    def derivative(self, t: Any, y: Expressions) -> tuple[Expressions, Expressions]:
        """g, and what Milstein's method multiplies by (W² - h)/2: see Problem.derivative."""
        g = self.g(t, y)
        column = g if g.ndim == 1 else g[:, 0]
        slopes = np.stack([cotangents([c], [1.0], y) for c in column])  # [dim, dim]
        if g.ndim == 1 and any(not is_zero(s) for s in slopes[~np.eye(self.dim, dtype=bool)]):
            raise ValueError(
                "milstein is for diagonal noise, where diffusion[i] depends on x[i] alone; this "
                'diffusion depends on other components, too: take method="euler"'
            )
        return g, (slopes @ column).view(Expressions)

    # ---- Programs --------------------------------------------------------------------------------

    def step(self, name: str) -> Expressions:
        """The state after one step, of the variables x, z (normals), t, h and those in args."""
        method = METHODS[name]
        self.sde_type = "ito" if "ito" in method.sde_types else "stratonovich"
        if self.additive:
            self.noise_type = "additive"
        if name == "srk" and not self.additive:
            raise ValueError(
                "srk is for additive noise in simulate, and this diffusion depends on x: take "
                "milstein (diagonal noise) or euler, or sdeint"
            )
        if not method.serves(self.sde_type, self.noise_type):
            raise ValueError(
                f"{name} cannot integrate {self.noise_type} noise, a diffusion [dim, noise] that "
                "depends on x: take euler (Itô) or heun (Stratonovich)"
            )
        rows = self.noise * (1 + method.needs_U)
        z = variables("z", rows)
        W: Any = applied("sqrt", self.h) * z[: self.noise]
        U: Any = None
        if method.needs_U:  # the integral of W, from the second normals: see brownian.py
            U = self.h * (W / 2 + applied("sqrt", self.h / 12) * z[self.noise :])
        self.rows = rows
        state: Any = (self.x,)
        problem: Any = self
        return method.step(problem, Increment(self.t, self.t + self.h, self.h, W, U), state)[0]  # type: ignore

    def programs(self, name: str, wanted: Sequence[Expression]) -> tuple[Program, Program]:
        """One step; and its transpose, with gradients for the numbers among args that are wanted:
        from the cotangents g of the step's result to those of x, and sums p for the numbers."""
        after = self.step(name)
        g, p = variables("g", self.dim), variables("p", len(wanted))
        found = cotangents(after, g, [*self.x, *wanted])
        back: dict[str, Any] = {f"g{i}": e for i, e in enumerate(found[: self.dim])}
        for j, e in enumerate(found[self.dim :]):
            if not is_zero(e):
                back[f"p{j}"] = p[j] + e
        return Program("advance", {f"x{i}": e for i, e in enumerate(after)}), Program("pull", back)


def is_zero(e: Any) -> bool:
    e = expression(e)
    return e.operation == "number" and e.value == 0


def traceable(function: Callable) -> Callable:
    """The function with NumPy in the place of math, and plain functions in that of Numba's."""
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, types.FunctionType):
        return plain
    used = {name: plain.__globals__.get(name) for name in plain.__code__.co_names}
    names = {name: MATH for name, value in used.items() if value is math}
    names |= {name: v.py_func for name, v in used.items() if hasattr(v, "py_func")}  # type: ignore
    twin = types.FunctionType(plain.__code__, {**plain.__globals__, **names}, plain.__name__,
                              plain.__defaults__, plain.__closure__)  # fmt: skip
    twin.__kwdefaults__ = plain.__kwdefaults__
    return twin


class Math:
    """The functions of the module math, by NumPy, which can be told what to make of expressions."""

    def __getattr__(self, name: str) -> Any:
        if not hasattr(np, name):
            raise Untraceable(f"math.{name}")
        return getattr(np, name)


MATH = Math()


# ---- What drift and diffusion return -------------------------------------------------------------


def as_drift(found: Any, dim: int) -> Any:
    """An array [dim]."""
    shape = np.shape(found) if not isinstance(found, Expression) else ()
    check_drift(shape, dim)
    return elements(found).reshape(dim)


def as_diffusion(found: Any, dim: int) -> Any:
    """An array [dim], or [dim, noise]."""
    shape = np.shape(found) if not isinstance(found, Expression) else ()
    check_diffusion(shape, dim)
    array = elements(found)
    return np.repeat(array.reshape(1), dim).view(Expressions) if shape == () else array


def elements(found: Any) -> Any:
    array = np.array(found, object)
    for i, e in enumerate(array.flat):
        array.flat[i] = expression(e)
    return array.view(Expressions)


def check_drift(shape: tuple[int, ...], dim: int) -> None:
    if shape != (dim,) and not (dim == 1 and shape == ()):
        raise ValueError(
            f"drift must return a vector of {dim} numbers, as x is one: it returned one of shape "
            f"{shape}"
        )


def check_diffusion(shape: tuple[int, ...], dim: int) -> None:
    if shape not in ((), (dim,)) and not (len(shape) == 2 and shape[0] == dim and shape[1] > 0):
        raise ValueError(
            f"diffusion must return {dim} numbers (diagonal noise), one number for all components, "
            f"or a matrix [{dim}, noise]: it returned one of shape {shape}"
        )
