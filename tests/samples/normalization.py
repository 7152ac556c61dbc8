"""Normalisation and distances."""

import numpy as np

from .table import *

# fmt: off


def np_normal(x, dims, eps=1e-5):
    centred = x - x.mean(dims, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(dims, keepdims=True) + eps)


def np_affine(x, weight=None, bias=None):
    column = lambda v, x: v.reshape(-1, *[1] * (x.ndim - 2))
    x = x if weight is None else x * column(weight, x)
    return x if bias is None else x + column(bias, x)


def np_batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if training:
        normal = np_normal(x, (0, *range(2, x.ndim)), eps)
    else:
        normal = np_affine(np_affine(x, bias=-mean), 1 / np.sqrt(var + eps))
    return np_affine(normal, weight, bias)


def np_group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    rows = x.reshape(len(x), groups, -1) if x.size else x
    return np_affine(np_normal(rows, -1, eps).reshape(x.shape), weight, bias) if x.size else x


row("batch_norm", np_batch_norm, with_(N(3, 2), None, None, N(2), N(2), True),
    with_(N(2, 2, 3), None, None, training=True), with_(N(2, 2, 1, 2), None, None, N(2), None, True,
    eps=0.1))
row("batch_norm", None, with_(N(0, 2), None, None, N(2), N(2), True))
# torch can't differentiate the running statistics
row("batch_norm", np_batch_norm, with_(N(3, 2), N(2), P(2), N(2), N(2)), with_(N(1, 2, 2), N(2),
    P(2), None, None, eps=0.1), torch=None)
row("instance_norm", lambda x, *a: np_affine(np_normal(x, tuple(range(2, x.ndim))), *a[2:]),
    with_(N(2, 2, 3)), with_(N(1, 2, 2, 2), None, None, N(2), N(2)))
row("instance_norm", lambda *a, use_input_stats: np_batch_norm(*a),
    with_(N(2, 2, 2), N(2), P(2), N(2), N(2), use_input_stats=False), torch=None)
row("normalised_groups", np_group_norm, with_(N(2, 4, 3), 2, N(4), N(4)), with_(N(2, 3, 2), 1),
    with_(N(2, 4, 2), 4, None, N(4)), with_(N(0, 2, 3), 1, N(2), N(2)), torch=None)
row("normalised_groups", lambda x, _, *a: np_batch_norm(x, None, None, *a, training=True),
    with_(N(3, 2, 2), None, N(2), N(2)), with_(N(5, 3, 1), None), torch=None)
row("group_norm", np_group_norm, with_(N(2, 4, 2), 2, N(4), N(4)), with_(N(2, 3), 1),
    with_(N(1, 2, 2, 2), 2, N(2), None, 0.1), with_(N(0, 2, 2), 1, N(2)))
row("rms_normal", lambda x, w=1.0, eps=1e-5: x * w / np.sqrt((x * x).mean(-1, keepdims=True) + eps),
    with_(N(2, 3)), with_(N(2, 3), N(3), 0.1), with_(N(0, 3), N(3)), torch=None)
row("rms_norm", lambda x, shape, w=1.0, eps=2.0**-52: x * w / np.sqrt(
    (x * x).mean(tuple(range(-len(shape), 0)), keepdims=True) + eps),
    with_(N(2, 3), (3,)), with_(N(2, 3), (3,), N(3), 0.1), with_(N(2, 2, 3), [2, 3], N(2, 3)),
    with_(N(0, 3), (3,)))


def np_local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    C = x.shape[1]
    around = [x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1] for c in range(C)]
    total = np.stack([(a * a).sum(1) for a in around], 1)
    return x / (k + alpha * total / size) ** beta


row("local_response_norm", np_local_response_norm, with_(N(2, 3, 2), 2, alpha=0.5),
    with_(N(1, 4, 2, 1), 3, 0.3, 0.5, 2.0), with_(N(0, 2, 2), 3))

# ---- Vectors -------------------------------------------------------------------------------------


def np_cosine(x, y, dim=1, eps=1e-8):
    length = lambda v: np.maximum(np.sqrt((v * v).sum(dim)), eps)
    return (x * y).sum(dim) / (length(x) * length(y))


row("normalize", lambda x, p=2, dim=1: x / (np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / p),
    with_(N(2, 3)), with_(NONZERO(2, 3, 2), 3.0, -1), with_(NONZERO(3, 2), p=1, dim=0),
    with_(N(0, 3)))
row("normalize", None, with_(NONZERO(2, 3), dim=1, eps=100.0))
row("cosine_similarity", np_cosine, with_(N(2, 3), N(2, 3)),
    with_(N(3), N(2, 3), -1), with_(N(2, 3), N(2, 3), dim=0), with_(N(0, 3), N(0, 3)))
row("pairwise_distance", lambda x, y, p=2.0, eps=1e-6, keepdim=False: np.linalg.norm(
    np.asarray(x - y + eps), p, -1, keepdim), with_(N(2, 3), N(2, 3)), with_(N(3), N(2, 3), 1.0),
    with_(N(2, 3), N(2, 3), p=np.inf, keepdim=True), with_(N(2, 3), N(2, 3), 3.0, 0.1),
    with_(N(0, 3), N(0, 3)))
