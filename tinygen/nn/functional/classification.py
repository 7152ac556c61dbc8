"""Losses that compare scores with labels, or distributions with distributions.

`reduction` says what becomes of the losses: "mean" (the default), "sum", or "none".
"""

from __future__ import annotations

import math

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.choose import clamp, where
from tinygen.autograd.ops.cross_entropy import softmax_cross_entropy
from tinygen.autograd.ops.elementwise import exp, log, log1p
from tinygen.autograd.ops.shape import movedim
from tinygen.autograd.ops.special import xlogy
from tinygen.autograd.registry import ShapeError, composition
from tinygen.kernels.scatter import inside

from .activation import logsigmoid
from .regression import checked_reduction, reduced
from .softmax import log_softmax

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "kl_div",
    "nll_loss",
]  # fmt: skip


@composition
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−log softmax(input)[label], of logits [N, C], [C], or [N, C, d1, …].

    target: labels in [0, C), of the shape of `input` without the axis C; or probabilities, of the
        shape of `input`.
    weight: [C], by how much each class counts.
    ignore_index: a label that counts for nothing, neither in the sum nor in the mean.
    label_smoothing: how much of the target to spread evenly over all classes
        (Szegedy et al. 2016, section 7).

    "mean" divides by the sum of the weights of the labels that count; of probabilities, by their
    number of rows.
    """
    checked_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0, got {label_smoothing}")
    if target.shape == input.shape:
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    logits, labels, shape = _as_rows("cross_entropy", input, target, ignore_index, weight)
    losses = softmax_cross_entropy(logits, labels, ignore_index, float(label_smoothing), weight)
    return _reduced_labels(losses, labels, weight, ignore_index, reduction, shape)


@composition
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−input[label] · weight[label], of log-probabilities [N, C], [C] or [N, C, d1, …].

    Labels, weights and the mean are those of `cross_entropy`.
    """
    checked_reduction(reduction)
    log_probs, labels, shape = _as_rows("nll_loss", input, target, ignore_index, weight)
    losses = _picked(log_probs, labels, weight, ignore_index)
    return _reduced_labels(losses, labels, weight, ignore_index, reduction, shape)


def _as_rows(name: str, input: Tensor, target: Tensor, ignore_index: int, weight: Tensor | None):
    """Scores as rows [rows, C], labels [rows], and the shape that the labels had."""
    if not input.ndim:
        raise ShapeError(f"{name}: scores must have an axis of classes, but they are 0-d")
    axis = min(input.ndim - 1, 1)
    classes, shape = input.shape[axis], (*input.shape[:axis], *input.shape[axis + 1 :])
    if target.shape != shape:
        raise ShapeError(
            f"{name}: for scores of shape {input.shape}, labels must have shape {shape}, got "
            f"{target.shape}"
        )
    _check_class_weights(name, weight, classes)
    check_labels(name, target.array, classes, ignore_index)
    if input.ndim == 2:
        return input, target, shape
    rows = input if input.ndim < 2 else movedim(input, 1, -1)
    return rows.reshape(target.array.size, classes), target.reshape(-1), shape


def check_labels(name: str, labels: np.ndarray, classes: int, ignore_index: int | None = None):
    """Refuse labels that are no integers, or name no class: IndexError, with label and place."""
    if labels.dtype.kind not in "iu":
        raise RuntimeError(
            f"{name}: labels must be integers, got {labels.dtype}; convert them with .long()"
        )
    if inside(labels, classes):
        return
    outside = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        outside &= labels != ignore_index
    if outside.any():
        place = tuple(np.argwhere(outside)[0].tolist())
        ignored = "" if ignore_index is None else f", or ignore_index={ignore_index}"
        raise IndexError(
            f"{name}: Target {labels[place]} is out of bounds: for {classes} classes, labels must "
            f"be in [0, {classes}){ignored}; this one is target{list(place)}"
        )


