"""Latent diffusion: an autoencoder makes few numbers of the data, and a diffusion makes these.

    x -> encoder -> z [B, ...], scaled to variance 1 -> denoising model           training
    noise -> the denoising model's sampler -> z, scaled back -> decoder -> x      sampling

Rombach, Blattmann, Lorenz, Esser & Ommer 2022, "High-resolution image synthesis with latent
diffusion models", section 3. The autoencoder is trained first, and stays as it is. The denoising
model then has fewer dimensions to work in, and none that the decoder knows by itself.

It can also be seen as a better prior for a VAE. One whose decoder is given z ~ N(0, 1) makes
mistakes where the encoder puts no data; the diffusion learns where it puts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..autograd.creation import tensor
from ..autograd.grad_mode import no_grad
from ..autograd.random import Generator, randn
from ..autograd.tensor import Tensor


class LatentDiffusion(nn.Module):
    """A denoising model of what a trained autoencoder makes of data.

    autoencoder: a VAE of tinygen.models.vae, or whatever else has encode(x) -> the mean and the
        log-variance of q(z | x), and mean_image(z) -> x. Nothing here trains it.
    diffusion: a denoising model of z, such as DDPM or ScoreSDE: it has loss(z, condition) and
        sample(shape, ...).
    sampled: whether it learns draws of q(z | x), which is what the decoder was trained with, or the
        means of q(z | x) alone.

    Its first batch says how wide the latents are: z is divided by their standard deviation, one
    number, so that the noise schedule fits any autoencoder (appendix G).
    """

    scale: Tensor

    def __init__(self, autoencoder: Any, diffusion: Any, sampled: bool = True):
        super().__init__()
        self.autoencoder, self.diffusion, self.sampled = autoencoder.eval(), diffusion, sampled
        self.register_buffer("scale", tensor(0.0))  # until the first batch

    def train(self, mode: bool = True) -> LatentDiffusion:
        """As for every module, but the autoencoder stays as it is for evaluation."""
        super().train(mode)
        self.autoencoder.eval()
        return self

    # ---- Latents ----

    @no_grad()
    def latents(self, x: Tensor, *, generator: Generator | None = None) -> Tensor:
        """z [B, ...] of data x [B, ...], as the encoder makes them."""
        mean, log_var = self.autoencoder.encode(x)
        if not self.sampled:
            return mean
        noise = randn(mean.shape, dtype=mean.dtype, generator=generator)
        return mean + (0.5 * log_var).exp() * noise

    @no_grad()
    def set_scale(self, z: Tensor) -> None:
        """Take the standard deviation of the latents z [B, ...]."""
        if (z.array == z.array[:1]).all():
            raise ValueError(
                f"LatentDiffusion: the first batch says how wide the latents are, and in this one "
                f"of {len(z)} they do not differ; begin with more data, or another autoencoder"
            )
        self.scale.fill_(z.std())

    # ---- Training and sampling ----

    def loss(
        self, x: Tensor, condition: Any = None, *, generator: Generator | None = None
    ) -> Tensor:
        """The denoising model's loss for the latents of x [B, ...], a scalar."""
        z = self.latents(x, generator=generator)
        if self.scale.item() == 0:
            self.set_scale(z)
        return self.diffusion.loss(z / self.scale, condition, generator=generator)

    @no_grad()
    def sample(self, shape: Sequence[int], **options: Any) -> Tensor:
        """Data, decoded from samples [*shape] of the latents, (batch, L).

        options: of the denoising model's `sample`. Raises RuntimeError before training.
        """
        return self.decode(self.sample_latents(shape, **options))

    @no_grad()
    def sample_latents(self, shape: Sequence[int], **options: Any) -> Tensor:
        """Samples of z [*shape]."""
        if self.scale.item() == 0:
            raise RuntimeError(
                "LatentDiffusion: this model was never trained, so it knows nothing of the "
                "latents; train it with loss(x), or load_state_dict() of one that was"
            )
        return self.scale * self.diffusion.sample(shape, **options)

    def decode(self, z: Tensor) -> Tensor:
        """Data of latents z [B, ...]."""
        return self.autoencoder.mean_image(z)
