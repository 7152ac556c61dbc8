"""Distributions of numbers against SciPy's, and their gradients against differences."""

import numpy as np
import pytest
from families import CONTINUOUS, DISCRETE, D, named
from scipy import stats

import tinygen as tg
from tinygen.autograd import gradcheck

PROBABILITIES = np.array([1e-9, 1e-3, 0.2, 0.5, 0.7, 0.999])[:, None]
continuous = pytest.mark.parametrize("family", CONTINUOUS, **named)
discrete = pytest.mark.parametrize("family", DISCRETE, **named)


def close(found, expected, rtol=1e-9, atol=1e-11):
    assert isinstance(found, tg.Tensor)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol, atol)


# ---- Values --------------------------------------------------------------------------------------


@continuous
def test_density_distribution_function_and_quantiles_are_scipys(family):
    ours, theirs = family.ours(), family.theirs()
    x = theirs.ppf(PROBABILITIES)
    # next to an end of the support, float64 has too few digits for x
    inside = (x > 1e-290) | (theirs.support()[0] < 0)
    inside &= (x < 1 - 1e-6) | (family.name != "Beta")
    x = np.where(inside, x, theirs.ppf(0.3))
    close(ours.log_prob(tg.tensor(x)), theirs.logpdf(x))
    close(ours.cdf(tg.tensor(x)), theirs.cdf(x), atol=0)
    p = np.where(inside, PROBABILITIES, 0.3)
    close(ours.icdf(tg.tensor(p)), theirs.ppf(p), rtol=1e-8)


@pytest.mark.parametrize("family", CONTINUOUS + DISCRETE, **named)
def test_moments_and_entropy_are_scipys(family):
    ours, theirs = family.ours(), family.theirs()
    mean, variance = theirs.mean(), theirs.var()
    if family.name == "StudentT":
        mean, variance = np.where(family.parameters["df"] > 1, mean, np.nan), theirs.var()
        variance = np.where(family.parameters["df"] > 1, variance, np.nan)
    if family.name == "Cauchy":
        variance = np.full_like(variance, np.inf)
    close(ours.mean, mean)
    close(ours.variance, variance)
    close(ours.stddev, np.sqrt(variance))
    if family.name not in ("Binomial", "Poisson"):
        close(ours.entropy(), theirs.entropy(), atol=1e-7)
        close(ours.perplexity(), np.exp(theirs.entropy()), rtol=1e-6)


@discrete
def test_probabilities_are_scipys(family):
    ours, theirs = family.ours(), family.theirs()
    k = np.arange(0, 60.0)[:, None]
    if family.name in ("Bernoulli", "Binomial"):
        k = np.minimum(k, family.parameters.get("total_count", 1.0))
    close(tg.exp(ours.log_prob(tg.tensor(k))), theirs.pmf(k), atol=1e-14)
    if family.name != "Bernoulli":
        close(ours.cdf(tg.tensor(k)), theirs.cdf(k))


@pytest.mark.parametrize("family", CONTINUOUS + DISCRETE, **named)
def test_mode_is_the_densest(family):
    ours = family.ours()
    if family.name in ("Uniform", "Cauchy"):
        return
    mode, drawn = ours.mode.numpy(), ours.sample((200,))
    known = np.isfinite(mode) & (mode > 0) & (mode < np.where(family.name == "Beta", 1, np.inf))
    safe = tg.tensor(np.where(known, mode, ours.sample().numpy()))
    best = np.where(known, ours.log_prob(safe).numpy(), np.inf)
    assert (ours.log_prob(drawn).numpy() <= best + 1e-9).all()


# ---- Samples -------------------------------------------------------------------------------------


@continuous
def test_samples_follow_the_distribution_function(family):
    drawn, theirs = family.ours().sample((4000,)).numpy(), family.theirs()
    ranks = theirs.cdf(drawn)
    for column in ranks.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4


@discrete
def test_samples_have_their_probabilities(family):
    drawn, theirs = family.ours().sample((4000,)).numpy(), family.theirs()
    k = np.arange(61.0)[:, None]
    expected = theirs.pmf(k) * 4000
    counts = (drawn[None] == k[:, None]).sum(1)
    for column, count in zip(expected.T, counts.T):
        frequent = column > 5
        if frequent.sum() > 1:
            shift = np.append(column[frequent], 4000 - column[frequent].sum())
            found = np.append(count[frequent], 4000 - count[frequent].sum())
            chi2 = ((found - shift) ** 2 / np.maximum(shift, 1)).sum()
            assert stats.chi2.sf(chi2, frequent.sum()) > 1e-4
        else:
            assert abs(count[frequent] - column[frequent]).max() <= 1e-9


@pytest.mark.parametrize("family", CONTINUOUS + DISCRETE, **named)
def test_a_seed_decides_and_float32_stays_float32(family):
    ours = family.ours(np.float32)
    x, y = (ours.sample((40,), generator=tg.Generator(7)) for _ in range(2))
    assert (x == y).all() and x.dtype == tg.float32
    assert not (x == ours.sample((40,), generator=tg.Generator(8))).all()
    assert x.shape == (40, *ours.batch_shape) and not x.requires_grad
    assert ours.log_prob(x).dtype == ours.mean.dtype == tg.float32
    exact = family.ours().log_prob(x.double()).numpy()
    narrow = np.abs(family.parameters.get("loc", np.zeros(1))) < 100
    good = np.isfinite(exact) & (np.abs(exact) < 50) & narrow
    np.testing.assert_allclose(ours.log_prob(x).numpy()[good], exact[good], 2e-2, 2e-3)


