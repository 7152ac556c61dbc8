"""Score SDEs: the loss against its closed form, the likelihood against the mixture's own, a trained
network against the exact score."""

import math

import numpy as np
import pytest
from models.exact_networks import SCHEDULES, Exact, OfNormal, f64, mixture, trained

import tinygen as tg
from tinygen import sde
from tinygen.metrics import sliced_wasserstein
from tinygen.models.score_sde import ScoreSDE
from tinygen.nn import MLPDenoiser

SDES = {name: SCHEDULES[name] for name in ("linear", "cosine", "sub-vp", "ve")}
every_sde = pytest.mark.parametrize("schedule", SDES.values(), ids=SDES)


# ---- Denoising score matching --------------------------------------------------------------------


@every_sde
@pytest.mark.parametrize("weight", ["variance", "likelihood"])
@pytest.mark.parametrize("prediction", ["epsilon", "score", "v"])
def test_the_loss_of_a_score_is_that_of_the_exact_one_and_its_distance(
    schedule, weight, prediction
):
    """For data N(0, s²) and c times the exact score: E λ |ε/σ + c ∇ log p|², in closed form at each
    t (Vincent 2011, and Song et al. 2021, equation 7)."""
    std, B = 0.7, 40_000
    u = (tg.arange(400, **f64) + 0.5) / 400
    for factor in (1.0, 0.6):
        model = ScoreSDE(OfNormal(schedule, std, prediction, factor), schedule, prediction, weight)
        t = model.start + (schedule.end - model.start) * u
        alpha, sigma = schedule.alpha(t).array, schedule.sigma(t).array
        variance = alpha**2 * std**2 + sigma**2
        least = alpha**2 * std**2 / (sigma**2 * variance)  # E|ε/σ + ∇ log p|²
        scale = sigma if weight == "variance" else schedule.diffusion(t).array
        each = scale**2 * (least + (1 - factor) ** 2 / variance)
        tg.manual_seed(1)
        found = model.loss(std * tg.randn(B, 1, **f64)).item()
        error = math.sqrt(3 * (each**2).mean() / B)
        assert found == pytest.approx(each.mean(), abs=5 * error)
        assert 5 * error < 0.2 * each.mean()


def test_a_trained_network_has_nearly_the_exact_score_and_the_likelihood_of_the_data():
    tg.manual_seed(0)
    exact = mixture(sde.LinearSchedule(0.1, 10.0), np.float32([[-1.5, -1], [1.5, 0], [0, 1.5]]))
    model = ScoreSDE(MLPDenoiser(2, 64, 2), exact.schedule)
    optimizer = tg.optim.Adam(model.parameters(), lr=3e-3)
    decay = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700)
    for _ in range(700):
        model.loss(exact.sample(256)).backward()
        optimizer.step()
        optimizer.zero_grad()
        decay.step()
    data = exact.sample(1500)
    for t in (0.05, 0.2, 0.5, 0.9):
        time = tg.full((1500,), t)
        x = exact.schedule.alpha(time)[:, None] * data
        x = x + exact.schedule.sigma(time)[:, None] * tg.randn(1500, 2)
        with tg.no_grad():
            error = ((model.score(x, time) - exact.score(x, time)) ** 2).mean()
        assert error.item() < 0.06 * (exact.score(x, time) ** 2).mean().item()
    floor = sliced_wasserstein(exact.sample(1500), data)
    for sampler in (None, sde.EulerMaruyama(), sde.ProbabilityFlow()):
        x = model.sample((1500, 2), sampler, 60)
        assert sliced_wasserstein(x, data) < 2 * floor + 0.1
    zero = tg.tensor(0.0)
    found = model.log_prob(data[:200], rtol=1e-3, atol=1e-3).mean().item()
    assert found == pytest.approx(exact.log_prob(data[:200], zero).mean().item(), abs=0.15)


# ---- Likelihood ----------------------------------------------------------------------------------

LONG = {  # so much noise that what the prior neglects is below what is asserted
    "linear": sde.LinearSchedule(0.1, 40.0),
    "cosine": sde.CosineSchedule(end=0.9999),
    "sub-vp": sde.SubVPSchedule(sde.LinearSchedule(0.1, 40.0)),
    "ve": sde.VESchedule(0.01, 20_000.0),
    "flow matching": sde.FlowMatchingSchedule(),
}


