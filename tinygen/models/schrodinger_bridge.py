"""Schrödinger bridge on a line: of all processes that go from one distribution to another, the one
that is closest to Brownian motion (Schrödinger 1932; Léonard 2014, "A survey of the Schrödinger
problem").

    minimise KL(P ‖ W),  P₀ = p, P₁ = q,   W: dX = σ dB, t from 0 to 1

Given where it starts and ends, the bridge is a Brownian bridge; so all that is to be found is the
coupling of the two ends, π(x, y) = u(x) e^{−(x − y)² / 2σ²} v(y): entropic optimal transport with
cost (x − y)² / 2 and ε = σ². On a grid, u and v are fitted to the two marginals in turn, which is
iterative proportional fitting (Fortet 1940), or Sinkhorn's algorithm (Sinkhorn 1964; Cuturi 2013,
"Sinkhorn distances").

Shapes: N points x with probabilities p, M points y with probabilities q; all in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..autograd.creation import zeros
from ..autograd.grad_mode import no_grad
from ..autograd.ops.elementwise import exp, log
from ..autograd.random import Generator, multinomial, randn
from ..autograd.tensor import Tensor

# ---- Entropic optimal transport ------------------------------------------------------------------


@dataclass
class Coupling:
    """π_ij = p_i q_j exp((f_i + g_j − C_ij) / ε), of log_p [N], log_q [M], potentials f, g."""

    cost: Tensor  # [N, M]
    epsilon: float
    log_p: Tensor
    log_q: Tensor
    f: Tensor
    g: Tensor
    iterations: int

    @property
    def log_prob(self) -> Tensor:
        """log π [N, M]"""
        scaled = (self.f[:, None] + self.g - self.cost) / self.epsilon
        return self.log_p[:, None] + self.log_q + scaled

    def transport_cost(self) -> float:
        """Σ π C"""
        return (exp(self.log_prob) * self.cost).sum().item()


@no_grad()
def sinkhorn(
    cost: Tensor,
    p: Tensor,
    q: Tensor,
    epsilon: float,
    *,
    tolerance: float = 1e-9,
    max_iterations: int = 10_000,
) -> Coupling:
    """The coupling of p [N] and q [M] that minimises Σ π C + ε KL(π ‖ p qᵀ), cost C [N, M].

    Potentials are kept as logarithms (Peyré & Cuturi 2019, "Computational optimal transport",
    equation 4.43), so that ε may be small beside the cost. In turn f makes the rows of π add up to
    p, g the columns to q; it ends when, after the latter, rows are off by less than `tolerance` in
    sum, and raises RuntimeError after `max_iterations`: the smaller ε, the more it takes.
    """
    if not 0 < epsilon < math.inf:
        raise ValueError(f"sinkhorn needs epsilon above 0; got {epsilon}")
    cost, p, q = cost.double(), p.double(), q.double()
    for name, probabilities in (("p", p), ("q", q)):
        check_probabilities(probabilities, name)
    if cost.shape != (len(p), len(q)):
        raise ValueError(
            f"sinkhorn: the cost from {len(p)} points to {len(q)} is [{len(p)}, {len(q)}], not "
            f"{list(cost.shape)}"
        )
    log_p, log_q = log(p), log(q)
    f, g = zeros(len(p), dtype=p.dtype), zeros(len(q), dtype=q.dtype)
    for iteration in range(1, max_iterations + 1):
        f = -epsilon * ((g - cost) / epsilon + log_q).logsumexp(1)
        g = -epsilon * ((f[:, None] - cost) / epsilon + log_p[:, None]).logsumexp(0)
        rows = ((f[:, None] + g - cost) / epsilon + log_q).logsumexp(1)  # log of (rows / p)
        error = (p * (exp(rows) - 1).abs()).sum().item()
        if error < tolerance:
            return Coupling(cost, epsilon, log_p, log_q, f, g, iteration)
    raise RuntimeError(
        f"sinkhorn: after {max_iterations} iterations marginals are still off by {error:.1e}; take "
        "a larger epsilon, more iterations, or a larger tolerance"
    )


def check_probabilities(p: Tensor, name: str) -> None:
    total = p.sum().item()
    if p.ndim != 1 or not (p.array > 0).all() or abs(total - 1) > 1e-6:
        raise ValueError(
            f"{name} must be probabilities above 0 that add up to 1, of shape [points]; got shape "
            f"{list(p.shape)} with the sum {total:.6g}: leave out points without any, and divide "
            "by the sum"
        )


# ---- The bridge ----------------------------------------------------------------------------------


class SchrodingerBridge1d:
    """The bridge from p at points x [N] to q at points y [M], with reference dX = σ dB.

    In between its law has a density, a mixture of the Brownian bridges' normals.
    """

    def __init__(self, x: Tensor, p: Tensor, y: Tensor, q: Tensor, sigma: float, **options):
        if not 0 < sigma < math.inf:
            raise ValueError(f"SchrodingerBridge1d needs sigma above 0; got {sigma}")
        if x.shape != p.shape or y.shape != q.shape:
            raise ValueError(
                "SchrodingerBridge1d: each point has a probability; got points "
                f"{list(x.shape)} and {list(y.shape)}, probabilities {list(p.shape)} and "
                f"{list(q.shape)}"
            )
        self.x, self.y, self.sigma = x.double(), y.double(), sigma
        cost = 0.5 * (self.x[:, None] - self.y) ** 2
        self.coupling = sinkhorn(cost, p, q, sigma**2, **options)

    @no_grad()
    def log_prob(self, z: Tensor, t: float) -> Tensor:
        """log of the density of X_t at z [K], 0 < t < 1: [K]"""
        check_time(t)
        mean = (1 - t) * self.x[:, None] + t * self.y  # [N, M]
        log_weight = self.coupling.log_prob.flatten()
        return normal_mixture(z.double(), mean.flatten(), log_weight, self.sigma**2 * t * (1 - t))

    def drift(self, z: Tensor, t: float) -> Tensor:
        """b of dX = b(X, t) dt + σ dB at z [K], 0 <= t < 1: [K]. It is σ² ∂_z log E v(z + σ B_1−t)
        (Doob's h-transform; Léonard 2014, section 4), which is (E [Y | X_t = z] − z) / (1 − t)."""
        return self.towards(z, self.y, self.coupling.log_q + self.coupling.g / self.sigma**2, 1 - t)

    def backward_drift(self, z: Tensor, t: float) -> Tensor:
        """Of the same process in reversed time, at z [K], 0 < t <= 1: [K]"""
        return self.towards(z, self.x, self.coupling.log_p + self.coupling.f / self.sigma**2, t)

    @no_grad()
    def towards(self, z: Tensor, points: Tensor, log_weight: Tensor, left: float) -> Tensor:
        if not 0 < left <= 1:
            raise ValueError("a Schrödinger bridge has no drift where it has arrived: t must lie "
                             "in [0, 1) forwards, in (0, 1] backwards")  # fmt: skip
        z = z.double()
        away = z[:, None] - points  # [K, points]
        logits = log_weight - 0.5 * away**2 / (self.sigma**2 * left)
        return -(logits.softmax(1) * away).sum(1) / left

    @no_grad()
    def sample(self, n: int, times: Tensor, *, generator: Generator | None = None) -> Tensor:
        """n paths at `times` [T], rising within [0, 1]: [T, n]. Exact: two ends of the coupling,
        and a Brownian bridge between them."""
        t = times.double().array
        if t.ndim != 1 or not ((t >= 0) & (t <= 1)).all() or (np.diff(t) <= 0).any():
            raise ValueError(f"times must rise within [0, 1], as tg.linspace(0, 1, 50); got {t}")
        M = len(self.y)
        weights = exp(self.coupling.log_prob).flatten()
        chosen = multinomial(weights, n, replacement=True, generator=generator)
        here, there = self.x[chosen // M], self.y[chosen % M]
        path, now = [], 0.0
        for time in t.tolist():
            if time < 1:
                share = (time - now) / (1 - now)
                spread = self.sigma * math.sqrt(share * (1 - time))
                noise = randn(n, dtype=self.x.dtype, generator=generator)
                here, now = here + share * (there - here) + spread * noise, time
            path.append((here if time < 1 else there).array)
        return Tensor(np.stack(path))


def check_time(t: float) -> None:
    if not 0 < t < 1:
        raise ValueError(f"the bridge has a density at times between 0 and 1, not at {t}; its ends "
                         "are the probabilities p and q")  # fmt: skip


def normal_mixture(z: Tensor, means: Tensor, log_weight: Tensor, variance: float) -> Tensor:
    """log Σ w_k N(z; m_k, variance) at z [K]: [K], a few points at a time"""
    constant = 0.5 * math.log(2 * math.pi * variance)
    return Tensor(np.array([
        (log_weight - 0.5 * (point - means) ** 2 / variance).logsumexp(0).item() - constant
        for point in z.tolist()
    ]))  # fmt: skip
