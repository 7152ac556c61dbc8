"""Matrices: systems of equations, determinants, factors, functions.

What a library is free to choose, such as the sign of an eigenvector, is taken out of the result:
`after` says how.
"""

import numpy as np

import tinygen as tg

from .table import *

# fmt: off

WELL = domain(lambda rng, shape: rng.standard_normal(shape) + 3 * np.eye(*shape[-2:]))  # invertible


def gram(x, *others):
    """x xᵀ, which is symmetric and positive-definite, in place of x."""
    return x @ x.mT, *others


def lower(x):
    return np.tril(x) if isinstance(x, np.ndarray) else x.tril()


# ---- Systems of equations ------------------------------------------------------------------------

SQUARES = each(WELL, (3, 3), (2, 2), (2, 3, 3), (1, 1), (0, 0), (0, 2, 2), (2, 0, 0))
row("linalg_inv", np.linalg.inv, SQUARES, call=tg.linalg.inv, torch="linalg.inv")


def np_solve(a, b, left=True):
    if not left:
        return np_solve(a.mT, b.mT).mT
    if b.shape == a.shape[:-1]:
        return np.linalg.solve(a, b[..., None])[..., 0]
    return np.linalg.solve(a, b)


row("linalg_solve", np_solve, with_(WELL(3, 3), N(3, 2)), with_(WELL(2, 2), N(2, 2)),
    with_(WELL(3, 3), N(3)),
    with_(WELL(2, 3, 3), N(2, 3)), with_(WELL(2, 3, 3), N(3, 2)), with_(WELL(3, 3), N(2, 3, 1)),
    with_(WELL(3, 3), N(2, 3), left=False), with_(WELL(2, 1, 2, 2), N(3, 2, 2)),
    with_(WELL(0, 0), N(0, 2)),
    call=tg.linalg.solve, torch="linalg.solve")


def np_solve_triangular(a, b, *, upper, left=True, unitriangular=False):
    t = np.triu(a, int(unitriangular)) if upper else np.tril(a, -int(unitriangular))
    t = t + np.eye(a.shape[-1]) * unitriangular
    return np.linalg.solve(t, b) if left else np.linalg.solve(t.mT, b.mT).mT


row("linalg_solve_triangular", np_solve_triangular, *[
    with_(WELL(*a), N(*b), upper=upper, unitriangular=unit)
    for upper in (True, False) for unit in (True, False)
    for a, b in [((3, 3), (3, 2)), ((2, 2), (2, 2)), ((2, 2, 2), (2, 1)), ((2, 2), (2, 2, 1))]],
    with_(WELL(3, 3), N(2, 3), upper=True, left=False),
    with_(WELL(2, 2), N(3, 2), upper=False, left=False),
    with_(WELL(0, 0), N(0, 2), upper=True), call=tg.linalg.solve_triangular,
    torch="linalg.solve_triangular")
row("cholesky_solve", lambda b, l, upper=False: np.linalg.solve(l.mT @ l if upper else l @ l.mT, b),
    with_(N(3, 2), WELL(3, 3)), with_(N(2, 2, 1), WELL(2, 2)),
    before=lambda b, l: (b, lower(l)))
row("cholesky_solve", lambda b, l, upper: np.linalg.solve(l.mT @ l, b),
    with_(N(3, 2), WELL(3, 3), upper=True),
    before=lambda b, l: (b, lower(l).mT))
row("cholesky_inverse", lambda l: np.linalg.inv(l @ l.mT), each(WELL, (3, 3), (2, 2, 2)),
    before=lambda l: (lower(l),))

# ---- Determinants --------------------------------------------------------------------------------

row("linalg_det", np.linalg.det, SQUARES, call=tg.linalg.det, torch="linalg.det")
row("linalg_cofactors", lambda x: np.linalg.det(x)[..., None, None] * np.linalg.inv(x).mT,
    each(N, (3, 3), (2, 2), (2, 3, 3), (1, 1), (0, 0)), torch=None)
