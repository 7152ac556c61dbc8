"""The Fréchet distance in closed form and by SciPy's matrix square root, and bits per dimension."""

import math

import numpy as np
import pytest
from scipy import linalg, stats

import tinygen as tg
from tinygen.metrics import (
    bits_per_dimension,
    frechet_distance,
    gaussian_frechet_distance,
    with_floor,
)


def covariance(d, seed):
    factor = np.random.default_rng(seed).standard_normal((d, d))
    return factor @ factor.T


# ---- Normals -------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 3, 64])
def test_it_is_that_of_scipys_square_root(d):
    means = np.random.default_rng(0).standard_normal((2, d))
    first, second = covariance(d, 1), covariance(d, 2)
    root = linalg.sqrtm(first @ second).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(first + second - 2 * root)
    found = gaussian_frechet_distance(means[0], first, means[1], second)
    assert found == pytest.approx(expected, rel=1e-8)
    assert gaussian_frechet_distance(means[1], second, means[0], first) == pytest.approx(found)


def test_where_the_covariances_commute():
    zero = np.zeros(2)
    found = gaussian_frechet_distance(zero, np.diag([1.0, 9]), zero + [3, 4], np.diag([4.0, 25]))
    assert found == pytest.approx(25 + (1 - 2) ** 2 + (3 - 5) ** 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = [turn @ np.diag(c) @ turn.T for c in ([1.0, 9], [4.0, 25])]
    assert gaussian_frechet_distance(zero, turned[0], zero, turned[1]) == pytest.approx(5)


def test_singular_covariances():
    zero, line = np.zeros(2), np.diag([4.0, 0])
    assert gaussian_frechet_distance(zero, line, zero, line) == pytest.approx(0, abs=1e-12)
    assert gaussian_frechet_distance(zero, line, zero, np.diag([0, 9.0])) == pytest.approx(13)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((np.zeros(2), np.eye(3), np.zeros(2), np.eye(2)), "one d; got"),
        ((np.zeros(2), np.eye(2), np.zeros(3), np.eye(3)), "one d; got"),
        ((np.zeros(2), np.eye(2) * math.nan, np.zeros(2), np.eye(2)), "symmetric .* finite"),
        ((np.zeros(2), np.eye(2), np.zeros(2), np.triu(np.ones((2, 2)))), "symmetric .* finite"),
        ((np.zeros(2), np.diag([1, -1.0]), np.zeros(2), np.eye(2)), "no negative eigenvalue"),
    ],
)
def test_what_is_no_normal(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        gaussian_frechet_distance(*arguments)


# ---- Samples -------------------------------------------------------------------------------------


def test_samples_that_are_moved_and_stretched():
    x = tg.randn(200, 5).array.astype(float)
    v = np.arange(5.0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(x, x + v) == pytest.approx(30)
    spread = np.cov(x, rowvar=False).trace() + (x.mean(0) ** 2).sum()
    assert frechet_distance(x, 3 * x) == pytest.approx(4 * spread)


def test_fewer_samples_than_dimensions_are_too_far_apart():
    rng = np.random.default_rng(0)
    floors = [
        frechet_distance(rng.standard_normal((n, 40)), rng.standard_normal((n, 40)))
        for n in (10, 100, 1000)
    ]
    assert floors[0] > 5 * floors[1] > 25 * floors[2] > 0


def test_one_dimension_and_images():
    x = np.random.default_rng(0).standard_normal(4000)
    found = frechet_distance(x, 2 * x + 1)
    assert found == pytest.approx((x.mean() + 1) ** 2 + x.std(ddof=1) ** 2)
    images = tg.rand(20, 1, 3, 3)
    assert frechet_distance(images, images) == pytest.approx(0, abs=1e-10)
    with pytest.raises(ValueError, match="x must have at least 2 samples"):
        frechet_distance(images[:1], images)


# ---- The floor -----------------------------------------------------------------------------------


def test_the_floor_is_measured_on_other_real_samples_of_the_same_number():
    real, fake = np.arange(100.0), np.arange(1000.0, 1030.0)
    calls = []

    def metric(x, y):
        calls.append((set(x[:, 0]), set(y[:, 0])))
        return len(calls) / 3

    found = with_floor("distance", metric, real, fake)
    (reference, generated), (again, other) = calls
    assert reference == again and len(reference) == len(other) == found.n == 30
    assert not reference & other and reference | other <= set(real)
    assert generated == set(fake)
    assert str(found) == "distance: 0.3333 at n = 30 (real versus real: 0.6667)"
    assert with_floor("few", metric, real[:21], fake).n == 10


def test_a_perfect_model_is_at_the_floor():
    rng = np.random.default_rng(0)
    real, fake = rng.standard_normal((1000, 3)), rng.standard_normal((500, 3))
    found = with_floor("Fréchet", frechet_distance, real, fake, tg.Generator(1))
    assert found.value < 4 * found.floor and found.floor < 4 * found.value
    again = with_floor("Fréchet", frechet_distance, real, fake, tg.Generator(1))
    assert again == found != with_floor("Fréchet", frechet_distance, real, fake, tg.Generator(2))
    with pytest.raises(ValueError, match="at least 2"):
        with_floor("Fréchet", frechet_distance, real[:1], fake)


# ---- Bits per dimension --------------------------------------------------------------------------


def test_bits_of_known_distributions():
    assert bits_per_dimension(np.zeros(5), (1, 8, 8), levels=256) == 8  # uniform bytes
    assert bits_per_dimension(-64 * math.log(2), 64) == pytest.approx(1)  # fair coins
    x = tg.randn(200_000).array.astype(float)
    found = bits_per_dimension(stats.norm.logpdf(x), 1)
    assert found == pytest.approx(0.5 * math.log2(2 * math.pi * math.e), abs=0.01)
    assert bits_per_dimension(tg.tensor([-1.0, -3.0]), (2, 2)) == pytest.approx(0.5 / math.log(2))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((np.zeros(3), 0), "at least 1"),
        ((np.zeros(3), (1, 8, 8), 0), "at least 1"),
        ((np.array([1, math.nan]), 2), "log_prob has numbers that are not finite in 1 of 2"),
        ((np.zeros((3, 2)), 2), r"one number for each sample, \[n\]; got \(3, 2\)"),
        ((np.zeros(0), 2), "at least 1 samples"),
    ],
)
def test_what_has_no_bits(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        bits_per_dimension(*arguments)
