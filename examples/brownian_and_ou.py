"""Brownian motion and the Ornstein–Uhlenbeck process, and what is known of them in closed form.

    python examples/brownian_and_ou.py
    python examples/brownian_and_ou.py --paths 200000 --out runs/brownian

What happens: half a minute on two cores, of which most goes into compiling, the first time. 50,000
paths of each are simulated, and measured beside what theory says. Brownian motion spreads as √t,
its quadratic variation is t, on every single path, and it is above 1 at some time before T with
twice the probability of being there at the end (the reflection principle). The Ornstein–Uhlenbeck
process dX = θ (μ - X) dt + σ dW forgets where it began as e^(-θt), and so does its autocovariance.
In the end a gradient goes through all paths: that of the final variance with respect to θ and σ.
Written into --out: brownian_and_ou.png.
"""

import argparse
import math
import os
import sys

import numpy as np
from common import not_negative, positive, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.sde import BrownianMotion, OrnsteinUhlenbeck, simulate

END, STEPS, SAVES = 2.0, 2000, 200
THETA, MU, SIGMA, START = 2.0, 0.5, 0.8, -1.5
EXPECTED = {
    "variance of W(2) / 2": (0.97, 1.03),
    "quadratic variation / 2, mean of all paths": (0.99, 1.01),
    "the same, spread / √(2/n)": (0.95, 1.05),
    "P(max W > 1) / 2 P(W > 1)": (0.92, 1.04),  # below 1, as between the steps nobody looks
    "mean of OU(2) - exact, in standard errors": (-4.0, 4.0),
    "variance of OU(2) / exact": (0.97, 1.03),
    "autocovariance over 1/θ / (e⁻¹ variance)": (0.94, 1.06),
    "d variance / dθ, by gradient / exact": (0.94, 1.06),
    "d variance / dσ, by gradient / exact": (0.97, 1.03),
}


def parse_arguments(argv=None) -> argparse.Namespace:
    made = argparse.ArgumentParser(description="Brownian motion and Ornstein–Uhlenbeck.")
    made.add_argument("--paths", type=positive, default=50_000, help="(%(default)s)")
    made.add_argument("--seed", type=not_negative, default=0, help="(%(default)s)")
    made.add_argument("--out", metavar="DIR", default="runs/brownian_and_ou",
                      help="where the picture goes (%(default)s)")  # fmt: skip
    return made.parse_args(argv)


def exact_variance(t, theta: float = THETA, sigma: float = SIGMA):
    return sigma**2 * (1 - np.exp(-2 * theta * t)) / (2 * theta)


