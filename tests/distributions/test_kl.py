"""KL divergences against Monte Carlo: E_p[log p - log q]."""

import numpy as np
import pytest

import tinygen as tg

D = tg.distributions
t = lambda value: tg.tensor(np.array(value))
v = lambda values: tg.tensor(np.array(values))
C = np.array([[1.0, 0.4], [0.4, 0.7]])
affine = lambda d: D.TransformedDistribution(d, [D.AffineTransform(1.0, 2.0), D.ExpTransform()])

PAIRS = [
    (D.Normal(t(0.3), t(1.2)), D.Normal(t(-1.0), t(2.0))),
    (D.Laplace(t(0.3), t(1.2)), D.Laplace(t(-1.0), t(2.0))),
    (D.Laplace(t(0.3), t(1.2)), D.Normal(t(-1.0), t(2.0))),
    (D.Gumbel(t(0.3), t(1.2)), D.Gumbel(t(-1.0), t(2.0))),
    (D.Uniform(t(0.3), t(1.2)), D.Uniform(t(-1.0), t(2.0))),
    (D.Uniform(t(0.3), t(1.2)), D.Normal(t(-1.0), t(2.0))),
    (D.LogNormal(t(0.3), t(1.2)), D.LogNormal(t(-1.0), t(2.0))),
    (D.Exponential(t(0.3)), D.Exponential(t(2.0))),
    (D.Exponential(t(0.3)), D.Gamma(t(1.7), t(0.5))),
    (D.Gamma(t(1.7), t(0.5)), D.Exponential(t(0.3))),
    (D.Gamma(t(0.6), t(1.2)), D.Gamma(t(2.0), t(0.4))),
    (D.Chi2(t(3.0)), D.Gamma(t(2.0), t(0.4))),
    (D.Beta(t(0.6), t(1.2)), D.Beta(t(2.0), t(3.0))),
    (D.Dirichlet(v([0.6, 1.2, 3.0])), D.Dirichlet(v([2.0, 1.0, 0.5]))),
    (D.Bernoulli(t(0.3)), D.Bernoulli(logits=t(0.8))),
    (D.Binomial(5, t(0.3)), D.Binomial(5, t(0.6))),
    (D.Geometric(t(0.3)), D.Geometric(t(0.6))),
    (D.Poisson(t(3.0)), D.Poisson(t(2.0))),
    (D.Categorical(v([0.3, 0.5, 0.2])), D.Categorical(logits=v([0.0, 1.0, -1.0]))),
    (D.OneHotCategorical(v([0.3, 0.5, 0.2])), D.OneHotCategorical(v([1.0, 1.0, 2.0]))),
    (D.MultivariateNormal(v([0.0, 1.0]), v(C)), D.MultivariateNormal(v([1.0, 1.0]), v(C @ C))),
    (D.Independent(D.Normal(v([0.0, 1.0]), v([1.0, 2.0])), 1),
     D.Independent(D.Normal(v([1.0, 1.0]), v([2.0, 0.9])), 1)),
    (affine(D.Normal(t(0.3), t(1.2))), affine(D.Normal(t(-1.0), t(2.0)))),
]  # fmt: skip


@pytest.mark.parametrize("p, q", PAIRS, ids=lambda d: type(d).__name__)
def test_divergence_is_the_mean_of_the_log_ratio(p, q):
    x = p.sample((40000,))
    ratios = (p.log_prob(x) - q.log_prob(x)).numpy()
    found = tg.distributions.kl_divergence(p, q)
    assert found.shape == p.batch_shape and (found >= 0).all()
    error = 4 * ratios.std(0) / np.sqrt(len(ratios))
    assert (np.abs(ratios.mean(0) - found.numpy()) <= error + 1e-12).all()
    if type(p) is type(q):
        np.testing.assert_allclose(D.kl_divergence(p, p).numpy(), 0, atol=1e-12)


def test_divergence_is_infinite_where_p_can_do_what_q_cannot():
    kl = D.kl_divergence
    assert kl(D.Bernoulli(t(0.5)), D.Bernoulli(t(1.0))).item() == np.inf
    assert kl(D.Bernoulli(t(1.0)), D.Bernoulli(t(0.5))).item() == pytest.approx(np.log(2))
    assert kl(D.Uniform(t(0.0), t(2.0)), D.Uniform(t(0.0), t(1.0))).item() == np.inf
    three, two = D.Categorical(v([0.2, 0.3, 0.5])), D.Categorical(v([0.5, 0.5, 0.0]))
    assert kl(three, two).item() == np.inf and np.isfinite(kl(two, three).item())


def test_formulas_can_be_added_and_are_found_by_inheritance():
    class Mine(D.Normal):
        pass

    assert D.kl_divergence(Mine(t(0.0), t(1.0)), D.Normal(t(0.0), t(1.0))).item() == 0

    @D.register_kl(Mine, D.Normal)
    def _(p, q):
        return p.loc + 5

    assert D.kl_divergence(Mine(t(0.0), t(1.0)), D.Normal(t(0.0), t(1.0))).item() == 5
    with pytest.raises(NotImplementedError, match="register_kl"):
        D.kl_divergence(D.Cauchy(t(0.0), t(1.0)), D.Gamma(t(1.0), t(1.0)))
    with pytest.raises(NotImplementedError, match="same transforms"):
        shifted = D.TransformedDistribution(D.Normal(t(0.0), t(1.0)), D.AffineTransform(1.0, 2.0))
        D.kl_divergence(shifted, D.LogNormal(t(0.0), t(1.0)))
