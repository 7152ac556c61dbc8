"""Methods that choose their steps: the tolerance is kept, work pays, statistics count."""

import numpy as np
import pytest
from ode.problems import BY_NAME, EXACT, attraction, lotka_volterra_invariant, prey_and_predators

import tinygen as tg
from tinygen.ode import METHODS, Statistics, odeint

ADAPTIVE = [name for name, tableau in METHODS.items() if tableau.adaptive]
adaptive = pytest.mark.parametrize("method", ADAPTIVE)
f64 = {"dtype": tg.float64}


@pytest.mark.parametrize("problem", EXACT, ids=lambda p: p.name)
@adaptive
def test_the_tolerance_is_kept(method, problem):
    """At 40 times, most of them within steps, the error is near the tolerance, for decades."""
    t = np.linspace(0, problem.end, 40)
    for tolerance in (1e-4, 1e-6, 1e-8) if method == "bosh3" else (1e-4, 1e-6, 1e-9):
        y = odeint(problem.f, problem.y0(), tg.tensor(t), rtol=tolerance, atol=tolerance,
                   method=method)  # fmt: skip
        error = np.abs(y.array - problem.solution(t)).max()
        # Errors of steps add up along the way, and grow with the solution (most for Kepler).
        assert error < 100 * tolerance, f"{tolerance}: {error / tolerance:.1f} times"


@adaptive
def test_work_pays_by_the_order(method):
    """Work and precision: 100 times smaller a tolerance costs 100^(1/order) times the steps."""
    problem, steps = BY_NAME["pulse"], []
    for tolerance in (1e-5, 1e-7, 1e-9):
        count = Statistics()
        odeint(problem.f, problem.y0(), tg.tensor([0.0, problem.end], **f64), rtol=tolerance,
               atol=tolerance, method=method, statistics=count)  # fmt: skip
        steps.append(count.steps)
    growth = steps[2] / steps[0]
    assert 1e4 ** (1 / METHODS[method].order) == pytest.approx(growth, rel=0.35)


@adaptive
def test_invariants_hold(method):
    t = tg.linspace(0, 20, 60, **f64)
    tolerance = 1e-6 if method == "bosh3" else 1e-8
    y = odeint(prey_and_predators, tg.tensor([5.0, 2.0], **f64), t, rtol=tolerance, atol=tolerance,
               method=method)  # fmt: skip
    values = lotka_volterra_invariant(y.array)
    np.testing.assert_allclose(values, values[0], atol=1e3 * tolerance)
    y = odeint(attraction, BY_NAME["kepler"].y0(), t, rtol=tolerance, atol=tolerance,
               method=method).array  # fmt: skip
    energy = 0.5 * (y[:, 2] ** 2 + y[:, 3] ** 2) - 1 / np.hypot(y[:, 0], y[:, 1])
    np.testing.assert_allclose(energy, -0.5, atol=1e3 * tolerance)
    np.testing.assert_allclose(
        y[:, 0] * y[:, 3] - y[:, 1] * y[:, 2], np.sqrt(1 - 0.3**2), atol=1e3 * tolerance
    )


@pytest.mark.parametrize(("method", "theirs"), [("bosh3", "RK23"), ("dopri5", "RK45")])
def test_the_same_methods_in_scipy_agree(method, theirs):
    integrate = pytest.importorskip("scipy.integrate")
    t = np.linspace(0, 6, 30)
    wave = lambda t, y: np.array([y[1], np.sin(t) - y[0] ** 3 - 0.1 * y[1]])
    ours = lambda t, y: tg.stack([y[1], tg.sin(t) - y[0] ** 3 - 0.1 * y[1]])
    for tolerance in (1e-3, 1e-6, 1e-9) if method == "dopri5" else (1e-3, 1e-6):
        expected = integrate.solve_ivp(wave, (0, 6), [1.0, 0.0], theirs, t, rtol=tolerance,
                                       atol=tolerance)  # fmt: skip
        count = Statistics()
        y = odeint(ours, tg.tensor([1.0, 0.0], **f64), tg.tensor(t), rtol=tolerance,
                   atol=tolerance, method=method, statistics=count)  # fmt: skip
        np.testing.assert_allclose(y.array, expected.y.T, atol=100 * tolerance)
        assert count.evaluations < 1.3 * expected.nfev


