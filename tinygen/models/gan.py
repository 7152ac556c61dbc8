"""GAN: a generator that makes samples of noise, and a discriminator that tells them from real ones,
each trained against the other (Goodfellow et al. 2014, "Generative adversarial nets").

    noise z [B, latent_dim] -> generator -> samples [B, *shape] -> discriminator -> scores [B]

This file has the game: losses, penalties, and who minimises what. The two networks may be any (see
gan_networks.py) that say in `latent_dim` and `shape` what they take and make.

A score is a logit: sigmoid(score) is the probability that a sample is real. Given the generator's
density q, the best discriminator of the data's density p is D* = p / (p + q), and the value of the
game is then −log 4 + 2 JSD(p, q) (Goodfellow et al. 2014, proposition 1 and theorem 1).

Shapes: B samples of `shape`, which is (features,) for points and (C, H, W) for images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from .. import nn
from ..autograd.engine import grad
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.random import Generator, rand, randn
from ..autograd.tensor import Tensor
from ..nn import functional as F

# ---- Losses --------------------------------------------------------------------------------------


class Loss(NamedTuple):
    """What each minimises, given scores: of real [B] and fake [B] samples, and of fake ones."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """−E log D(x) − E log(1 − D(G(z))) (Goodfellow et al. 2014, equation 1), with D = σ(score)."""
    return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()


LOSSES = {
    # E log(1 − D(G(z))): the same game for both, with no gradient where the discriminator is sure.
    "minimax": Loss(cross_entropy, lambda fake: F.logsigmoid(-fake).mean()),
    # −E log D(G(z)): strong gradients just there (Goodfellow et al. 2014, section 3).
    "non-saturating": Loss(cross_entropy, lambda fake: -F.logsigmoid(fake).mean()),
    # Lim & Ye 2017, "Geometric GAN", equations 11 and 12.
    "hinge": Loss(
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
        lambda fake: -fake.mean(),
    ),
    # Mao et al. 2017, "Least squares GAN", equation 9: the score itself tends to p / (p + q).
    "least-squares": Loss(
        lambda real, fake: 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
        lambda fake: 0.5 * ((fake - 1) ** 2).mean(),
    ),
    # Arjovsky et al. 2017, "Wasserstein GAN", equation 3, for a score of slope 1 at most.
    "wasserstein": Loss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
}


# ---- Penalties -----------------------------------------------------------------------------------


def input_gradient(discriminator: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂ score / ∂ x of every sample of x [B, *shape], one row each [B, numbers]; in the graph.

    The gradient of the sum of the scores is that of each score only because no sample's score
    depends on the other samples: batch norm would mix them.
    """
    with enable_grad():
        x = x.detach().requires_grad_()
        (g,) = grad(discriminator(x).sum(), x, create_graph=True)
        assert g is not None  # for types: grad raises where x has no part in the score
        return g.flatten(1)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """E (‖∇D(x̂)‖ − 1)² at x̂ = α x + (1 − α) G(z) (Gulrajani et al. 2017, equation 3).

    real, fake [B, *shape]. Every pair has one α of its own, uniform in [0, 1], so that x̂ lies on
    the straight line between the two; the norm is over all numbers of a sample.
    """
    if real.shape != fake.shape:
        raise ValueError(
            "gradient_penalty mixes real and fake samples in pairs: it needs as many of the one "
            f"as of the other, of the same shape; got {real.shape} and {fake.shape}"
        )
    alpha = rand(len(real), *[1] * (real.ndim - 1), dtype=real.dtype, generator=generator)
    between = alpha * real.detach() + (1 - alpha) * fake.detach()  # [B, *shape]
    return ((input_gradient(critic, between).norm(dim=1) - 1) ** 2).mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """E ‖∇D(x)‖² over the real samples [B, *shape], to be weighted by γ / 2 (Mescheder et al. 2018,
    "Which training methods for GANs do actually converge?", equation 9)."""
    return (input_gradient(discriminator, real) ** 2).sum(1).mean()


