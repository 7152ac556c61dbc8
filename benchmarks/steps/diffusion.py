"""Denoising diffusion on the plane (Ho et al. 2020, equation 14): a residual MLP is told the time
by sines and predicts the noise."""

import math

import numpy as np

from .task import Task as Base

BATCH, WIDTH, BLOCKS = 512, 128, 3


class Task(Base):
    def batch(self, random):
        x, noise = random.standard_normal((2, BATCH, 2), np.float32)
        return x, noise, random.random((BATCH, 1), np.float32)

    def model(self, m):
        nn, F = m.nn, m.nn.functional
        if hasattr(nn, "MLPDenoiser"):  # tinygen has this very network
            return nn.MLPDenoiser(2, WIDTH, BLOCKS)

        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.LayerNorm(WIDTH)
                self.time = nn.Linear(WIDTH, WIDTH)
                self.into, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

            def forward(self, h, time):
                return h + self.out(F.silu(self.into(self.norm(h)) + self.time(time)))

        class Denoiser(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("frequencies", m.from_numpy(frequencies()))
                self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU())
                self.first, self.last = nn.Linear(2, WIDTH), nn.Linear(WIDTH, 2)
                self.blocks = nn.ModuleList([Block() for _ in range(BLOCKS)])

            def forward(self, x, t):
                angles = t[:, None] * self.frequencies
                time = self.time(m.cat([angles.sin(), angles.cos()], dim=-1))
                h = self.first(x)
                for block in self.blocks:
                    h = block(h, time)
                return self.last(F.silu(h))

        return Denoiser()

    def loss(self, m, model, x, noise, t):
        signal = (0.5 * math.pi * t).cos()
        noisy = signal * x + (1 - signal**2).sqrt() * noise
        return m.nn.functional.mse_loss(model(noisy, t[:, 0]), noise)

    def jax_loss(self, p, x, noise, t):
        import jax
        import jax.numpy as jnp

        def linear(name, h):
            return h @ p[f"{name}.weight"].T + p[f"{name}.bias"]

        def norm(name, h):
            h = h - h.mean(-1, keepdims=True)
            h = h * jax.lax.rsqrt((h**2).mean(-1, keepdims=True) + 1e-5)
            return h * p[f"{name}.weight"] + p[f"{name}.bias"]

        signal = jnp.cos(0.5 * math.pi * t)
        noisy = signal * x + jnp.sqrt(1 - signal**2) * noise
        angles = t * frequencies()
        time = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        time = jax.nn.silu(linear("time.0", time))
        h = linear("first", noisy)
        for i in range(BLOCKS):
            inner = linear(f"blocks.{i}.into", norm(f"blocks.{i}.norm", h))
            inner = jax.nn.silu(inner + linear(f"blocks.{i}.time", time))
            h = h + linear(f"blocks.{i}.out", inner)
        return ((linear("last", jax.nn.silu(h)) - noise) ** 2).mean()


def frequencies():
    """[WIDTH / 2] from 1 to 1,000, evenly spaced on the logarithmic scale."""
    return np.geomspace(1, 1000, WIDTH // 2).astype(np.float32)
