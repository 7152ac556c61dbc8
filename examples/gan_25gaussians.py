"""Train a GAN on 25 narrow Gaussians, and count which of them its samples reach.

    python examples/gan_25gaussians.py
    python examples/gan_25gaussians.py --gamma 0     # without the penalty

What happens: about a minute on two cores. The generator has to bend one cloud of noise into a grid
of 5 × 5 islands, and may leave some of them out ("mode collapse": Srivastava et al. 2017,
"VEEGAN"). With the non-saturating loss and R1 (Mescheder et al. 2018) all 25 are found after about
two thirds of the steps; then, with smaller steps, the bridges between them thin out. What is
counted, and drawn, is the moving average of the generator's weights (Yazıcı et al. 2019). Written
into --out: gaussians.png, the samples on the discriminator's probability that a point is real.
"""

import os
import sys

from common import parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data.toys import gaussian_grid, gaussian_grid_modes
from tinygen.metrics import ModeCoverage, mode_coverage
from tinygen.models.gan import GAN
from tinygen.models.gan_networks import MLPDiscriminator, MLPGenerator
from tinygen.nn import functional as F
from tinygen.optim.lr_scheduler import LambdaLR
from tinygen.train import DrawnBatches, Trainer

STEPS, BATCH, LATENT, HIDDEN = 10_000, 128, 2, (128, 128, 128)
LR, BETAS, GAMMA, EMA = 2e-3, (0.5, 0.9), 0.1, 0.999
STD, SAMPLES = 0.05, 10_000  # of each Gaussian; how many samples are counted
BOUNDS = (-5.0, 5.0, -5.0, 5.0)
PANELS = 4  # of the figure, at as many times of the training
EXPECTED = {  # what is measured, and at least and at most how much: see benchmarks/bands/README.md
    "modes": ("modes found", 25, 25),
    "good": ("share of samples within 3 deviations of one", 0.89, 1.0),
    "KL": ("KL from equal shares, nats", 0.0, 0.01),
}


def main(argv=None) -> int:
    arguments = parser(__doc__, "gan_25gaussians", steps=STEPS)
    arguments.add_argument("--gamma", type=float, default=GAMMA, help="of R1 (%(default)s)")
    return run_example(run, arguments.parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    gan = networks(args.gamma)
    optimizers = {"D": tg.optim.Adam(gan.discriminator.parameters(), lr=LR, betas=BETAS),
                  "G": tg.optim.Adam(gan.generator.parameters(), lr=LR, betas=BETAS)}  # fmt: skip
    trainer = Trainer(
        gan, optimizers, DrawnBatches(lambda: gaussian_grid(BATCH, noise=STD)), update=update,
        scheduler={name: LambdaLR(o, decay(args.steps)) for name, o in optimizers.items()},
        grad_clip=None, ema=EMA, ema_of=gan.generator,
    )  # fmt: skip
    figure, ((*panels,),) = viz.panels(PANELS, size=(4.2 * PANELS, 4.4))

    @tg.no_grad()
    def evaluate() -> dict[str, float]:
        samples = trainer.ema.module(gan.noise(SAMPLES))
        draw(gan.discriminator, samples, panels[len(trainer.evaluations)], trainer.step)
        found = coverage(samples)
        return {"modes": found.modes_hit, "good": found.high_quality, "KL": found.reverse_kl}

    if not trainer.fit(args.steps, eval_every=-(-args.steps // PANELS), evaluate=evaluate):
        return 130
    figure.savefig(os.path.join(args.out, "gaussians.png"))
    print(f"\n{args.out}/gaussians.png\n")
    found = trainer.evaluations[-1]
    return max(report_band(what, found[name], *band) for name, (what, *band) in EXPECTED.items())


def networks(gamma: float = GAMMA) -> GAN:
    return GAN(MLPGenerator(LATENT, (2,), HIDDEN), MLPDiscriminator((2,), HIDDEN), r1_gamma=gamma)


def update(trainer: Trainer, real: tg.Tensor) -> dict[str, float]:
    """A step of the discriminator, then one of the generator."""
    gan = trainer.model
    return {
        "D": trainer.descend(gan.discriminator_loss(real), "D"),
        "G": trainer.descend(gan.generator_loss(len(real)), "G"),
    }


def decay(steps: int):
    """The factor of the learning rate: 1 for the first half of the steps, then straight to 0."""
    return lambda step: min(1.0, 2 * (1 - step / steps))


def coverage(samples: tg.Tensor) -> ModeCoverage:
    return mode_coverage(samples, gaussian_grid_modes(), STD)


def draw(discriminator, samples: tg.Tensor, axes, step: int) -> None:
    """Samples on the probability of being real that the discriminator gives: white 0, blue 1."""
    viz.density(lambda x: F.logsigmoid(discriminator(x)), BOUNDS, resolution=200, axes=axes)
    axes.images[0].set_clim(0, 1)  # half of it everywhere: the discriminator has to guess
    viz.scatter(samples[:2000], BOUNDS, colour=viz.COLOURS[1], size=4, axes=axes,
                title=f"after {step:,} steps")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
