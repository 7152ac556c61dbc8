"""Digits as sixteen symbols each, and a GPT that writes new ones (van den Oord et al. 2017).

    python examples/vqvae_digits.py
    python examples/vqvae_digits.py --steps 300 --out runs/quick

What happens: a minute on two cores. A VQ-VAE learns to say an 8×8 digit in 4 × 4 codes out of 64,
and to draw it from them. Then a small GPT learns which codes follow one another in each kind of
digit; it writes new ones, from left to right and top to bottom, and the decoder draws them. Written
into --out: vqvae.png, held-out digits beside what is left of them in their codes, and new ones, a
column for each kind; and loss.png.
"""

import math
import os
import sys

from common import parser, report_band, run_example
from gan_digits import DISTANCE, measured

import tinygen as tg
from tinygen import nn, viz
from tinygen.data import DataLoader, TensorDataset, cycle, digits
from tinygen.models.gpt import GPT, GPTConfig
from tinygen.models.vqvae import VQVAE, perplexity
from tinygen.train import Trainer

STEPS, BATCH, LR = 1500, 128, 2e-3
K, D, CHANNELS, DECAY, VARIANCE = 64, 8, 32, 0.99, 0.02  # VARIANCE: of a pixel, given the codes
PRIOR = {"n_layer": 2, "n_head": 4, "n_embd": 64, "dropout": 0.1}
PRIOR_STEPS, PRIOR_WEIGHT_DECAY = 0.4, 0.1  # the former times STEPS
PLACES, CLASSES, SAMPLES = 16, 10, 9000  # codes of an image; kinds of digits; new images
ERROR, IN_USE = "squared error, share of variance", "codes in use: perplexity"
NATS = "nats of the codes of an image"
EXPECTED = {  # at least, at most; see benchmarks/bands/README.md
    ERROR: (0.045, 0.085),
    IN_USE: (50, 64),
    NATS: (35, 40),
    DISTANCE: (0.85, 1.5),
}

Batch = list[tg.Tensor]


# ---- The two models ------------------------------------------------------------------------------


def make_vqvae() -> VQVAE:
    return VQVAE((1, 8, 8), K, D, CHANNELS, variance=VARIANCE, decay=DECAY)


def make_prior() -> GPT:
    return GPT(GPTConfig(vocab_size=K, block_size=PLACES, **PRIOR))


def code_loss(prior: GPT, batch: Batch) -> tg.Tensor:
    """-log p(codes | label) / PLACES in nats, the mean over codes [B, PLACES] and labels [B].

    The label is the first token. That it isn't the code of the same number, its place tells.
    """
    codes, labels = batch
    _, loss = prior(tg.cat([labels[:, None], codes[:, :-1]], 1), codes)
    return loss


@tg.no_grad()
def drawn(model: VQVAE, prior: GPT, labels: tg.Tensor) -> tg.Tensor:
    """New images [n, 1, 8, 8] of digits of these labels [n]."""
    codes = prior.generate(labels[:, None], PLACES, do_sample=True)[:, 1:]
    return model.decode(codes.reshape(-1, 4, 4)).clamp(0, 1)


def train(model: nn.Module, data: Batch, loss, steps: int, weight_decay: float = 0.0) -> list:
    """The loss of every step, on batches of all `data`, while the learning rate falls to 0."""
    optimizer = tg.optim.AdamW(model.parameters(), lr=LR, weight_decay=weight_decay)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = cycle(DataLoader(TensorDataset(*data), BATCH, shuffle=True, drop_last=True))
    trainer = Trainer(model, optimizer, batches, loss, scheduler=schedule)
    if not trainer.fit(steps, units_per_step=BATCH, unit="image"):
        raise KeyboardInterrupt
    model.eval()
    return trainer.losses["loss"]


# ---- Running -------------------------------------------------------------------------------------


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "vqvae_digits", steps=STEPS).parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    images, labels = digits("train")
    model, prior = make_vqvae(), make_prior()
    losses = train(model, [images], lambda model, batch: model.loss(*batch), args.steps)
    codes = model.encode(images).flatten(1)
    train(prior, [codes, labels], code_loss, math.ceil(PRIOR_STEPS * args.steps),
          PRIOR_WEIGHT_DECAY)  # fmt: skip
    found, samples = measure(model, prior)
    draw(args.out, model, samples, losses)
    return max(report_band(what, found[what], *band) for what, band in EXPECTED.items())


def measure(model: VQVAE, prior: GPT) -> tuple[dict[str, float], tg.Tensor]:
    """What EXPECTED is about, of images held out; and SAMPLES new ones, of the kinds in turn."""
    images, labels = digits("test")
    with tg.no_grad():
        codes = model.encode(images)
        variance = (images - images.mean(0)).square().mean()
        error = (model.decode(codes) - images).square().mean() / variance
        nats = PLACES * code_loss(prior, [codes.flatten(1), labels])
    samples = drawn(model, prior, tg.arange(SAMPLES) % CLASSES)
    distance = measured(digits()[0], samples, mnist=False)[DISTANCE]
    values = error.item(), perplexity(codes, K), nats.item(), distance
    return dict(zip((ERROR, IN_USE, NATS, DISTANCE), values)), samples


def draw(out: str, model: VQVAE, samples: tg.Tensor, losses: list[float]) -> None:
    """Reconstructions and new digits on one page; the loss on another."""
    figure, ((left, right),) = viz.panels(2, size=(9, 4.8))
    some = digits("test")[0][:50]
    pairs = tg.stack([some, model.reconstruct(some)], 1).reshape(100, 1, 8, 8)
    viz.sample_grid(pairs, 10, title="held out, and its codes decoded beside it", axes=left)
    viz.sample_grid(samples[:100], CLASSES, title="codes that the GPT wrote, decoded", axes=right)
    figure.savefig(os.path.join(out, "vqvae.png"))
    viz.loss_curve(losses, ylabel="−log p(x | codes), nats a pixel, and of the codebook",
                   title="VQ-VAE").savefig(os.path.join(out, "loss.png"))  # fmt: skip
    print(f"{out}/: vqvae.png, loss.png\n")


if __name__ == "__main__":
    sys.exit(main())
