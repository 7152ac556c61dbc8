"""Shapes."""

import numpy as np

import tinygen as tg
from tinygen.autograd.tensor import View

from .table import *

# fmt: off

# ---- One shape into another ----------------------------------------------------------------------

row("reshape", np.reshape, with_(N(2, 3), (3, 2)), with_(N(2, 3), (-1,)), with_(N(2, 2), (2, 2)),
    with_(N(), (1, 1)), with_(N(1, 1), ()), with_(N(0, 3), (3, 0)))
row("view", np.reshape, with_(N(2, 3), (3, 2)), with_(N(4), (2, -1)), with_(N(0, 2), (2, 0, 1)),
    with_(N(), (1,)), torch=None)
row("expand", lambda x, shape: np.broadcast_to(x, [x.shape[0] if n == -1 else n for n in shape]),
    with_(N(2, 1), (2, 3)), with_(N(3), (2, 3)), with_(N(), (2, 2)), with_(N(2, 1), (4, -1, 3)),
    with_(N(2, 2), (2, 2)), with_(N(1, 3), (0, 3)), call=lambda x, shape: x.expand(shape),
    torch=None)
row("broadcast_to", np.broadcast_to, with_(N(2, 1), (2, 3)), with_(N(3), (2, 3)), with_(N(), (2,)))
row("broadcast_tensors", lambda *xs: tuple(np.broadcast_arrays(*xs)), with_(N(2, 1), N(3)),
    with_(N(), N(2), N(1, 1)), with_(N(0, 1), N(2)))
row("permute", np.transpose, with_(N(2, 3), (1, 0)), with_(N(2, 3, 4), (2, 0, 1)),
    with_(N(2, 2), (1, 0)), with_(N(), ()),
    with_(N(2, 3, 2), (-1, 0, -2)), with_(N(0, 3), (1, 0)))
row("transpose", np.swapaxes, with_(N(2, 3), 0, 1), with_(N(2, 2), 0, 1), with_(N(2, 3, 4), -1, 0),
    with_(N(2, 3, 2), -1, -2))
row("transpose", None, with_(N(), 0, -1))
row("t", np.transpose, with_(N(2, 3)), with_(N(3)), with_(N()), with_(N(0, 2)))
row("adjoint", lambda x: np.swapaxes(x, -1, -2), with_(N(2, 3)), with_(N(2, 2, 3)), with_(N(0, 2)))
row("unsqueeze", np.expand_dims, with_(N(2, 3), 0), with_(N(2, 3), -1), with_(N(), 0),
    with_(N(2, 3), 1))
row("squeeze", lambda x, dim=None: np.squeeze(x, dim), with_(N(1, 3, 1)), with_(N(1, 3, 1), 0),
    with_(N(1, 3, 1), -1), with_(N(1, 3, 1), (0, 2)), with_(N(1, 0)))
row("squeeze", None, with_(N(2, 1, 3), 0), with_(N(2, 1, 3), (0, 1)), with_(N(), 0))
row("flatten", None, with_(N(2, 3, 2)), with_(N(2, 3, 2), 1), with_(N(2, 3, 2), 0, 1), with_(N()),
    with_(N(2, 3, 2), -2, -1), with_(N(2, 0)))
row("unflatten", None, with_(N(2, 6), 1, (2, 3)), with_(N(6), 0, (-1, 2)),
    with_(N(2, 4), -1, (2, 2)), with_(N(0, 4), 0, (0, 2)))
row("movedim", np.moveaxis, with_(N(2, 3, 4), 0, 2), with_(N(2, 3, 4), (0, 1), (-1, 0)),
    with_(N(2, 3), 1, 0))
row("narrow", lambda x, dim, start, n: np.take(x, range(start, start + n), dim),
    with_(N(3, 2), 0, 1, 2),
    with_(N(2, 3), -1, 0, 2), with_(N(2, 3), 1, 3, 0), with_(N(2, 2), 1, 0, 2))
row("narrow", None, with_(N(2, 3), 1, -2, 2))
row("embed", lambda x, shape, dim, start: np_put(np.zeros(shape),
    x, (slice(None),) * dim + (slice(start, start + x.shape[dim]),)),
    with_(N(2, 2), (2, 5), 1, 2), with_(N(2, 2), (3, 2), 0, 0),
    with_(N(0, 3), (2, 3), 0, 1), torch=None)


def np_unfolded(x, dim, size, step):
    starts = range(0, x.shape[dim] - size + 1, step)
    return np.stack([np.moveaxis(np.take(x, range(i, i + size), dim), dim, -1)
    for i in starts], dim)


def np_unfolded_sum(x, shape, dim, step):
    out = np.zeros(shape)
    for i, part in enumerate(np.moveaxis(x, dim, 0)):  # part [..., size]
        np.moveaxis(out, dim, -1)[..., i * step : i * step + x.shape[-1]] += part
    return out


row("unfolded", np_unfolded, with_(N(5), 0, 2, 1), with_(N(2, 6), 1, 2, 2), with_(N(5, 2), 0, 3, 2),
    with_(N(7, 2), 0, 2, 3), with_(N(0, 3), 1, 2, 1), with_(N(2, 3, 4), 1, 2, 1), torch=None)
