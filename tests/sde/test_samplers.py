"""Every sampler, given the exact score of a mixture, gives the mixture, under every schedule."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde

f64 = {"dtype": tg.float64}
N = 2000
MEANS = np.array([[-2.0, -1.5], [0.0, 1.5], [2.0, -0.5], [2.5, 2.0]])
STD, WEIGHTS = 0.35, np.array([0.4, 0.15, 0.3, 0.15])
SCHEDULES = {
    "linear": sde.LinearSchedule(),
    "cosine": sde.CosineSchedule(),
    "discrete": sde.DiscreteSchedule(np.linspace(1e-4, 0.02, 1000)),
    "sub-vp": sde.SubVPSchedule(),
    "ve": sde.VESchedule(0.02, 20.0),
    "flow matching": sde.FlowMatchingSchedule(),
}
SAMPLERS = {
    "ancestral": (sde.Ancestral(), 200),
    "ancestral, large variance": (sde.Ancestral("large"), 200),
    "ddim": (sde.DDIM(), 100),
    "ddim, eta 0.5": (sde.DDIM(0.5), 100),
    "probability flow": (sde.ProbabilityFlow(), 200),
    "euler-maruyama": (sde.EulerMaruyama(), 200),
    "heun": (sde.Heun(), 20),
    "heun, churn": (sde.Heun(churn=0.2), 40),
    "predictor-corrector": (sde.PredictorCorrector(), 100),
    "predictor-corrector, ddim": (sde.PredictorCorrector(sde.DDIM(), corrector_steps=2), 60),
}


def mixture(schedule, **options):
    return sde.GaussianMixture(tg.tensor(MEANS), STD, schedule, tg.tensor(WEIGHTS), **options)


def times_for(schedule, sampler, steps):
    """Where the straight line begins, nothing is left of the data, and an SDE or a score has no
    first step: a little later."""
    if isinstance(schedule, sde.FlowMatchingSchedule) and not isinstance(sampler, sde.Heun):
        return np.linspace(0.995, 0, steps + 1)
    return None


def normal_cdf(z):
    return np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in z.ravel()]).reshape(z.shape)


def kolmogorov_smirnov(points, direction):
    """The largest distance of the distribution functions along a direction: the points' and that
    of the mixture."""
    along = np.sort(points @ direction)
    z = (along[:, None] - MEANS @ direction) / STD
    exact = normal_cdf(z) @ WEIGHTS
    steps = np.arange(len(along) + 1) / len(along)
    return max(np.abs(exact - steps[1:]).max(), np.abs(exact - steps[:-1]).max())


def sliced_wasserstein(x, y):
    """The mean over 32 directions of the distance of quantiles."""
    angles = np.arange(32) * math.pi / 32
    directions = np.stack([np.cos(angles), np.sin(angles)])
    return np.abs(np.sort(x @ directions, 0) - np.sort(y @ directions, 0)).mean()


DIRECTIONS = [np.array([math.cos(a), math.sin(a)]) for a in (0.0, 0.9, 1.6, 2.5)]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_samplers_reproduce_the_mixture(schedule, name):
    tg.manual_seed(1)
    sampler, steps = SAMPLERS[name]
    exact = mixture(schedule)
    times = times_for(schedule, sampler, steps)
    x = sde.sample(exact.denoiser(), (N, 2), sampler, steps, times=times, **f64).array
    worst = max(kolmogorov_smirnov(x, direction) for direction in DIRECTIONS)
    assert worst * math.sqrt(N) < 1.95  # one real sample in 1,000 is further away
    real = [exact.sample(N).array for _ in range(4)]
    floor = np.mean([sliced_wasserstein(real[0], other) for other in real[1:]])
    assert np.mean([sliced_wasserstein(x, other) for other in real]) < 2 * floor + 0.02


# ---- One sampler and another ---------------------------------------------------------------------


def draw(denoiser, sampler, steps=10, seed=0, **options):
    generator = tg.Generator(seed)
    return sde.sample(denoiser, (50, 2), sampler, steps, generator=generator, **f64, **options)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_ancestral_sampling_is_ddim_with_eta_1(schedule):
    denoiser, times = mixture(schedule).denoiser(), np.linspace(0.99, 0, 11) * schedule.end
    found = draw(denoiser, sde.Ancestral(), times=times)
    expected = draw(denoiser, sde.DDIM(1.0), times=times)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-7, atol=1e-9)


def test_on_the_straight_line_the_probability_flow_is_ddim():
    exact = mixture(SCHEDULES["flow matching"]).denoiser()
    velocity = sde.Denoiser(
        lambda x, t: exact.velocity(x, tg.clamp(t, max=1 - 1e-9)), exact.schedule, "velocity"
    )
    found, expected = (draw(velocity, s) for s in (sde.ProbabilityFlow(), sde.DDIM()))
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prediction", sde.PREDICTIONS)
def test_samples_do_not_depend_on_what_is_predicted(prediction):
    exact = mixture(sde.LinearSchedule()).denoiser()
    other = sde.Denoiser(lambda x, t: exact.predict(prediction, x, t), exact.schedule, prediction)
    for sampler, _ in SAMPLERS.values():
        found, expected = draw(other, sampler, 8), draw(exact, sampler, 8)
        np.testing.assert_allclose(found.array, expected.array, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("schedule", [sde.LinearSchedule(), sde.VESchedule(0.1, 8.0)])
def test_a_step_of_euler_maruyama_is_that_of_the_reverse_sde(schedule):
    exact, x, z = mixture(schedule), tg.randn(7, 2, **f64), tg.randn(7, 2, **f64)
    reverse = sde.DiffusionProcess(schedule).reverse(exact.score)
    t, s = 0.6, 0.55
    time = tg.tensor(1 - t, **f64)
    expected = x + reverse.f(time, x) * (t - s) + reverse.g(time, x) * math.sqrt(t - s) * z
    found = sde.EulerMaruyama()(exact.denoiser(), x, t, s, lambda x: z)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-10)


@pytest.mark.parametrize(
    ("sampler", "order"), [(sde.DDIM(), 1), (sde.ProbabilityFlow(), 1), (sde.Heun(), 2)]
)
@pytest.mark.parametrize("name", ["linear", "ve", "flow matching"])
def test_deterministic_samplers_converge_to_the_flow_with_their_order(name, sampler, order):
    """Against odeint, from t = 0.7 to 0.1. Half the step: the error falls by 2^order."""
    exact = mixture(SCHEDULES[name])
    x = 2 * tg.randn(20, 2, generator=tg.Generator(4), **f64)
    flow = sde.DiffusionProcess(exact.schedule).probability_flow(exact.score)
    truth = tg.ode.odeint(flow, x, tg.tensor([0.7, 0.1], **f64), rtol=1e-9, atol=1e-9)[-1]
    errors = []
    for steps in (80, 160):
        grid = np.linspace(0.7, 0.1, steps + 1)
        found = sde.sample(exact.denoiser(), (20, 2), sampler, times=grid, x=x)
        errors.append(np.sqrt(((found - truth).array ** 2).mean()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_langevin_steps_alone_hold_the_marginal():
    """Predictor and corrector at one time: a predictor that stays, and many small steps."""

    class Stay(sde.Sampler):
        def step(self, denoiser, x, t, s, noise):
            return x

    tg.manual_seed(0)
    exact, t = mixture(sde.LinearSchedule()), tg.tensor(0.25, **f64)
    sampler = sde.PredictorCorrector(Stay(), snr=0.1, corrector_steps=600)
    x = sde.sample(exact.denoiser(), (N, 2), sampler, times=[0.26, 0.25], **f64).array
    alpha, sigma = exact.schedule.alpha(t), exact.schedule.sigma(t)
    one, other = (alpha * exact.sample(N) + sigma * tg.randn(N, 2, **f64) for _ in range(2))
    bound = 2.5 * sliced_wasserstein(one.array, other.array) + 0.02
    assert sliced_wasserstein(x, one.array) < bound
    assert sliced_wasserstein(tg.randn(N, 2).array, one.array) > bound  # from where it started


# ---- The loop ------------------------------------------------------------------------------------


def test_the_network_is_called_once_a_step_and_there_is_no_tape():
    exact = mixture(sde.LinearSchedule())
    weight, calls = tg.tensor(1.0, requires_grad=True), []

    def score(x, t):
        assert t.shape == (50,) and x.dtype == t.dtype
        calls.append(t.array[0])
        return weight * exact.score(x, t)

    denoiser = sde.Denoiser(score, exact.schedule, "score")
    for sampler, count in ((sde.DDIM(), 10), (sde.Ancestral(), 10), (sde.EulerMaruyama(), 10),
                           (sde.Heun(), 19), (sde.PredictorCorrector(), 19)):  # fmt: skip
        calls.clear()
        assert not draw(denoiser, sampler).requires_grad
        assert len(calls) == count and sorted(calls, reverse=True) == calls and calls[-1] > 0


def test_the_type_and_the_seed_are_those_asked_for_and_paths_have_all_states():
    denoiser = mixture(sde.LinearSchedule()).denoiser()
    single = sde.GaussianMixture(tg.randn(3, 2), 0.2, sde.LinearSchedule()).denoiser()
    assert sde.sample(single, (4, 2), steps=5).dtype == tg.float32
    path = draw(denoiser, sde.Ancestral(), path=True)
    assert path.shape == (11, 50, 2)
    np.testing.assert_array_equal(path.array[-1], draw(denoiser, sde.Ancestral()).array)
    assert np.abs(draw(denoiser, sde.Ancestral(), seed=1).array - path.array[-1]).max() > 0.1


def test_mistakes_get_a_sentence():
    denoiser = mixture(sde.LinearSchedule()).denoiser()
    for times in ([0.5], [0.2, 0.5], [1.5, 0.0], [1.0, -0.1]):
        with pytest.raises(ValueError, match="times must fall, from 1 at most to 0 at least"):
            draw(denoiser, sde.DDIM(), times=times)
    with pytest.raises(ValueError, match="steps must be 1 or more, not 0"):
        draw(denoiser, sde.DDIM(), steps=0)
    with pytest.raises(ValueError, match="eta must lie between 0 and 1"):
        sde.DDIM(1.5)
    with pytest.raises(ValueError, match='"small" or "large"'):
        sde.Ancestral("medium")
    straight = mixture(SCHEDULES["flow matching"]).denoiser()
    with pytest.raises(ValueError, match=r"no step from t = 1 to 0\.9 by a prediction of score"):
        draw(straight, sde.EulerMaruyama())
