"""Distributions of vectors and classes, and those made of others."""

import numpy as np
import pytest
from scipy import stats

import tinygen as tg
from tinygen.autograd import gradcheck

D = tg.distributions
rng = np.random.default_rng(3)
M = rng.standard_normal((2, 3, 3))
COVARIANCE = M @ np.swapaxes(M, 1, 2) + 0.3 * np.eye(3)
LOC = rng.standard_normal((2, 3))
X = rng.standard_normal((5, 2, 3))
t = tg.tensor

# ---- Normal vectors ------------------------------------------------------------------------------

PARAMETRISATIONS = {
    "covariance_matrix": lambda c: c,
    "precision_matrix": np.linalg.inv,
    "scale_tril": np.linalg.cholesky,
}


@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_multivariate_normal_is_scipys(name):
    d = D.MultivariateNormal(t(LOC), **{name: t(PARAMETRISATIONS[name](COVARIANCE))})
    for i in range(2):
        theirs = stats.multivariate_normal(LOC[i], COVARIANCE[i])
        np.testing.assert_allclose(d.log_prob(t(X))[:, i].numpy(), theirs.logpdf(X[:, i]), 1e-10)
        np.testing.assert_allclose(d.entropy()[i].numpy(), theirs.entropy(), 1e-10)
    np.testing.assert_allclose(d.covariance_matrix.numpy(), COVARIANCE, 1e-10)
    np.testing.assert_allclose(d.precision_matrix.numpy(), np.linalg.inv(COVARIANCE), 1e-9)
    np.testing.assert_allclose(d.variance.numpy(), np.diagonal(COVARIANCE, 0, 1, 2), 1e-10)


@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_one_matrix_for_many_means(name):
    matrix = PARAMETRISATIONS[name](COVARIANCE[0])
    d = D.MultivariateNormal(t(LOC), **{name: t(matrix)})
    expected = [stats.multivariate_normal(m, COVARIANCE[0]).logpdf(X[:, i])
                for i, m in enumerate(LOC)]  # fmt: skip
    np.testing.assert_allclose(d.log_prob(t(X)).numpy(), np.stack(expected, 1), 1e-10)
    assert d.batch_shape == d.entropy().shape == (2,) and d.rsample((4,)).shape == (4, 2, 3)


def test_low_rank_normal_is_the_dense_one():
    factor, diag = rng.standard_normal((2, 3, 2)), rng.uniform(0.1, 2, 3)
    d = D.LowRankMultivariateNormal(t(LOC), t(factor), t(diag))
    dense = D.MultivariateNormal(t(LOC), factor @ t(factor).mT + t(np.diag(diag)))
    for name in ("mean", "variance", "covariance_matrix"):
        np.testing.assert_allclose(getattr(d, name).numpy(), getattr(dense, name).numpy(), 1e-10)
    np.testing.assert_allclose(d.log_prob(t(X)).numpy(), dense.log_prob(t(X)).numpy(), 1e-10)
    np.testing.assert_allclose(d.entropy().numpy(), dense.entropy().numpy(), 1e-10)
    assert gradcheck(lambda f, v: D.LowRankMultivariateNormal(t(LOC), f, v).log_prob(t(X)),
                     (t(factor, requires_grad=True), t(diag, requires_grad=True)))  # fmt: skip


@pytest.mark.parametrize("low_rank", [False, True])
def test_normal_samples_have_mean_and_covariance(low_rank):
    if low_rank:
        factor, diag = rng.standard_normal((2, 3, 1)), rng.uniform(0.1, 2, (2, 3))
        d = D.LowRankMultivariateNormal(t(LOC), t(factor), t(diag))
    else:
        d = D.MultivariateNormal(t(LOC), t(COVARIANCE))
    x, n = d.sample((20000,)).numpy(), 20000
    for i in range(2):
        covariance = d.covariance_matrix[i].numpy()
        sd = np.sqrt(np.diag(covariance))
        assert (np.abs(x[:, i].mean(0) - LOC[i]) < 4 * sd / np.sqrt(n)).all()
        assert (np.abs(np.cov(x[:, i].T) - covariance) < 6 * np.outer(sd, sd) / np.sqrt(n)).all()


@pytest.mark.parametrize("name", PARAMETRISATIONS)
def test_gradients_of_a_normal_vector(name):
    matrix = t(PARAMETRISATIONS[name](COVARIANCE[0]), requires_grad=True)
    loc, x = t(LOC[0], requires_grad=True), t(X[:, 0], requires_grad=True)
    symmetric = lambda m: m.tril() if name == "scale_tril" else (m + m.mT) / 2
    make = lambda loc, m: D.MultivariateNormal(loc, **{name: symmetric(m)}, validate_args=False)
    assert gradcheck(lambda loc, m, x: make(loc, m).log_prob(x), (loc, matrix, x))
    assert gradcheck(
        lambda loc, m: make(loc, m).rsample((3,), generator=tg.Generator(1)), (loc, matrix)
    )


# ---- Proportions and classes ---------------------------------------------------------------------


