"""Systems of linear equations: inverses, determinants, least squares."""

import math
from collections import namedtuple

import numpy as np

from ....kernels import matmul as kernel
from ...primitive import primitive
from ...registry import ShapeError, composition
from ...tensor import Tensor
from ..diagonal import tril, triu
from ..elementwise import log
from ..reduce import sum
from ..shape import movedim, reshape, squeeze, unsqueeze
from .common import checked_matrices, failures, linalg_op, or_nan, without_failures
from .products import matmul

__all__ = ["cholesky_inverse", "cholesky_solve", "det", "inverse", "logdet", "pinverse", "slogdet"]

SlogdetResult = namedtuple("SlogdetResult", "sign logabsdet")
LstsqResult = namedtuple("LstsqResult", "solution residuals rank singular_values")
InvExResult = namedtuple("InvExResult", "inverse info")
SolveExResult = namedtuple("SolveExResult", "result info")

SINGULAR = "{}: {{}} is singular{}"


# ---- Inverse and solution ------------------------------------------------------------------------


@primitive(name="linalg_inv")
def inverse_or_nan(x):
    """x⁻¹ of matrices [..., n, n]; NaN for those that are singular"""
    return or_nan(np.linalg.inv, x)


inverse_or_nan.vjp(x=lambda g, out: -(out.mT @ g @ out.mT))


def inv(A):
    """A⁻¹ of matrices [..., n, n]; a LinAlgError names one that is singular"""
    checked_matrices(A, "linalg.inv", square=True)
    message = SINGULAR.format("linalg.inv", "; pinv gives its pseudo-inverse")
    return without_failures(inverse_or_nan(A), A, message=message)


inverse = inv


def inv_ex(A, *, check_errors=False):
    """(A⁻¹, info): info is 1 where A is singular, whose inverse is NaN here"""
    out = inverse_or_nan(checked_matrices(A, "linalg.inv_ex", square=True))
    return InvExResult(inv(A) if check_errors else out, info_of(failures(out, A)))


def info_of(failed) -> Tensor:
    return Tensor(np.asarray(failed, np.int32))


@primitive(name="linalg_solve")
def solution_or_nan(a, b):
    """a⁻¹ b of a [..., n, n] and b [..., n, k]; NaN where a is singular"""
    return or_nan(np.linalg.solve, a, b)


solution_or_nan.vjp(
    a=lambda g, a, out: -(solve(a.mT, g) @ out.mT),
    b=lambda g, a: solve(a.mT, g),
)


def solve(A, B, *, left=True):
    """The X of A X = B, or with left=False of X A = B, for A [..., n, n]. B holds a matrix for
    every A, or is a vector [n], or holds a vector for every A [..., n]."""
    out, vector = solution(A, B, left, "linalg.solve")
    message = SINGULAR.format("linalg.solve", "; lstsq solves as well as can be")
    without_failures(out, A, unsqueeze(B, -1) if vector else B, message=message)
    return squeeze(out, -1) if vector else out


def solve_ex(A, B, *, left=True, check_errors=False):
    """(X, info): info is 1 where A is singular, for which X is NaN here"""
    if check_errors:
        solve(A, B, left=left)
    out, vector = solution(A, B, left, "linalg.solve_ex")
    return SolveExResult(squeeze(out, -1) if vector else out, info_of(failures(out, A)))


def solution(a, b, left, op):
    """(X as matrices, whether B holds vectors), NaN where A is singular."""
    checked_matrices(a, op, square=True)
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    b = unsqueeze(b, -1) if vector else b
    if b.shape[-2 if left or vector else -1] != a.shape[-1]:
        raise ShapeError(
            f"{op}: A {a.shape} and B {b.shape} don't fit: there must be as many equations in both"
        )
    if left:
        return solution_or_nan(a, b), vector
    if vector:
        return solution_or_nan(a.mT, b), vector
    return solution_or_nan(a.mT, b.mT).mT, vector


