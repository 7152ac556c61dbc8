"""Token ids: what an encoder makes of a text, in whichever container they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd.tensor import Tensor

Ids = Sequence[int] | np.ndarray | Tensor


def as_ids(ids: Ids, vocab_size: int | None = None) -> np.ndarray:
    """`ids`, a list, ndarray or Tensor of integers, as int64 [n]; each within 0 <= id < vocab_size.

    Raises TypeError for numbers that are no integers; ValueError for more than one dimension, and
    for an id outside the vocabulary, with its position.
    """
    array = np.asarray(ids.array if isinstance(ids, Tensor) else ids)
    if array.ndim != 1:
        shape = list(array.shape)
        raise ValueError(
            f"token ids are one sequence [n], got shape {shape}; pass one row at a time"
        )
    if array.size and array.dtype.kind not in "iu":  # an empty list has no type of its own
        raise TypeError(f"token ids are integers, got {array.dtype}; encode the text first")
    if vocab_size is not None:
        _check_range(array, vocab_size)
    return array.astype(np.int64, copy=False)


def _check_range(ids: np.ndarray, vocab_size: int) -> None:
    outside = np.flatnonzero((ids < 0) | (ids >= vocab_size))
    if outside.size:
        first = outside[0]
        raise ValueError(
            f"token id {ids[first]} at position {first} is not in the vocabulary, 0 to"
            f" {vocab_size - 1}; were the ids made with another tokenizer?"
        )
