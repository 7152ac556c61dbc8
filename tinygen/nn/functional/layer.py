"""What layers compute, given their weights: linear, embedding."""

from __future__ import annotations

from tinygen.autograd import Tensor
from tinygen.autograd.ops import index
from tinygen.autograd.ops.choose import where
from tinygen.autograd.ops.compare import eq
from tinygen.autograd.ops.linalg import linear

__all__ = ["embedding", "linear", "one_hot"]


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


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Labels [...] as rows [..., num_classes] of zeros with a 1 at the label (int64).

    Without `num_classes` it is the largest label plus one. Raises IndexError for a label that is
    not in [0, num_classes).
    """
    if tensor.array.size and tensor.array.min() < 0:
        raise IndexError(f"one_hot: labels must not be negative, got {tensor.array.min()}")
    return index.one_hot(tensor, num_classes)
