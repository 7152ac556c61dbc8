"""The bands of examples/gan_digits.py: its networks, data and budget in PyTorch.

python benchmarks/bands/gan_digits.py 0 1
python benchmarks/bands/gan_digits.py --mnist 0 1
"""

import pathlib
import sys

import torch
from gan_training import trained
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import gan_digits as example

import tinygen as tg
from tinygen.data import digits, mnist_10k


def networks(setting: example.Setting) -> tuple[nn.Module, nn.Module]:
    """Those of tinygen.models.gan_networks, with their initial weights."""
    c, sides = setting.channels, [side // 4 for side in setting.images[1:]]
    area = sides[0] * sides[1]
    G = nn.Sequential(
        nn.Linear(example.LATENT, 2 * c * area, bias=False), nn.Unflatten(1, (2 * c, *sides)),
        nn.BatchNorm2d(2 * c), nn.ReLU(), nn.ConvTranspose2d(2 * c, c, 4, 2, 1, bias=False),
        nn.BatchNorm2d(c), nn.ReLU(), nn.ConvTranspose2d(c, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    D = nn.Sequential(
        nn.Conv2d(1, c, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(c, 2 * c, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(2 * c * area, 1),
    )  # fmt: skip
    for layer in (*G, *D):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return G, D


def batches(images: torch.Tensor):
    """Epoch after epoch in random order, as from a DataLoader with drop_last."""
    while True:
        for rows in torch.randperm(len(images)).split(example.BATCH):
            if len(rows) == example.BATCH:
                yield images[rows]


def main(arguments: list[str]) -> None:
    mnist = "--mnist" in arguments
    setting, read = (example.MNIST, mnist_10k) if mnist else (example.DIGITS, digits)
    images = torch.from_numpy(2 * read("train")[0].numpy() - 1)
    for seed in [int(seed) for seed in arguments if seed.isdigit()] or [0, 1]:
        torch.manual_seed(seed)
        G, D = networks(setting)
        source = batches(images)
        average = trained(
            G, D, source.__next__, example.LATENT, setting.steps, example.LR, example.BETAS,
            example.EMA, example.GAMMA, example.decay,
        )  # fmt: skip
        with torch.no_grad():
            samples = (
                average(torch.randn(example.REPEATS * example.SAMPLES, example.LATENT)) + 1
            ) / 2
        print("seed", seed)
        found = example.measured(read("all")[0], tg.from_numpy(samples.numpy()), mnist)
        example.report(found, setting)


if __name__ == "__main__":
    main(sys.argv[1:])
