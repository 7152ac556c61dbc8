"""Choosing the next token: greedily, or at random from a distribution that is cut and sharpened."""

from __future__ import annotations

import numpy as np

from ..autograd.ops.order import argmax
from ..autograd.ops.softmax import softmax
from ..autograd.random import Generator, multinomial
from ..autograd.tensor import Tensor


def next_token(
    logits: Tensor,
    *,
    do_sample: bool = True,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """A token for each row of logits [rows, vocab]: int64 [rows].

    do_sample: False takes the most likely token, and heeds nothing of what follows.
    temperature: logits are divided by it: below 1 likely tokens get likelier, above 1 less so.
    top_k: only the k most likely tokens can be chosen.
    top_p: only the fewest tokens whose probabilities add up to p (nucleus sampling: Holtzman et al.
        2020, section 3.1), after the temperature and top_k.
    """
    if not do_sample:
        return argmax(logits, -1)
    if not temperature > 0:
        raise ValueError(
            f"temperature must be above 0, not {temperature}; do_sample=False is greedy"
        )
    kept = cut(logits.array.astype(np.float64) / temperature, top_k, top_p)
    return multinomial(softmax(Tensor(kept), -1), 1, generator=generator)[:, 0]


def cut(logits: np.ndarray, top_k: int | None, top_p: float | None) -> np.ndarray:
    """Logits [rows, vocab] with -inf for every token that can't be chosen."""
    if top_k is not None:
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k}; None keeps every token")
        k = min(top_k, logits.shape[-1])
        least = np.partition(logits, -k, axis=-1)[:, -k, None]
        logits = np.where(logits < least, -np.inf, logits)
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1], not {top_p}; None keeps every token")
    if top_p is not None and top_p < 1:  # sums that round to 1 would cut the unlikeliest off
        order = np.argsort(-logits, axis=-1, kind="stable")
        p = softmax(Tensor(np.take_along_axis(logits, order, -1)), -1).array
        dropped = np.cumsum(p, -1) - p >= top_p  # those before it already add up to top_p
        cut_off = np.empty_like(dropped)
        np.put_along_axis(cut_off, order, dropped, -1)
        logits = np.where(cut_off, -np.inf, logits)
    return logits
