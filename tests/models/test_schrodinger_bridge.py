"""Schrödinger bridges on a line: between normal densities everything has a closed form."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.models.schrodinger_bridge import SchrodingerBridge1d, sinkhorn

GRID = np.linspace(-7, 7, 281)


def grid_normal(mean, std):
    p = np.exp(-0.5 * ((GRID - mean) / std) ** 2)
    keep = p > 1e-14
    return tg.tensor(GRID[keep]), tg.tensor(p[keep] / p[keep].sum())


START, END = (-1.0, 0.6), (1.5, 1.0)  # mean and standard deviation


def between(sigma):
    return SchrodingerBridge1d(*grid_normal(*START), *grid_normal(*END), sigma)


def covariance(sigma):
    """Of X_0 and X_1: c² + σ² c = a b, as Brownian motion leaves the precision of the pair with
    −1/σ² off its diagonal (Janati et al. 2020, theorem 1)."""
    a, b = START[1] ** 2, END[1] ** 2
    return (math.sqrt(sigma**4 + 4 * a * b) - sigma**2) / 2


def law(sigma, t):
    """Mean and variance of X_t (Bunne et al. 2023, theorem 3)"""
    (m0, s0), (m1, s1) = START, END
    mean = (1 - t) * m0 + t * m1
    spread = (1 - t) ** 2 * s0**2 + t**2 * s1**2 + 2 * t * (1 - t) * covariance(sigma)
    return mean, spread + sigma**2 * t * (1 - t)


# ---- Sinkhorn ------------------------------------------------------------------------------------


def test_marginals_are_met_and_the_coupling_has_the_form_of_the_optimum():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.full(5, 9.0)), rng.dirichlet(np.full(7, 9.0))
    cost = tg.tensor(0.3 * rng.random((5, 7)))
    found = sinkhorn(cost, tg.tensor(p), tg.tensor(q), 0.1)
    coupling = np.exp(found.log_prob.array)
    np.testing.assert_allclose(coupling.sum(1), p, atol=1e-9)
    np.testing.assert_allclose(coupling.sum(0), q, atol=1e-12)
    objective = lambda c: (c * cost.array).sum() + 0.1 * (c * np.log(c / np.outer(p, q))).sum()
    assert found.transport_cost() == pytest.approx((coupling * cost.array).sum(), rel=1e-12)
    dual = p @ found.f.array + q @ found.g.array  # strong duality: no coupling does better
    assert objective(coupling) == pytest.approx(dual, abs=1e-8)
    for _ in range(20):  # and none near it does as well
        bump = rng.standard_normal((5, 7))
        bump -= bump.mean(0) + bump.mean(1, keepdims=True) - bump.mean()
        assert objective(coupling + 0.1 * coupling.min() * bump) > objective(coupling)


@pytest.mark.parametrize("epsilon", [0.002, 0.5, 100.0])
def test_two_points_have_a_closed_form_however_small_epsilon(epsilon):
    """π = ½ σ(1/ε) on the diagonal, of which the other way round costs 1: exp(−1/ε) is 0 in numbers
    of floating point for the smallest ε here, and where 0 / 0 would be."""
    half = tg.tensor([0.5, 0.5], dtype=tg.float64)
    cost = tg.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=tg.float64) + tg.tensor([[700.0], [3.0]])
    found = np.exp(sinkhorn(cost, half, half, epsilon).log_prob.array)
    stay = 0.5 / (1 + math.exp(-1 / epsilon))
    np.testing.assert_allclose(found, [[stay, 0.5 - stay], [0.5 - stay, stay]], atol=1e-9)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_the_ends_of_normal_bridges_have_the_covariance_of_theory(sigma):
    bridge = between(sigma)
    coupling = np.exp(bridge.coupling.log_prob.array)
    x, y = bridge.x.array - START[0], bridge.y.array - END[0]
    assert x @ coupling @ y == pytest.approx(covariance(sigma), rel=1e-6)


# ---- Times in between ----------------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_normal_bridges_are_normal_at_every_time(t):
    mean, variance = law(1.0, t)
    z = np.linspace(mean - 2, mean + 2, 9)
    expected = -0.5 * (z - mean) ** 2 / variance - 0.5 * math.log(2 * math.pi * variance)
    np.testing.assert_allclose(between(1.0).log_prob(tg.tensor(z), t).array, expected, atol=1e-5)


def test_drifts_forwards_and_backwards_add_up_to_the_score():
    """b + b' = σ² ∇ log ρ_t (Nelson 1967): three functions that are computed apart."""
    bridge, sigma, t = between(0.8), 0.8, 0.3
    mean, variance = law(sigma, t)
    z = np.linspace(mean - 2, mean + 2, 9)
    both = bridge.drift(tg.tensor(z), t) + bridge.backward_drift(tg.tensor(z), t)
    np.testing.assert_allclose(both.array, -(sigma**2) * (z - mean) / variance, atol=1e-6)