def test_dirichlet_is_scipys():
    c = np.array([[0.4, 1.0, 7.0], [2.0, 3.0, 0.8]])
    d, x = D.Dirichlet(t(c)), rng.dirichlet([1, 1, 1], (4, 1))
    for i in range(2):
        theirs = stats.dirichlet(c[i])
        expected = [theirs.logpdf(row / row.sum()) for row in x[:, 0]]
        np.testing.assert_allclose(d.log_prob(t(x))[:, i].numpy(), expected, 1e-9)
        np.testing.assert_allclose(d.entropy()[i].numpy(), theirs.entropy(), 1e-10)
        np.testing.assert_allclose(d.mean[i].numpy(), theirs.mean(), 1e-12)
        np.testing.assert_allclose(d.variance[i].numpy(), theirs.var(), 1e-12)
    first = d.sample((5000,)).numpy()[..., 0]
    for i in range(2):  # each part of a Dirichlet variable is a Beta variable
        marginal = stats.beta(c[i, 0], c[i, 1:].sum())
        assert stats.kstest(first[:, i], marginal.cdf).pvalue > 1e-4


def test_pathwise_gradient_of_dirichlet_is_that_of_the_expectation():
    n, weights = 20000, t(np.array([1.0, -2.0, 0.5]))
    c = t(np.tile([0.5, 1.5, 3.0], (n, 1)), requires_grad=True)
    d = D.Dirichlet(c)
    found = tg.autograd.grad(((d.rsample() * weights).sum(-1)).sum(), c)[0].numpy()
    expected = tg.autograd.grad((d.mean * weights).sum(), c)[0].numpy()[0]
    assert (np.abs(found.mean(0) - expected) < 4 * found.std(0) / np.sqrt(n)).all()


@pytest.mark.parametrize("by", ["probs", "logits"])
def test_classes(by):
    p = np.array([[0.2, 0.5, 0.3], [0.0, 0.9, 0.1]])
    with np.errstate(divide="ignore"):
        given = {by: t(7 * p if by == "probs" else np.log(p) + 2)}
    d, rows = D.Categorical(**given), D.OneHotCategorical(**given)
    np.testing.assert_allclose(d.probs.numpy(), p, atol=1e-15)
    labels = d.enumerate_support()
    assert labels.dtype == tg.int64 and labels.shape == (3, 2)
    np.testing.assert_allclose(d.log_prob(labels).exp().numpy(), p.T, atol=1e-15)
    np.testing.assert_allclose(
        rows.log_prob(rows.enumerate_support()).exp().numpy(), p.T, atol=1e-15
    )
    expected = [stats.entropy(row) for row in p]
    np.testing.assert_allclose(d.entropy().numpy(), expected, 1e-12)
    drawn = d.sample((100, 50))
    assert drawn.shape == (100, 50, 2) and drawn.dtype == tg.int64
    counts = np.stack([(drawn.numpy() == k).mean((0, 1)) for k in range(3)], 1)
    assert (np.abs(counts - p) <= 4 * np.sqrt(p * (1 - p) / 5000)).all()
    hot = rows.sample((1000,))
    assert hot.shape == (1000, 2, 3) and (hot.sum(-1) == 1).all()
    assert (d.mode == t([1, 1])).all() and rows.mode.shape == (2, 3)
    assert d.sample((0,)).shape == (0, 2)


def test_relaxed_densities_integrate_to_one_and_fit_their_samples():
    d = D.RelaxedBernoulli(t(1.5).double(), logits=t(np.array(0.4)))
    y = (np.arange(200000) + 0.5) / 200000
    assert abs(np.exp(d.log_prob(t(y)).numpy()).mean() - 1) < 1e-4
    below = lambda x: np.interp(x, y, np.cumsum(np.exp(d.log_prob(t(y)).numpy())) / len(y))
    assert stats.kstest(d.sample((4000,)).numpy(), below).pvalue > 1e-4
    pair = D.RelaxedOneHotCategorical(t(1.5).double(), logits=t(np.array([0.4, 0.0])))
    both = np.stack([y, 1 - y], -1)  # of two classes, the first is a relaxed Bernoulli variable
    np.testing.assert_allclose(pair.log_prob(t(both)).numpy(), d.log_prob(t(y)).numpy(), 1e-8, 1e-8)
    assert stats.kstest(pair.sample((4000,)).numpy()[:, 0], below).pvalue > 1e-4


# ---- Made of others ------------------------------------------------------------------------------


def test_independent_numbers_as_a_vector():
    base = D.Normal(t(LOC), t(np.full(3, 2.0)))
    d = D.Independent(base, 1)
    assert (d.batch_shape, d.event_shape) == ((2,), (3,))
    np.testing.assert_allclose(d.log_prob(t(X)).numpy(), base.log_prob(t(X)).sum(-1).numpy(), 1e-12)
    np.testing.assert_allclose(d.entropy().numpy(), base.entropy().sum(-1).numpy(), 1e-12)
    wider = d.expand((4, 2))
    assert wider.rsample((5,)).shape == (5, 4, 2, 3) and wider.log_prob(t(X[:4])).shape == (4, 2)
    with pytest.raises(ValueError, match="has only 2 batch dimensions"):
        D.Independent(base, 3)


