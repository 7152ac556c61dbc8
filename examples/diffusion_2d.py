"""Diffusion on the plane: nine Gaussians, whose exact score is known (Song et al. 2021).

    python examples/diffusion_2d.py
    python examples/diffusion_2d.py --steps 1000 --out runs/quick

What happens: about a minute on two cores. Noise is added to points of a 3 × 3 grid of Gaussians by
the variance-preserving SDE, and a small network learns to tell it from the data. That gives it the
score ∇ log p_t at every time, and here the true one is known in closed form: both are compared. The
reverse SDE makes points of noise; the probability-flow ODE does so without noise on the way, and
knows their density. Written into --out: diffusion_2d.png, with the samples, the learned score
beside the exact one, the paths of the ODE, its density, and the error of the score at each time.
"""

import os
import sys

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import sde, viz
from tinygen.data.toys import gaussian_grid_modes, nine_gaussians
from tinygen.metrics import mode_coverage, sliced_wasserstein
from tinygen.models.score_sde import ScoreSDE
from tinygen.nn import MLPDenoiser
from tinygen.train import DrawnBatches, Trainer

STD, STEPS, BATCH, LR, EMA = 0.1, 4000, 512, 2e-3, 0.995
WIDTH, BLOCKS, START = 128, 3, 1e-3
SAMPLES, SAMPLER_STEPS, TEST, RESOLUTION = 5000, 200, 1000, 70
SCHEDULE = sde.LinearSchedule()
EXPECTED = {  # what: (at least, at most); see benchmarks/bands/README.md
    "modes with samples, of 9": (9, 9),
    "samples within 3 standard deviations": (0.96, 1.0),
    "sliced Wasserstein distance to the data": (0.0, 0.2),
    "mean squared error of the score, times σ²": (0.0, 0.002),
    "log likelihood of data, below the exact one": (-0.02, 0.1),
}


def exact_mixture() -> sde.GaussianMixture:
    return sde.GaussianMixture(gaussian_grid_modes(3), STD, SCHEDULE)


# ---- Training ------------------------------------------------------------------------------------


def train(seed: int, steps: int) -> ScoreSDE:
    """The average of the weights over the last steps."""
    tg.manual_seed(seed)
    model = ScoreSDE(MLPDenoiser(2, WIDTH, BLOCKS), SCHEDULE, start=START)
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = DrawnBatches(lambda: nine_gaussians(BATCH, noise=STD))
    trainer = Trainer(model, optimizer, batches, lambda model, x: model.loss(x),
                      scheduler=schedule, ema=EMA)  # fmt: skip
    if not trainer.fit(steps, units_per_step=BATCH, unit="point"):
        raise KeyboardInterrupt
    return trainer.ema.module


# ---- What it learned -----------------------------------------------------------------------------


def noised(x: tg.Tensor, t: float) -> tg.Tensor:
    time = tg.tensor(t)
    return SCHEDULE.alpha(time) * x + SCHEDULE.sigma(time) * tg.randn(x.shape)


@tg.no_grad()
def score_errors(denoiser: sde.Denoiser, times: np.ndarray) -> list[float]:
    """σ² |learned - exact score|² at times, as the mean over both coordinates of noised data: the
    error of the noise that is predicted."""
    exact, errors = exact_mixture(), []
    for t in times:
        x, time = noised(nine_gaussians(2000, noise=STD), t), tg.tensor(float(t))
        distance = denoiser.score(x, time) - exact.score(x, time)
        errors.append((SCHEDULE.sigma(time) ** 2 * (distance**2).mean()).item())
    return errors


def measure(denoiser: sde.Denoiser) -> tuple[dict[str, float], tg.Tensor]:
    """What EXPECTED is about, and samples [SAMPLES, 2]."""
    x = sde.sample(denoiser, (SAMPLES, 2), sde.EulerMaruyama(), SAMPLER_STEPS)
    coverage = mode_coverage(x, gaussian_grid_modes(3), STD)
    test = nine_gaussians(TEST, noise=STD)
    exact = exact_mixture().log_prob(test, tg.tensor(0.0))
    found = sde.log_likelihood(denoiser, test, start=START, rtol=1e-4, atol=1e-4)
    values = (
        coverage.modes_hit,
        coverage.high_quality,
        sliced_wasserstein(x, nine_gaussians(SAMPLES, noise=STD)),
        float(np.mean(score_errors(denoiser, np.linspace(0.005, 1, 40)))),
        (exact - found).mean().item(),
    )
    return dict(zip(EXPECTED, values)), x


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "diffusion_2d", steps=STEPS).parse_args(argv))


def run(args) -> int:
    model = train(args.seed, args.steps)
    denoiser = model.denoiser()
    measured, x = measure(denoiser)
    draw(denoiser, x).savefig(os.path.join(args.out, "diffusion_2d.png"))
    print(f"\n{args.out}/diffusion_2d.png\n")
    return max(report_band(what, value, *EXPECTED[what]) for what, value in measured.items())


def draw(denoiser: sde.Denoiser, x: tg.Tensor):
    """Samples, scores, paths, density and errors."""
    figure, axes = viz.panels(3, 2)
    exact, bounds, t = exact_mixture(), (-3.0, 3.0, -3.0, 3.0), 0.12
    viz.scatter(x, bounds, size=2, title="samples: the reverse SDE", axes=axes[0, 0])
    for place, (name, one) in zip(
        axes[0, 1:], (("learned", denoiser), ("exact", exact.denoiser()))
    ):
        score = lambda x, one=one: one.score(x, tg.tensor(t))
        viz.density(lambda x: exact.log_prob(x, tg.tensor(t)), bounds, axes=place)
        viz.score_field(score, bounds, title=f"score at t = {t}: {name}", axes=place)
    paths = sde.sample(denoiser, (200, 2), sde.Heun(), 40, path=True)
    viz.trajectories(paths.array, bounds, title="paths: the probability-flow ODE", axes=axes[1, 0])
    log_prob = lambda x: sde.log_likelihood(denoiser, x, start=START, rtol=1e-2, atol=1e-2)
    viz.density(
        log_prob, bounds, resolution=RESOLUTION, title="density: the same ODE", axes=axes[1, 1]
    )
    times = np.linspace(0.005, 1, 60)
    axes[1, 2].semilogy(times, score_errors(denoiser, times), color=viz.COLOURS[0])
    axes[1, 2].set_title("σ² |learned - exact score|²", fontsize=10)
    axes[1, 2].set_xlabel("t: from data to noise")
    return figure


if __name__ == "__main__":
    sys.exit(main())
