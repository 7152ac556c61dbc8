"""Draw digits from words: a transformer that looks at the text through cross-attention (DiT).

    python examples/text_to_digit.py
    python examples/text_to_digit.py --text "draw a bold three"    # by the model that was trained

What happens: a minute and a half on two cores. Each of the 8×8 digits gets captions, such as "the
digit seven", "a bold 7" or "an odd digit": what digit it is says its label, and how bold, the ink
that can be measured. A denoising transformer learns to make the image of noise, given the caption
or sometimes none, so that samples can be guided (Ho & Salimans 2022). Then it is asked in phrases
that no caption of the training had, and for boldness and digits that were never mentioned together:
a classifier of real digits says what it drew. Written into --out: digits.png, with captions and
what was drawn, and model.safetensors, which --text takes.
"""

import itertools
import os
import sys

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import sde, viz
from tinygen.data import digits
from tinygen.metrics import digit_features
from tinygen.models.diffusion import DDPM
from tinygen.nn import DiT, TextEncoder
from tinygen.text import WordTokenizer
from tinygen.train import DrawnBatches, Trainer

STEPS, BATCH, LR, EMA = 2000, 64, 2e-3, 0.995
PATCH, WIDTH, BLOCKS, HEADS = 2, 64, 3, 4
GUIDANCE, SAMPLER_STEPS, SAMPLES = 2.0, 25, 4  # samples: of each caption
EXPECTED = {  # what: (at least, at most); see benchmarks/bands/README.md
    "new phrases: the digit asked for": (0.96, 1.0),
    "new phrases: as bold as asked for": (0.86, 1.0),
    "new pairs: the digit asked for": (0.95, 1.0),
    "new pairs: as bold as asked for": (0.88, 1.0),
    "even or odd, as asked for": (0.85, 1.0),
}


# ---- Captions ------------------------------------------------------------------------------------

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
INKS = ("thin", "", "bold")  # thirds of the images of a digit; the middle one has no name
PARITIES = ("even", "odd")
PLAIN = ("{digit}", "a {digit}", "the digit {digit}", "draw a {digit}", "the number {digit}",
         "an {parity} digit")  # fmt: skip
INKED = ("{ink} {digit}", "a {ink} {digit}", "the {ink} number {digit}", "draw a {ink} {digit}",
         "a digit {digit} in {ink}", "a {ink} {parity} digit")  # fmt: skip
NEW = ("draw the {ink} digit {digit}", "the number {digit} in {ink}", "draw a {ink} digit {digit}")
NEW_PAIRS = {("thin", 3), ("thin", 8), ("bold", 1), ("bold", 7)}  # no caption has both


def phrased(phrases: tuple[str, ...], label: int, ink: str = "") -> list[str]:
    """The captions that these phrases make of a digit, which has a name and a numeral."""
    parity = PARITIES[label % 2]
    return [phrase.format(digit=digit, parity=parity, ink=ink)
            for phrase in phrases for digit in (NAMES[label], str(label))]  # fmt: skip


def captions_of(label: int, ink: str) -> list[str]:
    """All captions that the training has for such an image."""
    inked = phrased(INKED, label, ink) if ink and (ink, label) not in NEW_PAIRS else []
    return phrased(PLAIN, label) + inked


KINDS = list(itertools.product(range(10), INKS))
TOKENIZER = WordTokenizer.train(caption for kind in KINDS for caption in captions_of(*kind))


def tokens_of(captions: list[str]) -> tg.Tensor:
    """[captions, T], with padding at the end of those that are shorter."""
    rows = [TOKENIZER.encode(caption) for caption in captions]
    T = max(1, *map(len, rows))
    return tg.tensor([row + [TOKENIZER.vocab_size] * (T - len(row)) for row in rows])


def borders_of_ink(images: tg.Tensor, labels: tg.Tensor) -> np.ndarray:
    """Between which mean values of its pixels lies the middle third of a digit's images: [10, 2]"""
    ink = images.numpy().mean((1, 2, 3))
    return np.stack([np.quantile(ink[labels.numpy() == label], [1 / 3, 2 / 3])
                     for label in range(10)])  # fmt: skip


