"""RBMs of a dozen bits, of which all states can be enumerated: log Z and the likelihood, samplers
against the distribution that they should have, and the gradients of contrastive divergence."""

import itertools

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import grad
from tinygen.models.rbm import RBM


def random_rbm(visible, hidden, *, scale=1.0, seed=0, chains=4):
    rbm = RBM(visible, hidden, chains=chains).double()
    rng = np.random.default_rng(seed)
    for p in rbm.parameters():
        p.array[...] = scale * rng.standard_normal(p.shape)
    return rbm


def every(n):
    """All states of n bits, [2^n, n]"""
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def joint(rbm):
    """p(v, h) from the definition, [2^V, 2^H]: no free energy, no sums in closed form."""
    v, h = every(rbm.visible), every(rbm.hidden)
    W, b, c = (p.array for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    weights = np.exp(v @ W @ h.T + (v @ b)[:, None] + h @ c)
    return weights / weights.sum(), np.log(weights.sum())


def bars(n, rng):
    """Bits [n, 12], 4 rows of 3, of which one row or one column is all ones, with a little noise:
    what no independent bits can have."""
    images = np.zeros((n, 4, 3))
    rows = rng.random(n) < 0.5
    images[rows, rng.integers(4, size=rows.sum())] = 1
    columns = np.flatnonzero(~rows)
    images[columns, :, rng.integers(3, size=len(columns))] = 1
    flips = rng.random(images.shape) < 0.02
    return tg.tensor(np.abs(images - flips).reshape(n, 12))


# ---- Likelihood ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("visible", "hidden"), [(12, 5), (4, 7), (3, 3), (1, 1)])
def test_likelihood_and_partition_function_are_those_of_the_definition(visible, hidden):
    rbm = random_rbm(visible, hidden)
    p, log_z = joint(rbm)
    assert rbm.log_partition().item() == pytest.approx(log_z, rel=1e-12)
    v = tg.tensor(every(visible))
    np.testing.assert_allclose(rbm.log_prob(v).array, np.log(p.sum(1)), rtol=1e-10, atol=1e-10)
    h = tg.tensor(every(hidden)[:1])
    assert rbm.energy(v[-1:], h).item() == pytest.approx(-np.log(p[-1, 0]) - log_z, rel=1e-10)


def test_enumeration_in_pieces_is_enumeration(monkeypatch):
    rbm = random_rbm(9, 6)
    whole = rbm.log_partition().item()
    monkeypatch.setattr("tinygen.models.rbm.CHUNK", 10)
    assert rbm.log_partition().item() == pytest.approx(whole, rel=1e-14)


def test_conditionals_are_those_of_the_joint_distribution():
    rbm = random_rbm(4, 3)
    p, _ = joint(rbm)
    v, h = np.repeat(every(4), 8, 0), np.tile(every(3), (16, 1))
    up = rbm.hidden_log_prob(tg.tensor(h), tg.tensor(v)).array.reshape(16, 8)
    down = rbm.visible_log_prob(tg.tensor(v), tg.tensor(h)).array.reshape(16, 8)
    np.testing.assert_allclose(np.exp(up), p / p.sum(1, keepdims=True), rtol=1e-10)
    np.testing.assert_allclose(np.exp(down), p / p.sum(0), rtol=1e-10)


@pytest.mark.parametrize("shape", [(12, 5), (4, 6)])
def test_the_gradient_of_the_exact_likelihood_by_finite_differences(shape):
    rbm = random_rbm(*shape)
    v = tg.tensor((np.random.default_rng(1).random((20, shape[0])) < 0.5).astype(float))
    parameters = list(rbm.parameters())
    directions = [np.random.default_rng(2).standard_normal(p.shape) for p in parameters]

    def at(step):
        for p, d in zip(parameters, directions):
            p.array[...] += step * d
        value = rbm.log_prob(v).mean().item()
        for p, d in zip(parameters, directions):
            p.array[...] -= step * d
        return value

    found = grad(rbm.log_prob(v).mean(), parameters)
    slope = sum((g.array * d).sum() for g, d in zip(found, directions))
    assert slope == pytest.approx((at(1e-6) - at(-1e-6)) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("base", [None, 0.3])
def test_annealed_importance_sampling_finds_log_z_within_its_error(base):
    rbm = random_rbm(12, 5)
    base = None if base is None else tg.full((12,), base, dtype=tg.float64)
    found, error = rbm.annealed_importance_sampling(200, 200, base_bias=base)
    assert abs(found - rbm.log_partition().item()) < 4 * error
    assert 1e-3 < error < 0.2
    assert rbm.annealed_importance_sampling(200, 2, base_bias=base)[1] > error


# ---- Sampling ------------------------------------------------------------------------------------


def chi_square(counts, p):
    """How far counts of states are from those expected, in standard deviations of χ²."""
    expected = counts.sum() * p
    statistic = ((counts - expected) ** 2 / expected).sum()
    freedom = len(p) - 1
    return (statistic - freedom) / np.sqrt(2 * freedom)


def counts_of(v):
    places = v.array.astype(int) @ (2 ** np.arange(v.shape[1])[::-1])  # the order of `every`
    return np.bincount(places, minlength=2 ** v.shape[1])


def slow_rbm():
    """An RBM whose chains rarely go from one mode, 0000, to the other, 1111."""
    rbm = random_rbm(4, 3, scale=0.3)
    rbm.weight.array[:, 0] += 3
    rbm.visible_bias.array[...] -= 1.5
    rbm.hidden_bias.array[0] -= 5
    return rbm


def test_gibbs_sampling_has_the_enumerated_distribution():
    rbm = slow_rbm()
    p = joint(rbm)[0].sum(1)
    assert abs(chi_square(counts_of(rbm.sample(20_000, 200)), p)) < 4
    # And a single step keeps it, from p to p.
    start = every(4)[np.random.default_rng(0).choice(16, 20_000, p=p)]
    assert abs(chi_square(counts_of(rbm.gibbs(tg.tensor(start))), p)) < 4


def test_a_chain_too_short_has_not_the_distribution():
    """So the test above can fail."""
    rbm = slow_rbm()
    assert chi_square(counts_of(rbm.sample(20_000, 2)), joint(rbm)[0].sum(1)) > 20


def test_sampling_repeats_with_its_generator():
    rbm = random_rbm(6, 3)
    first, again = (rbm.sample(10, 5, generator=tg.Generator(7)).array for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, rbm.sample(10, 5, generator=tg.Generator(8)).array)


# ---- Contrastive divergence ----------------------------------------------------------------------


def expected_gradients(rbm, v, k):
    """E over the draws of the gradient of CD-k, by the transition matrix of v -> h -> v'."""
    p, _ = joint(rbm)
    transition = (p / p.sum(1, keepdims=True)) @ (p / p.sum(0)).T
    start = np.bincount(v @ (2 ** np.arange(rbm.visible)[::-1]), minlength=len(p)) / len(v)
    end = start @ np.linalg.matrix_power(transition, k)
    states = every(rbm.visible)
    h = 1 / (1 + np.exp(-(states @ rbm.weight.array + rbm.hidden_bias.array)))
    difference = end - start
    return [(states * difference[:, None]).T @ h, difference @ states, difference @ h]


@pytest.mark.parametrize("k", [1, 2, 10])
def test_the_mean_gradient_of_contrastive_divergence_is_that_of_theory(k):
    """⟨v h⟩ of the chain after k steps, less that of the data (Hinton 2002, equation 5)."""
    rbm = random_rbm(4, 3)
    v = (np.random.default_rng(0).random((8, 4)) < 0.5).astype(int)
    many = tg.tensor(np.tile(v, (5000, 1)).astype(float))
    found = grad(rbm.contrastive_divergence(many, k), list(rbm.parameters()))
    for g, expected in zip(found, expected_gradients(rbm, v, k)):
        np.testing.assert_allclose(g.array, expected, atol=4 * 0.5 / np.sqrt(len(many)))


def test_with_many_steps_it_is_the_gradient_of_the_likelihood_and_with_one_it_is_not():
    rbm = random_rbm(4, 3)
    v = (np.random.default_rng(0).random((8, 4)) < 0.5).astype(int)
    exact = grad(-rbm.log_prob(tg.tensor(v.astype(float))).mean(), list(rbm.parameters()))
    far = lambda k: max(
        abs(g.array - e).max() for g, e in zip(exact, expected_gradients(rbm, v, k))
    )
    assert far(200) < 1e-6 and far(1) > 0.03
    many = tg.tensor(np.tile(v, (2500, 1)).astype(float))
    found = grad(rbm.contrastive_divergence(many, 60), list(rbm.parameters()))
    for g, e in zip(found, exact):
        np.testing.assert_allclose(g.array, e.array, atol=4 * 0.5 / np.sqrt(len(many)))


def test_persistent_chains_go_on_from_where_they_were():
    rbm = random_rbm(5, 4, chains=7)
    v = tg.tensor(every(5))
    before = rbm.particles.array.copy()
    tg.manual_seed(3)
    rbm.contrastive_divergence(v, 2, persistent=True)
    after = rbm.particles.array.copy()
    tg.manual_seed(3)
    assert np.array_equal(after, rbm.gibbs(tg.tensor(before), 2).array)
    rbm.contrastive_divergence(v, 2)
    assert np.array_equal(after, rbm.particles.array)  # which CD leaves alone
    assert "particles" in rbm.state_dict()


@pytest.mark.parametrize("persistent", [False, True])
def test_training_raises_the_exact_likelihood(persistent):
    """Bars of 12 pixels: their entropy is 2.2 to 3.7 nats with the noise, independent bits need
    more than 7."""
    v = bars(2000, np.random.default_rng(0))
    rbm = RBM(12, 8, chains=200).double()
    rbm.fit_biases(v)
    start = rbm.log_prob(v).mean().item()
    assert start < -7
    optimizer = tg.optim.SGD(rbm.parameters(), lr=0.2)
    for _ in range(1500):
        batch = v[tg.randint(0, len(v), (100,))]
        rbm.contrastive_divergence(batch, 1, persistent=persistent).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert rbm.log_prob(v).mean().item() > -4.7
    assert np.exp(rbm.log_prob(tg.tensor(every(12))).array).sum() == pytest.approx(1, rel=1e-10)


def test_fitted_biases_are_the_best_independent_bits():
    v = bars(2000, np.random.default_rng(0))
    rbm = RBM(12, 3).double()
    rbm.weight.array[...] = 0
    rbm.fit_biases(v)
    means = v.array.mean(0)
    entropy = -(means * np.log(means) + (1 - means) * np.log1p(-means)).sum()
    assert rbm.log_prob(v).mean().item() == pytest.approx(-entropy, rel=1e-4)


def test_reconstruction_passes_probabilities_up_and_down():
    rbm = random_rbm(5, 3)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    W, b, c = (p.array for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    v = every(5)
    np.testing.assert_allclose(
        rbm.reconstruct(tg.tensor(v)).array, sigmoid(sigmoid(v @ W + c) @ W.T + b), rtol=1e-12
    )


# ---- Wrong use -----------------------------------------------------------------------------------


def test_wrong_use_is_told_in_one_sentence():
    rbm = RBM(4, 3)
    grey = tg.tensor([[0.0, 1.0, 0.5, 1.0]])
    for wrong, message in (
        (lambda: rbm.contrastive_divergence(grey), "takes bits, 0 or 1, but there is a 0.5: write"),
        (lambda: rbm(grey * float("nan")), "takes bits, 0 or 1, but there is a nan"),
        (lambda: rbm.reconstruct(tg.zeros(2, 5)), r"takes bits \[batch, 4\], not \[2, 5\]"),
        (lambda: rbm.log_prob(tg.zeros(4)), r"takes bits \[batch, 4\], not \[4\]"),
        (lambda: rbm.contrastive_divergence(tg.zeros(2, 4), 0), "at least 1; got 0"),
        (lambda: rbm.sample(3, 0), "at least 1; got 0"),
        (lambda: RBM(4, 0), "hidden must be at least 1; got 0"),
        (lambda: RBM(4, 3, chains=0), "chains must be at least 1; got 0"),
        (lambda: RBM(30, 40).log_partition(), r"all 2\^30 states.*annealed_importance_sampling"),
        (lambda: rbm.annealed_importance_sampling(1), "at least 2 chains"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
