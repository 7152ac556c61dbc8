"""Shapes."""

import numpy as np

import tinygen as tg
from tinygen.autograd.tensor import View

from .table import *

# fmt: off

# ---- Shapes --------------------------------------------------------------------------------------

row("reshape", np.reshape, with_(N(2, 3), (3, 2)), with_(N(2, 3), (-1,)), with_(N(2, 2), (2, 2)),
    with_(N(), (1, 1)), with_(N(1, 1), ()), with_(N(0, 3), (3, 0)))
row("expand", lambda x, shape: np.broadcast_to(x, [x.shape[0] if n == -1 else n for n in shape]),
    with_(N(2, 1), (2, 3)), with_(N(3), (2, 3)), with_(N(), (2, 2)), with_(N(2, 1), (4, -1, 3)),
    with_(N(2, 2), (2, 2)), with_(N(1, 3), (0, 3)), call=lambda x, shape: x.expand(shape),
    torch=None)
row("permute", np.transpose, with_(N(2, 3), (1, 0)), with_(N(2, 3, 4), (2, 0, 1)),
    with_(N(2, 2), (1, 0)),
    with_(N(2, 3, 2), (-1, 0, -2)), with_(N(0, 3), (1, 0)))
row("transpose", np.swapaxes, with_(N(2, 3), 0, 1), with_(N(2, 2), 0, 1), with_(N(2, 3, 4), -1, 0),
    with_(N(2, 3, 2), -1, -2))
row("unsqueeze", np.expand_dims, with_(N(2, 3), 0), with_(N(2, 3), -1), with_(N(), 0),
    with_(N(2, 3), 1))
row("squeeze", lambda x, dim=None: np.squeeze(x, dim), with_(N(1, 3, 1)), with_(N(1, 3, 1), 0),
    with_(N(1, 3, 1), -1), with_(N(1, 3, 1), (0, 2)), with_(N(1, 0)))
row("flatten", None, with_(N(2, 3, 2)), with_(N(2, 3, 2), 1), with_(N(2, 3, 2), 0, 1), with_(N()),
    with_(N(2, 3, 2), -2, -1), with_(N(2, 0)))
row("unflatten", None, with_(N(2, 6), 1, (2, 3)), with_(N(6), 0, (-1, 2)),
    with_(N(2, 4), -1, (2, 2)))
row("movedim", np.moveaxis, with_(N(2, 3, 4), 0, 2), with_(N(2, 3, 4), (0, 1), (-1, 0)),
    with_(N(2, 3), 1, 0))
row("narrow", lambda x, dim, start, n: np.take(x, range(start, start + n), dim),
    with_(N(3, 2), 0, 1, 2),
    with_(N(2, 3), -1, 0, 2), with_(N(2, 3), 1, 3, 0), with_(N(2, 2), 1, 0, 2))
row("embed", lambda x, shape, dim, start: np_put(np.zeros(shape),
    x, (slice(None),) * dim + (slice(start, start + x.shape[dim]),)),
    with_(N(2, 2), (2, 5), 1, 2), with_(N(2, 2), (3, 2), 0, 0),
    with_(N(0, 3), (2, 3), 0, 1), torch=None)
row("split", None, with_(N(2, 5), 2, 1), with_(N(3, 2), [1, 2]), with_(N(5), 3),
    with_(N(2, 4), 2, -1))
row("split_with_sizes", None, with_(N(2, 5), (2, 0, 3), 1), with_(N(3, 2), (1, 2), 0))
row("chunk", None, with_(N(2, 5), 2, 1), with_(N(5), 3), with_(N(2, 2), 2))
row("unbind", None, with_(N(2, 3)), with_(N(2, 3), 1), with_(N(2, 3), -1), with_(N(2, 0)))
SEVERAL = {"call": lambda *xs, dim=0: tg.cat(xs, dim), "torch": None}
row("cat", lambda *xs, dim=0: np.concatenate(xs, dim), with_(N(2, 3), N(1, 3)),
    with_(N(2, 1), N(2, 3), dim=1),
    with_(N(2, 2), N(2, 2), dim=-1), with_(N(3)), with_(N(2), N(0), N(3)), **SEVERAL)
row("stack", lambda *xs, dim=0: np.stack(xs, dim), with_(N(2, 3), N(2, 3)),
    with_(N(2, 3), N(2, 3), dim=1),
    with_(N(), N(), N()), with_(N(2), N(2), dim=-1),
    call=lambda *xs, dim=0: tg.stack(xs, dim), torch=None)
row("repeat", lambda x, *times: np.tile(x, times), with_(N(2, 3), 2, 1),
    with_(N(3), 2, 3), with_(N(2, 2), 1, 0),
    with_(N(), 3), torch=None)
row("flip", lambda x, dims: np.flip(x, dims), with_(N(2, 3), (0,)), with_(N(2, 3), (0, -1)),
    with_(N(2, 2), (1,)))
row("roll", lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    with_(N(2, 3), 1), with_(N(2, 3), -1, 1),
    with_(N(2, 2), 1, 0), with_(N(2, 3), (1, 2), (0, 1)), with_(N(3, 3), 5, 0))
for name, oracle in {"tril": np.tril, "triu": np.triu}.items():
    row(name, oracle, each(N, (2, 2), (3, 2), (2, 2, 3), (0, 2)),
        with_(N(3, 3), 1), with_(N(3, 3), -1))
row("view", lambda x, *shape: x.reshape(shape), with_(N(2, 3), 3, 2),
    with_(N(4), 2, -1), torch=None)
row("t", np.transpose, with_(N(2, 3)), with_(N(3)))
# A part of the base is written to: the base's gradient there goes to what was written.
ROWS = View(None, ((OPS["narrow"], (0, 1, 2), {}), (OPS["transpose"], (0, 1), {})), 0)
row("put_view", lambda x, value: np_put(x, value.T, slice(1, 3)),
    with_(N(3, 2), N(2, 2)), with_(N(4, 3), N(3, 2)),
    call=lambda x, value: OPS["put_view"](x, value, ROWS), torch=None)
