"""The NumPy lines of attention: tiles of queries against all keys (see `attention`)."""

import numpy as np

from tinygen.kernels.attention_tile import BLOCKS, GROUP, HIDING, QUERIES
from tinygen.kernels.philox import philox_reference
from tinygen.kernels.random import halves


def forward_reference(q, k, v, mask, causal, scale, dropout, seed):
    out = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    lse = np.empty(q.shape[:-1], q.dtype)
    k, v = of_query_heads(q, k), of_query_heads(q, v)
    for top in range(0, q.shape[-2], QUERIES):
        rows = np.s_[:, :, top : top + QUERIES]
        s = scores(q[rows], k, mask, top, causal, scale)
        m = s.max(-1, keepdims=True, initial=np.finfo(s.dtype).min)
        p = np.exp(s - m)
        l = p.sum(-1, keepdims=True)
        nothing = l == 0
        if dropout:
            p *= kept(s.shape, top, dropout, seed)
        out[rows] = p @ v / np.where(nothing, 1, l)
        lse[rows] = np.where(nothing, np.inf, m + np.log(np.where(nothing, 1, l)))[..., 0]
    return out, lse


def backward_reference(dout, q, k, v, out, lse, mask, causal, scale, dropout, seed):
    dq = np.empty(q.shape, q.dtype)
    all_k, all_v = of_query_heads(q, k), of_query_heads(q, v)
    dk, dv = np.zeros(all_k.shape, k.dtype), np.zeros(all_v.shape, v.dtype)
    for rows, p, ds in weights_and_score_gradients(
        dout, q, all_k, all_v, out, lse, mask, causal, scale, dropout, seed
    ):
        ds *= np.asarray(scale, q.dtype)
        dq[rows] = ds @ all_k
        dk += ds.swapaxes(-1, -2) @ q[rows]
        dv += p.swapaxes(-1, -2) @ dout[rows]
    return dq, of_key_heads(dk, k), of_key_heads(dv, v)


def mask_gradient_reference(dout, q, k, v, out, lse, mask, causal, scale, dropout, seed):
    """The gradient of a mask of numbers: dS, summed over what the mask was broadcast along."""
    k, v = of_query_heads(q, k), of_query_heads(q, v)
    gradient = np.zeros((*[1] * (4 - mask.ndim), *mask.shape), mask.dtype)
    summed = tuple(i for i in (0, 1, 3) if gradient.shape[i] == 1)
    for rows, _, ds in weights_and_score_gradients(
        dout, q, k, v, out, lse, mask, causal, scale, dropout, seed
    ):
        ds = ds.sum(summed, keepdims=True)
        if gradient.shape[2] == 1:
            gradient += ds.sum(2, keepdims=True)
        else:
            gradient[rows] = ds
    return gradient.reshape(mask.shape)


def weights_and_score_gradients(
    dout, q, k, v, out, lse, mask, causal, scale, dropout, seed
):  # fmt: skip
    """Of one tile of queries after the other: which ones, P as it meets V, and dS."""
    for top in range(0, q.shape[-2], QUERIES):
        rows = np.s_[:, :, top : top + QUERIES]
        p = np.exp(scores(q[rows], k, mask, top, causal, scale) - lse[rows][..., None])
        dp = dout[rows] @ v.swapaxes(-1, -2)
        factors = kept(p.shape, top, dropout, seed).astype(p.dtype) if dropout else 1
        ds = p * (dp * factors - (dout[rows] * out[rows]).sum(-1, keepdims=True))
        yield rows, p * factors, ds


def of_query_heads(q, x):
    """Keys or values, once for each query head."""
    return x if x.shape[1] == q.shape[1] else np.repeat(x, q.shape[1] // x.shape[1], 1)


def of_key_heads(dx, x):
    """The sum of gradients over the query heads that a head of keys or values serves."""
    if dx.shape[1] == x.shape[1]:
        return dx
    B, heads, *rest = x.shape
    return dx.reshape(B, heads, dx.shape[1] // heads, *rest).sum(2)


def scores(q, k, mask, top, causal, scale):
    """S of the queries top, top + 1, ..., with -inf for keys that they don't see."""
    s = q @ k.swapaxes(-1, -2) * np.asarray(scale, q.dtype)
    if causal:
        queries, keys = np.ogrid[top : top + q.shape[-2], : k.shape[-2]]
        np.copyto(s, -np.inf, where=keys > queries)
    if mask is not None:
        if mask.shape[-2] > 1:
            mask = mask[..., top : top + q.shape[-2], :]
        hidden = ~mask if mask.dtype == bool else mask <= HIDING
        s = s if mask.dtype == bool else s + mask
        np.copyto(s, -np.inf, where=hidden)
    return s


def kept(shape, top, dropout, seed):
    """What dropout does to the weights of the queries top, top + 1, ...: factors of this shape,
    0 or 1 / (1 - p). See `draw_kept` in attention_tile."""
    B, H, rows, keys = shape
    groups = -(-keys // GROUP)
    block = np.arange(groups * BLOCKS, dtype=np.uint64)
    query = np.arange(top, top + rows, dtype=np.uint64)[:, None]
    head = np.arange(B * H, dtype=np.uint64)[:, None, None]
    words = np.stack(philox_reference(*halves(seed), block, query, head, np.uint64(0)), -1)
    words = words.reshape(B, H, rows, groups, BLOCKS, 4).swapaxes(-1, -2)
    words = words.reshape(B, H, rows, groups * GROUP)[..., :keys]
    limit = limit_of(dropout)
    return (words >> np.uint64(8) >= limit) * (2.0**24 / (2.0**24 - limit) if dropout < 1 else 0.0)


def limit_of(dropout: float) -> int:
    """Weights whose 24 random bits are below it are dropped."""
    return round(2**24 * dropout)
