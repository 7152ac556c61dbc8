"""Black and white digits, explained by 16 hidden bits: a restricted Boltzmann machine.

    python examples/rbm_digits.py
    python examples/rbm_digits.py --steps 20000 --out runs/rbm_longer

What happens: about half a minute on two cores. The 8×8 digits that come with scikit-learn are made
black and white. One machine learns them by contrastive divergence (CD-1, Hinton 2002), one by its
persistent form (PCD, Tieleman 2008); a second machine then models the hidden bits of the latter,
which makes a deep belief network (Hinton, Osindero & Teh 2006). With 16 hidden bits all of their
65,536 states can be enumerated, so that likelihoods of digits that were not learned from are exact,
in nats; and so an estimate of log Z by annealed importance sampling can be held against the truth.
Written into --out: rbm_digits.png, with digits, what the machine makes of them, its filters, and
digits that it and the network dream up.
"""

import os
import sys

from common import parser, report_band, run_example

import tinygen as tg
from tinygen import viz
from tinygen.data import digits
from tinygen.models.deep_belief_network import DeepBeliefNetwork
from tinygen.models.rbm import RBM
from tinygen.train import DrawnBatches, Trainer

HIDDEN, TOP, CHAINS, BATCH, LR, STEPS = 16, 64, 100, 100, 0.1, 8000
DRAWS = 50  # of hidden bits for each digit, to estimate the network's bound

# Of digits that were not learned from: what the same machines reach with the same budget in PyTorch
# (benchmarks/bands/rbm_digits.py), widened by about twice the range of its seeds.
EXPECTED = {
    "log-likelihood, CD-1": (-18.45, -17.8),
    "log-likelihood, PCD-1": (-18.55, -17.7),
    "bound of the log-likelihood, deep belief network": (-18.45, -17.6),
    "AIS of log Z: off by so many standard errors": (0.0, 4.0),
}


def bits(split: str) -> tg.Tensor:
    """Digits in black and white, [n, 64]"""
    images, _ = digits(split)
    return (images.flatten(1) > 0.5).float()


def train(machine: RBM, make_inputs, evaluate, steps: int, *, persistent: bool = True) -> Trainer:
    """Contrastive divergence on what `make_inputs` makes of batches of digits."""
    pixels = bits("train")
    batches = DrawnBatches(lambda: pixels[tg.randint(0, len(pixels), (BATCH,))])
    optimizer = tg.optim.SGD(machine.parameters(), lr=LR)
    trainer = Trainer(
        machine, optimizer, batches,
        lambda rbm, v: rbm.contrastive_divergence(make_inputs(v), persistent=persistent),
        scheduler=tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), grad_clip=None,
    )  # fmt: skip
    done = trainer.fit(steps, eval_every=max(1, steps // 20), units_per_step=BATCH, unit="digit",
                       evaluate=lambda: {"test": evaluate()})  # fmt: skip
    if not done:
        raise KeyboardInterrupt
    return trainer


@tg.no_grad()
def log_likelihood(rbm: RBM, v: tg.Tensor) -> float:
    """Exact, the mean over digits v, in nats"""
    return rbm.log_prob(v).mean().item()


def log_likelihood_bound(network: DeepBeliefNetwork, v: tg.Tensor) -> float:
    return network.log_prob_bound(v.repeat(DRAWS, 1)).mean().item()


def run(args) -> int:
    tg.manual_seed(args.seed)
    test = bits("test")
    plain = RBM(64, HIDDEN)
    network = DeepBeliefNetwork([RBM(64, HIDDEN, chains=CHAINS), RBM(HIDDEN, TOP, chains=CHAINS)])
    first, _ = network.machines
    curves = {}
    for rbm in (plain, first):
        rbm.fit_biases(bits("train"))
    print("CD-1")
    curves["CD-1"] = train(plain, lambda v: v, lambda: log_likelihood(plain, test), args.steps,
                           persistent=False)  # fmt: skip

    def train_one(machine: RBM, make_inputs) -> None:
        name = "PCD-1" if machine is first else "deep belief network (a bound)"
        print(name)
        measure = (lambda: log_likelihood(first, test)) if machine is first else (
            lambda: log_likelihood_bound(network, test)
        )  # fmt: skip
        curves[name] = train(machine, make_inputs, measure, args.steps)

    network.train_greedily(train_one)
    path = os.path.join(args.out, "rbm_digits.png")
    draw(network, test, curves).savefig(path)
    print(f"\n{path}\n")
    estimate, error = first.annealed_importance_sampling(200, 1000)
    found = [
        log_likelihood(plain, test), log_likelihood(first, test),
        log_likelihood_bound(network, test), abs(estimate - first.log_partition().item()) / error,
    ]  # fmt: skip
    return max(report_band(name, x, *EXPECTED[name]) for name, x in zip(EXPECTED, found))


def draw(network: DeepBeliefNetwork, test: tg.Tensor, curves: dict[str, Trainer]):
    """Digits and reconstructions, filters, fantasies, and how the likelihood rose."""
    figure, panels = viz.panels(3, 2, (11, 7.6))
    first = network.machines[0]
    filters = first.weight.T / first.weight.abs().max()
    dream = lambda h: tg.sigmoid(first.visible_logits(h))  # probabilities of pixels, not draws
    for axes, images, title in (
        (panels[0, 0], test[:36], "digits not learned from"),
        (panels[0, 1], first.reconstruct(test[:36]), f"their reconstruction from {HIDDEN} bits"),
        (panels[0, 2], 0.5 + 0.5 * filters, "what each hidden bit adds (white) or takes away"),
        (panels[1, 0], dream(first.sample_hidden(first.sample(36, 2000))), "dreamt up by it"),
        (panels[1, 1], dream(network.machines[1].sample(36, 2000)), "by the deep belief network"),
    ):
        viz.sample_grid(images.detach().view(-1, 8, 8), title=title, axes=axes)
    axes = panels[1, 2]
    for colour, (name, trainer) in zip(viz.COLOURS, curves.items()):
        steps, values = zip(*[(e["step"], e["test"]) for e in trainer.evaluations])
        axes.plot(steps, values, "o-", color=colour, markersize=3, label=name)
    axes.set(xlabel="step", title="log-likelihood of digits not learned from, nats")
    axes.title.set_fontsize(10)
    axes.legend(frameon=False, fontsize=8)
    return figure


def main(argv=None) -> int:
    return run_example(run, parser(__doc__, "rbm_digits", steps=STEPS).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
