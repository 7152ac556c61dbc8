"""Order."""

import numpy as np

from .table import *

# fmt: off

# ---- Extremes ------------------------------------------------------------------------------------


def np_extreme(values, indices):
    def extreme(x, dim=None, keepdim=False):
        if dim is None:
            return values(x)
        if isinstance(dim, np.ndarray):
            return {np.max: np.maximum, np.min: np.minimum}[values](x, dim)
        return values(x, axis=dim, keepdims=keepdim), indices(x, axis=dim, keepdims=keepdim)

    return extreme


np_pick = lambda x, index, dim: np.take_along_axis(x, index, dim)
row("elements_at", np_pick, with_(N(3, 3), ints([2, 0, 2]), 0), torch=None)
row("put_one", lambda x, shape, index, dim: np_put(np.zeros(shape), x, (index[0], range(3))),
    with_(N(1, 3), (4, 3), ints([2, 0, 2]), 0), torch=None)
row("elements_at", np_pick, with_(N(2, 3), ints([2, 2], [0, 1]), 1),
    with_(N(2, 2), ints([1], [1]), -1), torch=None)
row("elements_at", lambda x, index, dim, keepdim: np_pick(x, index, dim).squeeze(dim),
    with_(N(2, 3, 2), np.zeros((2, 1, 2), int), -2, False), torch=None)
WITH_NAN = np.array([[1.0, np.nan, 3.0, np.nan], [2.0, 1.0, 2.0, 0.0]])
EXTREMES = reductions(DISTINCT, several=False, empty=False)
for name in ("max", "min"):
    oracle = np_extreme(getattr(np, name), getattr(np, f"arg{name}"))
    row(name, oracle, EXTREMES, with_(DISTINCT(2, 3), BETWEEN(3)), torch=None)
    row(name, oracle, with_(DISTINCT(2, 3), 1), with_(DISTINCT(0, 3), 1))
    row(name, None, with_(BOOLS, 0), with_(ints(1, 3), ints(2, 2)), with_(WITH_NAN, 1),
        with_(WITH_NAN), with_(N(), 0), differentiable=False)
    row(f"arg{name}", reducing(getattr(np, f"arg{name}")), EXTREMES, with_(ints(1, 3, 1, 3)),
        with_(WITH_NAN, 1), with_(WITH_NAN, keepdim=True), differentiable=False)
    row(f"arg{name}", None, with_(np.array(2.0), 0), with_(np.zeros((0, 3)), 1),
        differentiable=False)

# ---- Sorting -------------------------------------------------------------------------------------


def np_sort(x, dim=-1, descending=False, stable=False):
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, dim), order


def np_topk(x, k, dim=-1, largest=True):
    return tuple(np.take(a, range(k), dim) for a in np_sort(x, dim, largest))


SORTED = [with_(DISTINCT(2, 3)), with_(DISTINCT(3, 2), 0), with_(DISTINCT(4), -1, True),
          with_(DISTINCT(2, 3), dim=0, descending=True), with_(DISTINCT(0, 3)),
          with_(DISTINCT(3, 0, 2), 1)]
ANY_DTYPE = [with_(WITH_NAN, dim=1, descending=d, stable=True) for d in (False, True)] + [
    with_(a, dim=-1, descending=d, stable=True) for d in (False, True)
    for a in (ints(2, 1, 2, 1), BOOLS, np.uint8([3, 0, 3]))] + [
    with_(np.array(1.5)), with_(np.array(1.5), 0, True)]
row("sort", np_sort, SORTED)
row("sort", None, ANY_DTYPE, differentiable=False)
row("argsort", lambda *a, **o: np_sort(*a, **o)[1], SORTED, with_(ints(2, 1, 2, 1)),
    with_(ints(2, 1, 2, 1), -1, True), differentiable=False, torch=None)
row("argsort", None, ANY_DTYPE, differentiable=False)
row("msort", lambda x: np.sort(x, 0), with_(DISTINCT(3, 2)), with_(DISTINCT(4)),
    with_(DISTINCT(0, 2)))
