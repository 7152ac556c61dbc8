"""Scaled dot-product attention, forward and backward, without the Tq x Tk matrix of scores
(Dao et al. 2022; the loops of FlashAttention-2, Dao 2023, algorithms 1 and 2).

    S = scale Q K' + M,   P = softmax of the rows of S,   O = P V,   lse = log sum exp of those rows

    dV = P' dO,   dP = dO V',   dS = P (dP - rowsum(dO O)),   dQ = scale dS K,   dK = scale dS' Q

Shapes: q, dq [B, H, Tq, D]; k, dk [B, G, Tk, D]; v, dv [B, G, Tk, Dv]; out, dout [B, H, Tq, Dv];
lse [B, H, Tq]. Inputs in any strides. H is a multiple of G: each head of keys and values serves
H / G heads of queries in a row (grouped-query attention, Ainslie et al. 2023).

causal: query i sees the keys j <= i only (of equally long sequences, those up to itself).
mask:   broadcasts to [B, H, Tq, Tk], in any strides. True where a query sees the key; or numbers M,
        where -1e30 and less mean that it does not.
dropout: each number of P becomes 0 with this probability, else 1 / (1 - dropout) times as large,
        before it meets V. Which ones is a function of (seed, head, query, key) alone.

A query that sees nothing gets zeros, and gives no gradient. A score of NaN or inf makes its query
NaN; one that is hidden leaves no trace, but 0 x NaN is NaN, so one in V may.

Forward, the loops are (in attention_forward):

    units          a part of the query tiles of a head; shared among threads
                   K' and V of the head are packed for the register tile
      query tile   QUERIES rows of Q and O
        key tile   KEYS keys: S = Q K' (`multiply`), in cache
          row      P = exp(S - m) with the running maximum m; what O and the sum l have so far
                   shrinks by exp(m_before - m) (online softmax)
                   O += P V (`multiply`)
        row        O / l,  lse = m + log l

Backward (in attention_backward) the key tiles are outside the query tiles, P = exp(S - lse) is
computed again, and five products are made of each pair of tiles. The parts of a head add up their
own dq, and the sum of those is last. Neither parts nor tiles depend on the number of threads, so
nor do the results. A causal head is cut along the diagonal in panels of ROWS rows: keys that no row
of a panel sees are neither scored nor multiplied.
"""

import numpy as np

from tinygen.kernels import attention_backward, attention_forward
from tinygen.kernels.attention_reference import (
    backward_reference,
    forward_reference,
    kept,
    limit_of,
    mask_gradient_reference,
)
from tinygen.kernels.attention_tile import BOOLS, FLOATS, HIDING, NO_MASK, QUERIES, layout_of
from tinygen.kernels.jit import hold_blas, scratch, serves, threads_for

__all__ = ["HIDING", "backward", "forward", "kept", "mask_gradient"]

PARALLEL = 32**3  # multiply-adds of one product: there one thread takes 14.6 µs, two take 12.7
UNITS = 8  # into so many parts the heads are cut at least, if there are fewer: work for threads


