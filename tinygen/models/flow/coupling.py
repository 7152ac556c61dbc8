"""Coupling flows: one half of the features decides what becomes of the other.

Dinh, Krueger & Bengio 2015 ("NICE"); Dinh, Sohl-Dickstein & Bengio 2017 ("Density estimation using
Real NVP"); with splines, Durkan et al. 2019 ("Neural spline flows").

    kept, changed = halves of x,   z = [f(changed; network(kept)), kept]

The Jacobian is triangular, so its determinant is the product of the derivatives of f; and the way
back is as quick as the way there, whatever the network.
"""

from __future__ import annotations

from collections.abc import Sequence

from ... import nn
from ...autograd.ops.join import cat
from ...autograd.tensor import Tensor
from ...distributions.distribution import Distribution
from .affine import Affine
from .base import Compose, Flow, chained, fitting
from .linear import LULinear
from .spline import RationalQuadraticSpline


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Linear layers with ReLU in between. The last one starts at 0, so that a flow starts as the
    identity (Kingma & Dhariwal 2018, section 3.3)."""
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for before, after in zip(sizes, hidden):
        layers += [nn.Linear(before, after), nn.ReLU()]
    last = nn.Linear(sizes[-1], outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class Coupling(Flow):
    """x [..., features] -> z, in which the second half of x, changed, comes first, and the first
    half, as it was, last: the next layer changes that.

    transformer: Affine() or RationalQuadraticSpline().
    net: from kept [..., features / 2] to θ [..., transformer.parameters · features / 2]; None makes
        an MLP with layers of the widths `hidden` that starts at θ = 0.
    """

    def __init__(
        self,
        features: int,
        transformer: Affine | RationalQuadraticSpline | None = None,
        net: nn.Module | None = None,
        *,
        hidden: Sequence[int] = (64, 64),
    ):
        if features < 2 or features % 2:
            raise ValueError(
                f"a coupling splits its features in halves, which {features} can't be: take an "
                "even number (add a feature of noise), or an autoregressive flow (MAF)"
            )
        super().__init__((features,))
        self.transformer = Affine() if transformer is None else transformer
        outputs = self.transformer.parameters * features // 2
        self.net = mlp(features // 2, hidden, outputs) if net is None else net

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self.checked(x).chunk(2, -1)
        changed, log_slope = self.bend(changed, kept)
        return cat([changed, kept], -1), log_slope.sum(-1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        changed, kept = self.checked_latent(z).chunk(2, -1)
        changed, log_slope = self.unbend(changed, kept)
        return cat([kept, changed], -1), log_slope.sum(-1)

    def bend(self, changed: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """What becomes of one half, and the logarithm of its slope [..., features / 2] both"""
        return self.transformer.forward(changed, self.net(kept))

    def unbend(self, changed: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """What a half came from, and the logarithm of its slope [..., features / 2] both"""
        return self.transformer.inverse(changed, self.net(kept))

    def extra_repr(self) -> str:
        return f"{self.event_shape[0]}, {self.transformer}"


class Couplings(Flow):
    """Compose(*flows) of nothing but couplings, in less time: the halves of x, which take turns,
    are not joined and split in between, and all log-slopes are summed at once."""

    def __init__(self, *flows: Coupling, base: Distribution | None = None):
        chain = chained(flows)
        super().__init__(chain[0].event_shape)
        self.flows, self.base = chain, fitting(base, self.latent_shape)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self.checked(x).chunk(2, -1)
        log_slopes = []
        for flow in self.flows:
            bent, log_slope = flow.bend(changed, kept)
            kept, changed = bent, kept
            log_slopes.append(log_slope)
        return cat([kept, changed], -1), cat(log_slopes, -1).sum(-1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self.checked_latent(z).chunk(2, -1)
        log_slopes = []
        for flow in reversed(self.flows):
            unbent, log_slope = flow.unbend(kept, changed)
            kept, changed = changed, unbent
            log_slopes.append(log_slope)
        return cat([kept, changed], -1), cat(log_slopes, -1).sum(-1)


class RealNVP(Couplings):
    """`layers` affine couplings, which change one half and the other in turn."""

    def __init__(
        self,
        features: int,
        layers: int = 8,
        hidden: Sequence[int] = (64, 64),
        *,
        limit: float = 1.0,
        base: Distribution | None = None,
    ):
        flows = [Coupling(features, Affine(limit), hidden=hidden) for _ in range(layers)]
        super().__init__(*flows, base=base)


class NeuralSpline(Compose):
    """`layers` of a spline coupling each with a linear map in LU form before it (Durkan et al.
    2019, section 4). Data should lie within ±bound, or nearly: standardise them first."""

    def __init__(
        self,
        features: int,
        layers: int = 4,
        hidden: Sequence[int] = (64, 64),
        *,
        bins: int = 8,
        bound: float = 3.0,
        base: Distribution | None = None,
    ):
        flows: list[Flow] = []
        for _ in range(layers):
            spline = RationalQuadraticSpline(bins, bound)
            flows += [LULinear((features,)), Coupling(features, spline, hidden=hidden)]
        super().__init__(*flows, base=base)
