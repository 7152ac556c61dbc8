"""Stochastic equations with closed forms: the solution is a function of t and of the path W."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

import tinygen as tg

f64 = {"dtype": tg.float64}


@dataclass(frozen=True)
class Exact:
    """dY = f dt + g dW from y0 [d] up to `end`.

    solution(W, U): Y(end) [paths, d] for a path that is given by its increments W over equal cells
        of time from 0 to `end`, and by the integrals U of W minus its value at the start of the
        cell; both [cells, paths, m].
    mean, second: E Y(end) and E Y(end)², [d], where they are known.
    """

    name: str
    noise_type: str
    sde_type: str
    f: Callable
    g: Callable
    y0: tuple[float, ...]
    end: float
    solution: Callable[[np.ndarray, np.ndarray], np.ndarray]
    mean: np.ndarray | None = None
    second: np.ndarray | None = None

    @property
    def sde(self):
        return SimpleNamespace(
            f=self.f, g=self.g, noise_type=self.noise_type, sde_type=self.sde_type
        )

    @property
    def noise(self) -> int:
        """How many components W has."""
        if self.noise_type == "diagonal":
            return len(self.y0)
        return self.g(tg.tensor(0.0, **f64), self.start(1)).shape[-1]

    def start(self, paths: int) -> tg.Tensor:
        return tg.tensor(np.tile(self.y0, (paths, 1)), **f64)


def geometric(name: str, sde_type: str, noise_type: str, mu: float = -0.5, sigma: float = 0.8):
    """Geometric Brownian motion in two dimensions, each with a W of its own, or with the same."""
    y0, end = (1.0, 0.6), 1.0
    rate = mu - (sigma**2 / 2 if sde_type == "ito" else 0)
    mean = np.array(y0) * math.exp((rate + sigma**2 / 2) * end)
    g = {
        "diagonal": lambda t, y: sigma * y,
        "scalar": lambda t, y: sigma * y.unsqueeze(-1),
        "general": lambda t, y: sigma * tg.diag_embed(y),
    }[noise_type]
    return Exact(
        name, noise_type, sde_type, lambda t, y: mu * y, g, y0, end,
        lambda W, U: np.array(y0) * np.exp(rate * end + sigma * W.sum(0)),
        mean, mean**2 * math.exp(sigma**2 * end),
    )  # fmt: skip


def hyperbolic(sde_type: str) -> Exact:
    """dY = sqrt(1 + Y²) (dt + σ ∘dW), so that Y = sinh(t + σ W + asinh y0) by the chain rule."""
    y0, end, scale = (0.3,), 1.0, 0.7
    root = lambda y: tg.sqrt(1 + y * y)
    half = scale**2 / 2 if sde_type == "ito" else 0.0
    shift = math.asinh(y0[0]) + end
    moment = lambda k: math.exp(k * k * scale**2 * end / 2)
    return Exact(
        f"sinh {sde_type}", "diagonal", sde_type,
        lambda t, y: root(y) + half * y,
        lambda t, y: scale * root(y),
        y0, end,
        lambda W, U: np.sinh(shift + scale * W.sum(0)),
        np.array([math.sinh(shift) * moment(1)]),
        np.array([(math.cosh(2 * shift) * moment(2) - 1) / 2]),
    )  # fmt: skip


def ornstein_uhlenbeck(theta: float = 1.5, sigma: float = 0.5) -> Exact:
    """Two components, driven by three W that are mixed and whose weights grow with time:
    dY = -θ Y dt + e^{t/2} S dW. By parts ∫ e^{-a (T - s)} dW = W(T) - a ∫ e^{-a (T - s)} W ds."""
    y0, end = (1.0, -0.4), 1.0
    S = sigma * np.array([[1.0, 0.5, 0.0], [-0.3, 0.4, 0.8]])

    def solution(W, U):
        # with a = θ + 1/2, and the integral of W in each cell times the exponential in its middle
        a, h = theta + 0.5, end / len(W)
        weights = a * np.exp(-a * (end - h * (np.arange(len(W)) + 0.5)))
        starts = np.cumsum(W, 0) - W
        integral = W.sum(0) - np.tensordot(weights, h * starts + U, 1)
        return np.array(y0) * math.exp(-theta * end) + math.exp(end / 2) * integral @ S.T

    mean = np.array(y0) * math.exp(-theta * end)
    variance = (S**2).sum(1) * (math.exp(end) - math.exp(-2 * theta * end)) / (2 * theta + 1)
    matrix = tg.tensor(S, **f64)
    return Exact(
        "ornstein-uhlenbeck", "additive", "ito",
        lambda t, y: -theta * y,
        lambda t, y: tg.exp(t / 2) * matrix.expand(y.shape[0], 2, 3),
        y0, end, solution, mean, mean**2 + variance,
    )  # fmt: skip


def logistic(a: float = 1.0, sigma: float = 1.0) -> Exact:
    """dY = (a - e^Y) dt + σ dW, Y the logarithm of a population. With Z = a t + σ W it is
    Y = Z - ln(e^-y0 + ∫ e^Z ds) (Kloeden & Platen 1992, section 4.4, by the logarithm)."""
    y0, end = (0.5,), 1.0

    def solution(W, U):
        # in a cell, e^(Z - Z at its start) is 1 + a s + σ W + σ² W²/2, whose W² has the mean s
        h = end / len(W)
        starts = a * h * np.arange(len(W))[:, None, None] + sigma * (np.cumsum(W, 0) - W)
        cells = h + (a + sigma**2 / 2) * h * h / 2 + sigma * U
        total = (np.exp(starts) * cells).sum(0)
        return a * end + sigma * W.sum(0) - np.log(np.exp(-np.array(y0)) + total)

    return Exact(
        "logistic", "additive", "ito",
        lambda t, y: a - tg.exp(y),
        lambda t, y: sigma * tg.ones(*y.shape, 1, **f64),
        y0, end, solution,
    )  # fmt: skip


EXACT = [
    geometric("gbm", "ito", "diagonal"),
    geometric("gbm scalar", "ito", "scalar"),
    geometric("gbm general", "ito", "general"),
    geometric("gbm stratonovich", "stratonovich", "diagonal"),
    geometric("gbm stratonovich scalar", "stratonovich", "scalar"),
    geometric("gbm stratonovich general", "stratonovich", "general"),
    hyperbolic("ito"),
    hyperbolic("stratonovich"),
    ornstein_uhlenbeck(),
    logistic(),
]
BY_NAME = {problem.name: problem for problem in EXACT}
