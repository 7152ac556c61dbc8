"""Score matching: values and minima in closed form for normal densities, the three losses against
one another, and the score that each is said to find."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.autograd import grad
from tinygen.autograd.functional import hessian
from tinygen.models.energy import (
    MLPEnergy,
    denoising_score_matching,
    explicit_score_matching,
    score,
    sliced_score_matching,
)


class Quadratic(nn.Module):
    """½ (x − m)ᵀ P (x − m), of which e^−E is N(m, P⁻¹)"""

    def __init__(self, mean, precision):
        super().__init__()
        self.mean = nn.Parameter(tg.tensor(mean, dtype=tg.float64))
        self.precision = nn.Parameter(tg.tensor(precision, dtype=tg.float64))

    def forward(self, x):
        away = x - self.mean
        return 0.5 * (away @ ((self.precision + self.precision.T) / 2) * away).sum(1)


def normal_data(n=400):
    """x [n, 3], their mean, and their covariance"""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 3)) @ np.array([[1, 0.6, 0], [0, 0.8, -0.5], [0, 0, 0.6]]) + 0.5
    return tg.tensor(x), x.mean(0), np.cov(x.T, bias=True)


def network(features, width=8, seed=0):
    energy = MLPEnergy((features,), (width, width)).double()
    rng = np.random.default_rng(seed)
    for p in energy.parameters():
        p.array[...] = rng.standard_normal(p.shape) / math.sqrt(p.shape[-1])
    return energy


LOSSES = {  # (energy, x, seed) -> loss
    "explicit": lambda energy, x, seed: explicit_score_matching(energy, x),
    "sliced": lambda energy, x, seed: sliced_score_matching(
        energy, x, projections=2, generator=tg.Generator(seed)
    ),
    "sliced, plain": lambda energy, x, seed: sliced_score_matching(
        energy, x, variance_reduction=False, generator=tg.Generator(seed)
    ),
    "denoising": lambda energy, x, seed: denoising_score_matching(
        energy, x, 0.3, generator=tg.Generator(seed)
    ),
}

# ---- Values and gradients ------------------------------------------------------------------------


def test_the_score_is_minus_the_gradient_of_the_energy():
    x, mean, _ = normal_data(5)
    P = np.array([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 3.0]])
    found = score(Quadratic(mean, P), x)
    np.testing.assert_allclose(found.array, -(x.array - mean) @ P, rtol=1e-12)
    assert not found.requires_grad


def test_explicit_score_matching_of_a_quadratic_energy_has_a_closed_form():
    """½ E ‖P (x − m)‖² − tr P"""
    x, mean, _ = normal_data()
    P = np.array([[2.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 3.0]])
    expected = 0.5 * (((x.array - mean) @ P) ** 2).sum(1).mean() - np.trace(P)
    found = explicit_score_matching(Quadratic(mean, P), x).item()
    assert found == pytest.approx(expected, rel=1e-12)


def test_its_trace_is_that_of_the_hessian():
    energy, x = network(3), tg.tensor(np.random.default_rng(1).standard_normal((4, 3)))
    terms = []
    for i in range(4):
        H = hessian(lambda one: energy(one[None]).sum(), x[i]).array
        s = score(energy, x[i : i + 1]).array
        terms.append(0.5 * (s**2).sum() - np.trace(H))
    assert explicit_score_matching(energy, x).item() == pytest.approx(np.mean(terms), rel=1e-10)


def test_images_are_taken_with_all_of_their_pixels():
    energy = MLPEnergy((1, 2, 2), (6,)).double()
    flat = lambda x: energy(x.view(-1, 1, 2, 2))
    x = tg.tensor(np.random.default_rng(1).standard_normal((3, 1, 2, 2)))
    for name, loss in LOSSES.items():
        found, expected = loss(energy, x, 1).item(), loss(flat, x.flatten(1), 1).item()
        assert found == pytest.approx(expected, rel=1e-12), name


@pytest.mark.parametrize("variance_reduction", [True, False])
def test_sliced_score_matching_is_explicit_on_average(variance_reduction):
    energy, x = network(3), tg.tensor(np.random.default_rng(1).standard_normal((5, 3)))
    many = x.repeat(2000, 1)
    found = [
        sliced_score_matching(energy, many, variance_reduction=variance_reduction).item()
        for _ in range(20)
    ]
    error = np.std(found) / math.sqrt(20)
    assert abs(np.mean(found) - explicit_score_matching(energy, x).item()) < 4 * error
    assert error < 0.01


def test_several_projections_are_the_mean_of_them():
    energy, x = network(3), tg.tensor(np.random.default_rng(1).standard_normal((5, 3)))
    generator = tg.Generator(3)
    single = [sliced_score_matching(energy, x, generator=generator).item() for _ in range(4)]
    found = sliced_score_matching(energy, x, projections=4, generator=tg.Generator(3)).item()
    assert found == pytest.approx(np.mean(single), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_by_finite_differences(name):
    energy, x = network(2), tg.tensor(np.random.default_rng(1).standard_normal((6, 2)))
    parameters = list(energy.parameters())
    directions = [np.random.default_rng(2).standard_normal(p.shape) for p in parameters]

    def at(step):
        for p, d in zip(parameters, directions):
            p.array[...] += step * d
        value = LOSSES[name](energy, x, 1).item()
        for p, d in zip(parameters, directions):
            p.array[...] -= step * d
        return value

    found = grad(LOSSES[name](energy, x, 1), parameters, materialize_grads=True)
    slope = sum((g.array * d).sum() for g, d in zip(found, directions))
    assert slope == pytest.approx((at(1e-5) - at(-1e-5)) / 2e-5, rel=1e-5)


# ---- Minima --------------------------------------------------------------------------------------


def fitted(loss, x, mean, steps, lr):
    """The precision that gradient descent finds, the mean of the second half of its way."""
    energy = Quadratic(mean, np.eye(3))
    found = []
    for _ in range(steps):
        (slope,) = grad(loss(energy, x), energy.precision)
        energy.precision.array[...] -= lr * slope.array
        found.append(energy.precision.array.copy())
    return np.mean(found[steps // 2 :], 0)


def test_explicit_score_matching_recovers_the_precision_matrix():
    """For a normal density it is the inverse of the sample covariance exactly, as is maximum
    likelihood's (Hyvärinen 2005, section 3.1)."""
    x, mean, covariance = normal_data()
    found = fitted(explicit_score_matching, x, mean, 1500, 0.5)
    np.testing.assert_allclose(found, np.linalg.inv(covariance), rtol=1e-6, atol=1e-6)


