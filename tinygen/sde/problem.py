"""Problem: drift and diffusion of an SDE, checked, and what methods compute from them.

    dY = f(t, Y) dt + g(t, Y) dW        (Itô), or ∘dW (Stratonovich)

The state y is [batch, d]. What g returns, and how many components W has, depends on the noise:

    diagonal   g [batch, d]         W [batch, d]    g_i depends on y_i alone, i = 1 … d
    scalar     g [batch, d, 1]      W [batch, 1]
    additive   g [batch, d, m]      W [batch, m]    g does not depend on y
    general    g [batch, d, m]      W [batch, m]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..autograd.engine import sweep
from ..autograd.grad_mode import enable_grad, is_grad_enabled
from ..autograd.tensor import Tensor, clock

NOISE_TYPES = ("diagonal", "additive", "scalar", "general")
SDE_TYPES = ("ito", "stratonovich")
ATTRIBUTES = {"drift": "f", "diffusion": "g"}


class Problem:
    """The SDE as solvers take it. names: those of the methods of `sde` that are drift and
    diffusion, if they are not f and g: {"drift": …, "diffusion": …}."""

    def __init__(self, sde: Any, y0: Any, names: Mapping[str, str] | None = None):
        self.sde, self.y0 = sde, checked_state(y0)
        self.noise_type = one_of(sde, "noise_type", NOISE_TYPES)
        self.sde_type = one_of(sde, "sde_type", SDE_TYPES)
        if unknown := sorted(set(names or {}) - set(ATTRIBUTES)):
            raise ValueError(f"names has the keys {', '.join(ATTRIBUTES)}, and no {unknown[0]!r}")
        chosen = {**ATTRIBUTES, **(names or {})}
        self.drift = function_of(sde, "drift", chosen["drift"])
        self.diffusion = function_of(sde, "diffusion", chosen["diffusion"])
        self.noise: int | None = None  # how many components W has, as soon as g was called

    # ---- Drift and diffusion ---------------------------------------------------------------------

    def f(self, t: float, y: Tensor) -> Tensor:
        """The drift, [batch, d]."""
        return self.checked("f", self.drift(self.time(t), y), y.shape)

    def g(self, t: float, y: Tensor) -> Tensor:
        """The diffusion, of the shape that the type of the noise has."""
        found = self.diffusion(self.time(t), y)
        shape: tuple = y.shape
        if self.noise_type != "diagonal":
            scalar = self.noise_type == "scalar"
            shape = (*shape, 1 if scalar else self.noise or "m")
            if self.noise is None and not scalar and getattr(found, "ndim", 0) == 3:
                shape = (*y.shape, found.shape[-1])
        found = self.checked("g", found, shape)
        self.noise = found.shape[-1]
        return found

    def time(self, t: float) -> Tensor:
        return Tensor(np.array(t, self.y0.dtype))

    def checked(self, name: str, found: Any, shape: tuple) -> Tensor:
        if not isinstance(found, Tensor):
            raise TypeError(f"{name} must return a tensor; it returned a {type(found).__name__}")
        if found.shape != shape:
            wanted = f"({', '.join(map(str, shape))})"
            raise ValueError(
                f"{name} returned the shape {found.shape}; for {self.noise_type} noise and y of "
                f"shape {self.y0.shape} it must be {wanted}"
            )
        if found.dtype != self.y0.dtype:
            raise TypeError(
                f"{name} returned {found.dtype} for y of {self.y0.dtype}: make both the same, by "
                f"y0.to(tg.{found.dtype}) or by .to(tg.{self.y0.dtype}) in {name}"
            )
        return found

    def noise_size(self, t0: float) -> tuple[int, int]:
        """[batch, components of W]; calls g for it, if its shape must tell."""
        batch, dim = self.y0.shape
        if self.noise_type in ("diagonal", "scalar"):
            return batch, dim if self.noise_type == "diagonal" else 1
        return batch, self.noise or self.g(t0, self.y0).shape[-1]

    # ---- Products --------------------------------------------------------------------------------

    def product(self, g: Tensor, v: Tensor) -> Tensor:
        """g v, [batch, d], for v [batch, components of W]."""
        return g * v if self.noise_type == "diagonal" else (g @ v.unsqueeze(-1)).squeeze(-1)

    def cotangent_of_g(self, a: Tensor, v: Tensor) -> Tensor:
        """That of g, if product(g, v) has the cotangent a."""
        return a * v if self.noise_type == "diagonal" else a.unsqueeze(-1) * v.unsqueeze(1)

    def move(self, t: float, y: Tensor, h: float, W: Tensor) -> Tensor:
        """f h + g W."""
        return self.f(t, y) * h + self.product(self.g(t, y), W)

    def derivative(self, t: float, y: Tensor, j: int = 0) -> tuple[Tensor, Tensor]:
        """g, and (∂g_j/∂y) g_j, [batch, d], for column j of g; for diagonal noise ∂g_i/∂y_i g_i in
        every component i."""
        again = is_grad_enabled()  # then what is found is differentiated in turn
        if not (again and y.requires_grad):
            y = y.detach().requires_grad_()
        since = clock()  # what y was computed from is not the business of g's derivative
        with enable_grad():
            g = self.g(t, y)
        found = pushed(g, y, j, since) if self.noise_type != "diagonal" else (
            pulled(g, y, g, again, since))  # fmt: skip
        if found is None:
            found = Tensor(np.zeros_like(y.array))
        return (g, found) if again else (g.detach(), found.detach())

    def correction(self, t: float, y: Tensor) -> Tensor | None:
        """Σ_j (∂g_j/∂y) g_j, [batch, d]: half of it, taken from the drift in the sense of Itô,
        gives the drift in that of Stratonovich. None: nothing."""
        if self.noise_type == "additive":
            return None
        _, total = self.derivative(t, y)
        for j in range(1, self.noise_size(t)[1] if self.noise_type == "general" else 1):
            total = total + self.derivative(t, y, j)[1]
        return total

    def stratonovich_move(self, t: float, y: Tensor, h: float, W: Tensor) -> Tensor:
        """f h + g W, with the drift f of the equation in the sense of Stratonovich."""
        moved = self.move(t, y, h, W)
        if self.sde_type == "stratonovich" or (total := self.correction(t, y)) is None:
            return moved
        return moved - total * (h / 2)


# ---- Derivatives ---------------------------------------------------------------------------------


def pulled(g: Tensor, y: Tensor, cotangent: Tensor, again: bool, since: int) -> Tensor | None:
    """The cotangent of y: with a diagonal Jacobian and the cotangent g it is g_i ∂g_i/∂y_i."""
    if not g.requires_grad:
        return None
    return sweep((g,), (cotangent,), again, again, [y], since)[0][0][1]


def pushed(g: Tensor, y: Tensor, j: int, since: int) -> Tensor | None:
    """(∂g_j/∂y) g_j: u -> u ∂g/∂y is linear, and its transpose, applied to g_j, is wanted."""
    u = Tensor(np.zeros_like(g.array)).requires_grad_()
    back = pulled(g, y, u, True, since)
    if back is None or not back.requires_grad:
        return None
    moved = pulled(back, u, g[:, :, j], True, since)
    return None if moved is None else moved[:, :, j]


# ---- Checks --------------------------------------------------------------------------------------


def checked_state(y0: Any) -> Tensor:
    if not isinstance(y0, Tensor):
        raise TypeError(f"y0 must be a tensor [batch, d], not a {type(y0).__name__}")
    if y0.ndim != 2 or y0.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"y0 must be [batch, d], of float32 or float64; it has the shape {y0.shape} and is "
            f"{y0.dtype}: reshape it (flatten(1), or unsqueeze(0) for a single path)"
        )
    return y0


def one_of(sde: Any, name: str, known: tuple[str, ...]) -> str:
    found = getattr(sde, name, None)
    if found not in known:
        came = "it has none" if found is None else f"it is {found!r}"
        raise ValueError(
            f"an SDE needs the attribute {name}, which is one of {', '.join(known)}; of this "
            f"{type(sde).__name__} {came}"
        )
    return found


def function_of(sde: Any, what: str, name: str) -> Callable:
    found = getattr(sde, name, None)
    if not callable(found):
        raise TypeError(
            f"an SDE needs a method {name}(t, y), its {what}, and this {type(sde).__name__} has "
            f"none; if it is called otherwise, write names={{{what!r}: …}}"
        )
    return found


def checked_times(ts: Any) -> list[float]:
    """ts as numbers, if they rise strictly."""
    if getattr(ts, "requires_grad", False):
        raise ValueError("there is no gradient for ts, as W is nowhere differentiable: ts.detach()")
    times = np.asarray(getattr(ts, "array", ts), np.float64)
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ValueError(f"ts must be a list [times] of finite times; got {ts}")
    wrong = np.flatnonzero(np.diff(times) <= 0)
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(
            f"ts must be strictly increasing; ts[{at}], ts[{at + 1}] = {times[at : at + 2]}"
        )
    return times.tolist()
