"""Linear flows: permutations, per-feature scales (actnorm), and matrices in LU form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ... import nn
from ...autograd.creation import empty, eye, zeros
from ...autograd.grad_mode import no_grad
from ...autograd.ops.diagonal import diag_embed, tril, triu
from ...autograd.ops.elementwise import exp
from ...autograd.ops.linalg.lu import lu
from ...autograd.ops.linalg.systems import solve_triangular
from ...autograd.random import Generator, randperm
from ...autograd.tensor import Tensor
from ...nn import functional as F
from .base import Flow


class Permutation(Flow):
    """z_i = x_permutation[i], which turns no volume: what a coupling left alone comes in its reach.

    permutation: of 0, …, features - 1.
    """

    def __init__(self, permutation: Sequence[int]):
        order = np.asarray(permutation)
        if order.ndim != 1 or sorted(order.tolist()) != list(range(len(order))):
            raise ValueError(
                f"a permutation has each of 0, …, {order.size - 1} once; got {order.tolist()}"
            )
        super().__init__((len(order),))
        self.register_buffer("permutation", Tensor(order.astype(np.int64)))
        self.register_buffer("inverse_permutation", Tensor(np.argsort(order)))

    @classmethod
    def reverse(cls, features: int) -> Permutation:
        """The last feature first."""
        return cls(range(features)[::-1])

    @classmethod
    def random(cls, features: int, generator: Generator | None = None) -> Permutation:
        """Any order is equally likely."""
        return cls(randperm(features, generator=generator).tolist())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        return x[..., self.permutation], zeros(x.shape[:-1], dtype=x.dtype)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        return z[..., self.inverse_permutation], zeros(z.shape[:-1], dtype=z.dtype)


class ActNorm(Flow):
    """z = (x + loc) · e^log_scale, per feature, or per channel of images (Kingma & Dhariwal 2018,
    "Glow", section 3.1).

    The first batch in training mode sets both so that z has mean 0 and variance 1 on it. From then
    on they are parameters like others.

    event_shape: (features,), or (channels, height, width), where all pixels share a channel's.
    """

    def __init__(self, event_shape: Sequence[int]):
        super().__init__(event_shape)
        self.pixels = math.prod(self.event_shape[1:])
        size = (self.event_shape[0], *[1] * (len(self.event_shape) - 1))
        self.loc, self.log_scale = nn.Parameter(zeros(size)), nn.Parameter(zeros(size))
        self.register_buffer("initialized", Tensor(np.array(False)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        if self.training and not self.initialized.array:
            self.initialize(x)
        return (x + self.loc) * exp(self.log_scale), self.log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        return z * exp(-self.log_scale) - self.loc, -self.log_det(z)

    def log_det(self, x: Tensor) -> Tensor:
        """The same for every x [..., *event_shape]: [...]"""
        total = self.log_scale.sum() * self.pixels
        return total.expand(x.shape[: x.ndim - len(self.event_shape)])

    @no_grad()
    def initialize(self, x: Tensor) -> None:
        """Give z mean 0 and variance 1 on this batch."""
        n = len(self.event_shape)
        axes = (*range(x.ndim - n), *range(x.ndim - n + 1, x.ndim))  # all but the features
        if x.array.size <= self.event_shape[0]:
            raise ValueError(
                f"ActNorm scales by the standard deviation of its first batch, which has a single "
                f"value per feature here (shape {x.shape}): begin with a larger one, or call eval()"
            )
        mean, std = x.array.mean(axes, keepdims=True), x.array.std(axes, keepdims=True)
        std = np.where(std > 1e-6, std, 1.0)  # what is constant in this batch is not blown up
        self.loc.copy_(Tensor(-mean.reshape(self.loc.shape)))
        self.log_scale.copy_(Tensor(-np.log(std).reshape(self.loc.shape)))
        self.initialized.fill_(True)


class LULinear(Flow):
    """z = W x, with W = P L U of a fixed permutation P, a lower triangular L with a diagonal of
    ones, and an upper triangular U (Kingma & Dhariwal 2018, "Glow", equations 9 to 11).

    log |det W| = Σ log |U_ii|, where the signs of U_ii stay those of the beginning, when W is a
    random rotation.

    event_shape: (features,), or (channels, height, width): then W acts on the channels of each
        pixel, as a convolution with a kernel of 1 × 1.
    """

    def __init__(self, event_shape: Sequence[int]):
        super().__init__(event_shape)
        n = self.event_shape[0]
        self.pixels = math.prod(self.event_shape[1:])
        permutation, lower, upper = lu(nn.init.orthogonal_(empty(n, n)))
        diagonal = upper.diagonal()
        self.lower, self.upper = nn.Parameter(tril(lower, -1)), nn.Parameter(triu(upper, 1))
        self.log_diagonal = nn.Parameter(diagonal.abs().log())
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())
        self.register_buffer("identity", eye(n))

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U [features, features]"""
        diagonal = diag_embed(self.sign * exp(self.log_diagonal))
        return tril(self.lower, -1) + self.identity, triu(self.upper, 1) + diagonal

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        lower, upper = self.factors()
        return self.product(self.permutation @ (lower @ upper), x), self.log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        lower, upper = self.factors()
        part = solve_triangular(lower, self.permutation.t(), upper=False, unitriangular=True)
        return self.product(solve_triangular(upper, part, upper=True), z), -self.log_det(z)

    def product(self, weight: Tensor, x: Tensor) -> Tensor:
        """weight [out, in] times every vector in x"""
        if len(self.event_shape) == 1:
            return F.linear(x, weight)
        return F.conv2d(x, weight[:, :, None, None])

    def log_det(self, x: Tensor) -> Tensor:
        total = self.log_diagonal.sum() * self.pixels
        return total.expand(x.shape[: x.ndim - len(self.event_shape)])