def test_sliced_score_matching_recovers_the_precision_matrix():
    x, mean, covariance = normal_data(2000)
    precision = np.linalg.inv(covariance)
    found = fitted(sliced_score_matching, x, mean, 1500, 0.3)
    assert abs(found - precision).max() < 0.01 * abs(precision).max()


def test_denoising_score_matching_recovers_the_precision_of_the_noisy_data():
    """(Σ + σ²)⁻¹, which is not Σ⁻¹"""
    x, mean, covariance = normal_data(2000)
    precision = np.linalg.inv(covariance + 0.5**2 * np.eye(3))
    loss = lambda energy, x: denoising_score_matching(energy, x, 0.5)
    found = fitted(loss, x, mean, 1000, 0.3)
    assert abs(found - precision).max() < 0.02 * abs(precision).max()
    assert abs(found - np.linalg.inv(covariance)).max() > 0.2 * abs(precision).max()


MIXTURE = ((0.6, -1.0, 0.5), (0.4, 1.2, 0.4))  # weight, mean, standard deviation


def mixture_score(x, noise=0.0):
    """∇ log of the mixture's density with normal noise, by its formula"""
    parts = [(w, m, s * s + noise * noise) for w, m, s in MIXTURE]
    p = [w * np.exp(-0.5 * (x - m) ** 2 / v) / math.sqrt(2 * math.pi * v) for w, m, v in parts]
    return sum(-q * (x - m) / v for q, (_, m, v) in zip(p, parts)) / sum(p)