row("unfolded", None, with_(N(), 0, 1, 1), torch=None)
row("unfolded_sum", np_unfolded_sum, with_(N(4, 2), (5,), 0, 1), with_(N(2, 3, 2), (2, 6), 1, 2),
    with_(N(2, 2, 3), (5, 2), 0, 2), with_(N(0, 2, 2), (0, 3), 1, 1), torch=None)
row("unfolded_sum", None, with_(N(1), (), 0, 1), torch=None)

# ---- Several into one, one into several ----------------------------------------------------------

LISTED = lambda op: {"call": lambda *xs, **options: op(xs, **options), "torch": None}
row("cat", lambda *xs, dim=0: np.concatenate(xs, dim), with_(N(2, 3), N(1, 3)),
    with_(N(2, 1), N(2, 3), dim=1), with_(N(2, 2), N(2, 2), dim=-1), with_(N(3)),
    with_(N(2), N(0), N(3)), with_(N(0, 2), N(0, 2)), **LISTED(tg.cat))
row("cat", lambda x, y, **options: y, with_(N(0), N(2, 3), dim=1), with_(N(0), N(2, 3), dim=-2),
    **LISTED(tg.cat))
row("stack", lambda *xs, dim=0: np.stack(xs, dim), with_(N(2, 3), N(2, 3)),
    with_(N(2, 3), N(2, 3), dim=1),
    with_(N(), N(), N()), with_(N(2), N(2), dim=-1), with_(N(0, 2), N(0, 2)), **LISTED(tg.stack))
STACKED = [with_(N(2, 3, 1), N(2, 3, 1)), with_(N(2, 3), N(2, 3)), with_(N(3), N(3)),
    with_(N(), N()),
           with_(N(0, 2), N(0, 2))]
row("hstack", lambda *xs: np.hstack(xs), STACKED, **LISTED(tg.hstack))
row("vstack", lambda *xs: np.vstack(xs), STACKED, **LISTED(tg.vstack))
row("dstack", lambda *xs: np.dstack(xs), STACKED, **LISTED(tg.dstack))
row("column_stack", lambda *xs: np.column_stack(xs), STACKED, with_(N(3), N(3, 2)),
    **LISTED(tg.column_stack))
for name, oracle in {"atleast_1d": np.atleast_1d, "atleast_2d": np.atleast_2d,
                     "atleast_3d": np.atleast_3d}.items():
    row(name, oracle, each(N, (), (2,), (0,), (2, 3), (2, 1, 2, 1)), with_(N(), N(2), N(2, 2)))
row("split", None, with_(N(2, 5), 2, 1), with_(N(3, 2), [1, 2]), with_(N(5), 3),
    with_(N(2, 4), 2, -1), with_(N(0, 2), 3), with_(N(3), 5))
row("split_with_sizes", None, with_(N(2, 5), (2, 0, 3), 1), with_(N(3, 2), (1, 2), 0))
row("chunk", None, with_(N(2, 5), 2, 1), with_(N(5), 3), with_(N(2, 2), 2), with_(N(0, 2), 3))
row("unbind", None, with_(N(2, 3)), with_(N(2, 3), 1), with_(N(2, 3), -1), with_(N(2, 0)))
row("tensor_split", lambda x, parts, dim=0: tuple(np.array_split(x, parts, dim)),
    with_(N(7), 3), with_(N(2, 5), 2, 1), with_(N(5), (1, 3)), with_(N(2, 4), [1, 2], dim=-1),
    with_(N(2), 3), with_(N(4), (3, 1, 9)))
row("hsplit", lambda x, n: tuple(np.hsplit(x, n)), with_(N(4), 2), with_(N(2, 4), 2),
    with_(N(2, 3, 2), [1, 2]))
row("vsplit", lambda x, n: tuple(np.vsplit(x, n)), with_(N(4, 2), 2), with_(N(3, 2), [1]))
row("dsplit", lambda x, n: tuple(np.dsplit(x, n)), with_(N(1, 2, 4), 2), with_(N(1, 2, 3), [1, 1]))
row("repeat", np.tile, with_(N(2, 3), (2, 1)), with_(N(3), (2, 3)), with_(N(2, 2), (1, 0)),
    with_(N(), (3,)), torch=None)
row("tile", np.tile, with_(N(2, 3), (2,)), with_(N(3), (2, 3)), with_(N(0, 2), (2, 2)),
    with_(N(), (2,)))

# ---- Another order, several times ----------------------------------------------------------------

for name in ("flip", "flipped"):
    row(name, np.flip, with_(N(2, 3), (0,)), with_(N(2, 3), (0, -1)), with_(N(2, 2), (1,)),
        with_(N(2, 3), ()), with_(N(0, 3), (0,)), torch="flip")
row("fliplr", np.fliplr, each(N, (2, 3), (2, 2, 2), (2, 0)))
row("flipud", np.flipud, each(N, (2, 3), (3,), (0, 2)))
row("roll", np.roll, with_(N(2, 3), 1), with_(N(2, 3), -1, 1), with_(N(), 2), with_(N(0, 2), 1, 0),
    with_(N(2, 2), 1, 0), with_(N(2, 3), (1, 2), (0, 1)), with_(N(3, 3), 5, 0),
    with_(N(3), (1, 1), (0, 0)))
