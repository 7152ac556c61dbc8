"""Mistakes get a sentence that says what was expected, what came, and what to write instead."""

import re

import numpy as np
import pytest

import tinygen as tg
from tinygen.ode import METHODS, odeint, odeint_adjoint

f64 = {"dtype": tg.float64}
Y0, T = tg.ones(2, **f64), tg.tensor([0.0, 1.0], **f64)
decay = lambda t, y: -y


def refused(error, words, func=decay, y0=Y0, t=T, interface=odeint, **settings):
    with pytest.raises(error, match=re.escape(words)):
        interface(func, y0, t, **settings)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([0.0, 1.0, 0.5], "strictly increasing or strictly decreasing; t[1], t[2] = [1.  0.5]"),
        ([0.0, 1.0, 1.0], "t[1], t[2] = [1. 1.]"),
        ([1.0, 0.0, 0.5], "t[1], t[2] = [0.  0.5]"),
        ([0.0, float("nan")], "t must be finite"),
        ([0.0, float("inf")], "t must be finite"),
        ([], "at least one floating-point time; it has shape (0,)"),
        ([[0.0, 1.0]], "it has shape (1, 2)"),
    ],
)
def test_times(times, words):
    refused(ValueError, words, t=tg.tensor(times, **f64))


def test_times_that_are_no_floats_or_no_tensor():
    refused(ValueError, "type int64", t=tg.tensor([0, 1]))
    refused(TypeError, "t must be a tensor [times], not a list of 2", t=[0.0, 1.0])
    refused(ValueError, "with event_fn, t has two times", t=tg.tensor([0.0, 1.0, 2.0]),
            event_fn=lambda t, y: y)  # fmt: skip


@pytest.mark.parametrize(
    ("func", "error", "words"),
    [
        (lambda t, y: y[:1], ValueError, "shape (1,) for a y of shape (2,)"),
        (lambda t, y: y.sum(), ValueError, "shape () for a y of shape (2,)"),
        (lambda t, y: y.float(), TypeError, "float32 for a y of float64"),
        (lambda t, y: (y,), TypeError, "it returned a tuple of 1"),
        (lambda t, y: 1.0, TypeError, "it returned a float"),
        (None, TypeError, "func must be a function of (t, y), not a NoneType"),
    ],
)
def test_what_func_returns(func, error, words):
    refused(error, words, func)


def test_what_func_returns_for_a_tuple():
    y0 = (Y0, tg.ones(3, **f64))
    refused(TypeError, "y is a tuple of 2 tensors", lambda t, y: y[0], y0)
    refused(TypeError, "at t = 0 it returned a tuple of 1", lambda t, y: (y[0],), y0)
    refused(ValueError, "shape (2,) for a y of shape (3,)", lambda t, y: (y[0], y[0]), y0)


@pytest.mark.parametrize(
    ("y0", "error", "words"),
    [
        (np.ones(2), TypeError, "y0 must be a tensor or a tuple of tensors, not a ndarray"),
        (1.0, TypeError, "not a float"),
        (tg.tensor([1, 2]), TypeError, "y0 must be floating-point; it is int64"),
        ((), ValueError, "y0 is an empty tuple"),
        ((Y0, tg.ones(1)), TypeError, "one type; they have ['float64', 'float32']"),
    ],
)
def test_initial_states(y0, error, words):
    refused(error, words, y0=y0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rtol": -1e-3}, "rtol must be finite and not negative; got -0.001"),
        ({"atol": float("nan")}, "atol must be finite"),
        ({"rtol": 0.0, "atol": 0.0}, "rtol and atol are both 0 somewhere"),
        ({"atol": tg.ones(3)}, "atol has shape (3,), which does not fit a state of shape (2,)"),
        ({"method": "rk45"}, f"there is no method 'rk45'; there are {', '.join(METHODS)}"),
        (
            {"options": {"step": 1}},
            "dopri5, which chooses its steps, has no option 'step'; it has ",
        ),
        (
            {"method": "rk4", "options": {"first_step": 1}},
            "has no option 'first_step'; it has dtype",
        ),
        ({"options": {"step_size": 0.0}}, "step_size must be positive"),
        ({"options": {"first_step": -0.1}}, "first_step must be positive, also where time runs"),
        ({"options": {"dtype": tg.float32}}, "times are kept in float64"),
        (
            {"options": {"step_size": 0.1, "grid_constructor": print}},
            "step_size and grid_constructor exclude each other",
        ),
        (
            {"options": {"grid_constructor": lambda f, y, t: t / 2}},
            "the grid must go from t[0] = 0 to t[-1] = 1; grid_constructor made one from 0 to 0.5",
        ),
    ],
)
def test_settings(settings, words):
    refused(ValueError, words, **settings)


