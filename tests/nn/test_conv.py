"""Convolutions: PyTorch's weights, values and errors, and what transposing means."""

import math

import numpy as np
import pytest
from torch_twin import assert_twins

from tinygen import float32, float64, manual_seed, nn, ones, randn, tensor, zeros
from tinygen.kernels import conv_columns
from tinygen.nn import functional as F


@pytest.mark.parametrize(
    ("name", "options", "keywords", "shape"),
    [
        ("Conv1d", (4, 6, 3), {}, (2, 4, 7)),
        ("Conv1d", (4, 6, 3), {"padding": "same", "dilation": 2, "bias": False}, (4, 7)),
        ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1}, (2, 4, 6, 5)),
        ("Conv2d", (4, 6, (3, 2)), {"padding": (1, 2), "groups": 2, "dilation": 2}, (2, 4, 6, 5)),
        ("Conv2d", (4, 4, 3), {"padding": 1, "padding_mode": "reflect"}, (2, 4, 6, 5)),
        ("Conv2d", (4, 4, 3), {"padding": (1, 2), "padding_mode": "circular"}, (4, 6, 5)),
        ("Conv2d", (4, 4, 3), {"padding": "same", "padding_mode": "replicate"}, (2, 4, 6, 5)),
        ("Conv3d", (2, 3, 2), {"padding": 1}, (1, 2, 3, 3, 3)),
        ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, (2, 4, 5)),
        ("ConvTranspose2d", (4, 6, 4), {"stride": 2, "padding": 1}, (2, 4, 3, 4)),
        ("ConvTranspose2d", (4, 6, (2, 3)), {"groups": 2, "dilation": 2, "bias": False}, (4, 3, 4)),
        ("ConvTranspose3d", (2, 3, 2), {"stride": 2, "padding": 1}, (1, 2, 3, 2, 2)),
        ("Unfold", (2,), {"padding": 1, "stride": 2}, (2, 4, 6, 5)),
        ("Fold", ((4, 3), 2), {}, (2, 8, 6)),
    ],
)  # fmt: skip
def test_layer_is_torchs(name, options, keywords, shape):
    assert_twins(name, *options, shapes=[shape], **keywords)


def test_transpose_is_the_adjoint():
    """<conv(x), y> = <x, transpose(y)>, also where strides leave a rest over."""
    manual_seed(0)
    x, w = randn(2, 4, 8, 7, dtype=float64), randn(6, 2, 3, 2, dtype=float64)
    y = F.conv2d(x, w, stride=(2, 3), padding=1, groups=2)
    v = randn(y.shape, dtype=float64)
    back = F.conv_transpose2d(v, w, stride=(2, 3), padding=1, groups=2, output_padding=(1, 1))
    assert back.shape == x.shape
    np.testing.assert_allclose((y * v).sum().item(), (x * back).sum().item(), rtol=1e-12)


def test_a_batch_in_parts_is_the_same(monkeypatch):
    manual_seed(0)
    x, w = randn(5, 2, 6, 6, requires_grad=True), randn(3, 2, 3, 3, requires_grad=True)

    def run():
        x.grad = w.grad = None
        y = F.conv2d(x, w, padding=1)
        y.backward(y.detach())
        return y, x.grad, w.grad

    whole = run()
    monkeypatch.setattr(conv_columns, "COLUMNS_AT_A_TIME", 2 * 2 * 9 * 36)  # two examples
    for a, b in zip(run(), whole):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-5)


