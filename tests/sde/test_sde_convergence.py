"""Orders of convergence, strong and weak, on the same Brownian paths for all sizes of steps."""

import functools
from itertools import pairwise

import numpy as np
import pytest
from sde.problems import BY_NAME, Exact, f64

import tinygen as tg
from tinygen.sde import METHODS, BrownianInterval, sdeint

CELLS = 1024


def path_of(problem: Exact, paths: int, cells: int = CELLS, entropy: int = 7):
    """A path, and its increments and integrals over cells of equal length."""
    return path_and_cells(problem.end, (paths, problem.noise), cells, entropy)


@functools.cache  # most problems have the same
def path_and_cells(end: float, shape: tuple[int, int], cells: int, entropy: int):
    bm = BrownianInterval(0, end, shape, entropy=entropy, **f64,
                          dt=end / cells, levy_area_approximation="space-time")  # fmt: skip
    times = np.linspace(0, end, cells + 1)
    found = [bm(a, b, return_U=True) for a, b in pairwise(times)]
    W, U = (np.stack([part.array for part in parts]) for parts in zip(*found))
    return bm, W, U


def solved(problem: Exact, bm, method: str, steps: int) -> np.ndarray:
    with tg.no_grad():
        dt = problem.end / steps
        y = sdeint(problem.sde, problem.start(bm.size[0]), [0, problem.end], bm, method, dt)
    return y[-1].array


def slope(steps, errors) -> float:
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


STRONG = [
    ("gbm", "euler", 0.5),
    ("gbm general", "euler", 0.5),
    ("ornstein-uhlenbeck", "euler", 1.0),
    ("gbm", "milstein", 1.0),
    ("gbm scalar", "milstein", 1.0),
    ("sinh ito", "milstein", 1.0),
    ("gbm stratonovich", "milstein", 1.0),
    ("gbm stratonovich", "heun", 1.0),
    ("gbm stratonovich general", "heun", 1.0),
    ("sinh stratonovich", "heun", 1.0),
    ("gbm stratonovich scalar", "midpoint", 1.0),
    ("sinh stratonovich", "midpoint", 1.0),
    ("ornstein-uhlenbeck", "reversible_heun", 1.0),
    ("logistic", "srk", 1.5),
    ("gbm", "srk", 1.5),
    ("gbm scalar", "srk", 1.5),
    ("sinh ito", "srk", 1.5),
]


@pytest.mark.parametrize(("name", "method", "order"), STRONG)
def test_the_strong_order_is_that_of_the_theory(name, method, order):
    """The root mean square of the error falls as the step to the power of the order."""
    problem, steps = BY_NAME[name], [32, 64, 128, 256]
    bm, W, U = path_of(problem, 1200)
    exact = problem.solution(W, U)
    errors = [np.sqrt(((solved(problem, bm, method, n) - exact) ** 2).mean()) for n in steps]
    assert abs(slope(steps, errors) - order) < 0.15


WEAK = [
    ("gbm", "euler", 1.0),
    ("ornstein-uhlenbeck", "euler", 1.0),
    ("gbm", "milstein", 1.0),
    ("gbm stratonovich", "heun", 1.0),
    ("gbm stratonovich", "midpoint", 1.0),
]


@pytest.mark.parametrize(("name", "method", "order"), WEAK)
def test_the_weak_order_is_that_of_the_theory(name, method, order):
    """The error of moments. The exact solution on the same paths, whose moments are known, takes
    away most of the noise of sampling."""
    problem, steps, paths = BY_NAME[name], [4, 8, 16, 32], 40_000
    bm, W, U = path_of(problem, paths, cells=32, entropy=3)
    exact = problem.solution(W, U)
    errors = []
    for n in steps:
        y = solved(problem, bm, method, n)
        errors.append(np.abs((y**2 - exact**2).mean(0)).mean())
    assert abs(slope(steps, errors) - order) < 0.15


