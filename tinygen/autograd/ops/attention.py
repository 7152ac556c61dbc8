"""Scaled dot-product attention, of queries, keys and values, or of all three in one array."""

from __future__ import annotations

import math

import numpy as np

from ...kernels import attention as kernels
from ..fused import Fused
from ..tensor import Tensor
from .choose import where
from .join import unbind
from .linalg import matmul
from .shape import permute, reshape, transpose
from .softmax import softmax


@Fused
def attention(q, k, v, mask=None, causal=False, scale=None, dropout=0.0, seed=0):
    """softmax(scale q k' + mask) v (Vaswani et al. 2017, equation 1): q [batch, heads, queries, n],
    k [batch, groups, keys, n] and v [batch, groups, keys, m]: [batch, heads, queries, m].

    heads is a multiple of groups: keys and values serve so many heads of queries in a row.
    mask: broadcasts to [batch, heads, queries, keys]; True where a query sees a key, or numbers to
        add, of which those from -1e30 down hide the key. causal: query i sees keys 0 to i only.
    scale: 1/√n by default.
    dropout: the probability with which a weight is dropped; the seed says which ones are.

    A query that sees nothing gets zeros. The kernel never holds a matrix [queries, keys] (Dao et
    al. 2022, FlashAttention); the reference does."""
    k, v = (for_each_query(x, q) for x in (k, v))
    weights = attention_weights(q, k, mask, causal, scale)
    if dropout:
        factors = kernels.kept(weights.shape, 0, dropout, seed)
        weights = weights * factors.astype(weights.dtype)
    return matmul(weights, v)


def attention_weights(q, k, mask=None, causal=False, scale=None) -> Tensor:
    """Who looks at whom, and how much: [..., queries, keys], with rows that sum to 1, or hold zeros
    only."""
    scores = matmul(q, transpose(k, -1, -2)) * softmax_scale(q, scale)
    allowed = np.tri(*scores.shape[-2:], dtype=bool) if causal else None
    if mask is not None:
        seen = mask
        if mask.dtype != bool:
            seen = mask > kernels.HIDING
            scores = scores + where(seen, mask, 0.0)
        allowed = seen if allowed is None else seen & allowed
    if allowed is None:
        return softmax(scores, -1)
    # The lowest number, not −inf: a row with nothing but −inf would have NaN for its softmax.
    lowest = float(np.finfo(scores.dtype).min)
    return where(allowed, softmax(where(allowed, scores, lowest), -1), 0.0)


def softmax_scale(q, scale) -> float:
    return 1 / math.sqrt(q.shape[-1] or 1) if scale is None else scale


def for_each_query(x, q) -> Tensor:
    """Keys or values [batch, groups, keys, n], each repeated for the heads of q that it serves."""
    B, groups, keys, n = x.shape
    if groups == q.shape[1]:
        return x
    times = q.shape[1] // groups
    copies = x.unsqueeze(2).expand(B, groups, times, keys, n)
    return reshape(copies, (B, groups * times, keys, n))


@attention.kernel
def _(q, k, v, mask, causal, scale, dropout, seed):
    scale = softmax_scale(q, scale)
    out, lse = kernels.forward(q, k, v, mask, causal, scale, dropout, seed)
    return out, (out, lse)


@attention.gradient
def _(g, saved, wanted, q, k, v, mask, causal, scale, dropout, seed):
    (out, lse), scale = saved, softmax_scale(q, scale)
    given = (g, q, k, v, out, lse, mask, causal, scale, dropout, seed)
    found = kernels.backward(*given) if any(wanted[:3]) else (None, None, None)
    return (*found, kernels.mask_gradient(*given) if wanted[3] else None)


@Fused
def packed_attention(qkv, heads, mask=None, causal=False, scale=None, dropout=0.0, seed=0):
    """attention of what one linear layer makes of x: qkv [batch, length, 3 heads n], all queries
    before all keys before all values, to [batch, length, heads n]. The kernel reads qkv where it
    is, and writes the gradient as one array, too."""
    B, T, width = qkv.shape
    split = reshape(qkv, (B, T, 3, heads, width // (3 * heads)))
    q, k, v = list(unbind(permute(split, (2, 0, 3, 1, 4)), 0))
    out = attention.reference(q, k, v, mask, causal, scale, dropout, seed)
    return reshape(transpose(out, 1, 2), (B, T, width // 3))


def split(qkv, heads, parts=3):
    """The arrays q, k and v of a packed one, each [batch, heads, length, n]: views of it."""
    B, T, width = qkv.shape
    return qkv.reshape(B, T, parts, heads, width // (parts * heads)).transpose(2, 0, 3, 1, 4)


@packed_attention.kernel
def _(qkv, heads, mask, causal, scale, dropout, seed):
    q, k, v = split(qkv, heads)
    scale = softmax_scale(q, scale)
    out, lse = kernels.forward(q, k, v, mask, causal, scale, dropout, seed)
    out = out.swapaxes(1, 2).reshape(*qkv.shape[:2], qkv.shape[2] // 3)
    return out, (out, lse)


@packed_attention.gradient
def _(g, saved, wanted, qkv, heads, mask, causal, scale, dropout, seed):
    (q, k, v), (out, lse) = split(qkv, heads), saved
    (g,), (out,) = split(g, heads, 1), split(out, heads, 1)
    given = (g, q, k, v, out, lse, mask, causal, softmax_scale(q, scale), dropout, seed)
    gradient = np.empty(qkv.shape, qkv.dtype)
    kernels.backward(*given, into=tuple(split(gradient, heads)))
    return gradient, None, kernels.mask_gradient(*given) if wanted[2] else None
