"""Scaled dot-product attention (Vaswani et al. 2017, equation 1)."""

from __future__ import annotations

import math

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.attention import attention
from tinygen.autograd.ops.elementwise import where
from tinygen.autograd.ops.reduce import softmax
from tinygen.autograd.primitive import composition

from .layer import dropout

__all__ = [
    "scaled_dot_product_attention",
]  # fmt: skip


@composition
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(Q Kᵀ · scale) V, with Q [..., L, E], K [..., S, E], V [..., S, Ev]: [..., L, Ev].

    attn_mask: [..., L, S], True where a query may look at a key; or numbers added to the scores.
    is_causal: query i looks at keys 0 … i only.
    scale: 1/√E unless given.

    A query that may look at nothing gets zeros. Without mask and dropout, and with Ev = E, a fused
    kernel does the work, which never stores the [L, S] scores.
    """
    if attn_mask is not None and is_causal:
        raise RuntimeError("give attn_mask or is_causal, not both: combine them in the mask")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    lead = query.shape[:-2]
    plain = attn_mask is None and dropout_p == 0
    if plain and key.shape[:-2] == lead and value.shape == key.shape:
        if len(lead) == 2:
            return attention(query, key, value, is_causal, scale)
        with_head = [x.reshape(math.prod(lead), 1, *x.shape[-2:]) for x in (query, key, value)]
        out = attention(*with_head, is_causal, scale)
        return out.reshape(*query.shape[:-1], value.shape[-1])
    weights = _attention_weights(query, key, attn_mask, is_causal, scale)
    return dropout(weights, dropout_p) @ value


def _attention_weights(query, key, mask, is_causal: bool, scale: float) -> Tensor:
    """Who looks at whom, and how much: [..., L, S], with rows that sum to 1."""
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        mask = Tensor(np.tri(*scores.shape[-2:], dtype=bool))
    if mask is None:
        return softmax(scores, -1)
    allowed = mask
    if mask.is_floating_point():
        allowed = mask > -math.inf
        scores = scores + where(allowed, mask, 0.0)
    # The lowest number, not −inf: a row with nothing but −inf would have NaN for its softmax.
    lowest = float(np.finfo(scores.dtype).min)
    weights = softmax(where(allowed, scores, lowest), -1)
    return where(allowed, weights, 0.0)