def brownian(args: argparse.Namespace) -> tuple[np.ndarray, dict[str, float]]:
    """Paths [saves + 1, paths], and what is measured of them."""
    w = simulate(BrownianMotion(), None, tg.zeros(args.paths, 1), (0, END), STEPS, seed=args.seed,
                 save_every=STEPS // SAVES).numpy()[:, :, 0].astype(np.float64)  # fmt: skip
    fine = simulate(BrownianMotion(), None, tg.zeros(min(args.paths, 5000), 1), (0, END), STEPS,
                    seed=args.seed + 1, save_every=1)  # fmt: skip
    fine = fine.numpy()[:, :, 0].astype(np.float64)
    variation = (np.diff(fine, axis=0) ** 2).sum(0)
    above = 0.5 * math.erfc(1 / math.sqrt(2 * END))
    return w, {
        "variance of W(2) / 2": w[-1].var() / END,
        "quadratic variation / 2, mean of all paths": variation.mean() / END,
        "the same, spread / √(2/n)": variation.std() / END / math.sqrt(2 / STEPS),
        "P(max W > 1) / 2 P(W > 1)": (fine.max(0) > 1).mean() / (2 * above),
    }


def ornstein_uhlenbeck(args: argparse.Namespace) -> tuple[np.ndarray, dict[str, float]]:
    theta, sigma = (tg.tensor(v, dtype=tg.float64).requires_grad_() for v in (THETA, SIGMA))
    process = OrnsteinUhlenbeck(theta, MU, sigma)
    x0 = tg.full((args.paths, 1), START, dtype=tg.float64)
    paths = simulate(process, None, x0, (0, END), STEPS, seed=args.seed + 2, method="srk",
                     save_every=STEPS // SAVES)  # fmt: skip
    x = paths.detach().numpy()[:, :, 0]
    paths[-1].var().backward()
    variance = exact_variance(END)
    decay = math.exp(-2 * THETA * END)
    of_theta = SIGMA**2 * (2 * END * decay / (2 * THETA) - (1 - decay) / (2 * THETA**2))
    late = SAVES - round(SAVES / END / THETA)  # 1/θ before the end
    mean = MU + (START - MU) * math.exp(-THETA * END)
    cov = np.cov(x[late], x[-1])
    return x, {
        "mean of OU(2) - exact, in standard errors": (x[-1].mean() - mean)
        / math.sqrt(variance / args.paths),
        "variance of OU(2) / exact": x[-1].var() / variance,
        "autocovariance over 1/θ / (e⁻¹ variance)": cov[0, 1] / cov[0, 0] * math.e,
        "d variance / dθ, by gradient / exact": theta.grad.item() / of_theta,
        "d variance / dσ, by gradient / exact": sigma.grad.item() / (2 * variance / SIGMA),
    }


def run(args: argparse.Namespace) -> int:
    w, of_w = brownian(args)
    x, of_x = ornstein_uhlenbeck(args)
    draw(args.out, w, x)
    print(f"{args.out}/brownian_and_ou.png\n")
    return max([report_band(what, v, *EXPECTED[what]) for what, v in (of_w | of_x).items()])


def draw(out: str, w: np.ndarray, x: np.ndarray) -> None:
    """Paths in front of one and two standard deviations; and how the past is forgotten."""
    figure, ((left, middle, right),) = viz.panels(3, size=(13.5, 4.2))
    t = np.linspace(0, END, SAVES + 1)
    mean = MU + (START - MU) * np.exp(-THETA * t)
    for axes, paths, centre, std in (
        (left, w, 0 * t, np.sqrt(t)),
        (middle, x, mean, np.sqrt(exact_variance(t))),
    ):
        for k in (2, 1):
            axes.fill_between(t, centre - k * std, centre + k * std, color=viz.GREY, linewidth=0,
                              alpha=0.18, label=f"exact mean ± {k} std")  # fmt: skip
        for i, colour in enumerate(viz.COLOURS):
            axes.plot(t, paths[:, i], color=colour, linewidth=0.9)
        axes.plot(t, paths.std(1) + centre, color=viz.INK, linestyle=":", linewidth=1.4,
                  label="+ std of all paths")  # fmt: skip
        axes.legend(
            frameon=False, fontsize=8, loc="lower right" if axes is middle else "upper left"
        )
        axes.set(xlabel="t")
    left.set(title="Brownian motion: spreads as √t", ylim=(-4.2, 4.2))
    middle.set(title=f"Ornstein–Uhlenbeck: θ = {THETA:g}, μ = {MU}, σ = {SIGMA}")

    begin = SAVES // 2
    lags = t[begin:] - t[begin]
    spread = x - x.mean(1, keepdims=True)
    for z, exact, marker, colour, name in (
        (w, np.ones_like(lags), "s", viz.COLOURS[1], "Brownian motion"),
        (spread, np.exp(-THETA * lags), "o", viz.COLOURS[0], "Ornstein–Uhlenbeck"),
    ):
        right.plot(lags, exact, color=viz.INK, linewidth=1.1)
        right.plot(lags, (z[begin:] * z[begin]).mean(1) / z[begin].var(), marker, color=colour,
                   markersize=4, markevery=5, label=f"{name}, measured")  # fmt: skip
    right.set(
        xlabel="lag", ylim=(0, 1.15), title="covariance of X(1), X(1 + lag) / variance of X(1)"
    )
    right.legend(frameon=False, fontsize=8, loc="center right")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(os.path.join(out, "brownian_and_ou.png"))


def main(argv=None) -> int:
    return run_example(run, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
