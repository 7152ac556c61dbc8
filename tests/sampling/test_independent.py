"""Samplers whose draws are independent, and diagnostics of those whose draws are not."""

import numpy as np
import pytest
from scipy import stats

import tinygen as tg

S, D = tg.sampling, tg.distributions
f64 = {"dtype": tg.float64}


def test_inverse_transform():
    by_icdf = S.inverse_transform((4000,), icdf=lambda u: -tg.log(1 - u), generator=tg.Generator(1))
    assert stats.kstest(by_icdf.numpy(), "expon").pvalue > 1e-4
    by_cdf = S.inverse_transform(
        (4000,), cdf=tg.special.ndtr, bounds=(-9, 9), generator=tg.Generator(1), **f64
    )
    assert stats.kstest(by_cdf.numpy(), "norm").pvalue > 1e-4
    u = tg.rand((4000,), generator=tg.Generator(1), **f64)
    np.testing.assert_allclose(by_cdf.numpy(), tg.special.ndtri(u).numpy(), 1e-9, 1e-12)
    with pytest.raises(ValueError, match="needs icdf, or cdf and bounds"):
        S.inverse_transform((3,), cdf=tg.special.ndtr)


def test_rejection_keeps_one_in_m():
    """Beta(2, 3) has the density 12 x (1-x)² <= 16/9, under Uniform."""
    target = D.Beta(tg.tensor(2.0).double(), tg.tensor(3.0).double())
    uniform = D.Uniform(tg.tensor(0.0).double(), tg.tensor(1.0).double())
    draw = lambda seed: S.rejection_sampling(
        target.log_prob, uniform, 5000, log_bound=np.log(16 / 9), generator=tg.Generator(seed)
    )
    x, rate = draw(2)
    assert x.shape == (5000,) and stats.kstest(x.numpy(), stats.beta(2, 3).cdf).pvalue > 1e-4
    assert abs(rate - 9 / 16) < 4 * np.sqrt(9 / 16 * 7 / 16 / (5000 * 16 / 9))
    assert (x == draw(2)[0]).all() and not (x == draw(3)[0]).all()
    with pytest.raises(ValueError, match="raise log_bound"):
        S.rejection_sampling(target.log_prob, uniform, 5000, log_bound=0.3)


def test_importance_sampling():
    """N(0, 1), not normalised, from N(0, σ²): E w² / (E w)² is σ² / √(2σ² - 1)."""
    sigma, n = 1.8, 40000
    proposal = D.Normal(tg.tensor(0.0).double(), tg.tensor(sigma).double())
    drawn = S.importance_sampling(lambda x: -0.5 * x * x, proposal, n, generator=tg.Generator(4))
    assert abs(drawn.weights.sum().item() - 1) < 1e-12
    expected = np.sqrt(2 * sigma**2 - 1) / sigma**2
    assert abs(drawn.effective_sample_size / n - expected) < 0.01
    assert abs(drawn.log_normalizer.item() - 0.5 * np.log(2 * np.pi)) < 0.01
    moments = drawn.expectation(lambda x: tg.stack([x, x * x, x**4], -1)).numpy()
    np.testing.assert_allclose(moments, [0, 1, 3], atol=0.12)
    again = drawn.resample(4000, generator=tg.Generator(1)).numpy()
    assert stats.kstest(again, "norm").pvalue > 1e-5


# ---- Diagnostics ---------------------------------------------------------------------------------


def autoregressive(rho, draws=4000, chains=8, seed=0):
    """x_t = ρ x_{t-1} + √(1-ρ²) z, from its stationary distribution: [draws, chains]"""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((draws, chains))
    for i in range(1, draws):
        x[i] = rho * x[i - 1] + np.sqrt(1 - rho**2) * x[i]
    return x


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.5, 0.9, 0.97])
def test_effective_sample_size_of_an_autoregressive_process(rho):
    x = autoregressive(rho)
    found = S.effective_sample_size(tg.tensor(x)).item() / x.size
    assert found == pytest.approx((1 - rho) / (1 + rho), rel=0.12)


def test_diagnostics_of_several_quantities_are_those_of_each():
    x = np.stack([autoregressive(0.3), autoregressive(0.8, seed=1)], -1)
    for f in (S.effective_sample_size, S.r_hat):
        both = f(tg.tensor(x))
        assert both.shape == (2,)
        for d in range(2):
            assert both[d].item() == pytest.approx(f(tg.tensor(x[..., d])).item(), rel=1e-9)


def test_autocovariance_is_the_sum_of_products():
    x = autoregressive(0.6, 50, 2)[..., None]
    found = S.diagnostics.autocovariance(x)
    y = x - x.mean(0)
    expected = np.stack([(y[: 50 - t] * y[t:]).sum(0) / 50 for t in range(50)])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_r_hat_of_chains_that_agree_and_that_do_not():
    x = autoregressive(0.3)
    plain = lambda x: S.r_hat(tg.tensor(x), rank_normalized=False).item()
    ranked = lambda x: S.r_hat(tg.tensor(x)).item()
    assert abs(plain(x) - 1) < 0.005 and abs(ranked(x) - 1) < 0.005
    elsewhere = x + np.arange(8) % 2
    assert plain(elsewhere) > 1.05 and ranked(elsewhere) > 1.05
    drifting = x + np.linspace(0, 2, 4000)[:, None]
    assert plain(drifting) > 1.05 and ranked(drifting) > 1.05
    wider = x * np.where(np.arange(8) % 2, 3.0, 1.0)
    assert plain(wider) < 1.01 < 1.1 < ranked(wider)
    heavy = np.random.default_rng(0).standard_cauchy((4000, 8)) + 2 * (np.arange(8) % 2)
    assert plain(heavy) < 1.02 < 1.05 < ranked(heavy)
    # two halves [0, 1], [2, 3] and their mirror: W = 1/2, the means 0.5, 2.5, 0.5, 2.5
    small = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]])
    assert plain(small) == pytest.approx(np.sqrt((0.5 * 0.5 + 4 / 3) / 0.5))


def test_too_few_draws():
    with pytest.raises(ValueError, match="at least 4 draws; got"):
        S.effective_sample_size(tg.zeros(3, 2))
