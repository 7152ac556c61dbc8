"""Distances that compare pairs of samples, and the permutation test that they make.

Both have the form E a(X, X') + E a(Y, Y') - 2 E a(X, Y), with a kernel a(x, y) = exp(-|x - y|²/2σ²)
for the maximum mean discrepancy (Gretton et al. 2012, "A kernel two-sample test", eq. 1 to 6), and
a(x, y) = -|x - y| for the energy distance (Székely & Rizzo 2013, "Energy statistics").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..autograd.random import Generator, rng_of
from .samples import Samples, as_pair, as_samples, in_blocks, squared_distances

__all__ = ["TwoSampleTest", "energy_distance", "median_distance", "mmd", "permutation_test"]

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)  # bandwidths of the default mixture, in median distances
FOR_MEDIAN = 1000  # samples, at most, of which the median distance is taken

Kernel = Callable[[np.ndarray], np.ndarray]  # of squared distances


class TwoSampleTest(NamedTuple):
    """How different two samples are, and how probable as much is if there is no difference."""

    statistic: float
    p_value: float


def median_distance(x: Samples) -> float:
    """The median of |x_i - x_j| over all i < j of `x` [n, ...]; of large n, over 1000 samples.

    Raises ValueError where it is 0, as more than half of the samples are the same.
    """
    rows = as_samples(x, "x", at_least=2)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), FOR_MEDIAN)).astype(int)]
    squares = squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    median = float(np.sqrt(np.median(squares)))
    if median <= 1e-7 * np.abs(rows).max():
        raise ValueError("most of the samples are the same: give the bandwidths of the kernel")
    return median


def mmd(
    x: Samples,
    y: Samples,
    bandwidths: Sequence[float] | float | None = None,
    unbiased: bool = True,
) -> float:
    """An estimate of MMD² from x [n, ...] and y [m, ...], for a mean of RBF kernels: at most 2.

    bandwidths: the σ of the kernels; None: 1/4, 1/2, 1, 2 and 4 times the median distance of all
        samples together. To compare several models with one data set, give those of the data:
        `median_distance(real)`.
    unbiased: leave out the pairs of a sample with itself: the mean is MMD², and 0 for equal
        distributions, so the estimate can be below 0. Otherwise it is above 0, by about 2/n.
    """
    first, second = as_pair(x, y, at_least=2 if unbiased else 1)
    kernel = _rbf(_bandwidths(bandwidths, first, second))
    return _discrepancy(first, second, kernel, unbiased)


def energy_distance(x: Samples, y: Samples) -> float:
    """√(2 E|X - Y| - E|X - X'| - E|Y - Y'|) for the empirical distributions of x [n, ...] and
    y [m, ...]: scipy.stats.energy_distance in any dimension. 0 only for the same samples."""
    first, second = as_pair(x, y)
    return float(np.sqrt(max(_discrepancy(first, second, _minus_distance, unbiased=False), 0)))


def permutation_test(
    x: Samples,
    y: Samples,
    statistic: str = "mmd",
    num_permutations: int = 500,
    bandwidths: Sequence[float] | float | None = None,
    generator: Generator | None = None,
) -> TwoSampleTest:
    """Whether x [n, ...] and y [m, ...] have one distribution: "mmd" (unbiased MMD²) or "energy".

    The p-value is the share of random divisions of all samples into n and m whose statistic is as
    large, the actual one among them: exact for any n. All (n + m)² kernels are in memory.
    """
    first, second = as_pair(x, y, at_least=2)
    if statistic not in ("mmd", "energy"):
        raise ValueError(f'statistic is "mmd" or "energy", got {statistic!r}')
    if num_permutations < 1:
        raise ValueError(f"num_permutations is at least 1, got {num_permutations}")
    if statistic == "mmd":
        kernel = _rbf(_bandwidths(bandwidths, first, second))
    else:
        kernel = _minus_distance
    both, n = np.concatenate([first, second]), len(first)
    matrix = kernel(squared_distances(both, both))
    np.fill_diagonal(matrix, 0)
    rng = rng_of(generator)
    chosen = np.zeros((num_permutations + 1, len(both)))
    chosen[0, :n] = 1  # the actual division
    for row in chosen[1:]:
        row[rng.permutation(len(both))[:n]] = 1
    found = _of_divisions(matrix, chosen, n)
    tolerance = 1e-12 * np.abs(found).max()  # a division that is the actual one, rounded otherwise
    return TwoSampleTest(float(found[0]), float((found >= found[0] - tolerance).mean()))


def _of_divisions(matrix: np.ndarray, chosen: np.ndarray, n: int) -> np.ndarray:
    """The unbiased statistic of each row of `chosen` [k, N]: 1 for the n of the first sample."""
    m = chosen.shape[1] - n
    sums = chosen @ matrix
    first = (sums * chosen).sum(1)
    crossed = sums.sum(1) - first
    second = matrix.sum() - first - 2 * crossed
    return first / (n * (n - 1)) + second / (m * (m - 1)) - 2 * crossed / (n * m)


def _bandwidths(given, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if given is None:
        return median_distance(np.concatenate([x, y])) * np.array(SCALES)
    bandwidths = np.atleast_1d(np.asarray(given, np.float64))
    if bandwidths.ndim != 1 or not len(bandwidths) or not (bandwidths > 0).all():
        raise ValueError(f"bandwidths are one or more numbers above 0, got {given}")
    return bandwidths


def _rbf(bandwidths: np.ndarray) -> Kernel:
    """The mean over the bandwidths of exp(-|x - y|² / 2σ²)."""
    rates = 1 / (2 * bandwidths**2)
    return lambda squares: np.mean([np.exp(-rate * squares) for rate in rates], axis=0)


def _minus_distance(squares: np.ndarray) -> np.ndarray:
    return -np.sqrt(squares)


def _discrepancy(x: np.ndarray, y: np.ndarray, kernel: Kernel, unbiased: bool) -> float:
    within = _mean_of_pairs(x, kernel, unbiased) + _mean_of_pairs(y, kernel, unbiased)
    across = sum(kernel(squared_distances(rows, y)).sum() for _, rows in in_blocks(x))
    return float(within - 2 * across / (len(x) * len(y)))


def _mean_of_pairs(x: np.ndarray, kernel: Kernel, unbiased: bool) -> float:
    """The mean of kernel(x_i, x_j) over all i and j, or over those that differ."""
    n, total = len(x), 0.0
    for place, rows in in_blocks(x):
        values = kernel(squared_distances(rows, x))
        itself = np.arange(len(rows)), np.arange(place.start, place.stop)
        values[itself] = 0 if unbiased else kernel(np.zeros(1))  # exactly, without rounding
        total += values.sum()
    return total / (n * (n - 1) if unbiased else n * n)