@pytest.mark.parametrize("name", LONG)
def test_the_likelihood_of_the_probability_flow_is_the_analytic_one(name):
    exact = mixture(LONG[name])
    x = tg.cat([exact.sample(20), 2 * tg.randn(5, 2, **f64)])
    ends = {"end": 0.99999} if name == "flow matching" else {}
    tolerances = {"start": 1e-6, "rtol": 1e-6, "atol": 1e-6}
    found = sde.log_likelihood(exact.denoiser(), x, **tolerances, **ends).array
    expected = exact.log_prob(x, tg.tensor(0.0, **f64)).array
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_hutchinsons_estimate_has_the_exact_mean():
    exact = mixture(sde.LinearSchedule(0.1, 40.0))
    x = tg.tensor([[0.8, 0.2]], **f64)
    tolerances = {"start": 1e-4, "rtol": 1e-4, "atol": 1e-4}
    found = sde.log_likelihood(exact.denoiser(), x.expand(400, 2), divergence="hutchinson",
                               generator=tg.Generator(0), **tolerances).array  # fmt: skip
    truth = sde.log_likelihood(exact.denoiser(), x, **tolerances).item()
    assert found.std() > 0.01
    assert found.mean() == pytest.approx(truth, abs=4 * found.std() / 20)
    averaged = sde.log_likelihood(exact.denoiser(), x.expand(200, 2), divergence="hutchinson",
                                  probes=8, **tolerances).array  # fmt: skip
    assert averaged.std() < 0.6 * found.std()


def test_bits_per_dimension_are_those_of_dequantised_normal_images():
    """For pixels around the middle grey, of which the model knows the density."""
    schedule, levels, std = sde.LinearSchedule(0.1, 40.0), 16, 0.3
    rng = np.random.default_rng(0)
    unit = np.clip(0.5 + 0.5 * std * rng.standard_normal((30, 1, 2, 2)), 0, 0.999)
    images = tg.tensor((unit * levels).astype(np.int64))
    model = trained(ScoreSDE(OfNormal(schedule, std, "epsilon"), schedule), tg.randn(2, 1))
    for divergence in ("exact", "hutchinson"):  # which is exact, too, where all pixels are alike
        found = model.bits_per_dimension(images, levels, divergence=divergence, start=1e-5,
                                         generator=tg.Generator(3))  # fmt: skip
        noise = tg.rand(images.shape, generator=tg.Generator(3)).array
        z = (2 * (images.array + noise) / levels - 1) / std
        density = -(z**2) / 2 - math.log(std * math.sqrt(2 * math.pi))  # of numbers in [-1, 1]
        expected = -density.mean() / math.log(2) - 1 + math.log2(levels)
        assert found == pytest.approx(expected, abs=2e-3)


# ---- Sampling ------------------------------------------------------------------------------------


@every_sde
def test_the_model_samples_what_its_network_knows(schedule):
    tg.manual_seed(0)
    exact = mixture(schedule)
    model = trained(ScoreSDE(Exact(exact, "epsilon"), schedule), exact.sample(4))
    data = exact.sample(1500)
    floor = sliced_wasserstein(exact.sample(1500), data)
    for sampler in (None, sde.Heun()):
        x = model.sample((1500, 2), sampler, 100 if sampler is None else 18, **f64)
        assert sliced_wasserstein(x, data) < 2 * floor + 0.03


def test_mistakes_get_a_sentence():
    network = MLPDenoiser(2, 8, 1)
    with pytest.raises(ValueError, match="variance or likelihood, not 'uniform'"):
        ScoreSDE(network, weight="uniform")
    with pytest.raises(ValueError, match="start must lie between 0 and the end"):
        ScoreSDE(network, start=0.0)
    with pytest.raises(ValueError, match="sigma_min < sigma_max"):
        ScoreSDE(network, sde.VESchedule(1.0, 0.5))
    model = ScoreSDE(network)
    for ask in (lambda: model.sample((2, 2)), lambda: model.log_prob(tg.randn(2, 2))):
        with pytest.raises(RuntimeError, match="ScoreSDE: this model was never trained"):
            ask()
    trained(model, tg.randn(4, 2))
    with pytest.raises(ValueError, match='"exact" or "hutchinson", not'):
        model.log_prob(tg.randn(2, 2), divergence="slice")
    for wrong in (tg.randn(2, 2), tg.tensor([[3, 256]])):
        with pytest.raises(ValueError, match="whole numbers from 0 to 255; got"):
            model.bits_per_dimension(wrong)