def test_the_forward_drift_is_that_of_the_closed_form():
    """(E [X_1 | X_t = z] − z) / (1 − t), linear in z."""
    bridge, sigma, t = between(0.8), 0.8, 0.3
    mean, variance = law(sigma, t)
    with_end = (1 - t) * covariance(sigma) + t * END[1] ** 2
    z = np.linspace(mean - 2, mean + 2, 9)
    expected = (END[0] + with_end / variance * (z - mean) - z) / (1 - t)
    np.testing.assert_allclose(bridge.drift(tg.tensor(z), t).array, expected, atol=1e-6)


def test_paths_have_the_law_of_the_bridge():
    n, sigma, times = 20_000, 1.0, tg.tensor([0.0, 0.2, 0.7, 1.0])
    paths = between(sigma).sample(n, times).array
    assert paths.shape == (4, n)
    for row, t in zip(paths, times.tolist()):
        mean, variance = law(sigma, t)
        assert abs(row.mean() - mean) < 4 * math.sqrt(variance / n)
        assert abs(row.var() / variance - 1) < 4 * math.sqrt(2 / n)
    # Over time, too: cov(X_s, X_t) of the ends' line, and s (1 − t) σ² of the Brownian bridge
    s, t, c = 0.2, 0.7, covariance(sigma)
    expected = (
        (1 - s) * (1 - t) * 0.36 + s * t * 1.0 + ((1 - s) * t + s * (1 - t)) * c + s * (1 - t)
    )
    assert np.cov(paths[1], paths[2])[0, 1] == pytest.approx(expected, abs=0.04)


def test_following_the_drift_leads_from_one_end_to_the_other():
    bridge, steps = between(1.0), 200
    z = bridge.sample(4000, tg.tensor([0.0]))[0]
    for i in range(steps - 1):
        noise = tg.randn(len(z), dtype=tg.float64) / math.sqrt(steps)
        z = z + bridge.drift(z, i / steps) / steps + noise
    mean, variance = law(1.0, 1 - 1 / steps)
    assert abs(z.mean().item() - mean) < 4 * math.sqrt(variance / 4000) + 0.01
    assert abs(z.var().item() / variance - 1) < 4 * math.sqrt(2 / 4000) + 0.02


# ---- Wrong use -----------------------------------------------------------------------------------


def test_wrong_use_is_told_in_one_sentence():
    half = tg.tensor([0.5, 0.5])
    points = tg.tensor([0.0, 1.0])
    cost = tg.tensor([[0.0, 1.0], [1.0, 0.0]])
    bridge = SchrodingerBridge1d(points, half, points, half, 1.0)
    for error, wrong, message in (
        (ValueError, lambda: sinkhorn(cost, half, half, 0.0), "epsilon above 0; got 0.0"),
        (ValueError, lambda: sinkhorn(cost, half * 2, half, 1.0), "p must be.*with the sum 2:"),
        (ValueError, lambda: sinkhorn(cost, half, points, 1.0), "q must be probabilities above 0"),
        (ValueError, lambda: sinkhorn(cost[:1], half, half, 1.0), r"is \[2, 2\], not \[1, 2\]"),
        (RuntimeError, lambda: sinkhorn(cost, tg.tensor([0.9, 0.1]), half, 0.01,
                                        max_iterations=3), "after 3 iterations"),
        (ValueError, lambda: SchrodingerBridge1d(points, half, points, half, -1.0), "sigma above"),
        (ValueError, lambda: SchrodingerBridge1d(points, half[:1], points, half, 1.0), "each "),
        (ValueError, lambda: bridge.log_prob(points, 0.0), "between 0 and 1, not at 0.0"),
        (ValueError, lambda: bridge.drift(points, 1.0), "where it has arrived"),
        (ValueError, lambda: bridge.sample(3, tg.tensor([0.5, 0.2])), "must rise"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            wrong()
