"""The band of examples/flow_digits.py: the same flow, with the same budget, in PyTorch.

python benchmarks/bands/flow_digits.py --seed 0
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
import flow_digits as example

SHAPE, LEVELS, SIZE = example.SIZES[False]
ALPHA = 0.05


def zero(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Step(nn.Module):
    """Actnorm, 1×1 convolution in LU form, affine coupling: Kingma & Dhariwal 2018, table 1."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.started = False
        P, L, U = torch.linalg.lu(nn.init.orthogonal_(torch.empty(channels, channels)))
        self.register_buffer("P", P)
        self.register_buffer("sign", U.diagonal().sign())
        self.L, self.U = nn.Parameter(L.tril(-1)), nn.Parameter(U.triu(1))
        self.log_diagonal = nn.Parameter(U.diagonal().abs().log())
        half = channels // 2
        self.net = nn.Sequential(
            nn.Conv2d(half, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(), zero(nn.Conv2d(hidden, channels, 3, padding=1)),
        )  # fmt: skip

    def forward(self, x):
        C, H, W = x.shape[1:]
        if not self.started:
            with torch.no_grad():
                self.loc.copy_(-x.mean((0, 2, 3), keepdim=True))
                std = x.std((0, 2, 3), correction=0, keepdim=True)
                self.log_scale.copy_(-torch.where(std > 1e-6, std, 1.0).log())
            self.started = True
        x = (x + self.loc) * self.log_scale.exp()
        U = self.U.triu(1) + torch.diag(self.sign * self.log_diagonal.exp())
        weight = self.P @ ((self.L.tril(-1) + torch.eye(C)) @ U)
        x = F.conv2d(x, weight[:, :, None, None])
        kept, changed = x.chunk(2, 1)
        raw, shift = self.net(kept).chunk(2, 1)
        log_s = F.logsigmoid(raw + 2)
        log_det = H * W * (self.log_scale.sum() + self.log_diagonal.sum())
        return torch.cat([kept, (changed + shift) * log_s.exp()], 1), log_det + log_s.sum((1, 2, 3))


class Glow(nn.Module):
    def __init__(self):
        super().__init__()
        self.levels, self.priors, channels = nn.ModuleList(), nn.ModuleList(), SHAPE[0]
        for level in range(SIZE["levels"]):
            channels *= 4
            steps = [Step(channels, SIZE["hidden"]) for _ in range(SIZE["steps"])]
            self.levels.append(nn.ModuleList(steps))
            if level < SIZE["levels"] - 1:
                channels //= 2
                self.priors.append(zero(nn.Conv2d(channels, 2 * channels, 3, padding=1)))

    def log_prob(self, x):
        p = ALPHA + (1 - 2 * ALPHA) * x
        log_p, log_q = p.log(), torch.log1p(-p)
        total = (math.log(1 - 2 * ALPHA) - log_p - log_q).sum((1, 2, 3))
        x = log_p - log_q
        normal = lambda z: -0.5 * (z**2 + math.log(2 * math.pi)).sum((1, 2, 3))
        for i, steps in enumerate(self.levels):
            x = F.pixel_unshuffle(x, 2)
            for step in steps:
                x, log_det = step(x)
                total = total + log_det
            if i < len(self.priors):
                x, finished = x.chunk(2, 1)
                mean, log_std = self.priors[i](x).chunk(2, 1)
                finished = (finished - mean) * torch.exp(-log_std)
                total = total + normal(finished) - log_std.sum((1, 2, 3))
        return total + normal(x)


def dequantize(images):
    return (images * (LEVELS - 1) + torch.rand_like(images)) / LEVELS


def run(seed: int, steps: int) -> float:
    torch.manual_seed(seed)
    train, test = (torch.from_numpy(example.load(False, s).numpy()) for s in ("train", "test"))
    flow, dimensions = Glow(), math.prod(SHAPE)
    with torch.no_grad():
        flow.log_prob(dequantize(train[: 4 * example.BATCH]))
    averaged = copy.deepcopy(flow)
    loader = torch.utils.data.DataLoader(train, example.BATCH, shuffle=True, drop_last=True)
    optimizer = torch.optim.Adam(flow.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    done = 0
    while done < steps:
        for batch in loader:
            loss = -flow.log_prob(dequantize(batch)).mean() / dimensions
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                for mean, p in zip(averaged.parameters(), flow.parameters()):
                    mean.lerp_(p, 1 - example.EMA if done else 1.0)
            done += 1
            if done == steps:
                break
    with torch.no_grad():
        nats = sum(averaged.log_prob(dequantize(test)).mean().item() for _ in range(10)) / 10
    return math.log2(LEVELS) - nats / dimensions / math.log(2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=example.STEPS)
    args = parser.parse_args()
    print(f"seed {args.seed}: {run(args.seed, args.steps):.4f} bits per dimension")