def test_each_component_may_have_its_own_tolerance():
    f = lambda t, y: tg.stack([tg.cos(t), 5 * tg.cos(5 * t)])
    t = np.linspace(0, 5, 20)
    exact = np.stack([np.sin(t), np.sin(5 * t)], -1)
    counts = []
    for atol in ([1e-9, 1e-9], [1e-9, 1e-2]):
        count = Statistics()
        y = odeint(f, tg.zeros(2, **f64), tg.tensor(t), rtol=0.0, atol=tg.tensor(atol, **f64),
                   statistics=count)  # fmt: skip
        assert (np.abs(y.array - exact).max(0) < 30 * np.array(atol)).all()
        counts.append(count.steps)
    assert counts[1] < 0.7 * counts[0]
    # Of a tuple, every tensor may have one.
    f = lambda t, y: (tg.cos(t), 5 * tg.cos(5 * t)[None])
    y0 = (tg.tensor(0.0, **f64), tg.zeros(1, **f64))
    count = Statistics()
    u, _ = odeint(f, y0, tg.tensor(t), rtol=(0.0, 0.0), atol=(1e-9, 1e-2), statistics=count)
    assert np.abs(u.array - exact[:, 0]).max() < 3e-8
    assert abs(count.steps - counts[1]) < 4


def test_a_tuple_is_solved_like_its_parts_in_one_tensor():
    f = lambda t, y: (y[1], -y[0], -t * y[2])
    y0 = (tg.ones(2, **f64), tg.zeros(2, **f64), tg.ones(1, 3, **f64))
    t = tg.linspace(0, 3, 5, **f64)
    u, v, w = odeint(f, y0, t)
    assert (u.shape, v.shape, w.shape) == ((5, 2), (5, 2), (5, 1, 3))
    np.testing.assert_allclose(u.array[:, 1], np.cos(t.array), atol=1e-7)
    np.testing.assert_allclose(w.array[:, 0, 2], np.exp(-(t.array**2) / 2), atol=1e-7)
    assert isinstance(odeint(lambda t, y: (-y[0],), (y0[0],), t), tuple)


@pytest.mark.parametrize("method", METHODS)
def test_float32_stays_float32(method):
    seen = []

    def f(t, y):
        seen.append((t.dtype, t.shape, y.dtype))
        return -y

    t = tg.linspace(0, 1, 4)
    options = None if METHODS[method].adaptive else {"step_size": 0.05}
    y = odeint(f, tg.ones(3), t, method=method, options=options, rtol=1e-5, atol=1e-5)
    assert y.dtype == tg.float32 and set(seen) == {(tg.float32, (), tg.float32)}
    accuracy = {"euler": 0.02, "midpoint": 1e-3, "heun2": 1e-3}.get(method, 1e-4)
    np.testing.assert_allclose(y.array[:, 0], np.exp(-t.array), atol=accuracy)


def test_requested_times_cut_no_steps_and_f_is_not_asked_beyond_them():
    problem, seen = BY_NAME["logistic"], []

    def f(t, y):
        seen.append(t.item())
        return problem.f(t, y)

    counts = []
    for points in (2, 200):
        count = Statistics()
        t = tg.linspace(0, problem.end, points, **f64)
        y = odeint(f, problem.y0(), t, statistics=count)
        counts.append((count.steps, count.rejected, count.evaluations))
    assert counts[0] == counts[1] and counts[0][2] < 200
    assert min(seen) == 0 and max(seen) == problem.end
    np.testing.assert_allclose(y.array, problem.solution(t.array), atol=3e-7)


def test_statistics_count_what_happened_and_add_up():
    calls = []

    def f(t, y):
        calls.append(t)
        return -50 * (y - tg.cos(t))

    count, t = Statistics(), tg.linspace(0, 2, 3, **f64)
    y0 = tg.zeros(1, **f64)
    odeint(f, y0, t, method="rk4", options={"step_size": 0.1}, statistics=count)
    assert count == Statistics(steps=20, rejected=0, evaluations=80) and len(calls) == 80
    odeint(f, y0, t, statistics=count)
    steps, tried = count.steps - 20, count.steps - 20 + count.rejected
    assert count.evaluations == len(calls) == 80 + 2 + 6 * tried
    assert steps > 50 and 0 < count.rejected < 0.4 * steps


