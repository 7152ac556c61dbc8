"""Initial value problems with closed forms, and the rooted trees that count order conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

import tinygen as tg


@dataclass(frozen=True)
class Exact:
    """dy/dt = f(t, y), y(0) = solution(0), up to `end`; solution(t [n]) is [n, *shape of y]."""

    name: str
    f: Callable
    solution: Callable[[np.ndarray], np.ndarray]
    end: float

    def y0(self, dtype=tg.float64, at: float = 0.0) -> tg.Tensor:
        return tg.tensor(self.solution(np.array([at]))[0], dtype=dtype)


def kepler(t: np.ndarray, eccentricity: float = 0.3) -> np.ndarray:
    """Position and velocity on the ellipse with semi-axis 1, from its nearest point on, by Newton's
    method for Kepler's equation t = E - e sin E."""
    anomaly = np.array(t, float)
    for _ in range(50):
        anomaly -= (anomaly - eccentricity * np.sin(anomaly) - t) / (
            1 - eccentricity * np.cos(anomaly)
        )
    minor, r = math.sqrt(1 - eccentricity**2), 1 - eccentricity * np.cos(anomaly)
    position = np.cos(anomaly) - eccentricity, minor * np.sin(anomaly)
    return np.stack([*position, -np.sin(anomaly) / r, minor * np.cos(anomaly) / r], -1)


def attraction(t, y):
    position, velocity = y[:2], y[2:]
    return tg.cat([velocity, -position / (position * position).sum() ** 1.5])


EXACT = [
    Exact("decay", lambda t, y: -y, lambda t: np.exp(-t)[:, None] * [1.0, -2.0], 2.0),
    Exact(
        "oscillator",
        lambda t, y: tg.stack([y[1], -4 * y[0]]),
        lambda t: np.stack([np.cos(2 * t), -2 * np.sin(2 * t)], -1),
        2.0,
    ),
    Exact("logistic", lambda t, y: y * (1 - y), lambda t: 1 / (1 + 9 * np.exp(-t))[:, None], 4.0),
    # depends on t, too
    Exact("bell", lambda t, y: -2 * t * y * y, lambda t: 1 / (1 + t * t)[:, None], 2.0),
    Exact(
        "pulse",
        lambda t, y: 3 * tg.cos(3 * t) * y,
        lambda t: np.exp(np.sin(3 * t))[:, None],
        6.0,
    ),
    Exact("kepler", attraction, kepler, 3.0),
]
BY_NAME = {problem.name: problem for problem in EXACT}


def prey_and_predators(t, y):
    """Lotka–Volterra."""
    x, z = y[0], y[1]
    return tg.stack([1.5 * x - x * z, x * z - 3 * z])


def lotka_volterra_invariant(y: np.ndarray) -> np.ndarray:
    """What stays constant along the solutions [..., 2] of prey_and_predators."""
    x, z = y[..., 0], y[..., 1]
    return x - 3 * np.log(x) + z - 1.5 * np.log(z)


# ---- Rooted trees --------------------------------------------------------------------------------
# A method is of order p if Σ bᵢ Φᵢ(τ) = 1/γ(τ) for all rooted trees τ of up to p nodes (Butcher;
# HNW theorem II.2.13). A tree is the sorted tuple of the subtrees at its root.


def trees(nodes: int) -> list[tuple]:
    """All rooted trees with so many nodes: 1, 1, 2, 4, 9, 20, 48, 115, …"""
    if nodes == 1:
        return [()]
    found = {
        tuple(sorted(subtrees))
        for sizes in partitions(nodes - 1, nodes - 1)
        for subtrees in product(*[trees(size) for size in sizes])
    }
    return sorted(found)


def partitions(n: int, largest: int):
    if n == 0:
        yield ()
    for first in range(min(n, largest), 0, -1):
        yield from ((first, *rest) for rest in partitions(n - first, first))


def size(tree: tuple) -> int:
    return 1 + sum(map(size, tree))


def density(tree: tuple) -> int:
    """γ"""
    return size(tree) * math.prod(map(density, tree))


def stage_weights(tree: tuple, a: np.ndarray) -> np.ndarray:
    """Φ, for the matrix a [s, s]"""
    found = np.ones(len(a))
    for subtree in tree:
        found = found * (a @ stage_weights(subtree, a))
    return found
