"""Energy-based models trained with Langevin samples: the gradient against that of the likelihood by
quadrature, the normal density that they find in closed form, and the buffer of chains."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.autograd import grad
from tinygen.models.energy import EnergyModel, MLPEnergy
from tinygen.sampling import langevin

GRID = tg.tensor(np.linspace(-8, 8, 4001)[:, None])
SPACING = 16 / 4000


class Quadratic(nn.Module):
    """½ p (x − m)², of which e^−E is N(m, 1/p)"""

    shape = (1,)

    def __init__(self, mean=0.0, precision=1.0):
        super().__init__()
        self.mean = nn.Parameter(tg.tensor(mean, dtype=tg.float64))
        self.precision = nn.Parameter(tg.tensor(precision, dtype=tg.float64))

    def forward(self, x):
        return 0.5 * self.precision * (x.squeeze(1) - self.mean) ** 2


def network(shape=(1,), confine=1.0):
    energy = MLPEnergy(shape, (8, 8), confine=confine).double()
    rng = np.random.default_rng(0)
    for p in energy.parameters():
        p.array[...] = 1.5 * rng.standard_normal(p.shape) / math.sqrt(p.shape[-1])
    return energy


def negative_log_likelihood(energy, x):
    """E −log p(x), with Z by quadrature"""
    log_z = (-energy(GRID)).logsumexp(0) + math.log(SPACING)
    return energy(x).mean() + log_z


def test_the_gradient_is_that_of_the_exact_likelihood():
    """With chains that ran long, and a small step, for its bias is O(h)."""
    model = EnergyModel(network(), steps=400, step_size=0.01, chains=20_000, fresh=0.0)
    parameters = list(model.energy.parameters())
    x = tg.tensor(np.random.default_rng(0).normal(0.7, 0.4, (20_000, 1)))
    exact = grad(negative_log_likelihood(model.energy, x), parameters, materialize_grads=True)
    found = grad(model.loss(x), parameters, materialize_grads=True)
    largest = max(abs(e.array).max() for e in exact)
    for g, e in zip(found, exact):
        np.testing.assert_allclose(g.array, e.array, atol=0.02 * largest)


@pytest.mark.parametrize(("step_size", "steps"), [(0.02, 20), (0.3, 5)])
def test_a_normal_density_is_found_but_for_the_known_bias_of_langevin_steps(step_size, steps):
    """Samples of precision p have the variance 1 / (p (1 − h p / 2)); that of the data is met."""
    x = tg.tensor(np.random.default_rng(0).normal(1.5, 0.8, (4000, 1)))
    mean, variance = x.array.mean(), x.array.var()
    model = EnergyModel(Quadratic(), steps=steps, step_size=step_size, chains=4000, fresh=0.0)
    optimizer = tg.optim.SGD(model.energy.parameters(), lr=0.2)
    found = []
    for _ in range(300):
        model.loss(x).backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append([model.energy.mean.item(), model.energy.precision.item()])
    found_mean, precision = np.mean(found[150:], 0)
    assert found_mean == pytest.approx(mean, abs=0.01)
    assert 1 / (precision * (1 - step_size * precision / 2)) == pytest.approx(variance, rel=0.02)


def test_samples_have_the_density_of_the_energy():
    """Kolmogorov and Smirnov's distance, which 999 of 1,000 samples of size n pass."""
    model = EnergyModel(network(), step_size=0.01, scale=1.5)
    with tg.no_grad():
        density = np.exp(-model(GRID).array)
    cumulative = np.cumsum(density) / density.sum()
    x = np.sort(model.sample(4000, 600).array[:, 0])
    distance = abs(np.interp(x, GRID.array[:, 0], cumulative) - (np.arange(4000) + 0.5) / 4000)
    assert distance.max() < 1.95 / math.sqrt(4000) + 0.01  # and 0.01 for the bias
    start = np.sort(model.start(4000).array[:, 0])
    assert start.std() == pytest.approx(1.5, abs=4 * 1.5 / math.sqrt(8000))
    distance = abs(np.interp(start, GRID.array[:, 0], cumulative) - np.arange(4000) / 4000)
    assert distance.max() > 0.06


