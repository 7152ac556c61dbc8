"""Convolution as an implicit matrix product, and group norm."""

import numpy as np
import pytest

from tinygen.kernels import conv, conv_columns, conv_weight, jit, winograd, winograd_weight

# (examples, channels, filters, sizes, kernel, stride, padding, dilation, groups)
CASES = [
    (1, 1, 1, (5,), (3,), (1,), ((0, 0),), (1,), 1),
    (2, 3, 4, (8, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 5, 7, (12, 11), (3, 2), (1, 1), ((0, 1), (2, 0)), (2, 3), 1),
    (3, 2, 3, (6, 5, 7), (2, 3, 2), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 1),
    (2, 2, 3, (6, 5, 7), (2, 3, 2), (2, 1, 3), ((1, 0), (2, 1), (1, 2)), (1, 2, 1), 1),
    (3, 40, 50, (20, 33), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),  # several tiles each way
    (2, 130, 33, (9, 9), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 1, 60, (1, 1500), (1, 2), (1, 1), ((0, 0), (1, 0)), (1, 1), 1),  # one line in several parts
    (9, 20, 20, (7, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),  # several images in a line
    (2, 3, 4, (9, 8), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    (5, 16, 18, (8, 6), (4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    (2, 3, 5, (11, 10), (4, 2), (3, 1), ((1, 2), (0, 0)), (1, 2), 1),
    (2, 2, 3, (13,), (3,), (2,), ((3, 1),), (3,), 1),
    (2, 2, 3, (67,), (5,), (2,), ((1, 0),), (1,), 1),
    (1, 4, 2, (7, 7), (1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1), 1),  # the stride skips places
    (2, 1, 1, (3, 3), (5, 5), (1, 1), ((1, 2), (2, 1)), (1, 1), 1),  # a kernel larger than x
    (2, 3, 2, (6, 9), (2, 3), (1, 2), ((-1, 0), (2, -2)), (1, 1), 1),  # cut off, not padded
    (2, 1, 4, (2, 1), (2, 2), (2, 2), ((0, 0), (1, 1)), (1, 1), 1),  # windows that see one column
    (3, 6, 6, (9, 10), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 6),  # depthwise
    (2, 4, 12, (9, 10), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 4),
    (2, 8, 10, (9, 10), (3, 2), (1, 2), ((1, 1), (0, 1)), (2, 1), 2),
    (4, 6, 5, (4, 4), (4, 4), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),  # one window
    (4, 6, 4, (3, 4), (4, 2), (1, 1), ((1, 0), (0, 0)), (1, 3), 2),
    (1, 64, 64, (24, 24), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),  # threads share an example
]  # fmt: skip
# The same, of 3 × 3 filters with as many channels as Winograd's algorithm wants.
LARGER = [
    (2, 18, 13, (8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (3, 20, 40, (7, 9), (3, 3), (1, 1), ((1, 1), (0, 2)), (1, 1), 1),  # odd sizes
    (2, 33, 16, (5, 5), (3, 3), (1, 1), ((3, 1), (0, 4)), (1, 1), 1),
    (37, 17, 24, (4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),  # several images at a time
    (1, 24, 48, (60, 33), (3, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),  # lines of one image
    (2, 300, 19, (6, 6), (3, 3), (1, 1), ((2, 2), (1, 1)), (1, 1), 1),  # a deep product
    (2, 20, 20, (9, 9), (3, 3), (1, 1), ((-1, 2), (0, 0)), (1, 1), 1),  # cut off, not padded
]  # fmt: skip
ARGUMENTS = "examples, channels, filters, sizes, taps, stride, padding, dilation, groups"
ONCE = ((1, 1), ((0, 0), (0, 0)), (1, 1))  # stride, padding, dilation


@pytest.mark.parametrize(ARGUMENTS, CASES + LARGER)
def test_convolution_equals_reference(
    normal, call, close, double,
    examples, channels, filters, sizes, taps, stride, padding, dilation, groups,
):  # fmt: skip
    x, w = normal(examples, channels, *sizes), normal(filters, channels // groups, *taps)
    bias, back = normal(filters), normal(channels)
    layout = (stride, padding, dilation, groups)
    right = conv_columns.forward(*double(x, w, bias), *layout)
    tolerance = 1e-5 * w[0].size ** 0.5
    close(call(conv.forward, x, w, bias, *layout), right, tolerance)
    dy = normal(*right.shape)
    right = conv_columns.input_gradient(*double(dy, w, back), sizes, *layout)
    close(call(conv.input_gradient, dy, w, back, sizes, *layout), right,
          1e-5 * (filters * w[0, 0].size) ** 0.5)  # fmt: skip
    right = conv_columns.weight_gradient(*double(x, dy), taps, *layout)
    scale = np.float32(np.abs(right).max())
    found = call(conv_weight.weight_gradient, x, dy, taps, *layout)
    close([dw / scale for dw in found], right / scale, 2e-6)


@pytest.mark.parametrize(ARGUMENTS, LARGER)
def test_winograd_takes_them(
    examples, channels, filters, sizes, taps, stride, padding, dilation, groups
):
    outs = conv_columns.places_of(conv_columns.padded_sizes(sizes, padding), taps, stride, dilation)
    for fits in (winograd.fits, winograd_weight.fits):
        assert fits(outs, (filters, channels, *taps), stride, dilation, groups)
        assert not fits(outs, (filters, channels, *taps), (2, 1), dilation, groups)


@pytest.mark.parametrize(ARGUMENTS, CASES[:3])
def test_columns_equal_the_definition(
    normal, examples, channels, filters, sizes, taps, stride, padding, dilation, groups
):
    x, w = normal(examples, channels, *sizes), normal(filters, channels, *taps)
    around = np.pad(x, [(0, 0), (0, 0), *padding])
    y = conv_columns.forward(x, w, None, stride, padding, dilation, groups)
    for p in np.ndindex(*y.shape[2:]):
        window = tuple(slice(i * s, i * s + (k - 1) * d + 1, d)
                       for i, s, k, d in zip(p, stride, taps, dilation))  # fmt: skip
        seen = around[(slice(None), slice(None), *window)].reshape(examples, -1)
        np.testing.assert_allclose(y[(..., *p)], seen @ w.reshape(filters, -1).T, atol=1e-5)


@pytest.mark.parametrize("empty", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_nothing_to_convolve(normal, empty):
    examples, channels, filters = empty
    x, w = normal(examples, channels, 5, 5), normal(filters, channels, 3, 3)
    y = conv.forward(x, w, None, *ONCE)
    assert y.shape == (examples, filters, 3, 3) and not y.any()
    dx = conv.input_gradient(y, w, None, (5, 5), *ONCE)
    assert dx.shape == x.shape and not dx.any()
    dw = conv_weight.weight_gradient(x, y, (3, 3), *ONCE)
    assert dw.shape == w.shape and not dw.any()


def test_convolution_of_any_strides(normal):
    x, w = normal(3, 9, 8, 2).transpose(0, 3, 1, 2), normal(2, 4, 3, 3).swapaxes(0, 1)
    dy = normal(3, 7, 6, 4).transpose(0, 3, 1, 2)
    plain = lambda a: np.array(a, order="C")
    for function, one, other, more in (
        (conv.forward, x, w, (None,)),
        (conv.input_gradient, dy, w, (None, (9, 8))),
        (conv_weight.weight_gradient, x, dy, ((3, 3),)),
    ):
        expected = function(plain(one), plain(other), *more, *ONCE)
        np.testing.assert_allclose(function(one, other, *more, *ONCE), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("place", [(0, 0), (2, 5), (5, 5)])
@pytest.mark.parametrize("channels", [2, 17])
def test_what_is_not_finite_reaches_what_sees_it(normal, bad, stride, place, channels):
    x, w = normal(2, channels, 6, 6), normal(channels + 1, channels, 3, 3)
    layout = ((stride, stride), ((1, 1), (1, 1)), (1, 1), 1)
    y = conv.forward(x, w, None, *layout)

    def check(function, *arguments):
        expected = getattr(conv_columns, function.__name__)(*arguments)
        found = function(*arguments)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
        assert not np.isfinite(found).all() and np.isfinite(found).any()

    worse = np.array(x)
    worse[1, 1][place] = bad
    check(conv.forward, worse, w, None, *layout)
    check(conv_weight.weight_gradient, worse, y, (3, 3), *layout)
    worse = np.array(w)
    worse[1, 1, 2, 0] = bad
    check(conv.forward, x, worse, None, *layout)
    y[1, 1][min(place[0], len(y[0, 0]) - 1), min(place[1], len(y[0, 0]) - 1)] = bad
    check(conv.input_gradient, y, w, None, (6, 6), *layout)
    check(conv_weight.weight_gradient, x, y, (3, 3), *layout)


def test_a_batch_in_parts_gives_the_same_sum(normal, monkeypatch):
    x, dy = normal(7, 3, 9, 9), normal(7, 4, 7, 7)
    whole = conv_weight.weight_gradient(x, dy, (3, 3), *ONCE)
    monkeypatch.setattr(conv_weight, "LAID_OUT", 1)
    monkeypatch.setattr(conv_weight, "BATCH", 1)
    parts = conv_weight.weight_gradient(x, dy, (3, 3), *ONCE)
    np.testing.assert_allclose(parts, whole, atol=1e-4)


@pytest.mark.skipif(not jit.ENABLED, reason="TINYGEN_JIT=0")
def test_winograd_in_small_blocks_gives_the_same(normal, monkeypatch):
    x, w, dy = normal(5, 20, 10, 12), normal(18, 20, 3, 3), normal(5, 18, 10, 12)
    padding = ((1, 1), (1, 1))
    y, dw = winograd.forward(x, w, None, padding), winograd_weight.weight_gradient(x, dy, padding)
    winograd.layout.cache_clear()
    monkeypatch.setattr(winograd, "BLOCK", 1)
    monkeypatch.setattr(winograd_weight, "BATCH", 1)
    np.testing.assert_array_equal(winograd.forward(x, w, None, padding), y)
    parts = winograd_weight.weight_gradient(x, dy, padding)
    winograd.layout.cache_clear()
    np.testing.assert_allclose(parts, dw, atol=1e-4)
