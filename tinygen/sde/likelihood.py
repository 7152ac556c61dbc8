"""The density of what a denoiser makes, by its probability-flow ODE.

Along dx/dt = velocity(x, t) the log density changes by -tr ∂velocity/∂x (Chen et al. 2018; Song et
al. 2021, equation 39), so that from data at t ≈ 0 to noise at the end

    log p(x) = log p_end(x(end)) + ∫ tr ∂velocity/∂x dt
"""

from __future__ import annotations

import numpy as np

from ..autograd.creation import zeros
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.random import Generator
from ..autograd.tensor import Tensor
from ..ode import odeint
from ..ode.divergence import jacobian_trace, random_signs
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
        signs = random_signs((probes, *x.shape), x.dtype, generator)

    def flow(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        with enable_grad():
            at_x = state[0].detach().requires_grad_()
            velocity = denoiser.velocity(at_x, t)
            trace = jacobian_trace(velocity, at_x, signs)
        return velocity.detach(), trace.detach()

    process = DiffusionProcess(denoiser.schedule)
    times = Tensor(np.array([start, process.T if end is None else end]))
    found, gained = odeint(
        flow, (x.detach(), zeros(x.shape[0], dtype=x.dtype)), times, rtol=rtol, atol=atol
    )
    return process.prior_log_prob(found[-1]) + gained[-1]
