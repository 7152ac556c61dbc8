"""Bits per dimension: a log-likelihood in a unit that does not depend on the size of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .samples import Samples, as_samples, plain

__all__ = ["bits_per_dimension"]


def bits_per_dimension(log_prob: Samples, shape: int | Sequence[int], levels: int = 1) -> float:
    """The mean of -log₂ p per dimension, from `log_prob` [n] in nats of samples of `shape`.

    levels: of pixels, if log_prob is a density over images that were dequantised and scaled to
        [0, 1], x = (integer + uniform noise) / levels: such as 256 for bytes. Each dimension costs
        log₂(levels) bits more for the scale, and the result is an upper bound of the bits that the
        integers themselves have under the model (Theis et al. 2016, "A note on the evaluation of
        generative models", section 3.1). With 1, log_prob is taken as it is.
    """
    dimensions = shape if isinstance(shape, int | np.integer) else math.prod(shape)
    if dimensions < 1 or levels < 1:
        raise ValueError(f"shape and levels are at least 1, got {shape=} and {levels=}")
    values = as_samples(np.atleast_1d(plain(log_prob)), "log_prob")
    if values.shape[1] != 1:
        raise ValueError(f"log_prob is one number for each sample, [n]; got {np.shape(log_prob)}")
    return float(-values.mean() / (dimensions * math.log(2)) + math.log2(levels))
