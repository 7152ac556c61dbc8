"""Autoencoder and VAE: images squeezed through a few numbers, the second time with a prior.

    x [B, C, H, W] -> encoder -> mean, log_var [B, L] -> z [B, L] -> decoder -> p(x | z)

Kingma & Welling 2014, "Auto-encoding variational Bayes", of which all equations are, unless said
otherwise. What others added is an argument away:

    model.loss(x, beta=4.0)           β-VAE (Higgins et al. 2017)
    model.iwae(x, k=64)               importance-weighted bound (Burda, Grosse & Salakhutdinov 2016)
    VAE(…, classes=10).loss(x, y)     conditional VAE (Sohn, Lee & Yan 2015)

B images of C channels, H × W; L latent dimensions; k samples of z an image; densities in nats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from .. import nn
from ..autograd.creation import full
from ..autograd.grad_mode import no_grad
from ..autograd.ops.join import cat
from ..autograd.random import Generator, randn, randn_like
from ..autograd.tensor import Tensor
from ..nn import functional as F

Shape = tuple[int, ...]  # of an image: C, H, W; MLPs take points [D] as well


# ---- Networks ------------------------------------------------------------------------------------


def mlp(*sizes: int) -> list[nn.Module]:
    """Linear layers of these sizes, with ReLUs between them."""
    layers: list[nn.Module] = []
    for size, next_size in itertools.pairwise(sizes):
        layers += [nn.Linear(size, next_size), nn.ReLU()]
    return layers[:-1]


class MLPEncoder(nn.Module):
    """Images [B, C, H, W] -> [B, features]: for a VAE 2 L features, for an autoencoder L.

    classes: images come with labels, which are put beside the pixels.
    """

    def __init__(self, image: Shape, hidden: Sequence[int], features: int, classes: int = 0):
        super().__init__()
        self.layers = nn.Sequential(*mlp(math.prod(image) + classes, *hidden, features))
        self.image = image

    def forward(self, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        check_shape(x, self.image)
        x = x.flatten(1)  # [B, C H W]
        return self.layers(x if onehot is None else cat([x, onehot], 1))


class MLPDecoder(nn.Sequential):
    """[B, features] -> [B, C, H, W]; with labels there are L + classes features."""

    def __init__(self, features: int, hidden: Sequence[int], image: Shape):
        super().__init__(*mlp(features, *hidden, math.prod(image)), nn.Unflatten(1, image))


class ConvEncoder(nn.Module):
    """The same with a convolution for each of `channels`, each of which halves height and width.

    Labels come as further channels, all 0 but the one of the label, which is 1.
    """

    def __init__(self, image: Shape, channels: Sequence[int], features: int, classes: int = 0):
        super().__init__()
        C, *small = halved(image, channels)
        layers: list[nn.Module] = []
        for narrow, wide in zip([C + classes, *channels], channels):
            layers += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.ReLU()]
        flat = channels[-1] * math.prod(small)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, features))
        self.image = image

    def forward(self, x: Tensor, onehot: Tensor | None = None) -> Tensor:
        check_shape(x, self.image)
        B, _, H, W = x.shape
        if onehot is not None:
            x = cat([x, onehot[:, :, None, None].expand(B, onehot.shape[1], H, W)], 1)
        return self.layers(x)


class ConvDecoder(nn.Sequential):
    """[B, features] -> [B, C, H, W], with a transposed convolution for each of `channels`."""

    def __init__(self, features: int, channels: Sequence[int], image: Shape):
        C, *small = halved(image, channels)
        first = channels[0], *small
        layers: list[nn.Module] = [nn.Linear(features, math.prod(first)), nn.ReLU()]
        layers += [nn.Unflatten(1, first)]
        for wide, narrow in zip(channels, [*channels[1:], C]):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), nn.ReLU()]
        super().__init__(*layers[:-1])


def halved(image: Shape, channels: Sequence[int]) -> Shape:
    """C, and height and width after they were halved once for each of `channels`."""
    (C, H, W), times = image, len(channels)
    if H % 2**times or W % 2**times or not times:
        raise ValueError(f"images of {H} × {W} can't be halved {times} times")
    return C, H // 2**times, W // 2**times


def check_shape(x: Tensor, image: Shape) -> None:
    if tuple(x.shape[1:]) != tuple(image):
        raise ValueError(f"expected images {['B', *image]}, got {tuple(x.shape)}".replace("'", ""))


class Autoencoder(nn.Module):
    """x -> decoder(encoder(x)), by the squared error; no density (Hinton & Salakhutdinov 2006)."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))

    def loss(self, x: Tensor) -> Tensor:
        """The squared error, summed over the pixels and averaged over images x [B, C, H, W]."""
        return (self(x) - x).square().flatten(1).sum(1).mean()


