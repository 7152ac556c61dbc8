"""DigitFeatures: a small classifier of digits, in whose features images are compared.

FID and the Inception Score take an Inception network that was trained on photographs, and says
little about digits. This one is trained on the same data as the model that is to be judged, in
seconds. Its numbers compare models with one another, at the same n and on the same features, and
with the real-versus-real floor; they are not the FID of any paper.
"""

from __future__ import annotations

import functools

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.ops.join import cat
from ..autograd.ops.softmax import softmax
from ..autograd.random import Generator, fork_rng, manual_seed
from ..autograd.tensor import Tensor
from ..data import DataLoader, TensorDataset, cycle, digits, mnist_10k
from ..nn import Conv2d, Linear, Module, ReLU, Sequential
from ..nn.functional import cross_entropy
from ..optim import Adam
from ..train import Trainer
from .floor import Measured, with_floor
from .frechet import frechet_distance
from .images import check_images, check_labels
from .neighbours import PrecisionRecall, precision_recall
from .samples import Samples, plain

__all__ = ["DigitFeatures", "digit_features", "inception_score"]

NUM_CLASSES = 10
BATCH = 256  # images that go through the network at once
STEPS = {"digits": 600, "mnist": 300}  # of training; with more, features know the training images


def inception_score(probs: Samples) -> float:
    """exp(E KL(p(y|x) || p(y))) of class probabilities [n, classes]: from 1, all images alike or no
    class recognised, to the number of classes, all of them recognised and equally frequent.

    Salimans et al. 2016, "Improved techniques for training GANs", section 4.
    """
    rows = plain(probs)
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"probs are [n, classes] with at least one sample, got {rows.shape}")
    if not (rows >= 0).all() or not np.allclose(rows.sum(1), 1, atol=1e-4):
        raise ValueError("each row of probs must sum to 1 and have nothing below 0; apply softmax")
    mean = rows.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(rows > 0, rows * np.log(rows / mean), 0)  # 0 log 0 = 0
    return float(np.exp(terms.sum(1).mean()))


class DigitFeatures(Module):
    """A convolutional classifier of images [n, 1, size, size] in [0, 1], with `num_features`
    features before its last layer."""

    def __init__(self, size: int = 8, width: int = 16, num_features: int = 64):
        super().__init__()
        if size < 4 or size % 4:
            raise ValueError(
                f"images are halved twice, so their size is a multiple of 4, not {size}"
            )
        self.size, self.num_features = size, num_features
        self.body = Sequential(
            Conv2d(1, width, 3, padding=1), ReLU(),
            Conv2d(width, 2 * width, 3, stride=2, padding=1), ReLU(),
            Conv2d(2 * width, 2 * width, 3, stride=2, padding=1), ReLU(),
        )  # fmt: skip
        self.hidden = Linear(2 * width * (size // 4) ** 2, num_features)
        self.head = Linear(num_features, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, 10]."""
        return self.head(self._features(images))

    def _features(self, images: Tensor) -> Tensor:
        n = len(images)
        maps = self.body(images)  # [n, 2 width, size/4, size/4]
        return self.hidden(maps.reshape(n, -1)).relu()  # [n, num_features]

    def fit(self, images: Tensor, labels: Tensor, steps: int, lr: float = 2e-3) -> DigitFeatures:
        """Train on images [n, 1, size, size] and labels [n], 0 to 9; returns itself."""
        check_images(images, 1, self.size)
        check_labels(labels, NUM_CLASSES, len(images))
        batches = cycle(DataLoader(TensorDataset(images, labels), 64, shuffle=True))
        Trainer(
            self, Adam(self.parameters(), lr=lr), batches,
            lambda model, batch: cross_entropy(model(batch[0]), batch[1]),
        ).fit(steps, progress=False)  # fmt: skip
        return self.eval()

    # ---- What it says of images [n, 1, size, size] in [0, 1] ----

    def features(self, images: Tensor) -> Tensor:
        """The numbers in front of the last layer, [n, num_features]."""
        check_images(images, 1, self.size)
        with no_grad():
            parts = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
            return cat([self._features(part) for part in parts])

    def probs(self, images: Tensor) -> Tensor:
        """p(digit | image), [n, 10]."""
        features = self.features(images)
        with no_grad():
            return softmax(self.head(features), -1)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """The share of images whose most probable digit is their label."""
        check_labels(labels, NUM_CLASSES, len(images))
        return float((self.probs(images).array.argmax(1) == labels.array).mean())

    # ---- Metrics ----

    @property
    def name(self) -> str:
        return f"DigitFeatures {self.size}×{self.size}"

    def frechet_distance(
        self, real: Tensor, fake: Tensor, generator: Generator | None = None
    ) -> Measured:
        """The Fréchet distance of the features, with its floor; n is at most half of the real."""
        name = f"Fréchet distance ({self.name}, {self.num_features} features)"
        sets = self.features(real), self.features(fake)
        return with_floor(name, frechet_distance, *sets, generator)

    def inception_score(
        self, real: Tensor, fake: Tensor, generator: Generator | None = None
    ) -> Measured:
        """The Inception Score by this classifier; its floor, here a ceiling, is that of `real`."""
        name = f"Inception Score ({self.name})"
        sets = self.probs(real), self.probs(fake)
        return with_floor(name, lambda _, images: inception_score(images), *sets, generator)

    def precision_recall(self, real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
        """Improved precision and recall of the features."""
        return precision_recall(self.features(real), self.features(fake), k)


@functools.cache
def digit_features(data: str = "digits") -> DigitFeatures:
    """DigitFeatures trained on the training images of `data.digits` or `data.mnist_10k`.

    data: "digits", 8×8, about 2 seconds; "mnist", 28×28, about 5. Once in a process, and always to
    the same weights, whatever was drawn before; the default generator stays where it is.
    """
    if data not in ("digits", "mnist"):
        raise ValueError(f'data is "digits" or "mnist", got {data!r}')
    images, labels = digits("train") if data == "digits" else mnist_10k("train")
    with fork_rng():
        manual_seed(0)
        network = DigitFeatures(images.shape[-1])
        return network.fit(images, labels, STEPS[data])