def test_moves_of_images_are_langevin_steps_of_their_pixels():
    model = EnergyModel(network((1, 2, 2)), step_size=0.05)
    x = model.start(6)
    found = model.move(x, 7, generator=tg.Generator(3)).array

    def flat_score(flat):
        with tg.enable_grad():
            flat = flat.detach().requires_grad_()
            return -grad(model.energy(flat.view(-1, 1, 2, 2)).sum(), flat)[0]

    run = langevin(flat_score, x.flatten(1), 7, step_size=0.05, generator=tg.Generator(3))
    np.testing.assert_allclose(found.reshape(6, 4), run.samples.array[-1], rtol=1e-12)


def test_samples_come_from_the_buffer_and_go_back_to_it():
    model = EnergyModel(network(), steps=1, step_size=1e-12, chains=50, fresh=0.0)
    model.chains.array[:, 0] = np.arange(50.0)
    found = np.sort(model.negatives(30).array[:, 0])
    assert len(set(found.round())) == 30  # each chain once
    np.testing.assert_allclose(found, found.round(), atol=1e-4)
    moved = model.chains.array[:, 0] != np.arange(50)
    assert set(found) == set(model.chains.array[moved, 0])
    assert "chains" in model.state_dict()


def test_a_share_of_the_samples_starts_anew():
    model = EnergyModel(network(), steps=1, step_size=1e-12, chains=4000, fresh=0.25)
    model.chains.array[...] = 100.0
    anew = model.negatives(4000).array < 50
    assert abs(anew.mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)


def test_sampling_leaves_no_gradients_and_the_loss_has_some():
    model = EnergyModel(network(), chains=10)
    assert not model.negatives(5).requires_grad
    assert all(p.grad is None for p in model.parameters())
    model.loss(model.start(5)).backward()
    assert model.energy.layers[0].weight.grad is not None


def test_the_penalty_is_of_squared_energies():
    model = EnergyModel(network(), chains=10, steps=3)
    x = model.start(10)
    loss = lambda **options: model.loss(x, generator=tg.Generator(1), **options).item()
    before = model.chains.array.copy()
    plain = loss()
    samples = model.chains.array.copy()
    model.chains.array[...] = before
    squares = [(model(tg.tensor(y)).array ** 2).mean() for y in (x.array, samples)]
    assert loss(penalty=0.1) - plain == pytest.approx(0.1 * sum(squares), rel=1e-10)


def test_a_confined_network_has_an_integral():
    """E(x) grows like c ‖x‖² / 2 far out."""
    energy = network(confine=0.5)
    with tg.no_grad():
        far = energy(tg.tensor([[1e5], [-1e5]], dtype=tg.float64)).array
    np.testing.assert_allclose(far, 0.25 * 1e10, rtol=1e-3)


def test_wrong_use_is_told_in_one_sentence():
    normed = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    model = EnergyModel(network(), chains=10)
    wild = EnergyModel(Quadratic(precision=10.0), step_size=1e3, chains=10)
    for error, wrong, message in (
        (ValueError, lambda: EnergyModel(network(), steps=0), "at least 1.*steps=0"),
        (ValueError, lambda: EnergyModel(network(), step_size=0.0), "above 0.*step_size=0.0"),
        (ValueError, lambda: EnergyModel(network(), fresh=1.5), "between 0 and 1.*fresh=1.5"),
        (ValueError, lambda: EnergyModel(normed), "batch norm"),
        (ValueError, lambda: model.negatives(11), "a batch of 11.*there are 10"),
        (ValueError, lambda: model.loss(model.start(3) * math.nan), "3 of the 3 samples"),
        (ValueError, lambda: model.loss(tg.zeros(3, 2)), r"\[batch, 1\], not \[3, 2\]"),
        (ValueError, lambda: model.sample(3, 0), "at least 1"),
        (FloatingPointError, lambda: wild.sample(3, 200), "step_size=1000.0; make it smaller"),
    ):
        with pytest.raises(error, match=message):
            wrong()
