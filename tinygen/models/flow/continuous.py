"""Continuous flows: points follow an ordinary differential equation, and so does their density.

    dx/dt = f(t, x),   d log p / dt = -tr ∂f/∂x     (Chen, Rubanova, Bettencourt & Duvenaud 2018,
                                                    "Neural ordinary differential equations", eq. 8)

f may be any network, for the trace costs no more than products with the Jacobian (Grathwohl, Chen,
Bettencourt, Sutskever & Duvenaud 2019, "FFJORD: free-form continuous dynamics for scalable
reversible generative models").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ... import nn
from ...autograd.creation import zeros
from ...autograd.grad_mode import enable_grad, is_grad_enabled
from ...autograd.ops.join import cat
from ...autograd.random import Generator
from ...autograd.tensor import Tensor
from ...distributions.distribution import Distribution
from ...ode import odeint, odeint_adjoint
from ...ode.divergence import jacobian_trace, random_signs
from .base import Flow, fitting


class TimeMLP(nn.Module):
    """f(t, x): linear layers with tanh in between, which see the time as one more feature."""

    def __init__(self, features: int, hidden: Sequence[int] = (64, 64)):
        super().__init__()
        sizes = [features + 1, *hidden]
        layers: list[nn.Module] = []
        for before, after in zip(sizes, hidden):
            layers += [nn.Linear(before, after), nn.Tanh()]
        self.net = nn.Sequential(*layers, nn.Linear(sizes[-1], features))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.net(cat([x, t.expand(*x.shape[:-1], 1)], -1))


class Dynamics(nn.Module):
    """d/dt of (x [..., features], ∫ tr ∂f/∂x dt [...])."""

    def __init__(self, field: nn.Module):
        super().__init__()
        self.field = field
        self.signs: Tensor | None = None  # of Hutchinson's estimate; None: the trace is exact

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        again = is_grad_enabled()
        with enable_grad():
            x = state[0] if state[0].requires_grad else state[0].detach().requires_grad_()
            slope = self.field(t, x)
            trace = jacobian_trace(slope, x, self.signs, x.ndim - 1, create_graph=again)
        return (slope, trace) if again else (slope.detach(), trace.detach())


class FFJORD(Flow):
    """z = x(1), where x(0) = x and dx/dt = f(t, x); the inverse lets time run down.

    field: a module (t, x [..., features]) -> dx/dt; None makes a TimeMLP of the widths `hidden`.
    trace: "exact", which takes `features` backward passes at every evaluation of f; or
        "hutchinson", which takes one: an estimate without bias, from noise of ±1 that stays the
        same for one solution.
    adjoint: gradients by the adjoint equation, in memory that does not grow with the number of
        steps, and only as exact as rtol and atol; see tinygen.ode.odeint_adjoint.
    rtol, atol, method, options: as in tinygen.ode.odeint.
    """

    def __init__(
        self,
        features: int,
        field: nn.Module | None = None,
        *,
        hidden: Sequence[int] = (64, 64),
        trace: str = "exact",
        adjoint: bool = False,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        method: str | None = None,
        options: Mapping[str, Any] | None = None,
        base: Distribution | None = None,
    ):
        super().__init__((features,))
        if trace not in ("exact", "hutchinson"):
            raise ValueError(f'trace is "exact" or "hutchinson", not {trace!r}')
        field = TimeMLP(features, hidden) if field is None else field
        self.dynamics = Dynamics(field)
        self.hutchinson = trace == "hutchinson"
        self.solver = odeint_adjoint if adjoint else odeint
        self.arguments = {"rtol": rtol, "atol": atol, "method": method, "options": options}
        self.base = fitting(base, self.event_shape)

    def forward(self, x: Tensor, *, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        return self.solve(self.checked(x), (0.0, 1.0), generator)

    def inverse(self, z: Tensor, *, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        return self.solve(self.checked_latent(z), (1.0, 0.0), generator)

    def solve(self, x: Tensor, times: tuple[float, float], generator) -> tuple[Tensor, Tensor]:
        """Where the points x [..., features] are at the second time, and ∫ tr ∂f/∂x dt [...]"""
        if self.hutchinson:
            self.dynamics.signs = random_signs((1, *x.shape), x.dtype, generator)
        state = (x, zeros(x.shape[:-1], dtype=x.dtype))
        t = Tensor(np.array(times))
        x, log_det = self.solver(self.dynamics, state, t, **self.arguments)
        return x[-1], log_det[-1]
