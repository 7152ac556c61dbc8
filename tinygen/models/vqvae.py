"""VQ-VAE: images as a few symbols out of a codebook (van den Oord, Vinyals & Kavukcuoglu 2017,
"Neural discrete representation learning").

    x [B, C, H, W] -> encoder -> [B, D, h, w] -> nearest code of K at each place -> decoder -> x

Shapes: B images of C channels, H × W; h × w places, each with D numbers; K codes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import nn
from ..autograd.creation import zeros
from ..autograd.grad_mode import no_grad
from ..autograd.random import randint
from ..autograd.tensor import Tensor
from ..nn import functional as F


class Quantized(NamedTuple):
    """What VectorQuantizer makes of vectors [B, D, h, w]."""

    vectors: Tensor  # [B, D, h, w], the codes, with the gradient of what they stand for
    codes: Tensor  # [B, h, w], int64: which
    loss: Tensor  # of codebook and commitment, a scalar


class VectorQuantizer(nn.Module):
    """Each vector becomes the nearest of K codes e (equations 1 and 2); gradients go straight
    through, as if it had stayed what it was.

    loss = ‖sg[z] − e‖² + β ‖z − sg[e]‖², the mean over all entries (the last terms of equation 3):
    the first moves codes to their vectors, the second, the commitment, vectors to their codes.

    commitment: β.
    decay: None, or the codes are not trained but moving averages of their vectors (appendix A.1),
        which drops the first term; in training mode each call moves them. A code that hardly any
        vector chooses (one in a hundred of an equal share) goes to where a random one of them is.
    """

    shares: Tensor
    sums: Tensor

    def __init__(self, K: int, D: int, commitment: float = 0.25, decay: float | None = None):
        super().__init__()
        if K < 1 or D < 1:
            raise ValueError(f"a codebook has at least one code of one number, got {K=}, {D=}")
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"decay lies in [0, 1), got {decay}")
        self.K, self.D, self.commitment, self.decay = K, D, commitment, decay
        self.codebook = nn.Embedding(K, D)
        nn.init.uniform_(self.codebook.weight, -1 / K, 1 / K)
        if decay is not None:
            self.codebook.weight.requires_grad = False
            self.register_buffer("shares", zeros(K) + 1.0)
            self.register_buffer("sums", self.codebook.weight.detach().clone())

    def forward(self, z: Tensor) -> Quantized:
        """Vectors z [B, D, h, w]; see Quantized."""
        if z.ndim != 4 or z.shape[1] != self.D:
            raise ValueError(f"expected vectors [B, {self.D}, h, w], got {tuple(z.shape)}")
        B, D, h, w = z.shape
        flat = z.permute(0, 2, 3, 1).reshape(-1, D)  # [B h w, D]
        codes = self.nearest(flat)
        e = self.codebook(codes)  # [B h w, D]
        loss = self.commitment * F.mse_loss(flat, e.detach())
        if self.decay is None:
            loss = loss + F.mse_loss(e, flat.detach())
        elif self.training:
            self.follow(flat.detach(), codes)
        straight = flat + (e - flat).detach()
        vectors = straight.reshape(B, h, w, D).permute(0, 3, 1, 2)
        return Quantized(vectors, codes.reshape(B, h, w), loss)

    @no_grad()
    def nearest(self, flat: Tensor) -> Tensor:
        """Which code is the nearest to each of the vectors [N, D]: [N] (equation 1)."""
        e = self.codebook.weight
        # ‖z − e‖² = ‖z‖² − 2 z·e + ‖e‖², of which the first is the same for all codes.
        return (e.square().sum(1) - 2 * flat @ e.T).argmin(1)

    @no_grad()
    def follow(self, flat: Tensor, codes: Tensor) -> None:
        """N ← γ N + (1 − γ) n;  m ← γ m + (1 − γ) Σ z;  e = m / N (equations 6 to 8)."""
        assert self.decay is not None
        onehot = F.one_hot(codes, self.K).to(flat.dtype)  # [N, K]
        self.shares.lerp_(onehot.sum(0), 1 - self.decay)
        self.sums.lerp_(onehot.T @ flat, 1 - self.decay)
        unused = self.shares < 0.01 * len(flat) / self.K
        if unused.any().item():
            places = unused.nonzero()[:, 0]
            equal = len(flat) / self.K
            self.sums[places] = equal * flat[randint(0, len(flat), (len(places),))]
            self.shares[places] = equal
        self.codebook.weight.copy_(self.sums / self.shares[:, None])


def perplexity(codes: Tensor, K: int) -> float:
    """exp of the entropy of how often the K codes occur in `codes`: how many are in use, from 1
    to K.
    """
    counts = np.bincount(codes.numpy().reshape(-1), minlength=K)
    p = counts[counts > 0] / counts.sum()
    return math.exp(-(p * np.log(p)).sum())


class ResidualBlock(nn.Module):
    """x + a 3×3 and a 1×1 convolution of it, with ReLUs before both (section 4.1)."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class VQVAE(nn.Module):
    """Encoder, quantizer and decoder; -log p(x | e) is a squared error or that of logits.

    image: C, H, W, both of the latter multiples of 2^halvings.
    halvings: how often convolutions of stride 2 halve height and width.
    binary: pixels are black or white, and p(x | e) Bernoulli; otherwise Gaussian of variance
        `variance`, and the constant of its density is left out.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        K: int = 64,
        D: int = 16,
        channels: int = 32,
        halvings: int = 1,
        *,
        binary: bool = False,
        variance: float = 1.0,
        commitment: float = 0.25,
        decay: float | None = None,
    ):
        super().__init__()
        C, H, W = image
        if H % 2**halvings or W % 2**halvings or halvings < 1:
            raise ValueError(f"images of {H} × {W} can't be halved {halvings} times")
        self.image, self.binary, self.variance = image, binary, variance
        self.quantizer = VectorQuantizer(K, D, commitment, decay)
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for i in range(halvings):
            down += [nn.Conv2d(channels if i else C, channels, 4, 2, 1), nn.ReLU()]
            up += [
                nn.ReLU(),
                nn.ConvTranspose2d(channels, channels if i < halvings - 1 else C, 4, 2, 1),
            ]
        blocks = [ResidualBlock(channels, channels) for _ in range(4)]
        self.encoder = nn.Sequential(*down[:-1], *blocks[:2], nn.ReLU(), nn.Conv2d(channels, D, 1))
        self.decoder = nn.Sequential(nn.Conv2d(D, channels, 3, padding=1), *blocks[2:], *up)

    def forward(self, x: Tensor) -> tuple[Tensor, Quantized]:
        """Images x [B, C, H, W] -> what the decoder says of them, and what it was told."""
        if tuple(x.shape[1:]) != tuple(self.image):
            C, H, W = self.image
            raise ValueError(f"expected images [B, {C}, {H}, {W}], got {tuple(x.shape)}")
        if not np.isfinite(x.array).all():
            raise ValueError("the images have pixels that are NaN or infinite; leave these out")
        quantized = self.quantizer(self.encoder(x))
        return self.decoder(quantized.vectors), quantized

    def misfit(self, x: Tensor, out: Tensor) -> Tensor:
        """−log p(x | e) [B], in nats, of images and what the decoder says of them."""
        if self.binary:
            return (F.softplus(out) - x * out).flatten(1).sum(1)
        return (x - out).square().flatten(1).sum(1) / (2 * self.variance)

    def loss(self, x: Tensor) -> Tensor:
        """−log p(x | e) and the quantizer's loss (equation 3), in nats a pixel."""
        out, quantized = self(x)
        return self.misfit(x, out).mean() / math.prod(self.image) + quantized.loss

    @no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Codes [B, h, w], int64, of images x."""
        return self(x)[1].codes

    @no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Images [B, C, H, W] of codes [B, h, w]."""
        K = self.quantizer.K
        if codes.numel() and not 0 <= codes.array.min() <= codes.array.max() < K:
            raise ValueError(f"expected codes from 0 to {K - 1}")
        out = self.decoder(self.quantizer.codebook(codes).permute(0, 3, 1, 2))
        return out.sigmoid() if self.binary else out

    def reconstruct(self, x: Tensor) -> Tensor:
        """What is left of images x [B, C, H, W] in their codes."""
        return self.decode(self.encode(x))
