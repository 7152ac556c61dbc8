"""Softmax, log-softmax, sigmoid, SiLU, softplus."""

import math

import numpy as np
import pytest

from tinygen.kernels import activations, pointwise, softmax

SHAPES = [(1, 2), (5, 7), (3, 1000), (600, 64), (330, 65), (16, 1)]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("rows, columns", SHAPES)
def test_softmax_equals_reference(normal, call, close, double, rows, columns, log):
    x, dy = 3 * normal(rows, columns), normal(columns, rows).T
    (y,) = call(softmax.forward, x, log)
    close((y,), softmax.forward_reference(*double(x), log), 1e-6)
    close(call(softmax.backward, dy, y, log), softmax.backward_reference(*double(dy, y), log), 2e-5)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_far_out(log, dtype):
    inf = math.inf
    x = np.array([[1e30, 0, -1e30], [-inf, 0, 0], [-inf] * 3, [inf, 0, 1], [0, np.nan, 0]], dtype)
    y = softmax.forward(x, log)
    p = np.exp(y) if log else y
    np.testing.assert_allclose(p[:2], [[1, 0, 0], [0, 0.5, 0.5]], rtol=1e-6)
    assert np.isnan(p[2:]).all()
    dx = softmax.backward(np.ones_like(x), y, log)
    assert np.isfinite(dx[:2]).all()


@pytest.mark.parametrize("log", [False, True])
def test_softmax_of_nothing(log):
    for shape in [(0, 3), (3, 0)]:
        x = np.zeros(shape, np.float32)
        assert softmax.forward(x, log).shape == softmax.backward(x, x, log).shape == shape


FORMS = [pointwise.SIGMOID, pointwise.SILU, pointwise.SOFTPLUS]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(), (1,), (5, 7), (300, 101), (0, 3)])
def test_activations_equal_reference(normal, call, close, double, shape, form):
    x, dy = 4 * normal(*shape), normal(*shape)
    right = activations.forward_reference(form, *double(x))
    close(call(activations.forward, form, x), np.asarray(right), 1e-6)
    right = activations.backward_reference(form, *double(dy, x))
    close(call(activations.backward, form, dy, x), np.asarray(right), 2e-6)


@pytest.mark.parametrize("form", FORMS)
def test_relative_error_of_activations(form):
    x = np.linspace(-80, 80, 200_001, dtype=np.float32)
    exact = x.astype(np.float64)
    s = 1 / (1 + np.exp(-exact))
    right = dict(zip(FORMS, [s, exact * s, np.log1p(np.exp(exact))]))[form]
    np.testing.assert_allclose(activations.forward(form, x), right, rtol=4e-7)


@pytest.mark.parametrize("form", FORMS)
def test_slopes_are_derivatives(form):
    x, h = np.linspace(-5, 5, 201), 1e-5
    difference = (activations.forward(form, x + h) - activations.forward(form, x - h)) / (2 * h)
    np.testing.assert_allclose(activations.backward(form, np.ones(201), x), difference, atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_of_activations(form, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0, 1e30, -1e30], dtype)
    with np.errstate(invalid="ignore"):
        y = activations.forward(form, x)
    which = FORMS.index(form)
    half = [0.5, 0, math.log(2)][which]
    limits = [[1, 0], [np.inf, np.nan], [np.inf, 0]][which]
    np.testing.assert_allclose(y[[0, 1, 2, 3]], [*limits, np.nan, half], rtol=1e-6)
    np.testing.assert_allclose(y[4:], [[1, 0], [1e30, 0], [1e30, 0]][which], rtol=1e-6)
