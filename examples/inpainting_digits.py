"""Half a digit, completed: diffusion that knows some pixels (RePaint, Lugmayr et al. 2022).

    python examples/inpainting_digits.py             # 8×8 digits, which come with scikit-learn
    python examples/inpainting_digits.py --mnist     # 28×28 digits

What happens: a minute and a half on two cores (MNIST: four). The network of diffusion_digits.py is
trained, and not for this: it only learns what digits are like. Then half of each digit that it has
never seen is hidden. On the way from noise to a digit the pixels that are known are put back after
every step, and every step is taken several times, so that the rest comes to fit them. Measured are
the share of completed digits that a classifier takes for what they were, which cannot be all of
them: there are halves that belong to several digits, and which digit it will be is settled early,
when the known pixels are under noise, too. And whether these are in the end what they were. Written
into --out: inpainting.png, with what was known, several completions, and the digit as it was.
"""

import os
import sys

import diffusion_digits
from common import add_mnist, parser, report_band, run_example
from diffusion_digits import as_images, load, setting_of, train

import tinygen as tg
from tinygen import sde, viz
from tinygen.metrics import digit_features
from tinygen.models.diffusion import DDPM

HALVES = ("lower", "right")  # that are hidden
SAMPLER_STEPS, RESAMPLE, COMPLETIONS, COLUMNS = 50, 5, 2, 6  # of each digit; in the picture
TESTED = {False: 179, True: 60}  # digits held out, by --mnist; of the former, all there are
RIGHT, CHANGED = "completed to the right digit", "largest change of a known pixel"
EXPECTED = {RIGHT: (0.5, 0.72), CHANGED: (0.0, 0.0)}  # see benchmarks/bands/README.md


def known_pixels(half: str, size: int) -> tg.Tensor:
    """bool [size, size], True where a pixel is known"""
    row, column = tg.arange(size)[:, None], tg.arange(size)[None]
    place = row if half == "lower" else column
    return (place < size // 2).expand(size, size)


def complete(model: DDPM, images: tg.Tensor, mask: tg.Tensor, resample: int) -> tg.Tensor:
    """Images [n, 1, size, size] in [0, 1], of which those pixels are kept that are known."""
    sampler = sde.Inpaint(sde.Ancestral(), 2 * images - 1, mask, resample)
    return as_images(model.sample(images.shape, sampler, SAMPLER_STEPS))


def measure(model: DDPM, mnist: bool) -> dict[str, float]:
    """What EXPECTED is about: means over both halves."""
    judge, (images, labels) = digit_features("mnist" if mnist else "digits"), load(mnist, "test")
    print(f"whole digits: {judge.accuracy(images, labels):.3f} are taken for what they are")
    images, labels = (tg.cat([x[: TESTED[mnist]]] * COMPLETIONS) for x in (images, labels))
    right, changed = [], []
    for half in HALVES:
        mask = known_pixels(half, images.shape[-1])
        once, repeated = (complete(model, images, mask, n) for n in (1, RESAMPLE))
        right.append(judge.accuracy(repeated, labels))
        changed.append(float(((repeated - images).abs() * mask).max()))
        print(f"{half} half hidden: {judge.accuracy(images * mask, labels):.3f}; completed, with "
              f"every step taken once, {judge.accuracy(once, labels):.3f}; {RESAMPLE} times, "
              f"{right[-1]:.3f}")  # fmt: skip
    return {RIGHT: sum(right) / len(right), CHANGED: max(changed)}


def run(args) -> int:
    model = train(args.seed, args.steps or setting_of(args.mnist).steps, args.mnist)
    found = measure(model, args.mnist)
    path = os.path.join(args.out, "inpainting.png")
    draw(model, args.mnist).savefig(path)
    print(f"\n{path}\n")
    expected = {CHANGED: EXPECTED[CHANGED]} if args.mnist else EXPECTED
    return max(report_band(what, found[what], *band) for what, band in expected.items())


def draw(model: DDPM, mnist: bool):
    """A row for each class: what is known, completions, and the digit."""
    images, labels = load(mnist, "test")
    chosen = tg.cat([images[labels == c][:1] for c in range(diffusion_digits.CLASSES)])
    figure, (places,) = viz.panels(len(HALVES), size=(9, 5.6))
    for axes, half in zip(places, HALVES):
        mask = known_pixels(half, images.shape[-1])
        completed = complete(model, tg.cat([chosen] * COLUMNS), mask, RESAMPLE).chunk(COLUMNS)
        shown = [tg.where(mask, chosen, 0.5), *completed, chosen]
        rows = tg.stack(shown, 1).flatten(0, 1)
        viz.sample_grid(rows, len(shown), title=f"{half} half hidden: known, completed, digit",
                        axes=axes)  # fmt: skip
    return figure


def main(argv=None) -> int:
    arguments = parser(__doc__, "inpainting_digits", steps=setting_of(False).steps)
    add_mnist(arguments)
    arguments.set_defaults(steps=None)  # MNIST takes others
    return run_example(run, arguments.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