def mixture():
    weights = D.Categorical(t(np.array([0.3, 0.7])))
    return D.MixtureSameFamily(weights, D.Normal(t(np.array([-1.0, 2.0])), t(np.array([0.5, 1.0]))))


def test_mixture_of_normals():
    d, x = mixture(), np.linspace(-4, 5, 19)
    parts = [stats.norm(-1, 0.5), stats.norm(2, 1)]
    density = 0.3 * parts[0].pdf(x) + 0.7 * parts[1].pdf(x)
    cdf = lambda x: 0.3 * parts[0].cdf(x) + 0.7 * parts[1].cdf(x)
    np.testing.assert_allclose(d.log_prob(t(x)).exp().numpy(), density, 1e-10)
    np.testing.assert_allclose(d.cdf(t(x)).numpy(), cdf(x), 1e-10)
    assert stats.kstest(d.sample((4000,)).numpy(), cdf).pvalue > 1e-4
    mean = 0.3 * -1 + 0.7 * 2
    np.testing.assert_allclose(d.mean.item(), mean, 1e-12)
    variance = 0.3 * (0.25 + 1) + 0.7 * (1 + 4) - mean**2
    np.testing.assert_allclose(d.variance.item(), variance, 1e-12)
    assert d.expand((3,)).sample((2,)).shape == (2, 3)


def test_mixture_of_vectors():
    weights = D.Categorical(logits=t(np.zeros((4, 2))))
    d = D.MixtureSameFamily(weights, D.MultivariateNormal(t(LOC), t(COVARIANCE)).expand((4, 2)))
    assert (d.batch_shape, d.event_shape) == ((4,), (3,)) and d.sample((5,)).shape == (5, 4, 3)
    x = t(rng.standard_normal((5, 4, 3)))
    parts = [stats.multivariate_normal(LOC[i], COVARIANCE[i]).pdf(x.numpy()) for i in range(2)]
    np.testing.assert_allclose(d.log_prob(x).exp().numpy(), np.mean(parts, 0), 1e-9)
    np.testing.assert_allclose(d.mean[0].numpy(), LOC.mean(0), 1e-12)
    with pytest.raises(ValueError, match="don't fit components"):
        D.MixtureSameFamily(D.Categorical(tg.ones(3)), D.Normal(tg.zeros(2), tg.ones(2)))


def test_gradient_of_a_mixture():
    logits, loc = t(np.array([0.2, -0.4]), requires_grad=True), t(np.zeros(2), requires_grad=True)
    x = t(np.array([0.3, 1.0, -2.0]), requires_grad=True)

    def log_prob(logits, loc, x):
        return D.MixtureSameFamily(
            D.Categorical(logits=logits), D.Normal(loc, tg.ones_like(loc))
        ).log_prob(x)

    assert gradcheck(log_prob, (logits, loc, x))


# ---- Functions of a variable ---------------------------------------------------------------------


def test_falling_function_of_a_variable():
    """-2 x + 1 for x ~ Exponential: the distribution function is turned round."""
    base = D.Exponential(t(np.array([1.0, 3.0])))
    d = D.TransformedDistribution(base, D.AffineTransform(1.0, -2.0))
    y = t(np.array([[-3.0, 0.5], [0.0, -1.0]]))
    x = (1 - y.numpy()) / 2
    rate = np.array([1.0, 3.0])
    np.testing.assert_allclose(d.cdf(y).numpy(), np.exp(-rate * x), 1e-12)
    np.testing.assert_allclose(d.icdf(d.cdf(y)).numpy(), y.numpy(), 1e-10)
    np.testing.assert_allclose(d.log_prob(y).numpy(), np.log(rate / 2) - rate * x, 1e-12)
    assert (d.sample((50,)) <= 1).all()


def test_transformed_vectors():
    """Independent numbers become a simplex by stick breaking: Monte Carlo and the density agree."""
    base = D.Normal(t(np.zeros((2, 2))), t(np.ones(2)))
    d = D.TransformedDistribution(base, D.StickBreakingTransform())
    assert (d.batch_shape, d.event_shape) == ((2,), (3,))
    x = base.sample((4,))
    y = D.StickBreakingTransform()(x)
    slope = D.StickBreakingTransform().log_abs_det_jacobian(x, y)
    expected = (base.log_prob(x).sum(-1) - slope).numpy()
    np.testing.assert_allclose(d.log_prob(y).numpy(), expected, 1e-9)
    assert d.rsample((7,)).shape == (7, 2, 3)
    assert d.expand((5, 2)).sample().shape == (5, 2, 3)


def test_cached_inverse_is_exact_where_tanh_has_saturated():
    base = D.Normal(tg.full((3,), 12.0), tg.ones(3))
    plain = D.TransformedDistribution(base, D.TanhTransform(), validate_args=False)
    cached = D.TransformedDistribution(base, D.TanhTransform(cache_size=1), validate_args=False)
    with np.errstate(invalid="ignore"):
        assert not plain.log_prob(plain.rsample()).isfinite().all()
    assert cached.log_prob(cached.rsample()).isfinite().all()
