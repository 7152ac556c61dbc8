"""Layer norm and softmax cross-entropy."""

import numpy as np
import pytest

from tinygen.kernels import cross_entropy, layer_norm, rms_norm

SHAPES = [(1, 2), (5, 7), (3, 1000), (600, 64), (330, 65), (16, 1)]


@pytest.mark.parametrize("rows, columns", SHAPES)
def test_layer_norm_equals_reference(normal, call, close, double, rows, columns):
    x, dy = 3 * normal(rows, columns) + 1, normal(columns, rows).T
    weight, bias = normal(columns), normal(columns)
    forward = layer_norm.forward_reference(*double(x, weight, bias), 1e-2)
    y, mean, rstd = call(layer_norm.forward, x, weight, bias, 1e-2)
    close((y, mean, rstd), forward)
    backward = layer_norm.backward_reference(*double(dy, x, weight), *forward[1:])
    close(call(layer_norm.backward, dy, x, weight, mean, rstd), backward, 1e-4)


def test_layer_norm_without_weight_and_bias(normal):
    x, dy = normal(2, 30, 20)
    y, mean, rstd = layer_norm.forward(x, None, None, 1e-5)
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(1), 1, atol=1e-4)
    ones = layer_norm.backward(dy, x, np.ones(20, np.float32), mean, rstd)
    for one, other in zip(ones, layer_norm.backward(dy, x, None, mean, rstd)):
        np.testing.assert_array_equal(one, other)


def test_layer_norm_nan_stays_in_its_row(normal):
    x = normal(40, 20)
    x[2, 3] = np.nan
    y, mean, rstd = layer_norm.forward(x, None, None, 1e-5)
    np.testing.assert_array_equal(np.isnan(y).all(1), np.arange(40) == 2)
    dx, _, _ = layer_norm.backward(y, x, None, mean, rstd)
    np.testing.assert_array_equal(np.isnan(dx).any(1), np.arange(40) == 2)


def test_layer_norm_zero_rows():
    x = np.zeros((0, 5), np.float32)
    y, mean, rstd = layer_norm.forward(x, None, None, 1e-5)
    dx, dweight, dbias = layer_norm.backward(y, x, None, mean, rstd)
    assert [a.shape for a in (y, mean, rstd, dx)] == [(0, 5), (0,), (0,), (0, 5)]
    np.testing.assert_array_equal([dweight, dbias], np.zeros((2, 5)))


@pytest.mark.parametrize("rows, columns", SHAPES)
def test_rms_norm_equals_reference(normal, call, close, double, rows, columns):
    x, dy, weight = 3 * normal(rows, columns) + 1, normal(columns, rows).T, normal(columns)
    forward = rms_norm.forward_reference(*double(x, weight), 1e-2)
    y, rstd = call(rms_norm.forward, x, weight, 1e-2)
    close((y, rstd), forward)
    backward = rms_norm.backward_reference(*double(dy, x, weight), forward[1])
    close(call(rms_norm.backward, dy, x, weight, rstd), backward, 1e-4)


def test_rms_norm_without_weight_nan_and_nothing(normal):
    x = normal(40, 20)
    x[2, 3], x[5, 1] = np.nan, np.inf
    y, rstd = rms_norm.forward(x, None, 1e-5)
    with np.errstate(invalid="ignore"):
        right, _ = rms_norm.forward_reference(x, 1, 1e-5)
    np.testing.assert_allclose(y, right, rtol=1e-5)
    dx, _ = rms_norm.backward(np.ones_like(x), x, None, rstd)
    np.testing.assert_array_equal(np.isnan(dx).any(1), np.isin(np.arange(40), (2, 5)))
    nothing = np.zeros((0, 5), np.float32)
    y, rstd = rms_norm.forward(nothing, None, 1e-5)
    dx, dweight = rms_norm.backward(y, nothing, None, rstd)
    assert [a.shape for a in (y, rstd, dx, dweight)] == [(0, 5), (0,), (0, 5), (5,)]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows, classes", SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_reference(
    normal, call, double, rows, classes, dtype, smoothing, weighted
):
    logits, dlosses = (5 * normal(rows, classes)).astype(dtype), normal(rows).astype(dtype)
    weight = np.exp(normal(classes)).astype(dtype) if weighted else None
    targets = np.random.default_rng(1).integers(0, classes, rows)
    targets[rows // 2] = -100
    losses, lse = call(cross_entropy.forward, logits, targets, -100, smoothing, weight)
    dlogits = call(cross_entropy.backward, dlosses, logits, targets, lse, -100, smoothing, weight)
    x, d, w = (*double(logits, dlosses), weight if weight is None else double(weight)[0])
    right = cross_entropy.forward_reference(x, targets, -100, smoothing, w)
    gradient = cross_entropy.backward_reference(d, x, targets, right[1], -100, smoothing, w)
    assert losses[rows // 2] == 0
    assert (dlogits[0][rows // 2] == 0).all()
    for result, expected in zip((losses, lse, *dlogits), (*right, gradient)):
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_cross_entropy_nan_and_infinities(normal):
    logits, targets = normal(6, 40), np.arange(6)
    logits[1, 30], logits[2, :20], logits[3], logits[4, 4] = np.nan, -np.inf, -np.inf, -np.inf
    losses, lse = cross_entropy.forward(logits, targets, -100)
    np.testing.assert_array_equal(np.isnan(losses), [False, True, False, True, False, False])
    np.testing.assert_array_equal(np.isinf(losses), [False, False, True, False, True, False])
    dlogits = cross_entropy.backward(np.ones(6, np.float32), logits, targets, lse, -100)
    np.testing.assert_array_equal(
        np.isnan(dlogits).all(1), [False, True, False, True, False, False]
    )
    assert (dlogits[2, 3:20] == 0).all()
    assert dlogits[4, 4] == -1


@pytest.mark.parametrize("target", [-1, 7, 2**40, -100])
def test_cross_entropy_target_out_of_range(normal, target):
    logits, targets = normal(5, 7), np.array([0, 1, target, 3, 4])
    with pytest.raises(IndexError, match=rf"row 2 is {target}; expected a class in \[0, 7\)"):
        cross_entropy.forward(logits, targets, -7)
    with pytest.raises(IndexError, match="row 2"):
        cross_entropy.backward(logits[:, 0], logits, targets, logits[:, 0], -7)


def test_cross_entropy_zero_rows():
    logits, targets = np.zeros((0, 5), np.float32), np.zeros(0, np.int64)
    losses, lse = cross_entropy.forward(logits, targets, -100)
    assert losses.shape == lse.shape == (0,)
    assert cross_entropy.backward(losses, logits, targets, lse, -100).shape == (0, 5)
