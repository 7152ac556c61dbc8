"""Single steps of samplers against the formulas of their papers, written out."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde

f64 = {"dtype": tg.float64}
MEANS = tg.tensor([[-2.0, -1.5], [0.0, 1.5], [2.0, -0.5]], **f64)


def mixture(schedule):
    return sde.GaussianMixture(MEANS, 0.35, schedule)


class Stay(sde.Sampler):
    def step(self, denoiser, x, t, s, noise):
        return x


VE = sde.VESchedule(0.02, 20.0)
LIMIT = math.sqrt(2) - 1


@pytest.mark.parametrize(
    ("options", "gamma"),
    [
        ({}, 0.0),
        ({"churn": 0.2}, 0.2),
        ({"churn": 0.2, "churn_noise": 1.3}, 0.2),
        ({"churn": 5.0}, LIMIT),
        ({"churn": 0.2, "churn_min": 2.0}, 0.0),
        ({"churn": 0.2, "churn_max": 0.5}, 0.0),
        ({"churn": 0.2, "churn_min": 0.5, "churn_max": 2.0}, 0.2),
    ],
)
def test_a_step_of_heun_is_algorithm_2_of_karras(options, gamma):
    """From σ = 1 to 0.7, where α = 1 and times are those of the schedule."""
    exact, x, z = mixture(VE), tg.randn(7, 2, **f64), tg.randn(7, 2, **f64)
    time = lambda sigma: VE.time_of_log_snr(tg.tensor(-2 * math.log(sigma), **f64))
    D = lambda x, sigma: exact.denoiser().predict("x0", x, time(sigma))
    noise = options.get("churn_noise", 1.0)
    sigma, after, raised = 1.0, 0.7, 1.0 + gamma
    hat = x + noise * math.sqrt(raised**2 - sigma**2) * z
    slope = (hat - D(hat, raised)) / raised
    euler = hat + (after - raised) * slope
    expected = hat + (after - raised) * (slope + (euler - D(euler, after)) / after) / 2
    step = sde.Heun(**options)
    found = step(exact.denoiser(), x, time(sigma).item(), time(after).item(), lambda x: z)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-6, atol=1e-9)


def test_churn_does_not_raise_the_noise_beyond_the_end():
    exact, x, z = mixture(VE), 20 * tg.randn(7, 2, **f64), tg.randn(7, 2, **f64)
    found, expected = (
        sde.Heun(churn=churn)(exact.denoiser(), x, 1.0, 0.9, lambda x: z) for churn in (0.3, 0.0)
    )
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-9)


def test_the_times_of_heun_are_those_of_karras():
    """Equation 5, for σ from 20 to 0.1 in 6 steps, and then 0."""
    rho, i = 5.0, np.arange(6)
    expected = (20 ** (1 / rho) + i / 5 * (0.1 ** (1 / rho) - 20 ** (1 / rho))) ** rho
    times = sde.Heun(sigma_min=0.1, sigma_max=20.0, rho=rho).times(sde.VESchedule(0.01, 80.0), 6)
    found = sde.VESchedule(0.01, 80.0).sigma(tg.tensor(times[:-1], **f64)).array
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert times[-1] == 0 and len(times) == 7


def test_a_corrector_step_is_algorithm_5_of_song():
    """x + h score + √(2h) z, h = 2 (r |z| / |score|)²: both norms are means over the batch."""
    exact, x = mixture(sde.LinearSchedule()), 3 * tg.randn(7, 2, **f64)
    z = tg.randn(7, 2, **f64) * tg.linspace(0.1, 3.0, 7, **f64)[:, None]
    sampler = sde.PredictorCorrector(Stay(), snr=0.3)
    found = sampler(exact.denoiser(), x, 0.5, 0.4, lambda x: z)
    score = exact.score(x, tg.tensor(0.4, **f64)).array
    lengths = [np.linalg.norm(v, axis=1).mean() for v in (z.array, score)]
    h = 2 * (0.3 * lengths[0] / lengths[1]) ** 2
    np.testing.assert_allclose(found.array, x.array + h * score + math.sqrt(2 * h) * z.array)


@pytest.mark.parametrize(
    "schedule", [VE, sde.LinearSchedule(), sde.FlowMatchingSchedule(), sde.SubVPSchedule()]
)
def test_samples_begin_with_as_much_noise_as_there_is_at_the_first_time(schedule):
    path = sde.sample(mixture(schedule).denoiser(), (20_000, 2), times=[0.4, 0.3], path=True, **f64)
    sigma, end = (schedule.sigma(tg.tensor(t, **f64)).item() for t in (0.4, 1.0))
    assert path[0].array.std() == pytest.approx(schedule.prior_std * sigma / end, rel=0.02)


def test_inpainting_puts_back_what_is_known_with_the_noise_of_the_time_reached():
    """And with resample=2 what is not known goes back to t in between (Lugmayr et al. 2022,
    algorithm 1)."""
    schedule = sde.LinearSchedule()
    denoiser, x, z = mixture(schedule).denoiser(), tg.randn(5, 2, **f64), tg.randn(5, 2, **f64)
    t, s = 0.6, 0.4
    alpha, sigma = (f(tg.tensor([s, t], **f64)).array for f in (schedule.alpha, schedule.sigma))
    known, mask = tg.randn(5, 2, **f64), tg.tensor([True, False])
    for resample in (1, 2):
        step = sde.Inpaint(Stay(), known, mask, resample)
        found = step(denoiser, x, t, s, lambda x: z).array
        np.testing.assert_allclose(found[:, 0], (alpha[0] * known + sigma[0] * z).array[:, 0])
        a = alpha[1] / alpha[0]
        again = a * x + math.sqrt(sigma[1] ** 2 - (a * sigma[0]) ** 2) * z
        expected = x if resample == 1 else again
        np.testing.assert_allclose(found[:, 1], expected.array[:, 1], rtol=1e-9)
