"""Latent diffusion on a ring: a VAE's codes are drawn by a diffusion instead of from N(0, 1).

    python examples/latent_diffusion_ring.py

What happens: a minute on two cores. Points of a ring in a plane, which lies in 16 dimensions, go
through a VAE with 2 latent dimensions. Its codes are to be normal, but those of a ring have a hole:
what the decoder makes of codes from there falls off the ring. Then a diffusion learns the codes,
and the same decoder gets its samples (Rombach et al. 2022). Measured is how far both are from new
data. (Both rings are thinner than the data's: the decoder gives means, and leaves a part of the
noise to p(x | z).) Written into --out: latent_diffusion.png, with points and codes.
"""

import os
import sys
from collections.abc import Callable

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import sde, viz
from tinygen.data.toys import ring
from tinygen.metrics import sliced_wasserstein
from tinygen.models.diffusion import DDPM
from tinygen.models.latent_diffusion import LatentDiffusion
from tinygen.models.vae import VAE, Gaussian, MLPDecoder, MLPEncoder
from tinygen.nn import MLPDenoiser
from tinygen.train import DrawnBatches, Trainer

NOISE, DIMENSIONS = 0.1, 16  # of the ring's radius, which is 2; that the plane lies in
HIDDEN, LATENT = (64, 64), 2
STEPS, BATCH, LR = 2000, 256, 2e-3  # of each of the two trainings
WIDTH, BLOCKS, EMA = 128, 2, 0.995
SAMPLES, SAMPLER_STEPS, CHAIN = 20_000, 40, 1000
EXPECTED = {  # what: (at least, at most); see benchmarks/bands/README.md
    "VAE: sliced Wasserstein distance to data": (0.07, 0.16),
    "latent diffusion: the same": (0.0, 0.055),
    "VAE: share of samples off the ring": (0.08, 0.17),
    "latent diffusion: the same share": (0.0, 0.005),
}
BOUNDS, SHOWN = (-3.0, 3.0, -3.0, 3.0), 5000  # of the picture

# An orthonormal basis of the plane, so that distances in it are those in all dimensions.
PLANE = np.linalg.qr(np.random.default_rng(0).standard_normal((DIMENSIONS, 2)))[0]
PLANE = tg.tensor(PLANE.T, dtype=tg.float32)


def points(n: int) -> tg.Tensor:
    """Points of the ring [n, DIMENSIONS]."""
    return ring(n, noise=NOISE) @ PLANE


# ---- Training ------------------------------------------------------------------------------------


def make_vae() -> VAE:
    encoder = MLPEncoder((DIMENSIONS,), HIDDEN, 2 * LATENT)
    return VAE(encoder, MLPDecoder(LATENT, HIDDEN, (DIMENSIONS,)), LATENT, Gaussian(0.5))


def make_diffusion() -> DDPM:
    return DDPM(MLPDenoiser(LATENT, WIDTH, BLOCKS), sde.CosineSchedule(), CHAIN, prediction="v")


def trained(model: tg.nn.Module, loss: Callable, steps: int, ema: float | None = None):
    """After steps with the learning rate falling to 0; with ema, the average of the weights."""
    optimizer = tg.optim.Adam(model.parameters(), lr=LR)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    batches = DrawnBatches(lambda: points(BATCH))
    trainer = Trainer(model, optimizer, batches, loss, scheduler=schedule, ema=ema)
    if not trainer.fit(steps, units_per_step=BATCH, unit="point"):
        raise KeyboardInterrupt
    return trainer.ema.module if ema else model.eval()


# ---- What they learned ---------------------------------------------------------------------------


def codes_of(sample: Callable[..., tg.Tensor]) -> tuple[tg.Tensor, tg.Tensor]:
    """Codes [SAMPLES, LATENT] of the prior, and those that `sample` draws, as of a diffusion."""
    shape = (SAMPLES, LATENT)
    return tg.randn(shape), sample(shape, sampler=sde.Heun(), steps=SAMPLER_STEPS)


def measure(of_vae: tg.Tensor, of_diffusion: tg.Tensor) -> dict[str, float]:
    """What EXPECTED is about, for samples [SAMPLES, 2] of the VAE and of the latent diffusion."""
    data = ring(SAMPLES, noise=NOISE)
    distances = [sliced_wasserstein(x, data) for x in (of_vae, of_diffusion)]
    return dict(zip(EXPECTED, (*distances, *map(off_the_ring, (of_vae, of_diffusion)))))


def off_the_ring(x: tg.Tensor) -> float:
    """The share of points [n, 2] that are off by more than 4 standard deviations."""
    return float((np.abs(np.hypot(*x.numpy().T) - 2) > 4 * NOISE).mean())


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "latent_diffusion_ring", steps=STEPS).parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    print("the VAE:")
    vae = trained(make_vae(), VAE.loss, args.steps)
    print("the diffusion of its codes:")
    model = LatentDiffusion(vae, make_diffusion())
    model = trained(model, LatentDiffusion.loss, args.steps, EMA)
    codes = codes_of(model.sample_latents)
    decoded = [model.decode(z) @ PLANE.T for z in codes]
    measured = measure(*decoded)
    draw(model, codes, decoded).savefig(os.path.join(args.out, "latent_diffusion.png"))
    print(f"\n{args.out}/latent_diffusion.png\n")
    return max(report_band(what, value, *EXPECTED[what]) for what, value in measured.items())


def draw(model: LatentDiffusion, codes, decoded):
    """Above the points, below the codes: of data, of the VAE, of latent diffusion."""
    x = points(SAMPLES)
    above = [("data", x @ PLANE.T), ("decoder of N(0, 1)", decoded[0]),
             ("decoder of the diffusion", decoded[1])]  # fmt: skip
    below = [("codes of data: q(z | x)", model.latents(x)), ("N(0, 1)", codes[0]),
             ("the diffusion", codes[1])]  # fmt: skip
    figure, axes = viz.panels(3, 2)
    for row, panels in zip(axes, (above, below)):
        for place, (title, dots), colour in zip(row, panels, viz.COLOURS):
            viz.scatter(dots[:SHOWN], BOUNDS, colour=colour, size=2, title=title, axes=place)
    return figure


if __name__ == "__main__":
    sys.exit(main())