# ---- What the decoder's output means -------------------------------------------------------------


class Bernoulli(nn.Module):
    """p(x | z) of black and white pixels, the decoder's output being logits (appendix C.1).

    Grey ones are taken, too; but then log p(x | z) is a density of nothing.
    """

    def log_prob(self, x: Tensor, logits: Tensor) -> Tensor:
        """log p(x | z) = Σ x log σ(l) + (1 − x) log σ(−l) [B] (equation 11)"""
        return (x * logits - F.softplus(logits)).flatten(1).sum(1)

    def mean(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def check(self, x: np.ndarray) -> None:
        if x.size and not (x.min() >= 0 and x.max() <= 1):  # false for NaN, too
            raise ValueError(
                f"a Bernoulli decoder takes pixels from 0 to 1, got {x.min():.4g} to "
                f"{x.max():.4g}: rescale the images"
            )


class Gaussian(nn.Module):
    """p(x | z) = N(output, σ² I) (appendix C.2), with one σ for all pixels, as in PCA.

    scale: σ at first; it is trained along, unless `learn` is False. The best σ for given outputs is
    their root mean square error (Rybkin, Daniilidis & Levine 2021).
    """

    def __init__(self, scale: float = 1.0, learn: bool = True):
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale is a standard deviation, above 0; got {scale}")
        self.log_scale = nn.Parameter(full((), math.log(scale)), requires_grad=learn)

    def log_prob(self, x: Tensor, mean: Tensor) -> Tensor:
        """log p(x | z) = −½ Σ ((x − mean)² / σ² + log 2πσ²) [B] (equation 12)"""
        residuals = ((x - mean) * (-self.log_scale).exp()).flatten(1)
        constant = self.log_scale + 0.5 * math.log(2 * math.pi)
        return -(0.5 * residuals.square() + constant).sum(1)

    def mean(self, mean: Tensor) -> Tensor:
        return mean

    def check(self, x: np.ndarray) -> None:
        if not np.isfinite(x).all():
            raise ValueError("the images have pixels that are NaN or infinite; leave these out")


# ---- VAE -----------------------------------------------------------------------------------------


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, I)) in closed form, [..., L] -> [...] (appendix B)"""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


def reparametrised(mean: Tensor, log_var: Tensor, noise: Tensor) -> Tensor:
    """z = mean + σ · noise [..., B, L], so that gradients reach mean and σ (section 2.4)."""
    return mean + (0.5 * log_var).exp() * noise


def log_ratio(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log q(z) − log p(z), whose mean over z ~ q is the same divergence, [..., L] -> [...]"""
    return 0.5 * (z.square() - (z - mean).square() * (-log_var).exp() - log_var).sum(-1)


