"""Initialisations: bounds and moments, against the formulas."""

import math

import numpy as np
import pytest

from tinygen.autograd.creation import empty
from tinygen.autograd.dtypes import float64
from tinygen.autograd.random import Generator
from tinygen.nn import Parameter, init

GAIN = math.sqrt(2 / (1 + 0.5**2))  # of a leaky ReLU with slope 0.5


@pytest.mark.parametrize(
    ("fill", "std", "uniform"),
    [
        (lambda x, g: init.uniform_(x, -2, 2, g), 2 / math.sqrt(3), True),
        (lambda x, g: init.normal_(x, 0, 3, g), 3, False),
        (lambda x, g: init.xavier_uniform_(x, 2.0, g), 2 * math.sqrt(2 / 500), True),
        (lambda x, g: init.xavier_normal_(x, 2.0, g), 2 * math.sqrt(2 / 500), False),
        (lambda x, g: init.kaiming_uniform_(x, 0.5, generator=g), GAIN / math.sqrt(300), True),
        (
            lambda x, g: init.kaiming_uniform_(x, mode="fan_out", nonlinearity="relu", generator=g),
            math.sqrt(2 / 200),
            True,
        ),
        (lambda x, g: init.kaiming_normal_(x, 0.5, generator=g), GAIN / math.sqrt(300), False),
    ],
)
def test_moments(fill, std, uniform):
    """Of a weight with fan_in 300 and fan_out 200."""
    weight = Parameter(empty(200, 300))
    assert fill(weight, Generator(0)) is weight and weight.grad_fn is None
    values = weight.array
    assert abs(values.mean()) < 0.02 * std and abs(values.std() / std - 1) < 0.02
    assert (abs(values).max() <= std * math.sqrt(3) * (1 + 1e-6)) == uniform
    again = Parameter(empty(200, 300))
    assert np.array_equal(fill(again, Generator(0)).array, values)


def test_further_axes_multiply_the_fans():
    weight = init.kaiming_normal_(
        empty(50, 40, 5, 4), nonlinearity="linear", generator=Generator(0)
    )
    assert abs(weight.array.std() * math.sqrt(40 * 20) - 1) < 0.02


def test_constants():
    assert (init.constant_(empty(2, 2), 3.5).array == 3.5).all()
    assert (init.ones_(Parameter(empty(2))).array == 1).all()
    assert not init.zeros_(Parameter(empty(2))).array.any()
    assert np.array_equal(init.eye_(Parameter(empty(2, 3))).array, np.eye(2, 3))
    with pytest.raises(ValueError, match="matrices"):
        init.eye_(empty(2))


def test_trunc_normal():
    from math import erf, exp, pi, sqrt

    values = init.trunc_normal_(
        empty(100_000, dtype=float64), 1.0, 2.0, 0.0, 2.0, Generator(0)
    ).array
    assert values.min() >= 0 and values.max() <= 2 and abs(values.mean() - 1) < 0.01
    half = 0.5  # the bounds, in standard deviations from the mean
    variance = 4 * (1 - 2 * half * exp(-(half**2) / 2) / sqrt(2 * pi) / erf(half / sqrt(2)))
    assert abs(values.var() / variance - 1) < 0.02
    with pytest.raises(ValueError, match="within two standard deviations"):
        init.trunc_normal_(empty(2), mean=9.0)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (4, 2, 3)])
def test_orthogonal(shape):
    weight = init.orthogonal_(empty(*shape, dtype=float64), 2.0, Generator(0)).array
    matrix = weight.reshape(shape[0], -1)
    small = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)
    with pytest.raises(ValueError, match="two axes"):
        init.orthogonal_(empty(3))


def test_gains():
    torch = pytest.importorskip("torch")
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.calculate_gain("leaky_relu", 0.3) == math.sqrt(2 / 1.09)
    with pytest.raises(ValueError, match="swishy"):
        init.calculate_gain("swishy")


def test_fans_need_two_axes():
    with pytest.raises(ValueError, match="two axes"):
        init.xavier_uniform_(empty(3))
    with pytest.raises(ValueError, match="'fan_sideways'"):
        init.kaiming_uniform_(empty(3, 3), mode="fan_sideways")
    with pytest.warns(UserWarning, match="zero-element"):
        init.kaiming_uniform_(empty(0, 3))
