"""Steps that the error chooses."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sde.problems import BY_NAME, f64
from sde.test_sde_convergence import path_of

import tinygen as tg
from tinygen.autograd import grad
from tinygen.sde import BrownianInterval, sdeint, sdeint_adjoint
from tinygen.sde.problem import Problem
from tinygen.sde.sdeint import Plan


def planned(problem, bm, method, tolerance, dt=0.01, ts=None):
    """The solution at the end, and the ends of all steps."""
    with tg.no_grad():
        equation = Problem(problem.sde, problem.start(bm.size[0]))
        times = ts or [0, problem.end]
        plan = Plan(equation, times, bm, method, dt, True, 0.0, tolerance, 1e-7)
        solution, _, ends = plan.solution()
    return solution.array, np.array(ends)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("gbm", "milstein"),
        ("gbm scalar", "srk"),
        ("logistic", "srk"),
        ("sinh stratonovich", "heun"),
        ("gbm stratonovich general", "midpoint"),
        ("gbm stratonovich", "reversible_heun"),
    ],
)
def test_the_tolerance_is_kept(name, method):
    """The error at the end is a few times that of a step, falls with it, and so do the steps."""
    problem = BY_NAME[name]
    bm, W, U = path_of(problem, 100, cells=512)
    exact, errors, counts = problem.solution(W, U), [], []
    for tolerance in (1e-2, 1e-3, 2e-4):
        solution, ends = planned(problem, bm, method, tolerance)
        errors.append(np.sqrt(((solution[-1] - exact) ** 2).mean()))
        counts.append(len(ends))
        assert errors[-1] < 15 * tolerance
    assert errors[0] > 2 * errors[1] > 4 * errors[2] and counts[0] < counts[1] < counts[2]


def test_steps_are_small_where_the_solution_is_quick_and_the_path_stays_the_same():
    """The drift pulls hard around t = 0.5 only."""
    pull = lambda t: 200 * tg.exp(-((t - 0.5) ** 2) / 2e-3)
    sde = SimpleNamespace(
        f=lambda t, y: -pull(t) * y, g=lambda t, y: 0.05 * tg.ones_like(y),
        noise_type="diagonal", sde_type="ito",
    )  # fmt: skip
    problem = SimpleNamespace(sde=sde, end=1.0, start=lambda n: tg.ones(n, 1, **f64))
    area = {"levy_area_approximation": "space-time", "entropy": 3}
    bm = BrownianInterval(0, 1, (20, 1), **f64, **area)
    solution, ends = planned(problem, bm, "srk", 1e-4)
    sizes = np.diff(ends)
    assert sizes[np.abs(ends[1:] - 0.5) < 0.05].max() < 0.2 * sizes[ends[1:] < 0.3].max()
    with tg.no_grad():
        fine = sdeint(sde, problem.start(20), [0, 1], bm, "srk", dt=1 / 4096)[-1].array
    np.testing.assert_allclose(solution[-1], fine, atol=1e-3)


def test_outputs_are_ends_of_steps():
    problem = BY_NAME["gbm"]
    bm, _, _ = path_of(problem, 5, cells=8)
    ts = [0.0, 0.1, 1 / 3, 0.9, 1.0]
    solution, ends = planned(problem, bm, "srk", 1e-3, ts=ts)
    assert set(ts) <= set(ends.tolist()) and (np.diff(ends) > 0).all()
    assert solution.shape == (5, 5, 2)
    steps = np.diff(ends)[::2] / np.diff(ends)[1::2]
    np.testing.assert_allclose(steps, 1, rtol=1e-6)  # halves


def test_gradients_and_the_exact_adjoint_with_steps_of_different_sizes():
    problem = BY_NAME["gbm stratonovich general"]
    bm = BrownianInterval(0, 1, (3, 2), entropy=5, **f64)
    y0 = problem.start(3).requires_grad_()
    settings = {"method": "reversible_heun", "adaptive": True, "rtol": 1e-3, "atol": 1e-3}
    found = [
        grad((sde_solver(problem.sde, y0, [0, 0.4, 1], bm, **settings, **more) ** 3).sum(), y0)
        for sde_solver, more in ((sdeint, {}), (sdeint_adjoint, {"adjoint_params": ()}))
    ]
    np.testing.assert_allclose(found[0][0].array, found[1][0].array, rtol=1e-11)


def test_warnings():
    problem = BY_NAME["gbm"]
    with pytest.warns(UserWarning, match="take milstein or srk"):
        sdeint(problem.sde, problem.start(2), [0, 1], method="euler", adaptive=True, atol=1e-1)
    with pytest.warns(UserWarning, match="as small as dt_min = 0.2 allows"):
        sdeint(problem.sde, problem.start(2), [0, 1], adaptive=True, atol=1e-9, dt_min=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sdeint(BY_NAME["logistic"].sde, tg.ones(2, 1, **f64), [0, 1], method="euler", adaptive=True,
               atol=1e-2)  # fmt: skip


@pytest.mark.filterwarnings("ignore:the step at")
def test_a_solution_that_blows_up():
    sde = SimpleNamespace(f=lambda t, y: y**3, g=lambda t, y: 0 * y, noise_type="diagonal",
                          sde_type="ito")  # fmt: skip
    with pytest.raises(FloatingPointError, match="y is nan or infinite"):
        sdeint(sde, tg.ones(2, 1, **f64), [0, 1], adaptive=True, dt_min=1e-3, method="milstein")


@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_tolerances(name):
    problem = BY_NAME["gbm"]
    for value, words in ((-1.0, f"{name} must be finite"), (float("nan"), f"{name} must be")):
        with pytest.raises(ValueError, match=words):
            sdeint(problem.sde, problem.start(2), [0, 1], adaptive=True, **{name: value})
    with pytest.raises(ValueError, match="both 0"):
        sdeint(problem.sde, problem.start(2), [0, 1], adaptive=True, rtol=0.0, atol=0.0)
