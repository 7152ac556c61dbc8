"""Reductions, scans, order."""

import math

import numpy as np

from .table import *

# fmt: off

# ---- Reductions ----------------------------------------------------------------------------------


def np_norm(x, p=2, dim=None, keepdim=False):
    if p == math.inf:
        return np.abs(x).max(axis=dim, keepdims=keepdim)
    p = 2 if p == "fro" else p
    return (np.abs(x) ** p).sum(axis=dim, keepdims=keepdim) ** (1 / p)


row("sum", reducing(np.sum), reductions(N))
row("mean", reducing(np.mean), reductions(N, empty=False))
row("var", lambda x, dim=None, correction=1, keepdim=False: np.var(x, dim, ddof=correction,
    keepdims=keepdim),
    reductions(N, empty=False)[:-2], with_(N(2, 3), dim=1, correction=0),
    with_(N(2, 3), correction=2))
row("std", lambda x, dim=None, correction=1, keepdim=False: np.std(x, dim, ddof=correction,
    keepdims=keepdim),
    reductions(N, empty=False)[:-2], with_(N(2, 3), dim=1, correction=0))
row("prod", reducing(np.prod), reductions(N, several=False, everything=False),
    with_(N(2, 3)), with_(N()),
    with_(np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0]]), dim=1),
    with_(ints(0.0, 2.0, 0.0, 1.0, 3.0)))
row("cumsum", lambda x, dim: np.cumsum(x, dim), with_(N(2, 3), 1),
    with_(N(2, 3), 0), with_(N(3), -1),
    with_(N(2, 2), 0), with_(N(0, 3), 0))
row("logsumexp", lambda x, dim, keepdim=False: np.log(np.exp(x).sum(axis=dim, keepdims=keepdim)),
    reductions(N, everything=False, empty=False), with_(ints(800.0, 801.0) - 800, 0))
SOFTMAXED = [with_(N(2, 3), 1), with_(N(2, 3), 0), with_(N(2, 2), -1),
    with_(N(2, 3, 2), 1), with_(N(3), 0),
             with_(N(0, 3), 1)]
row("softmax", np_softmax, SOFTMAXED)
row("log_softmax", lambda x, dim: np.log(np_softmax(x, dim)), SOFTMAXED)
row("norm", np_norm, with_(N(2, 3)), with_(NONZERO(2, 3), p=1),
    with_(DISTINCT(2, 3), p=math.inf), with_(NONZERO(2, 3), p=3),
    with_(N(2, 3), "fro", 1), with_(N(2, 3), 2, (0, 1)),
    with_(N(2, 3), 2, -1, keepdim=True), with_(NONZERO(3), p=2.5))
for name in ("amax", "amin"):
    row(name, reducing(getattr(np, name)), reductions(DISTINCT, empty=False), torch=None)
for name in ("any", "all"):
    row(name, reducing(getattr(np, name)), with_(BOOLS), with_(BOOLS, dim=0),
    with_(SPECIAL, dim=-1, keepdim=True),
        with_(np.zeros((0, 2)), dim=0), differentiable=False)
row("prod", reducing(np.prod), with_(N(2, 3), keepdim=True), torch=None)
row("sum_to", lambda x, shape: np.sum(x, tuple(range(x.ndim - len(shape))),
    keepdims=False).reshape(shape),
    with_(N(2, 3), (3,)), with_(N(4, 2, 3), (2, 3)), with_(N(2, 2), ()),
    with_(N(0, 3), (3,)), torch=None)
row("sum_to", lambda x, shape: np.sum(x, -1, keepdims=True), with_(N(2, 3), (2, 1)),
    with_(N(2, 2, 3), (2, 2, 1)),
    torch=None)

# ---- Order ---------------------------------------------------------------------------------------


def np_extreme(values, indices):
    def extreme(x, dim=None, keepdim=False):
        if dim is None:
            return values(x)
        if isinstance(dim, np.ndarray):
            return {np.max: np.maximum, np.min: np.minimum}[values](x, dim)
        return values(x, axis=dim, keepdims=keepdim), indices(x, axis=dim, keepdims=keepdim)

    return extreme


def np_sort(x, dim=-1, descending=False):
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, dim), order


def np_topk(x, k, dim=-1, largest=True):
    return tuple(np.take(a, range(k), dim) for a in np_sort(x, dim, largest))


EXTREMES = reductions(DISTINCT, several=False, empty=False)
row("max", np_extreme(np.max, np.argmax), EXTREMES, with_(DISTINCT(2, 3), BETWEEN(3)), torch=None)
row("min", np_extreme(np.min, np.argmin), EXTREMES, with_(DISTINCT(2, 3), BETWEEN(3)), torch=None)
row("argmax", reducing(np.argmax), EXTREMES, with_(ints(1, 3, 3)), differentiable=False)
row("argmin", reducing(np.argmin), EXTREMES, with_(ints(1, 3, 1)), differentiable=False)
SORTED = [with_(DISTINCT(2, 3)), with_(DISTINCT(3, 2), 0), with_(DISTINCT(4), -1, True),
          with_(DISTINCT(2, 3), dim=0, descending=True)]
row("sort", np_sort, SORTED)
row("argsort", lambda *a, **o: np_sort(*a, **o)[1], SORTED, with_(ints(2, 1, 2, 1)),
    with_(ints(2, 1, 2, 1), -1, True),
    differentiable=False, torch=None)
row("topk", np_topk, with_(DISTINCT(2, 3), 2), with_(DISTINCT(3, 2), 1, 0),
    with_(DISTINCT(4), 3, largest=False),
    with_(DISTINCT(4), 0))
