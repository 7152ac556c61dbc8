"""Flow: an invertible function with the logarithm of its Jacobian's determinant, as a density.

If z = f(x) has the density p_z, then that of x is (change of variables; Rezende & Mohamed 2015,
"Variational inference with normalizing flows", equation 5)

    log p(x) = log p_z(f(x)) + log |det ∂f/∂x|
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ... import nn
from ...autograd.dtypes import get_default_dtype
from ...autograd.grad_mode import no_grad
from ...autograd.random import Generator, randn
from ...autograd.tensor import Tensor
from ...distributions.distribution import Distribution

LOG_2_PI = math.log(2 * math.pi)


class Flow(nn.Module):
    """An invertible z = f(x). A subclass gives `forward` and `inverse`; densities follow.

    event_shape: the shape of one x, such as (features,). Dimensions before those are a batch.
    latent_shape: the shape of its z, if that is another.
    base: the distribution of z, of event shape `latent_shape`; None is the standard normal.
    """

    base: Distribution | None = None

    def __init__(
        self, event_shape: Sequence[int], latent_shape: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.latent_shape = self.event_shape if latent_shape is None else tuple(latent_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [..., *event_shape] -> (z [..., *latent_shape], log |det ∂z/∂x| [...])"""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z [..., *latent_shape] -> (x [..., *event_shape], log |det ∂x/∂z| [...])"""
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    # ---- The density -----------------------------------------------------------------------------

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of x [..., *event_shape], in nats: [...].

        Raises ValueError for an x of the wrong shape or with NaN or infinities in it.
        """
        z, log_det = self(finite(self.checked(x)))
        return self.log_prob_of_latent(z) + log_det

    def sample_and_log_prob(
        self, num_samples: int, *, generator: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw x [num_samples, *event_shape], with log p(x) [num_samples]; gradients of both reach
        the parameters (the way of variational inference)."""
        if not isinstance(num_samples, int) or num_samples < 0:
            raise ValueError(
                f"the number of samples is an int, at least 0, not {num_samples!r}; for samples in "
                "rows and columns, reshape them"
            )
        if self.base is not None:
            z = self.base.sample((num_samples,), generator=generator)
        else:
            size = (num_samples, *self.latent_shape)
            z = randn(*size, generator=generator, dtype=self.dtype)
        x, log_det = self.inverse(z)
        return x, self.log_prob_of_latent(z) - log_det

    @no_grad()
    def sample(self, num_samples: int, *, generator: Generator | None = None) -> Tensor:
        """Draw [num_samples, *event_shape], without gradient."""
        return self.sample_and_log_prob(num_samples, generator=generator)[0]

    def log_prob_of_latent(self, z: Tensor) -> Tensor:
        """z [..., *latent_shape] -> log p_z(z) [...]"""
        if self.base is not None:
            return self.base.log_prob(z)
        n = len(self.latent_shape)
        squares = (z * z).sum(tuple(range(-n, 0)))
        return squares * -0.5 - 0.5 * LOG_2_PI * math.prod(self.latent_shape)

    # ---- Checks ----------------------------------------------------------------------------------

    @property
    def dtype(self) -> np.dtype:
        """Of the parameters."""
        return next((p.dtype for p in self.parameters()), get_default_dtype())

    def checked(self, x: Tensor) -> Tensor:
        """x, if it has the event shape."""
        return self._of_shape(x, self.event_shape, "x")

    def checked_latent(self, z: Tensor) -> Tensor:
        """z, if it has the latent shape."""
        return self._of_shape(z, self.latent_shape, "z")

    def _of_shape(self, x: Any, shape: tuple[int, ...], name: str) -> Tensor:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{type(self).__name__} takes a tensor {name}, not {type(x).__name__}: tg.tensor(…)"
            )
        if x.ndim < len(shape) or x.shape[x.ndim - len(shape) :] != shape:
            raise ValueError(
                f"{type(self).__name__} takes {name} of shape (batch, "
                f"{', '.join(map(str, shape))}); this one has shape {x.shape}"
            )
        return x


def finite(x: Tensor) -> Tensor:
    """x, if there are no NaN and no infinities in it."""
    bad = x.array.size - np.count_nonzero(np.isfinite(x.array))
    if bad:
        raise ValueError(
            f"{bad} of the {x.array.size} numbers in x are NaN or infinite, where no density is: "
            "remove those rows, or fill in what is missing"
        )
    return x


def fitting(base: Distribution | None, latent_shape: tuple[int, ...]) -> Distribution | None:
    """base, if it is a distribution of one z."""
    if base is not None and (base.batch_shape, base.event_shape) != ((), latent_shape):
        raise ValueError(
            f"the base must be one distribution of event shape {latent_shape}; this one has batch "
            f"shape {base.batch_shape} and event shape {base.event_shape}: distributions."
            "Independent(base, n) makes n batch dimensions a part of the event"
        )
    return base


# ---- Flows of flows ------------------------------------------------------------------------------


def chained(flows: Sequence[Flow]) -> nn.ModuleList:
    """The flows, if each takes what the one before it returns."""
    if not flows:
        raise ValueError("a composition takes at least one flow")
    for first, second in pairwise(flows):
        if first.latent_shape != second.event_shape:
            raise ValueError(
                f"{type(first).__name__} returns z of shape {first.latent_shape}, but "
                f"{type(second).__name__} behind it takes {second.event_shape}"
            )
    return nn.ModuleList(flows)


class Compose(Flow):
    """f = f_n ∘ … ∘ f_1 of the flows f_1, …, f_n; the log-determinants add up."""

    def __init__(self, *flows: Flow, base: Distribution | None = None):
        chain = chained(flows)
        super().__init__(chain[0].event_shape, chain[-1].latent_shape)
        self.flows, self.base = chain, fitting(base, self.latent_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x, total = self.flows[0](x)
        for flow in self.flows[1:]:
            x, log_det = flow(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z, total = self.flows[-1].inverse(z)
        for flow in reversed(self.flows[:-1]):
            z, log_det = flow.inverse(z)
            total = total + log_det
        return z, total


class Inverse(Flow):
    """f⁻¹ of a flow f: what it did quickly in one direction is now quick in the other."""

    def __init__(self, flow: Flow, *, base: Distribution | None = None):
        super().__init__(flow.latent_shape, flow.event_shape)
        self.flow, self.base = flow, fitting(base, self.latent_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.inverse(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow(z)