class VAE(nn.Module):
    """p(x) = ∫ p(x | z) N(z; 0, I) dz, and q(z | x) = N(mean(x), diag exp(log_var(x))).

    encoder: images -> [B, 2 L], the mean and the log-variance of q(z | x).
    decoder: z [B, L] -> what `likelihood` takes, of the images' shape.
    latent: L.
    classes: how many kinds of labels y [B] there are, from 0 on; then every method is given y for
        p(x | z, y) and q(z | x, y), the prior staying N(0, I) (Sohn et al. 2015, equation 4). The
        encoder has as many `classes`, and the decoder L + classes features.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, latent: int,
        likelihood: Bernoulli | Gaussian, classes: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.latent, self.classes = latent, classes

    def encode(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images x [B, C, H, W] -> mean and log-variance of q(z | x), [B, L] each."""
        self.likelihood.check(x.array)
        onehot = self.onehot(y, len(x))
        features = self.encoder(x) if onehot is None else self.encoder(x, onehot)
        return features.chunk(2, -1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z [B, L] -> what the likelihood takes, [B, C, H, W]."""
        onehot = self.onehot(y, len(z))
        return self.decoder(z if onehot is None else cat([z, onehot], 1))

    def onehot(self, y: Tensor | None, B: int) -> Tensor | None:
        """The labels y [B] as rows [B, classes] of zeros and a one; None without labels."""
        if (y is None) != (self.classes == 0):
            how = f"with{'out' if y is None else ''} labels"
            raise ValueError(f"a VAE with classes={self.classes} was called {how}")
        if y is None:
            return None
        if y.array.dtype.kind not in "iu" or y.shape != (B,):
            raise ValueError(f"expected {B} whole numbers as labels, got {y.dtype} {y.shape}")
        wrong = y.array[(y.array < 0) | (y.array >= self.classes)]
        if len(wrong):
            raise ValueError(f"expected labels from 0 to {self.classes - 1}, got {wrong[0]}")
        return F.one_hot(y, self.classes).float()

    # ---- Bounds of log p(x) ----

    def elbo(
        self, x: Tensor, y: Tensor | None = None, *, beta: float = 1.0, closed_form: bool = True,
        noise: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """log p(x | z) − β KL(q(z | x) ‖ p(z)) [B], from one z ~ q(z | x); a bound if β ≥ 1.

        closed_form: the divergence exactly (equation 7), or from the same z (equation 6).
        beta: more than 1 asks for codes nearer to the prior, whose dimensions are independent: they
            often come apart (Higgins et al. 2017, equation 4).
        noise: the standard normals [B, L] that z is made of; drawn if not given.
        """
        mean, log_var = self.encode(x, y)
        z = reparametrised(mean, log_var, randn_like(mean) if noise is None else noise)
        kl = gaussian_kl(mean, log_var) if closed_form else log_ratio(z, mean, log_var)
        return self.likelihood.log_prob(x, self.decode(z, y)) - beta * kl

    def loss(self, x: Tensor, y: Tensor | None = None, **options) -> Tensor:
        """−ELBO, the mean over x [B, C, H, W], in nats an image; options as in `elbo`."""
        return -self.elbo(x, y, **options).mean()

    def iwae(self, x: Tensor, y: Tensor | None = None, k: int = 64) -> Tensor:
        """log 1/k Σ p(x, zᵢ) / q(zᵢ | x) [B], zᵢ ~ q(z | x): the tighter a bound, the more of them.

        Burda et al. 2016, equation 8. With k = 1 it is the ELBO, and in the limit log p(x).
        """
        if k < 1:
            raise ValueError(f"k is how many samples of z an image gets, at least 1; got {k}")
        B, L = len(x), self.latent
        mean, log_var = self.encode(x, y)
        z = reparametrised(mean, log_var, randn(k, B, L, dtype=mean.dtype))  # [k, B, L]
        many_y = None if y is None else y.expand(k, B).flatten()
        out = self.decode(z.reshape(k * B, L), many_y)  # [k B, C, H, W]
        many_x = x.expand(k, *x.shape).reshape(out.shape)
        log_prob = self.likelihood.log_prob(many_x, out).reshape(k, B)
        return (log_prob - log_ratio(z, mean, log_var)).logsumexp(0) - math.log(k)

    # ---- Images ----

    @no_grad()
    def mean_image(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(x | z) [B, C, H, W] at z [B, L]."""
        return self.likelihood.mean(self.decode(z, y))

    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The image at the mean of q(z | x), [B, C, H, W]."""
        return self.mean_image(self.encode(x, y)[0], y)

    def sample(self, n: int, y: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Images [n, C, H, W] at points of the prior; for labels y [n]. Without pixel noise."""
        dtype = next(self.decoder.parameters()).dtype
        return self.mean_image(randn(n, self.latent, dtype=dtype, generator=generator), y)