def _check_class_weights(name: str, weight: Tensor | None, classes: int) -> None:
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(
            f"{name}: weight must hold a number for each of the {classes} classes, shape "
            f"({classes},), got {weight.shape}"
        )


def _picked(log_probs: Tensor, labels: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """−log_probs[row, label] · weight[label] of each row; 0 where the label is to be ignored."""
    ignored = labels == ignore_index
    safe = where(ignored, 0, labels)
    picked = -log_probs.gather(-1, safe.unsqueeze(-1)).squeeze(-1)
    return where(ignored, 0.0, picked if weight is None else picked * weight[safe])


def _reduced_labels(losses, labels, weight, ignore_index: int, reduction: str, shape) -> Tensor:
    """Reduce losses [rows], where the mean is over what the labels weigh."""
    if reduction == "none":
        return losses.reshape(shape)
    if reduction == "sum":
        return losses.sum()
    counted = labels.array[labels.array != ignore_index]
    if not counted.size:
        return losses.sum() * math.nan
    return losses.sum() / (counted.size if weight is None else weight[Tensor(counted)].sum())


def _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing) -> Tensor:
    """−Σ target · weight · log softmax(input) over the classes."""
    if not target.is_floating_point():
        raise RuntimeError(
            f"a target of the input's shape {input.shape} holds class probabilities, so it must be "
            f"floating-point, got {target.dtype}; labels would have no axis of classes"
        )
    axis = min(input.ndim - 1, 1)
    _check_class_weights("cross_entropy", weight, input.shape[axis])
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / input.shape[axis]
    terms = target * log_softmax(input, axis)
    if weight is not None:
        terms = terms * weight.reshape(-1, *[1] * (input.ndim - 1 - axis))
    return reduced(-terms.sum(axis), reduction)


@composition
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """−weight · (t log p + (1 − t) log(1 − p)), of probabilities p and targets t in [0, 1].

    Logarithms are cut off at −100, and pass no gradient on there. From logits,
    `binary_cross_entropy_with_logits` is more accurate.
    """
    _check_same_shape("binary_cross_entropy", input, target)
    if input.array.size and not (input.array.min() >= 0 and input.array.max() <= 1):
        raise RuntimeError(
            "binary_cross_entropy takes probabilities, all elements of input must be between 0 and "
            "1; for logits there is binary_cross_entropy_with_logits"
        )
    # Where the logarithm would be infinite, it is taken of a harmless number and not used.
    one, zero = input >= 1, input <= 0
    log_p = where(zero, -100.0, log(where(zero, 1.0, input)))
    log_q = where(one, -100.0, log1p(-where(one, 0.0, input)))
    losses = -(target * clamp(log_p, min=-100.0) + (1 - target) * clamp(log_q, min=-100.0))
    return reduced(losses if weight is None else losses * weight, reduction)


@composition
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """−weight · (pos_weight · t log σ(x) + (1 − t) log σ(−x)), of logits x and targets t in [0, 1].

    `pos_weight` > 1 counts positives for more.
    """
    _check_same_shape("binary_cross_entropy_with_logits", input, target)
    positive = target if pos_weight is None else target * pos_weight
    losses = (target - 1) * logsigmoid(-input) - positive * logsigmoid(input)
    return reduced(losses if weight is None else losses * weight, reduction)


def _check_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ShapeError(
            f"{name}: Target size ({target.shape}) must be the same as input size ({input.shape})"
        )


@composition
def kl_div(
    input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target · (log target − input), elementwise: `input` holds log-probabilities.

    Summed over the classes this is KL(target ‖ exp(input)). Use reduction="batchmean", which
    divides by the first axis alone; "mean" divides by the number of elements. `log_target` says
    that `target` holds log-probabilities as well.
    """
    if log_target:
        losses = exp(target) * (target - input)
    else:
        losses = xlogy(target, target) - target * input  # 0 log 0 counts as 0
    if reduction == "batchmean":
        return losses.sum() / len(input)
    return reduced(losses, reduction)
