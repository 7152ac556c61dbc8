"""Glow: a flow of images, coarser and coarser (Kingma & Dhariwal 2018, "Glow: generative flow with
invertible 1×1 convolutions"; the levels are those of Dinh et al. 2017, section 3.6).

    level:  squeeze -> steps × (actnorm -> 1×1 convolution -> coupling) -> half of it is finished
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ... import nn
from ...autograd.creation import zeros
from ...autograd.ops.elementwise import exp, logsigmoid
from ...autograd.ops.join import cat
from ...autograd.random import Generator, rand
from ...autograd.tensor import Tensor
from ...distributions.distribution import Distribution
from ...nn import functional as F
from .base import Compose, Flow
from .elementwise import Logit
from .linear import ActNorm, LULinear


def dequantize(images: Tensor, levels: int = 256, *, generator: Generator | None = None) -> Tensor:
    """Numbers 0, 1/(levels - 1), …, 1 -> anywhere within their own part of [0, 1], which is
    1/levels wide. The mean log-density of that, less log(levels) a number, is no more than the
    log-probability of the discrete images (Theis, van den Oord & Bethge 2016, section 3.1)."""
    noise = rand(images.shape, generator=generator, dtype=images.dtype)
    return (images * (levels - 1) + noise) / levels


class Squeeze(Flow):
    """[..., C, H, W] -> [..., 4 C, H / 2, W / 2]: squares of four pixels become channels."""

    def __init__(self, image_shape: Sequence[int]):
        C, H, W = image_shape
        if H % 2 or W % 2:
            raise ValueError(
                f"images of {H} × {W} pixels can't be squeezed to half the size: pad them to even "
                "numbers of pixels, or use fewer levels"
            )
        super().__init__((C, H, W), (4 * C, H // 2, W // 2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        return F.pixel_unshuffle(x, 2), zeros(x.shape[:-3], dtype=x.dtype)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        return F.pixel_shuffle(z, 2), zeros(z.shape[:-3], dtype=z.dtype)


class ConvNet(nn.Module):
    """[B, inputs, H, W] -> [B, outputs, H, W]: convolutions of 3×3, 1×1 and 3×3 with ReLU in
    between; the last starts at 0."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        last = nn.Conv2d(hidden, outputs, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, hidden, 3, padding=1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1), nn.ReLU(), last,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ConvCoupling(Flow):
    """The first half of the channels stays, the second is scaled and shifted: (x + t) s, with
    s = sigmoid(raw s + 2) and t from a ConvNet of the first half."""

    def __init__(self, image_shape: Sequence[int], hidden: int = 64):
        C, H, W = image_shape
        if C % 2:
            raise ValueError(
                f"a coupling splits the channels in halves, which {C} can't be: squeeze first, or "
                "add a channel"
            )
        super().__init__((C, H, W))
        self.net = ConvNet(C // 2, hidden, C)

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """log s and t [..., C / 2, H, W]"""
        raw, shift = self.net(kept).chunk(2, -3)
        return logsigmoid(raw + 2.0), shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self.checked(x).chunk(2, -3)
        log_scale, shift = self.scale_and_shift(kept)
        return cat([kept, (changed + shift) * exp(log_scale)], -3), log_scale.sum((-3, -2, -1))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self.checked_latent(z).chunk(2, -3)
        log_scale, shift = self.scale_and_shift(kept)
        return cat([kept, changed * exp(-log_scale) - shift], -3), -log_scale.sum((-3, -2, -1))


class Flatten(Flow):
    """[..., C, H, W] -> [..., C H W]"""

    def __init__(self, image_shape: Sequence[int]):
        super().__init__(image_shape, (math.prod(image_shape),))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.checked(x)
        return x.flatten(-3), zeros(x.shape[:-3], dtype=x.dtype)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = self.checked_latent(z)
        return z.unflatten(-1, self.event_shape), zeros(z.shape[:-1], dtype=z.dtype)


class Split(Flow):
    """[..., C, H, W] -> [..., C H W]: half of the channels is finished, once the mean and standard
    deviation that a convolution expects of it are taken away (so that it is standard normal like
    all z); the other half goes on through the flow `rest`, [..., C / 2, H, W] -> [..., C H W / 2].
    """

    def __init__(self, image_shape: Sequence[int], rest: Flow):
        C, H, W = image_shape
        super().__init__((C, H, W), (C * H * W,))
        self.prior = nn.Conv2d(C // 2, C, 3, padding=1)
        nn.init.zeros_(self.prior.weight)
        nn.init.zeros_(self.prior.bias)
        self.rest = rest

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        going_on, finished = self.checked(x).chunk(2, -3)
        mean, log_std = self.prior(going_on).chunk(2, -3)
        finished = (finished - mean) * exp(-log_std)
        z, log_det = self.rest(going_on)
        return cat([finished.flatten(-3), z], -1), log_det - log_std.sum((-3, -2, -1))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        finished, z = self.checked_latent(z).chunk(2, -1)
        going_on, log_det = self.rest.inverse(z)
        mean, log_std = self.prior(going_on).chunk(2, -3)
        finished = finished.unflatten(-1, mean.shape[-3:]) * exp(log_std) + mean
        return cat([going_on, finished], -3), log_det + log_std.sum((-3, -2, -1))


def steps_of(image_shape: Sequence[int], steps: int, hidden: int) -> list[Flow]:
    """`steps` × (actnorm -> 1×1 convolution -> coupling), figure 2a"""
    step = lambda: (ActNorm(image_shape), LULinear(image_shape), ConvCoupling(image_shape, hidden))
    return [flow for _ in range(steps) for flow in step()]


def levels_of(image_shape: Sequence[int], levels: int, steps: int, hidden: int) -> Flow:
    """Squeeze, steps, and what comes behind them: fewer levels of half the image, figure 2b"""
    C, H, W = image_shape
    squeeze = Squeeze(image_shape)
    shape = squeeze.latent_shape
    if levels == 1:
        end: Flow = Flatten(shape)
    else:
        end = Split(shape, levels_of((2 * C, H // 2, W // 2), levels - 1, steps, hidden))
    return Compose(squeeze, *steps_of(shape, steps, hidden), end)


class Glow(Compose):
    """Images [B, C, H, W] -> z [B, C H W], of which each level but the last finishes a half.

    image_shape: (C, H, W), with H and W multiples of 2^levels.
    hidden: the channels within the couplings.
    alpha: images are in [0, 1], and the flow begins with Logit(alpha); None: they may be anything.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        levels: int = 2,
        steps: int = 4,
        hidden: int = 64,
        *,
        alpha: float | None = 0.05,
        base: Distribution | None = None,
    ):
        C, H, W = image_shape
        if levels < 1 or H % 2**levels or W % 2**levels:
            raise ValueError(
                f"Glow halves images {levels} times, for which height and width must be multiples "
                f"of {2**levels}; {H} × {W} are not: pad the images, or take fewer levels"
            )
        first = [] if alpha is None else [Logit(image_shape, alpha)]
        super().__init__(*first, levels_of((C, H, W), levels, steps, hidden), base=base)
