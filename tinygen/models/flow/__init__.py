"""Normalizing flows: invertible networks, each of which is a density.

    flow = RealNVP(2)                    # or MAF(2), NeuralSpline(2), Glow((1, 8, 8)), FFJORD(2), …
    loss = -flow.log_prob(x).mean()      # x [B, 2]: maximum likelihood
    x = flow.sample(1000)                # [1000, 2]

Every one is a Flow: `forward(x) -> (z, log_det)` towards a simple distribution, `inverse(z) ->
(x, log_det)` back from it. To be read in this order: base (what all have in common), affine and
spline (what is done to one number), elementwise, linear, coupling, autoregressive, planar, glow
(images), continuous (ordinary differential equations).
"""

from .affine import Affine
from .autoregressive import IAF, MADE, MAF, Autoregressive, MaskedLinear
from .base import Compose, Flow, Inverse
from .continuous import FFJORD, TimeMLP
from .coupling import Coupling, Couplings, NeuralSpline, RealNVP
from .elementwise import Elementwise, Logit
from .glow import ConvCoupling, Glow, Split, Squeeze, dequantize
from .linear import ActNorm, LULinear, Permutation
from .planar import Planar, Radial
from .spline import RationalQuadraticSpline

__all__ = [
    "FFJORD", "IAF", "MADE", "MAF", "ActNorm", "Affine", "Autoregressive", "Compose",
    "ConvCoupling", "Coupling", "Couplings", "Elementwise", "Flow", "Glow", "Inverse", "LULinear",
    "Logit", "MaskedLinear", "NeuralSpline", "Permutation", "Planar", "Radial",
    "RationalQuadraticSpline", "RealNVP", "Split", "Squeeze", "TimeMLP", "dequantize",
]  # fmt: skip
