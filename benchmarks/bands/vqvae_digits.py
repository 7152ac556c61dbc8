"""The band of examples/vqvae_digits.py: its two models, with the same budget, in PyTorch.

python benchmarks/bands/vqvae_digits.py 0 1

What was trained is then put into tinygen's models, so that it is measured by the example itself.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from small_gpt import GPT
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import vqvae_digits as example

import tinygen as tg
from tinygen.data import digits

K, D, C = example.K, example.D, example.CHANNELS


class Quantizer(nn.Module):
    """Codes that are moving averages of their vectors: see tinygen/models/vqvae.py."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codebook", torch.empty(K, D).uniform_(-1 / K, 1 / K))
        self.register_buffer("shares", torch.ones(K))
        self.register_buffer("sums", self.codebook.clone())

    def forward(self, z):
        B, _, h, w = z.shape
        flat = z.permute(0, 2, 3, 1).reshape(-1, D)
        codes = torch.cdist(flat.detach(), self.codebook).argmin(1)
        e = self.codebook[codes]
        loss = 0.25 * F.mse_loss(flat, e)
        self.follow(flat.detach(), codes)
        straight = flat + (e - flat).detach()
        return straight.view(B, h, w, D).permute(0, 3, 1, 2), loss

    def follow(self, flat, codes):
        onehot = F.one_hot(codes, K).float()
        self.shares.lerp_(onehot.sum(0), 1 - example.DECAY)
        self.sums.lerp_(onehot.T @ flat, 1 - example.DECAY)
        equal = len(flat) / K
        unused = (self.shares < 0.01 * equal).nonzero()[:, 0]
        self.sums[unused] = equal * flat[torch.randint(len(flat), (len(unused),))]
        self.shares[unused] = equal
        self.codebook = self.sums / self.shares[:, None]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(), nn.Conv2d(C, C, 3, padding=1), nn.ReLU(), nn.Conv2d(C, C, 1)
        )

    def forward(self, x):
        return x + self.layers(x)


class VQVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.quantizer = Quantizer()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, C, 4, 2, 1), Residual(), Residual(), nn.ReLU(), nn.Conv2d(C, D, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(D, C, 3, padding=1), Residual(), Residual(), nn.ReLU(),
            nn.ConvTranspose2d(C, 1, 4, 2, 1),
        )  # fmt: skip

    def loss(self, x):
        vectors, loss = self.quantizer(self.encoder(x))
        return F.mse_loss(self.decoder(vectors), x) / (2 * example.VARIANCE) + loss


def train(model: nn.Module, loss: Callable, n: int, steps: int, weight_decay: float = 0.0) -> None:
    """loss: of which of n images a batch takes."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=example.LR, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.arange(0)
    for _ in range(steps):
        if len(order) < example.BATCH:
            order = torch.randperm(n)
        batch, order = order[: example.BATCH], order[example.BATCH :]
        optimizer.zero_grad()
        loss(batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def into(ours: tg.nn.Module, values) -> tg.nn.Module:
    """Our model, with these parameters in its order."""
    with tg.no_grad():
        for p, value in zip(ours.parameters(), values, strict=True):
            p.copy_(tg.tensor(value.detach().numpy()))
    return ours.eval()


def run(seed: int, steps: int) -> dict[str, float]:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of what is measured
    images, labels = (torch.tensor(x.numpy()) for x in digits("train"))
    theirs, prior = VQVAE(), GPT(K, example.PLACES, **example.PRIOR)
    train(theirs, lambda batch: theirs.loss(images[batch]), len(images), steps)
    model = into(example.make_vqvae(), [theirs.quantizer.codebook, *theirs.parameters()])
    codes = torch.tensor(model.encode(tg.tensor(images.numpy())).flatten(1).numpy())

    def code_loss(batch):
        tokens = torch.cat([labels[batch, None], codes[batch, :-1]], 1)
        return F.cross_entropy(prior(tokens).flatten(0, 1), codes[batch].flatten())

    train(prior, code_loss, len(images), math.ceil(example.PRIOR_STEPS * steps),
          example.PRIOR_WEIGHT_DECAY)  # fmt: skip
    return example.measure(model, into(example.make_prior(), prior.parameters()))[0]


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        for what, value in run(seed, example.STEPS).items():
            print(f"seed {seed}: {what:46s} {value:.4f}", flush=True)