def forward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None,
    causal: bool,
    scale: float,
    dropout: float = 0.0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(out, lse): the attention of the queries to keys and values; and what `backward` needs.

    If the heads of a query lie side by side in memory, as in a projection [B, Tq, H D], those of
    out do so, too."""
    if not serves(q) or not q.size or not k.size or not v.size:
        hold_blas()
        return forward_reference(q, k, v, mask, causal, scale, dropout, seed)
    q, k, v = readable(q), readable(k), readable(v)
    (B, H, Tq, D), (_, _, Tk, Dv) = q.shape, v.shape
    out, lse = empty_like(q, Dv), np.empty((B, H, Tq), np.float32)
    parts = parts_of(B * H, -(-Tq // QUERIES))
    sizes, bools, floats, where = described(q, k, v, mask, causal, parts, seed)
    layout = layout_of((*sizes, 0), q, k, v, out, where)
    threads = min(B * H * parts, threads_for(B * H * Tq * Tk * D, PARALLEL))
    size = attention_forward.scratch_size(Tk, D, Dv)
    attention_forward.forward_all(
        q, k, v, out, lse, bools, floats, layout, scale, limit_of(dropout), B * H * parts,
        scratch(threads * size), size, threads,
    )  # fmt: skip
    return out, lse


def backward(
    dout: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    out: np.ndarray,
    lse: np.ndarray,
    mask: np.ndarray | None,
    causal: bool,
    scale: float,
    dropout: float = 0.0,
    seed: int = 0,
    into: tuple[np.ndarray, ...] | None = None,
) -> tuple[np.ndarray, ...]:
    """(dq, dk, dv), for the cotangent dout of out; out and lse are what `forward` returned.

    into: arrays to write them to, whose last axis is contiguous."""
    if not serves(q) or not q.size or not k.size or not v.size:
        hold_blas()
        found = backward_reference(dout, q, k, v, out, lse, mask, causal, scale, dropout, seed)
        for array, gradient in zip(into or (), found):
            array[...] = gradient
        return into or found
    dout, q, k, v, out = readable(dout), readable(q), readable(k), readable(v), readable(out)
    (B, H, Tq, D), (_, G, Tk, Dv) = q.shape, v.shape
    dq, dk, dv = into or (empty_like(x, x.shape[-1]) for x in (q, k, v))
    parts = parts_of(B * G, -(-Tk // attention_backward.KEYS))
    shares = np.empty((parts, *q.shape), np.float32) if parts > 1 else dq[None]  # of dq
    sizes, bools, floats, where = described(q, k, v, mask, causal, parts, seed)
    layout = layout_of(
        (*sizes, shares.strides[0] // 4), q, k, v, out, where, dout, shares[0], dk, dv
    )
    threads = min(B * G * parts, threads_for(B * H * Tq * Tk * D, PARALLEL))
    size = attention_backward.scratch_size(D, Dv)
    attention_backward.backward_all(
        dout, q, k, v, out, np.ascontiguousarray(lse), bools, floats, shares[0], dk, dv, layout,
        scale, limit_of(dropout), B * G * parts, scratch(threads * size), size, threads,
    )  # fmt: skip
    if parts > 1:
        np.sum(shares, 0, out=dq)
    return dq, dk, dv


def mask_gradient(
    dout, q, k, v, out, lse, mask, causal, scale, dropout=0.0, seed=0
) -> np.ndarray:  # fmt: skip
    """dM, in the shape of a mask of numbers; arguments as of `backward`. Rarely wanted, and so
    without a kernel."""
    hold_blas()
    return mask_gradient_reference(
        dout, q, k, v, out, lse, mask, causal, scale, dropout, seed
    )  # fmt: skip


def readable(x):
    """x itself if the numbers of a row are adjacent, as the kernels expect; else a copy."""
    return x if x.strides[-1] == 4 and x.flags.aligned else np.array(x, order="C")


def empty_like(x, width):
    """An array [B, H, T, width] whose heads lie side by side in memory if those of x do."""
    B, H, T, _ = x.shape
    if 0 < x.strides[1] < x.strides[2]:
        return np.empty((B, T, H, width), np.float32).swapaxes(1, 2)
    return np.empty((B, H, T, width), np.float32)


def parts_of(heads, tiles):
    """Into how many parts to cut the tiles of each head."""
    return min(tiles, -(-UNITS // heads))


NO_BOOLS, NO_FLOATS = np.zeros((1, 1, 1, 1), np.uint8), np.zeros((1, 1, 1, 1), np.float32)


def described(q, k, v, mask, causal, parts, seed):
    """The sizes that kernels want, without the last; the mask as one of bytes, and as one of
    numbers, of which the wrong one is not read; and the right one."""
    (_, H, Tq, D), (_, G, Tk, Dv) = q.shape, v.shape
    bools = where = NO_BOOLS
    floats, kind, step = NO_FLOATS, NO_MASK, 0
    if mask is not None:
        where = np.broadcast_to(mask, (*q.shape[:-1], Tk))
        if mask.dtype == bool:
            bools, kind = where.view(np.uint8), BOOLS
        else:
            floats, kind = where, FLOATS
        step = where.strides[-1] // where.itemsize
    sizes = (H, H // G, Tq, Tk, D, Dv, causal, parts, kind, step, seed % 2**32, seed >> 32)
    return sizes, bools, floats, where
