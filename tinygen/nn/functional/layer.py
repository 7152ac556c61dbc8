"""What layers compute, given their weights: linear, embedding, layer norm, dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygen.autograd import Tensor, fused
from tinygen.autograd.ops import index
from tinygen.autograd.ops.compare import eq
from tinygen.autograd.ops.elementwise import where
from tinygen.autograd.ops.linalg import linear
from tinygen.autograd.random import rand

__all__ = [
    "dropout", "embedding", "layer_norm", "linear", "one_hot",
]  # fmt: skip


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of `weight` [V, D] for integers `input` [...]: [..., D].

    No gradient reaches the row `padding_idx`. Raises IndexError for a number that is not in [0, V).
    """
    out = index.embedding(weight, input)
    padding_idx = checked_padding_idx(padding_idx, len(weight))
    if padding_idx is None:
        return out
    is_padding = index.getitem(eq(input, padding_idx), (..., None))
    return where(is_padding, out.detach(), out)


def checked_padding_idx(padding_idx: int | None, num_embeddings: int) -> int | None:
    """`padding_idx` counted from the front. Raises ValueError if the table has no such row."""
    if padding_idx is None:
        return None
    if not -num_embeddings <= padding_idx < num_embeddings:
        raise ValueError(
            f"padding_idx must be within num_embeddings={num_embeddings}, got {padding_idx}"
        )
    return padding_idx % num_embeddings


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias over the trailing axes, whose shape is given.

    Several axes are normalised as one: they are flattened for the fused op, which knows the last.
    """
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"layer_norm: normalized_shape={list(shape)} must be the end of the input's shape, "
            f"which is {input.shape}"
        )
    if len(shape) == 1:
        return fused.layer_norm(input, weight, bias, eps)
    flat = [x if x is None else x.reshape(-1) for x in (weight, bias)]
    rows = input.reshape(*input.shape[: -len(shape)], math.prod(shape))
    return fused.layer_norm(rows, *flat, eps).reshape(input.shape)


def checked_probability(p: float) -> float:
    """`p`, or a ValueError if it is no probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p`, scale the others by 1/(1 − p); only if `training`.

    Srivastava et al. 2014, in the "inverted" form that leaves evaluation alone.
    """
    checked_probability(p)
    if not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0.0) if inplace else input * 0.0
    scale = (rand(input.shape) >= p).to(input.dtype) * (1 / (1 - p))
    return input.mul_(scale) if inplace else input * scale


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Labels [...] as rows [..., num_classes] of zeros with a 1 at the label (int64).

    Without `num_classes` it is the largest label plus one. Raises IndexError for a label that is
    not in [0, num_classes).
    """
    if tensor.array.size and tensor.array.min() < 0:
        raise IndexError(f"one_hot: labels must not be negative, got {tensor.array.min()}")
    return index.one_hot(tensor, num_classes)
