"""Train a VAE on handwritten digits, and let it draw new ones (Kingma & Welling 2014).

    python examples/vae_digits.py                # 8×8 digits, embedded in scikit-learn
    python examples/vae_digits.py --mnist        # 28×28, 9,000 images of MNIST, convolutions

What happens: a quarter of a minute on two cores (--mnist: a minute and a half). Each pixel of each
batch is black or white at random, as likely as it is dark in the image. The bound of log p(x) on
images that were held out is compared with what the same network reaches in PyTorch. Written into
--out: vae.png with reconstructions, samples and ways from one digit to another, and loss.png.
"""

import os
import sys

from common import add_mnist, parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data import DataLoader, TensorDataset, cycle, digits, mnist_10k
from tinygen.models.vae import (
    VAE,
    Bernoulli,
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    gaussian_kl,
)
from tinygen.train import Trainer

STEPS, BATCH, LR = 4000, 128, 2e-3
HIDDEN, LATENT = (256, 128), 16  # of the MLP for 8×8 digits
MNIST_STEPS, CHANNELS, MNIST_LATENT = 1500, (32, 64), 32  # of the convolutions for MNIST
K = 64  # samples of z an image, for the bound that is reported
BANDS = {False: (22.2, 23.0), True: (94.3, 96.0)}  # nats; benchmarks/bands/README.md: from where


def load(large: bool) -> tuple[tg.Tensor, tg.Tensor]:
    """Images [n, 1, H, W] in grey to train on, and black and white ones that were held out.

    The latter are drawn once and for all, so that every run is measured by the same ones.
    """
    images = mnist_10k if large else digits
    (train, _), (test, _) = images("train"), images("test")
    return train, tg.bernoulli(test, generator=tg.Generator(0))


def make_model(large: bool) -> VAE:
    if not large:
        image = (1, 8, 8)
        encoder = MLPEncoder(image, HIDDEN, 2 * LATENT)
        return VAE(encoder, MLPDecoder(LATENT, HIDDEN[::-1], image), LATENT, Bernoulli())
    image = (1, 28, 28)
    encoder = ConvEncoder(image, CHANNELS, 2 * MNIST_LATENT)
    decoder = ConvDecoder(MNIST_LATENT, CHANNELS[::-1], image)
    return VAE(encoder, decoder, MNIST_LATENT, Bernoulli())


def loss(model: VAE, batch) -> tg.Tensor:
    """−ELBO of grey images, made black and white anew (Salakhutdinov & Murray 2008)."""
    (images,) = batch
    return model.loss(tg.bernoulli(images))


@tg.no_grad()
def measure(model: VAE, images: tg.Tensor, k: int = 0) -> float:
    """The mean of −ELBO, or with k of the importance-weighted bound, in nats an image."""
    model.eval()
    pieces = images.split(100)
    return -tg.cat([model.iwae(x, k=k) if k else model.elbo(x) for x in pieces]).mean().item()


def main(argv=None) -> int:
    made = parser(__doc__, "vae_digits", STEPS)
    add_mnist(made)
    made.set_defaults(steps=None)  # MNIST takes others
    return run_example(run, made.parse_args(argv))


def run(args) -> int:
    train, test = load(args.mnist)
    tg.manual_seed(args.seed)
    model = make_model(args.mnist)
    steps = args.steps or (MNIST_STEPS if args.mnist else STEPS)
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loader = DataLoader(TensorDataset(train), BATCH, shuffle=True, drop_last=True)
    trainer = Trainer(model, optimizer, cycle(loader), loss, scheduler=schedule)
    print(f"{len(train):,} images; {sum(p.numel() for p in model.parameters()):,} parameters")
    finished = trainer.fit(
        steps,
        eval_every=max(1, steps // 10),
        evaluate=lambda: {"held out": measure(model, test)},
        units_per_step=BATCH,
        unit="image",
    )
    if not finished:
        return 130
    elbo, bound = measure(model, test), measure(model, test, K)
    kl = gaussian_kl(*model.encode(test)).mean().item()
    print(f"held out: -ELBO {elbo:.2f} nats, of which KL {kl:.2f}; with {K} samples {bound:.2f}")
    draw(args.out, trainer, test)
    print(f"{args.out}/: vae.png, loss.png")
    return report_band(
        f"negative bound with {K} samples, held out", bound, *BANDS[args.mnist], "nats"
    )


def draw(out: str, trainer: Trainer, test: tg.Tensor) -> None:
    """Reconstructions, samples and interpolations on one page; the loss on another."""
    model = trainer.model
    figure, ((left, middle, right),) = viz.panels(3, size=(13, 3.2))
    some = test[:30]
    pairs = tg.stack([some, model.reconstruct(some)], 1).reshape(60, *test.shape[1:])
    viz.sample_grid(pairs, 10, title="held out, and reconstructed beside it", axes=left)
    viz.sample_grid(
        model.sample(60), 10, title="samples: means of p(x | z), z ~ N(0, I)", axes=middle
    )
    codes = model.encode(test[:12])[0]
    viz.interpolation(model.mean_image, codes[:6], codes[6:], 10, spherical=True,
                      title="from one held-out digit to another", axes=right)  # fmt: skip
    figure.savefig(os.path.join(out, "vae.png"))
    at = [e["step"] for e in trainer.evaluations], [e["held out"] for e in trainer.evaluations]
    viz.loss_curve(
        trainer.losses["loss"], {"held out": at}, ylabel="−ELBO, nats an image", title="VAE"
    ).savefig(os.path.join(out, "loss.png"))


if __name__ == "__main__":
    sys.exit(main())
