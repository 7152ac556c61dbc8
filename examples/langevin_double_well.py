"""Particles in a double well: where they settle, and how long they take to escape.

    python examples/langevin_double_well.py
    python examples/langevin_double_well.py --particles 400000 --out runs/langevin

What happens: half a minute on two cores, of which most goes into compiling, the first time.
Particles follow dX = -E'(X) dt + √(2T) dW with E = (x² - 1)², overdamped Langevin dynamics. Left at
the top of the barrier, 100,000 of them fall into both wells, and what they settle into is
exp(-E/T)/Z: a histogram lies on that curve. Left in the left well, they must wait for the noise to
carry them over the barrier: the mean time until they reach the bottom of the other well is the
exact one (an integral), and grows as Kramers' formula 2π e^(1/T) / √32 says, the better the colder
it is. A billion steps of paths are taken for that. Written into --out: langevin_double_well.png.
"""

import argparse
import math
import os
import sys

import numpy as np
from common import not_negative, positive, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.sde import simulate

WARM, DT = 0.5, 0.01  # temperature of the settling, step of all simulations
TEMPERATURES = (0.5, 0.35, 0.27, 0.22, 0.18)  # of the escapes; the barrier has the height 1
PATIENCE = 4  # how many mean escape times are simulated
EXPECTED = {
    "histogram, Kolmogorov's distance times √n": (0.0, 1.95),  # exceeded once in a thousand runs
    "escape time / exact, the farthest off": (0.94, 1.06),  # of 5,000 escapes: 1.4 % is one sigma
    "escape time / Kramers' at T = 0.18": (1.02, 1.16),  # the integral gives 1.09
    "slope of ln time over 1/T, Kramers: 1": (0.92, 1.04),  # the integrals give 0.97
}


def parse_arguments(argv=None) -> argparse.Namespace:
    made = argparse.ArgumentParser(description="Langevin particles in a double well.")
    made.add_argument("--particles", type=positive, default=100_000, help="(%(default)s)")
    made.add_argument("--seed", type=not_negative, default=0, help="(%(default)s)")
    made.add_argument("--out", metavar="DIR", default="runs/langevin_double_well",
                      help="where the picture goes (%(default)s)")  # fmt: skip
    return made.parse_args(argv)


def energy(x):
    return (x * x - 1) ** 2


# ---- The equations -------------------------------------------------------------------------------


def force(t, x, temperature):
    return -4 * x * (x * x - 1)


def noise(t, x, temperature):
    return np.sqrt(2 * temperature)


def force_and_clock(t, state, temperature):
    """The second component is a clock, which runs as soon as x is in the other well."""
    x, clock = state
    runs = np.where(x > 1, 1.0, np.where(clock > 0, 1.0, 0.0))
    return -4 * x * (x * x - 1), runs


def noise_of_x(t, state, temperature):
    """One Brownian motion, for x alone: a matrix [2, 1]."""
    return np.array([[np.sqrt(2 * temperature)], [0 * temperature]])


# ---- What is measured ----------------------------------------------------------------------------