# ---- The game ------------------------------------------------------------------------------------


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Within, gradients pass through the network, but its own parameters need none."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def check_finite(real: Tensor) -> None:
    finite = np.isfinite(real.array).reshape(len(real), -1).all(1)
    if not finite.all():
        raise ValueError(
            f"GAN: {(~finite).sum()} of the {len(real)} real samples holds NaN or infinity; leave "
            "such samples out of the data, or repair them"
        )


def told(labels: Tensor | None) -> tuple[Tensor, ...]:
    return () if labels is None else (labels,)


class GAN(nn.Module):
    """A generator, a discriminator, and the loss of each.

    loss: one of LOSSES. WGAN-GP is "wasserstein" with gradient_penalty_weight=10 (Gulrajani et al.
        2017, algorithm 1), which takes five steps of the critic for one of the generator.
    gradient_penalty_weight: λ, times `gradient_penalty`; 0 leaves it out.
    r1_gamma: γ / 2 times `r1_penalty`; 0 leaves it out.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: str = "non-saturating",
        *,
        gradient_penalty_weight: float = 0.0,
        r1_gamma: float = 0.0,
    ):
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"GAN: loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        if min(gradient_penalty_weight, r1_gamma) < 0:
            raise ValueError("GAN: gradient_penalty_weight and r1_gamma must not be negative")
        batch_norm = any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
                         for m in discriminator.modules())  # fmt: skip
        if batch_norm and (gradient_penalty_weight or r1_gamma):
            raise ValueError(
                "GAN: batch norm in the discriminator mixes the samples, but a gradient penalty is "
                "about each by itself (Gulrajani et al. 2017, section 4); use norm='layer' or None"
            )
        if generator.shape != discriminator.shape:
            raise ValueError(
                f"GAN: the generator makes samples of shape {generator.shape}, but the "
                f"discriminator takes {discriminator.shape}"
            )
        self.generator, self.discriminator, self.loss = generator, discriminator, loss
        self.gradient_penalty_weight, self.r1_gamma = gradient_penalty_weight, r1_gamma

    def noise(self, n: int, generator: Generator | None = None) -> Tensor:
        """z ~ N(0, 1): [n, latent_dim]"""
        dtype = next(self.generator.parameters()).dtype
        return randn(n, self.generator.latent_dim, dtype=dtype, generator=generator)

    def discriminator_loss(
        self, real: Tensor, z: Tensor | None = None, labels: Tensor | None = None
    ) -> Tensor:
        """The discriminator's loss, penalties included, for real samples [B, *shape] against as
        many fakes, made of noise z [B, latent_dim] (by default drawn). The labels [B], if any, are
        told to both networks."""
        check_finite(real)
        with no_grad():
            z = self.noise(len(real)) if z is None else z
            fake = self.generator(z, *told(labels))
        score = lambda x: self.discriminator(x, *told(labels))
        # Apart, for batch norm: together, each would tell the discriminator about the other.
        loss = LOSSES[self.loss].discriminator(score(real), score(fake))
        if self.gradient_penalty_weight:
            loss = loss + self.gradient_penalty_weight * gradient_penalty(score, real, fake)
        if self.r1_gamma:
            loss = loss + 0.5 * self.r1_gamma * r1_penalty(score, real)
        return loss

    def generator_loss(self, z: Tensor | int, labels: Tensor | None = None) -> Tensor:
        """The generator's loss for noise z [B, latent_dim], or for as many draws of it. Its
        backward leaves the discriminator's gradients alone."""
        z = self.noise(z) if isinstance(z, int) else z
        with frozen(self.discriminator):
            fake = self.generator(z, *told(labels))
            return LOSSES[self.loss].generator(self.discriminator(fake, *told(labels)))

    @no_grad()
    def sample(
        self, n: int, labels: Tensor | None = None, *, generator: Generator | None = None
    ) -> Tensor:
        """n samples [n, *shape]; of batch norm in the mode that the network is in."""
        return self.generator(self.noise(n, generator), *told(labels))
