"""Scaled dot-product attention (Vaswani et al. 2017, equation 1)."""

from __future__ import annotations

import math

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.attention import attention
from tinygen.autograd.ops.choose import where
from tinygen.autograd.ops.softmax import softmax
from tinygen.autograd.registry import ShapeError, composition

from .dropout import dropout

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
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q Kᵀ · scale) V, with Q [..., L, E], K [..., S, E], V [..., S, Ev]: [..., L, Ev].

    attn_mask: [..., L, S], True where a query may look at a key; or numbers added to the scores.
    is_causal: query i looks at keys 0 … i only.
    scale: 1/√E unless given.
    enable_gqa: K and V may have fewer heads (axis −3), each for as many consecutive heads of Q:
        grouped-query attention (Ainslie et al. 2023).

    A query that may look at nothing gets zeros. Without mask and dropout, and with Ev = E, a fused
    kernel does the work, which never stores the [L, S] scores.
    """
    if attn_mask is not None and is_causal:
        raise RuntimeError("give attn_mask or is_causal, not both: combine them in the mask")
    _check_shapes(query, key, value)
    if enable_gqa:
        key, value = (_for_each_query(x, query) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    lead = query.shape[:-2]
    plain = attn_mask is None and dropout_p == 0
    if plain and key.shape[:-2] == lead and value.shape == key.shape:
        if len(lead) == 2:
            return attention(query, key, value, is_causal, scale)
        with_head = [x.reshape(math.prod(lead), 1, *x.shape[-2:]) for x in (query, key, value)]
        out = attention(*with_head, is_causal, scale)
        return out.reshape(*query.shape[:-1], value.shape[-1])
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    return dropout(weights, dropout_p) @ value


def attention_weights(
    query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool, scale: float
) -> Tensor:
    """Who looks at whom, and how much: [..., L, S], with rows that sum to 1, or hold zeros only."""
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        mask = Tensor(np.tri(*scores.shape[-2:], dtype=bool))
    if mask is None:
        return softmax(scores, -1)
    allowed = mask
    if mask.dtype == scores.dtype:
        allowed = mask != -math.inf
        scores = scores + where(allowed, mask, 0.0)
    elif mask.dtype != bool:
        raise RuntimeError(
            f"attn_mask must be bool, or floats like the query, {query.dtype}; got {mask.dtype}"
        )
    # The lowest number, not −inf: a row with nothing but −inf would have NaN for its softmax.
    lowest = float(np.finfo(scores.dtype).min)
    weights = softmax(where(allowed, scores, lowest), -1)
    return where(allowed, weights, 0.0)


def _check_shapes(query: Tensor, key: Tensor, value: Tensor) -> None:
    shapes = f"got query {query.shape}, key {key.shape} and value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"attention takes [..., L, E], [..., S, E] and [..., S, Ev], {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"attention: query and key must agree in their last axis, {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"attention: there must be a value for each key (axis -2), {shapes}")


def _for_each_query(x: Tensor, query: Tensor) -> Tensor:
    """Keys or values [..., groups, S, E], each repeated for the heads of the query it serves."""
    if min(x.ndim, query.ndim) < 3 or query.shape[-3] % x.shape[-3]:
        raise ShapeError(
            "enable_gqa: the heads (axis -3) of key and value must divide those of the query, got "
            f"query {query.shape} and {x.shape}"
        )
    times, (*lead, groups, S, E) = query.shape[-3] // x.shape[-3], x.shape
    copies = x.unsqueeze(-3).expand(*lead, groups, times, S, E)
    return copies.reshape(*lead, groups * times, S, E)
