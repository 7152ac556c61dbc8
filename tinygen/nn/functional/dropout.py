"""Dropout: what is set to zero at random while training, so that nothing can be relied on alone."""

from __future__ import annotations

import math

from tinygen.autograd import Tensor
from tinygen.autograd.ops.dropout import dropped_at_random
from tinygen.autograd.random import default_generator, rand
from tinygen.autograd.registry import ShapeError

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip


def checked_probability(p: float) -> float:
    """`p`, or a ValueError if it is no probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p`, scale the others by 1/(1 − p); only if `training`.

    Srivastava et al. 2014, in the "inverted" form that leaves evaluation alone.
    """
    return dropped(input, input.shape, p, training, inplace)


def dropped(x: Tensor, shape, p: float, training: bool, inplace: bool) -> Tensor:
    """Dropout of all that shares an element of `shape`, which is broadcast to x."""
    checked_probability(p)
    if not training or p == 0:
        return x
    if p == 1:
        return x.mul_(0.0) if inplace else x * 0.0
    if not inplace and shape == x.shape:
        return dropped_at_random(x, p, *default_generator.next_call())
    scale = (rand(shape) >= p).to(x.dtype) * (1 / (1 - p))
    return x.mul_(scale) if inplace else x * scale


def dropout_of(n: int):
    """Dropout of whole channels of n dimensions."""

    def dropout_nd(
        input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        """Zero each channel of [N, C, *sizes] (or [C, *sizes]) with probability `p`, scale the
        others by 1/(1 − p) (Tompson et al. 2015): neighbours tell too much about one another.

        As in PyTorch, dropout2d takes an input of 3 dimensions as [N, C, L]."""
        if input.ndim not in (n + 1, n + 2):
            raise ShapeError(
                f"dropout{n}d: expects {n + 1}D or {n + 2}D input, got shape {input.shape}"
            )
        without_batch = input.ndim == n + 1 and n != 2  # PyTorch takes 3D input as [N, C, L] there
        channels = input.shape[: 1 if without_batch else 2]
        channels = (*channels, *[1] * (input.ndim - len(channels)))
        return dropped(input, channels, p, training, inplace)

    dropout_nd.__name__ = dropout_nd.__qualname__ = f"dropout{n}d"
    return dropout_nd


dropout1d, dropout2d, dropout3d = dropout_of(1), dropout_of(2), dropout_of(3)

# What SELU tends to far below zero: −scale · alpha (Klambauer et al. 2017).
SELU_LIMIT = -1.7580993408473766


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Set each element with probability `p` to SELU's limit, and scale and shift all so that mean 0
    and variance 1 remain (Klambauer et al. 2017, "Self-normalizing neural networks", page 6)."""
    return alpha_dropped(input, input.shape, p, training, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """alpha_dropout of whole channels of [N, C, *sizes]."""
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return alpha_dropped(input, shape, p, training, inplace)


def alpha_dropped(x: Tensor, shape, p: float, training: bool, inplace: bool) -> Tensor:
    checked_probability(p)
    if not training or p == 0:
        return x
    if p == 1:
        return x.mul_(0.0) if inplace else x * 0.0
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2))
    kept = (rand(shape) >= p).to(x.dtype)
    shift = (1 - kept) * (SELU_LIMIT * scale) - SELU_LIMIT * scale * p
    return x.mul_(kept * scale).add_(shift) if inplace else x * (kept * scale) + shift
