"""The bands of examples/rbm_digits.py: the same machines, with the same budget, in PyTorch.

python benchmarks/bands/rbm_digits.py --seed 0
"""

import argparse
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import rbm_digits as example


class RBM:
    def __init__(self, visible, hidden):
        self.W = (0.01 * torch.randn(visible, hidden)).requires_grad_()
        self.b = torch.zeros(visible, requires_grad=True)
        self.c = torch.zeros(hidden, requires_grad=True)
        self.parameters = [self.W, self.b, self.c]
        self.particles = torch.full((example.CHAINS, visible), 0.5).bernoulli()

    def up(self, v):
        return (v @ self.W + self.c).sigmoid()

    def down(self, h):
        return (h @ self.W.T + self.b).sigmoid()

    def free_energy(self, v):
        return -(v @ self.b) - F.softplus(v @ self.W + self.c).sum(1)

    def log_z(self):
        """By the states of the layer of 16 bits, in float64."""
        W, b, c = (p.double() for p in self.parameters)
        if len(c) < len(b):
            W, b, c = W.T, c, b
        states = (torch.arange(2 ** len(b))[:, None] >> torch.arange(len(b)) & 1).double()
        return torch.logsumexp(states @ b + F.softplus(states @ W + c).sum(1), 0)

    def log_prob(self, v):
        return -self.free_energy(v) - self.log_z()


def train(rbm, pixels, inputs, steps, persistent):
    optimizer = torch.optim.SGD(rbm.parameters, lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        data = inputs(pixels[torch.randint(0, len(pixels), (example.BATCH,))])
        with torch.no_grad():
            start = rbm.particles if persistent else data
            samples = rbm.down(rbm.up(start).bernoulli()).bernoulli()
            rbm.particles = samples
        loss = rbm.free_energy(data).mean() - rbm.free_energy(samples).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def bound(lower, upper, v):
    """Of log p(v), by draws of the bits between the two machines (Hinton et al. 2006, eq. 8)."""
    h = lower.up(v).bernoulli()
    log_p = -F.binary_cross_entropy(lower.down(h), v, reduction="none").sum(1)
    log_q = -F.binary_cross_entropy(lower.up(v), h, reduction="none").sum(1)
    return (upper.log_prob(h) + log_p - log_q).mean().item()


def run(seed, steps):
    torch.manual_seed(seed)
    pixels, test = (torch.from_numpy(example.bits(split).numpy()) for split in ("train", "test"))
    plain, lower = RBM(64, example.HIDDEN), RBM(64, example.HIDDEN)
    for rbm in (plain, lower):
        p = (pixels.sum(0) + 1) / (len(pixels) + 2)
        rbm.b.data = p.logit()
    train(plain, pixels, lambda v: v, steps, False)
    train(lower, pixels, lambda v: v, steps, True)
    upper = RBM(example.HIDDEN, example.TOP)
    if example.TOP == 64:
        upper.W.data, upper.b.data, upper.c.data = (
            lower.W.detach().T.clone(), lower.c.detach().clone(), lower.b.detach().clone()
        )  # fmt: skip
    train(upper, pixels, lambda v: lower.up(v).detach().bernoulli(), steps, True)
    with torch.no_grad():
        return [
            plain.log_prob(test).mean().item(),
            lower.log_prob(test).mean().item(),
            bound(lower, upper, test.repeat(example.DRAWS, 1)),
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=example.STEPS)
    args = parser.parse_args()
    for name, value in zip(example.EXPECTED, run(args.seed, args.steps)):
        print(f"seed {args.seed}: {name} {value:.4f} nats")
