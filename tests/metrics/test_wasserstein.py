"""Wasserstein distances: SciPy's, by the definition, and where they have a closed form."""

import math

import numpy as np
import pytest
from scipy import stats

import tinygen as tg
from tinygen.metrics import sliced_wasserstein, wasserstein_1d

SIZES = [(1, 1), (7, 7), (5, 8), (12, 9), (100, 33), (1, 50)]


def numbers(n, seed):
    return np.random.default_rng(seed).standard_t(3, n)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_w1_is_scipys(n, m):
    x, y = numbers(n, 0), numbers(m, 1) + 0.3
    expected = stats.wasserstein_distance(x, y)
    assert wasserstein_1d(x, y) == pytest.approx(expected, rel=1e-12)
    assert wasserstein_1d(y, x) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("p", [1, 1.5, 2, 4])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_any_order_and_size_by_the_definition(n, m, p):
    x, y = numbers(n, 2), numbers(m, 3)
    many_x, many_y = np.sort(np.repeat(x, m)), np.sort(np.repeat(y, n))  # both nm equal masses
    expected = np.mean(np.abs(many_x - many_y) ** p) ** (1 / p)
    assert wasserstein_1d(x, y, p) == pytest.approx(expected, rel=1e-12)


def test_between_normals():
    u = (np.arange(100_000) + 0.5) / 100_000
    x = stats.norm.ppf(u)
    for mean, std in ((1.5, 1.0), (0.0, 3.0), (-1.0, 0.5)):
        expected = math.sqrt(mean**2 + (1 - std) ** 2)
        assert wasserstein_1d(x, mean + std * x[::-1], p=2) == pytest.approx(expected, rel=1e-3)


def test_a_shift_costs_its_length():
    x = np.random.default_rng(0).standard_normal((300, 6))
    v = np.array([3.0, 0, 4, 0, 0, 0])
    found = sliced_wasserstein(x, x + v, num_projections=20_000)
    assert found == pytest.approx(5 / math.sqrt(6), rel=0.02)
    expected = 5 * math.gamma(3) / (math.sqrt(math.pi) * math.gamma(3.5))  # E |θ·v|
    found = sliced_wasserstein(x, x + v, num_projections=20_000, p=1)
    assert found == pytest.approx(expected, rel=0.02)


def test_a_change_of_scale_in_many_dimensions():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4000, 10)), 3 * rng.standard_normal((5000, 10))
    assert sliced_wasserstein(x, y) == pytest.approx(2, rel=0.05)  # |1 - 3| in each direction


def test_in_one_dimension_there_is_only_one_direction():
    x, y = numbers(20, 0), numbers(31, 1)
    for p in (1, 2):
        found = sliced_wasserstein(x, y, 3, p)
        assert found == pytest.approx(wasserstein_1d(x, y, p), rel=1e-12)


def test_the_same_samples_are_at_distance_0():
    images = tg.rand(9, 1, 4, 4)
    assert sliced_wasserstein(images, images) == 0
    assert sliced_wasserstein(images, images[tg.randperm(9)]) == pytest.approx(0, abs=1e-12)
    twice = tg.cat([images, images])
    assert sliced_wasserstein(images, twice) == pytest.approx(0, abs=1e-7)


def test_directions_follow_the_generator():
    x, y = tg.randn(20, 3), tg.randn(20, 3)
    found = [sliced_wasserstein(x, y, 5, generator=tg.Generator(seed)) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        (np.zeros((0, 2)), np.zeros((3, 2)), r"x must have at least 1 samples \[n, ...\], got 0"),
        (np.zeros((3, 2)), np.zeros((3, 3)), "x has samples of 2 numbers each, y of 3"),
        (np.zeros((3, 2)), np.array([[0, 1], [0, math.nan]]), "y has .* in 1 of 2 samples.*er 1;"),
        (np.full((3, 2), math.inf), np.zeros((3, 2)), "x has numbers that are not finite in 3 of"),
        (np.float64(3), np.zeros(3), "at least 1 samples"),
    ],
)
def test_samples_that_have_no_distance(x, y, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        sliced_wasserstein(x, y)
    assert "\n" not in str(caught.value)


def test_arguments_that_make_no_sense():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="num_projections is at least 1"):
        sliced_wasserstein(x, x, 0)
    for p in (0.5, math.inf, math.nan):
        with pytest.raises(ValueError, match="order p"):
            sliced_wasserstein(x, x, p=p)
    with pytest.raises(ValueError, match="2 numbers each: for those there is sliced_wasserstein"):
        wasserstein_1d(x, x)
