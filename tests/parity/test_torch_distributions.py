"""Our distributions beside torch.distributions: shapes, types, densities, moments, divergences."""

import numpy as np
import pytest

import tinygen as tg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")

rng = np.random.default_rng(0)
real = lambda *shape: rng.standard_normal(shape)
positive = lambda *shape: rng.uniform(0.4, 3, shape)
unit = lambda *shape: rng.uniform(0.1, 0.9, shape)
M = real(2, 3, 3)
COVARIANCE = M @ np.swapaxes(M, 1, 2) + np.eye(3)

CASES = [
    ("Normal", {"loc": real(2, 3), "scale": positive(3)}),
    ("Laplace", {"loc": real(2, 3), "scale": positive(3)}),
    ("Gumbel", {"loc": real(2, 3), "scale": positive(3)}),
    ("Cauchy", {"loc": real(2, 3), "scale": positive(3)}),
    ("StudentT", {"df": positive(2, 1) + 2, "loc": real(3), "scale": positive(3)}),
    ("LogNormal", {"loc": real(2, 3), "scale": positive(3) / 3}),
    ("Uniform", {"low": -positive(2, 1), "high": positive(3)}),
    ("Exponential", {"rate": positive(3)}),
    ("Gamma", {"concentration": positive(2, 1), "rate": positive(3)}),
    ("Chi2", {"df": positive(3)}),
    ("Beta", {"concentration1": positive(2, 1), "concentration0": positive(3)}),
    ("Dirichlet", {"concentration": positive(2, 4)}),
    ("Bernoulli", {"probs": unit(2, 3)}),
    ("Bernoulli", {"logits": real(2, 3)}),
    ("Binomial", {"total_count": np.array([3.0, 5.0]), "probs": unit(2)}),
    ("Geometric", {"probs": unit(3)}),
    ("Poisson", {"rate": positive(3)}),
    ("Categorical", {"probs": positive(2, 4)}),
    ("Categorical", {"logits": real(4)}),
    ("OneHotCategorical", {"logits": real(2, 4)}),
    ("RelaxedBernoulli", {"temperature": np.array(0.7), "probs": unit(3)}),
    ("RelaxedOneHotCategorical", {"temperature": np.array(0.7), "logits": real(2, 4)}),
    ("MultivariateNormal", {"loc": real(3), "covariance_matrix": COVARIANCE}),
    ("MultivariateNormal", {"loc": real(2, 3), "precision_matrix": COVARIANCE}),
    ("MultivariateNormal", {"loc": real(4, 1, 3), "scale_tril": np.linalg.cholesky(COVARIANCE)}),
    ("LowRankMultivariateNormal",
     {"loc": real(3), "cov_factor": real(2, 3, 2), "cov_diag": positive(3)}),
]  # fmt: skip
cases = pytest.mark.parametrize("name, parameters", CASES, ids=[name for name, _ in CASES])


def both(name, parameters):
    ours = getattr(tg.distributions, name)(**{k: tg.tensor(v) for k, v in parameters.items()})
    theirs = getattr(torch.distributions, name)
    return ours, theirs(**{k: torch.tensor(v) for k, v in parameters.items()})


def same(found, expected):
    assert found.shape == tuple(expected.shape)
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(found.detach().numpy(), expected.numpy(), 1e-8, 1e-10)


@cases
def test_values_are_torchs(name, parameters):
    ours, theirs = both(name, parameters)
    torch.manual_seed(0)
    x = theirs.sample((5,))
    value = tg.tensor(x.numpy())
    p = unit(5, *theirs.batch_shape)
    calls = {
        **{what: lambda d, what=what: getattr(d, what)
           for what in ("mean", "mode", "variance", "stddev")},
        "entropy": lambda d: d.entropy(),
        "support": lambda d: d.enumerate_support(),
        "support, not expanded": lambda d: d.enumerate_support(expand=False),
        "log_prob": lambda d: d.log_prob(value if d is ours else x),
        "cdf": lambda d: d.cdf(value if d is ours else x),
        "icdf": lambda d: d.icdf(tg.tensor(p) if d is ours else torch.tensor(p)),
    }  # fmt: skip
    for what, call in calls.items():
        try:
            expected = call(theirs)
        except NotImplementedError:
            continue
        with np.errstate(all="ignore"):
            try:
                same(call(ours), expected)
            except Exception as error:
                error.add_note(what)
                raise


@cases
def test_shapes_and_types_are_torchs(name, parameters):
    ours, theirs = both(name, parameters)
    assert ours.batch_shape == tuple(theirs.batch_shape)
    assert ours.event_shape == tuple(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    assert ours.support.event_dim == theirs.support.event_dim
    assert ours.support.is_discrete == theirs.support.is_discrete
    found, expected = ours.sample((6, 2)), theirs.sample((6, 2))
    assert found.shape == tuple(expected.shape)
    assert str(found.dtype) == str(expected.dtype).removeprefix("torch.")
    assert ours.support.check(found).all()
    wider, other = ours.expand((7, *ours.batch_shape)), theirs.expand((7, *theirs.batch_shape))
    assert wider.batch_shape == tuple(other.batch_shape)
    same(wider.log_prob(tg.tensor(expected.numpy()[0, 0])), other.log_prob(expected[0, 0]))


@pytest.mark.parametrize("name, parameters", CASES, ids=[name for name, _ in CASES])
def test_divergences_are_torchs(name, parameters):
    if "temperature" in parameters or name in ("Cauchy", "StudentT"):
        return  # for which torch has no closed form
    moved = {k: v if v.ndim > 1 or k in ("total_count", "cov_diag") else v * 1.05
             for k, v in parameters.items()}  # fmt: skip
    moved = {k: v / v.max() * 0.9 if k == "probs" and name != "Categorical" else v
             for k, v in moved.items()}  # fmt: skip
    (p, their_p), (q, their_q) = both(name, parameters), both(name, moved)
    same(tg.distributions.kl_divergence(p, q),
             torch.distributions.kl_divergence(their_p, their_q))  # fmt: skip
