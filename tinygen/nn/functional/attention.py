"""Scaled dot-product attention (Vaswani et al. 2017, equation 1)."""

from __future__ import annotations

import math

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops import attention as ops
from tinygen.autograd.random import randint
from tinygen.autograd.registry import ShapeError, composition

from .dropout import checked_probability

__all__ = [
    "packed_scaled_dot_product_attention", "scaled_dot_product_attention",
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

    attn_mask: [..., L, S], True where a query may look at a key; or numbers added to the scores,
        where −1e30 and less mean that it may not.
    dropout_p: the probability with which each weight becomes 0; the others grow by 1/(1 − p).
    is_causal: query i looks at keys 0 … i only.
    scale: 1/√E unless given.
    enable_gqa: K and V may have fewer heads (axis −3), each for as many consecutive heads of Q:
        grouped-query attention (Ainslie et al. 2023).

    A query that may look at nothing gets zeros. float32 runs on a fused kernel, which never stores
    the [L, S] scores.
    """
    check_masks(query, attn_mask, is_causal)
    _check_shapes(query, key, value, enable_gqa)
    given = (query,) if enable_gqa else (query, key, value)
    lead = np.broadcast_shapes(*[x.shape[:-2] for x in given])
    out = ops.attention(
        _four_axes(query, lead),
        *[_four_axes(x, (*lead[:-1], x.shape[-3]) if enable_gqa else lead) for x in (key, value)],
        _for_four_axes(attn_mask, lead), is_causal, scale, *_dropout(dropout_p),
    )  # fmt: skip
    return out if len(lead) == 2 else out.reshape(*lead, *out.shape[2:])


def packed_scaled_dot_product_attention(
    qkv: Tensor,
    num_heads: int,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Self-attention of all heads, straight from one linear layer: qkv [N, L, 3 E] holds the
    queries of all heads, then the keys, then the values; out [N, L, E]. Nothing is transposed or
    copied on the way, nor is the gradient. attn_mask: [N or 1, num_heads or 1, L, L]; other
    arguments as in `scaled_dot_product_attention`. (PyTorch has no such function.)"""
    if qkv.ndim != 3 or qkv.shape[-1] % (3 * num_heads):
        raise ShapeError(
            f"packed attention takes [N, L, 3 * {num_heads} heads * width], got {qkv.shape}"
        )
    check_masks(qkv, attn_mask, is_causal)
    return ops.packed_attention(
        qkv, num_heads, attn_mask, is_causal, scale, *_dropout(dropout_p)
    )  # fmt: skip


def check_masks(query: Tensor, mask: Tensor | None, is_causal: bool) -> None:
    if mask is None:
        return
    if is_causal:
        raise RuntimeError("give attn_mask or is_causal, not both: combine them in the mask")
    if mask.dtype not in (bool, query.dtype):
        raise RuntimeError(
            f"attn_mask must be bool, or floats like the query, {query.dtype}; got {mask.dtype}"
        )


def _dropout(p: float) -> tuple[float, int]:
    """p, and a seed for which weights to drop."""
    return (p, int(randint(0, 2**62, ()))) if checked_probability(p) else (0.0, 0)


def _check_shapes(query: Tensor, key: Tensor, value: Tensor, grouped: bool) -> None:
    shapes = f"got query {query.shape}, key {key.shape} and value {value.shape}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"attention takes [..., L, E], [..., S, E] and [..., S, Ev], {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"attention: query and key must agree in their last axis, {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"attention: there must be a value for each key (axis -2), {shapes}")
    heads = [x.shape[-3] if x.ndim > 2 else 0 for x in (query, key, value)]
    if grouped and (0 in heads or heads[1] != heads[2] or heads[0] % heads[1]):
        raise ShapeError(
            "enable_gqa: the heads (axis -3) of key and value must divide those of the query, "
            + shapes
        )


def _four_axes(x: Tensor, lead: tuple[int, ...]) -> Tensor:
    """x, broadcast to [*lead, L, E], as [batch, heads, L, E]."""
    if x.shape[:-2] != lead:
        x = x.expand(*lead, *x.shape[-2:])
    if len(lead) == 2:
        return x
    return x.reshape(math.prod(lead[:-1]), lead[-1] if lead else 1, *x.shape[-2:])


def _for_four_axes(mask: Tensor | None, lead: tuple[int, ...]) -> Tensor | None:
    """A mask that broadcasts to [*lead, L, S], as one that broadcasts to [batch, heads, L, S]."""
    if mask is None or len(lead) <= 2 or mask.ndim <= 3:
        return mask
    return _four_axes(mask.expand(*lead, *mask.shape[-2:]), lead)
