"""Products of matrices and vectors, sums of products, distances."""

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
row("inner", np.inner, with_(N(3), N(3)), with_(N(2, 3), N(4, 3)), with_(N(2, 2, 3), N(3)),
    with_(N(), N(2)), with_(N(2, 0), N(3, 0)))


def plus(product):
    """NumPy's side of addmm and its like."""
    return lambda x, a, b, *, beta=1, alpha=1: beta * x + alpha * product(a, b)


row("addmm", plus(np.matmul), with_(N(2, 2), N(2, 3), N(3, 2)),
    with_(N(2), N(2, 3), N(3, 2), beta=2),
    with_(N(), N(2, 3), N(3, 2), alpha=-1), with_(N(2, 1), N(2, 0), N(0, 3), beta=0.5))
row("addmv", plus(np.matmul), with_(N(2), N(2, 3), N(3)),
    with_(N(1), N(2, 3), N(3), beta=0.5, alpha=2))
row("addr", plus(np.outer), with_(N(2, 3), N(2), N(3)), with_(N(3), N(2), N(3), beta=0.5, alpha=2))
row("baddbmm", plus(np.matmul), with_(N(2, 2, 2), N(2, 2, 3), N(2, 3, 2)),
    with_(N(2), N(2, 2, 3), N(2, 3, 2), beta=0.5, alpha=2))
row("addbmm", plus(lambda a, b: np.matmul(a, b).sum(0)), with_(N(2, 2), N(2, 2, 3), N(2, 3, 2)),
    with_(N(2), N(3, 2, 3), N(3, 3, 2), beta=0.5, alpha=2))
row("linear", lambda x, weight, bias=0: x @ weight.T + bias, with_(N(3, 2), N(4, 2), N(4)),
    with_(N(3, 2), N(4, 2)),
    with_(N(2, 2), N(2, 2), N(2)), with_(N(2), N(3, 2), N(3)),
    with_(N(2, 2, 3), N(2, 3), N(2)), with_(N(0, 2), N(3, 2), N(3)))
row("sum_rows", lambda x: x.sum(0), each(N, (2, 2), (3, 2), (0, 2)), torch=None)

# ---- Sums of products ----------------------------------------------------------------------------

row("einsum", np.einsum, with_("ij,jk->ik", N(2, 3), N(3, 2)), with_("ij,jk", N(2, 3), N(3, 2)),
    with_("ba,b", N(2, 3), N(2)), with_("i,j->ji", N(2), N(3)), with_("ij->", N(2, 3)),
    with_("ij->ji", N(2, 3)), with_("ij,ij->ij", N(2, 3), N(2, 3)),
    with_("ij,ij->j", N(2, 3), N(2, 3)),
    with_("ii", N(3, 3)), with_("ii->i", N(3, 3)), with_("iji->j", N(2, 3, 2)),
    with_("iij,j->i", N(2, 2, 3), N(3)), with_("iii->i", N(2, 2, 2)),
    with_("...ij->...ji", N(2, 3, 2)),
    with_("...ij,...jk->...ik", N(2, 2, 3), N(3, 2)),
    with_("...ij,...jk", N(2, 1, 2, 3), N(3, 3, 2)),
    with_("b...i,bi->b...", N(2, 3, 3, 2), N(2, 2)), with_("i...,i->...", N(2, 3), N(2)),
    with_("bi,bj,bk->bijk", N(2, 2), N(2, 3), N(2, 2)),
    with_("ij,jk,kl->il", N(2, 3), N(3, 2), N(2, 4)),
    with_("i,ij,j->", N(2), N(2, 3), N(3)), with_("ij,jk->k", N(2, 3), N(3, 2)),
    with_("i,i", N(0), N(0)),
    with_("ij,jk->ik", N(2, 0), N(0, 3)), with_("aB,Bc", N(2, 3), N(3, 2)),
    with_(",i->i", N(), N(3)),
    with_(" i j , j -> i ", N(2, 3), N(3)))
row("einsum", None, with_("ij,jk->ik", N(2, 1), N(3, 2)),  # broadcast, which np.einsum does not
    with_("...i->", N(2, 3)))
row("tensordot", lambda a, b, dims=2: np.tensordot(a, b, dims), with_(N(2, 3), N(2, 3)),
    with_(N(2, 3), N(3, 2), dims=1), with_(N(2), N(3), dims=0),
    with_(N(2, 3, 4), N(4, 2), dims=([0, 2], [1, 0])), with_(N(2, 3), N(3, 2), dims=([-1], [0])),
    with_(N(2, 0), N(0, 3), dims=1))
row("kron", np.kron, with_(N(2, 3), N(3, 2)), with_(N(2), N(3)), with_(N(2, 2), N(2)),
    with_(N(), N(2)),
    with_(N(2), N(2, 1, 2)), with_(N(2, 2), N(2, 2)))
row("trace", np.trace, with_(N(3, 3)), with_(N(2, 3)), with_(N(3, 2)), with_(N(0, 0)))


def np_block_diag(*blocks):
    blocks = [np.atleast_2d(b) for b in blocks]
    out = np.zeros(np.sum([b.shape for b in blocks], 0))
    at = np.zeros(2, int)
    for b in blocks:
        out[at[0]:, at[1]:][:b.shape[0], :b.shape[1]] = b
        at += b.shape
    return out


row("block_diag", np_block_diag, with_(N(2, 3), N(2, 2)), with_(N(2), N(), N(1, 2)), with_(N(2, 2)))
row("cross", np.cross, with_(N(3), N(3)), with_(N(2, 3), N(2, 3)), torch="linalg.cross")
row("cross", None, with_(N(3, 3), N(3, 3), dim=1), with_(N(1, 3), N(2, 3), dim=-1))
row("cross", lambda x, y: np.cross(x, y, axis=0), with_(N(3, 2), N(3, 2)), torch=None)

# ---- Distances -----------------------------------------------------------------------------------


def np_norm(x, p):
    return np.linalg.norm(x, p, -1) if x.shape[-1] else x.sum(-1)


row("euclidean", lambda x, y: np_norm(x[..., :, None, :] - y[..., None, :, :], 2),
    with_(N(3, 3), N(3, 3)), with_(N(2, 3), N(3, 3)), with_(N(2, 2, 3), N(4, 3)),
    with_(N(0, 3), N(2, 3)),
    with_(N(2, 1), N(3, 1)), torch=None)
row("cdist", lambda x, y, p=2: np_norm(x[..., :, None, :] - y[..., None, :, :], p),
    with_(N(2, 3), N(3, 3)), with_(N(2, 2, 3), N(2, 3)), *[with_(N(2, 3), N(3, 3), p=p)
    for p in (1, 1.5, 3.0, np.inf)], with_(N(2, 0), N(3, 0)), with_(N(0, 3), N(2, 3)))
row("cdist", None, with_(N(2, 3), N(3, 3), p=0), smooth=False)
row("pdist", lambda x, p=2: np_norm((x[:, None] - x)[np.triu_indices(len(x), 1)], p),
    with_(N(3, 2)),
    *[with_(N(4, 3), p=p) for p in (1, 1.5, 3.0, np.inf)], with_(N(1, 3)), with_(N(3, 0)))
row("dist", lambda x, y, p=2: np.linalg.norm((x - y).reshape(-1), p), with_(N(2, 3), N(2, 3)),
    with_(N(2, 3), N(3), p=3), with_(N(3), N(3), p=1), with_(N(), N(3), p=np.inf))
