"""The band of examples/flow_matching_2d.py: the same networks, with the same budget, in PyTorch.

python benchmarks/bands/flow_matching_2d.py 0 1
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
import flow_matching_2d as example
from mlp_in_torch import Average, MLPDenoiser, as_function, to_torch

import tinygen as tg
from tinygen import sde
from tinygen.models.flow_matching import optimal_assignment


def train(seed: int) -> dict[str, sde.Denoiser]:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    exact = example.exact_mixture()

    def independent():
        x0 = to_torch(exact.sample(example.BATCH))
        return x0, torch.randn_like(x0)

    def transport():
        x0, x1 = exact.sample(example.BATCH), tg.randn(example.BATCH, 2)
        return to_torch(x0), to_torch(x1)[optimal_assignment(x0, x1)]

    first = fit(new_network(), independent)
    second = fit(new_network(), transport)
    x1 = tg.randn(example.PAIRS, 2)
    solver = sde.AdaptiveProbabilityFlow(rtol=1e-3, atol=1e-3)
    x0, x1 = to_torch(sde.sample(denoiser(first), x1.shape, solver, x=x1)), to_torch(x1)

    def pairs():
        rows = torch.randint(0, len(x0), (example.BATCH,))
        return x0[rows], x1[rows]

    third = fit(copy.deepcopy(first), pairs)
    names = (example.INDEPENDENT, example.TRANSPORT, example.REFLOW)
    return dict(zip(names, map(denoiser, (first, second, third))))


def new_network() -> nn.Module:
    return MLPDenoiser(2, example.WIDTH, example.BLOCKS)


def denoiser(network: nn.Module) -> sde.Denoiser:
    return sde.Denoiser(as_function(network), sde.FlowMatchingSchedule(), "velocity")


def fit(network: nn.Module, draw) -> nn.Module:
    average = Average(network, copy.deepcopy(network), example.EMA)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    for _ in range(example.STEPS):
        x0, x1 = draw()
        t = torch.rand(len(x0))
        x = (1 - t[:, None]) * x0 + t[:, None] * x1
        loss = F.mse_loss(network(x, t), x1 - x0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update()
    return average.averaged


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        values, curves = example.measure(train(seed))
        for what, value in values.items():
            assert math.isfinite(value)
            print(f"seed {seed}: {what:48s} {value:.4f}", flush=True)
        for name, curve in curves.items():
            print(f"seed {seed}: {name:20s}", *(f"{d:.3f}" for d in curve.values()), flush=True)