def test_shapes_and_types():
    assert F.conv2d(zeros(0, 3, 8, 8), ones(4, 3, 3, 3)).shape == (0, 4, 6, 6)
    assert F.conv2d(zeros(3, 8, 8), ones(4, 3, 3, 3)).shape == (4, 6, 6)
    assert F.conv1d(ones(1, 1, 3), ones(1, 1, 2), stride=(1,)).dtype == float32
    assert F.conv1d(tensor([[[1, 2, 3]]]), tensor([[[1, 1]]])).tolist() == [[[3, 5]]]
    layer = nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1)
    x = zeros(1, 2, 3, 3)
    assert layer(x).shape == (1, 2, 5, 5)
    assert layer(x, output_size=(6, 5)).shape == (1, 2, 6, 5)
    assert layer(x, output_size=(1, 2, 6, 6)).shape == (1, 2, 6, 6)
    with pytest.raises(ValueError, match=r"valid sizes range from \[5, 5\] to \[6, 6\]"):
        layer(x, output_size=(7, 6))


def test_weights_start_within_their_bound():
    manual_seed(0)
    layer = nn.Conv2d(8, 64, 3, groups=2)
    bound = 1 / math.sqrt(4 * 9)
    for values in (layer.weight.array, layer.bias.array):
        assert np.abs(values).max() <= bound and np.abs(values).max() > 0.9 * bound


def test_fold_of_unfold_counts_the_windows():
    x = ones(1, 1, 3, 3)
    assert F.fold(F.unfold(x, 2), (3, 3), 2).tolist() == [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]


X, W = zeros(2, 4, 5, 5), zeros(6, 4, 3, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(X, zeros(6, 3, 3, 3)), r"takes an input of 3 channels.*has 4 channels"),
        (lambda: F.conv2d(X, W, groups=4), r"groups=4"),
        (lambda: F.conv2d(X, W, groups=0), "groups must be positive, got 0"),
        (lambda: F.conv2d(X, W, zeros(5)), r"bias must have shape \(6,\), got \(5,\)"),
        (lambda: F.conv2d(X, W, stride=0), r"stride must be positive, got \(0, 0\)"),
        (lambda: F.conv2d(X, W, padding=-1), r"padding must be at least 0"),
        (lambda: F.conv2d(X, W, padding="some"), "Invalid padding string: 'some'"),
        (lambda: F.conv2d(X, W, padding="same", stride=2), "not supported for strided"),
        (lambda: F.conv2d(X, W, stride=(1, 2, 3)), r"stride must be a whole number, or 2 of them"),
        (lambda: F.conv2d(X, W, dilation=3), r"Kernel size can't be greater than actual input"),
        (lambda: F.conv2d(zeros(5, 5), W), r"conv2d: Expected 3D \(unbatched\) or 4D"),
        (lambda: F.conv2d(X, zeros(6, 4, 3)), "weight must have 4 dimensions"),
        (lambda: F.conv_transpose2d(X, zeros(3, 1, 2, 2)), "takes an input of 3 channels"),
        (lambda: F.conv_transpose2d(X, zeros(4, 1, 2, 2), output_padding=1), "must be smaller"),
        (lambda: F.conv_transpose2d(X, zeros(4, 1, 2, 2), padding=3), "would make an output of"),
        (lambda: F.fold(zeros(1, 8, 5), (3, 3), 2), r"must be \[N, C · 4, 4\]"),
    ],
)  # fmt: skip
def test_errors(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "divisible by groups=2"),
        (lambda: nn.Conv2d(3, 4, 3, groups=0), "groups must be a positive integer"),
        (lambda: nn.Conv2d(3, 4, 3, padding="all"), "Invalid padding string"),
        (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), "not supported for strided"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="wrap"), "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), 'Only "zeros"'),
    ],
)
def test_layers_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.Conv2d(2, 4, 3, padding=1, groups=2, bias=False, padding_mode="reflect"),
        lambda nn: nn.Conv1d(1, 1, 3, padding="same", dilation=2),
        lambda nn: nn.ConvTranspose2d(2, 2, 3, output_padding=1, stride=2),
        lambda nn: nn.Unfold(2),
        lambda nn: nn.Fold(4, 2),
    ],
)
def test_repr_is_torchs(make):
    torch = pytest.importorskip("torch")
    assert repr(make(nn)).split("  #")[0] == repr(make(torch.nn))  # less the count of parameters
