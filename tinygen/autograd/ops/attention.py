"""Scaled dot-product attention."""

import math

import numpy as np

from ...kernels import attention as kernels
from ..fused import Fused
from .choose import where
from .elementwise import exp
from .linalg import matmul
from .reduce import logsumexp
from .shape import transpose, unsqueeze


@Fused
def attention(q, k, v, causal=False, scale=None):
    """softmax(scale q k') v (Vaswani et al. 2017, equation 1): q [batch, heads, queries, n], k and
    v [batch, heads, keys, n]; out like q. scale is 1/√n by default. causal: query i
    sees keys 0 to i only.

    The kernel never holds a matrix [queries, keys] (Dao et al. 2022, FlashAttention); the reference
    does."""
    scores = matmul(q, transpose(k, -1, -2)) * softmax_scale(q, scale)
    if causal:
        future = np.triu(np.ones(scores.shape[-2:], bool), 1)
        scores = where(future, -math.inf, scores)
    weights = exp(scores - unsqueeze(logsumexp(scores, -1), -1))
    return matmul(weights, v)


def softmax_scale(q, scale) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


@attention.kernel
def _(q, k, v, causal, scale):
    out, lse = kernels.forward(q, k, v, causal, softmax_scale(q, scale))
    return out, (out, lse)


@attention.gradient
def _(g, saved, wanted, q, k, v, causal, scale):
    out, lse = saved
    found = kernels.backward(g, q, k, v, out, lse, causal, softmax_scale(q, scale))
    return (*found, None, None)
