"""Digits out of noise, each of the class asked for: a U-Net with classifier-free guidance.

    python examples/diffusion_digits.py             # 8×8 digits, which come with scikit-learn
    python examples/diffusion_digits.py --mnist     # 28×28 digits

What happens: a minute and a half on two cores (MNIST: four). A U-Net learns to tell noise from the
digits under it (DDPM, Ho et al. 2020; cosine schedule, Nichol & Dhariwal 2021; v prediction,
Salimans & Ho 2022), knowing their class, but for one in ten, so that it also knows what digits are
like in general. Away from these and towards the class asked for goes guidance (Ho & Salimans 2022):
with more of it more digits are what was asked for, and they are less like the real ones in other
ways, being too typical. A small classifier of the same digits says how many are of their class, and
in its features is the Fréchet distance from real digits, as a multiple of that between two halves
of the real ones. Written into --out: digits.png, with a row for each class, at three scales of
guidance.
"""

import os
import sys
from dataclasses import dataclass

import numpy as np
from common import add_mnist, parser, report_band, run_example

import tinygen as tg
from tinygen import sde, viz
from tinygen.data import DataLoader, TensorDataset, cycle, digits, mnist_10k
from tinygen.metrics import digit_features
from tinygen.models.diffusion import DDPM
from tinygen.nn import UNet
from tinygen.train import Trainer

BATCH, LR, EMA, CLASSES = 64, 2e-3, 0.995, 10
SCALES, SAMPLER_STEPS = (1.0, 2.0, 4.0), 20  # of guidance; 1 is none beyond the condition
HALVES, COLUMNS = 10, 8  # how often real digits are halved to compare; of a class in the picture
DISTANCE = "Fréchet distance / real versus real"
NEAREST = "nearest training digit: distance / that of real"
SHARES = {scale: f"digits of the class asked for, guidance {scale:g}" for scale in SCALES}


@dataclass
class Setting:
    """What is different for the two sets of digits."""

    network: dict
    size: int
    steps: int
    samples: int  # that are measured, at each scale
    expected: dict[str, tuple[float, float]]  # at least and at most: see benchmarks/bands/README.md


DIGITS = Setting({"channels": 16, "channel_mults": (1, 2)}, 8, 1500, 1780, {
    SHARES[1.0]: (0.94, 1.0), SHARES[4.0]: (0.98, 1.0), DISTANCE: (0.5, 1.2), NEAREST: (0.9, 1.2),
})  # fmt: skip
MNIST = Setting({"channels": 16, "channel_mults": (1, 2, 2), "attention_levels": (2,)}, 28, 600,
                300, {})  # fmt: skip


def setting_of(mnist: bool) -> Setting:
    return MNIST if mnist else DIGITS


def load(mnist: bool, split: str) -> tuple[tg.Tensor, tg.Tensor]:
    """Images [n, 1, size, size] in [0, 1], and labels [n]"""
    return (mnist_10k if mnist else digits)(split)


# ---- Training ------------------------------------------------------------------------------------


def train(seed: int, steps: int, mnist: bool) -> DDPM:
    """The average of the weights over the last steps."""
    tg.manual_seed(seed)
    images, labels = load(mnist, "train")
    network = UNet(**setting_of(mnist).network, num_classes=CLASSES)
    model = DDPM(network, sde.CosineSchedule(), prediction="v")
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    data = TensorDataset(2 * images - 1, labels)
    trainer = Trainer(
        model, optimizer, cycle(DataLoader(data, BATCH, shuffle=True, drop_last=True)),
        lambda model, batch: model.loss(*batch),
        scheduler=tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), ema=EMA,
    )  # fmt: skip
    if not trainer.fit(steps, units_per_step=BATCH, unit="image"):
        raise KeyboardInterrupt
    return trainer.ema.module.eval()


def as_images(x: tg.Tensor) -> tg.Tensor:
    """From [-1, 1], and what is a little outside, to [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)


# ---- What it learned -----------------------------------------------------------------------------


def guided(model: DDPM, n: int, scale: float, mnist: bool) -> tuple[tg.Tensor, tg.Tensor]:
    """n digits [n, 1, size, size] in [0, 1], as many of each class, and their classes [n]."""
    classes, size = tg.arange(n) % CLASSES, setting_of(mnist).size
    x = model.sample(
        (n, 1, size, size), sde.DDIM(), SAMPLER_STEPS, condition=classes, guidance=scale
    )
    return as_images(x), classes


def measure(model: DDPM, mnist: bool) -> dict[str, float]:
    """What a setting has expectations of."""
    judge, real = digit_features("mnist" if mnist else "digits"), load(mnist, "all")[0]
    held_out = judge.accuracy(*load(mnist, "test"))
    print(f"of real digits held out, the classifier takes {held_out:.3f} for what they are")
    found = {}
    for scale in SCALES:
        x, classes = guided(model, setting_of(mnist).samples, scale, mnist)
        found[SHARES[scale]] = share = judge.accuracy(x, classes)
        distances = [judge.frechet_distance(real, x, tg.Generator(i)) for i in range(HALVES)]
        value, floor = (float(np.mean([getattr(d, name) for d in distances]))
                        for name in ("value", "floor"))  # fmt: skip
        print(f"guidance {scale:g}: {share:.3f} are of their class; {distances[0].name}: "
              f"{value:.4g} at n = {distances[0].n} (real versus real: {floor:.4g})")  # fmt: skip
        if scale == 1:
            found[DISTANCE] = value / floor
            known, unseen = (load(mnist, split)[0] for split in ("train", "test"))
            found[NEAREST] = nearest(x, known) / nearest(unseen, known)
    return found


def nearest(x: tg.Tensor, known: tg.Tensor) -> float:
    """The mean distance of images from the nearest known one. A model that has learned
    them by heart is at 0, and one that makes others of their kind where other real ones are."""
    a, b = (images.array.reshape(len(images), -1) for images in (x, known))
    square = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)
    return float(np.sqrt(square.min(1).clip(0)).mean())


def run(args) -> int:
    setting = setting_of(args.mnist)
    model = train(args.seed, args.steps or setting.steps, args.mnist)
    found = measure(model, args.mnist)
    path = os.path.join(args.out, "digits.png")
    draw(model, args.mnist).savefig(path)
    print(f"\n{path}\n")
    return report(found, setting)


def report(found: dict[str, float], setting: Setting) -> int:
    bands = setting.expected.items()
    return max((report_band(what, found[what], *band) for what, band in bands), default=0)


def draw(model: DDPM, mnist: bool):
    """A row for each class; real digits, and scales of guidance side by side."""
    images, labels = load(mnist, "train")
    figure, (axes,) = viz.panels(1 + len(SCALES), size=(13, 4.4))
    of_class = [images[labels == c][:COLUMNS] for c in range(CLASSES)]
    viz.sample_grid(tg.cat(of_class), COLUMNS, title="real", axes=axes[0])
    for place, scale in zip(axes[1:], SCALES):
        x, _ = guided(model, CLASSES * COLUMNS, scale, mnist)
        rows = x.reshape(COLUMNS, CLASSES, *x.shape[1:]).transpose(0, 1).flatten(0, 1)
        viz.sample_grid(rows, COLUMNS, title=f"guidance {scale:g}", axes=place)
    return figure


def main(argv=None) -> int:
    arguments = parser(__doc__, "diffusion_digits", steps=DIGITS.steps)
    add_mnist(arguments)
    arguments.set_defaults(steps=None)  # MNIST takes others
    return run_example(run, arguments.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
