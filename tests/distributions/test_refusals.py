"""What is refused, and in which words."""

import numpy as np
import pytest

import tinygen as tg

D = tg.distributions
eye = tg.eye(2)

REFUSED = {
    lambda: D.Normal(0.0, tg.tensor([1.0, -2.0])): (
        r"Normal: parameter scale, of shape \(2,\), must be greater than 0; got \[-2\.\]"),
    lambda: D.Normal(tg.tensor(float("nan")), 1.0): "parameter loc, .* must be a number",
    lambda: D.Gamma(0.0, 1.0): "parameter concentration, .* greater than 0; got",
    lambda: D.Uniform(tg.tensor([0.0, 1.0]), 1.0): "parameter high, .* must be greater than low",
    lambda: D.Bernoulli(1.2): r"parameter probs, .* must be in \[0, 1\]; got",
    lambda: D.Bernoulli(): "Bernoulli: pass one of probs and logits",
    lambda: D.Bernoulli(0.5, 0.5): "Bernoulli: pass one of probs and logits",
    lambda: D.Geometric(0.0): "Geometric: parameter probs, .* must be greater than 0",
    lambda: D.Binomial(2.5, 0.5): "parameter total_count, .* a whole number of at least 0",
    lambda: D.Poisson(-1.0): "parameter rate, .* at least 0",
    lambda: D.Categorical(tg.tensor([0.5, -0.1])): "probs, .* probabilities that sum to 1",
    lambda: D.Categorical(0.5): r"Categorical: probs needs a dimension, \[classes\]",
    lambda: D.Dirichlet(1.0): "at least one dimension",
    lambda: D.Dirichlet(tg.tensor([1.0, 0.0])): "concentration, .* greater than 0, in all elements",
    lambda: D.MultivariateNormal(tg.zeros(2)): "one of covariance_matrix, .* got none of them",
    lambda: D.MultivariateNormal(tg.zeros(2), eye, eye): "got covariance_matrix, precision_matrix",
    lambda: D.MultivariateNormal(tg.zeros(2), -eye): "covariance_matrix, .* positive eigenvalues",
    lambda: D.MultivariateNormal(tg.zeros(2), eye + eye.triu(1) + tg.tensor([[0, 1], [0, 0]])): (
        "a symmetric matrix"),
    lambda: D.MultivariateNormal(tg.zeros(2), scale_tril=tg.ones(2, 2)): "lower triangular matrix",
    lambda: D.LowRankMultivariateNormal(tg.zeros(2), tg.ones(3, 1), tg.ones(2)): "cov_factor is",
    lambda: D.Normal(0.0, 1.0).log_prob(1.0): "Normal: the value must be a tensor; got float",
    lambda: D.Normal(0.0, 1.0).log_prob(tg.tensor(float("nan"))): "the value, .* must be a number",
    lambda: D.Normal(tg.zeros(3), 1.0).log_prob(tg.zeros(2)): (
        r"the value has shape \(2,\), but must fit batch shape \(3,\) and event shape \(\)"),
    lambda: D.Exponential(1.0).log_prob(tg.tensor(-1.0)): "the value, .* at least 0; got",
    lambda: D.Uniform(0.0, 1.0).log_prob(tg.tensor(2.0)): r"the value, .* in \[0.0, 1.0\]",
    lambda: D.Bernoulli(0.5).log_prob(tg.tensor(0.5)): "the value, .* must be 0 or 1",
    lambda: D.Poisson(1.0).log_prob(tg.tensor(0.5)): "a whole number of at least 0",
    lambda: D.Categorical(tg.ones(3)).log_prob(tg.tensor(3)): r"a whole number in \[0, 2\]; got",
    lambda: D.OneHotCategorical(tg.ones(3)).log_prob(tg.ones(3)): "a row of zeros with one 1",
    lambda: D.Dirichlet(tg.ones(3)).log_prob(tg.ones(3)): "probabilities that sum to 1",
    lambda: D.LogNormal(0.0, 1.0).log_prob(tg.tensor(-1.0)): "LogNormal: the value, .* than 0",
    lambda: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0)): "must be a Categorical",
    lambda: D.TanhTransform(cache_size=2): "cache_size must be 0 or 1; got 2",
    lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform()): (
        "need values of at least 1 dimensions"),
}  # fmt: skip


@pytest.mark.parametrize(
    "call, words", REFUSED.items(), ids=lambda w: w if isinstance(w, str) else ""
)
def test_bad_input_gets_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_what_has_no_gradient_or_closed_form_says_so():
    with pytest.raises(NotImplementedError, match="draw it with sample"):
        D.Poisson(1.0).rsample()
    with pytest.raises(NotImplementedError, match="Poisson has no entropy in closed form"):
        D.Poisson(1.0).entropy()
    with pytest.raises(NotImplementedError, match="Dirichlet has no cdf"):
        D.Dirichlet(tg.ones(2)).cdf(tg.ones(2))


def test_checks_can_be_turned_off():
    loose = D.Normal(0.0, -1.0, validate_args=False)
    assert loose.log_prob(tg.tensor(float("nan"))).isnan()
    assert D.Uniform(0.0, 1.0, validate_args=False).log_prob(tg.tensor(2.0)).item() == -np.inf
    assert D.Uniform(0.0, 1.0, validate_args=False).expand((3,)).log_prob(tg.tensor(2.0)).shape == (
        3,
    )
    D.Distribution.set_default_validate_args(False)
    try:
        D.Exponential(-1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Exponential(-1.0)


def test_it_shows_its_parameters():
    assert repr(D.Normal(0.0, tg.tensor([1.0, 2.0]))) == "Normal(loc: (2,), scale: (2,))"
    assert repr(D.Bernoulli(logits=0.5)) == "Bernoulli(logits: 0.5)"
    assert (
        repr(D.ComposeTransform([D.ExpTransform().inv])) == "ComposeTransform([ExpTransform().inv])"
    )
