"""Distances between the rows of matrices."""

import numpy as np

from ...primitive import primitive
from ...registry import ShapeError, composition
from ..choose import where
from ..reduce import sum
from ..shape import unsqueeze
from .norms import vector_norm

__all__ = ["cdist", "dist", "pdist"]

CHUNK = 1 << 18  # numbers that fit the cache: so many differences are made at a time


@primitive
def euclidean(x, y):
    """√Σ (x_i - y_j)² of all rows x [..., p, m] and y [..., r, m]: [..., p, r]. From differences, a
    few rows at a time: |x|² + |y|² - 2 x·y, though one product, has no digit right for near
    points."""
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    out = np.empty((*batch, x.shape[-2], y.shape[-2]), np.result_type(x, y))
    step = max(1, CHUNK // max(1, y.size))
    for i in range(0, x.shape[-2], step):
        apart = x[..., i : i + step, None, :] - y[..., None, :, :]
        out[..., i : i + step, :] = np.sqrt(np.einsum("...m,...m->...", apart, apart))
    return out


def pull(g, x, y, out):
    """Σ_j (x_i - y_j) g_ij / d_ij, where a distance of 0 counts for nothing: in products, without
    the differences of all pairs"""
    near = out == 0
    weight = where(near, 0.0, g / where(near, 1.0, out))
    return x * sum(weight, -1, keepdim=True) - weight @ y


euclidean.vjp(x=pull, y=lambda g, x, y, out: pull(g.mT, y, x, out.mT))


@composition
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The distances between all rows of x1 [..., p, m] and of x2 [..., r, m], in the p-norm:
    [..., p, r]. At distance 0 the gradient is 0. compute_mode is not looked at: a Euclidean
    distance is always that of differences, exact for near points, too."""
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"cdist takes [..., p, m] and [..., r, m]; the shapes are {x1.shape}, {x2.shape}"
        )
    if p < 0:
        raise RuntimeError(f"cdist: p must be at least 0; it is {p}")
    if p == 2:
        return euclidean(x1, x2)
    apart = unsqueeze(x1, -2) - unsqueeze(x2, -3)
    return vector_norm(apart, p, -1) if x1.shape[-1] else sum(apart, -1)


@composition
def pdist(x, p=2.0):
    """The distances between all pairs of rows i < j of x [n, m], in the p-norm: [n (n - 1) / 2]"""
    if x.ndim != 2:
        raise ShapeError(f"pdist takes a matrix [n, m]; the shape is {x.shape}")
    if p < 0:
        raise RuntimeError(f"pdist: p must be at least 0; it is {p}")
    i, j = np.triu_indices(len(x.array), 1)
    apart = x[i] - x[j]
    return vector_norm(apart, p, -1) if x.shape[-1] else sum(apart, -1)


@composition
def dist(x, other, p=2):
    """The p-norm of x - other"""
    return vector_norm(x - other, p)
