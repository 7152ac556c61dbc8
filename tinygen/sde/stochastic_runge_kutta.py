"""srk: stochastic Runge–Kutta methods of strong order 1.5 for Itô equations.

Rößler 2010, "Runge–Kutta methods for the strong approximation of solutions of stochastic
differential equations", SIAM J. Numer. Anal. 48: SRA1 (section 6.2) for additive noise,

    y1 = y + Σᵢ αᵢ f(t + cᵢ h, Hᵢ) h + Σᵢ (β1ᵢ W + β2ᵢ U/h) g(t + dᵢ h)
    Hᵢ = y + Σⱼ aᵢⱼ f(t + cⱼ h, Hⱼ) h + Σⱼ bᵢⱼ g(t + dⱼ h) U/h

and SRI2 (section 6.1) for diagonal and scalar noise, with the supporting values K for g,

    y1 = y + Σᵢ αᵢ f(t + cᵢ h, Hᵢ) h
           + Σᵢ (β1ᵢ W + β2ᵢ W₂/√h + β3ᵢ U/h + β4ᵢ W₃/h) g(t + dᵢ h, Kᵢ)
    Hᵢ = y + Σⱼ aᵢⱼ f(t + cⱼ h, Hⱼ) h + Σⱼ bᵢⱼ g(t + dⱼ h, Kⱼ) U/h
    Kᵢ = y + Σⱼ eᵢⱼ f(t + cⱼ h, Hⱼ) h + Σⱼ kᵢⱼ g(t + dⱼ h, Kⱼ) √h

where W₂ = (W² - h)/2 and W₃ = (W³ - 3 h W)/6 are the iterated integrals of W, and U = ∫ W dt.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..autograd.tensor import Tensor
from .problem import Problem

if TYPE_CHECKING:
    from .methods import Increment, State


def srk(problem: Problem, dt: Increment, state: State) -> State:
    (y,) = state
    step = additive_step if problem.noise_type == "additive" else commutative_step
    return (step(problem, dt, y),)


def additive_step(problem: Problem, dt: Increment, y: Tensor) -> Tensor:
    """SRA1: two evaluations of f, two of g."""
    assert dt.U is not None
    t, h, mean = dt.t0, dt.h, dt.U / dt.h
    f0, g0, g1 = problem.f(t, y), problem.g(t, y), problem.g(dt.t1, y)
    inner = y + f0 * (0.75 * h) + problem.product(g1, mean * 1.5)
    f1 = problem.f(t + 0.75 * h, inner)
    noise = problem.product(g1, dt.W - mean) + problem.product(g0, mean)
    return y + (f0 + 2 * f1) * (h / 3) + noise


# SRI2. The last two stages of H, and the diagonal, are 0 and not written.
C = (0.0, 1.0, 0.5)
D = (0.0, 0.25, 1.0, 0.25)
A = ((), (1.0,), (0.25, 0.25))
B = ((), (0.0,), (1.0, 0.5))
E = ((), (0.25,), (1.0, 0.0), (0.0, 0.0, 0.25))
K = ((), (-0.5,), (1.0, 0.0), (2.0, -1.0, 0.5))
ALPHA = (1 / 6, 1 / 6, 2 / 3)
BETA1 = (-1.0, 4 / 3, 2 / 3, 0.0)
BETA2 = (1.0, -4 / 3, 1 / 3, 0.0)
BETA3 = (2.0, -4 / 3, -2 / 3, 0.0)
BETA4 = (-2.0, 5 / 3, -2 / 3, 1.0)


def commutative_step(problem: Problem, dt: Increment, y: Tensor) -> Tensor:
    """SRI2: three evaluations of f, four of g."""
    assert dt.U is not None
    t, h, W = dt.t0, dt.h, dt.W.array
    root, mean = math.sqrt(h), dt.U.array / dt.h
    second, third = (W * W - h) / (2 * root), (W * W - 3 * h) * W / (6 * h)
    fs, gs = [], []
    for i in range(4):
        if i < 3:
            drifts = total(fs, [a * h for a in A[i]])
            noises = total(gs, B[i])
            start = y if drifts is None else y + drifts
            if noises is not None:
                start = start + problem.product(noises, Tensor(mean))
            fs.append(problem.f(t + C[i] * h, start))
        moves = [total(fs, [e * h for e in E[i]])]
        noise = total(gs, [k * root for k in K[i]])
        if noise is not None:
            moves.append(noise if problem.noise_type == "diagonal" else noise[:, :, 0])
        gs.append(problem.g(t + D[i] * h, sum([m for m in moves if m is not None], y)))
    y1 = y + total(fs, [a * h for a in ALPHA])
    for g, b1, b2, b3, b4 in zip(gs, BETA1, BETA2, BETA3, BETA4):
        weight = (b1 * W + b2 * second + b3 * mean + b4 * third).astype(W.dtype)
        y1 = y1 + problem.product(g, Tensor(weight))
    return y1


def total(slopes: list[Tensor], weights) -> Tensor | None:
    """Σᵢ weightsᵢ slopesᵢ; None, if there is nothing to add."""
    terms = [k * w for k, w in zip(slopes, weights) if w != 0]
    return sum(terms[1:], terms[0]) if terms else None
