"""Reductions."""

import math

import numpy as np

from .table import *

# fmt: off

LARGE = np.random.default_rng(0).standard_normal((130, 17)) + 1
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0]])
TIES = np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
WITH_NAN = np.array([[1.0, np.nan, 3.0], [-2.0, 0.5, 4.0]])
NOTHING = [with_(N(), dim=0), with_(N(), dim=-1), with_(N(2, 3), dim=())]  # nothing, or everything

# ---- Sums ----------------------------------------------------------------------------------------


def over_all_dims(function):
    """PyTorch's () means all dimensions, NumPy's none; a 0-d tensor has a dim 0 in PyTorch."""
    def reduction(x, dim=None, keepdim=False, **options):
        dim = None if dim == () or not np.ndim(x) else tuple(dim) if isinstance(dim, list) else dim
        return function(x, axis=dim, keepdims=keepdim, **options)

    return reduction


np_sum = over_all_dims(np.sum)
row("sum", np_sum, reductions(N), NOTHING, with_(N(2, 3), [0, 1]))
row("sum", np_sum, with_(ints(1, 2)), with_(BOOLS, 1), differentiable=False)
row("sum", None, with_(LARGE, 0), with_(LARGE, 1), with_(LARGE), differentiable=False)
row("mean", over_all_dims(np.mean), reductions(N, empty=False), NOTHING)
row("sum_to", lambda x, shape: np.sum(x, tuple(range(x.ndim - len(shape))),
    keepdims=False).reshape(shape),
    with_(N(2, 3), (3,)), with_(N(4, 2, 3), (2, 3)), with_(N(2, 2), ()),
    with_(N(0, 3), (3,)), torch=None)
row("sum_to", lambda x, shape: np.sum(x, -1, keepdims=True), with_(N(2, 3), (2, 1)),
    with_(N(2, 2, 3), (2, 2, 1)), torch=None)
row("nansum", over_all_dims(np.nansum), reductions(N))
row("nanmean", over_all_dims(np.nanmean), reductions(N, empty=False))
for name in ("nansum", "nanmean"):
    row(name, None, with_(WITH_NAN), with_(WITH_NAN, 0, True), with_(np.full((2, 2), np.nan), 1),
        differentiable=False)
row("nansum", np_sum, with_(ints(1, 2)), differentiable=False)
row("count_nonzero", lambda x, dim=None: np.count_nonzero(x, dim), with_(ZEROS), with_(ZEROS, 0),
    with_(ZEROS, (0, -1)), with_(BOOLS, 1), with_(SPECIAL, 0), with_(np.zeros((0, 2)), 0),
    differentiable=False)
row("prod", over_all_dims(np.prod), reductions(N, several=False, everything=False),
    with_(N(2, 3)), with_(N()), with_(N(), 0), with_(ZEROS, dim=1),
    with_(ints(0.0, 2.0, 0.0, 1.0, 3.0)))
row("prod", np.prod, with_(ints(2, 3)), with_(BOOLS, 0), differentiable=False)
row("prod", over_all_dims(np.prod), with_(N(2, 3), keepdim=True), torch=None)

# ---- Log-sum-exp and softmax ---------------------------------------------------------------------


def np_logsumexp(x, dim, keepdim=False):
    dim = dim if np.ndim(x) else None
    top = np.max(x, axis=dim, keepdims=True, initial=-1e9)
    total = np.log(np.exp(x - top).sum(axis=dim, keepdims=True)) + top
    return total if keepdim else np.squeeze(total, dim if np.ndim(x) else ())


row("logsumexp", np_logsumexp, reductions(N, everything=False, empty=False), with_(N(), 0),
    with_(N(2, 0), 0))
INFINITIES = [with_(np.array(v), 0) for v in
                   ([-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 1.0], [np.nan, 1.0])]
LARGE_NUMBERS = [with_(ints(800.0, 801.0), 0), with_(ints(-800.0, -801.0), 0)]
row("share_of_rows", lambda g, x, lse: g * np.exp(x - lse), with_(N(3, 1), N(3, 4), N(3, 1)),
    with_(N(2, 2, 1), N(2, 2, 3), N(2, 2, 1)), torch=None)
