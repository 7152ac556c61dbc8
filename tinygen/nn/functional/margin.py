"""Losses that ask for a margin: between scores, between distances, on either side of a boundary.

`reduction` says what becomes of the losses: "mean" (the default), "sum", or "none".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.choose import clamp, minimum, where
from tinygen.autograd.ops.elementwise import relu, sqrt
from tinygen.autograd.registry import ShapeError, composition

from .activation import logsigmoid
from .classification import check_labels
from .normalization import pairwise_distance
from .regression import checked_reduction, reduced

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


# ---- Between two classes, called 1 and -1 --------------------------------------------------------


@composition
def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """log(1 + exp(−target · input)): logistic loss, for targets 1 and −1."""
    return reduced(-logsigmoid(target * input), reduction)


@composition
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """x where the target is 1, max(0, margin − x) where it is −1: x is a distance."""
    far = where(target != 1, clamp(margin - input, min=0.0), 0.0)
    return reduced(far + where(target != -1, input, 0.0), reduction)


@composition
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, −target · (x₁ − x₂) + margin): x₁ should be the larger where the target is 1."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: the inputs and the target should have as many axes, got shapes "
            f"{input1.shape}, {input2.shape} and {target.shape}"
        )
    return reduced(clamp(margin - target * (input1 - input2), min=0.0), reduction)


@composition
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """1 − cos(x₁, x₂) where the target is 1, max(0, cos(x₁, x₂) − margin) where it is −1.

    x₁ and x₂ are [N, D] with targets [N], or [D] with a target [].
    """
    if target.ndim > 1 or not input1.ndim == input2.ndim == target.ndim + 1:
        raise ShapeError(
            "cosine_embedding_loss: the inputs must be [N, D] with a target [N], or [D] with a "
            f"target [], got shapes {input1.shape}, {input2.shape} and {target.shape}"
        )
    squares = [(x * x).sum(-1) + 1e-12 for x in (input1, input2)]
    cosine = (input1 * input2).sum(-1) / sqrt(squares[0] * squares[1])
    alike = where(target == 1, 1 - cosine, 0.0)
    return reduced(alike + where(target == -1, clamp(cosine - margin, min=0.0), 0.0), reduction)


# ---- Between several classes ---------------------------------------------------------------------


@composition
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Σ max(0, margin − x[label] + x[i])ᵖ / C over the classes i ≠ label, times weight[label].

    input: scores [N, C] or [C]; target: labels [N] or [] in [0, C); p is 1 or 2.
    """
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: only p == 1 and p == 2 supported, got {p}")
    if input.ndim < 2:  # one row; a 0-d score is that of a single class
        input = input.reshape(*target.shape[:1], -1)
    classes = _classes_of("multi_margin_loss", input)
    if target.shape != input.shape[:-1]:
        raise ShapeError(
            f"multi_margin_loss: for scores of shape {input.shape}, labels must have shape "
            f"{input.shape[:-1]}, got {target.shape}"
        )
    check_labels("multi_margin_loss", target.array, classes)
    labels = target.unsqueeze(-1)
    short = relu(margin - input.gather(-1, labels) + input)
    terms = short if p == 1 else short * short
    if weight is not None:
        terms = terms * weight[labels]
    others = labels != Tensor(np.arange(classes))
    return reduced(where(others, terms, 0.0).sum(-1) / classes, reduction)


@composition
def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Σ max(0, 1 − x[j] + x[i]) / C over the labels j and the classes i that are no labels.

    input: scores [N, C] or [C]; target: of the same shape, the labels of each row first, then −1.
    All pairs are compared at once: [N, C, C].
    """
    if not input.ndim:  # a single class
        input, target = input.reshape(1), target.reshape(1)
    classes = _classes_of("multilabel_margin_loss", input)
    if target.shape != input.shape:
        raise ShapeError(
            f"multilabel_margin_loss: inconsistent target size {target.shape} for input of size "
            f"{input.shape}: each row holds its labels, filled up with -1"
        )
    check_labels("multilabel_margin_loss", target.array, classes, ignore_index=-1)
    listed = np.logical_and.accumulate(target.array >= 0, -1)
    one_hot = target.array[..., None] == np.arange(classes)
    times = (one_hot & listed[..., None]).sum(-2)  # how often each class is listed
    counted = Tensor((times[..., :, None] * (times[..., None, :] == 0)).astype(input.dtype))
    short = relu(1 - input.unsqueeze(-1) + input.unsqueeze(-2))
    return reduced((counted * short).sum((-2, -1)) / classes, reduction)


@composition
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """−Σ (t log σ(x) + (1 − t) log σ(−x)) · weight / C over the classes: x, t [..., C]."""
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    losses = losses if weight is None else losses * weight
    return reduced(losses.sum(-1) / input.shape[-1], reduction)


def _classes_of(name: str, input: Tensor) -> int:
    if input.ndim not in (1, 2) or not input.shape[-1]:
        raise ShapeError(f"{name}: scores must be [N, C] or [C], got shape {input.shape}")
    return input.shape[-1]


# ---- Between distances ---------------------------------------------------------------------------


@composition
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + d(a, p) − d(a, n)), with d(x, y) = ‖x − y + eps‖ₚ along the last axis.

    The positive should be nearer to the anchor than the negative. With `swap` the distance of the
    negative is to the nearer of anchor and positive (Balntas et al. 2016, section 3.3).
    """
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own; without one, it is that with p = 2."""
    checked_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "triplet_margin_loss: anchor, positive and negative should have as many axes, got "
            f"shapes {anchor.shape}, {positive.shape} and {negative.shape}"
        )
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(clamp(margin + near - far, min=0.0), reduction)
