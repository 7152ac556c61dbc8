"""What the network of examples/vae_2d.py reaches in PyTorch, with the same data and budget.

python benchmarks/bands/vae_2d.py [--seeds 3]
"""

import argparse
import math
import pathlib
import sys

import torch
from torch import nn

import tinygen as tg

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import vae_2d as example


def network(before: int, after: int) -> nn.Sequential:
    a, b = example.HIDDEN
    return nn.Sequential(
        nn.Linear(before, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, after)
    )


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = network(2, 2 * example.LATENT), network(example.LATENT, 2)
        self.log_scale = nn.Parameter(torch.tensor(math.log(0.5)))

    def forward(self, x):
        """−ELBO, the mean over points x [B, 2]."""
        mean, log_var = self.encoder(x).chunk(2, -1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        p = torch.distributions.Normal(self.decoder(z), self.log_scale.exp())
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)
        return (kl - p.log_prob(x).sum(-1)).mean()


class AsTinygen:
    """The trained network in the shape that the example's quadrature asks for."""

    def __init__(self, model: VAE):
        self.model, self.likelihood = model, model

    @property
    def log_scale(self):
        return self.model.log_scale

    def decode(self, z: tg.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.model.decoder(torch.from_numpy(z.numpy()))


def train(seed: int) -> tuple[float, float]:
    """−log p(x) by quadrature, and −ELBO, in nats a point held out."""
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    for _ in range(example.STEPS):
        optimizer.zero_grad()
        model(torch.from_numpy(example.pinwheel(example.BATCH).numpy())).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    test = example.held_out()
    with torch.no_grad():
        elbo = sum(model(torch.from_numpy(test.numpy())).item() for _ in range(20)) / 20
    return -example.log_prob(AsTinygen(model), test).mean(), elbo


if __name__ == "__main__":
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--seeds", type=int, default=3)
    for seed in range(made.parse_args().seeds):
        exact, elbo = train(seed)
        print(f"seed {seed}: -log p(x) {exact:.4f} nats, -ELBO is above it by {elbo - exact:.4f}")
