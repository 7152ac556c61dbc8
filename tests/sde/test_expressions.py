"""Formulas as expressions: what they compute, their derivatives, and what cannot be one."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde
from tinygen.kernels.jit import ENABLED
from tinygen.kernels.paths import kernels_of
from tinygen.sde import BrownianSteps, sdeint, simulate
from tinygen.sde.expressions import Untraceable, cotangents, expression, variables
from tinygen.sde.programs import Program
from tinygen.sde.runs import Grid, TracedRun
from tinygen.sde.simulate import ready, symbols_of
from tinygen.sde.traced import TracedEquation

FORMULAS = {
    "arithmetic": lambda x: (x[0] * x[1] - 2) / (3 + x[0] ** 2) - (-x[1]) + 1 / x[0],
    "powers": lambda x: x[0] ** 3 + x[0] ** 1.5 + 1.3 ** x[1] + x[0] ** -2 + x[1] ** 0.7 + x[0] ** 7
    + x[1] ** 1,
    "functions": lambda x: np.exp(x[0]) * np.log(x[1]) + np.sin(x[0]) * np.cos(x[1])
    + np.tanh(x[0]),
    "more": lambda x: np.sqrt(x[0]) + np.tan(x[1]) + np.cosh(x[0]) * np.sinh(x[1])
    + np.square(x[0]),
    "choices": lambda x: np.where(x[0] > x[1], x[0], x[1] ** 2) + np.maximum(x[0], 0.9)
    + np.minimum(x[1], 2.0) * abs(x[0] - 1),
    "arrays": lambda x: (np.array([[1.0, 2.0], [3.0, 4.0]]) @ x).sum() * x.mean() + x[::-1][0],
    "arrays of functions": lambda x: (np.maximum(np.exp(-x), 0.4) * np.where(x > 1, x, 2)).sum(),
}  # fmt: skip


def evaluate(e, values: np.ndarray) -> np.ndarray:
    """e(x) for x [2, n]."""
    rows = {f"x{i}": row for i, row in enumerate(values)}
    program = Program("advance", {"x0": e})
    return program.compute(rows, program.table({}, 1, np.dtype(np.float64))[0])["x0"]


@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_derivatives(name):
    formula, x = FORMULAS[name], variables("x", 2)
    values = np.random.default_rng(0).uniform(0.5, 1.5, (2, 20))
    e = formula(x)
    np.testing.assert_allclose(evaluate(e, values), [formula(v) for v in values.T], rtol=1e-13)
    for i, slope in enumerate(cotangents([e], [1.0], x)):
        step = 1e-6 * np.eye(2)[:, i : i + 1]
        expected = (evaluate(e, values + step) - evaluate(e, values - step)) / 2e-6
        np.testing.assert_allclose(evaluate(slope, values), expected, rtol=1e-7, atol=1e-7)


def test_numbers_are_computed_at_once_and_the_same_only_once():
    x = variables("x", 1)[0]
    assert expression(2.0).operation == "number" and (0 * x).value == 0.0 and (1 * x) is x
    e = np.sin(x * 2) + np.sin(x * 2)
    source = Program("advance", {"x0": e}).source(np.dtype(np.float64))
    assert source.count("sin(") == 1 and "2.0" in source


def asks_for_truth(x):
    return x if x[0] > 0 else -x


@pytest.mark.parametrize(
    "formula",
    [asks_for_truth, lambda x: float(x[0]), lambda x: range(x[0]), lambda x: x[0] == 0,
     lambda x: np.arctan(x), lambda x: x ** x[0], lambda x: np.clip(x, 0, 1)],
)  # fmt: skip
def test_what_cannot_be_a_formula(formula):
    with pytest.raises(Untraceable):
        formula(variables("x", 2))


# ---- Compiled ------------------------------------------------------------------------------------


def every_function(t, x, a):
    wide = 40 * x[0]
    return np.array([
        np.sin(wide) + np.cos(wide) * np.tanh(x[1])
        + np.where(x[0] > x[1], 0.1, np.sqrt(x[1] ** 2)),
        np.log(np.abs(x[0]) + 1e-3) - np.exp(-x[1] ** 2) + np.maximum(x[0], np.minimum(x[1], a))
        + np.where(t > 0.5, x[0], 1 / (2 + np.cos(x[1]))),
    ])  # fmt: skip


@pytest.mark.skipif(not ENABLED, reason="compares compiled code with NumPy's")
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-13)])
def test_compiled_code_equals_the_numpy_line(dtype, tolerance):
    symbols, values, wanted = symbols_of((0.3,))
    equation = TracedEquation(every_function, lambda t, x, a: 0.5 + 0 * x, 2, symbols)
    run = TracedRun(equation, "euler", values, wanted, np.dtype(dtype), key=123)
    grid, x = Grid(0.0, 1.0, 4, 1), np.random.default_rng(0).normal(size=(2, 500)).astype(dtype)
    by_numpy = run.by_numpy(x, grid, run.table(run.step, grid))[1:]
    np.testing.assert_allclose(run.forward(x, grid)[0], by_numpy[0], rtol=tolerance, atol=tolerance)
    if dtype == np.float64:  # in float32, sin(40 x) tears neighbours apart
        np.testing.assert_allclose(run.forward(x, grid), by_numpy, rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(not ENABLED, reason="about what is compiled")
def test_no_functions_of_two_equations_have_the_same_name():
    """Kept on disk, and loaded into one process, they could be taken for one another."""

    def names(number: float) -> set[str]:
        source = "def {}(x, z, table, n, args):\n    x[0, 0] = {}\n".format
        sources = source("advance", number), source("pull", number)
        whole = kernels_of(*sources, np.dtype(np.float64), False).py_func
        part = whole.__globals__["sweep_unit"].py_func
        inner = [part.__globals__[name].py_func for name in ("advance", "pull")]
        return {function.__qualname__ for function in (whole, part, *inner)}

    assert len(names(1.0) | names(2.0)) == 8


# ---- Ready processes -----------------------------------------------------------------------------


def energy(x):
    return (x**4).sum(-1) / 4 - x[..., 0] * x[..., 1]


PROCESSES = {
    "BrownianMotion": (0.3, 0.6),
    "BrownianBridge": (0.5, 2.0, 0.7),
    "OrnsteinUhlenbeck": (1.3, 0.5, 0.8),
    "GeometricBrownianMotion": (0.4, 0.5),
    "OverdampedLangevin": (energy, 0.7, 1.2),
    "UnderdampedLangevin": (energy, 0.7, 1.2, 0.8),
    "VP": (),
    "SubVP": (sde.CosineSchedule(),),
    "VE": (0.1, 5.0),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_ready_processes_are_the_same_in_simulate(name):
    """Path by path, without compiling each."""
    process = getattr(sde, name)(*PROCESSES[name])
    dim = 4 if name == "UnderdampedLangevin" else 2
    x0 = np.random.default_rng(2).normal(size=(6, dim)) + 1.5
    drift, diffusion, args = process.equation()
    symbols, values, wanted = symbols_of(args)
    equation = TracedEquation(drift, diffusion, dim, symbols)
    bm = BrownianSteps((0.1, 0.9), 8, (6, dim), seed=0, dtype=tg.float64)
    run = TracedRun(equation, "euler", values, wanted, np.dtype(np.float64), bm.key)
    grid = Grid(0.1, 0.9, 8, 8)
    found = run.by_numpy(x0.T, grid, run.table(run.step, grid))[-1].T
    expected = sdeint(process, tg.tensor(x0), [0.1, 0.9], bm, "euler", dt=0.1)[-1].array
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_every_ready_process_is_in_the_table_above():
    assert set(ready()) == set(PROCESSES)
    with pytest.raises(TypeError, match="the score of a reverse process is one of tensors"):
        sde.VP().reverse(lambda x, t: -x).equation()


def test_a_process_by_name_and_as_an_object():
    """Ornstein and Uhlenbeck's, with the mean and variance that Euler's method has exactly."""
    theta, mu, sigma = 1.5, 0.4, 0.6
    x0 = tg.full((20_000, 1), 2.0)
    found = simulate("OrnsteinUhlenbeck", None, x0, (0, 1), 50, args=(theta, mu, sigma), seed=4)
    process = sde.OrnsteinUhlenbeck(theta, mu, sigma)
    again = simulate(process, None, x0, (0, 1), 50, seed=4)
    assert (found.array == again.array).all()
    keep = 1 - theta / 50
    mean = mu + (2 - mu) * keep**50
    variance = sigma**2 / 50 * (1 - keep**100) / (1 - keep**2)
    x = found.array.astype(np.float64)
    assert abs(x.mean() - mean) < 4.5 * math.sqrt(variance / len(x))
    assert abs(x.var() / variance - 1) < 4.5 * math.sqrt(2 / len(x))


def test_an_energy_must_be_a_plain_formula():
    process = sde.OverdampedLangevin(lambda x: tg.sin(x).sum(-1))
    with pytest.raises(TypeError, match="an energy of operators and NumPy's functions"):
        simulate(process, None, np.zeros((3, 2)), (0, 1), 10)
