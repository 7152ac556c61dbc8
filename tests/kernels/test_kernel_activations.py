"""Activations, and arithmetic of large arrays."""

import math

import numpy as np
import pytest

from tinygen.kernels import activations as a
from tinygen.kernels import arithmetic, jit

# Each with its gradient, the numbers it takes, and itself in float64, by other means.
sigmoid = lambda x: 0.5 * (1 + np.tanh(x / 2))
softplus = lambda x: np.logaddexp(x, 0)
elu = lambda x, alpha, scale, width: scale * np.where(x > 0, x, alpha * np.expm1(x / width))
hard = lambda x: np.clip(x + 3, 0, 6) / 6
ACTIVATIONS = {
    "silu": (a.silu, a.silu_gradient, (), lambda x: x * sigmoid(x)),
    "softplus": (a.softplus, a.softplus_gradient, (1.0, 20.0), softplus),
    "softplus, beta": (a.softplus, a.softplus_gradient, (0.5, 1.0),
                       lambda x: np.where(x > 2, x, softplus(x / 2) * 2)),
    "logsigmoid": (a.logsigmoid, a.logsigmoid_gradient, (), lambda x: -softplus(-x)),
    "mish": (a.mish, a.mish_gradient, (), lambda x: x * np.tanh(softplus(x))),
    "softsign": (a.softsign, a.softsign_gradient, (), lambda x: x / (1 + np.abs(x))),
    "tanhshrink": (a.tanhshrink, a.tanhshrink_gradient, (), lambda x: x - np.tanh(x)),
    "leaky_relu": (a.leaky_relu, a.leaky_relu_gradient, (0.2,),
                   lambda x: np.where(x > 0, x, x / 5)),
    "elu": (a.elu, a.elu_gradient, (1.0, 1.0, 1.0), lambda x: elu(x, 1.0, 1.0, 1.0)),
    "selu": (a.elu, a.elu_gradient, (1.67, 1.05, 1.0), lambda x: elu(x, 1.67, 1.05, 1.0)),
    "celu": (a.elu, a.elu_gradient, (2.0, 1.0, 2.0), lambda x: elu(x, 2.0, 1.0, 2.0)),
    "hardtanh": (a.hardtanh, a.hardtanh_gradient, (-1.0, 2.0), lambda x: np.clip(x, -1, 2)),
    "hardsigmoid": (a.hardsigmoid, a.hardsigmoid_gradient, (), hard),
    "hardswish": (a.hardswish, a.hardswish_gradient, (), lambda x: x * hard(x)),
    "hardshrink": (a.hardshrink, a.shrink_gradient, (0.5,),
                   lambda x: np.where(np.abs(x) > 0.5, x, 0)),
    "softshrink": (a.softshrink, a.shrink_gradient, (0.5,),
                   lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
}  # fmt: skip
FROM_OUTPUT = {
    "sigmoid": (a.sigmoid_gradient, lambda y: y * (1 - y)),
    "tanh": (a.tanh_gradient, lambda y: 1 - y**2),
    "relu": (a.relu_gradient, lambda y: 1.0 * (y > 0)),
}
every_activation = pytest.mark.parametrize("name", ACTIVATIONS)
every_shape = pytest.mark.parametrize("shape", [(), (1,), (5, 7), (300, 101), (0, 3)])


@every_activation
@every_shape
def test_activation_equals_reference(normal, call, close, double, name, shape):
    value, gradient, numbers, exact = ACTIVATIONS[name]
    x, g = 4 * normal(*shape), normal(*shape)
    close(call(value, x, *numbers), np.asarray(exact(*double(x))), 2e-6)
    right = gradient.of_arrays(*double(g, x), *numbers)
    close(call(gradient, g, x, *numbers), np.asarray(right), 2e-6)


@every_activation
def test_gradient_of_activation_is_the_derivative(name):
    _, gradient, numbers, exact = ACTIVATIONS[name]
    x, h = np.linspace(-5, 5, 200), 1e-5  # at no kink
    g = np.cos(x)
    difference = g * (exact(x + h) - exact(x - h)) / (2 * h)
    np.testing.assert_allclose(gradient(g, x, *numbers), difference, atol=1e-9)


@every_activation
def test_activation_of_infinities_and_nan(name):
    """The loops say what the formula says in float64: nothing overflows on the way."""
    value, gradient, numbers, _ = ACTIVATIONS[name]
    x = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e30, -1e30, 90, -90, 1e-40, -1e-20], "f")
    y, right = value(x, *numbers), value(x.astype(np.float64), *numbers)
    np.testing.assert_allclose(y, right, rtol=1e-6, atol=1e-37)
    g = np.full_like(x, 0.5)
    dx, right = (
        gradient(g, x, *numbers),
        gradient.of_arrays(*(v.astype("d") for v in (g, x)), *numbers),
    )
    np.testing.assert_allclose(dx, right, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("name", FROM_OUTPUT)
@every_shape
def test_gradient_from_output_equals_reference(normal, call, close, double, name, shape):
    gradient, slope = FROM_OUTPUT[name]
    g, y = normal(*shape), normal(*shape)
    g64, y64 = double(g, y)
    close(call(gradient, g, y), np.asarray(g64 * slope(y64)), 2e-6)


def test_flat_sides_let_nothing_through():
    """A gradient that is infinite or NaN does not get past a slope of 0."""
    g, x = np.array([np.inf, np.nan], "f"), np.array([-9.0, -9.0], "f")
    for gradient, numbers in ((a.hardtanh_gradient, (-1.0, 1.0)), (a.hardsigmoid_gradient, ()),
                              (a.hardswish_gradient, ()), (a.relu_gradient, ())):  # fmt: skip
        assert (gradient(g, x, *numbers) == 0).all()
        assert (gradient.of_arrays(g, x, *numbers) == 0).all()


def test_relative_error_of_sigmoid_and_its_kin():
    x = np.linspace(-80, 80, 200_001, dtype=np.float32)
    exact = x.astype(np.float64)
    s = 1 / (1 + np.exp(-exact))
    np.testing.assert_allclose(a.sigmoid(x), s, rtol=4e-7)
    np.testing.assert_allclose(a.silu(x), exact * s, rtol=4e-7)
    np.testing.assert_allclose(a.softplus(x, 1.0, 1e9), np.log1p(np.exp(exact)), rtol=4e-7)
    np.testing.assert_allclose(a.elu(x[x < 0], 1.0, 1.0, 1.0), np.expm1(exact[x < 0]), rtol=4e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_far_out(dtype):
    x = np.array([np.inf, -np.inf, np.nan, 0, 1e30, -1e30], dtype)
    np.testing.assert_allclose(a.sigmoid(x), [1, 0, np.nan, 0.5, 1, 0], rtol=1e-6)


def test_activation_of_any_strides(normal):
    x = normal(20, 30)
    np.testing.assert_array_equal(a.silu(x.T[::2]), a.silu(x).T[::2])
    np.testing.assert_array_equal(a.silu_gradient(x.T[::2], x.T[::2]), a.silu_gradient(x, x).T[::2])


# ---- Arithmetic of large arrays ------------------------------------------------------------------

OF_TWO = {arithmetic.add: np.add, arithmetic.subtract: np.subtract,
          arithmetic.multiply: np.multiply, arithmetic.divide: np.divide,
          arithmetic.larger: np.maximum, arithmetic.smaller: np.minimum}  # fmt: skip
OF_ONE = {arithmetic.negative: np.negative, arithmetic.absolute: np.absolute,
          arithmetic.square_root: np.sqrt}  # fmt: skip


@pytest.fixture
def large(normal):
    """Two arrays that are just large enough, with some of everything in them."""
    shape = (33, 37, 109)
    assert math.prod(shape) >= arithmetic.LARGE
    x, y = normal(*shape), normal(*shape)
    x[0, 0, :6] = np.nan, np.inf, -np.inf, -0.0, 1e-40, 0.0
    y[0, :6, 0] = np.nan, np.inf, -np.inf, -0.0, 1e-40, 0.0
    return x, y


def operands(x, y):
    """What broadcasts as a row, a column, a number, and in ways that are left to NumPy."""
    yield from ((x, y), (x, y[0]), (x, y[0, :1]), (y[0, 0], x), (x, 2.5), (2, x))
    yield from ((x, y[..., :1]), (y[:, :1, :1], x), (x[:, :1, :1], y[0]), (x, y[:1, :1, :1]))
    yield from ((x, y[:, :1]), (x, y[:1, :, :1]), (x.T, y.T), (x, y[::-1]), (x, x[0] > 0))
    yield from ((x, np.float64(3)), (x.astype(np.float64), y), (x, y.astype(np.float64)))


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero", "ignore:overflow")
def test_large_arithmetic_equals_numpy(large, call):
    for function, ufunc in OF_TWO.items():
        for x, y in operands(*large):
            (result,), right = call(function, x, y), ufunc(x, y)
            assert result.dtype == right.dtype
            np.testing.assert_array_equal(result, right)
            np.testing.assert_array_equal(np.signbit(result), np.signbit(right))
    for function, ufunc in OF_ONE.items():
        for x in (large[0], large[0].T, large[0].astype(np.float64)):
            np.testing.assert_array_equal(call(function, x)[0], ufunc(x))


def test_large_where_equals_numpy(large, call):
    x, y = large
    condition = x > y
    for first, second in ((x, y), (x, 0.0), (1, y), (x, y[0]), (1.0, 2.0), (x, np.float64(3)),
                          (x.T.copy().T, y), (x, y.astype(np.float64))):  # fmt: skip
        (result,), right = call(arithmetic.where, condition, first, second), None
        right = np.where(condition, first, second)
        assert result.dtype == right.dtype
        np.testing.assert_array_equal(result, right)


@pytest.mark.skipif(not jit.ENABLED, reason="TINYGEN_JIT=0")
def test_large_shapes_that_do_not_fit(large):
    with pytest.raises(ValueError, match="broadcast"):
        arithmetic.add(large[0], large[1][:5])
