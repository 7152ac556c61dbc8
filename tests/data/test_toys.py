"""Toys: each density where, and as wide as, its description says."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.data import TOYS, toys

N = 20_000


def chi_squared(counts) -> float:
    """The statistic for equal shares; its mean is the number of cells less one."""
    expected = np.sum(counts) / len(counts)
    return float(((np.asarray(counts) - expected) ** 2).sum() / expected)


@pytest.mark.parametrize("name", TOYS)
def test_toys_are_points_that_follow_the_generator(name):
    toy = TOYS[name]
    points = toy(50, generator=tg.Generator(1))
    assert points.shape == (50, 2) and points.dtype == np.float32
    assert not points.requires_grad and np.isfinite(points.array).all()
    assert np.array_equal(points.array, toy(50, generator=tg.Generator(1)).array)
    assert not np.array_equal(points.array, toy(50, generator=tg.Generator(2)).array)
    tg.manual_seed(3)
    default = toy(50)
    tg.manual_seed(3)
    assert np.array_equal(default.array, toy(50).array)
    assert toy(0).shape == (0, 2)
    assert np.abs(toy(2000).array).max() < 6


@pytest.mark.parametrize("name", TOYS)
def test_noise_changes_only_the_width(name):
    sharp, wide = (TOYS[name](500, noise=s, generator=tg.Generator(1)).array for s in (0.0, 0.01))
    distance = np.linalg.norm(sharp - wide, axis=1)
    assert 0 < distance.mean() < 0.1


@pytest.mark.parametrize("name", TOYS)
def test_wrong_numbers_and_noise(name):
    for n in (-1, 2.5, True):
        with pytest.raises(ValueError, match="n is how many points to draw"):
            TOYS[name](n)
    for noise in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="noise is a standard deviation"):
            TOYS[name](5, noise=noise)


def test_the_default_type_is_kept():
    tg.set_default_dtype(tg.float64)
    try:
        assert toys.ring(3).dtype == toys.gaussian_grid(3).dtype == np.float64
    finally:
        tg.set_default_dtype(tg.float32)


def test_two_moons_lie_on_two_half_circles():
    x, y = toys.two_moons(N, noise=0.0).array.T
    outer = np.isclose(np.hypot(x, y), 1, atol=1e-5) & (y >= -1e-6)
    inner = np.isclose(np.hypot(x - 1, y - 0.5), 1, atol=1e-5) & (y <= 0.5 + 1e-6)
    assert (outer | inner).all()
    assert abs(outer.mean() - 0.5) < 4 * 0.5 / math.sqrt(N)


def test_the_ring_has_a_normal_radius_and_no_direction():
    x, y = toys.ring(N, noise=0.1).array.T
    radius = np.hypot(x, y)
    assert abs(radius.mean() - 2) < 4 * 0.1 / math.sqrt(N)
    assert abs(radius.std() - 0.1) < 4 * 0.1 / math.sqrt(2 * N)
    counts = np.histogram(np.arctan2(y, x), bins=16, range=(-math.pi, math.pi))[0]
    assert chi_squared(counts) < 37.7  # 15 degrees of freedom, 0.1 %


@pytest.mark.parametrize(
    ("draw", "modes"),
    [
        (lambda: toys.gaussian_grid(N, noise=0.1), toys.gaussian_grid_modes()),
        (lambda: toys.nine_gaussians(N), toys.gaussian_grid_modes(3)),
        (
            lambda: toys.eight_gaussians(N),
            tg.tensor([[2 * math.cos(a), 2 * math.sin(a)] for a in np.arange(8) * math.pi / 4]),
        ),
    ],
)
def test_mixtures_have_equal_normals_at_their_modes(draw, modes):
    points, modes = draw().array.astype(float), modes.array.astype(float)
    which = np.linalg.norm(points[:, None] - modes, axis=2).argmin(1)
    offsets = points - modes[which]
    assert abs(offsets.std() - 0.1) < 4 * 0.1 / math.sqrt(4 * N)
    assert np.abs(offsets.mean(0)).max() < 4 * 0.1 / math.sqrt(N)
    k = len(modes)
    assert chi_squared(np.bincount(which, minlength=k)) < k - 1 + 4 * math.sqrt(2 * (k - 1))


def test_the_modes_of_the_grid():
    modes = toys.gaussian_grid_modes().array
    assert modes.shape == (25, 2) and len({tuple(m) for m in modes.tolist()}) == 25
    assert sorted(set(modes.ravel().tolist())) == [-4, -2, 0, 2, 4]
    with pytest.raises(ValueError, match="at least 1 mode"):
        toys.gaussian_grid_modes(0)


def test_spirals_are_one_another_turned_round():
    x, y = toys.spirals(N, noise=0.0).array.T.astype(float)
    radius = np.hypot(x, y)
    on_one = np.mod(np.arctan2(y, x) - (math.pi - 3 * radius), 2 * math.pi)
    one = np.isclose(np.cos(on_one), 1, atol=1e-5)
    other = np.isclose(np.cos(on_one), -1, atol=1e-5)
    assert (one ^ other).all() and abs(one.mean() - 0.5) < 4 * 0.5 / math.sqrt(N)
    assert abs((radius**2).mean() - math.pi**2 / 2) < 0.1  # the radius is π √u


def test_the_checkerboard_is_uniform_on_every_second_square():
    points = toys.checkerboard(N).array
    column, row = np.floor((points.T + 4) / 2).astype(int)
    assert ((column + row) % 2 == 0).all() and np.abs(points).max() < 4
    counts = np.bincount(4 * row + column, minlength=16).reshape(4, 4)
    assert chi_squared(counts[counts > 0]) < 24.3 and (counts > 0).sum() == 8  # 7 degrees, 0.1 %
    within = np.histogram2d(*(points.T % 2), bins=4, range=((0, 2), (0, 2)))[0]
    assert chi_squared(within.ravel()) < 37.7


def test_the_swiss_roll_is_scikit_learns():
    from sklearn.datasets import make_swiss_roll

    theirs = make_swiss_roll(N, random_state=0)[0][:, [0, 2]] / 5
    ours = toys.swiss_roll(N, noise=0.0).array
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.06)
    np.testing.assert_allclose(np.cov(ours.T), np.cov(theirs.T), rtol=0.05, atol=0.03)
    radius = np.linalg.norm(ours, axis=1)
    angle = 5 * radius
    np.testing.assert_allclose(ours, np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1),
                               atol=1e-4)  # fmt: skip


def test_the_pinwheel_has_as_many_blades_as_it_says():
    points = toys.pinwheel(N, noise=0.02, blades=5).array.astype(float)
    radius = np.linalg.norm(points, axis=1)
    assert abs(radius.mean() - 2) < 0.01 and abs(radius.std() - 2 * 0.06) < 0.005
    angle = np.arctan2(points[:, 1], points[:, 0]) - 0.25 * np.exp(radius / 2)
    blade = np.mod(angle, 2 * math.pi / 5)
    spread = np.angle(np.exp(5j * blade)) / 5  # across the blade, about noise / radius
    assert np.abs(spread).max() < 0.15 and abs(spread.mean()) < 0.005
    counts = np.bincount(np.round(np.mod(angle, 2 * math.pi) / (2 * math.pi / 5)).astype(int) % 5)
    assert chi_squared(counts) < 18.5  # 4 degrees of freedom, 0.1 %
