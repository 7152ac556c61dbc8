"""Indexing."""

import numpy as np

import tinygen as tg

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
row("index_put", lambda x, value, index: np_put(x, value, index),
    with_(N(3, 3), N(2), index=(ints(0, 2), ints(1, 1))), with_(N(3, 3), N(3), index=(ints(2, 0),)),
    with_(N(3, 3), N(), index=(BOOLS[0],)),
    call=lambda x, value, index: tg.index_put(x, tuple(map(tg.tensor, index)), value), torch=None)
row("index_put", lambda x, value, index: np_put_sum(x, value, index),
    with_(N(3, 3), N(3), index=(ints(0, 0, 2), ints(1, 1, 2))),
    with_(N(3), N(0), index=(np.zeros(0, int),)),
    call=lambda x, value, index: tg.index_put(x, tuple(map(tg.tensor, index)), value, True),
    torch=None)

# ---- Along one dimension -------------------------------------------------------------------------

REPEATED = np.array([[2, 0, 0], [1, 2, 2]])
NONE = np.zeros(0, int)
def np_collect_along(x, shape, index, dim):
    out = np.zeros(shape, x.dtype)
    for at in np.ndindex(*index.shape):
        out[(*at[:dim], index[at], *at[dim + 1:])] += x[at]
    return out


def np_pick_along(x, index, dim):
    out = np.zeros(index.shape, x.dtype)
    for at in np.ndindex(*index.shape):
        out[at] = x[(*at[:dim], index[at], *at[dim + 1:])]
    return out


row("pick_along", np_pick_along,
    with_(N(3, 3), REPEATED, 0), with_(N(3, 3), REPEATED[:, 1:], 1), torch=None)
row("add_along", lambda x, src, index, dim: x + np_collect_along(src, x.shape, index, dim),
    with_(N(3, 3), N(*REPEATED.shape), REPEATED, 0),
    with_(N(3, 3), N(*REPEATED[:2, 1:].shape), REPEATED[:2, 1:], 1), torch=None)
row("collect_along", np_collect_along, with_(N(*REPEATED.shape), (3, 3), REPEATED, 0),
    with_(N(*REPEATED[:2, 1:].shape), (3, 3), REPEATED[:2, 1:], 1), torch=None)
row("gather", lambda x, dim, index: np.take_along_axis(x, index, dim), with_(N(3, 3), 0, REPEATED),
    with_(N(2, 3), 1, REPEATED), with_(N(2, 3), -1, REPEATED[:, :1]), with_(N(4), 0, ints(3, 3, 0)),
    with_(N(3, 3), 0, REPEATED[:0]))
row("gather", None, with_(N(3, 3), 1, REPEATED[:, 1:]), with_(N(), 0, np.array(0)),
    with_(N(), 0, ints(0, 0)),
    with_(N(3), 0, np.array(2)), with_(N(3, 3), 0, REPEATED[:, :2]))
row("take_along_dim", lambda x, index, dim=None: np.take_along_axis(x, index, dim),
    with_(N(3, 3), REPEATED, 0), with_(N(2, 3), REPEATED, dim=-1), with_(N(2, 3), ints(5, 0, 5)),
    with_(N(2, 3), np.array([[2, 2, 0, 1]]), 1))
row("take_along_dim", lambda x, index: x.ravel()[index], with_(N(2, 3), ints(-1, 0)), torch=None)
row("select", lambda x, dim, i: np.take(x, i, dim), with_(N(2, 3), 0, 1), with_(N(2, 3), -1, -3),
    with_(N(2), 0, -1), with_(N(2, 0), 0, 0))
row("index_select", lambda x, dim, index: np.take(x, index, dim), with_(N(2, 3), 1, ints(2, 2, 0)),
    with_(N(3, 2), 0, ints(1, 1)), with_(N(3, 2), -1, ints(1)), with_(N(3, 2), 0, NONE))
row("index_select", None, with_(N(), 0, ints(0)), with_(N(3, 2), 0, np.array(2)))


