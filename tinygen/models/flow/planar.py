"""Planar and radial flows (Rezende & Mohamed 2015, "Variational inference with normalizing flows",
section 4.1): cheap, and weak: one layer moves points along one direction, or towards one centre.

`forward` is the papers' f. To draw samples by f, as variational inference does, take
Inverse(Compose(Planar(n), …)): its `inverse`, which `sample` calls, is f.
"""

from __future__ import annotations

import numpy as np

from ... import nn
from ...autograd.creation import empty
from ...autograd.grad_mode import no_grad
from ...autograd.ops.activation import softplus
from ...autograd.ops.elementwise import log1p, sqrt, tanh
from ...autograd.tensor import Tensor
from .base import Flow

HALVINGS = 64  # of an interval: beyond the last bit of a float64


class Planar(Flow):
    """z = x + u tanh(w·x + b) (equation 10): space is stretched across the plane w·x + b = 0.

    u is replaced by u + (m(w·u) - w·u) w / |w|², m(a) = softplus(a) - 1, so that w·u > -1: only
    then is there an inverse (appendix A.1). It has no closed form; `inverse` finds it by bisection,
    and one step of Newton's method with a graph gives its first derivatives.
    """

    def __init__(self, features: int):
        super().__init__((features,))
        bound = features**-0.5
        self.w = nn.Parameter(nn.init.uniform_(empty(features), -bound, bound))
        self.u = nn.Parameter(nn.init.uniform_(empty(features), -bound, bound))
        self.b = nn.Parameter(nn.init.zeros_(empty(1)))

    def direction(self) -> tuple[Tensor, Tensor]:
        """The u that is used [features], and w·u, above -1."""
        dot = (self.w * self.u).sum()
        wanted = softplus(dot) - 1
        return self.u + (wanted - dot) * self.w / (self.w * self.w).sum(), wanted

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        u, dot = self.direction()
        h = tanh((x * self.w).sum(-1, keepdim=True) + self.b)  # [..., 1]
        return x + u * h, log1p(dot * (1 - h * h)).squeeze(-1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        u, dot = self.direction()
        target = (z * self.w).sum(-1, keepdim=True) + self.b  # a + w·u tanh a for a = w·x + b
        a = self.solve(target, dot)
        h = tanh(a)
        a = a - (a + dot * h - target) / (1 + dot * (1 - h * h))
        h = tanh(a)
        return z - u * h, -log1p(dot * (1 - h * h)).squeeze(-1)

    @staticmethod
    @no_grad()
    def solve(target: Tensor, dot: Tensor) -> Tensor:
        """The a of a + dot · tanh(a) = target, which grows with a, by bisection."""
        goal, c = target.array.astype(np.float64), float(dot)
        low, high = goal - abs(c), goal + abs(c)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = middle + c * np.tanh(middle) > goal
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return Tensor(((low + high) / 2).astype(target.dtype))


class Radial(Flow):
    """z = x + β (x - x₀) / (α + r), r = |x - x₀| (equation 14): space is stretched, or with β < 0
    contracted, around x₀.

    α > 0 and β > -α, for which there is an inverse (appendix A.2), here in closed form.
    """

    def __init__(self, features: int):
        super().__init__((features,))
        self.centre = nn.Parameter(nn.init.normal_(empty(features)))
        self.raw_alpha = nn.Parameter(nn.init.normal_(empty(1), std=0.1))
        self.raw_beta = nn.Parameter(nn.init.normal_(empty(1), std=0.1))

    def alpha_and_beta(self) -> tuple[Tensor, Tensor]:
        alpha = softplus(self.raw_alpha)
        return alpha, softplus(self.raw_beta) - alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        alpha, beta = self.alpha_and_beta()
        way = self.checked(x) - self.centre
        r = way.norm(dim=-1, keepdim=True)  # [..., 1]
        stretch = beta / (alpha + r)
        return x + stretch * way, self.log_det(r, stretch, alpha)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        alpha, beta = self.alpha_and_beta()
        way = self.checked_latent(z) - self.centre
        distance = way.norm(dim=-1, keepdim=True)  # = r (1 + β / (α + r)), quadratic in r
        p = distance - alpha - beta
        r = (p + sqrt(p * p + 4 * alpha * distance)) / 2
        stretch = beta / (alpha + r)
        return self.centre + way / (1 + stretch), -self.log_det(r, stretch, alpha)

    def log_det(self, r: Tensor, stretch: Tensor, alpha: Tensor) -> Tensor:
        """(features - 1) log(1 + β h) + log(1 + β h + β h' r), h = 1 / (α + r): of the directions
        round the centre, and of the one away from it. [..., 1] -> [...]"""
        along = log1p(stretch * alpha / (alpha + r))
        around = log1p(stretch) * (self.event_shape[0] - 1)
        return (around + along).squeeze(-1)
