"""Losses that compare numbers with numbers, element by element.

`reduction` says what becomes of the elements' losses: "mean" (the default), "sum", or "none".
"""

from __future__ import annotations

import math
import warnings

from tinygen.autograd import Tensor
from tinygen.autograd.creation import full_like
from tinygen.autograd.ops.choose import clamp, where
from tinygen.autograd.ops.elementwise import abs, exp, log
from tinygen.autograd.ops.squared_error import mean_squared_error
from tinygen.autograd.registry import ShapeError, composition

__all__ = [
    "gaussian_nll_loss", "huber_loss", "l1_loss", "mse_loss", "poisson_nll_loss",
    "smooth_l1_loss",
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


def _weighted(losses: Tensor, weight: Tensor | None, input: Tensor) -> Tensor:
    if weight is not None and weight.shape != input.shape:
        raise ShapeError(
            f"Weights and input must have the same size, got {weight.shape} and {input.shape}"
        )
    return losses if weight is None else losses * weight


def _weighted_mean(losses: Tensor, weight: Tensor | None, input: Tensor, reduction: str) -> Tensor:
    """Losses times weights, reduced; the mean is the sum over the sum of the weights."""
    losses = _weighted(losses, weight, input)
    if weight is None or reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / weight.sum()


@composition
def mse_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """weight · (input − target)²; the mean is over what the weights add up to."""
    if weight is None and reduction == "mean" and input.shape == target.shape and input.array.size:
        return mean_squared_error(input, target)
    difference = _difference(input, target)
    return _weighted_mean(difference * difference, weight, input, reduction)


@composition
def l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """weight · |input − target|; the mean is over what the weights add up to."""
    return _weighted_mean(abs(_difference(input, target)), weight, input, reduction)


@composition
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """d²/2 for errors |d| < delta, and delta (|d| − delta/2) beyond, times weight (Huber 1964).

    The mean is over the number of elements, as in PyTorch, whatever the weights.
    """
    if delta <= 0:
        raise ValueError(f"huber_loss needs a positive delta, got {delta}")
    difference = _difference(input, target)
    distance = abs(difference)
    losses = where(
        distance < delta, 0.5 * difference * difference, delta * (distance - 0.5 * delta)
    )
    return reduced(_weighted(losses, weight, input), reduction)


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
    axis, or has size 1 in one. Raising it to `eps` leaves its gradient alone.
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
    if var.shape == input.shape[:-1] != input.shape:
        return var.unsqueeze(-1)
    if var.ndim == input.ndim:
        smaller = [n for n, m in zip(var.shape, input.shape) if n != m]
        if smaller in ([], [1]):
            return var
    raise ValueError(f"var is of incorrect size: {var.shape} does not fit the input {input.shape}")


@composition
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """rate − target · log rate: −log of the Poisson probability of the count `target`.

    `input` is log rate; without `log_input` it is the rate, whose logarithm is taken of rate + eps.
    `full` adds log target!, by Stirling's formula, where the target is above 1.
    """
    if log_input:
        losses = exp(input) - target * input
    else:
        losses = input - target * log(input + eps)
    if full:
        losses = losses + _log_factorial(target)
    return reduced(losses, reduction)


def _log_factorial(n: Tensor) -> Tensor:
    """n log n − n + ½ log 2πn, and 0 up to 1."""
    safe = where(n > 1, n, 1.0)
    return where(n > 1, safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe), 0.0)