row("rolled", np.roll, with_(N(2, 3), (1, 2), (0, 1)), with_(N(3), (-1,), (0,)), torch="roll")
row("rot90", np.rot90, each(N, (2, 3), (2, 2, 2), (0, 2)), with_(N(2, 3), 2), with_(N(2, 3), -1),
    with_(N(2, 3, 2), 1, (2, -2)), with_(N(2, 3), 4))
row("repeat_interleave", np.repeat, with_(N(2, 3), 2), with_(N(2, 3), 2, 1),
    with_(N(2, 3), ints(2, 0), 0), with_(N(3), ints(1, 0, 3)), with_(N(2, 3), ints(2), -1),
    with_(N(0, 2), 3, 0), with_(N(2), 0))
row("repeat_interleave", lambda x, n, dim, output_size: np.repeat(x, n, dim),
    with_(N(2, 3), ints(2, 1), 0, output_size=3))
row("repeat_interleave", lambda x: np.repeat(range(x.size), x), with_(ints(2, 0, 1)),
    differentiable=False)
row("meshgrid", lambda *xs: tuple(np.meshgrid(*xs, indexing="ij")), with_(N(2), N(3)), with_(N(2)),
    with_(N(2), N(), N(3)), with_(N(0), N(2)), torch=None)
row("meshgrid", lambda *xs, indexing: tuple(np.meshgrid(*xs, indexing=indexing)),
    with_(N(2), N(3), indexing="xy"), with_(N(2), N(1), N(3), indexing="xy"),
    with_(N(2), N(3), indexing="ij"))
row("cartesian_prod", None, with_(N(2), N(3)), with_(N(2)), with_(N(2), N(0)),
    with_(N(2), N(1), N(2)))
row("combinations", None, with_(N(3)), with_(N(4), 3), with_(N(3), 2, True), with_(N(2), 3),
    with_(N(3), 1))

# ---- Diagonals and triangles ---------------------------------------------------------------------

for name, oracle in {"tril": np.tril, "triu": np.triu}.items():
    row(name, oracle, each(N, (2, 2), (3, 2), (2, 2, 3), (0, 2)),
        with_(N(3, 3), 1), with_(N(3, 3), -1))
row("diagonal", np.diagonal, each(N, (2, 2), (3, 2), (2, 2, 3), (0, 2)), with_(N(3, 3), 1),
    with_(N(3, 3), -1), with_(N(2, 2), 5), with_(N(2, 3, 2), 0, 0, 2), with_(N(2, 3, 4), -1, -1, 0))
row("diag", np.diag, with_(N(3)), with_(N(2, 3)), with_(N(3), 1), with_(N(2), -1),
    with_(N(3, 3), 1),
    with_(N(0)))
row("diagflat", np.diagflat, with_(N(3)), with_(N(2, 2)), with_(N(2), 1), with_(N(2), -1),
    with_(N()))
row("diag_embed", None, each(N, (3,), (2, 3), (0,), (0, 2)), with_(N(2), 1),
    with_(N(2, 3), -1, 0, 2),
    with_(N(2, 3), 0, 1, 0))


def np_put_part(part):
    def put(x, src, *args, **options):
        out = x.copy()
        part(out, *args, **options)[...] = src
        return out

    return put


def writeable_diagonal(x, *args):
    found = np.diagonal(x, *args)
    found.flags.writeable = True
    return found


row("diagonal_scatter", np_put_part(writeable_diagonal), with_(N(2, 2), N(2)),
    with_(N(2, 3), N(2), 1),
    with_(N(2, 3, 2), N(3, 2), 0, 0, 2), with_(N(2, 0), N(0)))
row("select_scatter", np_put_part(lambda x, dim, i: np.moveaxis(x, dim, 0)[i, ...]),
    with_(N(2, 3), N(3), 0, 1), with_(N(2, 3), N(2), -1, -1), with_(N(2), N(), 0, 0))
row("slice_scatter", np_put_part(lambda x, dim=0, start=None, end=None, step=1:
    np.moveaxis(np.moveaxis(x, dim, 0)[start:end:step], 0, dim)),
    with_(N(3, 2), N(2, 2), 0, 1), with_(N(2, 3), N(2, 2), -1, 0, 3, 2), with_(N(3, 2), N(3, 2)),
    with_(N(3, 2), N(1, 2), 0, -1, 9), with_(N(3), N(0), 0, 2, 2))
# A part of the base is written to: the base's gradient there goes to what was written.
ROWS = View(None, ((OPS["narrow"], (0, 1, 2), {}), (OPS["transpose"], (0, 1), {})), 0)
row("put_view", lambda x, value: np_put(x, value.T, slice(1, 3)),
    with_(N(3, 2), N(2, 2)), with_(N(4, 3), N(3, 2)),
    call=lambda x, value: OPS["put_view"](x, value, ROWS), torch=None)
