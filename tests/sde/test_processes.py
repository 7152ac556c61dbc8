"""Ready processes have the distributions that they are known for."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde
from tinygen.autograd import grad
from tinygen.sde import BrownianInterval, sdeint

f64 = {"dtype": tg.float64}


def assert_moments(x: np.ndarray, mean, std) -> None:
    """Mean and standard deviation of independent rows, to five standard errors (and the error of a
    solver, a hundredth)."""
    n = len(x)
    mean, std = np.broadcast_to(mean, x.shape)[0], np.broadcast_to(std, x.shape)[0]
    assert (np.abs(x.mean(0) - mean) < 5 * std / math.sqrt(n) + 0.01 * std).all()
    kurtosis = (((x - mean) / std) ** 4).mean(0)
    assert (np.abs(x.std(0) / std - 1) < 5 * np.sqrt((kurtosis - 1) / (4 * n)) + 0.01).all()


PROCESSES = {
    "brownian motion": (sde.BrownianMotion(0.7, 0.4), 1.5, "srk"),
    "ornstein-uhlenbeck": (sde.OrnsteinUhlenbeck(1.3, 0.5, 0.8), 1.0, "srk"),
    "geometric": (sde.GeometricBrownianMotion(0.4, 0.5), 1.0, "srk"),
    "bridge": (sde.BrownianBridge(1.0, 2.0, 0.6), 1.2, "euler"),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_marginals_are_those_of_simulation(name):
    process, end, method = PROCESSES[name]
    x0 = tg.tensor([[0.3, 1.2]], **f64).expand(20_000, 2)
    with tg.no_grad():
        xs = sdeint(process, x0, [0, end / 3, end], method=method, dt=end / 48)
    for t, x in zip((end / 3, end), xs[1:]):
        mean, std = process.marginal_prob(x0[:1], t)
        assert_moments(x.array, mean.array, std.array)


def test_the_distribution_of_ornstein_uhlenbeck_and_of_geometric_brownian_motion():
    """Deciles, against those of the normal distribution."""
    normal = tg.distributions.Normal(tg.tensor(0.0, **f64), tg.tensor(1.0, **f64))
    deciles = normal.icdf(tg.linspace(0.1, 0.9, 9, **f64)).array
    x0, n = tg.full((20_000, 1), 1.5, **f64), 20_000
    ou, gbm = sde.OrnsteinUhlenbeck(2.0, -1.0, 0.7), sde.GeometricBrownianMotion(0.3, 0.6)
    mean, std = ou.marginal_prob(x0[:1], 0.8)
    with tg.no_grad():
        by_ou = sdeint(ou, x0, [0, 0.8], dt=0.05)[-1].array
        by_gbm = sdeint(gbm, x0, [0, 0.8], dt=0.05)[-1].array
    logs = (np.log(by_gbm / 1.5) - (0.3 - 0.18) * 0.8) / (0.6 * math.sqrt(0.8))
    for z in ((by_ou - mean.array) / std.array, logs):
        below = (z < deciles).mean(0)
        assert (np.abs(below - np.arange(1, 10) / 10) < 5 * 0.5 / math.sqrt(n)).all()


def test_the_path_of_geometric_brownian_motion():
    gbm = sde.GeometricBrownianMotion(0.4, 0.5)
    bm = BrownianInterval(0, 1, (4, 1), entropy=0, levy_area_approximation="space-time", **f64)
    x0 = tg.ones(4, 1, **f64)
    found = sdeint(gbm, x0, [0, 1], bm, dt=1 / 128)[-1].array
    np.testing.assert_allclose(found, gbm.solution(x0, 1.0, bm(0, 1)).array, rtol=1e-3)


def test_a_bridge_arrives():
    bridge = sde.BrownianBridge(end=2.0, T=1.0, sigma=0.5)
    x = sdeint(bridge, tg.zeros(500, 1), [0, 1], method="euler", dt=1 / 400)[-1].array
    assert np.abs(x - 2).max() < 0.5 * 4.5 / 20
    with pytest.raises(ValueError, match='method="euler", or end a little before'):
        sdeint(bridge, tg.zeros(2, 1), [0, 1], dt=0.1)


def test_parameters_get_gradients():
    theta = tg.tensor(1.3, requires_grad=True, **f64)
    sigma = tg.tensor(0.4, requires_grad=True, **f64)
    bm = BrownianInterval(0, 1, (3, 2), entropy=1, levy_area_approximation="space-time", **f64)

    def end(theta, sigma):
        ou = sde.OrnsteinUhlenbeck(theta, 0.2, sigma)
        return sdeint(ou, tg.ones(3, 2, **f64), [0, 1], bm, dt=0.1)[-1]

    tg.autograd.gradcheck(end, (theta, sigma))


# ---- Langevin ------------------------------------------------------------------------------------


def well(x):
    """An anisotropic harmonic well."""
    return (x * x * tg.tensor([1.0, 4.0], dtype=x.dtype)).sum(-1) / 2


def test_overdamped_langevin_keeps_its_stationary_density():
    process = sde.OverdampedLangevin(well, temperature=0.5, friction=2.0)
    x0 = tg.randn(20_000, 2, **f64) * tg.tensor([math.sqrt(0.5), math.sqrt(0.125)])
    with tg.no_grad():
        x = sdeint(process, x0, [0, 2.0], dt=0.05)[-1].array
    assert_moments(x, 0, [math.sqrt(0.5), math.sqrt(0.125)])
    half = sdeint(process, tg.ones(20_000, 2), [0, 1.0], dt=0.05)[-1].array  # forgets with rate k/γ
    decay = np.exp(-np.array([0.5, 2.0]))
    assert_moments(half, decay, np.sqrt(0.5 / np.array([1, 4]) * (1 - decay**2)))


def test_underdamped_langevin_keeps_its_stationary_density():
    process = sde.UnderdampedLangevin(well, temperature=0.5, friction=1.5, mass=2.0)
    stds = np.sqrt([0.5, 0.125, 0.25, 0.25])
    x0 = tg.randn(20_000, 4, **f64) * tg.tensor(stds)
    with tg.no_grad():
        x = sdeint(process, x0, [0, 2.0], dt=0.05)[-1].array
        started = sdeint(process, tg.zeros(8, 4), [0, 1e-2], dt=1e-3)[-1].array
    assert_moments(x, 0, stds)
    assert np.abs(started[:, :2]).max() < 0.1 * np.abs(started[:, 2:]).max()


def test_gradients_go_through_the_force():
    x0 = tg.tensor([[0.4]], requires_grad=True, **f64)
    process = sde.OverdampedLangevin(lambda x: (x**4).sum(-1) / 4, temperature=0.0)
    x = sdeint(process, x0, [0, 0.5], method="euler", dt=0.5)
    assert grad(x[-1].sum(), x0)[0].item() == pytest.approx(1 - 0.5 * 3 * 0.16)


def test_energies_and_states_that_do_not_fit():
    with pytest.raises(ValueError, match="one number a path"):
        sdeint(sde.OverdampedLangevin(lambda x: x * x), tg.ones(3, 2), [0, 1], dt=0.5)
    with pytest.raises(ValueError, match="positions and velocities"):
        sdeint(sde.UnderdampedLangevin(well), tg.ones(3, 3), [0, 1], dt=0.5)


# ---- Diffusion models ----------------------------------------------------------------------------

FORWARD = {
    "vp": sde.VP(),
    "vp cosine": sde.VP(sde.CosineSchedule()),
    "sub-vp": sde.SubVP(sde.LinearSchedule(0.2, 12.0)),
    "ve": sde.VE(0.1, 8.0),
}
SCHEDULES = [sde.LinearSchedule(), sde.LinearSchedule(1.0, 5.0), sde.CosineSchedule()]


@pytest.mark.parametrize("name", FORWARD)
def test_exact_marginals_are_those_of_simulation(name):
    process = FORWARD[name]
    x0, n = tg.tensor([[1.0, -2.0]], **f64).expand(20_000, 2), 96
    ts = [0.0, 0.2 * process.T, 0.7 * process.T]
    with tg.no_grad():
        xs = sdeint(process, x0, ts, dt=0.7 * process.T / n)
    for t, x in zip(ts[1:], xs[1:]):
        mean, std = process.marginal_prob(x0[:1], tg.tensor(t, **f64))
        assert_moments(x.array, mean.array, std.array)


@pytest.mark.parametrize("name", FORWARD)
def test_marginals_solve_the_equations_of_mean_and_variance(name):
    """dm/dt = -β m/2 and dσ²/dt = -β σ² + g², by finite differences."""
    process, h = FORWARD[name], 1e-5
    for t in tg.linspace(0.05, 0.95, 7, **f64) * process.T:
        x = tg.ones(1, 1, **f64)
        (m0, s0), (m1, s1) = (process.marginal_prob(x, t + d) for d in (-h, h))
        m, s = process.marginal_prob(x, t)
        beta, g = process.beta(t).item(), process.g(t, x).item()
        slope = (m1 - m0).item() / (2 * h)
        assert slope == pytest.approx(-beta / 2 * m.item(), rel=1e-6, abs=1e-9)
        slope = (s1 * s1 - s0 * s0).item() / (2 * h)
        assert slope == pytest.approx(g * g - beta * s.item() ** 2, rel=1e-5, abs=1e-7)
        expected = math.log(m.item() ** 2 / s.item() ** 2)
        assert process.log_snr(t).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_integrate_and_invert(schedule):
    t = tg.linspace(0.01, schedule.end, 2001, **f64)
    beta = schedule.beta(t).array
    steps = np.diff(schedule.integral(t).array)
    middles = schedule.beta((t[1:] + t[:-1]) / 2).array
    simpson = (beta[1:] + 4 * middles + beta[:-1]) / 6 * np.diff(t.array)
    np.testing.assert_allclose(steps, simpson, rtol=1e-4)
    back = schedule.time_of_log_snr(schedule.log_snr(t))
    np.testing.assert_allclose(back.array, t.array, rtol=1e-9)
    np.testing.assert_allclose(schedule.log_snr(t).array, sde.VP(schedule).log_snr(t).array,
                               rtol=1e-8, atol=1e-12)  # fmt: skip
    assert schedule.integral(tg.tensor(0.0)).item() == 0


def test_times_may_differ_from_row_to_row_of_images():
    vp, x = sde.VP(), tg.randn(3, 1, 4, 4)
    t = tg.tensor([0.1, 0.5, 0.9])
    mean, std = vp.marginal_prob(x, t)
    assert mean.shape == (3, 1, 4, 4) and std.shape == (3, 1, 1, 1)
    for i in range(3):
        one, s = vp.marginal_prob(x[i : i + 1], t[i])
        np.testing.assert_allclose(mean.array[i], one.array[0], rtol=1e-6)
        assert std.array[i].item() == pytest.approx(s.item(), rel=1e-6)
    assert vp.f(t, x).shape == vp.g(t, x).shape == x.shape


def score_of_normal(process, mean: float, std: float):
    """∇ log p_t, if the data are N(mean, std²)."""

    def score(x, t):
        assert t.shape == x.shape[:1]
        alpha, sigma = process.alpha(t)[:, None], process.sigma(t)[:, None]
        return -(x - alpha * mean) / (alpha * alpha * std**2 + sigma * sigma)

    return score


@pytest.mark.parametrize("name", FORWARD)
def test_the_way_back_and_the_probability_flow_give_the_data(name):
    """From the prior, whose moments at T the process has exactly if it starts from the data."""
    process = FORWARD[name]
    data = (0.7, 0.5)
    score, T = score_of_normal(process, *data), process.T
    alpha, sigma = (v.item() for v in (process.alpha(tg.tensor(T)), process.sigma(tg.tensor(T))))
    at_T = alpha * data[0], math.hypot(alpha * data[1], sigma)
    x = at_T[0] + at_T[1] * tg.randn(10_000, 1, **f64)
    with tg.no_grad():
        back = sdeint(process.reverse(score), x, [0, T * 0.999], method="euler", dt=T / 400)
        flow = process.probability_flow(score)
        times = tg.tensor([T, 1e-4 * T], **f64)
        flown = tg.ode.odeint(flow, x, times, rtol=1e-6, atol=1e-6)
    for found in (back[-1].array, flown[-1].array):
        assert found.mean() == pytest.approx(data[0], abs=0.04)
        assert found.std() == pytest.approx(data[1], rel=0.05)
    # the flow maps quantiles to quantiles
    z = (x.array - at_T[0]) / at_T[1]
    np.testing.assert_allclose(flown[-1].array, data[0] + data[1] * z, atol=0.02)


def test_the_prior():
    for process, std in ((sde.VP(), 1.0), (sde.VE(0.01, 20.0), 20.0)):
        x = process.prior_sampling((4000, 2), dtype=tg.float64, generator=tg.Generator(3))
        assert x.array.std() == pytest.approx(std, rel=0.05)
        normal = tg.distributions.Normal(tg.tensor(0.0, **f64), tg.tensor(std, **f64))
        expected = normal.log_prob(x).sum(-1).array
        np.testing.assert_allclose(process.prior_log_prob(x).array, expected, rtol=1e-10)
    with pytest.raises(ValueError, match="sigma_min < sigma_max"):
        sde.VE(1.0, 0.5)
