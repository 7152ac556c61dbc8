"""Six families of generative models on one set of points: what each is good at, side by side.

    python examples/compare_families.py
    python examples/compare_families.py --steps 500 --out runs/quick

What happens: two minutes on two cores. A VAE, a GAN, a normalizing flow, a diffusion model,
an energy-based model and an autoregressive one see as many batches each of a 3 × 3 grid of
Gaussians, whose density is known. A table then says of each: by how much the mean log-density of
new points lies below the exact one (of the VAE a bound of it; a GAN has none), how many of the nine
modes it found, which share of its samples lies at one, the sliced Wasserstein distance from samples
to data, and how long a sample takes. Written into --out: families.png, samples above, densities
below.
"""

import math
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import diffusion_2d
import ebm_2d
from common import parser, report_band, run_example
from flow_2d import make_flow, negative_log_likelihood
from gan_25gaussians import BETAS, networks, update
from vae_2d import make_model as make_vae

import tinygen as tg
from tinygen import nn, sde, viz
from tinygen.data.toys import gaussian_grid_modes, nine_gaussians
from tinygen.metrics import mode_coverage, sliced_wasserstein
from tinygen.models.energy import EnergyModel, MLPEnergy
from tinygen.models.gpt import GPT, GPTConfig
from tinygen.models.score_sde import ScoreSDE
from tinygen.models.vae import VAE
from tinygen.train import DrawnBatches, Trainer
from tinygen.viz.plane import grid, in_pieces

# Modes 8 deviations apart: not too far for the Langevin chains of an energy-based model to get from
# one to another, without which nothing tells it how much of the data there is at each.
STD = 0.25
STEPS, BATCH, EMA = 2000, 256, 0.995
SAMPLES, TEST, K = 10_000, 1000, 64  # K samples of z a point, for the bound of the VAE
HEUN_STEPS, WALK = 20, 300  # of the diffusion model, and Langevin steps, for a sample
LANGEVIN = {"steps": 20, "step_size": 0.02, "chains": 1000, "fresh": 0.01, "scale": 2.0}
EDGE, BINS = 4.0, 128  # the autoregressive model has so many bins from -EDGE to EDGE
GPT_SIZE = {"n_layer": 2, "n_head": 2, "n_embd": 64}
BOUNDS, RESOLUTION = (-3.0, 3.0, -3.0, 3.0), 96  # of the picture

NATS, MODES, GOOD, DISTANCE, TIME = MEASURES = (
    "nats below the exact density", "modes found", "share of good samples", "sliced Wasserstein",
    "microseconds a sample",
)  # fmt: skip
EXPECTED = {  # by family: at least, at most; see benchmarks/bands/README.md
    "VAE": {NATS: (0.25, 0.5), MODES: (9, 9), GOOD: (0.74, 0.85), DISTANCE: (0, 0.2)},
    "GAN": {MODES: (9, 9), GOOD: (0.93, 1), DISTANCE: (0, 0.2)},
    "flow": {NATS: (-0.01, 0.04), MODES: (9, 9), GOOD: (0.96, 1), DISTANCE: (0, 0.2)},
    "diffusion": {NATS: (-0.01, 0.25), MODES: (9, 9), GOOD: (0.85, 1), DISTANCE: (0, 0.17)},
    "energy": {NATS: (-0.01, 0.3), MODES: (9, 9), GOOD: (0.955, 1), DISTANCE: (0, 0.22)},
    "autoregressive": {NATS: (-0.01, 0.03), MODES: (9, 9), GOOD: (0.975, 1), DISTANCE: (0, 0.12)},
}

LogProb = Callable[[tg.Tensor], tg.Tensor]  # points [n, 2] -> [n], in nats


# ---- The families --------------------------------------------------------------------------------


class Family(NamedTuple):
    """How a model is made, trained and used."""

    make: Callable[[], nn.Module]
    lr: float
    loss: Callable[[nn.Module, tg.Tensor], tg.Tensor] | None  # None: the two losses of a GAN
    sample: Callable[[nn.Module, int], tg.Tensor]  # model, n -> points [n, 2]
    density: Callable[[nn.Module], LogProb] | None