def np_slices(put):
    return lambda x, dim, index, value: put(x, value, (slice(None),) * (dim % x.ndim) + (index,))


row("index_add", np_slices(np_put_sum), with_(N(3, 2), 0, ints(2, 0, 2, 2), N(4, 2)),
    with_(N(2, 3), -1, ints(1, 1), N(2, 2)), with_(N(3), 0, NONE, N(0)),
    with_(N(0, 2), 1, ints(1), N(0, 1)))
row("index_add", None, with_(N(3), 0, ints(2, 2), N(2), alpha=-0.5), with_(N(), 0, ints(0), N()))
row("index_copy", np_slices(np_put), with_(N(3, 2), 0, ints(2, 0), N(2, 2)),
    with_(N(2, 3), -1, ints(1, 2), N(2, 2)), with_(N(3), 0, NONE, N(0)))
row("index_copy", None, with_(N(), 0, ints(0), N(1)))
row("index_fill", np_slices(np_put), with_(N(3, 2), 0, ints(2, 2), 0.5),
    with_(N(2, 3), -1, ints(1, 0), N()),
    with_(N(3), 0, NONE, -2), with_(N(3), 0, ints(-1), 2.0))
row("index_fill", None, with_(N(), 0, ints(0), 0.5))
row("take", lambda x, index: x.ravel()[index], with_(N(2, 3), REPEATED),
    with_(N(2, 3), ints(-1, 0)),
    with_(N(2, 3), np.array(4)), with_(N(3), NONE), with_(N(), ints(0, 0)))


def np_flat(put):
    def write(x, index, source, accumulate=False):
        return put(x.ravel(), source.ravel(), index.ravel()).reshape(x.shape)

    return write


row("put", np_flat(np_put),
    with_(N(2, 3), ints(4, 0), N(2)), with_(N(2, 2), np.array([[-1, 0]]), N(2)),
    with_(N(2), NONE, N(0)))
row("put", np_flat(np_put_sum), with_(N(2, 3), ints(4, 0, 4), N(3), accumulate=True))
row("unravel_index", np.unravel_index, with_(REPEATED, (1, 3)), with_(np.array(5), (2, 3)),
    with_(ints(2, 0), 3), with_(NONE, (2, 2)), differentiable=False)

# ---- Scattering ----------------------------------------------------------------------------------

SCATTERED = [with_(N(3, 3), 0, REPEATED, N(2, 3)), with_(N(2, 3), 1, REPEATED, N(2, 3)),
             with_(N(4), 0, ints(3, 3, 0), N(3)), with_(N(3, 3), 0, REPEATED[:, :2], N(2, 2)),
             with_(N(3), 0, NONE, N(0))]
# A src that is larger than index: torch can't differentiate it.
LARGER_SOURCE = with_(N(2, 3), -1, np.array([[2, 0], [1, 2]]), N(2, 3))
ZERO_D = with_(N(), 0, np.array(0), N())
row("scatter_add", np_scatter(np_put_sum), SCATTERED)
row("scatter_add", np_scatter(np_put_sum), LARGER_SOURCE, torch=None)
row("scatter_add", None, ZERO_D)
DIFFERENT = np.array([[2, 0, 1], [1, 2, 0]])
row("scatter", np_scatter(np_put), with_(N(3, 3), 0, DIFFERENT, N(2, 3)),
    with_(N(2, 3), 1, DIFFERENT, 0.5))
row("scatter", np_scatter(np_put), LARGER_SOURCE, torch=None)
row("scatter", None, ZERO_D)
row("scatter", lambda x, dim, index, src, reduce: np_scatter(np_put_sum)(x, dim, index, src),
    with_(N(2, 3), 1, REPEATED, N(2, 3), reduce="add"), torch=None)
row("scatter",
    lambda x, dim, index, src, reduce: np_scatter(np_at(np.multiply))(x, dim, index, src),
    with_(N(2, 3), 1, REPEATED, N(2, 3), reduce="multiply"),
    with_(N(2, 3), 1, REPEATED, 0.5, reduce="multiply"), torch=None)


