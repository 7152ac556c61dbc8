"""Convolution as an implicit matrix product, and group norm."""

import numpy as np
import pytest

from tinygen.kernels import conv, group_norm

# (examples, channels, filters, sizes, kernel, stride, dilation)
CASES = [
    (1, 1, 1, (5,), (3,), (1,), (1,)),
    (2, 3, 4, (8, 9), (3, 3), (1, 1), (1, 1)),
    (2, 5, 7, (12, 11), (3, 2), (1, 1), (2, 3)),
    (3, 2, 3, (6, 5, 7), (2, 3, 2), (1, 1, 1), (1, 1, 1)),
    (3, 40, 50, (20, 33), (3, 3), (1, 1), (1, 1)),  # several tiles of filters and columns
    (2, 130, 33, (9, 9), (3, 3), (1, 1), (1, 1)),  # more taps than a slab is deep
    (1, 1, 2, (1, 1500), (1, 2), (1, 1), (1, 1)),  # more places than a slab is wide
    (2, 3, 4, (9, 8), (3, 3), (2, 2), (1, 1)),
    (2, 3, 5, (11, 10), (4, 2), (3, 1), (1, 2)),
    (2, 2, 3, (13,), (3,), (2,), (3,)),
    (1, 4, 2, (7, 7), (1, 1), (2, 3), (1, 1)),
]


@pytest.mark.parametrize("examples, channels, filters, sizes, taps, stride, dilation", CASES)
def test_convolution_equals_reference(
    normal, call, close, double, examples, channels, filters, sizes, taps, stride, dilation
):
    x, w = normal(examples, channels, *sizes), normal(filters, channels, *taps)
    right = conv.forward_reference(*double(x, w), stride, dilation)
    found = call(conv.forward, x, w, stride, dilation)
    close(found, right, 2e-5 * channels**0.5)
    dy = normal(*right.shape)
    right = conv.weight_gradient_reference(*double(x, dy), taps, stride, dilation)
    found = call(conv.weight_gradient, x, dy, taps, stride, dilation)
    scale = np.float32(np.abs(right).max())
    close([dw / scale for dw in found], right / scale, 2e-6)


def test_convolution_of_any_strides(normal):
    x, w = normal(3, 9, 8, 2).transpose(0, 3, 1, 2), normal(2, 4, 3, 3).swapaxes(0, 1)
    expected = conv.forward(np.array(x, order="C"), np.array(w, order="C"), (1, 1), (1, 1))
    np.testing.assert_array_equal(conv.forward(x, w, (1, 1), (1, 1)), expected)


def test_a_nan_reaches_the_windows_that_see_it(normal):
    x, w = normal(2, 1, 6, 6), normal(1, 1, 3, 3)
    x[0, 0, 2, 5] = np.nan
    seen = np.zeros((2, 1, 4, 4), bool)
    seen[0, 0, :3, 3] = True
    np.testing.assert_array_equal(np.isnan(conv.forward(x, w, (1, 1), (1, 1))), seen)


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


def test_group_norm_nan_stays_in_its_group(normal):
    x = normal(2, 4, 5)
    x[1, 3, 2] = np.nan
    y, mean, rstd = group_norm.forward(x, 2, None, None, 1e-5)
    dx, _, _ = group_norm.backward(y, x, 2, None, mean, rstd)
    for found in (y, dx):
        assert np.isnan(found[1, 2:]).all() and np.isfinite(found[1, :2]).all()
        assert np.isfinite(found[0]).all()
