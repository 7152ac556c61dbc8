"""Processes that are ready for sdeint, with their exact distributions where they have closed forms.

All act on [batch, d] and have one W a component (diagonal noise). marginal_prob(x0, t) gives the
mean and the standard deviation of X(t), given X(0) = x0, both of the shape of x0; t is a number or
a tensor that broadcasts to x0. Parameters are numbers or tensors; tensors may get gradients.

equation() gives drift and diffusion as plain functions of (t, x, *args), and args: what `simulate`
takes. Where they are formulas that serve tensors as well, f and g are made of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.engine import sweep
from ..autograd.grad_mode import enable_grad, is_grad_enabled
from ..autograd.ops.elementwise import exp, sqrt
from ..autograd.ops.join import cat
from ..autograd.tensor import Tensor, clock
from .expressions import Expressions, cotangents

Number = float | Tensor


Equation = tuple[Callable, Callable, tuple]


class Process:
    """What they have in common: their noise, and f and g for those that have plain functions."""

    noise_type, sde_type = "diagonal", "ito"

    def equation(self) -> Equation:
        raise NotImplementedError(f"simulate cannot take a {type(self).__name__}: take sdeint")

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        drift, _, args = self.equation()
        return filled(x, drift(t, x, *args))

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        _, diffusion, args = self.equation()
        return filled(x, diffusion(t, x, *args))


class BrownianMotion(Process):
    """dX = μ dt + σ dW"""

    def __init__(self, mu: Number = 0.0, sigma: Number = 1.0):
        self.mu, self.sigma = mu, sigma

    def equation(self) -> Equation:
        return lambda t, x, mu, _: mu + 0 * x, lambda t, x, _, sigma: sigma, (self.mu, self.sigma)

    def marginal_prob(self, x0: Tensor, t: Number) -> tuple[Tensor, Tensor]:
        t = as_tensor(x0, t)
        return x0 + self.mu * t, filled(x0, self.sigma * sqrt(t))


class BrownianBridge(Process):
    """dX = (end - X) / (T - t) dt + σ dW, which is `end` at the time T: a Brownian motion on the
    condition that it ends there. It is solved up to T; its drift is evaluated before T alone, so
    with methods that evaluate it at the end of a step (heun, srk), solve up to a little before."""

    def __init__(self, end: Number = 0.0, T: float = 1.0, sigma: Number = 1.0):
        self.end, self.T, self.sigma = end, T, sigma

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        if t.item() >= self.T:
            raise ValueError(
                f"the drift of a bridge that ends at T = {self.T:g} is defined before T alone, and "
                f'was asked for at t = {t.item():g}: use method="euler", or end a little before T'
            )
        return super().f(t, x)

    def equation(self) -> Equation:
        return (
            lambda t, x, end, T, _: (end - x) / (T - t), lambda t, x, end, T, sigma: sigma,
            (self.end, self.T, self.sigma),
        )  # fmt: skip

    def marginal_prob(self, x0: Tensor, t: Number) -> tuple[Tensor, Tensor]:
        t = as_tensor(x0, t)
        mean = x0 + (self.end - x0) * (t / self.T)
        return mean, filled(x0, self.sigma * sqrt(t * (self.T - t) / self.T))


class OrnsteinUhlenbeck(Process):
    """dX = θ (μ - X) dt + σ dW, with the stationary distribution N(μ, σ²/2θ)."""

    def __init__(self, theta: Number = 1.0, mu: Number = 0.0, sigma: Number = 1.0):
        self.theta, self.mu, self.sigma = theta, mu, sigma

    def equation(self) -> Equation:
        return (
            lambda t, x, theta, mu, _: theta * (mu - x), lambda t, x, theta, mu, sigma: sigma,
            (self.theta, self.mu, self.sigma),
        )  # fmt: skip

    def marginal_prob(self, x0: Tensor, t: Number) -> tuple[Tensor, Tensor]:
        decay = exp(-self.theta * as_tensor(x0, t))
        std = self.sigma * sqrt((1 - decay * decay) / (2 * self.theta))
        return self.mu + (x0 - self.mu) * decay, filled(x0, std)


class GeometricBrownianMotion(Process):
    """dX = μ X dt + σ X dW; X(t) = x0 exp((μ - σ²/2) t + σ W(t))."""

    def __init__(self, mu: Number = 0.0, sigma: Number = 1.0):
        self.mu, self.sigma = mu, sigma

    def equation(self) -> Equation:
        return (
            lambda t, x, mu, _: mu * x, lambda t, x, _, sigma: sigma * x, (self.mu, self.sigma)
        )  # fmt: skip

    def solution(self, x0: Tensor, t: Number, W: Tensor) -> Tensor:
        """X(t) on the path whose value at t is W."""
        t = as_tensor(x0, t)
        return x0 * exp((self.mu - self.sigma**2 / 2) * t + self.sigma * W)

    def marginal_prob(self, x0: Tensor, t: Number) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation; log X is normal, and X is not."""
        t = as_tensor(x0, t)
        mean = x0 * exp(self.mu * t)
        return mean, abs(mean) * sqrt(exp(self.sigma**2 * t) - 1)


