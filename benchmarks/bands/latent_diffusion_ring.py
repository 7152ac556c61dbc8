"""The band of examples/latent_diffusion_ring.py: the same networks, with the same budget, in
PyTorch.

python benchmarks/bands/latent_diffusion_ring.py 0 1
"""

import copy
import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import latent_diffusion_ring as example
from mlp_in_torch import Average, MLPDenoiser, to_torch

import tinygen as tg
from tinygen.models.diffusion import DDPM

LATENT = example.LATENT
SCHEDULE = example.make_diffusion().schedule


def points() -> torch.Tensor:
    return to_torch(example.points(example.BATCH))


# ---- Networks ------------------------------------------------------------------------------------


def mlp(*sizes: int) -> nn.Sequential:
    layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = mlp(example.DIMENSIONS, *example.HIDDEN, 2 * LATENT)
        self.decoder = mlp(LATENT, *example.HIDDEN, example.DIMENSIONS)
        self.log_scale = nn.Parameter(torch.tensor(0.5).log())

    def encode(self, x):
        mean, log_var = self.encoder(x).chunk(2, -1)
        return mean, log_var, mean + (0.5 * log_var).exp() * torch.randn_like(mean)

    def loss(self, x):
        mean, log_var, z = self.encode(x)
        residuals = (x - self.decoder(z)) / self.log_scale.exp()
        misfit = (0.5 * residuals**2 + self.log_scale).sum(1)
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        return (misfit + kl).mean()


# ---- Training and measuring ----------------------------------------------------------------------


def trained(network: nn.Module, loss) -> nn.Module:
    """The average of the weights over the last steps; the network itself has the last ones."""
    average = Average(network, copy.deepcopy(network), example.EMA)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, example.STEPS)
    for _ in range(example.STEPS):
        optimizer.zero_grad()
        loss(points()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        decay.step()
        average.update()
    return average.averaged


def train(seed: int) -> tuple[VAE, MLPDenoiser, torch.Tensor]:
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the data, which are tinygen's
    vae, network = VAE(), MLPDenoiser(LATENT, example.WIDTH, example.BLOCKS)
    trained(vae, vae.loss)
    with torch.no_grad():
        scale = vae.encode(points())[2].std()

    def loss(x):
        with torch.no_grad():
            z = vae.encode(x)[2] / scale
        t = torch.randint(1, example.CHAIN + 1, (len(z),)) * (SCHEDULE.end / example.CHAIN)
        alpha, sigma = (torch.from_numpy(f(tg.from_numpy(t.numpy())).numpy())[:, None]
                        for f in (SCHEDULE.alpha, SCHEDULE.sigma))  # fmt: skip
        noise = torch.randn_like(z)
        return F.mse_loss(network(alpha * z + sigma * noise, t), alpha * noise - sigma * z)

    return vae, trained(network, loss), scale


class Called(tg.nn.Module):
    """PyTorch's network inside of tinygen, for the same sampler."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.call = [network]

    def forward(self, x, t):
        given = (to_torch(part) for part in (x, t))
        return tg.from_numpy(self.call[0](*given).numpy())


@torch.no_grad()
def measure(vae: VAE, network: MLPDenoiser, scale: torch.Tensor) -> dict[str, float]:
    model = DDPM(Called(network), SCHEDULE, example.CHAIN, prediction="v")
    model.steps_trained.fill_(1)
    codes = example.codes_of(lambda shape, **options: scale.item() * model.sample(shape, **options))
    decoded = [vae.decoder(torch.from_numpy(z.numpy())).numpy() for z in codes]
    return example.measure(*(tg.from_numpy(x) @ example.PLANE.T for x in decoded))


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0", "1"]):
        for what, value in measure(*train(seed)).items():
            print(f"seed {seed}: {what:46s} {value:.4f}", flush=True)
