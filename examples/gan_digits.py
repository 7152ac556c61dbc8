"""Train a DCGAN on handwritten digits, and measure how far its digits are from real ones.

    python examples/gan_digits.py             # 8×8 digits, which come with scikit-learn
    python examples/gan_digits.py --mnist     # 28×28 digits

What happens: a minute and a half on two cores at most (MNIST: three). A convolutional generator and
discriminator (Radford et al. 2016) play the non-saturating game under R1 (Mescheder et al. 2018),
with batch norm in the generator only. The moving average of the generator's weights (Yazıcı et al.
2019) makes the samples. Their Fréchet distance from real digits, in the features of a small
classifier of the same digits, falls to about one and a half times of that between two halves of the
real ones; it cannot be compared with the numbers of papers, whose features are others. Written into
--out: digits.png, with real and generated digits side by side, and losses.png.
"""

import os
import sys
from dataclasses import dataclass

import numpy as np
from common import add_mnist, parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data import DataLoader, TensorDataset, cycle, digits, mnist_10k
from tinygen.metrics import digit_features
from tinygen.models.gan import GAN
from tinygen.models.gan_networks import DCGANDiscriminator, DCGANGenerator
from tinygen.optim.lr_scheduler import LambdaLR
from tinygen.train import Trainer

LATENT, BATCH = 32, 64
LR, BETAS, GAMMA, EMA = 1e-3, (0.5, 0.999), 1.0, 0.995
REPEATS, SAMPLES = 10, 900  # of the measurement, and generated digits in each
DISTANCE, SCORE = "Fréchet distance / real versus real", "Inception Score / that of real"


@dataclass
class Setting:
    """What is different for the two sets of digits."""

    images: tuple[int, int, int]
    channels: int
    steps: int
    expected: dict[str, tuple[float, float]]  # at least and at most: see benchmarks/bands/README.md


DIGITS = Setting((1, 8, 8), 32, 4000, {DISTANCE: (1.0, 2.0), SCORE: (0.84, 1.0)})
MNIST = Setting((1, 28, 28), 16, 2000, {})


def main(argv=None) -> int:
    arguments = parser(__doc__, "gan_digits", steps=DIGITS.steps)
    add_mnist(arguments)
    arguments.set_defaults(steps=None)  # MNIST takes others
    return run_example(run, arguments.parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    setting, read = (MNIST, mnist_10k) if args.mnist else (DIGITS, digits)
    steps = args.steps or setting.steps
    images, _ = read("train")
    gan = networks(setting)
    optimizers = {"D": tg.optim.Adam(gan.discriminator.parameters(), lr=LR, betas=BETAS),
                  "G": tg.optim.Adam(gan.generator.parameters(), lr=LR, betas=BETAS)}  # fmt: skip
    trainer = Trainer(
        gan, optimizers,
        cycle(DataLoader(TensorDataset(2 * images - 1), BATCH, shuffle=True, drop_last=True)),
        scheduler={name: LambdaLR(o, decay(steps)) for name, o in optimizers.items()},
        update=update, grad_clip=None, ema=EMA, ema_of=gan.generator,
    )  # fmt: skip
    if not trainer.fit(steps, units_per_step=BATCH, unit="image"):
        return 130
    with tg.no_grad():
        samples = (trainer.ema.module(gan.noise(REPEATS * SAMPLES)) + 1) / 2
    draw(args.out, images, samples, trainer.losses)
    return report(measured(read("all")[0], samples, args.mnist), setting)


def networks(setting: Setting) -> GAN:
    generator = DCGANGenerator(LATENT, setting.images, setting.channels)
    discriminator = DCGANDiscriminator(setting.images, setting.channels, norm=None)
    return GAN(generator, discriminator, r1_gamma=GAMMA)


def update(trainer: Trainer, batch: list[tg.Tensor]) -> dict[str, float]:
    """A step of the discriminator, then one of the generator."""
    gan, (real,) = trainer.model, batch
    return {
        "D": trainer.descend(gan.discriminator_loss(real), "D"),
        "G": trainer.descend(gan.generator_loss(len(real)), "G"),
    }


def decay(steps: int):
    """The factor of the learning rate: 1 for the first half of the steps, then straight to 0."""
    return lambda step: min(1.0, 2 * (1 - step / steps))


def measured(real: tg.Tensor, samples: tg.Tensor, mnist: bool) -> dict[str, float]:
    """What is expected of images [n, 1, size, size] in [0, 1], of REPEATS draws the mean: a single
    one is off by a fifth or so."""
    network = digit_features("mnist" if mnist else "digits")
    parts = samples.split(-(-len(samples) // REPEATS))
    ratios = {}
    for what, metric in ((DISTANCE, network.frechet_distance), (SCORE, network.inception_score)):
        found = [metric(real, part, tg.Generator(i)) for i, part in enumerate(parts)]
        value, floor = (np.mean([getattr(m, x) for m in found]) for x in ("value", "floor"))
        print(f"{found[0].name}: {value:.4g} at n = {found[0].n} (real versus real: {floor:.4g})")
        ratios[what] = float(value / floor)
    print()
    return ratios


def report(found: dict[str, float], setting: Setting) -> int:
    bands = setting.expected.items()
    return max((report_band(what, found[what], *band) for what, band in bands), default=0)


def draw(out: str, real: tg.Tensor, samples: tg.Tensor, losses: dict[str, list[float]]) -> None:
    figure, ((left, right),) = viz.panels(2, size=(9, 4.8))
    viz.sample_grid(real[:100], title="real", axes=left)
    viz.sample_grid(samples[:100], title="generated", axes=right)
    figure.savefig(os.path.join(out, "digits.png"))
    names = {"D": "discriminator", "G": "generator"}
    viz.loss_curve(
        {names[name]: values for name, values in losses.items()},
        levels={"log 4: all look alike": 1.3863, "log 2": 0.6931}, title="A DCGAN on digits",
    ).savefig(os.path.join(out, "losses.png"))  # fmt: skip
    print(f"\n{out}/: digits.png, losses.png\n")


if __name__ == "__main__":
    sys.exit(main())