class OverdampedLangevin(Process):
    """γ dX = -∇E(X) dt + √(2 γ T) dW, with the stationary density exp(-E/T) / Z.

    energy: E, [batch, d] -> [batch]. temperature: T, in units of energy. friction: γ.
    """

    def __init__(self, energy: Callable, temperature: float = 1.0, friction: float = 1.0):
        self.energy, self.temperature, self.friction = energy, temperature, friction

    def f(self, t: Tensor, x: Tensor) -> Tensor:
        return force(self.energy, x) / self.friction

    def g(self, t: Tensor, x: Tensor) -> Tensor:
        return filled(x, math.sqrt(2 * self.temperature / self.friction))

    def equation(self) -> Equation:
        """The energy is then a formula of an array [1, d]: of operators and NumPy's functions."""
        return (
            lambda t, x, T, friction: plain_force(self.energy, x) / friction,
            lambda t, x, T, friction: np.sqrt(2 * T / friction),
            (float(self.temperature), float(self.friction)),
        )


class UnderdampedLangevin(Process):
    """dX = V dt,  m dV = (-∇E(X) - γ V) dt + √(2 γ T) dW, with the stationary density
    exp(-(E(x) + m v²/2) / T) / Z. The state is [batch, 2 d]: X, and V after it.

    energy: E, [batch, d] -> [batch]. temperature: T, in units of energy. friction: γ. mass: m.
    """

    def __init__(
        self, energy: Callable, temperature: float = 1.0, friction: float = 1.0, mass: float = 1.0
    ):
        self.energy, self.temperature = energy, temperature
        self.friction, self.mass = friction, mass

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        x, v = position_and_velocity(y)
        return cat([v, (force(self.energy, x) - self.friction * v) / self.mass], -1)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        x, v = position_and_velocity(y)
        std = math.sqrt(2 * self.friction * self.temperature) / self.mass
        return cat([filled(x, 0.0), filled(v, std)], -1)

    def equation(self) -> Equation:
        """See OverdampedLangevin."""

        def drift(t, y, T, friction, mass):
            x, v = (part[0] for part in position_and_velocity(y[None]))
            return np.concatenate([v, (plain_force(self.energy, x) - friction * v) / mass])

        def diffusion(t, y, T, friction, mass):
            return np.array([np.sqrt(2 * friction * T) / mass * (2 * i >= len(y))
                             for i in range(len(y))])  # fmt: skip

        return drift, diffusion, (float(self.temperature), float(self.friction), float(self.mass))


# ---- Small helpers -------------------------------------------------------------------------------


def force(energy: Callable, x: Tensor) -> Tensor:
    """-∇E(x) [batch, d]; in the graph, if gradients are recorded."""
    again = is_grad_enabled()
    x = x if again and x.requires_grad else x.detach().requires_grad_()
    since = clock()  # what x was computed from is not the business of E's derivative
    with enable_grad():
        e = energy(x)
        if e.shape != x.shape[:1]:
            raise ValueError(
                f"energy must return one number a path, of shape {x.shape[:1]}; it returned "
                f"{e.shape} (for x of shape [batch, d], sum over the last dimension: .sum(-1))"
            )
        total = e.sum()
    ((_, slope),), _ = sweep((total,), None, again, again, [x], since)
    return Tensor(np.zeros_like(x.array)) if slope is None else -slope


def plain_force(energy: Callable, x: Expressions) -> Expressions:
    """-∇E of a vector x of expressions."""
    try:
        (e,) = np.asarray(energy(x[None]), object)
        return cotangents([e], [-1.0], x)
    except TypeError as error:
        raise TypeError(
            "simulate takes an energy of operators and NumPy's functions, which it differentiates "
            f"by itself; this one failed: {error}. For one of tensors take sdeint"
        ) from error


def position_and_velocity(y: Any) -> tuple[Any, Any]:
    if y.shape[1] % 2:
        raise ValueError(f"the state is [batch, 2 d], positions and velocities; it is {y.shape}")
    half = y.shape[1] // 2
    return y[:, :half], y[:, half:]


def filled(x: Tensor, value: Any) -> Tensor:
    """A number, or a tensor that broadcasts to x, in the shape and type of x."""
    if isinstance(value, Tensor):
        return value.to(x.dtype).expand(x.shape)
    return Tensor(np.full(x.shape, value, x.dtype))


def as_tensor(x: Tensor, t: Number) -> Tensor:
    return t if isinstance(t, Tensor) else Tensor(np.array(t, x.dtype))
