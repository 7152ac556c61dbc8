"""Of linear algebra, what samples can't say: repeated values, singular matrices, messages."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd.gradcheck import gradcheck, gradgradcheck

RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.standard_normal(shape)


def leaf(array):
    return tg.tensor(np.array(array, np.float64)).requires_grad_()


def orthogonal(n):
    return np.linalg.qr(normal(n, n))[0]


def with_eigenvalues(*values):
    q = orthogonal(len(values))
    return q @ np.diag(values) @ q.T


def gradient(f, x):
    x = leaf(x)
    (g,) = tg.autograd.grad(f(x), [x])
    return g.numpy()


def differences(f, x, h=1e-5):
    """∂f/∂x of a number f for symmetric changes of x: half of each for (i, j) and (j, i)."""
    g = np.zeros_like(x)
    for i, j in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i, j] += h / 2
        step[j, i] += h / 2
        g[i, j] = (f(tg.tensor(x + step)).item() - f(tg.tensor(x - step)).item()) / (2 * h)
    return g


# ---- Repeated eigenvalues and singular values ----------------------------------------------------

REPEATED = [np.eye(3), np.zeros((2, 2)), with_eigenvalues(1, 1, 2.5), with_eigenvalues(-1, 2, 2, 2)]


@pytest.mark.parametrize("x", REPEATED, ids=["eye", "zero", "pair", "three"])
def test_symmetric_functions_of_repeated_eigenvalues_have_their_gradient(x):
    f = lambda x: (tg.linalg.eigvalsh(x) ** 3 + tg.linalg.eigvalsh(x)).sum()
    np.testing.assert_allclose(gradient(f, x), 3 * x @ x + np.eye(len(x)), atol=1e-12)
    g = lambda x: (tg.linalg.eigh(x).eigenvalues ** 3 + tg.linalg.eigh(x)[0]).sum()
    np.testing.assert_allclose(gradient(g, x), 3 * x @ x + np.eye(len(x)), atol=1e-12)


@pytest.mark.parametrize("values", [(1, 1, 2.5), (1, 1 + 1e-15, 2.5), (1, 1 + 1e-10, 2.5)])
def test_projectors_on_all_vectors_of_equal_eigenvalues_have_their_gradient(values):
    x, c = with_eigenvalues(*values), tg.tensor(normal(3, 3))

    def f(x):
        v = tg.linalg.eigh(x).eigenvectors[:, :2]
        return (v @ v.mT * c).sum()

    found = gradient(f, x)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(found, differences(f, x), rtol=1e-6, atol=1e-5)


def test_loss_that_depends_on_the_choice_of_vectors_is_refused():
    c = tg.tensor(normal(3, 3))
    for x in (np.eye(3), with_eigenvalues(1, 1, 2.5)):
        with pytest.raises(RuntimeError, match=r"linalg\.eigh: .* numbers 0 and 1 .* no gradient"):
            gradient(lambda x: (tg.linalg.eigh(x).eigenvectors * c).sum(), x)
        with pytest.raises(RuntimeError, match=r"linalg\.svd: .* are equal or 0.* no gradient"):
            gradient(lambda x: (tg.linalg.svd(x).U * c).sum(), x)
    batch = np.stack([with_eigenvalues(1, 2, 3), np.eye(3)])
    with pytest.raises(RuntimeError, match=r"of matrix \(1,\) of the stack"):
        gradient(lambda x: (tg.linalg.eigh(x).eigenvectors * c).sum(), batch)


@pytest.mark.parametrize("x", [np.eye(3), with_eigenvalues(1, 1, 2.5)])
def test_values_and_vectors_read_together_are_refused_where_values_are_equal(x):
    """The gradient of the sum of C ∘ (V Λ² Vᵀ) is C x + x C: the factors know only a part"""
    c = tg.tensor(normal(3, 3))

    def f(x):
        values, vectors = tg.linalg.eigh(x)
        return ((vectors * values**2) @ vectors.mT * c).sum()

    with pytest.raises(RuntimeError, match="reads values and vectors together"):
        gradient(f, x)
    other = with_eigenvalues(1, 1 + 1e-9, 2.5)  # near, but not equal
    sym = (c.numpy() + c.numpy().T) / 2
    np.testing.assert_allclose(gradient(f, other), sym @ other + other @ sym, rtol=1e-5, atol=1e-5)

    def g(x):
        u, s, vh = tg.linalg.svd(x)
        return ((u * s) @ vh * c).sum()

    with pytest.raises(RuntimeError, match=r"linalg\.svd: .*together"):
        gradient(g, x)


def low_rank(m, n, *values):
    k = len(values)
    return orthogonal(m)[:, :k] @ np.diag(values) @ orthogonal(n)[:, :k].T


@pytest.mark.parametrize("x", [np.eye(3), low_rank(4, 3, 2, 2, 1), low_rank(3, 3, 1, 1)])
def test_repeated_singular_values_have_a_gradient(x):
    """Of Σ s⁴ = tr (xᵀx)²: 4 x xᵀ x."""
    expected = 4 * x @ x.T @ x
    found = gradient(lambda x: (tg.linalg.svdvals(x) ** 4).sum(), x)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    found = gradient(lambda x: (tg.linalg.svd(x, full_matrices=False).S ** 4).sum(), x)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_nuclear_norm_has_a_subgradient_at_low_rank():
    x = low_rank(4, 3, 2, 1)
    g = gradient(lambda x: tg.linalg.matrix_norm(x, "nuc"), x)
    assert np.isfinite(g).all()
    assert np.linalg.norm(g, 2) < 1 + 1e-12
    np.testing.assert_allclose((g * x).sum(), 3)  # <g, x> = ‖x‖, as of every subgradient


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)])
def test_truncated_svd_of_a_low_rank_matrix_has_its_gradient(shape):
    """The best approximation of rank 2, at a matrix of rank 2: both kinds of values 0 are met. Its
    derivative is projection on the tangent space, dx -> P dx + dx Q - P dx Q."""
    x, c = low_rank(*shape, 3, 2), normal(*shape)
    p, q = x @ np.linalg.pinv(x), np.linalg.pinv(x) @ x

    def f(x):
        u, s, vh = tg.linalg.svd(x, full_matrices=False)
        return ((u[:, :2] * s[:2]) @ vh[:2] * tg.tensor(c)).sum()

    np.testing.assert_allclose(gradient(f, x), p @ c + c @ q - p @ c @ q, atol=1e-10)


def test_value_zero_of_a_matrix_that_is_not_square_is_refused_with_its_vectors():
    x, c = low_rank(4, 3, 2, 1), tg.tensor(normal(4, 3))
    with pytest.raises(RuntimeError, match=r"linalg\.svd.* 0"):
        gradient(lambda x: (tg.linalg.svd(x, full_matrices=False).U * c).sum(), x)


def test_completing_vectors_have_the_gradient_of_what_does_not_depend_on_their_choice():
    x, c = normal(4, 2), tg.tensor(normal(4, 2))
    with pytest.raises(RuntimeError, match="which basis completes the first 2 columns"):
        gradient(lambda x: (tg.linalg.qr(x, "complete").Q[:, 2:] * c).sum(), x)
    with pytest.raises(RuntimeError, match="which basis completes the first 2 columns"):
        gradient(lambda x: (tg.linalg.svd(x).U[:, 2:] * c).sum(), x)
    full = tg.linalg.qr(tg.tensor(x), "complete").Q.numpy()
    np.testing.assert_allclose(full @ full.T, np.eye(4), atol=1e-14)


def test_second_derivatives_through_near_eigenvalues():
    x = leaf(with_eigenvalues(1.0, 1.05, 2.0))
    f = lambda x: tg.linalg.eigh((x + x.mT) / 2).eigenvectors[:, :1] ** 2
    assert gradcheck(f, x, eps=1e-6, rtol=1e-4)
    assert gradgradcheck(f, x, eps=1e-6, rtol=1e-3, atol=1e-4)


# ---- Singular matrices ---------------------------------------------------------------------------

STACK = np.stack([np.eye(2), np.ones((2, 2))])


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (tg.linalg.inv, r"linalg\.inv: matrix \(1,\) of the stack is singular"),
        (lambda x: tg.linalg.solve(x, tg.ones(2, 1)), r"linalg\.solve: matrix \(1,\)"),
        (lambda x: tg.linalg.cholesky(x - 2), r"cholesky: matrix \(0,\) .* not positive-definite"),
        (lambda x: tg.linalg.solve_triangular(x * 0, tg.ones(2, 1), upper=True), r"matrix \(0,\)"),
        (lambda x: tg.linalg.svd(x * math.nan), r"matrix \(0,\) of the stack holds NaN"),
    ],
)
def test_the_matrix_without_a_result_is_named(op, message):
    with pytest.raises(tg.linalg.LinAlgError, match=message) as caught:
        op(tg.tensor(STACK))
    assert isinstance(caught.value, RuntimeError)  # as in PyTorch, and as in NumPy:
    assert isinstance(caught.value, np.linalg.LinAlgError)


def test_ex_forms_say_which_instead():
    x = tg.tensor(STACK)
    inverse, info = tg.linalg.inv_ex(x)
    assert info.tolist() == [0, 1] and info.dtype == tg.int32
    np.testing.assert_array_equal(inverse[0].numpy(), np.eye(2))
    signs = tg.tensor([1.0, -1.0]).reshape(2, 1, 1)
    assert tg.linalg.cholesky_ex(signs * tg.eye(2)).info.tolist() == [0, 1]
    assert tg.linalg.solve_ex(x, tg.ones(2, 1, dtype=tg.float64)).info.tolist() == [0, 1]
    with pytest.raises(tg.linalg.LinAlgError):
        tg.linalg.inv_ex(x, check_errors=True)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_gradient_of_det_is_the_cofactors_also_at_singular_matrices(rank):
    x = leaf(low_rank(4, 4, *range(1, rank + 1)))
    assert gradcheck(tg.linalg.det, x)
    if rank == 3:
        assert abs(gradient(tg.linalg.det, x.detach().numpy())).max() > 0.1


def test_nothing_is_a_matrix_too():
    empty = leaf(np.zeros((0, 0)))
    assert tg.linalg.det(empty).item() == 1
    assert tg.linalg.slogdet(empty).logabsdet.item() == 0
    assert tg.linalg.inv(empty).shape == (0, 0)
    assert tg.linalg.eigh(empty).eigenvectors.shape == (0, 0)
    assert tg.linalg.solve(empty, tg.zeros(0, 3, dtype=tg.float64)).shape == (0, 3)
    assert tg.linalg.matrix_exp(tg.zeros(0, 2, 2)).shape == (0, 2, 2)
    for op in (tg.linalg.det, tg.linalg.inv, tg.linalg.svd, tg.linalg.qr, tg.linalg.cholesky):
        op(tg.zeros(0, 3, 3))  # no matrix at all
    assert gradient(tg.linalg.det, np.zeros((0, 0))).shape == (0, 0)


@pytest.mark.parametrize(
    "name", ["inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "matrix_exp"]
)
def test_matrices_must_be_square_and_of_floats(name):
    op = getattr(tg.linalg, name)
    with pytest.raises(RuntimeError, match=rf"linalg\.{name} takes square .* \(2, 3\)"):
        op(tg.zeros(2, 3))
    with pytest.raises(RuntimeError, match="int64"):
        op(tg.ones(2, 2, dtype=tg.int64))
    with pytest.raises(RuntimeError, match=r"\(3,\)"):
        op(tg.zeros(3))


# ---- Accuracy ------------------------------------------------------------------------------------


def test_triangles_larger_than_a_leaf_are_solved():
    n = 150
    t = normal(n, n) / n + np.eye(n)
    b = normal(2, n, 3)
    for upper in (True, False):
        part = np.triu(t) if upper else np.tril(t)
        found = tg.linalg.solve_triangular(tg.tensor(t), tg.tensor(b), upper=upper)
        np.testing.assert_allclose(found.numpy(), np.linalg.solve(part, b), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose((part @ found.numpy())[1], b[1], atol=1e-12)


def test_matrix_exp_is_accurate_from_tiny_to_large_norms():
    linalg = pytest.importorskip("scipy.linalg")
    for scale in (1e-8, 1e-2, 1.0, 5.0, 30.0):
        x = normal(3, 5, 5) * scale / 3
        found = tg.matrix_exp(tg.tensor(x)).numpy()
        for one, expected in zip(found, map(linalg.expm, x)):
            assert np.abs(one - expected).max() <= 1e-12 * np.abs(expected).max() * max(1, scale)
    turn = tg.matrix_exp(tg.tensor([[0.0, -math.pi], [math.pi, 0.0]], dtype=tg.float64)).numpy()
    np.testing.assert_allclose(turn, -np.eye(2), atol=1e-14)
    nilpotent = np.triu(np.full((4, 4), 100.0), 1)
    exact = np.eye(4) + nilpotent + nilpotent @ nilpotent / 2
    exact = exact + nilpotent @ nilpotent @ nilpotent / 6
    np.testing.assert_allclose(tg.matrix_exp(tg.tensor(nilpotent)).numpy(), exact, rtol=1e-12)


def test_gradient_of_matrix_exp_is_linear_in_large_and_small_cotangents():
    x, c = leaf(normal(3, 3)), tg.tensor(normal(3, 3))
    of = lambda scale: tg.autograd.grad(tg.matrix_exp(x), [x], [c * scale])[0].numpy() / scale
    np.testing.assert_allclose(of(1e12), of(1.0), rtol=1e-13)
    np.testing.assert_allclose(of(1e-12), of(1.0), rtol=1e-13)


@pytest.mark.parametrize("p", [1.5, 2, 3, 10])
def test_norms_neither_overflow_nor_vanish(p):
    for scale in (1e-200, 1e200):
        x = leaf(np.array([3.0, 4.0]) * scale)
        norm = tg.linalg.vector_norm(x, p)
        np.testing.assert_allclose(norm.item() / scale, np.linalg.norm([3, 4], p))
        (g,) = tg.autograd.grad(norm, [x])
        expected = np.array([3.0, 4.0]) ** (p - 1) / np.linalg.norm([3, 4], p) ** (p - 1)
        np.testing.assert_allclose(g.numpy(), expected)


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, math.inf])
def test_subgradients_at_zero_are_zero(p):
    np.testing.assert_array_equal(gradient(lambda x: tg.linalg.vector_norm(x, p), np.zeros(3)), 0)
    x = normal(3, 2)
    g = gradient(lambda x: tg.cdist(x, x, p=p).sum(), x)
    assert np.isfinite(g).all()
    g = gradient(lambda x: tg.trace(tg.cdist(x, x.detach(), p=p)), x)
    np.testing.assert_array_equal(g, 0)


def test_distances_of_near_points_keep_their_digits():
    x = normal(40, 3) + 100
    y = x + 1e-7
    found = tg.cdist(tg.tensor(x), tg.tensor(y)).numpy()
    np.testing.assert_allclose(np.diag(found), np.linalg.norm(x - y, axis=1), rtol=1e-12)


# ---- Einsum --------------------------------------------------------------------------------------


def test_einsum_takes_lists_of_operands_and_of_numbers():
    a, b = tg.tensor(normal(2, 3)), tg.tensor(normal(3, 4))
    expected = (a @ b).numpy()
    np.testing.assert_allclose(tg.einsum("ij,jk->ik", [a, b]).numpy(), expected)
    np.testing.assert_allclose(tg.einsum(a, [0, 1], b, [1, 2], [0, 2]).numpy(), expected)
    np.testing.assert_allclose(tg.einsum(a, [0, 1], b, [1, 2]).numpy(), expected)
    c = tg.tensor(normal(5, 2, 3))
    found = tg.einsum(c, [..., 0, 1], b, [1, 2], [..., 2, 0]).numpy()
    np.testing.assert_allclose(found, np.einsum("...ij,jk->...ki", c.numpy(), b.numpy()))


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3), (4, 2)], r"'j' .* size 3, and then 4.*\(2, 3\) and \(4, 2\)"),
        ("ij,jk->ik", [(2, 3)], "about 2 operands; there are 1"),
        ("ij->ik", [(2, 3)], "'k' of the result is in no operand"),
        ("i->i", [(2, 3)], "names 1 dimensions of an operand that has 2"),
        ("ijk->i", [(2, 3)], "names 3 dimensions"),
        ("ij->ii", [(2, 3)], "twice in the result"),
        ("ii->i", [(2, 3)], "size 2, and then 3"),
        ("i1->i", [(2, 3)], "letters"),
    ],
)
def test_einsum_explains_mistakes(equation, shapes, message):
    with pytest.raises(RuntimeError, match=message):
        tg.einsum(equation, *[tg.zeros(*shape) for shape in shapes])


def test_einsum_never_makes_more_than_it_must():
    """Left to right, the first product alone would have 10¹² elements."""
    a, b, c = tg.ones(1_000_000), tg.ones(1_000_000), tg.ones(1_000_000)
    assert tg.einsum("i,j,i->j", a, b, c).shape == (1_000_000,)


# ---- Results with several parts, and older names -------------------------------------------------


def test_results_have_pytorchs_names():
    x = tg.tensor(normal(3, 3) + 3 * np.eye(3))
    assert tg.linalg.slogdet(x)._fields == ("sign", "logabsdet")
    assert tg.linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert tg.linalg.svd(x)._fields == ("U", "S", "Vh") and tg.svd(x)._fields == ("U", "S", "V")
    assert tg.linalg.qr(x)._fields == ("Q", "R")
    found = tg.linalg.lstsq(tg.tensor(normal(4, 2)), tg.tensor(normal(4, 1)), driver="gelsd")
    assert [t.shape for t in found] == [(2, 1), (1,), (), (2,)]
    assert found.rank.item() == 2
    np.testing.assert_array_equal(tg.inverse(x).numpy(), tg.linalg.inv(x).numpy())
    assert tg.det(x).item() == x.det().item() == tg.linalg.det(x).item()
    np.testing.assert_array_equal(tg.qr(x).R.numpy(), tg.linalg.qr(x).R.numpy())
    u, s, v = tg.svd(tg.tensor(normal(4, 2)))
    assert (u.shape, s.shape, v.shape) == ((4, 2), (2,), (2, 2))
    assert tg.svd(tg.tensor(normal(4, 2)), some=False).U.shape == (4, 4)


def test_matrix_rank_counts():
    x = np.stack([low_rank(4, 3, 1, 2), low_rank(4, 3, 1, 2, 3)])
    rank = tg.linalg.matrix_rank(tg.tensor(x))
    assert rank.tolist() == [2, 3] and rank.dtype == tg.int64
    assert tg.linalg.matrix_rank(tg.tensor(x), atol=2.5).tolist() == [0, 1]
    assert tg.linalg.matrix_rank(tg.tensor(np.diag([1.0, -1, 0])), hermitian=True).item() == 2


def test_integers_and_bools_are_multiplied_as_such():
    x = tg.tensor([[1, 2], [3, 4]])
    for out in (x @ x, tg.einsum("ij,jk", x, x), tg.tensordot(x, x, 1), tg.kron(x, x), tg.trace(x)):
        assert out.dtype == tg.int64
    assert tg.addmm(x, x, x).tolist() == [[8, 12], [18, 26]]


def test_addmm_does_not_look_at_what_counts_for_nothing():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert tg.addmm(x * math.nan, x, x, beta=0).tolist() == (x @ x).tolist()
    with pytest.raises(ValueError, match=r"addmm: \(3, 2, 2\) can't be added"):
        tg.addmm(tg.zeros(3, 2, 2), x, x)


# ---- Elimination ---------------------------------------------------------------------------------


def test_lu_factors_make_the_matrix_again():
    x = tg.tensor(normal(2, 5, 3))
    p, low, up = tg.linalg.lu(x)
    np.testing.assert_allclose((p @ low @ up).numpy(), x.numpy(), atol=1e-14)
    assert np.abs(low.numpy()).max() == 1  # what pivots are for
    a, b = tg.tensor(normal(40, 40)), tg.tensor(normal(40, 2))
    found = tg.linalg.lu_solve(*tg.linalg.lu_factor(a), b)
    np.testing.assert_allclose(found.numpy(), np.linalg.solve(a.numpy(), b.numpy()), rtol=1e-9)


def test_elimination_names_the_singular_matrix():
    with pytest.raises(tg.linalg.LinAlgError, match=r"lu_factor: matrix \(1,\) of the stack"):
        tg.linalg.lu_factor(tg.tensor(STACK))
    assert tg.linalg.lu_factor_ex(tg.tensor(STACK)).info.tolist() == [0, 2]