row("logsumexp", None, LARGE_NUMBERS, INFINITIES, with_(np.zeros((0, 2)), 0),
    with_(ints(1, 2), 0), differentiable=False)
SOFTMAXED = [with_(N(2, 3), 1), with_(N(2, 3), 0), with_(N(2, 2), -1), with_(N(2, 3, 2), 1),
             with_(N(3), 0), with_(N(0, 3), 1), with_(N(), 0)]
row("softmax", lambda x, dim: np_softmax(x, dim if np.ndim(x) else None), SOFTMAXED)
row("log_softmax", lambda x, dim: x - np_logsumexp(x, dim, True), SOFTMAXED)
for name in ("softmax", "log_softmax"):
    row(name, None, LARGE_NUMBERS, INFINITIES, differentiable=False)

# ---- Norms ---------------------------------------------------------------------------------------


def np_norm(x, p=2, dim=None, keepdim=False):
    dim = None if dim == () else dim
    if p in (math.inf, -math.inf):
        return (np.max if p > 0 else np.min)(np.abs(x), axis=dim, keepdims=keepdim)
    p = 2 if p == "fro" else p
    if p == 0:
        return np.sum(x != 0, axis=dim, keepdims=keepdim, dtype=float)
    return (np.abs(x) ** p).sum(axis=dim, keepdims=keepdim) ** (1 / p)


row("norm", np_norm, with_(N(2, 3)), with_(NONZERO(2, 3), p=1),
    with_(DISTINCT(2, 3), p=math.inf), with_(DISTINCT(2, 3), -math.inf, 1),
    with_(NONZERO(2, 3), p=3), with_(N(2, 3), "fro", 1), with_(N(2, 3), 2, (0, 1)),
    with_(N(2, 3), 2, ()), with_(N(0, 3), 2, 0),
    with_(N(2, 3), 2, -1, keepdim=True), with_(NONZERO(3), p=2.5), with_(NONZERO(3), 0.5),
    with_(NONZERO(3), -1.5))
row("norm", np_norm, with_(NONZERO(3), 0), torch=None)
NORMED_ZEROS = [with_(ZEROS, p, 1) for p in (0.5, 1, 1.5, 2, 3, math.inf, -math.inf, -1)]
row("norm", None, NORMED_ZEROS, differentiable=False)
row("root_of_sum", np.sqrt, each(P), torch=None)
row("two_norm", lambda x, dim=None, keepdim=False: np.sqrt(np.sum(x * x, dim, keepdims=keepdim)),
    reductions(N, empty=False), call=lambda x, **o: OPS["two_norm"](x, **o), torch=None)

# ---- Extremes ------------------------------------------------------------------------------------

for name in ("amax", "amin"):
    row(name, reducing(getattr(np, name)), reductions(DISTINCT, empty=False), torch=None)
    row(name, over_all_dims(getattr(np, name)), with_(DISTINCT(), 0), with_(DISTINCT(2, 3), ()),
        with_(DISTINCT(2, 3), [1, 0]), with_(DISTINCT(0, 3), 1))
    row(name, None, with_(BOOLS, 0), with_(SPECIAL, 1), with_(TIES, 1), differentiable=False)
row("aminmax", lambda x, **o: (np.min(x, o.get("dim"), keepdims=o.get("keepdim", False)),
    np.max(x, o.get("dim"), keepdims=o.get("keepdim", False))), with_(DISTINCT(2, 3)),
    with_(DISTINCT(2, 3), dim=1), with_(DISTINCT(2, 3), dim=-2, keepdim=True))
for name in ("any", "all"):
    row(name, reducing(getattr(np, name)), with_(BOOLS), with_(BOOLS, dim=0), with_(BOOLS, (0, -1)),
        with_(BOOLS, ()), with_(SPECIAL, dim=-1, keepdim=True), with_(np.zeros((0, 2)), dim=0),
        differentiable=False)
    row(name, lambda x, name=name: np.uint8(getattr(np, name)(x)), with_(np.uint8([0, 2])),
        with_(np.zeros(0, np.uint8)), differentiable=False)