@pytest.mark.parametrize("name", [p.name for p in BY_NAME.values() if p.mean is not None])
def test_the_closed_forms_have_their_moments(name):
    """Of the problems themselves, without any solver."""
    problem = BY_NAME[name]
    _, W, U = path_of(problem, 4000, cells=64, entropy=11)
    y = problem.solution(W, U)
    for found, exact in ((y, problem.mean), (y * y, problem.second)):
        bound = 5 * found.std(0) / np.sqrt(len(y))
        assert (np.abs(found.mean(0) - exact) < bound).all()


# ---- Two senses of one equation ------------------------------------------------------------------


@pytest.mark.parametrize(("method", "other"), [("srk", "heun"), ("milstein", "midpoint")])
def test_ito_and_stratonovich_describe_the_same_process(method, other):
    """dY = (μ + σ²/2) Y dt + σ Y dW is dY = μ Y dt + σ Y ∘dW; and on the sinh problem."""
    ito, stratonovich = BY_NAME["sinh ito"], BY_NAME["sinh stratonovich"]
    bm, W, U = path_of(ito, 50)
    one, two = solved(ito, bm, method, 512), solved(stratonovich, bm, other, 512)
    np.testing.assert_allclose(one, two, atol=0.08)
    assert np.abs(one - two).mean() < 6e-3 < 0.1 < W.sum(0).std()
    np.testing.assert_allclose(two, stratonovich.solution(W, U), atol=0.08)


def test_srk_is_of_order_two_if_the_drift_is_linear_and_the_noise_additive():
    problem, steps = BY_NAME["ornstein-uhlenbeck"], [16, 32, 64, 128]
    bm, W, U = path_of(problem, 200)
    exact = problem.solution(W, U)
    errors = [np.sqrt(((solved(problem, bm, "srk", n) - exact) ** 2).mean()) for n in steps]
    assert abs(slope(steps, errors) - 2) < 0.15


def test_where_the_noise_is_additive_all_methods_agree():
    problem = BY_NAME["ornstein-uhlenbeck"]
    bm, W, U = path_of(problem, 20)
    exact = problem.solution(W, U)
    for method in METHODS:
        np.testing.assert_allclose(solved(problem, bm, method, 512), exact, atol=5e-3)


# ---- One step by hand ----------------------------------------------------------------------------


def test_outputs_are_ends_of_steps_and_steps_no_longer_than_dt():
    """Euler's method by hand: 0 … 0.25 in three steps, 0.25 … 0.3 in one."""
    problem = BY_NAME["gbm"]
    bm = BrownianInterval(0, 0.3, (5, 2), entropy=1, **f64)
    found = sdeint(problem.sde, problem.start(5), [0, 0.25, 0.3], bm, "euler", dt=0.1).array
    y, grid = problem.start(5).array, [0, 0.25 / 3, 0.5 / 3, 0.25, 0.3]
    for t0, t1 in pairwise(grid):
        y = y * (1 - 0.5 * (t1 - t0) + 0.8 * bm(t0, t1).array)
        if t1 in (0.25, 0.3):
            np.testing.assert_allclose(found[1 if t1 == 0.25 else 2], y, rtol=1e-12)


def test_the_seed_of_tinygen_determines_a_path_that_is_not_given():
    problem = BY_NAME["gbm"]
    ends = []
    for seed in (1, 1, 2):
        tg.manual_seed(seed)
        ends.append(sdeint(problem.sde, problem.start(3), [0, 1], dt=0.1)[-1].array)
    assert (ends[0] == ends[1]).all() and (ends[0] != ends[2]).all()


def test_float32_stays_float32_and_one_time_is_the_start():
    problem = BY_NAME["gbm"]
    y0 = problem.start(3).float()
    for method in ("euler", "milstein", "srk"):
        y = sdeint(problem.sde, y0, tg.tensor([0.0, 0.5, 1.0]), method=method, dt=0.25)
        assert y.dtype == tg.float32 and y.shape == (3, 3, 2)
    assert sdeint(problem.sde, y0, [0.3]).array.tolist() == [y0.array.tolist()]
