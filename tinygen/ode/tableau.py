"""Tableau: the numbers of an explicit Runge–Kutta method, and how more of them are computed.

One step of size h from y0 at t0 evaluates f at s stages and combines them (Butcher 1964):

    kᵢ = f(t0 + cᵢ h, y0 + h Σⱼ aᵢⱼ kⱼ)     j < i
    y1 = y0 + h Σᵢ bᵢ kᵢ

A continuous extension replaces the weights b by polynomials, which gives the solution at all times
of the step from the same stages, or with a few further ones:

    y(t0 + θ h) = y0 + h Σᵢ bᵢ(θ) kᵢ,    bᵢ(θ) = Σₚ Dᵢₚ θᵖ    0 ≤ θ ≤ 1, p = 1, 2, …

If its local error is O(h^p), as that of an extension of order p - 1, then what it interpolates is
as accurate as a method of order p, everywhere (Hairer, Nørsett & Wanner 1993, "Solving Ordinary
Differential Equations I", II.6, to which "HNW" refers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Row = tuple[float, ...]


@dataclass(frozen=True)
class Tableau:
    """An explicit method of s stages.

    order: p, for which the error at a fixed time is O(h^p).
    c [s], a (row i has i numbers), b [s]: as above; rows of a add up to c.
    error [s]: y1 minus a solution of lower order is h Σᵢ errorᵢ kᵢ; None: no error estimate.
    dense [s + further, degree]: D.
    dense_order: q, for which the local error of the extension is O(h^(q + 1)).
    further: (c, row of a) of the stages that only the extension needs.
    """

    name: str
    order: int
    c: Row
    a: tuple[Row, ...]
    b: Row
    dense: np.ndarray
    dense_order: int
    error: Row | None = None
    further: tuple[tuple[float, Row], ...] = ()

    @property
    def adaptive(self) -> bool:
        """Whether the method estimates its error, from which a controller can choose the step."""
        return self.error is not None

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is f(t1, y1), which is the first stage of the next step."""
        return self.c[-1] == 1 and self.a[-1] == self.b[:-1] and self.b[-1] == 0


# ---- Continuous extensions -----------------------------------------------------------------------


def hermite(b: Row, d: Row | None = None) -> np.ndarray:
    """D [s, 4] of the polynomial with the values and slopes of the solution at both ends of a step,
    whose last stage is f(t1, y1): the cubic of Hermite (order 3) plus θ² (1 - θ)² Σᵢ dᵢ kᵢ.
    """
    weights, bump = np.array(b), np.zeros(len(b)) if d is None else np.array(d)
    start, end = np.eye(len(b))[[0, -1]]
    cubic = [start, 3 * weights - 2 * start - end, -2 * weights + start + end, 0 * weights]
    return np.stack(cubic, 1) + np.outer(bump, [0, 1, -2, 1])


def bootstrapped(tableau: Tableau, nodes: Sequence[float]) -> Tableau:
    """The tableau with an extension of one order more, for one evaluation of f at each node.

    The extension at hand, of order q, is accurate enough that f along it has a local error of
    O(h^(q + 1)). The polynomial that has these slopes at q - 2 nodes, and the values and slopes of
    the solution at both ends, is of order q + 1 (Enright, Jackson, Nørsett & Thomsen 1986,
    "Interpolants for Runge–Kutta formulas", ACM Transactions on Mathematical Software 12).
    """
    stages, degree = len(tableau.dense), len(nodes) + 3
    powers = np.arange(1, degree + 1)
    rows = [tableau.dense @ np.power(node, powers[: tableau.dense.shape[1]]) for node in nodes]
    slopes = [powers * np.power(float(node), powers - 1) for node in (0.0, 1.0, *nodes)]
    stage = np.eye(stages + len(nodes))
    end = len(tableau.c) - 1  # the stage f(t1, y1)
    b = np.zeros(len(stage))
    b[: end + 1] = tableau.b
    wanted = [b, stage[0], stage[end], *stage[stages:]]
    return replace(
        tableau,
        dense=np.linalg.solve(np.array([powers**0, *slopes]), wanted).T,
        dense_order=tableau.dense_order + 1,
        further=(*tableau.further, *zip(nodes, map(tuple, rows))),
    )
