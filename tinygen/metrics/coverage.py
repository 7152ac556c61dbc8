"""Mode coverage: how many modes of a known mixture a model has found, and how sharply."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .samples import Samples, as_pair, in_blocks, squared_distances

__all__ = ["ModeCoverage", "mode_coverage"]


class ModeCoverage(NamedTuple):
    """modes_hit: at how many of the modes there is a good sample.
    high_quality: the share of good samples, those near a mode.
    reverse_kl: KL(shares of the modes among good samples || equal shares), in nats; 0 at best,
        log(modes) if all are at one, inf if no sample is good.
    counts: good samples at each mode, int64 [modes].
    """

    modes_hit: int
    high_quality: float
    reverse_kl: float
    counts: np.ndarray


def mode_coverage(
    samples: Samples, modes: Samples, std: float, threshold: float = 3.0
) -> ModeCoverage:
    """How `samples` [n, d] cover a mixture of equal normals at `modes` [k, d] of deviation `std`.

    A sample is good if it is no further than `threshold` deviations from the nearest mode, in
    Euclidean distance: so in two dimensions 1 - exp(-9/2) = 98.9 % of the true samples are. A mode
    is hit by a single good sample. Srivastava et al. 2017, "VEEGAN", section 4.1; the KL is that of
    Lin et al. 2018, "PacGAN", section 4.1.
    """
    rows, centres = as_pair(samples, modes, ("samples", "modes"))
    if not std > 0 or not threshold > 0:
        raise ValueError(f"std and threshold are above 0, got {std=} and {threshold=}")
    counts = np.zeros(len(centres), np.int64)
    for _, block in in_blocks(rows):
        squares = squared_distances(block, centres)
        nearest = squares.argmin(1)
        good = squares.min(1) <= (threshold * std) ** 2
        counts += np.bincount(nearest[good], minlength=len(centres))
    total = int(counts.sum())
    return ModeCoverage(
        modes_hit=int((counts > 0).sum()),
        high_quality=total / len(rows),
        reverse_kl=_kl_to_equal_shares(counts / total) if total else np.inf,
        counts=counts,
    )


def _kl_to_equal_shares(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float((present * np.log(present * len(shares))).sum())
