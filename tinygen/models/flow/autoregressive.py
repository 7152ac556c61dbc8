"""Autoregressive flows: every feature is bent by a function that the features before it choose.

    z_i = f(x_i; θ_i(x_1, …, x_{i-1}))

MAF (Papamakarios, Pavlakou & Murray 2017, "Masked autoregressive flow for density estimation")
finds all z at once, but x only one feature after the other. IAF (Kingma et al. 2016, "Improving
variational inference with inverse autoregressive flow") is its inverse: quick to draw from. Both
rest on MADE (Germain, Gregor, Murray & Larochelle 2015, "MADE: masked autoencoder for distribution
estimation"), a network in which output i sees only the inputs before i.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ... import nn
from ...autograd.creation import zeros_like
from ...autograd.ops.elementwise import relu
from ...autograd.tensor import Tensor
from ...distributions.distribution import Distribution
from ...nn import functional as F
from .affine import Affine
from .base import Compose, Flow, Inverse
from .linear import Permutation
from .spline import RationalQuadraticSpline


class MaskedLinear(nn.Linear):
    """y = x (W ∘ mask)ᵀ + b, with a mask [out_features, in_features] of zeros and ones."""

    def __init__(self, mask: np.ndarray):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", Tensor(mask.astype(self.weight.dtype)))

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """x [..., features] -> θ [..., outputs · features], one output of all features after the other;
    those of feature i depend on x_1, …, x_{i-1} only.

    Every unit has a degree: that of input i is i, those of hidden units go through 1, …,
    features - 1 in turn. A unit sees those below of a degree no larger than its own (Germain et al.
    2015, equation 8), an output those of a degree that is smaller (equation 9).
    """

    def __init__(self, features: int, outputs: int, hidden: Sequence[int] = (64, 64)):
        super().__init__()
        if features < 1:
            raise ValueError(f"MADE needs at least one feature, not {features}")
        first = np.arange(features) + 1
        inner = [np.arange(width) % max(1, features - 1) + min(1, features - 1) for width in hidden]
        masks = [after[:, None] >= before for before, after in pairwise([first, *inner])]
        self.hidden = nn.ModuleList([MaskedLinear(mask) for mask in masks])
        last = np.tile(first, outputs)[:, None] > [first, *inner][-1]
        self.last = MaskedLinear(last)
        nn.init.zeros_(self.last.weight)  # so that a flow starts as the identity
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = relu(layer(x))
        return self.last(x)


class Autoregressive(Flow):
    """x [..., features] -> z, z_i = f(x_i; θ_i): `forward` takes one pass of the network, `inverse`
    as many as there are features.

    transformer: Affine() or RationalQuadraticSpline().
    """

    def __init__(
        self,
        features: int,
        transformer: Affine | RationalQuadraticSpline | None = None,
        *,
        hidden: Sequence[int] = (64, 64),
    ):
        super().__init__((features,))
        self.transformer = Affine() if transformer is None else transformer
        self.net = MADE(features, self.transformer.parameters, hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        z, log_slope = self.transformer.forward(x, self.net(x))
        return z, log_slope.sum(-1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = log_slope = zeros_like(self.checked_latent(z))
        for _ in range(self.event_shape[0]):  # after pass i the first i features are right
            x, log_slope = self.transformer.inverse(z, self.net(x))
        return x, log_slope.sum(-1)

    def extra_repr(self) -> str:
        return f"{self.event_shape[0]}, {self.transformer}"


class MAF(Compose):
    """`layers` autoregressive flows, with the order of the features reversed in between. Quick
    densities; samples take one pass of the network for every feature.

    transformer: Affine() (Papamakarios et al. 2017), or RationalQuadraticSpline(): the
        autoregressive neural spline flow of Durkan et al. 2019.
    """

    def __init__(
        self,
        features: int,
        layers: int = 5,
        hidden: Sequence[int] = (64, 64),
        *,
        transformer: Affine | RationalQuadraticSpline | None = None,
        base: Distribution | None = None,
    ):
        flows: list[Flow] = []
        for _ in range(layers):
            flows += [
                Autoregressive(features, transformer, hidden=hidden),
                Permutation.reverse(features),
            ]
        super().__init__(*flows[:-1], base=base)


class IAF(Inverse):
    """The inverse of a MAF. Quick samples, and densities of them; the density of an x from
    elsewhere takes one pass of the network for every feature. Arguments as for MAF."""

    def __init__(
        self,
        features: int,
        layers: int = 5,
        hidden: Sequence[int] = (64, 64),
        *,
        transformer: Affine | RationalQuadraticSpline | None = None,
        base: Distribution | None = None,
    ):
        super().__init__(MAF(features, layers, hidden, transformer=transformer), base=base)
