"""The density of what a denoiser makes, by its probability-flow ODE.

Along dx/dt = velocity(x, t) the log density changes by -tr ∂velocity/∂x (Chen et al. 2018; Song et
al. 2021, equation 39), so that from data at t ≈ 0 to noise at the end

    log p(x) = log p_end(x(end)) + ∫ tr ∂velocity/∂x dt
"""

from __future__ import annotations

import numpy as np

from ..autograd.creation import zeros
from ..autograd.engine import grad
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.random import Generator, bernoulli
from ..autograd.tensor import Tensor
from ..ode import odeint
from .denoiser import Denoiser
from .diffusion import DiffusionProcess


@no_grad()
def log_likelihood(
    denoiser: Denoiser,
    x: Tensor,
    *,
    divergence: str = "exact",
    probes: int = 1,
    start: float = 1e-5,
    end: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    generator: Generator | None = None,
) -> Tensor:
    """log p(x) [B] in nats, of data x [B, ...].

    divergence: "exact", which takes a backward pass for every number of a sample at every time; or
        "hutchinson", which takes one: v' ∂velocity/∂x v for random signs v, whose mean it is
        (Hutchinson 1989; Skilling 1989). probes: how many v to average over.
    start, end: the times between which the ODE is solved; by default up to the schedule's end.
    rtol, atol: of odeint.
    """
    if divergence not in ("exact", "hutchinson"):
        raise ValueError(f'divergence is "exact" or "hutchinson", not {divergence!r}')
    signs = None
    if divergence == "hutchinson":
        half = Tensor(np.full((probes, *x.shape), 0.5, x.dtype))
        signs = 2 * bernoulli(half, generator=generator) - 1

    def flow(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        with enable_grad():
            at_x = state[0].detach().requires_grad_()
            velocity = denoiser.velocity(at_x, t)
            trace = exact_trace(velocity, at_x) if signs is None else (
                estimated_trace(velocity, at_x, signs))  # fmt: skip
        return velocity.detach(), trace

    process = DiffusionProcess(denoiser.schedule)
    times = Tensor(np.array([start, process.T if end is None else end]))
    found, gained = odeint(
        flow, (x.detach(), zeros(x.shape[0], dtype=x.dtype)), times, rtol=rtol, atol=atol
    )
    return process.prior_log_prob(found[-1]) + gained[-1]


def exact_trace(y: Tensor, x: Tensor) -> Tensor:
    """tr ∂y/∂x [B] of y, x [B, ...], by one backward pass for every number of a sample."""
    columns = y.reshape(y.shape[0], -1)
    total = np.zeros(y.shape[0], y.dtype)
    for i in range(columns.shape[1]):
        (row,) = grad(columns[:, i].sum(), x, retain_graph=True)
        assert row is not None  # for types: grad raises where x has no part in y
        total += row.array.reshape(len(total), -1)[:, i]
    return Tensor(total)


def estimated_trace(y: Tensor, x: Tensor, signs: Tensor) -> Tensor:
    """The mean of v' ∂y/∂x v over the v in signs [probes, B, ...]: [B]"""
    total = np.zeros(y.shape[0], y.dtype)
    for v in signs:
        (product,) = grad(y, x, v, retain_graph=True)
        assert product is not None
        total += (product.array * v.array).reshape(len(total), -1).sum(-1)
    return Tensor(total / len(signs))
