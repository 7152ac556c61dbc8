"""The bands of examples/compare_families.py: the same networks, with the same budget, in PyTorch.

python benchmarks/bands/compare_families.py 0 1

The networks are those of the other bands here, but for the GPT. What was trained is then put into
tinygen's models, so that it is measured by the example itself.
"""

import importlib.util
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from gan_training import discriminator_loss
from small_gpt import GPT
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import compare_families as example

import tinygen as tg


def band(name: str):
    """The band of another example, which has the example's name itself."""
    spec = importlib.util.spec_from_file_location(
        f"band_of_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Twin(NamedTuple):
    """parameters: in tinygen's order. descents: whose gradient, of which loss of points [B, 2]."""

    parameters: list[nn.Parameter]
    descents: list[tuple[list[nn.Parameter], Callable[[torch.Tensor], torch.Tensor]]]
    options: dict = {}


def of(*parts: nn.Module) -> list[nn.Parameter]:
    return [p for part in parts for p in part.parameters()]


def draw(n: int = example.BATCH) -> torch.Tensor:
    return torch.from_numpy(example.points(n).numpy())


# ---- The families --------------------------------------------------------------------------------


def vae() -> Twin:
    model = band("vae_2d").VAE()
    parameters = [*of(model.encoder, model.decoder), model.log_scale]
    return Twin(parameters, [(parameters, model)])


def gan() -> Twin:
    module = band("gan_25gaussians")
    G, D = module.networks()
    noise = lambda x: torch.randn(len(x), module.example.LATENT)
    loss_of_D = lambda x: discriminator_loss(G, D, x, noise(x), module.example.GAMMA)
    loss_of_G = lambda x: F.softplus(-D(G(noise(x)))).mean()
    return Twin(of(G, D), [(of(D), loss_of_D), (of(G), loss_of_G)], {"betas": example.BETAS})


def flow() -> Twin:
    model = band("flow_2d").Flow(draw())
    return Twin(of(model), [(of(model), lambda x: -model.log_prob(x).mean())])


def diffusion() -> Twin:
    network, settings = band("diffusion_2d").new_network(), example.diffusion_2d
    scale = lambda function, t: torch.from_numpy(function(tg.tensor(t.numpy())).numpy())[:, None]

    def loss(x0):
        t = settings.START + (1 - settings.START) * torch.rand(len(x0))
        noise = torch.randn_like(x0)
        alpha, sigma = (scale(f, t) for f in (settings.SCHEDULE.alpha, settings.SCHEDULE.sigma))
        return F.mse_loss(network(alpha * x0 + sigma * noise, t), noise)

    return Twin(of(network), [(of(network), loss)])


def energy() -> Twin:
    module, how = band("ebm_2d"), example.LANGEVIN
    model = module.Energy()
    start = lambda n: how["scale"] * torch.randn(n, 2)
    chains = start(how["chains"])

    def loss(x):
        chosen = torch.randperm(len(chains))[: len(x)]
        anew = torch.rand(len(x), 1) < how["fresh"]
        samples = torch.where(anew, start(len(x)), chains[chosen])
        samples = module.langevin(model, samples, how["steps"], how["step_size"])
        chains[chosen] = samples
        return model(x).mean() - model(samples).mean()

    return Twin(of(model), [(of(model), loss)])


def autoregressive() -> Twin:
    model = GPT(example.BINS, 2, **example.GPT_SIZE)
    width = 2 * example.EDGE / example.BINS

    def loss(x):
        bins = ((x + example.EDGE) / width).floor().long()
        logits = model(F.pad(bins[:, :1], (1, 0)))
        nats = 2 * F.cross_entropy(logits.flatten(0, 1), bins.flatten())  # of a cell
        return nats + 2 * math.log(width)

    return Twin(of(model), [(of(model), loss)])


TWINS = {"VAE": vae, "GAN": gan, "flow": flow, "diffusion": diffusion, "energy": energy,
         "autoregressive": autoregressive}  # fmt: skip


# ---- Training ------------------------------------------------------------------------------------


def train(twin: Twin, lr: float, steps: int) -> list[torch.Tensor]:
    """The averages of the twin's parameters."""
    averages = [p.detach().clone() for p in twin.parameters]
    optimizers = [torch.optim.Adam(mine, lr=lr, **twin.options) for mine, _ in twin.descents]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, steps) for o in optimizers]
    for step in range(steps):
        x = draw()
        for optimizer, (mine, loss) in zip(optimizers, twin.descents):
            optimizer.zero_grad()
            loss(x).backward(inputs=mine)
            nn.utils.clip_grad_norm_(mine, 1.0)
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        for average, p in zip(averages, twin.parameters):
            average.lerp_(p.detach(), 1 - example.EMA if step else 1.0)
    return averages


def in_tinygen(family: example.Family, arrays: Iterable[torch.Tensor]) -> tg.nn.Module:
    """A model of the family with these parameters."""
    model, x = family.make(), example.points(4)
    if family.loss:
        family.loss(model, x)  # what a first batch sets up, and "never trained" no longer
    with tg.no_grad():
        for p, array in zip(model.parameters(), arrays, strict=True):
            p.copy_(tg.tensor(array.detach().numpy()))
    return model


def main(seeds: list[int]) -> None:
    for seed in seeds:
        torch.manual_seed(seed)
        tg.manual_seed(seed)  # of the data, and of what is measured
        for name, family in example.FAMILIES.items():
            averages = train(TWINS[name](), family.lr, example.STEPS)
            found, _ = example.measure(family, in_tinygen(family, averages))
            row = ", ".join(f"{what} {value:.4g}" for what, value in found.items())
            print(f"seed {seed}, {name}: {row}", flush=True)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1])
