"""Print the table of docs/metrics.md: what metrics say of real digits, and of spoilt ones.

python docs/metric_floors.py        # about a minute
"""

import numpy as np

import tinygen as tg
from tinygen import metrics
from tinygen.data import digits

REPEATS = 10
SIZES = (100, 750)

FAKES = {
    "real": lambda x, y: x,
    "no 8, no 9": lambda x, y: x[y < 8],
    "50 repeated": lambda x, y: x[:50].repeat(20, 1, 1, 1),
    "blurred": lambda x, y: (x + x.roll(1, -1) + x.roll(1, -2)) / 3,
    "noisy": lambda x, y: (x + 0.1 * tg.randn_like(x)).clamp(0, 1),
}


def all_metrics(images):
    """By name, functions of real and generated images [n, 1, 8, 8]."""
    network = metrics.digit_features("digits")
    width = metrics.median_distance(images)
    features = network.features
    return {
        "Fréchet distance": lambda x, y: metrics.frechet_distance(features(x), features(y)),
        "Inception Score": lambda x, y: metrics.inception_score(network.probs(y)),
        "precision": lambda x, y: network.precision_recall(x, y).precision,
        "recall": lambda x, y: network.precision_recall(x, y).recall,
        "sliced Wasserstein": metrics.sliced_wasserstein,
        "1000 MMD²": lambda x, y: 1000 * metrics.mmd(x, y, width),
        "energy distance": metrics.energy_distance,
        "two-sample accuracy": lambda x, y: metrics.classifier_two_sample_test(x, y).statistic,
    }


def main() -> None:
    tg.manual_seed(0)
    images, labels = digits()
    functions = all_metrics(images)
    for n in SIZES:
        found = np.empty((REPEATS, len(functions), len(FAKES)))
        for repeat in range(REPEATS):
            order = tg.randperm(len(images))
            real, rest = images[order[:n]], order[n:]
            for column, spoil in enumerate(FAKES.values()):
                fake = spoil(images[rest], labels[rest])[:n]
                found[repeat, :, column] = [metric(real, fake) for metric in functions.values()]
        print(f"\n| n = {n} | {' | '.join(FAKES)} |\n|---{'|---' * len(FAKES)}|")
        for name, mean, std in zip(functions, found.mean(0), found.std(0)):
            print(f"| {name} |", " | ".join(f"{m:.3g} ± {s:.1g}" for m, s in zip(mean, std)), "|")


if __name__ == "__main__":
    main()
