"""Pooling: ties, NaN, borders and errors; values and gradients are in the table of samples."""

import numpy as np
import pytest
from torch_twin import assert_twins

from tinygen import nn, ones, randn, tensor, zeros
from tinygen.nn import functional as F


@pytest.mark.parametrize(
    ("name", "options", "keywords", "shape"),
    [
        ("MaxPool1d", (2,), {}, (2, 4, 7)),
        ("MaxPool2d", ((3, 2),), {"stride": 1, "padding": 1}, (2, 4, 6, 5)),
        ("MaxPool2d", (3,), {"dilation": 2, "ceil_mode": True}, (4, 9, 8)),
        ("MaxPool3d", (2,), {"stride": 1}, (1, 2, 3, 3, 3)),
        ("AvgPool1d", (3,), {"padding": 1, "ceil_mode": True}, (2, 4, 7)),
        ("AvgPool2d", (2,), {"padding": 1, "count_include_pad": False}, (2, 4, 6, 5)),
        ("AvgPool2d", (2,), {"divisor_override": 3}, (4, 6, 5)),
        ("AvgPool3d", (2,), {}, (1, 2, 4, 4, 4)),
        ("AdaptiveAvgPool1d", (3,), {}, (2, 4, 7)),
        ("AdaptiveAvgPool2d", ((None, 3),), {}, (2, 4, 6, 5)),
        ("AdaptiveMaxPool1d", (3,), {}, (2, 4, 7)),
        ("AdaptiveMaxPool2d", (4,), {}, (2, 4, 6, 5)),
    ],
)  # fmt: skip
def test_layer_is_torchs(name, options, keywords, shape):
    assert_twins(name, *options, shapes=[shape], steps=1, **keywords)


def test_of_equal_elements_the_first_gets_the_gradient():
    x = ones(1, 1, 3, 3, requires_grad=True)
    values, index = F.max_pool2d(x, 2, 1, return_indices=True)
    assert index.tolist() == [[[[0, 1], [3, 4]]]]
    values.sum().backward()
    assert x.grad.tolist() == [[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]]
    _, index = F.adaptive_max_pool2d(ones(1, 1, 3, 3), 1, return_indices=True)
    assert index.tolist() == [[[[0]]]]


def test_nan_and_infinity():
    nan, inf = float("nan"), float("inf")
    values, index = F.max_pool1d(tensor([[1, nan, 5, nan, 2, 3]]), 3, return_indices=True)
    np.testing.assert_array_equal(values.array, [[nan, nan]])
    assert index.tolist() == [[1, 3]]
    values, index = F.max_pool1d(tensor([[-inf, -inf]]), 2, 1, padding=1, return_indices=True)
    assert values.tolist() == [[-inf] * 3] and index.tolist() == [[0, 0, 1]]
    np.testing.assert_array_equal(
        F.adaptive_avg_pool1d(tensor([[nan, 1.0, inf, 2.0]]), 4).array, [[nan, 1, inf, 2]]
    )  # what is not in a window does not leak into it
    np.testing.assert_array_equal(F.avg_pool1d(tensor([[inf, 1.0, 2.0]]), 2, 1).array, [[inf, 1.5]])


def test_unpooling_puts_the_largest_back():
    x = randn(2, 3, 4, 6)
    values, index = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(values, index)
    kept = back.array != 0
    assert kept.sum() == values.numel() and np.array_equal(back.array[kept], x.array[kept])
    assert nn.MaxUnpool2d(2)(values, index, output_size=(2, 3, 5, 7)).shape == (2, 3, 5, 7)


def test_integers_and_empty_batches():
    assert F.max_pool1d(tensor([[3, 1, 2]]), 2, 1, 1).tolist() == [[3, 3, 2, 2]]
    assert F.avg_pool2d(tensor([[[-3, 1], [2, -5]]]), 2).tolist() == [[[-1]]]  # as torch: towards 0
    for pool in (F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d):
        assert pool(zeros(0, 3, 4, 4), 2).shape == (0, 3, 2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.max_pool2d(x, 6), "kernel of size .6, 6.*must fit"),
        (lambda x: F.max_pool2d(x, 2, padding=2), "at most half of effective kernel size"),
        (lambda x: F.max_pool2d(x, 2, stride=0), "stride must be positive"),
        (lambda x: F.max_pool2d(x[0, 0], 2), r"Expected 3D \(unbatched\) or 4D \(batched\)"),
        (lambda x: F.max_pool2d(x[:, :0], 2), "only the batch may be empty"),
        (lambda x: F.max_pool2d(x[:, :, :1, :1], 2, 1, 1, 2), "lies wholly in the padding"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "divisor must be not zero"),
        (lambda x: F.avg_pool2d(x, (1, 2, 3)), "kernel_size must be a whole number, or 2 of them"),
        (lambda x: F.adaptive_avg_pool2d(x, (1, 2, 3)), "output_size must be 2 numbers"),
        (lambda x: F.max_unpool2d(x, tensor([1]), 2), "indices must have the shape of the input"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call(zeros(1, 2, 5, 5))


def test_an_index_outside_is_refused():
    with pytest.raises(IndexError, match=r"outside of \[0, 4\)"):
        F.max_unpool1d(ones(1, 1, 2), tensor([[[0, 4]]]), 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.MaxPool2d((2, 1), 1),
        lambda nn: nn.AvgPool1d(2),
        lambda nn: nn.AvgPool2d(2),
        lambda nn: nn.AdaptiveAvgPool2d((None, 2)),
        lambda nn: nn.AdaptiveMaxPool1d(2, True),
        lambda nn: nn.MaxUnpool2d(2),
    ],
)
def test_repr_is_torchs(make):
    torch = pytest.importorskip("torch")
    assert repr(make(nn)) == repr(make(torch.nn))