row("linalg_slogdet", np.linalg.slogdet, SQUARES, call=tg.linalg.slogdet, torch="linalg.slogdet",
    after=tuple)
row("logdet", lambda x: np.linalg.slogdet(x)[1], SQUARES, before=gram)

# ---- Pseudo-inverse and least squares ------------------------------------------------------------

row("linalg_pinv", np.linalg.pinv, each(N, (3, 2), (2, 3), (2, 2, 4), (2, 0), (0, 3), (0, 2, 3)),
    each(WELL, (3, 3)), call=tg.linalg.pinv, torch="linalg.pinv")
row("linalg_pinv", np.linalg.pinv, with_(N(4, 2), N(2, 3)),
    with_(N(2, 3, 1), N(1, 2)),  # not of full rank
    call=tg.linalg.pinv, torch="linalg.pinv", before=lambda x, y: (x @ y,))
row("linalg_pinv", lambda x, hermitian: np.linalg.pinv(x), with_(N(3, 2), hermitian=True),
    with_(WELL(2, 3, 3), hermitian=True), call=tg.linalg.pinv, torch="linalg.pinv", before=gram)
row("pinverse", lambda x, rcond=1e-15: np.linalg.pinv(x, rcond), with_(N(3, 2)),
    with_(N(2, 3), 1e-9))
row("linalg_lstsq", lambda a, b, driver: np.linalg.pinv(a) @ b,
    with_(N(4, 2), N(4, 3), driver="gelsd"),
    with_(N(2, 4, 2), N(2, 4, 1), driver="gelsd"), with_(N(2, 3), N(2, 1), driver="gelsd"),
    call=tg.linalg.lstsq, torch="linalg.lstsq", after=lambda out: out if len(out) != 4 else out[0])

# ---- Factors -------------------------------------------------------------------------------------

row("cholesky", lambda x, upper=False: np.linalg.cholesky(x, upper=upper),
    each(WELL, (3, 3), (2, 2, 2), (1, 1), (0, 0)),
    with_(WELL(3, 3), upper=True), call=tg.linalg.cholesky, torch="linalg.cholesky", before=gram)
TALL, WIDE = [(3, 2), (3, 3), (2, 2), (2, 3, 2), (2, 0)], [(2, 3), (2, 1, 2), (1, 4), (0, 3)]
row("linalg_qr", np.linalg.qr, each(N, *TALL), each(N, *WIDE), call=tg.linalg.qr,
    torch="linalg.qr", after=tuple)
row("linalg_qr", None, with_(N(3, 2), mode="r"), with_(N(2, 3), mode="r"), call=tg.linalg.qr,
    torch=None,
    after=lambda out: out[1])


def rest_of_basis(out):
    """R, and the projector on what Q adds to the columns of R."""
    rest = out[0][..., min(out[1].shape[-2:]):]
    return out[1], rest @ rest.mT


row("complement", lambda x: np.linalg.qr(x, "complete"),
    each(N, (4, 2), (3, 1), (2, 3, 2), (3, 3), (2, 3), (2, 0)),
    call=lambda x: tg.linalg.qr(x, "complete"), torch=None,
    after=rest_of_basis)
row("linalg_eigh", np.linalg.eigh, each(N, (3, 3), (2, 2), (2, 3, 3), (1, 1), (0, 0)),
    with_(N(3, 3), UPLO="U"),
    call=tg.linalg.eigh, torch="linalg.eigh", before=lambda x: (x + x.mT,),
    after=lambda out: (out[0], out[1][..., :1] @ out[1][..., :1].mT))
row("linalg_eigvalsh", np.linalg.eigvalsh,
    each(N, (3, 3), (2, 2), (2, 3, 3), (1, 1), (0, 0)), with_(N(3, 3), UPLO="U"),
    call=tg.linalg.eigvalsh, torch="linalg.eigvalsh", before=lambda x: (x + x.mT,))


