"""Flows that bend every feature by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import nn
from ...autograd.creation import zeros
from ...autograd.ops.elementwise import log, log1p, logsigmoid, sigmoid
from ...autograd.tensor import Tensor
from .affine import Affine
from .base import Flow
from .spline import RationalQuadraticSpline


class Elementwise(Flow):
    """x [..., features] -> z, z_i = f(x_i; θ_i), with parameters θ of its own for each feature.

    transformer: Affine() or RationalQuadraticSpline(); it starts as the identity.
    """

    def __init__(self, features: int, transformer: Affine | RationalQuadraticSpline):
        super().__init__((features,))
        self.transformer = transformer
        self.theta = nn.Parameter(zeros(transformer.parameters * features))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, log_slope = self.transformer.forward(self.checked(x), self.theta)
        return z, log_slope.expand(z.shape).sum(-1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, log_slope = self.transformer.inverse(self.checked_latent(z), self.theta)
        return x, log_slope.expand(x.shape).sum(-1)

    def extra_repr(self) -> str:
        return f"{self.event_shape[0]}, {self.transformer}"


class Logit(Flow):
    """z = log(p / (1 - p)) of p = α + (1 - 2 α) x: from the unit interval to all numbers (Dinh et
    al. 2017, section 4.1), before which a flow would lose probability beyond the ends.

    alpha: keeps p off 0 and 1, where z would be infinite.
    """

    def __init__(self, event_shape: Sequence[int], alpha: float = 0.05):
        super().__init__(event_shape)
        if not 0 <= alpha < 0.5:
            raise ValueError(f"alpha must be at least 0 and below 1/2, not {alpha}")
        self.alpha, self.scale = alpha, 1 - 2 * alpha
        self.axes = tuple(range(-len(self.event_shape), 0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        p = self.alpha + self.scale * x
        if not ((p.array > 0) & (p.array < 1)).all():
            raise ValueError(
                f"Logit takes numbers from 0 to 1 (with alpha=0, none of these two); x goes from "
                f"{x.array.min():g} to {x.array.max():g}: divide it by the largest value there is"
            )
        log_p, log_q = log(p), log1p(-p)
        return log_p - log_q, (math.log(self.scale) - log_p - log_q).sum(self.axes)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        log_slope = logsigmoid(z) + logsigmoid(-z) - math.log(self.scale)
        return (sigmoid(z) - self.alpha) / self.scale, log_slope.sum(self.axes)