def make_diffusion() -> ScoreSDE:
    network = nn.MLPDenoiser(2, diffusion_2d.WIDTH, diffusion_2d.BLOCKS)
    return ScoreSDE(network, diffusion_2d.SCHEDULE, start=diffusion_2d.START)


def make_energy() -> EnergyModel:
    return EnergyModel(MLPEnergy((2,), ebm_2d.HIDDEN, confine=ebm_2d.CONFINE), **LANGEVIN)


def energy_log_prob(model: nn.Module, cells: int = 400) -> LogProb:
    """-E - log Z, with Z summed up over cells [-EDGE, EDGE]² of a size far below a mode's."""
    points, _ = grid((-EDGE, EDGE, -EDGE, EDGE), cells)
    log_sum = tg.tensor(in_pieces(lambda x: -model(x), points)).logsumexp(0).item()
    log_z = log_sum + 2 * math.log(2 * EDGE / cells)
    return lambda x: -model(x) - log_z


def vae_sample(model: VAE, n: int) -> tg.Tensor:
    """With the noise of p(x | z), which `model.sample` leaves out."""
    return model.sample(n) + model.likelihood.log_scale.exp() * tg.randn(n, 2)


class Autoregressive(nn.Module):
    """p(x₁) p(x₂ | x₁) of points cut into cells: to a GPT, each coordinate is a token."""

    def __init__(self):
        super().__init__()
        self.gpt = GPT(GPTConfig(vocab_size=BINS, block_size=2, **GPT_SIZE))
        self.width = 2 * EDGE / BINS

    def bins(self, x: tg.Tensor) -> tg.Tensor:
        """Which bin each coordinate of points x [B, 2] lies in, int64 [B, 2]."""
        if not x.abs().max() < EDGE:
            raise ValueError(f"expected points between {-EDGE} and {EDGE}, where there are bins")
        return ((x + EDGE) / self.width).floor().long()

    def log_prob(self, x: tg.Tensor) -> tg.Tensor:
        """Of points x [B, 2]: [B]. The same all over a cell: its probability by its area."""
        bins = self.bins(x)
        begin = tg.zeros(len(x), 1, dtype=bins.dtype)  # its place alone says: nothing yet
        logits, _ = self.gpt(tg.cat([begin, bins[:, :1]], 1))  # [B, 2, BINS]
        chosen = logits.log_softmax(-1).gather(2, bins[:, :, None])  # [B, 2, 1]
        return chosen.sum((1, 2)) - 2 * math.log(self.width)

    def sample(self, n: int) -> tg.Tensor:
        """Points [n, 2], anywhere in their cells."""
        begin = tg.zeros(n, 1, dtype=tg.int64)
        bins = self.gpt.generate(begin, 2, do_sample=True)[:, 1:]
        return (bins.float() + tg.rand(n, 2)) * self.width - EDGE


FAMILIES = {
    "VAE": Family(
        make_vae, 3e-3, VAE.loss, vae_sample, lambda model: lambda x: model.iwae(x, k=K)
    ),
    "GAN": Family(networks, 2e-3, None, lambda model, n: model.sample(n), None),
    "flow": Family(
        make_flow, 2e-3, negative_log_likelihood,
        lambda model, n: model.sample(n), lambda model: model.log_prob,
    ),
    "diffusion": Family(
        make_diffusion, 2e-3, ScoreSDE.loss,
        lambda model, n: model.sample((n, 2), sde.Heun(), HEUN_STEPS),
        lambda model: lambda x: model.log_prob(x, rtol=1e-3, atol=1e-3),
    ),
    "energy": Family(
        make_energy, 5e-3, EnergyModel.loss, lambda model, n: model.sample(n, WALK), energy_log_prob
    ),
    "autoregressive": Family(
        Autoregressive, 2e-3, negative_log_likelihood,
        lambda model, n: model.sample(n), lambda model: model.log_prob,
    ),
}  # fmt: skip


# ---- Training and measuring ----------------------------------------------------------------------


def points(n: int) -> tg.Tensor:
    return nine_gaussians(n, noise=STD)