@linalg_op
def tensorinv(A, ind=2):
    """The inverse of A as a map: with ind = 2, tensordot(tensorinv(A), tensordot(A, x)) is x"""
    rows, columns = A.shape[:ind], A.shape[ind:]
    if ind <= 0 or math.prod(rows) != math.prod(columns):
        raise ShapeError(f"linalg.tensorinv: {rows} and {columns} must have as many elements")
    return reshape(inv(reshape(A, (math.prod(rows), math.prod(columns)))), (*columns, *rows))


@linalg_op
def tensorsolve(A, B, dims=None):
    """The X of tensordot(A, X, X.ndim) = B; `dims` of A are first moved to its end"""
    if dims is not None:
        A = movedim(A, tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    columns = A.shape[B.ndim :]
    count = math.prod(columns)
    if math.prod(B.shape) != count or math.prod(A.shape[: B.ndim]) != count:
        raise ShapeError(
            f"linalg.tensorsolve: A {A.shape} must have as many elements in its first {B.ndim} "
            f"dimensions as in the others and as B {B.shape}"
        )
    return reshape(solve(reshape(A, (count, count)), reshape(B, (count,))), columns)


# ---- Triangles -----------------------------------------------------------------------------------

LEAF = 32  # so many equations LAPACK solves at once; more are halved, and become matrix products


@primitive(name="linalg_solve_triangular")
def substituted(a, b, upper, unitriangular=False):
    """T⁻¹ b, where T is the upper or lower triangle of a [..., n, n], perhaps with 1 on the
    diagonal, and b [..., n, k]"""
    t = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        i = np.arange(t.shape[-1])
        t[..., i, i] = 1
    if upper:
        return back_substituted(t, b)
    turned = lambda x: x[..., ::-1, :]  # from last to first, a lower triangle is an upper one
    return turned(back_substituted(turned(t)[..., ::-1], turned(b)))


def back_substituted(t, b):
    """t⁻¹ b of an upper triangle. It is its own LU factorisation, so that LAPACK's solution of
    general systems is back substitution; but it spends n³ on finding that. Hence by halves:

        [P Q] [x]   [c]      y = R⁻¹ d
        [0 R] [y] = [d]      x = P⁻¹ (c - Q y)
    """
    n, half = t.shape[-1], t.shape[-1] // 2
    if n <= LEAF:
        return or_nan(np.linalg.solve, t, b)
    y = back_substituted(t[..., half:, half:], b[..., half:, :])
    c = b[..., :half, :] - kernel.matmul(t[..., :half, half:], y)
    return np.concatenate([back_substituted(t[..., :half, :half], c), y], -2)


def triangle(x, upper, unitriangular):
    """The part of x that a triangular matrix has its numbers in."""
    return triu(x, int(unitriangular)) if upper else tril(x, -int(unitriangular))


def checked_substitution(a, b, upper, unitriangular=False):
    """T⁻¹ b; an error if T has a 0 on its diagonal"""
    message = SINGULAR.format("linalg.solve_triangular", ": it has a 0 on its diagonal")
    return without_failures(substituted(a, b, upper, unitriangular), a, b, message=message)


substituted.vjp(
    a=lambda g, a, out, upper, unitriangular: (
        -triangle(
            checked_substitution(a.mT, g, not upper, unitriangular) @ out.mT, upper, unitriangular
        )
    ),
    b=lambda g, a, upper, unitriangular: checked_substitution(a.mT, g, not upper, unitriangular),
)


def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    """The X of A X = B, or with left=False of X A = B, for triangular A [..., n, n] and matrices B.

    Only the triangle of A that `upper` says is read; unitriangular: as if it had 1 on the diagonal.
    Unlike in PyTorch, a 0 on the diagonal is a LinAlgError.
    """
    checked_matrices(A, "linalg.solve_triangular", square=True)
    checked_matrices(B, "linalg.solve_triangular")
    if A.shape[-1] != B.shape[-2 if left else -1]:
        raise ShapeError(f"linalg.solve_triangular: A {A.shape} and B {B.shape} don't fit")
    if left:
        return checked_substitution(A, B, bool(upper), bool(unitriangular))
    return checked_substitution(A.mT, B.mT, not upper, bool(unitriangular)).mT


@composition
def cholesky_solve(input, L, upper=False):
    """A⁻¹ input, given the Cholesky factor of A: A = L Lᵀ, or Lᵀ L if it is the upper one"""
    L = L.mT if upper else L
    return solve_triangular(L.mT, solve_triangular(L, input, upper=False), upper=True)


@composition
def cholesky_inverse(L, upper=False):
    """A⁻¹, given the Cholesky factor of A: A = L Lᵀ, or Lᵀ L if it is the upper one"""
    checked_matrices(L, "cholesky_inverse", square=True)
    return cholesky_solve(Tensor(np.eye(L.shape[-1], dtype=L.dtype)), L, upper)


# ---- Determinants --------------------------------------------------------------------------------


@primitive(name="linalg_det")
def determinant(x):
    return np.asarray(np.linalg.det(x))


def det(A):
    """The determinant of matrices [..., n, n]. Its gradient is right for singular ones, too; the
    gradient of the gradient, only for others."""
    return determinant(checked_matrices(A, "linalg.det", square=True))


@primitive(name="linalg_cofactors")
def cofactors(x):
    """∂det/∂x, which is det(x) x⁻ᵀ where that exists. From x = U S Vᵀ, it is det(U) det(V) U C Vᵀ,
    C diagonal, with all singular values but the i-th multiplied up"""
    u, s, vt = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1).astype(x.dtype)
    sign = np.rint(np.linalg.det(u) * np.linalg.det(vt))
    return (u * (sign[..., None] * others)[..., None, :]) @ vt


