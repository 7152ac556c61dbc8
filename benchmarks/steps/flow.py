"""A normalizing flow on the plane: 8 affine coupling layers (Dinh et al. 2017)."""

import math

import numpy as np

import tinygen
from tinygen.models import flow

from .task import Task as Base

BATCH, LAYERS, HIDDEN = 512, 8, 64


class Task(Base):
    def batch(self, random):
        return (random.standard_normal((BATCH, 2), np.float32),)

    def model(self, m):
        return flow.RealNVP(2, LAYERS, (HIDDEN, HIDDEN)) if m is tinygen else in_torch(m)

    def loss(self, m, model, x):
        return -model.log_prob(x).mean()

    def jax_loss(self, p, x):
        import jax
        import jax.numpy as jnp

        log_det = 0.0
        for i in range(LAYERS):
            kept, changed = jnp.split(x, 2, -1)
            h = kept
            for j in (0, 2, 4):
                name = f"flows.{i}.net.{j}"
                h = h @ p[f"{name}.weight"].T + p[f"{name}.bias"]
                h = jax.nn.relu(h) if j < 4 else h
            scale, shift = jnp.split(h, 2, -1)
            scale = jnp.tanh(scale)
            x = jnp.concatenate([changed * jnp.exp(scale) + shift, kept], -1)
            log_det = log_det + scale
        return (0.5 * (x**2).sum(-1) + math.log(2 * math.pi) - log_det.sum(-1)).mean()


def in_torch(torch):
    """tinygen's RealNVP in PyTorch, as one would write it there."""
    nn = torch.nn

    class Coupling(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                nn.Linear(1, HIDDEN), nn.ReLU(),
                nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                nn.Linear(HIDDEN, 2),
            )  # fmt: skip

        def forward(self, x):
            """The next coordinates, changed one first, and log |det| [BATCH, 1]."""
            kept, changed = x.chunk(2, dim=-1)
            scale, shift = self.net(kept).chunk(2, dim=-1)
            scale = scale.tanh()
            return torch.cat([changed * scale.exp() + shift, kept], dim=-1), scale

    class Flow(nn.Module):
        def __init__(self):
            super().__init__()
            self.flows = nn.ModuleList([Coupling() for _ in range(LAYERS)])

        def log_prob(self, x):
            log_det = 0.0
            for layer in self.flows:
                x, scale = layer(x)
                log_det = log_det + scale
            return -0.5 * (x**2).sum(-1) - math.log(2 * math.pi) + log_det.sum(-1)

    return Flow()
