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

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import diffusion_2d as example
from mlp_in_torch import Average, MLPDenoiser, as_function, to_torch

import tinygen as tg
from tinygen.data.toys import nine_gaussians


def new_network() -> nn.Module:
    return MLPDenoiser(2, example.WIDTH, example.BLOCKS)


def train(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    network = new_network()
    average = Average(network, copy.deepcopy(network), example.EMA)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    beta_min, beta_max = example.SCHEDULE.beta_min, example.SCHEDULE.beta_max
    for _ in range(example.STEPS):
        x0 = to_torch(nine_gaussians(example.BATCH, noise=example.STD))
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
        average.update()
    return average.averaged


def measure(network: nn.Module) -> dict[str, float]:
    denoiser = tg.sde.Denoiser(as_function(network), example.SCHEDULE, "epsilon")
    values, _ = example.measure(denoiser)
    return values


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        for what, value in measure(train(seed)).items():
            assert math.isfinite(value)
            print(f"seed {seed}: {what:46s} {value:.4f}", flush=True)
