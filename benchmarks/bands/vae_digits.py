"""What the network of examples/vae_digits.py reaches in PyTorch, with the same data and budget.

python benchmarks/bands/vae_digits.py [--mnist] [--seeds 3]
"""

import argparse
import math
import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import vae_digits as example


def make_model(large: bool) -> nn.ModuleDict:
    if large:
        (a, b), L, flat = example.CHANNELS, example.MNIST_LATENT, example.CHANNELS[1] * 49
        encoder = nn.Sequential(
            nn.Conv2d(1, a, 4, 2, 1), nn.ReLU(), nn.Conv2d(a, b, 4, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(flat, 2 * L),
        )  # fmt: skip
        decoder = nn.Sequential(
            nn.Linear(L, flat), nn.ReLU(), nn.Unflatten(1, (b, 7, 7)),
            nn.ConvTranspose2d(b, a, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(a, 1, 4, 2, 1),
        )  # fmt: skip
    else:
        (a, b), L = example.HIDDEN, example.LATENT
        encoder = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, a),
            nn.ReLU(),
            nn.Linear(a, b),
            nn.ReLU(),
            nn.Linear(b, 2 * L),
        )
        decoder = nn.Sequential(
            nn.Linear(L, b), nn.ReLU(), nn.Linear(b, a), nn.ReLU(), nn.Linear(a, 64),
            nn.Unflatten(1, (1, 8, 8)),
        )  # fmt: skip
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder})


def log_weights(model, x, k: int = 1):
    """log p(x | z) and log p(z) − log q(z | x), [k, B] each; the latter sampled."""
    mean, log_var = model["encoder"](x).chunk(2, -1)
    z = mean + (0.5 * log_var).exp() * torch.randn(k, *mean.shape)
    logits = model["decoder"](z.flatten(0, 1)).reshape(k, *x.shape)
    misfit = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none")
    ratio = 0.5 * (((z - mean) ** 2) * (-log_var).exp() + log_var - z**2).sum(-1)
    return -misfit.flatten(2).sum(-1), ratio, mean, log_var


def train(large: bool, seed: int):
    train_images, test = (torch.from_numpy(x.numpy()) for x in example.load(large))
    torch.manual_seed(seed)
    model = make_model(large)
    steps = example.MNIST_STEPS if large else example.STEPS
    optimizer = torch.optim.Adam(model.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = torch.utils.data.DataLoader(train_images, example.BATCH, shuffle=True, drop_last=True)
    step = 0
    while step < steps:
        for images in batches:
            if step == steps:
                break
            log_prob, _, mean, log_var = log_weights(model, torch.bernoulli(images))
            kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)
            loss = -(log_prob[0] - kl).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
    return measure(model, test)


@torch.no_grad()
def measure(model, test, k: int = example.K):
    """−ELBO and the bound with k samples, in nats an image."""
    elbo, bound = [], []
    for x in test.split(100):
        log_prob, _, mean, log_var = log_weights(model, x)
        elbo.append(log_prob[0] - 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1))
        log_prob, ratio, *_ = log_weights(model, x, k)
        bound.append((log_prob + ratio).logsumexp(0) - math.log(k))
    return -torch.cat(elbo).mean().item(), -torch.cat(bound).mean().item()


if __name__ == "__main__":
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--mnist", action="store_true")
    made.add_argument("--seeds", type=int, default=3)
    args = made.parse_args()
    for seed in range(args.seeds):
        elbo, bound = train(args.mnist, seed)
        print(f"seed {seed}: -ELBO {elbo:.3f}, bound with {example.K} samples {bound:.3f} nats")
