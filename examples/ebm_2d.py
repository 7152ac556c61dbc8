"""The energy landscape of two moons: a network, trained with samples from Langevin dynamics.

    python examples/ebm_2d.py
    python examples/ebm_2d.py --seed 1 --steps 4000

What happens: about half a minute. A small network gives each point of the plane an energy,
and e^−energy is its density, up to a factor. In training the energy of data goes down, that of
samples up, which Langevin steps take from chains that go on all the time (Tieleman 2008; Du &
Mordatch 2019; Nijkamp et al. 2019). The density of the data is known here, as an integral along the
two half circles, and in the plane the model's factor can be summed up, too; so the divergence
KL(data ‖ model) is printed, in nats, without samples. Written into --out: ebm_2d.png, with the
energies of both, the densities, and samples that started from noise.
"""

import functools
import math
import os
import sys

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data.toys import two_moons
from tinygen.models.energy import EnergyModel, MLPEnergy
from tinygen.train import DrawnBatches, Trainer

SIZE, NOISE = 3.0, 0.45  # moons of radius 3, so that a new network is neither flat nor rough
HIDDEN, CONFINE = (64, 64, 64), 0.01
STEPS, BATCH, LR, EMA = 1500, 200, 1e-2, 0.995
LANGEVIN = {"steps": 20, "step_size": 0.05, "chains": 2000, "fresh": 0.05, "scale": 6.0}
BOUNDS, RESOLUTION, WIDTH = (-7.5, 10.5, -8.25, 9.75), 240, 18.0
SAMPLES = (3000, 500)  # for the picture, and how many Langevin steps each takes from noise

# What the same network reaches with the same budget in PyTorch (benchmarks/bands/ebm_2d.py),
# 0.032 to 0.038, and half as much again: tinygen's own seeds lie on both sides of these.
EXPECTED = (0.0, 0.06)


# ---- The data ------------------------------------------------------------------------------------


def moons(n: int) -> tg.Tensor:
    return SIZE * two_moons(n, noise=NOISE / SIZE)


def true_log_prob(x: tg.Tensor, pieces: int = 400) -> tg.Tensor:
    """log of the density of `moons` at x [n, 2]: normals along two half circles, [n]"""
    angle = tg.tensor((np.arange(pieces) + 0.5) * math.pi / pieces, dtype=x.dtype)
    upper = SIZE * tg.stack([angle.cos(), angle.sin()], 1)
    lower = SIZE * tg.tensor([1.0, 0.5], dtype=x.dtype) - upper
    centres = tg.cat([upper, lower])  # [2 · pieces, 2]
    squares = ((x[:, None] - centres) ** 2).sum(-1) / NOISE**2
    return (-0.5 * squares).logsumexp(1) - math.log(2 * pieces * 2 * math.pi * NOISE**2)


# ---- The measure ---------------------------------------------------------------------------------


def on_grid(function) -> np.ndarray:
    """function [n, 2] -> [n] at the centres of all cells, in float64"""
    left, right, bottom, top = BOUNDS
    at = lambda low, high: low + (np.arange(RESOLUTION) + 0.5) * (high - low) / RESOLUTION
    points = np.stack(np.meshgrid(at(left, right), at(bottom, top)), -1).reshape(-1, 2)
    with tg.no_grad():
        rows = [function(tg.tensor(part, dtype=tg.float32)) for part in np.split(points, 60)]
    return np.concatenate([row.array for row in rows]).astype(np.float64)


def log_share(log_weights: np.ndarray) -> np.ndarray:
    """log of what each cell has of the whole"""
    largest = log_weights.max()
    return log_weights - largest - np.log(np.exp(log_weights - largest).sum())


def divergence(energy) -> float:
    """KL(data ‖ model) of the cells, in nats"""
    p, q = true_log_share(), log_share(-on_grid(energy))
    return float((np.exp(p) * (p - q)).sum())


@functools.cache
def true_log_share() -> np.ndarray:
    return log_share(on_grid(true_log_prob))


# ---- Training ------------------------------------------------------------------------------------


def run(args) -> int:
    tg.manual_seed(args.seed)
    model = EnergyModel(MLPEnergy((2,), HIDDEN, confine=CONFINE), **LANGEVIN)
    optimizer = tg.optim.Adam(model.energy.parameters(), lr=LR)
    trainer = Trainer(
        model, optimizer, DrawnBatches(lambda: moons(BATCH)), lambda model, x: model.loss(x),
        scheduler=tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps),
        ema=EMA, ema_of=model.energy,
    )  # fmt: skip
    averaged = trainer.ema.module
    if not trainer.fit(args.steps, eval_every=max(1, args.steps // 10), units_per_step=BATCH,
                       unit="point", evaluate=lambda: {"KL": divergence(averaged)}):  # fmt: skip
        return 130
    model.energy = averaged
    path = os.path.join(args.out, "ebm_2d.png")
    draw(model).savefig(path)
    print(f"\n{path}\n")
    return report_band("KL(data ‖ model)", divergence(averaged), *EXPECTED, "nats")


def draw(model: EnergyModel):
    """Energies, densities and points, of the data above, of the model below."""
    figure, panels = viz.panels(3, 2, (11, 7.6))
    log_z = np.log(np.exp(-on_grid(model.energy)).sum() * (WIDTH / RESOLUTION) ** 2)
    model_log_prob = lambda x: -model.energy(x) - log_z
    samples = model.sample(*SAMPLES)
    for row, name, log_prob, points in (
        (panels[0], "data", true_log_prob, moons(SAMPLES[0])),
        (panels[1], "model", model_log_prob, samples),
    ):
        energy = np.minimum(-on_grid(log_prob), 12).reshape(RESOLUTION, RESOLUTION)
        row[0].contourf(energy, levels=np.arange(0, 12.1, 0.75), extent=BOUNDS, cmap="viridis_r")
        row[0].set_aspect("equal")
        row[0].set_title(f"{name}: energy, −log p, up to 12 nats", fontsize=10)
        viz.density(log_prob, BOUNDS, title=f"{name}: density", axes=row[1])
        viz.scatter(points, BOUNDS, size=1.5, title=f"{name}: points", axes=row[2])
    return figure


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "ebm_2d", steps=STEPS).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
