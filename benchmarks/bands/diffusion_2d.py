"""The band of examples/diffusion_2d.py: the same network, with the same budget, in PyTorch.

python benchmarks/bands/diffusion_2d.py 0 1
"""

import copy
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import diffusion_2d as example

import tinygen as tg
from tinygen.data.toys import nine_gaussians

WIDTH = example.WIDTH


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.time = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)
        self.into, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, h, time):
        return h + self.out(F.silu(self.into(self.norm(h)) + self.time(time)))


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        frequencies = torch.logspace(0, 3, WIDTH // 2)
        self.register_buffer("frequencies", frequencies)
        self.time = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU())
        self.first, self.last = nn.Linear(2, WIDTH), nn.Linear(WIDTH, 2)
        self.blocks = nn.ModuleList([Block() for _ in range(example.BLOCKS)])
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x, t):
        angles = t[:, None] * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        h = self.first(x)
        for block in self.blocks:
            h = block(h, time)
        return self.last(F.silu(h))


def train(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    network = Denoiser()
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    beta_min, beta_max = example.SCHEDULE.beta_min, example.SCHEDULE.beta_max
    for step in range(example.STEPS):
        x0 = torch.from_numpy(nine_gaussians(example.BATCH, noise=example.STD).numpy())
        t = example.START + (1 - example.START) * torch.rand(example.BATCH)
        B = beta_min * t + (beta_max - beta_min) / 2 * t * t
        noise = torch.randn_like(x0)
        x = torch.exp(-B / 2)[:, None] * x0 + torch.sqrt(-torch.expm1(-B))[:, None] * noise
        loss = F.mse_loss(network(x, t), noise)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for mean, p in zip(averaged.parameters(), network.parameters()):
                mean.lerp_(p, 1 - example.EMA if step else 1.0)
    return averaged


class Differentiable(tg.autograd.Function):
    """PyTorch's network inside of tinygen, for the same measurements."""

    @staticmethod
    def forward(ctx, x, t, network):
        with torch.enable_grad():
            ctx.x = torch.from_numpy(x.detach().numpy().copy()).requires_grad_()
            ctx.y = network(ctx.x, torch.from_numpy(t.detach().numpy().copy()))
        return tg.from_numpy(ctx.y.detach().numpy())

    @staticmethod
    def backward(ctx, g):
        (found,) = torch.autograd.grad(
            ctx.y, ctx.x, torch.from_numpy(g.detach().numpy().copy()), retain_graph=True
        )
        return tg.from_numpy(found.numpy()), None, None


def measure(network: nn.Module) -> dict[str, float]:
    function = lambda x, t: Differentiable.apply(x, t, network)
    values, _ = example.measure(tg.sde.Denoiser(function, example.SCHEDULE, "epsilon"))
    return values


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        for what, value in measure(train(seed)).items():
            assert math.isfinite(value)
            print(f"seed {seed}: {what:46s} {value:.4f}", flush=True)