def gradient_of_cofactors(g, x, out):
    """From d(det · Y) = (tr(outᵀ dx) - out dxᵀ) Y, with Y = x⁻ᵀ"""
    y = inv(x).mT
    return out * sum(g * y, (-1, -2), keepdim=True) - y @ g.mT @ out


determinant.vjp(x=lambda g, x: g[..., None, None] * cofactors(x))
cofactors.vjp(x=gradient_of_cofactors)


@primitive(name="linalg_slogdet")
def sign_and_log(x):
    """The sign of the determinant and the logarithm of its size, [..., 2]"""
    return np.stack(np.linalg.slogdet(x), -1)


sign_and_log.vjp(x=lambda g, x: g[..., 1][..., None, None] * inv(x).mT)


def slogdet(A):
    """(sign, log |det A|) of matrices [..., n, n], without overflow; (0, -inf) for singular ones,
    which have no gradient"""
    both = sign_and_log(checked_matrices(A, "linalg.slogdet", square=True))
    return SlogdetResult(both[..., 0], both[..., 1])


@composition
def logdet(A):
    """log det A of matrices [..., n, n]: NaN if the determinant is negative, -inf if it is 0"""
    sign, size = slogdet(A)
    return log(sign) + size


# ---- Pseudo-inverse and least squares ------------------------------------------------------------


def cutoff(sizes, shape, atol, rtol):
    """Below which size [...] singular values [..., k] of matrices of this shape count as 0."""
    plain = lambda t: np.asarray(getattr(t, "array", t))
    if rtol is None:
        given = atol is not None and (plain(atol) > 0).any()
        rtol = 0.0 if given else max(shape[-2:], default=0) * np.finfo(sizes.dtype).eps
    largest = sizes.max(-1, initial=0)
    return np.maximum(0.0 if atol is None else plain(atol), plain(rtol) * largest)


@primitive(name="linalg_pinv")
def pseudo_inverse(x, atol=None, rtol=None, hermitian=False):
    """The x⁺ [..., n, m] of x [..., m, n]: of U S Vᵀ it is V S⁻¹ Uᵀ, with 0 for 1/0"""
    if hermitian:
        s, u = np.linalg.eigh(x)
        vt = np.swapaxes(u, -1, -2)
    else:
        u, s, vt = np.linalg.svd(x, full_matrices=False)
    kept = np.abs(s) > cutoff(np.abs(s), x.shape, atol, rtol)[..., None]
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(x.dtype)
    return np.swapaxes((u * inverse[..., None, :]) @ vt, -1, -2)


