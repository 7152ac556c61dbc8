"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tinygen.autograd import Tensor
from tinygen.autograd.creation import full
from tinygen.autograd.ops.join import cat, stack

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences [T_i, *] filled up to the longest: [T, N, *], or [N, T, *] with `batch_first`."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side must be 'left' or 'right', got {padding_side!r}")
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("pad_sequence: the list of sequences is empty")
    longest = max(len(s) for s in sequences)

    def padded(s: Tensor) -> Tensor:
        padding = full((longest - len(s), *s.shape[1:]), padding_value, dtype=s.dtype)
        return cat([s, padding] if padding_side == "right" else [padding, s])

    return stack([padded(s) for s in sequences], 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Sequence[int] | Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The opposite of `pad_sequence`: the first lengths[i] elements of sequence i."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(rows, lengths)]
