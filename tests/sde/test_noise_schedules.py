"""Noise schedules: one type for all, consistent with itself; and what is predicted, converted."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde
from tinygen.sde.denoiser import coefficients

f64 = {"dtype": tg.float64}
BETAS = np.linspace(1e-3, 0.06, 200)
SCHEDULES = {
    "linear": sde.LinearSchedule(),
    "cosine": sde.CosineSchedule(),
    "discrete": sde.DiscreteSchedule(BETAS),
    "sub-vp": sde.SubVPSchedule(sde.LinearSchedule(0.2, 12.0)),
    "ve": sde.VESchedule(0.02, 20.0),
    "flow matching": sde.FlowMatchingSchedule(),
}
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def inner_times(schedule, n=41):
    return tg.linspace(0.03, 0.97, n, **f64) * schedule.end


@every_schedule
def test_slopes_and_the_sde_follow_from_alpha_and_sigma(schedule):
    """dα/dt, dσ/dt, β = -2 d ln α/dt and g² = dσ²/dt + β σ², by finite differences."""
    t, h = inner_times(schedule), 1e-6
    if isinstance(schedule, sde.DiscreteSchedule):
        t = (tg.floor(t * 200) + 0.5) / 200  # β jumps at n/N
    slope = lambda f: ((f(t + h) - f(t - h)) / (2 * h)).array
    alpha, sigma = schedule.alpha(t).array, schedule.sigma(t).array
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-8)
    close(schedule.alpha_slope(t).array, slope(schedule.alpha))
    close(schedule.sigma_slope(t).array, slope(schedule.sigma))
    beta = -2 * slope(schedule.alpha) / alpha
    close(schedule.beta(t).array, beta)
    close(schedule.diffusion(t).array ** 2, 2 * sigma * slope(schedule.sigma) + beta * sigma**2)


@every_schedule
def test_the_log_snr_falls_and_is_inverted(schedule):
    t = inner_times(schedule)
    value = schedule.log_snr(t)
    expected = 2 * np.log(schedule.alpha(t).array / schedule.sigma(t).array)
    np.testing.assert_allclose(value.array, expected, rtol=1e-9, atol=1e-12)
    assert (np.diff(value.array) < 0).all()
    np.testing.assert_allclose(schedule.time_of_log_snr(value).array, t.array, rtol=1e-9)


@every_schedule
def test_all_begin_with_data_and_end_with_noise(schedule):
    zero, end = tg.tensor(0.0, **f64), tg.tensor(schedule.end, **f64)
    assert schedule.alpha(zero).item() == pytest.approx(1, abs=1e-12)
    assert schedule.sigma(zero).item() == pytest.approx(0, abs=1e-12)
    assert schedule.sigma(end).item() == pytest.approx(schedule.prior_std, rel=0.01)
    assert schedule.alpha(end).item() / schedule.prior_std < 0.06


@every_schedule
def test_transition_and_posterior_are_those_of_the_joint_normal(schedule):
    """x(s) and x(t) = a x(s) + √v z given x(0): their posterior by Bayes' rule, and both marginals
    (Ho, Jain & Abbeel 2020, equations 4 and 7)."""
    t = inner_times(schedule, 12)
    s, t = t[:-1], t[1:]
    alpha_s, alpha_t = schedule.alpha(s).array, schedule.alpha(t).array
    var_s, var_t = schedule.sigma(s).array ** 2, schedule.sigma(t).array ** 2
    a, v = (x.array for x in schedule.transition(s, t))
    np.testing.assert_allclose(a * alpha_s, alpha_t, rtol=1e-12)
    np.testing.assert_allclose(a * a * var_s + v, var_t, rtol=1e-12)
    of_xt, of_x0, variance = (x.array for x in schedule.posterior(s, t))
    np.testing.assert_allclose(variance, 1 / (1 / var_s + a * a / v), rtol=1e-9)
    np.testing.assert_allclose(of_xt, variance * a / v, rtol=1e-9)
    np.testing.assert_allclose(of_x0, variance * alpha_s / var_s, rtol=1e-9, atol=1e-12)
    # averaged over x(t) given x(0), it is x(s) given x(0)
    np.testing.assert_allclose(of_xt * alpha_t + of_x0, alpha_s, rtol=1e-12)
    np.testing.assert_allclose(of_xt**2 * var_t + variance, var_s, rtol=1e-9)


def test_a_chain_has_the_products_of_its_betas():
    schedule, N = SCHEDULES["discrete"], len(BETAS)
    t = tg.tensor(np.arange(N + 1) / N)
    alpha_bar = np.concatenate([[1], np.cumprod(1 - BETAS)])
    np.testing.assert_allclose(schedule.alpha(t).array ** 2, alpha_bar, rtol=1e-12)
    a, v = schedule.transition(t[:-1], t[1:])
    np.testing.assert_allclose(a.array, np.sqrt(1 - BETAS), rtol=1e-12)
    np.testing.assert_allclose(v.array, BETAS, rtol=1e-9)


def test_the_published_chain_is_the_linear_schedule_but_for_rounding_to_steps():
    """Ho, Jain & Abbeel 2020 against Song et al. 2021, appendix C."""
    published, t = sde.DiscreteSchedule(np.linspace(1e-4, 0.02, 1000)), tg.linspace(0.1, 1, 10)
    found = sde.LinearSchedule().alpha(t).array / published.alpha(t).array
    np.testing.assert_allclose(found, 1, atol=0.04)
    assert published.alpha(tg.tensor(1.0, **f64)).item() ** 2 == pytest.approx(4.036e-5, rel=1e-3)


# ---- Predictions ---------------------------------------------------------------------------------


@every_schedule
@pytest.mark.parametrize("given", sde.PREDICTIONS)
def test_predictions_convert_into_one_another(schedule, given):
    """What is known of x(0) and ε by one is what is known by another, whatever way round."""
    t = inner_times(schedule, 5)
    x0, epsilon = (tg.randn(5, 3, **f64) for _ in range(2))
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    x = alpha * x0 + sigma * epsilon
    h = 1e-6
    path = lambda t: schedule.alpha(t)[:, None] * x0 + schedule.sigma(t)[:, None] * epsilon
    middle = (tg.floor(t * 200) + 0.5) / 200  # where no slope jumps
    if isinstance(schedule, sde.DiscreteSchedule):
        t, alpha, sigma = middle, schedule.alpha(middle)[:, None], schedule.sigma(middle)[:, None]
        x = path(t)
    truth = {
        "epsilon": epsilon, "x0": x0, "v": alpha * epsilon - sigma * x0, "score": -epsilon / sigma,
        "velocity": (path(t + h) - path(t - h)) / (2 * h),
    }  # fmt: skip
    for wanted in sde.PREDICTIONS:
        found = sde.convert(truth[given], x, t, schedule, given, wanted)
        np.testing.assert_allclose(found.array, truth[wanted].array, rtol=1e-4, atol=1e-4)
        back = sde.convert(found, x, t, schedule, wanted, given)
        np.testing.assert_allclose(back.array, truth[given].array, rtol=1e-8, atol=1e-8)
        one = sde.convert(truth[given][:1], x[:1], t[0], schedule, given, wanted)
        np.testing.assert_allclose(one.array, found.array[:1], rtol=1e-9, atol=1e-12)


@every_schedule
def test_the_velocity_is_that_of_the_probability_flow(schedule):
    """f - ½ g² score (Song et al. 2021, equation 13)."""
    t, x, score = inner_times(schedule, 6), tg.randn(6, 2, **f64), tg.randn(6, 2, **f64)
    flow = sde.DiffusionProcess(schedule).probability_flow(lambda x, t: score)
    found = sde.convert(score, x, t, schedule, "score", "velocity")
    np.testing.assert_allclose(found.array, flow(t, x).array, rtol=1e-9, atol=1e-12)


def test_v_and_velocity_are_defined_where_nothing_is_left_of_the_data():
    schedule, one = sde.FlowMatchingSchedule(), tg.tensor(1.0, **f64)
    assert [float(c) for c in coefficients(schedule, one, "velocity", "x0")] == [1, -1]
    assert [float(c) for c in coefficients(schedule, one, "v", "x0")] == [0, -1]


@pytest.mark.parametrize("prediction", sde.PREDICTIONS)
def test_the_loss_is_least_for_the_truth_and_its_weight_counts(prediction):
    """A denoiser that knows x(0) has the loss 0; one that says 0 has the mean square of the truth,
    times the weight of each row."""
    schedule, t = sde.LinearSchedule(), tg.tensor([0.2, 0.5, 0.9], **f64)
    x0, epsilon = tg.randn(3, 2, 2, **f64), tg.randn(3, 2, 2, **f64)
    knows = lambda x, t: sde.convert(x0, x, t, schedule, "x0", prediction)
    zero = lambda x, t: 0 * x

    def loss(function, **options):
        class Network(tg.nn.Module):
            def forward(self, x, t):
                return function(x, t)

        model = sde.DenoisingModel(Network(), schedule, prediction)
        return model.denoising_loss(x0, t, noise=epsilon, **options).item()

    assert loss(knows) < 1e-20
    x = schedule.alpha(t)[:, None, None] * x0 + schedule.sigma(t)[:, None, None] * epsilon
    truth = knows(x, t).array
    assert loss(zero) == pytest.approx((truth**2).mean(), rel=1e-10)
    expected = (np.array([2.0, 0.5, 3.0])[:, None, None] * truth**2).mean()
    weight = lambda t: tg.tensor([2.0, 0.5, 3.0], **f64)
    assert loss(zero, weight=weight) == pytest.approx(expected, rel=1e-10)


# ---- The exact score of a mixture ----------------------------------------------------------------


def test_the_score_of_a_mixture_is_the_slope_of_its_density():
    for schedule in SCHEDULES.values():
        mixture = sde.GaussianMixture(
            tg.randn(4, 3, **f64), 0.3, schedule, tg.tensor([0.1, 0.2, 0.3, 0.4])
        )
        t, x = inner_times(schedule, 5), tg.randn(5, 3, **f64).requires_grad_()
        (slope,) = tg.autograd.grad(mixture.log_prob(x, t).sum(), x)
        np.testing.assert_allclose(mixture.score(x, t).array, slope.array, rtol=1e-8, atol=1e-10)


def test_the_density_of_a_mixture_at_0_is_that_of_the_data():
    weights = tg.tensor([0.5, 0.2, 0.3], **f64)
    means, x = tg.randn(3, 2, **f64), tg.randn(50, 2, **f64)
    mixture = sde.GaussianMixture(means, 0.4, sde.LinearSchedule(), weights)
    D = tg.distributions
    normals = D.Independent(D.Normal(means, tg.full((3, 2), 0.4, **f64)), 1)
    data = D.MixtureSameFamily(D.Categorical(weights), normals)
    found = mixture.log_prob(x, tg.tensor(0.0, **f64)).array
    np.testing.assert_allclose(found, data.log_prob(x).array, rtol=1e-9)
    draws = mixture.sample(20_000).array
    np.testing.assert_allclose(draws.mean(0), data.mean.array, atol=5 * 1.2 / math.sqrt(20_000))
    np.testing.assert_allclose(draws.var(0), data.variance.array, rtol=0.08)


# ---- Mistakes ------------------------------------------------------------------------------------


def test_mistakes_get_a_sentence():
    with pytest.raises(ValueError, match=r"each β .* lies in \(0, 1\); got 3 from 0.1 to 1.5"):
        sde.DiscreteSchedule([0.1, 0.2, 1.5])
    with pytest.raises(ValueError, match=r"lies in \(0, 1\)"):
        sde.DiscreteSchedule([])
    with pytest.raises(ValueError, match=r"end must lie in \(0, 1\), for at 1 nothing is left"):
        sde.CosineSchedule(end=1.0)
    with pytest.raises(ValueError, match="0 < beta_min <= beta_max"):
        sde.LinearSchedule(0.0, 20.0)
    with pytest.raises(ValueError, match="epsilon, x0, v, score, velocity, not 'noise'"):
        sde.Denoiser(lambda x, t: x, sde.LinearSchedule(), "noise")
    with pytest.raises(RuntimeError, match="was never trained, and would make noise of noise"):
        sde.DenoisingModel(tg.nn.MLPDenoiser(2, 8, 1), sde.LinearSchedule()).denoiser()
    with pytest.raises(ValueError, match="3 positive numbers"):
        sde.GaussianMixture(tg.randn(3, 2), 0.1, sde.LinearSchedule(), tg.tensor([1.0, 0.0, 2.0]))