def mixture_energy(x, noise=0.0):
    parts = []
    for w, m, s in MIXTURE:
        v = s * s + noise * noise
        parts.append(math.log(w) - 0.5 * math.log(v) - 0.5 * (x - m) ** 2 / v)
    return -tg.logaddexp(*parts).squeeze(1)


def mixture_points(n):
    """n points [n, 1] that stand for the mixture: middles of pieces of equal probability"""
    grid = np.linspace(-5, 5, 100_001)
    p = sum(w / s * np.exp(-0.5 * ((grid - m) / s) ** 2) for w, m, s in MIXTURE)
    cumulative = np.cumsum(p) / p.sum()
    return tg.tensor(np.interp((np.arange(n) + 0.5) / n, cumulative, grid)[:, None])


def test_explicit_score_matching_is_the_distance_of_scores_up_to_a_constant():
    """J(E) = E ½ (s − ∇log p)² − E ½ (∇log p)² (Hyvärinen 2005, theorem 1)."""
    x = mixture_points(20_000)
    true = mixture_score(x.array)
    for energy in (network(1), network(1, seed=1), mixture_energy):
        s = score(energy, x).array
        expected = 0.5 * ((s - true) ** 2).mean() - 0.5 * (true**2).mean()
        found = explicit_score_matching(energy, x).item()
        assert found == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("noise", [0.2, 0.6])
def test_denoising_score_matching_is_least_at_the_score_of_the_smoothed_density(noise):
    """Its slope is 0 there along any change of the energy, and it is not at the score of the data
    without the noise (Vincent 2011, section 4)."""
    x = mixture_points(400_000)
    bumps = (lambda x: tg.sin(2 * x), lambda x: tg.exp(-0.5 * (x - 0.3) ** 2), lambda x: x * x)

    def slopes(level):
        theta = tg.zeros(len(bumps), dtype=tg.float64).requires_grad_()
        energy = lambda x: (
            mixture_energy(x, level)
            + sum(theta[i] * bump(x).squeeze(1) for i, bump in enumerate(bumps))
        )
        loss = denoising_score_matching(energy, x, noise, generator=tg.Generator(1))
        return abs(grad(loss, theta)[0].array)

    assert slopes(noise).max() < 0.04  # of 400,000 draws: 4 × 2 / σ / √n at σ = 0.2 is 0.06
    assert slopes(0.0).max() > 0.15


def test_denoising_score_matching_with_the_exact_score_leaves_the_known_remainder():
    """½ E ‖z/σ‖² − ½ E ‖s‖², as E [s | x̃] is the regression of −z/σ: for N(0, 1) data in d
    dimensions ½ d (1/σ² − 1/(1 + σ²))."""
    x = tg.randn(200_000, 2, dtype=tg.float64)
    energy = lambda x: 0.5 * (x * x).sum(1) / (1 + 0.5**2)
    found = denoising_score_matching(energy, x, 0.5).item()
    assert found == pytest.approx(1 / 0.25 - 1 / 1.25, rel=0.01)


# ---- Wrong use -----------------------------------------------------------------------------------


def test_wrong_use_is_told_in_one_sentence():
    energy, x = network(2), tg.zeros(3, 2, dtype=tg.float64)
    column = lambda x: x.sum(1, keepdim=True)
    for error, wrong, message in (
        (ValueError, lambda: denoising_score_matching(energy, x, 0.0), "sigma above 0; got 0.0"),
        (ValueError, lambda: sliced_score_matching(energy, x, projections=0), "got 0"),
        (ValueError, lambda: explicit_score_matching(energy, x * math.nan), "3 of the 3 samples"),
        (TypeError, lambda: explicit_score_matching(energy, x.long()), "floats, not int64"),
        (ValueError, lambda: explicit_score_matching(column, x), r"\[3\]; got \[3, 1\]: end"),
        (ValueError, lambda: explicit_score_matching(energy, x[:, :1]), r"\[batch, 2\], not"),
        (ValueError, lambda: explicit_score_matching(lambda x: x.sum(1), x), "second derivative"),
        (ValueError, lambda: explicit_score_matching(lambda x: 0 * x.detach().sum(1), x), "depend"),
    ):
        with pytest.raises(error, match=message):
            wrong()
