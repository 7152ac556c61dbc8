"""From one distribution to another, by the process closest to Brownian motion: Schrödinger bridges.

    python examples/schrodinger_bridge_1d.py

What happens: a few seconds. One normal density turns into a mixture of two, on a line. Sinkhorn's
algorithm, or iterative proportional fitting, couples the two ends; paths of the process are drawn,
for three strengths of noise: with little, each point goes straight to where optimal transport sends
it; with much, where it started no longer matters. Measured is the bridge between two normals, whose
covariance has a closed form (Janati et al. 2020), and whether paths that follow the drift arrive at
the mixture. Written into --out: schrodinger_bridge_1d.png, with paths, densities and couplings.
"""

import math
import os
import sys

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.models.schrodinger_bridge import SchrodingerBridge1d

GRID, LIMIT = np.linspace(-4, 4, 241), 4.0
SIGMAS = (0.3, 1.0, 3.0)
PATHS, FRAMES = 4000, 25
EXPECTED = {  # closed forms, and twice the error of so many paths and steps
    "covariance of the ends / that of theory": (0.999, 1.001),
    "distance of arrivals from the mixture": (0.0, 0.06),
}


def on_grid(density: np.ndarray) -> tuple[tg.Tensor, tg.Tensor]:
    """Points, and their probabilities, where there are any."""
    keep = density > 1e-12 * density.max()
    return tg.tensor(GRID[keep]), tg.tensor(density[keep] / density[keep].sum())


def normal(mean: float, std: float) -> np.ndarray:
    return np.exp(-0.5 * ((GRID - mean) / std) ** 2) / std


def bridge(sigma: float) -> SchrodingerBridge1d:
    """From a normal to two."""
    start, end = normal(-0.5, 0.5), 0.6 * normal(-1.5, 0.3) + 0.4 * normal(1.5, 0.4)
    return SchrodingerBridge1d(*on_grid(start), *on_grid(end), sigma)


def covariance_ratio(a: float = 0.5, b: float = 0.8) -> float:
    """Of the ends of the bridge with σ = 1 between N(0, a²) and N(0, b²), and of theory."""
    found = SchrodingerBridge1d(*on_grid(normal(0, a)), *on_grid(normal(0, b)), 1.0)
    coupling = np.exp(found.coupling.log_prob.array)
    return found.x.array @ coupling @ found.y.array * 2 / (math.sqrt(1 + 4 * (a * b) ** 2) - 1)


def arrivals(found: SchrodingerBridge1d, steps: int) -> np.ndarray:
    """Where paths end that start from the first density and follow the drift, [PATHS]"""
    z = found.sample(PATHS, tg.tensor([0.0]))[0]
    for i in range(steps):
        noise = found.sigma * tg.randn(PATHS, dtype=z.dtype) * math.sqrt(1 / steps)
        z = z + found.drift(z, i / steps) / steps + (noise if i < steps - 1 else 0)
    return np.sort(z.array)


def distance(found: SchrodingerBridge1d, ends: np.ndarray) -> float:
    """Wasserstein-1 from the probabilities at time 1."""
    cumulative = np.cumsum(found.coupling.log_q.exp().array)
    levels = (np.arange(len(ends)) + 0.5) / len(ends)
    quantiles = found.y.array[np.searchsorted(cumulative, levels).clip(max=len(cumulative) - 1)]
    return float(abs(ends - quantiles).mean())


def run(args) -> int:
    tg.manual_seed(args.seed)
    bridges = [bridge(sigma) for sigma in SIGMAS]
    path = os.path.join(args.out, "schrodinger_bridge_1d.png")
    draw(bridges).savefig(path)
    print(f"\n{path}\n")
    for found in bridges:
        print(f"σ = {found.sigma}: {found.coupling.iterations} iterations, "
              f"transport cost {found.coupling.transport_cost():.3f}")  # fmt: skip
    middle = bridges[1]
    measured = [covariance_ratio(), distance(middle, arrivals(middle, args.steps))]
    return max(report_band(name, x, *EXPECTED[name]) for name, x in zip(EXPECTED, measured))


def draw(bridges: list[SchrodingerBridge1d]):
    """Paths over the density of every time; below, who goes where."""
    figure, panels = viz.panels(len(bridges), 2, (11, 7.4))
    times = np.linspace(0, 1, 101)
    z = tg.linspace(-LIMIT, LIMIT, 120, dtype=tg.float64)
    for found, (above, below) in zip(bridges, panels.T):
        density = [np.exp(found.log_prob(z, t).array) for t in np.linspace(0.02, 0.98, FRAMES)]
        above.imshow(np.transpose(density), origin="lower", extent=(0, 1, -LIMIT, LIMIT), vmin=0,
                     cmap="Blues", aspect="auto", interpolation="bilinear")  # fmt: skip
        above.plot(times, found.sample(12, tg.tensor(times)).array, color=viz.INK, linewidth=0.6)
        above.set(xlabel="time", ylim=(-LIMIT, LIMIT))
        above.set_title(f"σ = {found.sigma}: paths and densities", fontsize=10)
        below.pcolormesh(found.y.array, found.x.array, np.exp(found.coupling.log_prob.array),
                         cmap="Blues", vmin=0)  # fmt: skip
        below.set(xlabel="end", ylabel="start", xlim=(-LIMIT, LIMIT), ylim=(-2.5, 1.5))
        below.set_title("from where to where", fontsize=10)
    return figure


def main(argv=None) -> int:
    made = parser(__doc__, "schrodinger_bridge_1d", steps=200)
    return run_example(run, made.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
