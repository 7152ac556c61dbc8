"""The band of examples/flow_2d.py: the same flow, with the same budget, in PyTorch.

python benchmarks/bands/flow_2d.py --data checkerboard --seed 0
"""

import argparse
import copy
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import flow_2d as example

import tinygen as tg

K, BOUND = example.BINS, example.BOUND
LEAST = 1e-3  # bin, derivative


def spline(x, theta):
    """Durkan et al. 2019, appendix A.1, between -BOUND and BOUND; x [B], theta [B, 3 K - 1]."""
    edges = []
    for raw in (theta[:, :K], theta[:, K : 2 * K]):
        sizes = LEAST + (1 - LEAST * K) * raw.softmax(-1)
        inner = 2 * BOUND * sizes.cumsum(-1)[:, :-1] - BOUND
        edges.append(F.pad(F.pad(inner, (1, 0), value=-BOUND), (0, 1), value=BOUND))
    inner = LEAST + F.softplus(theta[:, 2 * K :] + math.log(math.expm1(1 - LEAST)))
    d = F.pad(inner, (1, 1), value=1.0)
    at = x.clamp(-BOUND, BOUND)
    k = (at[:, None] >= edges[0][:, 1:-1]).sum(-1, keepdim=True)
    pick = lambda table, index: table.gather(1, index)[:, 0]
    x0, x1, y0, y1, d0, d1 = (pick(table, index) for table in (*edges, d) for index in (k, k + 1))
    s, xi = (y1 - y0) / (x1 - x0), (at - x0) / (x1 - x0)
    below = s + (d0 + d1 - 2 * s) * xi * (1 - xi)
    y = y0 + (y1 - y0) * (s * xi**2 + d0 * xi * (1 - xi)) / below
    slope = s**2 * (d1 * xi**2 + 2 * s * xi * (1 - xi) + d0 * (1 - xi) ** 2) / below**2
    inside = x.abs() < BOUND
    return torch.where(inside, y, x), torch.where(inside, slope.log(), 0.0)


class Flow(nn.Module):
    def __init__(self, first: torch.Tensor):
        super().__init__()
        self.loc = nn.Parameter(-first.mean(0))
        self.log_scale = nn.Parameter(-first.std(0, correction=0).log())
        a, b = example.HIDDEN
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(1, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(),
                          nn.Linear(b, 3 * K - 1))
            for _ in range(example.LAYERS)
        )  # fmt: skip
        for net in self.nets:
            nn.init.zeros_(net[-1].weight)
            nn.init.zeros_(net[-1].bias)

    def log_prob(self, x):
        x, log_det = (x + self.loc) * self.log_scale.exp(), self.log_scale.sum()
        for net in self.nets:
            changed, log_slope = spline(x[:, 1], net(x[:, :1]))
            x, log_det = torch.stack([changed, x[:, 0]], -1), log_det + log_slope
        return -0.5 * (x**2).sum(-1) - math.log(2 * math.pi) + log_det


def run(data: str, seed: int, steps: int) -> float:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    draw = lambda n: torch.from_numpy(tg.data.TOYS[data](n).numpy())
    flow = Flow(draw(4 * example.BATCH))
    averaged = copy.deepcopy(flow)
    optimizer = torch.optim.Adam(flow.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        loss = -flow.log_prob(draw(example.BATCH)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for mean, p in zip(averaged.parameters(), flow.parameters()):
                mean.lerp_(p, 1 - example.EMA if step else 1.0)
    with torch.no_grad():
        return averaged.log_prob(draw(example.TEST)).mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="checkerboard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=example.STEPS)
    args = parser.parse_args()
    found = run(args.data, args.seed, args.steps)
    print(f"{args.data}, seed {args.seed}: {found:.4f} nats")
