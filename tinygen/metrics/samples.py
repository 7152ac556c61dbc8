"""What all metrics share: samples as rows of numbers that are fit to be compared, and distances."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..autograd.tensor import Tensor

Samples = Tensor | np.ndarray | float
BLOCK = 1024  # rows of a matrix of distances that are in memory at once
FEW_DIMENSIONS = 16


def plain(x: Samples) -> np.ndarray:
    """A tensor or an array as a float64 array."""
    return np.asarray(x.array if isinstance(x, Tensor) else x, np.float64)


def as_samples(x: Samples, name: str, at_least: int = 1) -> np.ndarray:
    """Samples [n, ...] as float64 rows [n, d]; numbers [n] as [n, 1].

    Raises ValueError for fewer than `at_least` of them, and for numbers that are not finite.
    """
    array = plain(x)
    if array.ndim == 0 or len(array) < at_least:
        n = len(array) if array.ndim else 0
        raise ValueError(f"{name} must have at least {at_least} samples [n, ...], got {n}")
    rows = array.reshape(len(array), -1)
    wrong = np.flatnonzero(~np.isfinite(rows).all(1))
    if wrong.size:
        raise ValueError(
            f"{name} has numbers that are not finite in {wrong.size} of {len(rows)} samples, the"
            f" first is number {wrong[0]}; there is no distance to those"
        )
    return rows


def as_pair(
    x: Samples, y: Samples, names: tuple[str, str] = ("x", "y"), at_least: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of samples, [n, d] and [m, d]. Raises ValueError if their d are not the same."""
    first, second = as_samples(x, names[0], at_least), as_samples(y, names[1], at_least)
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{names[0]} has samples of {first.shape[1]} numbers each, {names[1]} of"
            f" {second.shape[1]}: only samples of one shape can be compared"
        )
    return first, second


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x_i - y_j|², [n, m], of x [n, d] and y [m, d].

    In many dimensions as |x_i|² - 2 x_i·y_j + |y_j|² with the origin at the mean of y, which is one
    matrix product, and has an error of some 1e-16 |x|²; in few, difference by difference.
    """
    if x.shape[1] <= FEW_DIMENSIONS:
        return sum((np.subtract.outer(a, b) ** 2 for a, b in zip(x.T, y.T)), np.zeros(()))
    origin = y.mean(0)
    x, y = x - origin, y - origin
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)
    return np.maximum(squares - 2 * (x @ y.T), 0)


def in_blocks(x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """`x` [n, d] in pieces of not too many rows, each with its place."""
    for begin in range(0, len(x), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(x)))
        yield rows, x[rows]
