"""Losses that compare numbers with numbers, element by element.

`reduction` says what becomes of the elements' losses: "mean" (the default), "sum", or "none".
"""

from __future__ import annotations

import math
import warnings

from tinygen.autograd import Tensor
from tinygen.autograd.creation import full_like
from tinygen.autograd.ops.elementwise import abs, clamp, log, where
from tinygen.autograd.primitive import composition

__all__ = [
    "gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss",
]  # fmt: skip


def checked_reduction(reduction: str) -> str:
    """`reduction`, or a ValueError if there is no such thing."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction!r} is not a valid reduction: use 'mean', 'sum' or 'none'")
    return reduction


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """All losses, or their mean or sum."""
    if checked_reduction(reduction) == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def _difference(input: Tensor, target: Tensor) -> Tensor:
    """input − target. Broadcasting them is legal, but seldom meant: [N, 1] with [N] is [N, N]."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size {target.shape} that is different to the input size "
            f"{input.shape}. This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
    return input - target


@composition
def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(input − target)²."""
    difference = _difference(input, target)
    return reduced(difference * difference, reduction)


@composition
def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|input − target|."""
    return reduced(abs(_difference(input, target)), reduction)


@composition
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d²/2 for errors |d| < delta, and delta (|d| − delta/2) beyond (Huber 1964)."""
    if delta <= 0:
        raise ValueError(f"huber_loss needs a positive delta, got {delta}")
    difference = _difference(input, target)
    distance = abs(difference)
    losses = where(
        distance < delta, 0.5 * difference * difference, delta * (distance - 0.5 * delta)
    )
    return reduced(losses, reduction)


@composition
def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d²/(2 beta) for errors |d| < beta, and |d| − beta/2 beyond: huber_loss over beta."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return huber_loss(input, target, reduction, beta) / beta


@composition
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """½ (log var + (input − target)²/var), where var is at least `eps`: −log N(target; input, var).

    The constant ½ log 2π is only there if `full`. `var` has the shape of `input`, or lacks the last
    axis, or has size 1 there. Raising it to `eps` leaves its gradient alone.
    """
    var = _fitting_variance(var, input)
    if (var < 0).any():
        raise ValueError("var has negative entry/entries")
    var = var + (clamp(var, min=eps) - var).detach()
    difference = input - target
    losses = 0.5 * (log(var) + difference * difference / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced(losses, reduction)


def _fitting_variance(var: Tensor | float, input: Tensor) -> Tensor:
    if not isinstance(var, Tensor):
        return full_like(input, float(var))
    if var.shape == input.shape or var.shape == (*input.shape[:-1], 1):
        return var
    if var.shape == input.shape[:-1]:
        return var.unsqueeze(-1)
    raise ValueError(f"var is of incorrect size: {var.shape} does not fit the input {input.shape}")
