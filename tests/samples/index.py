"""Indexing."""

import numpy as np

from .table import *

# fmt: off

# ---- Indexing ------------------------------------------------------------------------------------

INDICES = [1, -1, slice(None), slice(None, None, -1), slice(0, 0), Ellipsis, None, (1, 2),
    (Ellipsis, 0),
           (None, 1, slice(1, None)), (slice(None), None, 0), [2, 0, 2], ([0, 2], [1, 1]),
           ([[0, 1], [2, 2]], 1), (slice(None), [0, 0, 2]), (1, [0, 0]),
           np.array([True, False, True]),
           np.eye(3, dtype=bool), np.zeros((3, 3), bool), ([], [])]


def array_index(index):
    """The lists in an index as arrays of ints, as np.array([]) is one of floats."""
    if isinstance(index, tuple):
        return tuple(array_index(i) for i in index)
    return np.array(index, int) if isinstance(index, list) else index


INDICES = [array_index(i) for i in INDICES]


def np_scatter(put):
    def scatter(x, dim, index, src):
        where = list(np.indices(index.shape))
        where[dim] = index
        src = src if np.isscalar(src) else src[tuple(slice(n) for n in index.shape)]
        return put(x, src, tuple(where))

    return scatter


def values_for(index) -> tuple:
    """Values that fit into x[index] of a 3 × 3 array."""
    return np.zeros((3, 3))[index].shape


row("getitem", lambda x, index: x[index], [with_(N(3, 3), index=i) for i in INDICES], torch=None)
row("put_zeros", lambda x, shape, index: np_put_sum(np.zeros(shape), x, index),
    [with_(N(*values_for(i)), shape=(3, 3), index=i) for i in INDICES], torch=None)
row("setitem", np_put, [with_(N(3, 3), N(*values_for(i)), index=i) for i in INDICES],
    with_(N(3, 3), N(3), index=slice(1, 3)), with_(N(3, 3), 0.5, index=1),
    with_(N(3, 3), N(), index=(slice(None), array_index([0, 0]))), torch=None)
row("index_put_sum", np_put_sum, [with_(N(3, 3), N(*values_for(i)), index=i) for i in INDICES[7:]],
    torch=None)
REPEATED = np.array([[2, 0, 0], [1, 2, 2]])
row("gather", lambda x, dim, index: np.take_along_axis(x, index, dim), with_(N(3, 3), 0, REPEATED),
    with_(N(2, 3), 1, REPEATED), with_(N(2, 3), -1, REPEATED[:, :1]), with_(N(4), 0, ints(3, 3, 0)),
    with_(N(3, 3), 0, REPEATED[:0]))
row("take_along_dim", lambda x, index, dim=None: np.take_along_axis(x, index, dim),
    with_(N(3, 3), REPEATED, 0), with_(N(2, 3), REPEATED, dim=-1), with_(N(2, 3), ints(5, 0, 5)),
    with_(N(2, 3), np.array([[2, 2, 0, 1]]), 1))
row("index_select", lambda x, dim, index: np.take(x, index, dim), with_(N(2, 3), 1, ints(2, 2, 0)),
    with_(N(3, 2), 0, ints(1, 1)), with_(N(3, 2), -1, ints(1)), with_(N(3, 2), 0, np.zeros(0, int)))
SCATTERED = [with_(N(3, 3), 0, REPEATED, N(2, 3)), with_(N(2, 3), 1, REPEATED, N(2, 3)),
             with_(N(4), 0, ints(3, 3, 0), N(3))]
# A src that is larger than index: torch can't differentiate it.
LARGER_SOURCE = with_(N(2, 3), -1, np.array([[2, 0], [1, 2]]), N(2, 3))
row("scatter_add", np_scatter(np_put_sum), SCATTERED)
row("scatter_add", np_scatter(np_put_sum), LARGER_SOURCE, torch=None)
DIFFERENT = np.array([[2, 0, 1], [1, 2, 0]])
row("scatter", np_scatter(np_put), with_(N(3, 3), 0, DIFFERENT, N(2, 3)),
    with_(N(2, 3), 1, DIFFERENT, 0.5))
row("scatter", np_scatter(np_put), LARGER_SOURCE, torch=None)
row("masked_fill", lambda x, mask, value: np.where(mask, value, x), with_(N(2, 3), BOOLS, 0.5),
    with_(N(2, 3), BOOLS[0], -5), with_(N(2, 3), BOOLS, N()))
row("masked_select", lambda x, mask: x[np.broadcast_to(mask, x.shape)], with_(N(2, 3), BOOLS),
    with_(N(2, 3), BOOLS[0]), with_(N(2, 3), np.zeros((2, 3), bool)))
SOME_ZEROS = np.array([[0, 3, 0], [1, 0, 2]])
row("nonzero_rows", np.argwhere, with_(SOME_ZEROS), with_(BOOLS), torch=None, differentiable=False)
row("nonzero", np.argwhere, with_(SOME_ZEROS), with_(BOOLS),
    with_(np.zeros(3)), differentiable=False)
row("embedding", lambda weight, indices: weight[indices], with_(N(3, 2), REPEATED),
    with_(N(3, 2), ints(1, 1)),
    with_(N(3, 2), np.array(2)), with_(N(3, 2), np.zeros((0, 2), int)), torch=None)
row("embedding_sum", lambda x, indices, n: np_put_sum(np.zeros((n, x.shape[-1])), x, indices),
    with_(N(2, 3, 2), REPEATED, 4), with_(N(3, 2), ints(1, 1, 0), 2),
    with_(N(0, 2), np.zeros(0, int), 3), torch=None)
row("one_hot", lambda x, n=-1: np.eye(n if n > 0 else x.max() + 1, dtype=int)[x], with_(REPEATED),
    with_(ints(0, 2), 4), differentiable=False)
