"""The training of examples/diffusion_digits.py in PyTorch: its network, data and budget."""

import copy
import math
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import diffusion_digits as example

import tinygen as tg
from benchmarks.unet_in_torch import UNet
from tinygen import sde
from tinygen.models.diffusion import DDPM

SCHEDULE = sde.CosineSchedule()


def train(seed: int, mnist: bool = False) -> DDPM:
    """The model of the example, whose network is the one that PyTorch has trained."""
    torch.manual_seed(seed)
    tg.manual_seed(seed)  # of the samples, which tinygen draws
    setting = example.setting_of(mnist)
    images, labels = (torch.from_numpy(x.numpy()) for x in example.load(mnist, "train"))
    network = UNet(**setting.network, num_classes=example.CLASSES)
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=example.LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, setting.steps)
    batches = epochs(2 * images - 1, labels)
    for step in range(setting.steps):
        loss = loss_of(network, *next(batches))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for mean, p in zip(averaged.parameters(), network.parameters()):
                mean.lerp_(p, 1 - example.EMA if step else 1.0)
    model = DDPM(InTinygen(averaged.eval()), SCHEDULE, prediction="v")
    model.steps_trained += setting.steps
    return model


def epochs(images: torch.Tensor, labels: torch.Tensor):
    """Batches, epoch after epoch in random order, as from a DataLoader with drop_last."""
    while True:
        for rows in torch.randperm(len(images)).split(example.BATCH):
            if len(rows) == example.BATCH:
                yield images[rows], labels[rows]


def loss_of(network: nn.Module, x0: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The loss at random steps of a chain of 1,000."""
    t = torch.randint(1, 1001, (len(x0),)) * (SCHEDULE.end / 1000)
    return loss_at(t, network, x0, classes, torch.randn_like(x0))


def loss_at(t, network, x0, classes, noise) -> torch.Tensor:
    """|v - v̂|² at times t [B] of the cosine schedule."""
    quarter, s = math.pi / 2 / (1 + SCHEDULE.s), SCHEDULE.s
    alpha = torch.cos((t + s) * quarter)[:, None, None, None] / math.cos(s * quarter)
    sigma = torch.sqrt(1 - alpha**2)
    v = network(alpha * x0 + sigma * noise, t, classes)
    return ((v - (alpha * noise - sigma * x0)) ** 2).mean()


class InTinygen(tg.nn.Module):
    """PyTorch's network as one of tinygen's, for the same samplers and measurements."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.of_torch = [network]  # in a list: it is no module of tinygen's

    def null_condition(self, condition: tg.Tensor) -> tg.Tensor:
        return tg.full_like(condition, example.CLASSES)

    def forward(self, x, t, condition=None) -> tg.Tensor:
        arguments = [torch.from_numpy(a.numpy().copy()) for a in (x, t, condition) if a is not None]
        with torch.inference_mode():
            return tg.from_numpy(self.of_torch[0](*arguments).numpy())
