"""An MLP GAN with batch norm (Goodfellow et al. 2014): a step of the discriminator, then one of the
generator, with the non-saturating loss."""

import numpy as np

from .task import Task as Base

BATCH, PIXELS, LATENT = 128, 784, 64


class Task(Base):
    losses = {"discriminator": "discriminator_loss", "generator": "generator_loss"}
    optimizer = "Adam"
    options = {"lr": 2e-4, "betas": (0.5, 0.999)}

    def batch(self, random):
        x = random.uniform(-1, 1, (BATCH, PIXELS)).astype(np.float32)
        return x, random.standard_normal((BATCH, LATENT), np.float32)

    def model(self, m):
        if m.__name__ == "tinygen":
            return tinygen_model()
        nn = m.nn

        class GAN(nn.Module):
            def __init__(self):
                super().__init__()
                self.generator = nn.Sequential(
                    nn.Linear(LATENT, 256), nn.BatchNorm1d(256), nn.ReLU(),
                    nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU(),
                    nn.Linear(512, PIXELS), nn.Tanh(),
                )  # fmt: skip
                self.discriminator = nn.Sequential(
                    nn.Linear(PIXELS, 512), nn.LeakyReLU(0.2),
                    nn.Linear(512, 256), nn.BatchNorm1d(256), nn.LeakyReLU(0.2),
                    nn.Linear(256, 1),
                )  # fmt: skip

        return GAN()

    def discriminator_loss(self, m, model, x, z):
        if m.__name__ == "tinygen":
            return model.discriminator_loss(x, z)
        softplus = m.nn.functional.softplus
        model.discriminator.requires_grad_(True)
        with m.no_grad():
            fake = model.generator(z)
        real_score, fake_score = model.discriminator(x), model.discriminator(fake)
        return softplus(-real_score).mean() + softplus(fake_score).mean()

    def generator_loss(self, m, model, x, z):
        if m.__name__ == "tinygen":
            return model.generator_loss(z)
        model.discriminator.requires_grad_(False)
        return m.nn.functional.softplus(-model.discriminator(model.generator(z))).mean()

    def jax_generator(self, p, z):
        import jax
        import jax.numpy as jnp

        h = z
        for i in (0, 3):
            h = jax.nn.relu(
                batch_norm(p, f"generator.layers.{i + 1}", linear(p, f"generator.layers.{i}", h))
            )
        return jnp.tanh(linear(p, "generator.layers.6", h))

    def jax_score(self, p, x):
        import jax

        h = jax.nn.leaky_relu(linear(p, "discriminator.layers.0", x), 0.2)
        h = batch_norm(p, "discriminator.layers.3", linear(p, "discriminator.layers.2", h))
        return linear(p, "discriminator.layers.5", jax.nn.leaky_relu(h, 0.2))

    def jax_discriminator_loss(self, p, x, z):
        import jax

        fake = jax.lax.stop_gradient(self.jax_generator(p, z))
        real_score, fake_score = self.jax_score(p, x), self.jax_score(p, fake)
        return jax.nn.softplus(-real_score).mean() + jax.nn.softplus(fake_score).mean()

    def jax_generator_loss(self, p, x, z):
        import jax

        return jax.nn.softplus(-self.jax_score(p, self.jax_generator(p, z))).mean()


def tinygen_model():
    from tinygen.models.gan import GAN
    from tinygen.models.gan_networks import MLPDiscriminator, MLPGenerator

    return GAN(
        MLPGenerator(LATENT, (PIXELS,), (256, 512), norm="batch", tanh=True),
        MLPDiscriminator((PIXELS,), (512, 256), norm="batch"),
    )


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def batch_norm(p, name, x):
    """As in training. The running means, which PyTorch and tinygen keep too, are left out here."""
    import jax

    x = x - x.mean(0)
    return x * jax.lax.rsqrt((x**2).mean(0) + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]