def thirds_of(images: tg.Tensor, labels: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Which of INKS each image is, 0 to 2, among those of its digit."""
    return (images.numpy().mean((1, 2, 3))[:, None] > borders[labels]).sum(1)


class Captioned:
    """Batches of images in [-1, 1] with a caption each, which is another one every time."""

    def __init__(self, images: tg.Tensor, labels: tg.Tensor):
        thirds = thirds_of(images, labels.numpy(), borders_of_ink(images, labels))
        self.images, self.kinds = 2 * images - 1, 3 * labels.numpy() + thirds
        captions = [captions_of(*kind) for kind in KINDS]
        self.counts = np.array([len(of_kind) for of_kind in captions])
        self.first = self.counts.cumsum() - self.counts
        self.tokens = tokens_of(list(itertools.chain(*captions)))

    def __call__(self) -> tuple[tg.Tensor, tg.Tensor]:
        """[BATCH, 1, 8, 8] and tokens [BATCH, T]"""
        at = tg.randint(0, len(self.images), (BATCH,)).numpy()
        kinds = self.kinds[at]
        which = self.first[kinds] + (tg.rand(BATCH).numpy() * self.counts[kinds]).astype(int)
        return self.images[at], self.tokens[which]


# ---- Training ------------------------------------------------------------------------------------


def make_model() -> DDPM:
    text = TextEncoder(TOKENIZER.vocab_size, WIDTH)
    network = DiT(1, PATCH, WIDTH, BLOCKS, HEADS, text=text)
    return DDPM(network, sde.CosineSchedule(), prediction="v")


def train(seed: int, steps: int) -> DDPM:
    """The average of the weights over the last steps."""
    tg.manual_seed(seed)
    model = make_model()
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = DrawnBatches(Captioned(*digits("train")))
    trainer = Trainer(model, optimizer, batches, lambda model, batch: model.loss(*batch),
                      scheduler=schedule, ema=EMA)  # fmt: skip
    if not trainer.fit(steps, units_per_step=BATCH, unit="image"):
        raise KeyboardInterrupt
    return trainer.ema.module


def drawn(model: DDPM, captions: list[str]) -> tg.Tensor:
    """An image of each caption, [captions, 1, 8, 8] in [0, 1]."""
    shape, tokens = (len(captions), 1, 8, 8), tokens_of(captions)
    x = model.sample(shape, sde.DDIM(), SAMPLER_STEPS, condition=tokens, guidance=GUIDANCE)
    return ((x + 1) / 2).clamp(0, 1)


# ---- What it learned -----------------------------------------------------------------------------


def questions() -> tuple[list, list, list]:
    """Captions with the digit and the boldness that they ask for: in new phrases, of new pairs in
    any phrase, and those that ask for a parity alone."""
    pairs = itertools.product(range(10), ("thin", "bold"))
    ask = lambda phrases, label, ink: [(c, label, ink) for c in phrased(phrases, label, ink)]
    phrases, unpaired = [], []
    for label, ink in pairs:
        if (ink, label) in NEW_PAIRS:
            unpaired += ask((*INKED[:-1], *NEW), label, ink)
        else:
            phrases += ask(NEW, label, ink)
    parities = [(f"an {PARITIES[odd]} digit", odd, "") for odd in (0, 1)] * 20
    return phrases, unpaired, parities


def shares(model: DDPM, asked: list) -> tuple[float, float, float]:
    """The shares of drawn images that are read as the digit that was asked for, that are as bold as
    asked for, and whose parity is right."""
    captions, labels, inks = zip(*(question for question in asked for _ in range(SAMPLES)))
    images, labels = drawn(model, list(captions)), np.array(labels)
    read = digit_features().probs(images).numpy().argmax(1)
    thirds = thirds_of(images, labels, borders_of_ink(*digits("train")))
    wanted = [INKS.index(ink) for ink in inks]
    return (read == labels).mean(), (thirds == wanted).mean(), (read % 2 == labels % 2).mean()


def measure(model: DDPM) -> dict[str, float]:
    """What EXPECTED is about."""
    phrases, pairs, parities = (shares(model, asked) for asked in questions())
    values = (*phrases[:2], *pairs[:2], parities[2])
    return {what: float(value) for what, value in zip(EXPECTED, values)}


def main(argv=None) -> int:
    arguments = parser(__doc__, "text_to_digit", steps=STEPS)
    arguments.add_argument("--text", help="only draw this, such as: a bold three")
    return run_example(run, arguments.parse_args(argv))


def run(args) -> int:
    file = os.path.join(args.out, "model.safetensors")
    if args.text is not None:
        TOKENIZER.encode(args.text)  # unknown words: better now than after the training
    if args.text is not None and os.path.exists(file):
        tg.manual_seed(args.seed)
        model = make_model()
        model.load_state_dict(tg.load(file))
        model.eval()
    else:
        model = train(args.seed, args.steps)
        tg.save(model.state_dict(), file)
    if args.text is not None:
        viz.sample_grid(drawn(model, [args.text] * 20), title=args.text).savefig(
            os.path.join(args.out, "text.png")
        )
        print(f"\n{args.out}/text.png")
        return 0
    measured = measure(model)
    draw(model).savefig(os.path.join(args.out, "digits.png"))
    print(f"\n{args.out}/: digits.png, model.safetensors\n")
    return max(report_band(what, value, *EXPECTED[what]) for what, value in measured.items())


def draw(model: DDPM, columns: int = 10):
    """Captions, and what was drawn of each."""
    captions = ["the digit seven", "a bold 7", "a thin seven", "draw the thin digit 3",
                "the number 8 in bold", "an even digit", "a thin odd digit"]  # fmt: skip
    images = drawn(model, [caption for caption in captions for _ in range(columns)])
    figure, ((axes,),) = viz.panels(size=(7.2, 4))
    viz.sample_grid(images, columns, row_labels=captions, title="words to digits", axes=axes)
    return figure


if __name__ == "__main__":
    sys.exit(main())
