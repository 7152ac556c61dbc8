"""The band of examples/ebm_2d.py: the same network, with the same budget, in PyTorch.

python benchmarks/bands/ebm_2d.py --seed 0
"""

import argparse
import copy
import math
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import ebm_2d as example

import tinygen as tg


class Energy(nn.Module):
    def __init__(self):
        super().__init__()
        sizes, layers = (2, *example.HIDDEN), []
        for into, out in zip(sizes, example.HIDDEN):
            layers += [nn.Linear(into, out), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1, bias=False))

    def forward(self, x):
        return self.layers(x).squeeze(1) + 0.5 * example.CONFINE * (x * x).sum(1)


def langevin(energy, x, steps, step_size):
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(energy(x).sum(), x)
        x = x - step_size * slope + math.sqrt(2 * step_size) * torch.randn_like(x)
    return x.detach()


def run(seed, steps):
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    energy, how = Energy(), example.LANGEVIN
    averaged = copy.deepcopy(energy)
    optimizer = torch.optim.Adam(energy.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = lambda n: how["scale"] * torch.randn(n, 2)
    chains = start(how["chains"])
    for step in range(steps):
        data = torch.from_numpy(example.moons(example.BATCH).numpy())
        chosen = torch.randperm(len(chains))[: example.BATCH]
        anew = torch.rand(example.BATCH, 1) < how["fresh"]
        samples = torch.where(anew, start(example.BATCH), chains[chosen])
        samples = langevin(energy, samples, how["steps"], how["step_size"])
        chains[chosen] = samples
        loss = energy(data).mean() - energy(samples).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(energy.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for mean, p in zip(averaged.parameters(), energy.parameters()):
                mean.lerp_(p, 1 - example.EMA if step else 1.0)
    with torch.no_grad():
        return example.divergence(lambda x: tg.tensor(averaged(torch.from_numpy(x.array)).numpy()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=example.STEPS)
    args = parser.parse_args()
    print(f"seed {args.seed}: KL {run(args.seed, args.steps):.4f} nats")
