"""An MLP VAE with a Bernoulli decoder (Kingma & Welling 2014): 784-512-256-32 and back.

tinygen's side is tinygen.models.vae, PyTorch's is written as people write it.
"""

import numpy as np

from .task import Task as Base

BATCH, PIXELS, WIDE, NARROW, LATENT = 128, 784, 512, 256, 32


class Task(Base):
    def batch(self, random):
        x = (random.random((BATCH, PIXELS), np.float32) < 0.2).astype(np.float32)
        return x, random.standard_normal((BATCH, LATENT), np.float32)

    def model(self, m):
        nn = m.nn
        encoder = nn.Sequential(
            nn.Linear(PIXELS, WIDE), nn.ReLU(),
            nn.Linear(WIDE, NARROW), nn.ReLU(),
            nn.Linear(NARROW, 2 * LATENT),
        )  # fmt: skip
        decoder = nn.Sequential(
            nn.Linear(LATENT, NARROW), nn.ReLU(),
            nn.Linear(NARROW, WIDE), nn.ReLU(),
            nn.Linear(WIDE, PIXELS),
        )  # fmt: skip
        if m.__name__ == "tinygen":
            from tinygen.models import vae

            return vae.VAE(encoder, decoder, LATENT, vae.Bernoulli())

        class VAE(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.decoder = encoder, decoder

            def forward(self, x, noise):
                mean, log_var = self.encoder(x).chunk(2, dim=-1)
                return self.decoder(mean + (0.5 * log_var).exp() * noise), mean, log_var

        return VAE()

    def loss(self, m, model, x, noise):
        if m.__name__ == "tinygen":
            return model.loss(x, noise=noise)
        logits, mean, log_var = model(x, noise)
        F = m.nn.functional
        misfit = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        divergence = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum()
        return (misfit + divergence) / BATCH

    def jax_loss(self, p, x, noise):
        import jax
        import jax.numpy as jnp

        def mlp(part, h):
            for i in (0, 2, 4):
                h = h @ p[f"{part}.{i}.weight"].T + p[f"{part}.{i}.bias"]
                h = jax.nn.relu(h) if i < 4 else h
            return h

        mean, log_var = jnp.split(mlp("encoder", x), 2, -1)
        logits = mlp("decoder", mean + jnp.exp(0.5 * log_var) * noise)
        misfit = (jax.nn.softplus(logits) - x * logits).sum()
        divergence = 0.5 * (mean**2 + jnp.exp(log_var) - 1 - log_var).sum()
        return (misfit + divergence) / BATCH