def np_at(ufunc):
    def put(x, value, index):
        out = x.copy()
        ufunc.at(out, index, value)
        return out

    return put


MANY = np.array([[0, 0, 0, 0, 2, 2, 0]])
REDUCED = [*SCATTERED, with_(N(1, 3), 1, MANY, N(1, 7))]
for reduce, put in {"sum": np_put_sum, "prod": np_at(np.multiply), "amax": np_at(np.maximum),
                    "amin": np_at(np.minimum)}.items():
    row("scatter_reduce", lambda x, dim, index, src, reduce,
        put=put: np_scatter(put)(x, dim, index, src),
        [with_(*one.args, reduce=reduce) for one in REDUCED])
for reduce, itself in product(["sum", "prod", "mean", "amax", "amin"], [True, False]):
    row("scatter_reduce", None, [with_(*one.args, reduce, include_self=itself)
        for one in [*REDUCED, ZERO_D]])
    row("index_reduce", None, with_(N(3, 2), 0, ints(2, 0, 2, 2), N(4, 2), reduce,
        include_self=itself),
        with_(N(2, 3), -1, ints(1, 1), N(2, 2), reduce, include_self=itself), torch=None)
for name, ufunc in {"amax_at": np.maximum, "amin_at": np.minimum}.items():
    row(name, np_at(ufunc), with_(N(3), N(4), (ints(0, 0, 2, 2),)),
        with_(N(2, 2), N(1), (NONE, NONE)), torch=None)

# ---- Masks ---------------------------------------------------------------------------------------

row("masked_fill", lambda x, mask, value: np.where(mask, value, x), with_(N(2, 3), BOOLS, 0.5),
    with_(N(2, 3), BOOLS[0], -5), with_(N(2, 3), BOOLS, N()), with_(N(3), BOOLS, 2))
row("masked_select", lambda x, mask: np.broadcast_to(x, BOOLS.shape)
    [np.broadcast_to(mask, BOOLS.shape)],
    with_(N(2, 3), BOOLS), with_(N(3), BOOLS),
    with_(N(2, 3), BOOLS[0]), with_(N(2, 3), np.zeros((2, 3), bool)))
row("masked_select", None, with_(N(), np.array(True)), with_(N(), np.array(False)))


def np_masked_scatter(x, mask, source):
    x, mask = (np.array(a) for a in np.broadcast_arrays(x, mask))
    return np_put(x, source.ravel()[: mask.sum()], mask)


row("masked_scatter", np_masked_scatter, with_(N(2, 3), BOOLS, N(4)),
    with_(N(2, 3), BOOLS[0], N(3, 3)),
    with_(N(3), BOOLS, N(2, 2)), with_(N(2, 3), np.zeros(3, bool), N(0)))
SOME_ZEROS = np.array([[0, 3, 0], [1, 0, 2]])
row("argwhere", np.argwhere, with_(SOME_ZEROS), with_(BOOLS), with_(np.zeros(3)),
    with_(np.array(2)),
    with_(np.zeros((0, 2))), differentiable=False)

# ---- Embeddings ----------------------------------------------------------------------------------

row("embedding", lambda weight, indices: weight[indices], with_(N(3, 2), REPEATED),
    with_(N(3, 2), ints(1, 1)),
    with_(N(3, 2), np.array(2)), with_(N(3, 2), np.zeros((0, 2), int)), torch=None)
row("embedding_sum", lambda x, indices, n: np_put_sum(np.zeros((n, x.shape[-1])), x, indices),
    with_(N(2, 3, 2), REPEATED, 4), with_(N(3, 2), ints(1, 1, 0), 2),
    with_(N(0, 2), np.zeros(0, int), 3), torch=None)
row("one_hot", lambda x, n=-1: np.eye(n if n > 0 else x.max() + 1, dtype=int)[x], with_(REPEATED),
    with_(ints(0, 2), 4), differentiable=False)
