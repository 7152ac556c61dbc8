"""Softmax and log-softmax."""

import math

import numpy as np
import pytest

from tinygen.kernels import softmax

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


@pytest.mark.parametrize("rows, columns", SHAPES)
def test_logsumexp_equals_reference(normal, call, close, double, rows, columns):
    x, dy = 3 * normal(rows, columns), normal(rows)
    (y,) = call(softmax.logsumexp, x.T.copy().T)
    close((y,), softmax.logsumexp_reference(*double(x)), 1e-6)
    dx = softmax.logsumexp_backward_reference(*double(dy, x, y))
    close(call(softmax.logsumexp_backward, dy, x, y), dx, 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_far_out(dtype):
    inf, nan = math.inf, math.nan
    x = np.array([[1e30, 0, -1e30], [-inf, 0, 0], [-inf] * 3, [inf, 0, 1], [inf, nan, 0]], dtype)
    y = softmax.logsumexp(x)
    np.testing.assert_allclose(y, np.array([1e30, math.log(2), -inf, inf, nan], dtype), rtol=1e-6)
    dx = softmax.logsumexp_backward(np.full(5, 2, dtype), x, y)
    np.testing.assert_allclose(dx[:3], [[2, 0, 0], [0, 1, 1], [0, 0, 0]], rtol=1e-6)
    assert np.isnan(dx[4]).all()


@pytest.mark.parametrize("log", [False, True])
def test_softmax_of_nothing(log):
    for shape in [(0, 3), (3, 0)]:
        x = np.zeros(shape, np.float32)
        assert softmax.forward(x, log).shape == softmax.backward(x, x, log).shape == shape
