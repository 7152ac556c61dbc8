"""One step of an explicit Runge–Kutta method, and the solution at all times within it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.elementwise import add
from tinygen.autograd.ops.join import cat, stack
from tinygen.autograd.ops.shape import reshape
from tinygen.autograd.primitive import primitive

from .problem import Problem, Time
from .tableau import Tableau


@primitive
def weighted_sum(*xs, weights):
    """Σᵢ weightsᵢ xᵢ, for arrays of one shape and one type; weights are numbers"""
    out = np.multiply(xs[0], weights[0])
    term = np.empty_like(out)
    for x, w in zip(xs[1:], weights[1:]):
        out += np.multiply(x, w, out=term)
    return out


weighted_sum.vjp(xs=lambda g, position, weights: g * weights[position])


def moved(y0: Tensor, h: Time, slopes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """y0 + h Σᵢ weightsᵢ slopesᵢ"""
    ks, ws = zip(*[(k, w) for k, w in zip(slopes, weights) if w != 0])
    if isinstance(h, Tensor):
        return y0 + h.to(y0.dtype) * weighted_sum(*ks, weights=ws)
    return weighted_sum(y0, *ks, weights=(1.0, *[h * w for w in ws]))


class Step:
    """A step from (t0, y0) to (t1, y1), of an adaptive or a fixed size h = t1 - t0.

    f0: f(t0, y0). jumps: f may jump at t1, so that its last stage is evaluated just before it.
    Times may run down: h is then negative.
    """

    def __init__(self, f: Problem, tableau: Tableau, t0: Time, t1: Time, h: Time, y0: Tensor,
                 f0: Tensor, jumps: bool = False):  # fmt: skip
        self.f, self.tableau = f, tableau
        self.t0, self.t1, self.h, self.y0 = t0, t1, h, y0
        self.slopes = [f0]
        self.y1 = self.advance(jumps)

    @np.errstate(over="ignore", invalid="ignore")  # drivers look for what is not finite
    def advance(self, jumps: bool) -> Tensor:
        tableau, y = self.tableau, self.y0
        for c, row in zip(tableau.c[1:], tableau.a[1:]):
            y = moved(self.y0, self.h, self.slopes, row)
            time = self.t1 if c == 1 else self.t0 + c * self.h
            self.slopes.append(self.f(time, y, float(self.t0) if jumps and c == 1 else None))
        if tableau.first_same_as_last:
            return y
        return moved(self.y0, self.h, self.slopes, tableau.b)

    def error(self) -> np.ndarray:
        """The estimated error of y1, in absolute value and outside of the graph."""
        assert self.tableau.error is not None
        pairs = [(k.array, e) for k, e in zip(self.slopes, self.tableau.error) if e != 0]
        arrays, weights = zip(*pairs)
        return np.abs(float(self.h) * weighted_sum.forward(*arrays, weights=weights))

    def not_finite_at(self) -> float | None:
        """The first time at which f was nan or infinite, or at which the solution became so."""
        for c, k in zip(self.tableau.c, self.slopes):
            if not np.isfinite(k.array).all():
                return float(self.t0) + c * float(self.h)
        return None if np.isfinite(self.y1.array).all() else float(self.t1)

    # ---- Dense output ----------------------------------------------------------------------------

    @cached_property
    def all_slopes(self) -> Tensor:
        """The stages, and those that only the continuous extension needs, [stages, elements]."""
        slopes = list(self.slopes)
        for c, row in self.tableau.further:
            y = moved(self.y0, self.h, slopes, row)
            slopes.append(self.f(self.t0 + c * self.h, y))
        return reshape(stack(slopes), (len(slopes), -1))

    def at(self, times: np.ndarray | Tensor) -> Tensor:
        """The solution at some times [m] of the step, as [m, *shape of y0]. See tableau.py."""
        # At the end it is y1; but if times are in the graph, only theta knows of them all.
        if isinstance(times, Tensor) or times[-1] != float(self.t1):
            return self.within(times)
        end = reshape(self.y1, (1, *self.y1.shape))
        return end if len(times) == 1 else cat([self.within(times[:-1]), end])

    def within(self, times: np.ndarray | Tensor) -> Tensor:
        theta = (times - self.t0) / self.h
        theta = theta if isinstance(theta, Tensor) else Tensor(np.asarray(theta))
        dense = self.tableau.dense
        powers = reshape(theta, (-1, 1)) ** Tensor(np.arange(1.0, dense.shape[1] + 1))
        weights = (powers @ Tensor(dense.T.astype(np.float64))).to(self.y0.dtype)
        h = self.h.to(self.y0.dtype) if isinstance(self.h, Tensor) else self.h
        change = reshape(weights @ self.all_slopes, (-1, *self.y0.shape))
        return add(self.y0, h * change)