def gradient_of_pseudo_inverse(g, x, out):
    """Golub and Pereyra 1973, eq. 4.12: dP = -P dx P + P Pᵀ dxᵀ (1 - x P) + (1 - P x) dxᵀ Pᵀ P"""
    p, pt, gt = out, out.mT, g.mT
    y, z = gt @ p @ pt, pt @ p @ gt
    return -(pt @ g @ pt) + (y - x @ (p @ y)) + (z - (z @ p) @ x)


pseudo_inverse.vjp(x=gradient_of_pseudo_inverse)


def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None):
    """The pseudo-inverse [..., n, m] of matrices [..., m, n] (Moore and Penrose).

    Singular values up to max(atol, rtol · largest) count as 0; rtol is max(m, n) eps if neither is
    given. hermitian: A is symmetric, and only its lower triangle is read. The gradient holds while
    the rank does not change.
    """
    checked_matrices(A, "linalg.pinv", square=hermitian, finite=True)
    return pseudo_inverse(A, atol, rcond if rtol is None else rtol, hermitian)


@composition
def pinverse(x, rcond=1e-15):
    """The pseudo-inverse; singular values up to rcond times the largest count as 0"""
    return pinv(x, rtol=rcond)


def matrix_rank(A, tol=None, hermitian=False, *, atol=None, rtol=None):
    """How many singular values are larger than max(atol, rtol · largest) [...], as int64; rtol is
    max(m, n) eps if neither is given"""
    checked_matrices(A, "linalg.matrix_rank", square=hermitian, finite=True)
    x = A.array
    sizes = np.abs(np.linalg.eigvalsh(x)) if hermitian else np.linalg.svd(x, compute_uv=False)
    if tol is not None:
        atol, rtol = tol, 0.0
    limit = cutoff(sizes, x.shape, atol, rtol)
    return Tensor(np.asarray(np.sum(sizes > limit[..., None], -1)))


@linalg_op
def lstsq(A, B, rcond=None, *, driver=None):
    """The X [..., n, k] that makes A X - B [..., m, k] shortest: (solution, residuals, rank,
    singular_values), as PyTorch's `driver` on the CPU gives them.

    Where A has not full rank, the shortest such X. B may hold vectors [..., m]. residuals: the
    squared lengths, if m > n and the rank is full, else empty. The pseudo-inverse is used, whatever
    the driver. The gradient holds while the rank does not change.
    """
    checked_matrices(A, "linalg.lstsq", finite=True)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"linalg.lstsq: driver is gels, gelsy, gelsd or gelss, not {driver!r}")
    m, n = A.shape[-2:]
    vector = B.ndim == A.ndim - 1 and B.shape == A.shape[:-1]
    b = unsqueeze(B, -1) if vector else B
    if b.ndim < 2 or b.shape[-2] != m:
        raise ShapeError(f"linalg.lstsq: A {A.shape} and B {B.shape} must have as many rows")
    rtol = max(m, n) * np.finfo(A.dtype).eps if rcond is None else rcond
    x = matmul(pseudo_inverse(A, None, rtol), b)
    rank = matrix_rank(A, rtol=rtol)
    residuals, sizes = reshape(x, (-1,))[:0], Tensor(np.zeros(0, A.dtype))
    if m > n and (driver == "gels" or (driver in ("gelsd", "gelss") and (rank.array == n).all())):
        residuals = sum((matmul(A, x) - b) ** 2, -2)
    if driver in ("gelsd", "gelss"):
        sizes = Tensor(np.linalg.svd(A.array, compute_uv=False))
    if driver == "gels":
        rank = Tensor(np.zeros(0, np.int64))
    return LstsqResult(squeeze(x, -1) if vector else x, residuals, rank, sizes)
