"""Flow matching on the plane, and two ways to straighter paths (Lipman, Liu et al. 2023).

    python examples/flow_matching_2d.py
    python examples/flow_matching_2d.py --steps 500 --out runs/quick

What happens: about a minute on two cores. Three flows learn to carry a normal to a ring of eight,
by the same network and budget. The first learns from lines between noise and data that have nothing
to do with each other; the second from lines that optimal transport has paired within each batch;
the third from the pairs that the first has made (reflow). The paths of the first turn, so Euler's
method needs many steps for them; those of the others are nearly straight, and two steps do. Written
into --out: flow_matching_2d.png, with the paths of each, samples in two steps, and the sliced
Wasserstein distance to the data against the number of steps.
"""

import os
import sys

import numpy as np
from common import parser, report_band, run_example

import tinygen as tg
from tinygen import sde, viz
from tinygen.metrics import sliced_wasserstein
from tinygen.models.flow_matching import FlowMatching, straightness
from tinygen.nn import MLPDenoiser
from tinygen.train import DrawnBatches, Trainer

STD, RADIUS, STEPS, BATCH, LR, EMA = 0.15, 2.0, 1500, 256, 2e-3, 0.995
WIDTH, BLOCKS, PAIRS = 128, 3, 10_000
SAMPLES, TEST, PATHS = 5000, 1000, 1000
EULER_STEPS = (1, 2, 4, 8, 16, 32, 64)
INDEPENDENT, TRANSPORT, REFLOW = "independent", "optimal transport", "reflow"
EXPECTED = {  # what: (at least, at most); see benchmarks/bands/README.md
    "sliced Wasserstein, 64 steps: independent": (0.0, 0.12),
    "sliced Wasserstein, 2 steps: independent": (0.33, 0.5),
    "sliced Wasserstein, 2 steps: optimal transport": (0.0, 0.14),
    "sliced Wasserstein, 2 steps: reflow": (0.0, 0.14),
    "straightness: independent": (1.4, 1.9),
    "straightness: optimal transport": (0.0, 0.015),
    "straightness: reflow": (0.0, 0.0015),
    "log likelihood of data, below the exact one": (-0.02, 0.18),
}


def exact_mixture() -> sde.GaussianMixture:
    angle = np.arange(8) * (np.pi / 4)
    means = RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    return sde.GaussianMixture(tg.tensor(means), STD, sde.FlowMatchingSchedule())


# ---- Training ------------------------------------------------------------------------------------


def train(seed: int, steps: int) -> dict[str, sde.Denoiser]:
    tg.manual_seed(seed)
    exact = exact_mixture()
    data = lambda: (exact.sample(BATCH), None)
    first = fit(new_flow(), data, steps)
    second = fit(new_flow(optimal_transport=True), data, steps)
    third = new_flow()
    third.load_state_dict(first.state_dict())
    third = fit(third, batches_of(*first.reflow_pairs((PAIRS, 2), rtol=1e-3, atol=1e-3)), steps)
    flows = {INDEPENDENT: first, TRANSPORT: second, REFLOW: third}
    return {name: flow.denoiser() for name, flow in flows.items()}


def new_flow(**options) -> FlowMatching:
    return FlowMatching(MLPDenoiser(2, WIDTH, BLOCKS), **options)


def batches_of(x0: tg.Tensor, x1: tg.Tensor):
    def draw():
        rows = tg.randint(0, len(x0), (BATCH,))
        return x0[rows], x1[rows]

    return draw


def fit(flow: FlowMatching, draw, steps: int) -> FlowMatching:
    """The average of the weights over the last steps. draw() -> (data, source or None)"""
    optimizer = tg.optim.Adam(flow.parameters(), lr=LR)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loss = lambda flow, batch: flow.loss(batch[0], source=batch[1])
    trainer = Trainer(flow, optimizer, DrawnBatches(draw), loss, scheduler=schedule, ema=EMA)
    if not trainer.fit(steps, units_per_step=BATCH, unit="point"):
        raise KeyboardInterrupt
    return trainer.ema.module


# ---- What they learned ---------------------------------------------------------------------------


def distances(denoiser: sde.Denoiser) -> dict[int, float]:
    """To the data, by the number of Euler's steps."""
    data, noise = exact_mixture().sample(4 * SAMPLES), tg.randn(SAMPLES, 2)
    return {steps: sliced_wasserstein(euler(denoiser, noise, steps), data) for steps in EULER_STEPS}


def euler(denoiser: sde.Denoiser, noise: tg.Tensor, steps: int, path: bool = False) -> tg.Tensor:
    return sde.sample(denoiser, noise.shape, sde.ProbabilityFlow(), steps, x=noise, path=path)


def likelihood_gap(denoiser: sde.Denoiser) -> float:
    exact = exact_mixture()
    test = exact.sample(TEST)
    found = sde.log_likelihood(denoiser, test, start=0.0, rtol=1e-4, atol=1e-4)
    return (exact.log_prob(test, tg.tensor(0.0)) - found).mean().item()


def measure(flows: dict[str, sde.Denoiser]) -> tuple[dict[str, float], dict[str, dict[int, float]]]:
    """What EXPECTED is about, and the distances of each flow."""
    curves = {name: distances(denoiser) for name, denoiser in flows.items()}
    noise = tg.randn(PATHS, 2)
    bends = [straightness(euler(denoiser, noise, 100, path=True)) for denoiser in flows.values()]
    values = (
        curves[INDEPENDENT][64],
        *(curve[2] for curve in curves.values()),
        *bends,
        likelihood_gap(flows[INDEPENDENT]),
    )
    return dict(zip(EXPECTED, values)), curves


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "flow_matching_2d", steps=STEPS).parse_args(argv))


def run(args) -> int:
    flows = train(args.seed, args.steps)
    measured, curves = measure(flows)
    draw(flows, curves).savefig(os.path.join(args.out, "flow_matching_2d.png"))
    print(f"\n{args.out}/flow_matching_2d.png\n")
    return max(report_band(what, value, *EXPECTED[what]) for what, value in measured.items())


def draw(flows: dict[str, sde.Denoiser], curves: dict[str, dict[int, float]]):
    """Paths above; below, two steps of the first and the last, and distances."""
    figure, axes = viz.panels(3, 2)
    bounds, noise = (-3.2, 3.2, -3.2, 3.2), tg.randn(SAMPLES, 2)
    for place, (name, denoiser) in zip(axes[0], flows.items()):
        path = euler(denoiser, noise[:200], 100, path=True)
        viz.trajectories(path, bounds, title=f"paths: {name}", axes=place)
    for place, name in zip(axes[1], (INDEPENDENT, REFLOW)):
        x = euler(flows[name], noise, 2)
        viz.scatter(x, bounds, size=2, title=f"samples in two steps: {name}", axes=place)
    for colour, (name, curve) in zip(viz.COLOURS, curves.items()):
        axes[1, 2].loglog(*zip(*curve.items()), "o-", color=colour, label=name, markersize=3)
    axes[1, 2].set_xticks(EULER_STEPS, [str(steps) for steps in EULER_STEPS], minor=False)
    axes[1, 2].set_xlabel("Euler steps")
    axes[1, 2].set_title("sliced Wasserstein distance to the data", fontsize=10)
    axes[1, 2].legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    sys.exit(main())
