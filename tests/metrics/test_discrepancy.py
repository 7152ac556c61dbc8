"""MMD, energy distance and the permutation test: SciPy, the definition, normals in closed form."""

import math

import numpy as np
import pytest
from scipy import stats

import tinygen as tg
from tinygen.metrics import energy_distance, median_distance, mmd, permutation_test, samples


def normals(n, d, seed, shift=0.0):
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


def mean_of_pairs(x, y, kernel, other_only=False):
    pairs = [
        kernel(a, b)
        for i, a in enumerate(x)
        for j, b in enumerate(y)
        if not (other_only and i == j)
    ]
    return np.mean(pairs)


@pytest.fixture(params=[1024, 3])
def block(request, monkeypatch):
    """Also with so many rows that they are taken in several pieces."""
    monkeypatch.setattr(samples, "BLOCK", request.param)


# ---- MMD -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 3, 40])
@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_by_its_definition(block, unbiased, d):
    x, y = normals(7, d, 0), normals(5, d, 1, 0.5)
    widths = (0.7, 2.0)
    kernel = lambda a, b: np.mean([np.exp(-np.sum((a - b) ** 2) / (2 * s**2)) for s in widths])
    expected = (
        mean_of_pairs(x, x, kernel, unbiased)
        + mean_of_pairs(y, y, kernel, unbiased)
        - 2 * mean_of_pairs(x, y, kernel)
    )
    assert mmd(x, y, widths, unbiased) == pytest.approx(expected, abs=1e-13)
    assert mmd(x, y, 0.7) != pytest.approx(mmd(x, y, 2.0))


@pytest.mark.parametrize(("d", "shift", "width"), [(1, 1.0, 1.0), (4, 0.5, 2.0)])
def test_mmd_between_normals(d, shift, width):
    share = (width**2 / (width**2 + 2)) ** (d / 2)  # of E k(X, X'), as X - X' is N(0, 2)
    expected = 2 * share * (1 - math.exp(-d * shift**2 / (2 * (width**2 + 2))))
    found = [mmd(normals(400, d, i), normals(400, d, 99 + i, shift), width) for i in range(20)]
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / math.sqrt(20)
    assert np.std(found) < 0.3 * expected


def test_without_a_difference_only_the_unbiased_estimate_is_0_on_average():
    pairs = [(normals(50, 2, i), normals(50, 2, 1000 + i)) for i in range(60)]
    unbiased = [mmd(x, y, 1.0) for x, y in pairs]
    biased = [mmd(x, y, 1.0, unbiased=False) for x, y in pairs]
    assert abs(np.mean(unbiased)) < 4 * np.std(unbiased) / math.sqrt(60)
    assert min(unbiased) < 0 < min(biased)
    assert np.mean(biased) == pytest.approx(2 / 50 * (1 - 1 / 3), rel=0.2)  # E k(X, X') = 1/3


def test_the_median_distance():
    x = np.array([0.0, 1.0, 3.0])  # distances 1, 2, 3
    assert median_distance(x) == pytest.approx(2)
    assert median_distance(normals(5000, 1, 0)) == pytest.approx(
        math.sqrt(2) * stats.norm.ppf(0.75), rel=0.05
    )
    y = np.array([10.0, 10.5])
    widths = median_distance(np.concatenate([x, y])) * np.array([0.25, 0.5, 1, 2, 4])
    assert mmd(x, y) == mmd(x, y, widths)
    with pytest.raises(ValueError, match="most of the samples are the same"):
        mmd(np.ones(9), np.ones(9))
    assert mmd(np.ones(9), np.ones(9), 1.0) == 0


# ---- Energy distance -----------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(1, 1), (20, 20), (7, 31)])
def test_energy_distance_is_scipys(block, n, m):
    x, y = normals(n, 1, 0)[:, 0], normals(m, 1, 1, 0.4)[:, 0]
    assert energy_distance(x, y) == pytest.approx(stats.energy_distance(x, y), rel=1e-9)


@pytest.mark.parametrize("d", [2, 30])
def test_energy_distance_by_its_definition(block, d):
    x, y = normals(8, d, 0), normals(6, d, 1, 0.5)
    distance = lambda a, b: np.linalg.norm(a - b)
    expected = math.sqrt(
        2 * mean_of_pairs(x, y, distance)
        - mean_of_pairs(x, x, distance)
        - mean_of_pairs(y, y, distance)
    )
    assert energy_distance(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("d", [1, 2, 30])
def test_energy_distance_of_a_sample_to_itself(d):
    x = normals(50, d, 0) + 100
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-4)


def test_energy_distance_of_points_far_apart():
    assert energy_distance(np.zeros(4), np.full(5, 8.0)) == pytest.approx(4)  # √(2 · 8)


# ---- The permutation test ------------------------------------------------------------------------


@pytest.mark.parametrize("statistic", ["mmd", "energy"])
def test_the_p_value_is_uniform_without_a_difference(statistic):
    tests = [
        permutation_test(normals(12, 2, i), normals(20, 2, 500 + i), statistic, 99)
        for i in range(120)
    ]
    values = np.array([test.p_value for test in tests])
    assert stats.kstest(values, "uniform").pvalue > 0.001
    assert values.min() >= 0.01 and values.max() <= 1


@pytest.mark.parametrize("statistic", ["mmd", "energy"])
def test_a_difference_is_found(statistic):
    x, y = normals(60, 2, 0), normals(40, 2, 1, 1.0)
    assert permutation_test(x, y, statistic, 199).p_value == 1 / 200
    wider = 2 * normals(100, 2, 2)  # the same mean
    assert permutation_test(normals(100, 2, 3), wider, statistic, 199).p_value <= 0.01


def test_the_statistic_is_that_of_the_samples():
    x, y = normals(9, 3, 0), normals(14, 3, 1, 0.3)
    assert permutation_test(x, y, "mmd", 5, 0.8).statistic == pytest.approx(mmd(x, y, 0.8))
    n, m = len(x), len(y)
    distance = lambda a, b: np.linalg.norm(a - b)
    expected = (
        2 * mean_of_pairs(x, y, distance)
        - mean_of_pairs(x, x, distance, True)
        - mean_of_pairs(y, y, distance, True)
    )
    assert (n, m) == (9, 14)
    assert permutation_test(x, y, "energy", 5).statistic == pytest.approx(expected)


def test_permutations_follow_the_generator():
    x, y = normals(15, 1, 0), normals(15, 1, 1, 0.4)
    found = [permutation_test(x, y, generator=tg.Generator(seed)).p_value for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


# ---- Wrong use -----------------------------------------------------------------------------------


def test_what_has_no_discrepancy():
    x = normals(5, 2, 0)
    with pytest.raises(ValueError, match=r"y must have at least 2 samples .* got 1"):
        mmd(x, x[:1])
    assert mmd(x, x[:1], 1.0, unbiased=False) > 0
    for wrong in (0.0, [1.0, -1.0], [], math.nan):
        with pytest.raises(ValueError, match="bandwidths are one or more numbers above 0"):
            mmd(x, x, wrong)
    with pytest.raises(ValueError, match="not finite"):
        energy_distance(x, x * math.nan)
    with pytest.raises(ValueError, match='"mmd" or "energy", got \'t\''):
        permutation_test(x, x, "t")
    with pytest.raises(ValueError, match="num_permutations is at least 1"):
        permutation_test(x, x, num_permutations=0)
