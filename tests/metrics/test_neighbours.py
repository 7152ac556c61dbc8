"""Precision, recall, the classifier two-sample test and mode coverage, on sets that are known."""

import math

import numpy as np
import pytest
from scipy import stats

import tinygen as tg
from tinygen.data import toys
from tinygen.metrics import (
    classifier_two_sample_test,
    mode_coverage,
    precision_recall,
    samples,
)


def normals(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


# ---- Precision and recall ------------------------------------------------------------------------


def by_definition(x, manifold, k):
    """The share of x within the k-th neighbour's distance of a point of the manifold."""
    inside = 0
    for a in x:
        for i, b in enumerate(manifold):
            others = np.delete(manifold, i, 0)
            radius = np.sort(np.linalg.norm(others - b, axis=1))[k - 1]
            if np.linalg.norm(a - b) <= radius:
                inside += 1
                break
    return inside / len(x)


@pytest.mark.parametrize("d", [2, 20])
@pytest.mark.parametrize("block", [1024, 7])
@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_by_their_definition(k, block, d, monkeypatch):
    monkeypatch.setattr(samples, "BLOCK", block)
    real, fake = normals(30, d, 0), normals(24, d, 1, 0.5)
    found = precision_recall(real, fake, k)
    expected = by_definition(fake, real, k), by_definition(real, fake, k)
    assert found == expected and 0 < found.precision < 1 and found.precision != found.recall


@pytest.mark.parametrize("d", [1, 2, 40])
def test_equal_and_disjoint_sets(d):
    x = normals(40, d, 0) + 50
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x, x + 100) == (0, 0)


def test_a_model_that_misses_a_half_and_one_that_invents_one():
    rng = np.random.default_rng(0)
    left, right = rng.uniform(0, 1, (500, 2)), rng.uniform(5, 6, (500, 2))
    both = np.concatenate([left, right])
    more = rng.uniform(0, 1, (500, 2))
    missing = precision_recall(both, more)
    assert missing.precision > 0.95 and 0.45 < missing.recall < 0.5
    inventing = precision_recall(more, both)
    assert 0.45 < inventing.precision < 0.5 and inventing.recall > 0.95


def test_a_collapsed_model_is_precise_and_recalls_nothing():
    real = normals(100, 2, 0)
    fake = np.tile(real[:1], (50, 1))
    assert precision_recall(real, fake) == (1, 1 / 100)


def test_too_few_samples_for_k():
    x = normals(3, 2, 0)
    with pytest.raises(ValueError, match=r"k=3 neighbours .* need 4 samples .*got 10 real and 3"):
        precision_recall(normals(10, 2, 1), x)
    with pytest.raises(ValueError, match="k at least 1"):
        precision_recall(x, x, 0)
    with pytest.raises(ValueError, match="fake must have at least 1"):
        precision_recall(x, np.zeros((0, 2)))


# ---- The classifier two-sample test --------------------------------------------------------------


def test_nobody_can_tell_equal_distributions_apart():
    tests = [
        classifier_two_sample_test(normals(100, 2, i), normals(100, 2, 999 + i)) for i in range(150)
    ]
    accuracy = np.array([test.statistic for test in tests])
    assert abs(accuracy.mean() - 0.5) < 4 * 0.05 / math.sqrt(150)
    assert accuracy.std() == pytest.approx(0.05, rel=0.3)  # 1/2 √100, of 100 that are told apart
    p_values = np.array([test.p_value for test in tests])
    assert abs(p_values.mean() - 0.5) < 0.1 and (p_values < 0.05).mean() < 0.13


def test_different_distributions_are_told_apart():
    x, y = normals(200, 2, 0), normals(300, 2, 1, 20.0)
    accuracy, p_value = classifier_two_sample_test(x, y)
    assert accuracy == 1 and p_value < 1e-30
    # The best accuracy for N(0, 1) and N(2, 1) is Φ(1).
    found = classifier_two_sample_test(normals(4000, 1, 0), normals(4000, 1, 1, 2.0)).statistic
    assert found == pytest.approx(stats.norm.cdf(1), abs=0.03)


def test_k_and_the_generator():
    x, y = normals(40, 2, 0), normals(40, 2, 1, 0.5)
    found = [classifier_two_sample_test(x, y, generator=tg.Generator(s)) for s in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    for accuracy, p_value in found:  # of 40 that are told apart, about binomial
        assert p_value == pytest.approx(stats.norm.sf(accuracy - 0.5, scale=1 / math.sqrt(160)))
    memory = classifier_two_sample_test(np.repeat(np.eye(2), 40, 0), np.repeat(np.eye(2), 40, 0), 1)
    assert 0.3 < memory.statistic < 0.7
    for k in (0, 2, 81, -1):
        with pytest.raises(ValueError, match="k is odd"):
            classifier_two_sample_test(x, y, k)
    with pytest.raises(ValueError, match="x must have at least 4 samples"):
        classifier_two_sample_test(x[:3], y)


# ---- Mode coverage -------------------------------------------------------------------------------


def test_true_samples_of_the_grid():
    modes = toys.gaussian_grid_modes()
    found = mode_coverage(toys.gaussian_grid(20_000), modes, std=0.05)
    assert found.modes_hit == 25 and found.counts.sum() == round(20_000 * found.high_quality)
    expected = 1 - math.exp(-4.5)
    assert abs(found.high_quality - expected) < 4 * math.sqrt(expected * (1 - expected) / 20_000)
    assert 0 < found.reverse_kl < 24 / 20_000  # mean of the statistic: 24 / 2n
    wider = mode_coverage(toys.gaussian_grid(20_000, noise=0.1), modes, std=0.05)
    assert wider.high_quality == pytest.approx(1 - math.exp(-4.5 / 4), abs=0.02)


def test_collapsed_and_lost_samples():
    modes = toys.gaussian_grid_modes()
    one = mode_coverage(np.tile([[2.0, -4.0]], (10, 1)), modes, 0.05)
    assert one.modes_hit == 1 and one.high_quality == 1 and one.counts[4 - 1] == 10
    assert one.reverse_kl == pytest.approx(math.log(25))
    none = mode_coverage(np.ones((10, 2)), modes, 0.05)
    assert none.modes_hit == 0 and none.high_quality == 0 and none.reverse_kl == math.inf
    half = mode_coverage(np.array([[0.0, 0.149], [0.0, 0.151]]), modes, 0.05)
    assert half.high_quality == 0.5 and half.counts[12] == 1
    uneven = mode_coverage(np.repeat([[0.0], [1.0]], [3, 1], 0), np.array([[0.0], [1.0]]), 0.1)
    assert uneven.reverse_kl == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


def test_modes_that_make_no_sense():
    x = np.zeros((3, 2))
    for arguments in ({"std": 0.0}, {"std": math.nan}, {"std": 1.0, "threshold": -1.0}):
        with pytest.raises(ValueError, match="std and threshold are above 0"):
            mode_coverage(x, x, **arguments)
    with pytest.raises(ValueError, match="samples has samples of 2 numbers each, modes of 3"):
        mode_coverage(x, np.zeros((3, 3)), 1.0)
