"""A measured number beside what real samples would get: without that, no number means much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..autograd.random import Generator, rng_of
from .samples import Samples, as_pair

__all__ = ["Measured", "with_floor"]


@dataclass(frozen=True)
class Measured:
    """`value`, measured on n generated and n real samples, and `floor`, on n real and n other real
    ones: what a perfect model would get. `name` says of what."""

    name: str
    value: float
    floor: float
    n: int

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.4g} at n = {self.n} (real versus real: {self.floor:.4g})"


def with_floor(
    name: str,
    metric: Callable[[np.ndarray, np.ndarray], float],
    real: Samples,
    fake: Samples,
    generator: Generator | None = None,
) -> Measured:
    """`metric(real, fake)` with its floor, at one n, the largest possible: half of `real` [N, ...],
    or all of `fake` [M, ...].

    Two disjoint parts of n real samples are drawn: the first is compared with the fake ones and
    with the second. `metric` gets rows, float64 [n, d].
    """
    real_rows, fake_rows = as_pair(real, fake, ("real", "fake"))
    n = min(len(real_rows) // 2, len(fake_rows))
    if n < 1:
        raise ValueError("with_floor compares real samples with real ones: it needs at least 2")
    rng = rng_of(generator)
    order = rng.permutation(len(real_rows))
    reference, other = real_rows[order[:n]], real_rows[order[n : 2 * n]]
    generated = fake_rows[rng.permutation(len(fake_rows))[:n]]
    value, floor = float(metric(reference, generated)), float(metric(reference, other))
    return Measured(name, value, floor, n)