def free_of_signs(out):
    u, s, vh = out
    last, last_v = u[..., -1:], vh[..., -1:, :]
    return s, u[..., :1] @ vh[..., :1, :], last @ last.mT, last_v.mT @ last_v


row("linalg_svd", np.linalg.svd, *[with_(N(*shape), full_matrices=False) for shape in TALL + WIDE],
    call=tg.linalg.svd, torch="linalg.svd", after=free_of_signs)
row("linalg_svd", np.linalg.svd, *[with_(N(*shape)) for shape in TALL[:4] + WIDE[:1]],
    call=tg.linalg.svd, torch=None, after=free_of_signs)
row("linalg_svdvals", lambda x: np.linalg.svd(x, compute_uv=False), each(N, *TALL, *WIDE),
    call=tg.linalg.svdvals, torch="linalg.svdvals")

row("linalg_lu_factor", None, each(N, *TALL, *WIDE, (3, 0), (0, 0)), call=tg.linalg.lu_factor,
    torch="linalg.lu_factor", after=tuple)
row("linalg_lu_factor", None, each(N, *TALL, *WIDE), call=tg.linalg.lu, torch="linalg.lu",
    after=lambda out: tuple(out)[1:])
SWAPS = np.array([2, 3, 3], np.int32)
row("lu_solve", None, with_(WELL(3, 3), SWAPS, N(3, 2)), with_(WELL(3, 3), SWAPS, N(2, 3, 1)),
    with_(WELL(1, 2, 2), np.array([[2, 2]], np.int32), N(2, 2, 1)),
    with_(WELL(3, 3), SWAPS, N(3, 2), adjoint=True), with_(WELL(3, 3), SWAPS, N(2, 3), left=False),
    call=tg.linalg.lu_solve, torch="linalg.lu_solve")
row("lu_solve", None, with_(N(3, 2), WELL(3, 3), SWAPS), torch=None)  # which warns that it is old

# ---- Functions -----------------------------------------------------------------------------------


def np_exp(x):
    """By eigenvectors."""
    values, vectors = np.linalg.eig(x)
    return ((vectors * np.exp(values)[..., None, :]) @ np.linalg.inv(vectors)).real


row("matrix_exp", np_exp, each(N, (3, 3), (2, 2), (2, 3, 3), (1, 1), (0, 0), (0, 2, 2)),
    call=tg.matrix_exp)
row("matrix_exp", np_exp, with_(WELL(3, 3)), call=tg.matrix_exp, before=lambda x: (x * 3,))
row("matrix_power", np.linalg.matrix_power,
    *[with_(WELL(2, 2), n) for n in (-2, -1, 0, 1, 2, 3, 5)],
    with_(WELL(2, 3, 3), 3))


def np_chain(*xs):
    return np.linalg.multi_dot(xs)


row("linalg_multi_dot", np_chain, with_(N(2, 3), N(3, 2)),
    with_(N(2, 3), N(3, 1), N(1, 4), N(4, 2)),
    with_(N(3), N(3, 2), N(2)), with_(N(3), N(3, 2)), with_(N(2, 3), N(3)), with_(N(3), N(3)),
    with_(N(2, 0), N(0, 3), N(3, 2)), call=lambda *xs: tg.linalg.multi_dot(xs), torch=None)
row("linalg_tensorinv", lambda x, ind=2: np.linalg.tensorinv(x, ind), with_(N(2, 3, 6)),
    with_(N(4, 2, 2), ind=1), torch="linalg.tensorinv")
row("linalg_tensorsolve", lambda a, b, dims=None: np.linalg.tensorsolve(a, b, dims),
    with_(N(2, 3, 6), N(2, 3)), with_(N(2, 2, 2, 2), N(2, 2)),
    with_(N(2, 3, 6), N(2, 3), dims=(0, 2)),
    torch="linalg.tensorsolve")

# ---- Parts and vectors ---------------------------------------------------------------------------