def test_the_controller_can_be_chosen():
    """P and D weigh the history: fewer steps are tried in vain than with the elementary rule."""
    stiff = lambda t, y: tg.stack([y[1], 20 * (1 - y[0] * y[0]) * y[1] - y[0]])
    counts = {}
    for name, options in {
        "I": {"icoeff": 1.0, "pcoeff": 0.0, "dcoeff": 0.0},
        "PID": {},
        "PI": {"icoeff": 0.3, "pcoeff": 0.4, "dcoeff": 0.0},
    }.items():
        counts[name] = count = Statistics()
        odeint(stiff, tg.tensor([2.0, 0.0], **f64), tg.tensor([0.0, 30.0], **f64), rtol=1e-5,
               atol=1e-5, options=options, statistics=count)  # fmt: skip
    assert counts["PI"].rejected < counts["PID"].rejected < counts["I"].rejected
    assert counts["PID"].evaluations < 1.05 * min(c.evaluations for c in counts.values())


def test_steps_stay_within_their_bounds():
    problem = BY_NAME["decay"]
    t = tg.tensor([0.0, 2.0], **f64)
    few, many, first, floor = (Statistics() for _ in range(4))
    odeint(problem.f, problem.y0(), t, statistics=few)
    odeint(problem.f, problem.y0(), t, options={"max_step": 0.01}, statistics=many)
    assert few.steps < 100 and 199 <= many.steps <= 200
    odeint(problem.f, problem.y0(), t, options={"first_step": 0.1}, statistics=first)
    assert first.evaluations % 6 == 1  # none went into an estimate of the first step
    odeint(problem.f, problem.y0(), t, options={"min_step": 0.5}, statistics=floor)
    assert floor.steps <= 5 and floor.rejected == 0


def test_steps_end_where_they_are_told_to_and_jumps_cost_nothing():
    jumps = lambda t, y: tg.where(t < 1, 1.0, -2.0).to(y.dtype) * tg.ones_like(y)
    t = tg.tensor([0.0, 0.5, 1.0, 3.0], **f64)
    y0 = tg.zeros(1, **f64)
    blind, told = Statistics(), Statistics()
    odeint(jumps, y0, t, statistics=blind)
    y = odeint(jumps, y0, t, options={"jump_t": [1.0]}, statistics=told)
    np.testing.assert_allclose(y.array[:, 0], [0, 0.5, 1, -3], atol=1e-12)
    assert told.rejected == 0 and blind.rejected > 5
    back = odeint(jumps, y[-1], t.flip(0), options={"jump_t": tg.tensor([1.0])})
    np.testing.assert_allclose(back.array[:, 0], [-3, 1, 0.5, 0], atol=1e-12)
    ends = []
    f = lambda t, y: (ends.append(t.item()), -y)[1]
    odeint(f, tg.ones(1, **f64), t, options={"step_t": [0.7, 2.1, -5.0]})
    assert {0.7, 2.1} <= set(ends) and min(ends) == 0


def test_a_step_that_is_cut_short_does_not_slow_down_those_after_it():
    free, stopped = Statistics(), Statistics()
    problem, t = BY_NAME["pulse"], tg.tensor([0.0, 6.0], **f64)
    options = {"step_t": [k + 1e-7 * i for k in (1, 2, 3, 4, 5) for i in (0, 1, 2)]}
    odeint(problem.f, problem.y0(), t, statistics=free)
    odeint(problem.f, problem.y0(), t, options=options, statistics=stopped)
    assert stopped.steps <= free.steps + 15 + 5


def test_one_time_gives_the_initial_state():
    y0 = tg.ones(2, 3)
    assert odeint(lambda t, y: y, y0, tg.tensor([1.0])).shape == (1, 2, 3)


def test_empty_states_are_solved_too():
    assert odeint(lambda t, y: y, tg.zeros(0, 2), tg.tensor([0.0, 1.0])).shape == (2, 0, 2)


def test_results_are_the_same_every_time():
    problem = BY_NAME["kepler"]
    t = tg.linspace(0, 3, 9, **f64)
    one, two = (odeint(problem.f, problem.y0(), t).array for _ in range(2))
    assert (one == two).all()
