"""Products of matrices and vectors."""

import numpy as np

import tinygen as tg

from .table import *

# fmt: off

# ---- Products ------------------------------------------------------------------------------------

row("matmul", np.matmul, with_(N(2, 3), N(3, 4)), with_(N(2, 2), N(2, 2)),
    with_(N(2, 2, 3), N(3, 2)),
    with_(N(2, 2, 3), N(2, 3, 2)), with_(N(2, 3), N(2, 3, 2)),
    with_(N(2, 1, 2, 3), N(3, 3, 2)), with_(N(3), N(3)),
    with_(N(3), N(3, 2)), with_(N(2, 3), N(3)), with_(N(2, 2, 3), N(3)),
    with_(N(3), N(2, 3, 2)), with_(N(2, 0), N(0, 3)),
    with_(N(0, 2), N(2, 3)), with_(N(2, 0, 3), N(3, 2)), call=tg.matmul)
row("mm", np.matmul, with_(N(2, 3), N(3, 2)))
row("mv", np.matmul, with_(N(2, 3), N(3)))
row("bmm", np.matmul, with_(N(2, 2, 3), N(2, 3, 2)))
row("dot", np.dot, with_(N(3), N(3)), with_(N(0), N(0)))
row("outer", np.outer, with_(N(2), N(3)))
row("linear", lambda x, weight, bias=0: x @ weight.T + bias, with_(N(3, 2), N(4, 2), N(4)),
    with_(N(3, 2), N(4, 2)),
    with_(N(2, 2), N(2, 2), N(2)), with_(N(2), N(3, 2), N(3)),
    with_(N(2, 2, 3), N(2, 3), N(2)), with_(N(0, 2), N(3, 2), N(3)))
row("sum_rows", lambda x: x.sum(0), each(N, (2, 2), (3, 2), (0, 2)), torch=None)
