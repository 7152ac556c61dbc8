"""Handwritten digits by an invertible network: Glow (Kingma & Dhariwal 2018).

    python examples/flow_digits.py               # 8×8 digits, which come with scikit-learn
    python examples/flow_digits.py --mnist       # 28×28 of MNIST; some four minutes

What happens: about a minute on two cores. Pixels have 17 levels (MNIST: 256); noise within a level
makes numbers of them that have a density (Theis et al. 2016), and the flow learns it by maximum
likelihood. Printed are bits per dimension of images that it never saw: log2 17 = 4.09 would be pure
guessing. Written into --out: flow_digits.png with digits, samples, and walks in z from one digit to
another; the two ends are encoded and decoded again, which a flow does without loss.
"""

import math
import os
import sys

from common import add_mnist, parser, report_band, run_example

import tinygen as tg
from tinygen import metrics, viz
from tinygen.data import DataLoader, TensorDataset, cycle, digits, mnist_10k
from tinygen.models.flow import Glow, dequantize
from tinygen.train import Trainer

STEPS, BATCH, LR, EMA = 1000, 64, 1e-3, 0.99
SIZES = {  # by --mnist: image shape, levels of brightness, and the flow
    False: ((1, 8, 8), 17, {"levels": 2, "steps": 4, "hidden": 48}),
    True: ((1, 28, 28), 256, {"levels": 2, "steps": 4, "hidden": 64}),
}
# Around what the same flow reaches with the same budget in PyTorch, 2.23 (see
# benchmarks/bands/README.md). For MNIST nothing was measured.
EXPECTED = (2.15, 2.31)


def load(mnist: bool, split: str) -> tg.Tensor:
    """Images [N, 1, 8, 8], or MNIST's [N, 1, 28, 28]"""
    return (mnist_10k if mnist else digits)(split)[0]


@tg.no_grad()
def bits(flow: Glow, images: tg.Tensor, levels: int, draws: int = 10) -> float:
    """Of the discrete images: a bound, averaged over several draws of the noise."""
    log_prob = tg.cat([flow.log_prob(dequantize(images, levels)) for _ in range(draws)])
    return metrics.bits_per_dimension(log_prob, images.shape[1:], levels)


def run(args) -> int:
    tg.manual_seed(args.seed)
    shape, levels, size = SIZES[args.mnist]
    train, test = load(args.mnist, "train"), load(args.mnist, "test")
    flow = Glow(shape, **size)
    flow(dequantize(train[: 4 * BATCH], levels))  # actnorm starts from these
    batches = cycle(DataLoader(TensorDataset(train), BATCH, shuffle=True, drop_last=True))
    optimizer = tg.optim.Adam(flow.parameters(), lr=LR)
    trainer = Trainer(
        flow,
        optimizer,
        batches,
        lambda flow, batch: -flow.log_prob(dequantize(batch[0], levels)).mean() / math.prod(shape),
        scheduler=tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps),
        ema=EMA,
    )
    if not trainer.fit(args.steps, units_per_step=BATCH, unit="image"):
        return 130
    flow = trainer.ema.module
    path = os.path.join(args.out, "flow_digits.png")
    draw(flow, test).savefig(path)
    found = bits(flow, test, levels)
    print(f"\n{path}\n")
    if args.mnist:
        print(f"bits per dimension of unseen images: {found:.3f} (no band was measured for MNIST)")
        return 0
    return report_band("bits per dimension of unseen images", found, *EXPECTED)


@tg.no_grad()
def draw(flow: Glow, images: tg.Tensor):
    """Digits, samples, and walks in z."""
    figure, ((left, middle, right),) = viz.panels(3)
    viz.sample_grid(images[:64], title="digits that it never saw", axes=left)
    viz.sample_grid(flow.sample(64), title="samples", axes=middle)
    ends, _ = flow(images[:16])
    share = tg.linspace(0, 1, 8)[:, None]
    walks = tg.cat([a + share * (b - a) for a, b in zip(ends[:8], ends[8:])])
    viz.sample_grid(flow.inverse(walks)[0], 8, title="from one digit to another", axes=right)
    return figure


def main(argv=None) -> int:
    made = parser(__doc__, "flow_digits", steps=STEPS)
    add_mnist(made)
    return run_example(run, made.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
