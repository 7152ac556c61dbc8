"""Layers: what they compute, how they start, what they refuse."""

import math

import numpy as np
import pytest

from tinygen import nn
from tinygen.autograd.creation import arange, ones, tensor, zeros
from tinygen.autograd.dtypes import float64
from tinygen.autograd.random import manual_seed, randn
from tinygen.nn import functional as F


def test_linear():
    layer = nn.Linear(3, 2, dtype=float64)
    x = randn(4, 5, 3, dtype=float64)
    expected = x.array @ layer.weight.array.T + layer.bias.array
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-12)
    assert nn.Linear(3, 2, bias=False).bias is None
    assert list(nn.Linear(3, 2, bias=False).state_dict()) == ["weight"]


def test_linear_starts_uniform_as_in_pytorch():
    manual_seed(0)
    layer = nn.Linear(400, 300)
    for values in (layer.weight.array, layer.bias.array):
        bound = 1 / math.sqrt(400)
        assert abs(values).max() <= bound and abs(values).max() > 0.98 * bound
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 0.1
        assert abs(values.mean()) < 0.1 * bound


def test_seeds_repeat_the_initialisation():
    first = [manual_seed(3), nn.Linear(4, 4)][1]
    second = [manual_seed(3), nn.Linear(4, 4)][1]
    assert np.array_equal(first.weight.array, second.weight.array)
    assert not np.array_equal(second.weight.array, nn.Linear(4, 4).weight.array)


def test_another_device_is_refused():
    with pytest.raises(RuntimeError, match="cuda"):
        nn.Linear(2, 2, device="cuda")
    assert nn.Linear(2, 2, device="cpu").weight.device == "cpu"


def test_embedding():
    layer = nn.Embedding(5, 3)
    index = tensor([[0, 4], [4, 2]])
    out = layer(index)
    assert np.array_equal(out.array, layer.weight.array[index.array])
    out.sum().backward()
    assert layer.weight.grad.array[:, 0].tolist() == [1, 0, 1, 0, 2]
    with pytest.raises(IndexError, match="5 is out of range"):
        layer(tensor([5]))
    with pytest.raises(IndexError, match="-1 is out of range"):
        layer(tensor([-1]))


def test_embedding_padding_starts_at_zero_and_stays():
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3 and layer.weight.array[3].tolist() == [0, 0]
    layer.weight.detach()[3] = 7.0
    out = layer(tensor([3, 0, 3]))
    assert out.array[0].tolist() == [7, 7]  # the row is used, but not trained
    out.sum().backward()
    assert layer.weight.grad.array[:, 0].tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="num_embeddings=4, got 4"):
        nn.Embedding(4, 2, padding_idx=4)
    assert "padding_idx=3" in repr(layer)


def test_embedding_from_pretrained():
    table = randn(3, 2)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad and np.array_equal(layer(arange(3)).array, table.array)
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6)])
def test_layer_norm_normalises_trailing_axes(shape):
    layer = nn.LayerNorm(shape, dtype=float64)
    layer.weight.detach().normal_()
    layer.bias.detach().normal_()
    x = randn(4, 2, 3, 6, dtype=float64)
    axes = tuple(range(-len(shape), 0))
    centred = x.array - x.array.mean(axes, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)
    expected = normal * layer.weight.array + layer.bias.array
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-10)


def test_layer_norm_options():
    x = randn(3, 4)
    bare, unbiased = nn.LayerNorm(4, elementwise_affine=False), nn.LayerNorm(4, bias=False)
    assert list(bare.parameters()) == [] and list(unbiased.state_dict()) == ["weight"]
    np.testing.assert_allclose(bare(x).array, unbiased(x).array, rtol=1e-6)
    assert nn.LayerNorm((2, 3))(zeros(0, 2, 3)).shape == (0, 2, 3)
    with pytest.raises(RuntimeError, match=r"normalized_shape=\[5\].*\(3, 4\)"):
        nn.LayerNorm(5)(x)


def test_dropout_keeps_the_mean_and_matches_its_gradient():
    manual_seed(0)
    layer = nn.Dropout(0.25)
    x = ones(200, 200, requires_grad=True)
    y = layer(x)
    values = np.unique(y.array)
    np.testing.assert_allclose(values, [0, 1 / 0.75], rtol=1e-6)
    assert abs(y.array.mean() - 1) < 0.02 and y.dtype == x.dtype
    y.sum().backward()
    assert np.array_equal(x.grad.array, y.array)  # the same mask
    assert not np.array_equal(layer(x).array, y.array)  # another one each time
    assert layer.eval()(x) is x
    assert F.dropout(x, 0.0) is x and not F.dropout(x, 1.0).array.any()
    with pytest.raises(ValueError, match=r"between 0 and 1, but got 1\.5"):
        nn.Dropout(1.5)


def test_dropout_in_place():
    x = ones(100)
    assert F.dropout(x, 0.5, inplace=True) is x and set(x.array.tolist()) == {0.0, 2.0}


def test_shapes():
    x = zeros(2, 3, 4)
    assert nn.Flatten()(x).shape == (2, 12) and nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Unflatten(-1, (2, 2))(x).shape == (2, 3, 2, 2)
    assert nn.Identity(3, option=4)(x) is x


def test_one_hot():
    labels = tensor([[2, 0], [1, 2]])
    assert F.one_hot(labels).tolist() == [[[0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0, 0, 1]]]
    assert F.one_hot(labels, 5).shape == (2, 2, 5) and F.one_hot(labels).dtype == np.int64
    with pytest.raises(IndexError, match="2 is out of range"):
        F.one_hot(labels, 2)
    with pytest.raises(IndexError, match="must not be negative, got -1"):
        F.one_hot(tensor([0, -1]), 3)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.LayerNorm(2, 0.1, False), "LayerNorm((2,), eps=0.1, elementwise_affine=False)"),
        (nn.Dropout(0.1), "Dropout(p=0.1)"),
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.ReLU(inplace=True), "ReLU(inplace=True)"),
        (nn.GELU(), "GELU(approximate=none)"),
        (nn.Softmax(dim=-1), "Softmax(dim=-1)"),
        (nn.MSELoss(reduction="sum"), "MSELoss(reduction='sum')"),
    ],
)  # fmt: skip
def test_repr(module, text):
    assert repr(module) == text
