"""Scaled dot-product attention."""

import numpy as np

QUERIES = 128


def forward(q, k, v, causal, scale):
    return forward_reference(q, k, v, causal, scale)


def backward(dout, q, k, v, out, lse, causal, scale):
    return backward_reference(dout, q, k, v, out, lse, causal, scale)


def scores(q, k, top, causal, scale):
    s = q @ k.swapaxes(-1, -2) * q.dtype.type(scale)
    if causal:
        i, j = np.ogrid[top : top + q.shape[-2], : k.shape[-2]]
        s = np.where(j <= i, s, -np.inf).astype(q.dtype)
    return s


def forward_reference(q, k, v, causal, scale):
    out = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    lse = np.empty(q.shape[:-1], q.dtype)
    for top in range(0, q.shape[-2], QUERIES):
        rows = np.s_[:, :, top : top + QUERIES]
        s = scores(q[rows], k, top, causal, scale)
        m = s.max(-1, keepdims=True, initial=-np.inf)
        p = np.exp(s - m)
        total = p.sum(-1, keepdims=True)
        out[rows] = p @ v / total
        lse[rows] = (m + np.log(total))[..., 0]
    return out, lse


def backward_reference(dout, q, k, v, out, lse, causal, scale):
    dq, dk, dv = np.empty(q.shape, q.dtype), np.zeros(k.shape, k.dtype), np.zeros(v.shape, v.dtype)
    for top in range(0, q.shape[-2], QUERIES):
        rows = np.s_[:, :, top : top + QUERIES]
        p = np.exp(scores(q[rows], k, top, causal, scale) - lse[rows][..., None])
        dp = dout[rows] @ v.swapaxes(-1, -2)
        ds = p * (dp - (dout[rows] * out[rows]).sum(-1, keepdims=True)) * q.dtype.type(scale)
        dq[rows] = ds @ k
        dk += ds.swapaxes(-1, -2) @ q[rows]
        dv += p.swapaxes(-1, -2) @ dout[rows]
    return dq, dk, dv