row("topk", np_topk, with_(DISTINCT(2, 3), 2), with_(DISTINCT(3, 2), 1, 0),
    with_(DISTINCT(4), 3, largest=False), with_(DISTINCT(4), 0))
row("topk", None, with_(WITH_NAN[:, :3], 2), with_(WITH_NAN[:, :3], 2, 1, False),
    with_(np.array(2.0), 1), differentiable=False)


def np_kthvalue(x, k, dim=-1, keepdim=False):
    pick = lambda a: np.take(a, [k - 1] if keepdim else k - 1, dim)
    return tuple(map(pick, np_sort(x, dim)))


row("kthvalue", np_kthvalue, with_(DISTINCT(2, 3), 2), with_(DISTINCT(3, 2), 1, 0),
    with_(DISTINCT(3, 2), 3, 0, True), with_(DISTINCT(4), 4))
row("kthvalue", None, with_(np.array([1.0, np.nan, 2.0]), 3), with_(np.array(2.0), 1),
    differentiable=False)

# ---- What is there -------------------------------------------------------------------------------

REPEATED = np.array([[2, 1, 2], [2, 1, 2], [0, 3, 0]])
EXTRAS = [{}, {"return_inverse": True}, {"return_counts": True},
          {"return_inverse": True, "return_counts": True}]
UNIQUE = [with_(a, dim=d, **e) for e in EXTRAS for a, d in
          [(REPEATED, None), (REPEATED, 0), (REPEATED, -1), (SPECIAL, None), (BOOLS, None),
           (BOOLS, 1),
           (np.array([np.nan, 1.0, np.nan]), None),
           (ints(1, 1, 3, 1), None), (np.zeros((0, 3)), None), (np.zeros((0, 3)), 0)]]
row("unique", lambda x, dim, **e: np.unique(x, axis=dim, equal_nan=False, **e), [
    c for c in UNIQUE if c.options["dim"] is None and "return_inverse" not in c.options],
    differentiable=False)
row("unique", None, UNIQUE, with_(np.array(3.0), True, True), differentiable=False)
row("unique_consecutive", None, UNIQUE, differentiable=False)
row("isin", np.isin, with_(REPEATED, ints(1, 3)), with_(REPEATED, 2), with_(2, REPEATED),
    with_(SPECIAL, SPECIAL[1], invert=True), with_(REPEATED, np.zeros(0, int)),
    differentiable=False)

# ---- Places in what is sorted --------------------------------------------------------------------

EDGES = np.array([0.0, 1.0, 1.0, 2.5])
PLACED = np.array([[1.0, -3.0, 9.0], [2.5, 0.5, np.inf]])
SIDES = [{}, {"right": True}, {"side": "left"}, {"side": "right", "out_int32": True}]


def np_searchsorted(sequence, values, right=False, side="left", out_int32=False, sorter=None):
    side = "right" if right else side
    sequence = sequence if sorter is None else np.take_along_axis(sequence, sorter, -1)
    if sequence.ndim == 1:
        return np.asarray(np.searchsorted(sequence, values, side))
    return np.stack([np.searchsorted(s, v, side) for s, v in zip(sequence, values)])


row("searchsorted", np_searchsorted, [with_(EDGES, PLACED, **s) for s in SIDES],
    [with_(np.stack([EDGES, EDGES * 2]), PLACED, **s) for s in SIDES], with_(EDGES, 1.0),
    with_(EDGES, np.zeros((0, 2))), with_(ints(2, 5, 9), ints(5, 0)),
    differentiable=False)
row("searchsorted", np_searchsorted, with_(EDGES[::-1].copy(), PLACED, sorter=ints(3, 2, 1, 0)),
    differentiable=False, torch=None)
row("bucketize", lambda x, edges, right=False: np_searchsorted(edges, x, right),
    with_(PLACED, EDGES), with_(PLACED, EDGES, right=True), with_(1.0, EDGES), differentiable=False)
