"""Metrics that ask which samples lie next to a sample."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..autograd.random import Generator, rng_of
from .discrepancy import TwoSampleTest
from .samples import Samples, as_pair, in_blocks, squared_distances

__all__ = ["PrecisionRecall", "classifier_two_sample_test", "precision_recall"]


class PrecisionRecall(NamedTuple):
    """precision: the share of generated samples that could be real. recall: the share of real
    samples that could be generated."""

    precision: float
    recall: float


def precision_recall(real: Samples, fake: Samples, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall of `fake` [m, ...] with respect to `real` [n, ...].

    The manifold of a set is the union of balls around its samples, each as large as the distance to
    the k-th nearest other one. Kynkäänniemi et al. 2019, "Improved precision and recall metric for
    assessing generative models", eq. 1 and 2. Both depend on n and m: compare at the same.
    """
    first, second = as_pair(real, fake, ("real", "fake"))
    if not 1 <= k < min(len(first), len(second)):
        raise ValueError(
            f"precision_recall: k={k} neighbours other than itself need {k + 1} samples or more,"
            f" and k at least 1; got {len(first)} real and {len(second)} fake ones"
        )
    return PrecisionRecall(_share_inside(second, first, k), _share_inside(first, second, k))


def _share_inside(x: np.ndarray, manifold: np.ndarray, k: int) -> float:
    """The share of x [n, d] that lies in a ball of `manifold` [m, d]."""
    radii = np.empty(len(manifold))
    for place, rows in in_blocks(manifold):
        squares = squared_distances(rows, manifold)
        squares[np.arange(len(rows)), np.arange(place.start, place.stop)] = 0  # itself comes first
        radii[place] = np.partition(squares, k, axis=1)[:, k]
    # Where x is a sample of the manifold its distance 0 is only rounded; a ball has its edge.
    slack = 1e-12 * (manifold**2).sum(1).max()
    inside = [(squared_distances(r, manifold) <= radii + slack).any(1) for _, r in in_blocks(x)]
    return float(np.concatenate(inside).mean())


def classifier_two_sample_test(
    x: Samples, y: Samples, k: int | None = None, generator: Generator | None = None
) -> TwoSampleTest:
    """Whether a classifier can tell x [n, ...] from y [m, ...]: its accuracy, 0.5 if not, up to 1.

    The classifier is the vote of the `k` nearest neighbours, an odd number; None: about √n. Of each
    sample, as many as the smaller has, one half at random is given to it and the other half to be
    told apart. Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests", section 3: under
    equal distributions the accuracy on t samples is about N(1/2, 1/4t), which gives the p-value.
    """
    first, second = as_pair(x, y, at_least=4)
    rng = rng_of(generator)
    n = min(len(first), len(second))
    first, second = (part[rng.permutation(len(part))[:n]] for part in (first, second))
    half = n // 2
    known = np.concatenate([first[:half], second[:half]])
    unknown = np.concatenate([first[half:], second[half:]])
    k = int(math.sqrt(len(known))) // 2 * 2 + 1 if k is None else k
    if not 1 <= k <= len(known) or k % 2 == 0:
        raise ValueError(
            f"classifier_two_sample_test: k is odd, so that no vote is a tie, and at most the"
            f" {len(known)} samples that vote; got {k}"
        )
    votes = np.concatenate([_votes(rows, known, half, k) for _, rows in in_blocks(unknown)])
    is_second = np.arange(len(unknown)) >= n - half
    accuracy = float((votes == is_second).mean())
    z = (accuracy - 0.5) * 2 * math.sqrt(len(unknown))
    return TwoSampleTest(accuracy, 0.5 * math.erfc(z / math.sqrt(2)))


def _votes(x: np.ndarray, known: np.ndarray, half: int, k: int) -> np.ndarray:
    """Which of x [n, d] are taken for the second sample's: those are in `known` from `half` on."""
    nearest = np.argpartition(squared_distances(x, known), k - 1, axis=1)[:, :k]
    return (nearest >= half).sum(1) > k // 2
