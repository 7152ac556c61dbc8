"""The random numbers that distributions are made of, as tensors without gradient."""

from __future__ import annotations

import numpy as np

from ..autograd.ops.incomplete_gamma import gamma_path
from ..autograd.random import rand, randn, rng_of, standard_exponential, standard_gamma
from ..autograd.tensor import Tensor

__all__ = ["binomials", "exponentials", "log_gammas", "logistics", "normals", "uniforms"]


def normals(shape, dtype, generator) -> Tensor:
    """Standard normals"""
    return randn(shape, dtype=dtype, generator=generator)


def uniforms(shape, dtype, generator) -> Tensor:
    """Uniforms in [0, 1)"""
    return rand(shape, dtype=dtype, generator=generator)


def exponentials(shape, dtype, generator) -> Tensor:
    """Exponentials of rate 1, none of them 0"""
    return Tensor(standard_exponential(shape, dtype, generator))


def logistics(shape, dtype, generator) -> Tensor:
    """Standard logistic variables log u - log(1 - u): also the log of a ratio of exponentials"""
    x, y = (exponentials(shape, dtype, generator).array for _ in range(2))
    return Tensor(np.log(x / y))


def log_gammas(concentration: Tensor, shape, generator) -> Tensor:
    """Logarithms of standard gamma variables, which don't underflow where the variables would; with
    their pathwise gradient with respect to the concentration.

    Gamma(a) is Gamma(a + 1) U^(1/a) (Marsaglia & Tsang 2000, section 6), and -log U exponential.
    """
    a = np.broadcast_to(concentration.array.astype(np.float64), shape)
    drawn = np.log(standard_gamma(a + 1, generator))
    drawn -= standard_exponential(shape, a.dtype, generator) / a
    return gamma_path(concentration, Tensor(drawn.astype(concentration.dtype)))


def binomials(count: Tensor, probs: Tensor, shape, generator) -> Tensor:
    """How many of `count` tries succeed, each with this probability"""
    drawn = rng_of(generator).binomial(count.array.astype(np.int64), probs.array, shape)
    return Tensor(np.asarray(drawn, probs.dtype))