def test_tolerances_for_a_tuple_need_one_each():
    refused(ValueError, "rtol has 3 parts for a state of 2", y0=(Y0, Y0), rtol=(1e-3, 1e-3, 1e-3),
            func=lambda t, y: y)  # fmt: skip


# ---- Where there is no solution ------------------------------------------------------------------


def from_half_on(t, y):
    """Not a number from t = 0.5 on."""
    return -y + 0 * tg.sqrt(0.5 - t)


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].adaptive])
def test_nan_in_func_is_told_with_its_time(method):
    calls = []

    def func(t, y):
        calls.append(t)
        return from_half_on(t, y)

    refused(FloatingPointError, "nan or infinite just after t = 0.5", func, method=method)
    assert len(calls) < 3000


def test_nan_in_steps_of_a_given_size():
    refused(FloatingPointError, "is nan or infinite at t = 0.625, in the step from 0.5 to 0.75",
            from_half_on, method="midpoint", options={"step_size": 0.25})  # fmt: skip


def test_nan_at_the_start():
    nowhere = lambda t, y: y * float("nan")
    refused(
        FloatingPointError, "func(t, y0) is nan or infinite at the initial time, t = 0", nowhere
    )
    refused(FloatingPointError, "y0 is nan or infinite", y0=Y0 / 0)


def test_a_solution_that_blows_up():
    """dy/dt = y² from 1 is 1 / (1 - t)."""
    error = (FloatingPointError, RuntimeError)
    refused(error, "t = 1", lambda t, y: y * y, t=2 * T)
    refused(FloatingPointError, "or take smaller steps", lambda t, y: y**9, t=9 * T, method="euler",
            options={"step_size": 0.5})  # fmt: skip


def test_a_nan_after_too_long_a_step_is_no_harm():
    """log y is not defined below 0, where too long a trial step leads."""
    y0, options = tg.tensor([3.0], **f64), {"first_step": 1.0}
    y = odeint(lambda t, y: -30 * tg.log(y), y0, T, options=options, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(y.array[-1], 1, atol=1e-5)


def test_underflow_of_the_step():
    jump = lambda t, y: tg.where(t < 0.3, 1.0, 1e3).to(y.dtype) * tg.ones_like(y)
    refused(RuntimeError, "underflow of the step at t = 0.3", jump, rtol=1e-18, atol=1e-18)


def test_too_many_steps():
    refused(RuntimeError, "max_num_steps = 10 steps were tried, and only t = ",
            lambda t, y: -1000 * y, options={"max_num_steps": 10})  # fmt: skip


# ---- The adjoint ---------------------------------------------------------------------------------


def test_the_adjoint_must_know_the_parameters():
    refused(ValueError, "adjoint_params=(…), or () if there are none", interface=odeint_adjoint)


def test_options_are_for_one_method():
    refused(ValueError, "give adjoint_options, too", interface=odeint_adjoint, adjoint_params=(),
            method="rk4", adjoint_method="dopri5", options={"step_size": 0.1})  # fmt: skip
    refused(ValueError, 'is a function, or "seminorm", not \'max\'', interface=odeint_adjoint,
            adjoint_params=(), adjoint_options={"norm": "max"})  # fmt: skip
