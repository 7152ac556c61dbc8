"""Deep belief networks of few bits, whose p(v) can be had by enumeration of every layer."""

import itertools

import numpy as np
import pytest

import tinygen as tg
from tinygen.models.deep_belief_network import DeepBeliefNetwork
from tinygen.models.rbm import RBM


def random_rbm(visible, hidden, seed=0):
    rbm = RBM(visible, hidden, chains=50).double()
    rng = np.random.default_rng(seed)
    for p in rbm.parameters():
        p.array[...] = 0.8 * rng.standard_normal(p.shape)
    return rbm


def every(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def downwards(rbm):
    """p(v | h) of all states, [2^H, 2^V]"""
    v, h = every(rbm.visible), every(rbm.hidden)
    pairs = np.repeat(h, len(v), 0), np.tile(v, (len(h), 1))
    log_p = rbm.visible_log_prob(tg.tensor(pairs[1]), tg.tensor(pairs[0])).array
    return np.exp(log_p).reshape(len(h), len(v))


def upwards(rbm):
    """q(h | v) of all states, [2^V, 2^H]"""
    v, h = every(rbm.visible), every(rbm.hidden)
    pairs = np.repeat(v, len(h), 0), np.tile(h, (len(v), 1))
    log_p = rbm.hidden_log_prob(tg.tensor(pairs[1]), tg.tensor(pairs[0])).array
    return np.exp(log_p).reshape(len(v), len(h))


def density(network):
    """p(v) of all states, [2^V]"""
    top = network.machines[-1]
    p = np.exp(top.log_prob(tg.tensor(every(top.visible))).array)
    for machine in reversed(network.machines[:-1]):
        p = p @ downwards(machine)
    return p


def exact_bound(network):
    """The lower bound of log p(v) of two machines, [2^V], all h1 weighed: Hinton et al. 2006,
    equation 8."""
    lower, upper = network.machines
    q = upwards(lower)
    prior = upper.log_prob(tg.tensor(every(upper.visible))).array
    return (q * (prior + np.log(downwards(lower)).T - np.log(q))).sum(1)


def test_a_tied_machine_on_top_leaves_the_distribution_as_it_was():
    lower = random_rbm(5, 3)
    network = DeepBeliefNetwork([lower, random_rbm(3, 5, seed=1)])
    alone = np.exp(lower.log_prob(tg.tensor(every(5))).array)
    assert abs(density(network) - alone).max() > 0.01
    assert network.start_tied(1)
    np.testing.assert_allclose(density(network), alone, rtol=1e-10)
    # The posterior is the lower machine's own then, so the bound is log p(v), whatever is drawn.
    bound = network.log_prob_bound(tg.tensor(every(5))).array
    np.testing.assert_allclose(bound, np.log(alone), rtol=1e-10)


def test_the_bound_is_the_mean_of_its_draws_and_below_the_likelihood():
    network = DeepBeliefNetwork([random_rbm(4, 3), random_rbm(3, 6, seed=1)])
    exact = exact_bound(network)
    assert (exact < np.log(density(network))).all()
    draws = network.log_prob_bound(tg.tensor(np.repeat(every(4), 4000, 0))).array.reshape(16, 4000)
    error = draws.std(1) / np.sqrt(4000)
    assert (abs(draws.mean(1) - exact) < 4 * error).all()


def test_ancestral_samples_have_the_enumerated_distribution():
    network = DeepBeliefNetwork(
        [random_rbm(4, 3), random_rbm(3, 4, seed=1), random_rbm(4, 3, seed=2)]
    )
    v = network.sample(20_000, 60)
    counts = np.bincount(v.array.astype(int) @ [8, 4, 2, 1], minlength=16)
    expected = 20_000 * density(network)
    statistic = ((counts - expected) ** 2 / expected).sum()
    limit = 15 + 4 * np.sqrt(30)  # four standard deviations of χ² above its mean
    assert statistic < limit
    bare = network.machines[0].sample(20_000, 60).array.astype(int) @ [8, 4, 2, 1]
    assert ((np.bincount(bare, minlength=16) - expected) ** 2 / expected).sum() > limit


def four_patterns(n, rng):
    """Bits [n, 6]: one of four patterns, with 5 % of the bits flipped."""
    patterns = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0], [0] * 6])
    return tg.tensor(np.abs(patterns[rng.integers(4, size=n)] - (rng.random((n, 6)) < 0.05)))


def test_greedy_training_of_a_second_machine_raises_the_bound():
    """It starts tied, where the bound is the likelihood of the first machine, and goes up from
    there (Hinton et al. 2006, section 4)."""
    v = four_patterns(2000, np.random.default_rng(0)).double()
    network = DeepBeliefNetwork([RBM(6, 3).double(), RBM(3, 6).double()])
    bounds, places = [], v.array.astype(int) @ (2 ** np.arange(6)[::-1])

    def train(machine, inputs):
        if machine is network.machines[1]:
            bounds.append(exact_bound(network)[places].mean())
        optimizer = tg.optim.SGD(machine.parameters(), lr=0.1)
        for _ in range(600):
            batch = inputs(v[tg.randint(0, len(v), (100,))])
            machine.contrastive_divergence(batch, 5, persistent=True).backward()
            optimizer.step()
            optimizer.zero_grad()
        bounds.append(exact_bound(network)[places].mean())

    network.train_greedily(train)
    _, tied, trained = bounds
    alone = network.machines[0].log_prob(v).mean().item()
    assert tied == pytest.approx(alone, rel=1e-10)
    assert trained > tied + 0.005
    assert np.log(density(network))[places].mean() > trained


def test_bits_go_up_through_all_machines_below_a_level():
    network = DeepBeliefNetwork([random_rbm(4, 3), random_rbm(3, 2)])
    v = tg.tensor(every(4))
    assert network.sizes == (4, 3, 2)
    assert network.up(v, 0) is v
    assert [network.up(v, level).shape for level in (1, 2)] == [(16, 3), (16, 2)]
    assert not network.start_tied(1)  # a machine of 2 hidden bits on one of 4 visible ones


def test_wrong_use_is_told_in_one_sentence():
    with pytest.raises(ValueError, match="3 hidden bits goes one of 3 visible ones, not 4"):
        DeepBeliefNetwork([RBM(5, 3), RBM(4, 2)])
    with pytest.raises(ValueError, match="at least one RBM"):
        DeepBeliefNetwork([])
