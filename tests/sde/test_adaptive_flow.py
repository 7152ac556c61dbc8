"""The adaptive sampler against the flow of a normal, known in closed form under all schedules."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde

f64 = {"dtype": tg.float64}
STD = 0.6
SCHEDULES = {
    "linear": sde.LinearSchedule(),
    "cosine": sde.CosineSchedule(),
    "sub-vp": sde.SubVPSchedule(),
    "ve": sde.VESchedule(0.02, 20.0),
    "flow matching": sde.FlowMatchingSchedule(),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_each_point_keeps_its_place_among_the_others(schedule):
    """x(s) = x(t) std(s) / std(t) with std² = α² STD² + σ²; at 0, the mean given x(stop)."""

    def moments(t):
        time = tg.tensor(t, **f64)
        alpha, sigma = schedule.alpha(time).item(), schedule.sigma(time).item()
        return alpha, np.sqrt(alpha**2 * STD**2 + sigma**2)

    calls = []

    def x0(x, t):
        calls.append(t)
        alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
        return alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * x

    denoiser, begin = sde.Denoiser(x0, schedule, "x0"), 0.9 * schedule.end
    x = schedule.prior_std * tg.randn(20, 2, **f64)
    counts = []
    for tolerance in (1e-8, 1e-4):
        calls.clear()
        sampler = sde.AdaptiveProbabilityFlow(tolerance, tolerance)
        found = sde.sample(denoiser, (20, 2), sampler, times=[begin, 0.3, 1e-4, 0], x=x, path=True)
        counts.append(len(calls))
        last = begin
        for state, t in zip(found.array, (begin, 0.3, 1e-4)):
            expected = x.array * moments(t)[1] / moments(begin)[1]
            np.testing.assert_allclose(state, expected, rtol=30 * tolerance, atol=30 * tolerance)
            last = t
        alpha, std = moments(last)
        np.testing.assert_allclose(found.array[-1], alpha * STD**2 / std**2 * found.array[-2])
    assert counts[1] < 0.7 * counts[0]  # of calls, for less exactness
    assert sampler.times(schedule, 7) == [schedule.end, 1e-5, 0.0]