# ---- Gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", CONTINUOUS + DISCRETE, **named)
def test_gradient_of_log_prob_equals_differences(family):
    moderate = {"Geometric": {"probs": np.array([0.1, 0.5, 0.8])},
                "Bernoulli": {"probs": np.array([0.1, 0.5, 0.8])},
                "Uniform": {"high": np.array([-1.0, 1.0])},
                "Exponential": {"rate": np.array([0.3, 1.0, 5.0])},
                "Gamma": {"concentration": np.array([0.4, 0.9, 1.0, 7.0, 900.0])}}  # fmt: skip
    parameters = {**family.parameters, **moderate.get(family.name, {})}
    x = type(family)(family.name, parameters, family.scipy).theirs().ppf(
        np.full((1, 1), 0.4) if family in CONTINUOUS else np.full((1, 1), 0.7)
    )  # fmt: skip
    whole = family in DISCRETE
    names = [n for n in parameters if n != "total_count"]
    fixed = {n: tg.tensor(v) for n, v in parameters.items() if n not in names}
    args = [tg.tensor(parameters[n], requires_grad=True) for n in names]
    value = tg.tensor(x, requires_grad=not whole)

    def log_prob(value, *given):
        return make(given).log_prob(value)

    def make(given):
        cls = getattr(D, family.name)
        return cls(**fixed, **dict(zip(names, given)), validate_args=False)

    if family.name != "Uniform":
        assert gradcheck(log_prob, (value, *args), rtol=1e-5)
        if family.name != "Cauchy":
            assert gradcheck(lambda *given: make(given).mean.nan_to_num(), args)
    if family.name not in ("Binomial", "Poisson"):
        assert gradcheck(lambda *given: make(given).entropy(), args)


@pytest.mark.parametrize(
    "name, parameters",
    [("Normal", (0.3, 1.2)), ("StudentT", (2.5, 0.3, 1.2)), ("Gamma", (1.7, 0.8)),
     ("Beta", (1.7, 0.8)), ("Laplace", (0.3, 1.2)), ("Gumbel", (0.3, 1.2)), ("Exponential", (2.0,)),
     ("LogNormal", (0.3, 0.5))],
)  # fmt: skip
def test_gradients_of_cdf_and_icdf_equal_differences(name, parameters):
    args = [tg.tensor(np.array([p, p + 0.4]), requires_grad=True) for p in parameters]
    make = lambda *given: getattr(D, name)(*given)
    with tg.no_grad():
        x = make(*args).icdf(tg.tensor(np.array([0.2, 0.7])))
    x.requires_grad_()
    p = tg.tensor(np.array([0.2, 0.7]), requires_grad=True)
    assert gradcheck(lambda x, *given: make(*given).cdf(x), (x, *args))
    assert gradcheck(lambda p, *given: make(*given).icdf(p), (p, *args))


PATHWISE = {
    "Normal": (0.3, 1.2), "Laplace": (0.3, 1.2), "Gumbel": (0.3, 1.2), "StudentT": (9.0, 0.3, 1.2),
    "LogNormal": (0.3, 0.4), "Uniform": (-0.3, 1.2), "Exponential": (0.7,), "Gamma": (0.6, 0.8),
    "Chi2": (2.6,), "Beta": (0.6, 1.8),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHWISE)
def test_pathwise_gradient_is_that_of_the_expectation(name):
    """d E[x²] / dθ, of which the mean of dx²/dθ over samples is an estimate, is known: E[x²] is the
    variance and the square of the mean."""
    n = 20000
    args = [tg.tensor(np.full(n, p), requires_grad=True) for p in PATHWISE[name]]
    d = getattr(D, name)(*args)
    expected = tg.autograd.grad((d.variance + d.mean**2).sum(), args)
    found = tg.autograd.grad((d.rsample() ** 2).sum(), args)
    for f, e in zip(found, expected):
        f = f.numpy()
        assert abs(f.mean() - e.numpy()[0]) < 4 * f.std() / np.sqrt(n) + 1e-12


def test_pathwise_gradient_of_gamma_is_minus_slope_of_cdf_over_density():
    concentration = np.array([0.02, 0.5, 1.0, 4.0, 300.0])
    c = tg.tensor(concentration, requires_grad=True)
    x = D.Gamma(c, tg.ones_like(c)).rsample((50,))
    g = tg.autograd.grad(x.sum(), c)[0].numpy()
    h, x = 1e-5 * concentration, x.detach().numpy()
    slope = (stats.gamma.cdf(x, concentration + h) - stats.gamma.cdf(x, concentration - h)) / (
        2 * h
    )
    exact = np.where(x > 1e-250, -slope / stats.gamma.pdf(x, concentration), 0.0)
    np.testing.assert_allclose(g, exact.sum(0), 2e-5)


def test_small_concentrations_neither_underflow_nor_give_nan():
    c = tg.full((1000,), 1e-3, dtype=tg.float32, requires_grad=True)
    x = D.Beta(c, c).rsample()
    x.sum().backward()
    assert ((x >= 0) & (x <= 1)).all() and c.grad.isfinite().all()
    assert abs(x.mean().item() - 0.5) < 0.06
    y = D.Dirichlet(tg.full((500, 3), 1e-3)).sample()
    assert y.isfinite().all() and (y.sum(-1) - 1).abs().max() < 1e-5
