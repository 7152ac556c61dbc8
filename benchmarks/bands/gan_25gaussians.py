"""The band of examples/gan_25gaussians.py: its networks, data and budget in PyTorch.

python benchmarks/bands/gan_25gaussians.py 0 1
"""

import pathlib
import sys

import torch
from gan_training import trained

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
import gan_25gaussians as example

import tinygen as tg


def mlp(into: int, out: int, activation) -> torch.nn.Sequential:
    sizes, layers = (into, *example.HIDDEN), []
    for a, b in zip(sizes, example.HIDDEN):
        layers += [torch.nn.Linear(a, b), activation()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], out))


def networks() -> tuple[torch.nn.Module, torch.nn.Module]:
    G = mlp(example.LATENT, 2, torch.nn.ReLU)
    return G, mlp(2, 1, lambda: torch.nn.LeakyReLU(0.2))


def draw() -> torch.Tensor:
    return torch.from_numpy(tg.data.toys.gaussian_grid(example.BATCH, noise=example.STD).numpy())


def main(seeds: list[int]) -> None:
    for seed in seeds:
        torch.manual_seed(seed)
        tg.manual_seed(seed)
        G, D = networks()
        average = trained(
            G, D, draw, example.LATENT, example.STEPS, example.LR, example.BETAS, example.EMA,
            example.GAMMA, example.decay,
        )  # fmt: skip
        with torch.no_grad():
            samples = average(torch.randn(example.SAMPLES, example.LATENT))
        found = example.coverage(tg.from_numpy(samples.numpy()))
        print(f"seed {seed}: {found.modes_hit} modes, {found.high_quality:.4f} good, "
              f"KL {found.reverse_kl:.4f}")  # fmt: skip


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or [0, 1])