def settle(particles: int, seed: int, end: float = 20.0, saves: int = 200) -> np.ndarray:
    """Positions [saves + 1, particles] on the way from the top of the barrier."""
    steps = round(end / DT)
    x = simulate(force, noise, tg.zeros(particles, 1), (0, end), steps, method="heun", seed=seed,
                 args=(WARM,), save_every=steps // saves)  # fmt: skip
    return x.numpy()[:, :, 0]


def escape_time(temperature: float, particles: int, seed: int) -> float:
    """The mean time from one well to the bottom of the other: all the time that was waited, over
    the number of escapes (so that those who are still waiting count, too)."""
    end = PATIENCE * exact_time(temperature)
    start = tg.tensor([[-1.0, 0.0]]).expand(particles, 2)
    state = simulate(force_and_clock, noise_of_x, start, (0, end), round(end / DT), method="heun",
                     seed=seed, args=(temperature,)).numpy()  # fmt: skip
    waited = end - state[:, 1].astype(np.float64)
    return float(waited.sum() / (state[:, 1] > 0).sum())


def kramers_time(temperature: float) -> float:
    """2π / √(E''(-1) |E''(0)|) e^(barrier/T) (Kramers 1940): exact in the limit of T -> 0."""
    return 2 * math.pi / math.sqrt(8 * 4) * math.exp(1 / temperature)


def exact_time(temperature: float, points: int = 20_000) -> float:
    """(1/T) ∫ from -1 to 1 of e^(E(y)/T) ∫ from -∞ to y of e^(-E(z)/T) dz dy (Gardiner 1985,
    section 5.2.7)."""
    y = np.linspace(-3, 1, points)
    weights = np.exp(-energy(y) / temperature)
    inner = np.cumsum((weights[1:] + weights[:-1]) / 2) * (y[1] - y[0])
    way = y[1:] > -1
    outer = np.exp(energy(y[1:][way]) / temperature) * inner[way]
    return float(outer.sum() * (y[1] - y[0]) / temperature)


def density(temperature: float, points: int = 20_001) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, exp(-E/T)/Z, and its integral."""
    x = np.linspace(-3, 3, points)
    p = np.exp(-energy(x) / temperature)
    total = np.concatenate([[0], np.cumsum((p[1:] + p[:-1]) / 2) * (x[1] - x[0])])
    return x, p / total[-1], total / total[-1]


def kolmogorov_distance(sample: np.ndarray) -> float:
    """The largest distance of the distribution functions times √n."""
    x, _, cdf = density(WARM)
    n, at = len(sample), np.interp(np.sort(sample), x, cdf)
    steps = np.arange(n + 1) / n
    return float(math.sqrt(n) * max((steps[1:] - at).max(), (at - steps[:-1]).max()))


# ---- All of it -----------------------------------------------------------------------------------


def run(args: argparse.Namespace) -> int:
    paths = settle(args.particles, args.seed)
    print("temperature   escape time      exact    Kramers")
    waiting = max(100, args.particles // 20)
    times = [escape_time(T, waiting, args.seed + 1 + i) for i, T in enumerate(TEMPERATURES)]
    exact = [exact_time(T) for T in TEMPERATURES]
    for T, measured, truth in zip(TEMPERATURES, times, exact):
        print(f"{T:11.2f} {measured:13.2f} {truth:10.2f} {kramers_time(T):10.2f}")
    draw(args.out, paths, times)
    print(f"\n{args.out}/langevin_double_well.png\n")
    ratios = np.array(times) / exact
    measured = {
        "histogram, Kolmogorov's distance times √n": kolmogorov_distance(paths[-1]),
        "escape time / exact, the farthest off": ratios[np.abs(np.log(ratios)).argmax()],
        "escape time / Kramers' at T = 0.18": times[-1] / kramers_time(TEMPERATURES[-1]),
        "slope of ln time over 1/T, Kramers: 1": np.polyfit(
            1 / np.array(TEMPERATURES[2:]), np.log(times[2:]), 1
        )[0],
    }
    return max([report_band(what, value, *EXPECTED[what]) for what, value in measured.items()])


def draw(out: str, paths: np.ndarray, times: list[float]) -> None:
    """Some paths, the histogram beside exp(-E/T)/Z, and the times of escape."""
    figure, ((left, middle, right),) = viz.panels(3, size=(13.5, 4.2))
    t, edges = np.linspace(0, 20, len(paths)), np.linspace(-2, 2, 81)
    crowd = np.stack([np.histogram(x, edges, density=True)[0] for x in paths[:, :20_000]])
    left.pcolormesh(t, (edges[1:] + edges[:-1]) / 2, crowd.T, cmap="Greys", vmin=0, vmax=1.4,
                    rasterized=True)  # fmt: skip
    for i, colour in zip(range(3), viz.COLOURS):
        left.plot(t, paths[:, i], color=colour, linewidth=0.9)
    left.set(xlabel="t", ylabel="x", ylim=(-2, 2), title="from the top of the barrier: all, and 3")

    x, p, _ = density(WARM)
    middle.hist(paths[-1], bins=np.linspace(-2, 2, 101), density=True, color=viz.COLOURS[0],
                alpha=0.35, label=f"{paths.shape[1]:,} particles, t = 20")  # fmt: skip
    middle.plot(x, p, color=viz.INK, linewidth=1.3, label="exp(-E/T)/Z")
    middle.plot(x, energy(x) / 4, color=viz.GREY, linewidth=1, linestyle="--", label="E/4")
    middle.set(xlim=(-2, 2), ylim=(0, 0.85), xlabel="x", title=f"settled, T = {WARM}")
    middle.legend(frameon=False, fontsize=8, loc="upper center", ncols=3)

    cold = np.linspace(1 / TEMPERATURES[0], 1 / TEMPERATURES[-1], 40)
    right.plot(cold, [exact_time(1 / c) for c in cold], color=viz.INK, linewidth=1.3,
               label="exact, an integral")  # fmt: skip
    right.plot(cold, [kramers_time(1 / c) for c in cold], color=viz.GREY, linestyle="--",
               label="Kramers' formula")  # fmt: skip
    right.plot(1 / np.array(TEMPERATURES), times, "o", color=viz.COLOURS[1], label="measured")
    right.set(yscale="log", xlabel="height of the barrier / T", title="mean time of escape")
    right.legend(frameon=False)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(os.path.join(out, "langevin_double_well.png"))


def main(argv=None) -> int:
    return run_example(run, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
