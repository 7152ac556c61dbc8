"""A small convolutional U-Net that denoises images (Ronneberger et al. 2015; group norm, SiLU and
the time added to every block as in Ho et al. 2020)."""

import math

import numpy as np

from .task import Task as Base

BATCH, SIDE, GROUPS, TIME = 16, 28, 8, 64
CHANNELS = (32, 64, 128)  # at 28 × 28, 14 × 14 and 7 × 7


class Task(Base):
    def batch(self, random):
        x, noise = random.standard_normal((2, BATCH, 1, SIDE, SIDE), np.float32)
        return x, noise, random.random((BATCH, 1), np.float32)

    def model(self, m):
        nn, F = m.nn, m.nn.functional

        class Block(nn.Module):
            """Two convolutions past which the input goes, too."""

            def __init__(self, into, out):
                super().__init__()
                self.norm1, self.norm2 = nn.GroupNorm(GROUPS, into), nn.GroupNorm(GROUPS, out)
                self.conv1 = nn.Conv2d(into, out, 3, padding=1)
                self.conv2 = nn.Conv2d(out, out, 3, padding=1)
                self.time = nn.Linear(TIME, out)
                self.past = nn.Conv2d(into, out, 1)

            def forward(self, x, time):
                h = self.conv1(F.silu(self.norm1(x))) + self.time(time)[:, :, None, None]
                return self.past(x) + self.conv2(F.silu(self.norm2(h)))

        class UNet(nn.Module):
            def __init__(self):
                super().__init__()
                a, b, c = CHANNELS
                self.register_buffer("frequencies", m.from_numpy(frequencies()))
                self.time = nn.Sequential(nn.Linear(TIME, TIME), nn.SiLU())
                self.first = nn.Conv2d(1, a, 3, padding=1)
                self.down1, self.down2 = Block(a, a), Block(b, b)
                self.shrink1 = nn.Conv2d(a, b, 3, stride=2, padding=1)
                self.shrink2 = nn.Conv2d(b, c, 3, stride=2, padding=1)
                self.middle = Block(c, c)
                self.up2, self.up1 = Block(c + b, b), Block(b + a, a)
                self.norm, self.last = nn.GroupNorm(GROUPS, a), nn.Conv2d(a, 1, 3, padding=1)

            def forward(self, x, t):
                angles = t * self.frequencies
                time = self.time(m.cat([angles.sin(), angles.cos()], dim=-1))
                h1 = self.down1(self.first(x), time)  # [B, 32, 28, 28]
                h2 = self.down2(self.shrink1(h1), time)  # [B, 64, 14, 14]
                h = self.middle(self.shrink2(h2), time)  # [B, 128, 7, 7]
                h = self.up2(m.cat([F.interpolate(h, scale_factor=2), h2], dim=1), time)
                h = self.up1(m.cat([F.interpolate(h, scale_factor=2), h1], dim=1), time)
                return self.last(F.silu(self.norm(h)))

        return UNet()

    def loss(self, m, model, x, noise, t):
        signal = (0.5 * math.pi * t).cos()[:, :, None, None]
        noisy = signal * x + (1 - signal**2).sqrt() * noise
        return m.nn.functional.mse_loss(model(noisy, t), noise)

    def jax_loss(self, p, x, noise, t):
        import jax
        import jax.numpy as jnp

        def conv(name, h, stride=1):
            weight = p[f"{name}.weight"]
            side = weight.shape[-1] // 2
            h = jax.lax.conv_general_dilated(
                h, weight, (stride, stride), [(side, side)] * 2,
                dimension_numbers=("NCHW", "OIHW", "NCHW"),
            )  # fmt: skip
            return h + p[f"{name}.bias"][:, None, None]

        def norm(name, h):
            groups = h.reshape(BATCH, GROUPS, -1)
            groups = groups - groups.mean(-1, keepdims=True)
            groups = groups * jax.lax.rsqrt((groups**2).mean(-1, keepdims=True) + 1e-5)
            h = groups.reshape(h.shape)
            return h * p[f"{name}.weight"][:, None, None] + p[f"{name}.bias"][:, None, None]

        def linear(name, h):
            return h @ p[f"{name}.weight"].T + p[f"{name}.bias"]

        def block(name, h, time):
            inner = conv(f"{name}.conv1", jax.nn.silu(norm(f"{name}.norm1", h)))
            inner = inner + linear(f"{name}.time", time)[:, :, None, None]
            inner = conv(f"{name}.conv2", jax.nn.silu(norm(f"{name}.norm2", inner)))
            return conv(f"{name}.past", h) + inner

        def twice(h):
            return h.repeat(2, axis=2).repeat(2, axis=3)

        signal = jnp.cos(0.5 * math.pi * t)[:, :, None, None]
        noisy = signal * x + jnp.sqrt(1 - signal**2) * noise
        angles = t * frequencies()
        time = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        time = jax.nn.silu(linear("time.0", time))
        h1 = block("down1", conv("first", noisy), time)
        h2 = block("down2", conv("shrink1", h1, 2), time)
        h = block("middle", conv("shrink2", h2, 2), time)
        h = block("up2", jnp.concatenate([twice(h), h2], 1), time)
        h = block("up1", jnp.concatenate([twice(h), h1], 1), time)
        return ((conv("last", jax.nn.silu(norm("norm", h))) - noise) ** 2).mean()


def frequencies():
    """[TIME / 2] from 1 to 1,000, evenly spaced on the logarithmic scale."""
    return np.geomspace(1, 1000, TIME // 2).astype(np.float32)
