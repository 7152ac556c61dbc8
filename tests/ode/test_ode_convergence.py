"""Halving the step divides the error by 2 to the power of the order, at and between the steps."""

from itertools import pairwise

import numpy as np
import pytest
from ode.problems import BY_NAME, Exact

import tinygen as tg
from tinygen.ode import METHODS, odeint

# Numbers of steps for which the leading term of the error prevails, over rounding, too.
CASES = [
    ("euler", "decay", 64),
    ("euler", "oscillator", 128),
    ("euler", "logistic", 64),
    ("euler", "bell", 96),
    ("midpoint", "oscillator", 48),
    ("midpoint", "logistic", 48),
    ("midpoint", "bell", 48),
    ("midpoint", "kepler", 96),
    ("heun2", "oscillator", 48),
    ("heun2", "logistic", 48),
    ("heun2", "bell", 48),
    ("heun2", "kepler", 48),
    ("rk4", "decay", 24),
    ("rk4", "oscillator", 24),
    ("rk4", "logistic", 48),
    ("rk4", "bell", 48),
    ("rk4", "kepler", 64),
    ("bosh3", "decay", 32),
    ("bosh3", "oscillator", 48),
    ("bosh3", "logistic", 48),
    ("bosh3", "bell", 48),
    ("bosh3", "kepler", 32),
    ("dopri5", "decay", 32),
    ("dopri5", "oscillator", 96),
    ("dopri5", "logistic", 56),
    ("dopri5", "kepler", 48),
    ("tsit5", "kepler", 32),
    ("tsit5", "kepler", 64),
    ("dopri8", "pulse", 64),
]


def largest_error(method: str, problem: Exact, steps: int, t: np.ndarray) -> float:
    options = {"step_size": problem.end / steps}
    with tg.no_grad():
        y = odeint(problem.f, problem.y0(), tg.tensor(t), method=method, options=options)
    return np.abs(y.array - problem.solution(t)).max()


def slope(method: str, problem: Exact, steps: int, points_in_step: float) -> float:
    """The order measured, by least squares over steps of three sizes."""
    numbers = np.array([steps, steps * 5 // 4, steps * 3 // 2])
    errors = [
        largest_error(method, problem, n, np.linspace(0, problem.end, int(n * points_in_step) + 1))
        for n in numbers
    ]
    return -np.polyfit(np.log(numbers), np.log(errors), 1)[0]


@pytest.mark.parametrize(("method", "name", "steps"), CASES)
def test_the_order_is_that_of_the_theory(method, name, steps):
    """At the ends of the steps, and in three or four places of each."""
    problem, order = BY_NAME[name], METHODS[method].order
    assert abs(slope(method, problem, steps, 1) - order) < 0.15
    assert abs(slope(method, problem, steps, 3.5) - order) < 0.15


@pytest.mark.parametrize("method", METHODS)
def test_backwards_is_as_good(method):
    problem = BY_NAME["logistic"]
    t = np.linspace(problem.end, 0, 7)
    y0 = problem.y0(at=problem.end)
    y = odeint(problem.f, y0, tg.tensor(t), method=method, options={"step_size": 0.01})
    tolerance = 0.02 * 4.0 ** (1 - METHODS[method].order) + 1e-10
    np.testing.assert_allclose(y.array, problem.solution(t), atol=tolerance)


def test_a_grid_is_taken_as_it_is():
    """Euler's method by hand, on uneven steps; between them, a straight line."""
    grid, y = [0.0, 0.1, 0.4, 1.0], [1.0]
    for t0, t1 in pairwise(grid):
        y.append(y[-1] + (t1 - t0) * (t0 - y[-1]))
    f, y0 = (lambda t, y: t - y), tg.ones(1, dtype=tg.float64)
    found = odeint(f, y0, tg.tensor(grid, dtype=tg.float64), method="euler")
    np.testing.assert_allclose(found.array[:, 0], y, rtol=1e-15)

    ends = tg.tensor([0.0, 0.7, 1.0], dtype=tg.float64)
    options = {"grid_constructor": lambda f, y0, t: tg.tensor(grid, dtype=tg.float64)}
    found = odeint(f, y0, ends, method="euler", options=options)
    np.testing.assert_allclose(found.array[:, 0], [1.0, (y[2] + y[3]) / 2, y[3]], rtol=1e-14)


def test_rk4_is_the_three_eighths_rule():
    f = lambda t, y: t - y * y
    y, h = 0.7, 0.3
    k1 = f(0, y)
    k2 = f(h / 3, y + h * k1 / 3)
    k3 = f(2 * h / 3, y + h * (k2 - k1 / 3))
    k4 = f(h, y + h * (k1 - k2 + k3))
    t = tg.tensor([0.0, h], dtype=tg.float64)
    found = odeint(f, tg.tensor([y], dtype=tg.float64), t, method="rk4")[-1].item()
    assert found == pytest.approx(y + h * (k1 + 3 * k2 + 3 * k3 + k4) / 8, rel=1e-15)


def test_f_that_jumps_at_the_ends_of_steps_needs_perturb():
    """dy/dt = 1 before t = 1 and -1 from there on, with a step that ends at the jump."""
    f = lambda t, y: tg.where(t < 1, 1.0, -1.0).to(y.dtype) * tg.ones_like(y)
    for dtype in (tg.float32, tg.float64):
        y0, t = tg.zeros(1, dtype=dtype), tg.tensor([0.0, 1.0, 2.0])
        y = odeint(f, y0, t, method="heun2", options={"perturb": True})
        assert y.array.ravel().tolist() == [0, 1, 0]
        back = odeint(f, y0, t.flip(0), method="heun2", options={"perturb": True})
        assert back.array.ravel().tolist() == [0, 1, 0]
        assert odeint(f, y0, t, method="heun2")[1].item() == 0  # half of it is taken for after
