"""Train a VAE on points in the plane, where all of it can be seen, and its likelihood computed.

    python examples/vae_2d.py

What happens: a quarter of a minute on two cores. The decoder bends a plane of codes, normally
distributed, over five arms of a pinwheel. With two dimensions of codes ∫ p(x | z) p(z) dz can be
summed up on a grid: so the bounds that are trained and reported elsewhere are seen beside the
log p(x) that they bound. Written into --out: vae.png with data, samples, density, and where the
codes lie.
"""

import math
import os
import sys

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data.toys import pinwheel
from tinygen.models.vae import VAE, Gaussian, MLPDecoder, MLPEncoder
from tinygen.train import DrawnBatches, Trainer

STEPS, BATCH, LR = 5000, 256, 3e-3
HIDDEN, LATENT = (64, 64), 2
TEST = 1000  # points held out, the same for every run
K = 64  # samples of z a point, for the importance-weighted bound
BANDS = {  # nats; benchmarks/bands/README.md says from where
    "-log p(x), held out": (2.56, 2.70),
    "-ELBO is above it by": (0.18, 0.32),
    f"the bound with {K} samples is above it by": (-0.005, 0.05),
}
BOUNDS, RESOLUTION = (-4.0, 4.0, -4.0, 4.0), 100  # of the picture


def make_model() -> VAE:
    encoder = MLPEncoder((2,), HIDDEN, 2 * LATENT)
    return VAE(encoder, MLPDecoder(LATENT, HIDDEN, (2,)), LATENT, Gaussian(0.5))


def held_out() -> tg.Tensor:
    return pinwheel(TEST, generator=tg.Generator(0))


@tg.no_grad()
def log_prob(model: VAE, x: tg.Tensor, side: int = 301) -> np.ndarray:
    """log p(x) [n] of points [n, 2], by the trapezoidal rule over z in a square of ±5.5.

    For a decoder as smooth as this one the rule is exact to many digits.
    """
    axis = np.linspace(-5.5, 5.5, side)
    z = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    outputs = model.decode(tg.tensor(z, dtype=tg.float32)).numpy().astype(np.float64)
    log_prior = -0.5 * (z**2).sum(1) - math.log(2 * math.pi) + 2 * math.log(axis[1] - axis[0])
    log_scale = model.likelihood.log_scale.item()
    found = []
    for piece in np.array_split(x.numpy().astype(np.float64), max(1, len(x) // 50)):
        squares = ((piece[:, None] - outputs) ** 2).sum(-1) * math.exp(-2 * log_scale)
        terms = log_prior - 0.5 * squares - math.log(2 * math.pi) - 2 * log_scale
        top = terms.max(1)
        found.append(top + np.log(np.exp(terms - top[:, None]).sum(1)))
    return np.concatenate(found)


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "vae_2d", STEPS).parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    model, test = make_model(), held_out()
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    trainer = Trainer(
        model, optimizer, DrawnBatches(lambda: pinwheel(BATCH)), VAE.loss, scheduler=schedule
    )
    if not trainer.fit(args.steps, units_per_step=BATCH, unit="point"):
        return 130
    with tg.no_grad():
        elbo = -tg.stack([model.elbo(test).mean() for _ in range(20)]).mean().item()
        iwae = -model.iwae(test, k=K).mean().item()
    exact = -log_prob(model, test).mean()
    print(f"held out, in nats a point: -ELBO {elbo:.4f}, with {K} samples {iwae:.4f}, "
          f"-log p(x) {exact:.4f}")  # fmt: skip
    draw(args.out, model, test)
    print(f"{args.out}/vae.png")
    measured = (exact, elbo - exact, iwae - exact)
    return max(report_band(*pair, *BANDS[pair[0]], "nats") for pair in zip(BANDS, measured))


@tg.no_grad()
def draw(out: str, model: VAE, test: tg.Tensor) -> None:
    """Data and samples, the density of the model, and the codes of the data beside the prior."""
    figure, ((data, samples, density, codes),) = viz.panels(4)
    viz.scatter(test, BOUNDS, title="data, held out", axes=data)
    z = tg.randn(TEST, LATENT)
    out_of_z = model.decode(z)
    noisy = out_of_z + model.likelihood.log_scale.exp() * tg.randn(TEST, 2)
    viz.scatter(noisy, BOUNDS, colour=viz.COLOURS[1], title="samples", axes=samples)
    viz.density(lambda x: tg.tensor(log_prob(model, x, 101)), BOUNDS, resolution=RESOLUTION,
                title="p(x), by summing over z", axes=density)  # fmt: skip
    mean, log_var = model.encode(test)
    drawn = mean + (0.5 * log_var).exp() * tg.randn(*mean.shape)
    circle = np.linspace(0, 2 * np.pi, 100)
    arms = np.arctan2(test[:, 1].numpy(), test[:, 0].numpy())
    codes.scatter(*drawn.numpy().T, s=3, c=arms, cmap="twilight", linewidths=0)
    for radius in (1, 2, 3):
        codes.plot(radius * np.cos(circle), radius * np.sin(circle), color=viz.GREY, linewidth=0.6)
    codes.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    codes.set_title("codes z ~ q(z | x), by the angle of x; 1, 2, 3 σ", fontsize=10)
    figure.savefig(os.path.join(out, "vae.png"))


if __name__ == "__main__":
    sys.exit(main())
