"""Samplers of diffusion models: how good are they for how many calls of the network?

    python examples/samplers.py

What happens: half a minute on two cores, and no training: in place of a network there is the exact
score of nine Gaussians with unequal weights, so that what is wrong with the samples is the
sampler's doing alone. Each sampler gets from 5 to 320 evaluations of the score. Written into --out:
samplers.png, with the sliced Wasserstein distance to the mixture against the evaluations, above the
floor that real samples have among one another, and the samples of some.
"""

import argparse
import os
import sys
from itertools import pairwise

import numpy as np
from common import not_negative, report_band, run_example

import tinygen as tg
from tinygen import sde, viz
from tinygen.data.toys import gaussian_grid_modes
from tinygen.metrics import sliced_wasserstein

STD, SAMPLES, REAL = 0.15, 10_000, 100_000
WEIGHTS = np.array([5, 1, 3, 1, 4, 1, 3, 1, 5], np.float64)
BUDGETS = (5, 10, 20, 40, 80, 160, 320)  # evaluations of the score
ORDER_STEPS = (80, 160, 320)
SCHEDULE = sde.LinearSchedule()
SAMPLERS = {  # name: (sampler, evaluations a step)
    "ancestral (DDPM)": (sde.Ancestral(), 1),
    "Euler-Maruyama": (sde.EulerMaruyama(), 1),
    "predictor-corrector": (sde.PredictorCorrector(), 2),
    "DDIM": (sde.DDIM(), 1),
    "probability flow, Euler": (sde.ProbabilityFlow(), 1),
    "Heun (EDM)": (sde.Heun(), 2),
}
EXPECTED = {  # what: (at least, at most); see benchmarks/bands/README.md
    "worst sampler with 320 evaluations / floor": (0.4, 2.5),
    "Heun with 40 evaluations / floor": (0.4, 2.0),
    "DDIM with 40 / Heun with 40": (1.1, 4.0),
    "ancestral with 10 / DDIM with 10": (1.1, 2.0),
    "order of Heun, by its own error": (1.8, 2.2),
    "order of DDIM, by its own error": (0.85, 1.15),
}


def main(argv=None) -> int:
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--seed", type=not_negative, default=0, help="of all random numbers")
    made.add_argument("--out", metavar="DIR", default="runs/samplers", help="where results go")
    return run_example(run, made.parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    means, weights = gaussian_grid_modes(3), tg.tensor(WEIGHTS)
    exact = sde.GaussianMixture(means, STD, SCHEDULE, weights)
    real = exact.sample(REAL)
    floor = float(np.mean([distance(exact.sample(SAMPLES), real) for _ in range(5)]))
    found = {name: curve(name, exact, real) for name in SAMPLERS}
    print_table(found, floor)
    draw(found, floor, exact).savefig(os.path.join(args.out, "samplers.png"))
    print(f"\n{args.out}/samplers.png\n")
    at = lambda name, budget: found[name][budget] / floor
    measured = (
        max(at(name, BUDGETS[-1]) for name in SAMPLERS),
        at("Heun (EDM)", 40),
        at("DDIM", 40) / at("Heun (EDM)", 40),
        at("ancestral (DDPM)", 10) / at("DDIM", 10),
        order("Heun (EDM)", exact),
        order("DDIM", exact),
    )
    return max(report_band(what, value, *EXPECTED[what]) for what, value in zip(EXPECTED, measured))


# ---- Measuring -----------------------------------------------------------------------------------


def distance(x: tg.Tensor, real: tg.Tensor) -> float:
    """Always over the same directions."""
    return sliced_wasserstein(x, real, 50, generator=tg.Generator(0))


def samples(name: str, exact: sde.GaussianMixture, budget: int) -> tg.Tensor:
    sampler, each = SAMPLERS[name]
    steps = max(1, round(budget / each))
    return sde.sample(exact.denoiser(), (SAMPLES, 2), sampler, steps)


def curve(name: str, exact: sde.GaussianMixture, real: tg.Tensor) -> dict[int, float]:
    """The distance to the mixture, by number of evaluations."""
    return {budget: distance(samples(name, exact, budget), real) for budget in BUDGETS}


def flow_of(name: str, exact: sde.GaussianMixture, steps: int) -> tg.Tensor:
    """Always from the same noise."""
    sampler, _ = SAMPLERS[name]
    return sde.sample(exact.denoiser(), (500, 2), sampler, steps, generator=tg.Generator(1))


def order(name: str, exact: sde.GaussianMixture) -> float:
    """Of a sampler without noise: log₂ of how much less its samples change, if the number of its
    steps is doubled a second time."""
    ends = [flow_of(name, exact, n).array for n in ORDER_STEPS]
    first, second = (np.linalg.norm(b - a, axis=1) for a, b in pairwise(ends))
    return float(np.log2(np.median(first) / np.median(second)))


def print_table(found: dict[str, dict[int, float]], floor: float) -> None:
    print("\nsliced Wasserstein distance    " + "".join(f"{n:9d}" for n in BUDGETS))
    for name, values in found.items():
        print(f"  {name:29s}" + "".join(f"{value:9.4f}" for value in values.values()))
    print(f"  {'real samples: the floor':29s}{floor:9.4f}")


def draw(found: dict[str, dict[int, float]], floor: float, exact: sde.GaussianMixture):
    """The distances against the evaluations, and samples of few and of more evaluations."""
    figure, axes = viz.panels(4, 2, (14.5, 7.2))
    colours = dict(zip(found, (*viz.COLOURS, viz.INK)))
    for name, values in found.items():
        axes[0, 0].loglog(values.keys(), values.values(), "o-", color=colours[name], label=name,
                          markersize=3, linewidth=1.2)  # fmt: skip
    axes[0, 0].axhline(floor, color=viz.GREY, linestyle="--", label="real samples")
    axes[0, 0].set_title("sliced Wasserstein distance to the mixture", fontsize=10)
    axes[0, 0].set_xlabel("evaluations of the score")
    axes[0, 0].legend(frameon=False, fontsize=7)
    bounds = (-3.0, 3.0, -3.0, 3.0)
    viz.scatter(exact.sample(SAMPLES), bounds, size=1, colour=viz.GREY, title="the mixture",
                axes=axes[1, 0])  # fmt: skip
    for row, budget in zip(axes[:, 1:], (10, 40)):
        for place, name in zip(row, ("ancestral (DDPM)", "DDIM", "Heun (EDM)")):
            viz.scatter(samples(name, exact, budget), bounds, size=1, colour=colours[name],
                        title=f"{name}, {budget} evaluations", axes=place)  # fmt: skip
    return figure


if __name__ == "__main__":
    sys.exit(main())