row("linalg_diagonal", lambda x, offset=0, dim1=-2, dim2=-1: np.diagonal(x, offset, dim1, dim2),
    with_(N(3, 3)), with_(N(2, 3, 4)), with_(N(3, 4), offset=1), with_(N(3, 4), offset=-2),
    with_(N(3, 2, 4), offset=1, dim1=0, dim2=2), with_(N(2, 3), offset=3), with_(N(2, 0)),
    torch="linalg.diagonal")
row("linalg_vecdot", np.vecdot, with_(N(2, 3), N(2, 3)), with_(N(3), N(2, 3)),
    with_(N(2, 0), N(2, 0)),
    torch="linalg.vecdot")
row("linalg_vecdot", lambda x, y, dim: (x * y).sum(dim), with_(N(2, 3), N(2, 3), dim=0),
    with_(N(2, 3), N(2, 1), dim=-2), torch="linalg.vecdot")
row("linalg_cross", lambda x, y, dim=-1: np.cross(x, y, axis=dim), with_(N(3), N(3)),
    with_(N(2, 3), N(2, 3)), with_(N(3, 2), N(3, 2), dim=0), with_(N(2, 3), N(1, 3)),
    with_(N(0, 3), N(0, 3)),
    torch="linalg.cross")
row("linalg_vander", lambda x, N=None: x[..., None] ** np.arange(N or x.shape[-1]), with_(N(3)),
    with_(N(2, 3), N=4), with_(N(2), N=3), torch="linalg.vander")

# ---- Norms ---------------------------------------------------------------------------------------

ORDERS = (0.5, 1, 1.5, 2, 3, -1, -2.5, np.inf, -np.inf)


def np_vector_norm(x, ord=2, dim=None, keepdim=False):
    return np.linalg.vector_norm(x, axis=dim, keepdims=keepdim, ord=ord)


row("linalg_vector_norm", np_vector_norm, *[with_(N(2, 3), ord=p) for p in ORDERS],
    *[with_(N(2, 3), ord=p, dim=-1, keepdim=True) for p in ORDERS],
    with_(N(2, 3, 2), ord=3, dim=(0, -1)),
    with_(N(2, 3), dim=0), with_(N()), with_(N(0)), with_(N(0, 2), ord=1), with_(N(0, 2), dim=0),
    torch="linalg.vector_norm")
row("linalg_vector_norm", np_vector_norm, with_(N(2, 3), ord=0, dim=1), torch="linalg.vector_norm",
    smooth=False)


MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)


def np_matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False):
    return np.linalg.norm(x, ord, dim, keepdim)


row("linalg_matrix_norm", np_matrix_norm, *[with_(N(2, 3), ord=p) for p in MATRIX_ORDERS],
    *[with_(N(3, 2, 2), ord=p, dim=(2, 0), keepdim=True) for p in MATRIX_ORDERS],
    with_(N(2, 0, 3)), with_(N(0, 2), ord="nuc"), torch="linalg.matrix_norm")
row("linalg_norm",
    lambda x, ord=None, dim=None, keepdim=False: np.linalg.norm(x, ord, dim, keepdim),
    with_(N(3)), with_(N(2, 3)), with_(N(3), ord=3), with_(N(2, 3), ord=1),
    with_(N(2, 3), ord="nuc"),
    with_(N(2, 3), ord=1, dim=1), with_(N(2, 3, 2), dim=(0, 2), keepdim=True),
    with_(N(2, 3, 2), ord=2, dim=(0, 1)),
    torch="linalg.norm")
row("linalg_norm", lambda x: np.sqrt((x * x).sum()), with_(N(2, 2, 2)), torch="linalg.norm")
row("linalg_cond", np.linalg.cond, with_(WELL(3, 3)), with_(WELL(2, 2, 2)),
    with_(N(2, 3), p=-2), with_(N(3, 2), p=2),
    torch="linalg.cond")
row("linalg_cond", np.linalg.cond,
    *[with_(WELL(2, 2), p=p) for p in (1, -1, np.inf, -np.inf, "fro", "nuc")],
    torch=None)  # which overwrites what its gradient needs
