"""A Schrödinger bridge between two shapes, learned from points alone (Shi et al. 2023).

    python examples/schrodinger_bridge_2d.py
    python examples/schrodinger_bridge_2d.py --steps 100 --out runs/quick

What happens: half a minute on two cores. Of all processes that turn two moons into a ring, the one
closest to Brownian motion is looked for, with a network for its drift forwards and one backwards.
They are trained in turn, five times, each on Brownian bridges between the pairs of ends that the
other has made; the first pairs have nothing to do with each other, and go far. The cost of
transport falls from theirs to that of the best coupling, which Sinkhorn's algorithm finds for some
of the points without any network. Written into --out: schrodinger_bridge_2d.png, with paths and
arrivals of both directions, who goes where, and the cost after each training.
"""

import os
import sys
from collections.abc import Callable

from common import parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data.toys import ring, two_moons
from tinygen.metrics import sliced_wasserstein
from tinygen.models.bridge_matching import BridgeMatching, SchrodingerBridge
from tinygen.models.schrodinger_bridge import sinkhorn
from tinygen.nn import MLPDenoiser
from tinygen.train import DrawnBatches, Trainer

SIGMA, ITERATIONS, STEPS, BATCH, LR = 0.7, 5, 400, 256, 2e-3
WIDTH, BLOCKS, PAIRS, PATH_STEPS = 128, 2, 4000, 30
SAMPLES, SINKHORN_POINTS = 4000, 1000
EXPECTED = {  # what: (at least, at most); see benchmarks/bands/README.md
    "sliced Wasserstein, arrivals from the ring": (0.0, 0.12),
    "sliced Wasserstein, arrivals from the moons": (0.0, 0.12),
    "cost of transport / that of Sinkhorn": (0.92, 1.1),
    "cost of transport / that of independent ends": (0.26, 0.35),
}
Way = Callable[[tg.Tensor], tg.Tensor]  # from one end [n, 2] to the other [n, 2]


def moons(n: int) -> tg.Tensor:
    return 1.2 * (two_moons(n, noise=0.1) - tg.tensor([0.5, 0.25]))


def circle(n: int) -> tg.Tensor:
    return ring(n, noise=0.1, radius=2.0)


def cost(x0: tg.Tensor, x1: tg.Tensor) -> float:
    """The mean of |x0 - x1|² / 2 over pairs [n, 2]"""
    return 0.5 * ((x0 - x1) ** 2).sum(-1).mean().item()


# ---- Training ------------------------------------------------------------------------------------


def fit(seed: int, steps: int) -> tuple[SchrodingerBridge, list[float]]:
    """The bridge, and the cost of the pairs that each training was given."""
    tg.manual_seed(seed)
    networks = [MLPDenoiser(2, WIDTH, BLOCKS) for _ in range(2)]
    bridge, costs = SchrodingerBridge(*networks, SIGMA), []

    def train(process: BridgeMatching, x0: tg.Tensor, x1: tg.Tensor) -> None:
        costs.append(cost(x0, x1))

        def draw():
            rows = tg.randint(0, len(x0), (BATCH,))
            return x0[rows], x1[rows]

        optimizer = tg.optim.Adam(process.parameters(), lr=LR)
        schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        loss = lambda process, ends: process.loss(*ends)
        trainer = Trainer(process, optimizer, DrawnBatches(draw), loss, scheduler=schedule)
        if not trainer.fit(steps, units_per_step=BATCH, unit="point"):
            raise KeyboardInterrupt

    bridge.fit(moons, circle, train, iterations=ITERATIONS, pairs=PAIRS, steps=PATH_STEPS)
    return bridge, costs


# ---- What it learned -----------------------------------------------------------------------------


def best_cost() -> float:
    """Of the coupling that the bridge is to have, between so many points of each end."""
    x, y = moons(SINKHORN_POINTS), circle(SINKHORN_POINTS)
    half_square = 0.5 * ((x[:, None] - y) ** 2).sum(-1)
    even = tg.full((SINKHORN_POINTS,), 1 / SINKHORN_POINTS, dtype=tg.float64)
    return sinkhorn(half_square, even, even, SIGMA**2, tolerance=1e-4).transport_cost()


def measure(forwards: Way, backwards: Way, best: float) -> dict[str, float]:
    """What EXPECTED is about."""
    x0, x1 = moons(SAMPLES), circle(SAMPLES)
    arrived, returned = forwards(x0), backwards(x1)
    found = (cost(x0, arrived) + cost(returned, x1)) / 2
    values = (
        sliced_wasserstein(returned, moons(SAMPLES)),
        sliced_wasserstein(arrived, circle(SAMPLES)),
        found / best,
        found / cost(x0, x1),
    )
    return dict(zip(EXPECTED, values))


def main(argv=None) -> int:
    made = parser(__doc__, "schrodinger_bridge_2d", steps=STEPS)
    return run_example(run, made.parse_args(argv))


def run(args) -> int:
    bridge, costs = fit(args.seed, args.steps)
    forwards, backwards = (
        lambda x, process=process: process.sample(x, PATH_STEPS)
        for process in (bridge.forwards, bridge.backwards)
    )
    best = best_cost()
    measured = measure(forwards, backwards, best)
    draw(bridge, costs, best).savefig(os.path.join(args.out, "schrodinger_bridge_2d.png"))
    print(f"\n{args.out}/schrodinger_bridge_2d.png\n")
    return max(report_band(what, value, *EXPECTED[what]) for what, value in measured.items())


def draw(bridge: SchrodingerBridge, costs: list[float], best: float):
    """Forwards above, backwards below; on the right, who goes where, and at what cost."""
    figure, axes = viz.panels(3, 2)
    bounds = (-2.8, 2.8, -2.8, 2.8)
    for row, process, begin, name in (
        (0, bridge.forwards, moons, "moons to ring"),
        (1, bridge.backwards, circle, "ring to moons"),
    ):
        path = process.sample(begin(SAMPLES), PATH_STEPS, path=True)
        viz.trajectories(path[:, :60], bounds, title=f"paths: {name}", axes=axes[row, 0])
        viz.scatter(path[-1], bounds, size=2, title="where they arrive", axes=axes[row, 1])
    x0 = moons(150)
    ends = tg.stack([x0, bridge.forwards.sample(x0, PATH_STEPS)])
    viz.trajectories(ends, bounds, title="from where to where", axes=axes[0, 2])
    axes[1, 2].plot(range(len(costs)), costs, "o-", color=viz.COLOURS[0], label="learned")
    axes[1, 2].axhline(best, color=viz.GREY, linestyle="--", label="Sinkhorn")
    axes[1, 2].set(xlabel="trainings", ylim=(0, None))
    axes[1, 2].set_title("cost of transport", fontsize=10)
    axes[1, 2].legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    sys.exit(main())