def exact_log_prob(x: tg.Tensor) -> tg.Tensor:
    mixture = sde.GaussianMixture(gaussian_grid_modes(3), STD, diffusion_2d.SCHEDULE)
    return mixture.log_prob(x, tg.tensor(0.0))


def train(family: Family, steps: int) -> nn.Module:
    """A model of the family, its weights averaged over the last steps."""
    model = family.make()
    adam = lambda part, **options: tg.optim.Adam(part.parameters(), lr=family.lr, **options)
    cosine = lambda optimizer: tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if family.loss:
        optimizer = adam(model)
        scheduler = cosine(optimizer)
    else:
        parts = {"D": model.discriminator, "G": model.generator}
        optimizer = {name: adam(part, betas=BETAS) for name, part in parts.items()}
        scheduler = {name: cosine(one) for name, one in optimizer.items()}
    trainer = Trainer(
        model, optimizer, DrawnBatches(lambda: points(BATCH)), family.loss,
        update=None if family.loss else update, scheduler=scheduler, ema=EMA,
    )  # fmt: skip
    if not trainer.fit(steps, units_per_step=BATCH, unit="point"):
        raise KeyboardInterrupt
    return trainer.ema.module


@tg.no_grad()
def measure(family: Family, model: nn.Module) -> tuple[dict[str, float], tg.Tensor]:
    """By MEASURES, what the model reached (nan: it has no density), and samples [SAMPLES, 2]."""
    family.sample(model, SAMPLES // 10)  # what has to be compiled is compiled now
    begin = time.perf_counter()
    x = family.sample(model, SAMPLES)
    seconds = time.perf_counter() - begin
    below = math.nan
    if family.density:
        test = points(TEST)
        below = (exact_log_prob(test) - family.density(model)(test)).mean().item()
    coverage = mode_coverage(x, gaussian_grid_modes(3), STD)
    distance = sliced_wasserstein(x, points(SAMPLES))
    values = below, coverage.modes_hit, coverage.high_quality, distance, 1e6 * seconds / SAMPLES
    return dict(zip(MEASURES, values)), x


DATA = Family(nn.Module, 0.0, None, lambda _, n: points(n), lambda _: exact_log_prob)


# ---- Running -------------------------------------------------------------------------------------


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "compare_families", steps=STEPS).parse_args(argv))


def run(args) -> int:
    tg.manual_seed(args.seed)
    models, measured, samples = {}, {}, {}
    for name, family in FAMILIES.items():
        print(name)
        models[name] = train(family, args.steps)
        measured[name], samples[name] = measure(family, models[name])
    print_table({"the data": measure(DATA, nn.Module())[0], **measured})
    draw(models, samples).savefig(os.path.join(args.out, "families.png"))
    print(f"\n{args.out}/families.png\n")
    return max(
        report_band(f"{name}: {what}", measured[name][what], *band)
        for name, bands in EXPECTED.items()
        for what, band in bands.items()
    )


def print_table(rows: dict[str, dict[str, float]]) -> None:
    print("\n" + " " * 16 + "".join(f"{what:>30s}" for what in MEASURES))
    for name, row in rows.items():
        cells = ("none" if math.isnan(value) else f"{value:.3g}" for value in row.values())
        print(f"{name:16s}" + "".join(f"{cell:>30s}" for cell in cells))


def draw(models: dict[str, nn.Module], samples: dict[str, tg.Tensor]):
    """Of each family samples, and its density where it has one."""
    peak = exact_log_prob(gaussian_grid_modes(3)).exp().max().item()  # as dark in all pictures
    figure, (above, below) = viz.panels(len(FAMILIES), 2, size=(3.1 * len(FAMILIES), 6.4))
    for name, top, bottom in zip(FAMILIES, above, below):
        viz.scatter(samples[name][:3000], BOUNDS, size=1.5, title=name, axes=top)
        density = FAMILIES[name].density
        if density:
            viz.density(density(models[name]), BOUNDS, resolution=RESOLUTION, axes=bottom)
            bottom.images[0].set_clim(0, peak)
        else:
            bottom.set_axis_off()
    return figure


if __name__ == "__main__":
    sys.exit(main())
