"""Mistakes get a sentence that says what was expected, what came, and what to write instead."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import tinygen as tg
from tinygen.sde import BrownianInterval, sdeint

Y0, TS = tg.ones(3, 2), [0.0, 1.0]


def equation(noise_type="diagonal", sde_type="ito", f=lambda t, y: -y, g=lambda t, y: 0.1 * y):
    return SimpleNamespace(f=f, g=g, noise_type=noise_type, sde_type=sde_type)


def refused(error, words, sde=None, y0=Y0, ts=TS, solve=sdeint, **settings):
    with pytest.raises(error, match=re.escape(words)):
        solve(sde or equation(), y0, ts, **{"dt": 0.5, **settings})


@pytest.mark.parametrize(
    ("ts", "words"),
    [
        ([0.0, 1.0, 0.5], "ts must be strictly increasing; ts[1], ts[2] = [1.  0.5]"),
        ([1.0, 0.0], "ts[0], ts[1] = [1. 0.]"),
        ([0.0, float("nan")], "finite times"),
        ([], "finite times"),
        ([[0.0, 1.0]], "must be a list [times]"),
        (tg.tensor([0.0, 1.0], requires_grad=True), "there is no gradient for ts"),
    ],
)
def test_times(ts, words):
    refused(ValueError, words, ts=ts)


@pytest.mark.parametrize(
    ("y0", "error", "words"),
    [
        ([1.0], TypeError, "y0 must be a tensor [batch, d], not a list"),
        (tg.ones(3), ValueError, "it has the shape (3,)"),
        (tg.tensor([[1, 2]]), ValueError, "is int64"),
    ],
)
def test_initial_states(y0, error, words):
    refused(error, words, y0=y0)


@pytest.mark.parametrize(
    ("noise_type", "f", "g", "words"),
    [
        ("diagonal", None, lambda t, y: y[:, :1], "g returned the shape (3, 1); for diagonal"),
        ("diagonal", None, lambda t, y: y.unsqueeze(-1), "it must be (3, 2)"),
        ("scalar", None, lambda t, y: y, "noise and y of shape (3, 2) it must be (3, 2, 1)"),
        ("additive", None, lambda t, y: y, "it must be (3, 2, m)"),
        ("general", None, lambda t, y: tg.ones(3, 1, 2), "it must be (3, 2, 2)"),
        ("diagonal", lambda t, y: y.sum(-1), None, "f returned the shape (3,)"),
    ],
)
def test_shapes_of_drift_and_diffusion(noise_type, f, g, words):
    parts = {"f": f, "g": g}
    sde = equation(noise_type, **{k: v for k, v in parts.items() if v is not None})
    refused(ValueError, words, sde)


def test_types_of_drift_and_diffusion():
    refused(TypeError, "f must return a tensor; it returned a float", equation(f=lambda t, y: 0.0))
    refused(TypeError, "f returned float64 for y of float32", equation(f=lambda t, y: y.double()))


def test_what_an_sde_needs():
    refused(ValueError, "one of diagonal, additive, scalar, general; of this SimpleNamespace it is "
            "'multiplicative'", equation("multiplicative"))  # fmt: skip
    refused(
        ValueError,
        "attribute sde_type, which is one of ito, stratonovich",
        equation(sde_type="Ito"),
    )
    refused(ValueError, "attribute noise_type, which is one of", object())
    refused(TypeError, "needs a method g(t, y), its diffusion", equation(g=None))
    sde = equation(f=None)
    sde.h = lambda t, y: -y
    refused(TypeError, "write names={'drift': …}", sde)
    refused(ValueError, "names has the keys drift, diffusion, and no 'prior'", names={"prior": "h"})
    assert sdeint(sde, Y0, TS, names={"drift": "h"}, dt=0.5).shape == (2, 3, 2)


@pytest.mark.parametrize(
    ("method", "noise_type", "sde_type", "able"),
    [
        ("milstein", "general", "ito", "euler"),
        ("srk", "general", "ito", "euler"),
        ("heun", "diagonal", "ito", "euler, milstein, srk"),
        ("euler", "scalar", "stratonovich", "milstein, midpoint, heun, reversible_heun"),
        ("milstein", "general", "stratonovich", "midpoint, heun, reversible_heun"),
    ],
)
def test_methods_refuse_what_they_cannot_integrate(method, noise_type, sde_type, able):
    words = f"cannot integrate {noise_type} noise in that of {sde_type}; what can: {able}"
    with pytest.raises(ValueError, match=re.escape(words) + "$"):
        sdeint(equation(noise_type, sde_type), Y0, TS, method=method)


def test_settings():
    refused(ValueError, "there is no method 'rk4'; there are euler, milstein", method="rk4")
    refused(ValueError, "dt must be positive and finite; got 0", dt=0.0)
    refused(TypeError, "bm must be a BrownianInterval, not a int", bm=3)


def test_paths():
    area = {"levy_area_approximation": "space-time"}
    refused(ValueError, "bm has the size (3, 1); for diagonal noise",
            bm=BrownianInterval(0, 1, (3, 1), **area))  # fmt: skip
    refused(ValueError, "ts go from 0 to 1, and bm from 0 to 0.5",
            bm=BrownianInterval(0, 0.5, (3, 2), **area))  # fmt: skip
    refused(ValueError, "srk needs the integral of W", bm=BrownianInterval(0, 1, (3, 2)))


def test_a_solution_that_blows_up_is_told_with_its_path():
    y0 = tg.tensor(np.array([[0.0], [3.0], [0.0]]))
    sde = equation(f=lambda t, y: y**3, g=lambda t, y: 0 * y)
    words = "y is nan or infinite after the step from t = 1.8 to 2.1, first in path 1"
    refused(FloatingPointError, words, sde, y0, [0.0, 3.0], method="euler", dt=0.3)
