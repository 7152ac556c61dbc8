"""The band of examples/schrodinger_bridge_2d.py: the same networks and budget, in PyTorch.

python benchmarks/bands/schrodinger_bridge_2d.py 0 1
"""

import math
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import schrodinger_bridge_2d as example
from mlp_in_torch import MLPDenoiser, to_torch

import tinygen as tg


def bridge_loss(network: nn.Module, x0: torch.Tensor, x1: torch.Tensor) -> torch.Tensor:
    """(1 - t) |drift - (x1 - x) / (1 - t)|² on Brownian bridges"""
    t = torch.rand(len(x0), 1)
    spread = example.SIGMA * torch.sqrt(t * (1 - t))
    x = torch.lerp(x0, x1, t) + spread * torch.randn_like(x0)
    return ((1 - t) * (network(x, t[:, 0]) - (x1 - x) / (1 - t)) ** 2).mean()


def train(network: nn.Module, x0: torch.Tensor, x1: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    for _ in range(example.STEPS):
        rows = torch.randint(0, len(x0), (example.BATCH,))
        loss = bridge_loss(network, x0[rows], x1[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def sample(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Euler and Maruyama"""
    h = 1 / example.PATH_STEPS
    for n in range(example.PATH_STEPS):
        noise = example.SIGMA * math.sqrt(h) * torch.randn_like(x)
        x = x + h * network(x, torch.full((len(x),), n * h)) + noise
    return x


def fit(seed: int) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    forwards, backwards = (MLPDenoiser(2, example.WIDTH, example.BLOCKS) for _ in range(2))
    p, q = (
        lambda draw=draw: to_torch(draw(example.PAIRS)) for draw in (example.moons, example.circle)
    )
    x0, x1 = p(), q()
    for _ in range(example.ITERATIONS):
        train(backwards, x1, x0)
        x1 = q()
        x0 = sample(backwards, x1)
        train(forwards, x0, x1)
        x0 = p()
        x1 = sample(forwards, x0)
    return forwards, backwards


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        ways = (
            lambda x, network=network: tg.from_numpy(sample(network, to_torch(x)).numpy())
            for network in fit(seed)
        )
        for what, value in example.measure(*ways, example.best_cost()).items():
            assert math.isfinite(value)
            print(f"seed {seed}: {what:46s} {value:.4f}", flush=True)
