"""GELU, erf and embedding."""

import math

import numpy as np
import pytest

from tinygen.kernels import embedding, gelu

FORMS = ["none", "tanh"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(), (1,), (5, 7), (300, 101), (0, 3)])
def test_gelu_equals_reference(normal, call, close, double, shape, form):
    x, dy = 3 * normal(*shape), normal(*shape)
    close(call(gelu.forward, x, form), gelu.forward(*double(x), form), 1e-6)
    close(call(gelu.backward, dy, x, form), gelu.backward(*double(dy, x), form), 2e-6)


@pytest.mark.parametrize("form", FORMS)
def test_gelu_error(form):
    x = np.linspace(-12, 12, 100_001, dtype=np.float32)
    error = np.abs(gelu.forward(x, form) - gelu.forward(x.astype(np.float64), form))
    assert (error <= 3e-7 * np.abs(x)).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_limits(form, dtype):
    x = np.array([np.inf, -np.inf, np.nan, 1e-40, -1e-40, 0, 1e30, -1e30], dtype)
    half = dtype(0.5)
    expected = [np.inf, 0, np.nan, half * x[3], half * x[4], 0, x[6], 0]
    np.testing.assert_allclose(gelu.forward(x, form), expected, rtol=1e-4, atol=0)
    slopes = gelu.backward(np.ones_like(x), x, form)
    np.testing.assert_allclose(slopes, [1, 0, np.nan, 0.5, 0.5, 0.5, 1, 0], atol=1e-7)


def test_gelu_of_any_strides(normal):
    x = normal(20, 30)
    for form in FORMS:
        np.testing.assert_array_equal(gelu.forward(x.T[::2], form), gelu.forward(x, form).T[::2])


def test_gelu_float64_against_erf():
    x = np.linspace(-6, 6, 101)
    expected = [t * 0.5 * math.erfc(-t / math.sqrt(2)) for t in x]
    np.testing.assert_allclose(gelu.forward(x, "none"), expected, rtol=1e-14)
    np.testing.assert_allclose(
        gelu.forward(x, "tanh"),
        [0.5 * t * (1 + math.tanh(math.sqrt(2 / math.pi) * (t + 0.044715 * t**3))) for t in x],
        atol=1e-14,
    )


def test_gelu_slope_is_the_derivative():
    x, h = np.linspace(-5, 5, 201), 1e-5
    for form in FORMS:
        difference = (gelu.forward(x + h, form) - gelu.forward(x - h, form)) / (2 * h)
        np.testing.assert_allclose(gelu.backward(np.ones(201), x, form), difference, atol=1e-9)


def test_erf(call):
    x = np.linspace(-6, 6, 20_001)
    x[:3] = np.inf, -np.inf, np.nan
    expected = np.array([math.erf(t) for t in x])
    np.testing.assert_allclose(gelu.erf(x), expected, rtol=1e-15)
    (result,) = call(gelu.erf, x.astype(np.float32))
    exact = np.array([math.erf(t) for t in x.astype(np.float32)])
    np.testing.assert_allclose(result, exact, atol=4e-7)
    assert result[0] == 1 == -result[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n, width, rows", [(7, 3, 5), (2000, 33, 4), (0, 3, 2), (3, 0, 2)])
def test_embedding(normal, call, n, width, rows, dtype):
    dy = normal(width, n).T.astype(dtype)
    indices = np.random.default_rng(0).integers(0, rows, 2 * n)[::2]
    (result,) = call(embedding.backward, dy, indices, rows)
    assert result.dtype == dtype
    expected = embedding.backward_reference(dy.astype(np.float64), indices, rows)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("index", [-1, 4])
def test_embedding_index_out_of_range(normal, index):
    with pytest.raises(IndexError, match=f"index {index} is not a row of a table of 4"):
        embedding.backward(normal(2, 3), np.array([1, index]), 4)
