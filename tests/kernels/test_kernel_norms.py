"""Group norm, batch norm, and the sums under them."""

import numpy as np
import pytest

from tinygen.kernels import column_norm, group_norm, layer_norm, reductions


@pytest.mark.parametrize("shape, groups", [((2, 4, 6), 2), ((1, 3, 1), 1), ((3, 6, 17), 3),
    ((0, 4, 3), 2), ((2, 8, 333), 4), ((5, 16, 64), 16), ((4, 32, 900), 8), ((3, 4, 5), None),
    ((7, 20, 1), None), ((4, 32, 900), None)])  # fmt: skip
def test_group_norm_equals_its_formula(normal, call, close, double, shape, groups):
    x, dy = 3 * normal(*shape) + 1, normal(*shape)
    weight, bias = normal(shape[1]), normal(shape[1])
    y, mean, rstd = call(group_norm.forward, x, groups, weight, bias, 1e-2)
    rows, axes = x.astype(np.float64), (0, 2)
    if groups is not None:
        rows, axes = rows.reshape(shape[0], groups, shape[1] // groups * shape[2]), 2
    z = (rows - rows.mean(axes, keepdims=True)) / np.sqrt(rows.var(axes, keepdims=True) + 1e-2)
    right = z.reshape(shape) * weight[:, None] + bias[:, None]
    close([y], right, 1e-5)
    d, x64, *rest = double(dy, x, weight, mean, rstd)
    right = group_norm.backward(d, x64, groups, *rest)  # NumPy's lines
    close(call(group_norm.backward, dy, x, groups, weight, mean, rstd), right, 1e-4)
    right = group_norm.backward(d, x64, groups, *rest, True)
    close(call(group_norm.backward, dy, x, groups, weight, mean, rstd, True), right, 1e-4)
    known = call(group_norm.statistics, x, groups)
    close(known, group_norm.statistics_reference(x64, groups), 1e-5)
    right = group_norm.forward(x64, groups, *double(weight, bias), 1e-2, double(*known))
    close(group_norm.forward(x, groups, weight, bias, 1e-2, known), right, 1e-5)


def test_group_norm_nan_stays_in_its_group(normal):
    x = normal(2, 4, 5)
    x[1, 3, 2] = np.nan
    y, mean, rstd = group_norm.forward(x, 2, None, None, 1e-5)
    dx, _, _ = group_norm.backward(y, x, 2, None, mean, rstd)
    for found in (y, dx):
        assert np.isnan(found[1, 2:]).all() and np.isfinite(found[1, :2]).all()
        assert np.isfinite(found[0]).all()


@pytest.mark.parametrize("rows, columns", [(1, 1), (7, 20), (128, 512), (300, 65), (3, 1000)])
def test_column_norm_equals_its_formula(normal, call, close, double, rows, columns):
    x, dy = 3 * normal(columns, rows).T + 1, normal(rows, columns)
    weight, bias = normal(columns), normal(columns)
    known = call(column_norm.statistics, x)
    close(known, (x.astype(np.float64).mean(0), x.astype(np.float64).var(0)))
    y, mean, rstd = call(column_norm.forward, x, weight, bias, 1e-2)
    z = (x - x.astype(np.float64).mean(0)) / np.sqrt(x.astype(np.float64).var(0) + 1e-2)
    close([y], z * weight + bias)
    for fixed in (False, True):
        right = column_norm.backward_reference(*double(dy, x, weight, mean, rstd), fixed)
        close(call(column_norm.backward, dy, x, weight, mean, rstd, fixed), right, 1e-4)
    right = column_norm.forward(*double(x, weight, bias), 1e-2, double(bias, weight**2))[0]
    close([column_norm.forward(x, weight, bias, 1e-2, (bias, weight**2))[0]], right, 1e-4)


def test_column_norm_nan_and_infinity_stay_in_their_columns(normal):
    x, dy = normal(40, 37), normal(40, 37)
    x[3, 2], x[7, 33], dy[5, 20] = np.nan, np.inf, np.nan
    y, mean, rstd = column_norm.forward(x, None, None, 1e-5)
    assert np.isnan(y[:, 2]).all() and np.isnan(y[:, 33]).any()
    np.testing.assert_array_equal(np.isnan(y).any(0), np.isin(np.arange(37), (2, 33)))
    dx, dweight, dbias = column_norm.backward(dy, x, None, mean, rstd)
    np.testing.assert_array_equal(np.isnan(dx).any(0), np.isin(np.arange(37), (2, 20, 33)))
    np.testing.assert_array_equal(np.isnan(dweight), np.isin(np.arange(37), (2, 20, 33)))
    np.testing.assert_array_equal(np.isnan(dbias), np.arange(37) == 20)


def test_column_norm_of_nothing():
    x = np.zeros((0, 3), np.float32)
    y, mean, rstd = column_norm.forward(x, None, None, 1e-5)
    dx, dweight, dbias = column_norm.backward(y, x, None, mean, rstd)
    assert y.shape == dx.shape == (0, 3) and np.isnan(mean).all()
    np.testing.assert_array_equal([dweight, dbias], np.zeros((2, 3)))


@pytest.mark.parametrize("examples, groups, each", [(40, 4, 20), (3, 1, 70), (1, 5, 1)])
def test_layer_norm_takes_weights_in_turn(normal, call, close, double, examples, groups, each):
    x, dy = normal(2, examples * groups, each)
    weight, bias = normal(2, groups * each)
    y, mean, rstd = call(layer_norm.forward, x, weight, bias, 1e-2)
    planes = x.reshape(examples, -1, 1)
    right = group_norm.forward(*double(planes), groups, *double(weight, bias), 1e-2)
    close([y.reshape(planes.shape)], right[0])
    right = layer_norm.backward_reference(*double(dy, x, weight, mean, rstd))
    close(call(layer_norm.backward, dy, x, weight, mean, rstd), right, 1e-4)


@pytest.mark.parametrize("rows, columns", [(1, 1), (9, 64), (5, 333), (400, 700), (0, 3), (3, 0)])
def test_row_sums(normal, call, close, double, rows, columns):
    x = normal(columns, rows).T
    close(call(reductions.row_sums, x), double(x)[0].sum(1), 1e-4)
