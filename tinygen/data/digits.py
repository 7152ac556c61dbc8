"""digits: the 1,797 handwritten digits of 8×8 pixels that scikit-learn ships."""

from __future__ import annotations

import math

import numpy as np

from ..autograd.tensor import Tensor

__all__ = ["digits", "held_out"]


def digits(split: str = "all") -> tuple[Tensor, Tensor]:
    """Images [n, 1, 8, 8], float32 in [0, 1] (multiples of 1/16), and labels [n], int64, 0 to 9.

    split: "all", 1,797 of them; "test", a tenth, 179; "train", the 1,618 others.

    Alpaydin & Kaynak 1998, "Optical recognition of handwritten digits" (UCI, CC BY 4.0).
    """
    from sklearn.datasets import load_digits

    pixels, labels = (np.asarray(array) for array in load_digits(return_X_y=True))
    images = (pixels.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return part_of(Tensor(images), Tensor(labels.astype(np.int64)), split)


def part_of(images: Tensor, labels: Tensor, split: str) -> tuple[Tensor, Tensor]:
    """All images and labels, or those for "train" or "test"."""
    if split == "all":
        return images, labels
    if split not in ("train", "test"):
        raise ValueError(f'split is "all", "train" or "test", got {split!r}')
    wanted = held_out(len(images)) == (split == "test")
    return images[wanted], labels[wanted]


def held_out(n: int) -> np.ndarray:
    """Which of n samples are kept for tests, bool [n]: n // 10 of them, always the same.

    Such data lie in the order in which people wrote them, and many wrote 0 to 9 in turn. Multiples
    of the golden ratio spread over the whole order, and keep step with no period in it.
    """
    fractions = np.arange(n) * ((math.sqrt(5) - 1) / 2) % 1
    return fractions.argsort().argsort() < n // 10
