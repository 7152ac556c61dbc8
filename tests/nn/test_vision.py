"""Padding, resizing, pixel shuffle; and dropout of channels."""

import numpy as np
import pytest
from torch_twin import assert_twins

from tinygen import arange, float32, manual_seed, nn, ones, randn, tensor, zeros
from tinygen.nn import functional as F


@pytest.mark.parametrize(
    ("name", "options", "keywords", "shape"),
    [
        ("ZeroPad1d", (2,), {}, (2, 3)),
        ("ZeroPad2d", ((1, 2, 0, -1),), {}, (2, 3, 4)),
        ("ConstantPad1d", (1, 0.5), {}, (2, 3, 4)),
        ("ConstantPad2d", ((1, 2, 0, 1),), {"value": -1.0}, (2, 3, 4)),
        ("ConstantPad3d", (1, 0.5), {}, (2, 3, 4)),
        ("ReflectionPad1d", ((1, 2),), {}, (2, 3, 4)),
        ("ReflectionPad2d", (1,), {}, (2, 3, 4, 5)),
        ("ReplicationPad2d", ((3, 0, 1, 2),), {}, (2, 3, 4)),
        ("ReplicationPad3d", (1,), {}, (1, 2, 2, 3, 2)),
        ("CircularPad1d", (2,), {}, (2, 3, 4)),
        ("CircularPad2d", ((1, 0, 2, 1),), {}, (2, 3, 4, 5)),
        ("Upsample", (5,), {}, (2, 3, 4)),
        ("Upsample", (), {"scale_factor": (2, 1.5), "mode": "bicubic"}, (1, 2, 4, 5)),
        ("Upsample", (), {"scale_factor": 2, "mode": "linear", "align_corners": True}, (2, 3, 4)),
        ("UpsamplingNearest2d", (), {"scale_factor": 2}, (1, 2, 3, 4)),
        ("UpsamplingBilinear2d", ((5, 6),), {}, (1, 2, 3, 4)),
        ("PixelShuffle", (2,), {}, (1, 8, 2, 3)),
        ("PixelUnshuffle", (2,), {}, (1, 2, 4, 6)),
        ("ChannelShuffle", (2,), {}, (2, 6, 3)),
    ],
)  # fmt: skip
def test_layer_is_torchs(name, options, keywords, shape):
    assert_twins(name, *options, shapes=[shape], steps=1, **keywords)


def test_padding_modes():
    x = tensor([[1.0, 2.0, 3.0]])
    assert F.pad(x, (2, 1), "reflect").tolist() == [[3, 2, 1, 2, 3, 2]]
    assert F.pad(x, (2, 1), "replicate").tolist() == [[1, 1, 1, 2, 3, 3]]
    assert F.pad(x, (2, 1), "circular").tolist() == [[2, 3, 1, 2, 3, 1]]
    assert F.pad(x, (-1, 1), "circular").tolist() == [[2, 3, 2]]
    assert F.pad(x, [1, 0, 0, 1], value=7).tolist() == [[7, 1, 2, 3], [7, 7, 7, 7]]
    assert F.pad(tensor([1, 2]), (1, 0)).dtype == np.int64


def test_what_is_not_padded_is_still_a_copy():
    x = ones(3)
    F.pad(x, (0, -1)).zero_()
    assert x.tolist() == [1, 1, 1]


def test_interpolation_of_a_ramp_is_a_ramp():
    x = arange(5.0).reshape(1, 1, 5)
    y = F.interpolate(x, 9, mode="linear", align_corners=True)
    np.testing.assert_allclose(y.array[0, 0], np.arange(9) / 2, rtol=1e-6)
    inside = F.interpolate(x, scale_factor=3, mode="linear").array[0, 0, 1:-1]
    np.testing.assert_allclose(np.diff(inside), 1 / 3, rtol=1e-5)
    assert y.dtype == float32


def test_nearest_to_the_same_size_or_the_double_is_exact():
    """Whatever the scale factor was that led there, as in PyTorch."""
    x = arange(4.0).reshape(1, 1, 4)
    assert F.interpolate(x, scale_factor=1.2).tolist() == x.tolist()
    assert F.interpolate(x, scale_factor=2.2).tolist() == [[[0, 0, 1, 1, 2, 2, 3, 3]]]


def test_interpolation_does_not_leak_nan():
    x = tensor([[[float("nan"), 1.0, 2.0]]])
    y = F.interpolate(x, 6, mode="linear").array[0, 0]
    assert np.isnan(y[:3]).all() and np.isfinite(y[3:]).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.pad(x, (3, 0), "reflect"), RuntimeError, r"\(3, 0\) does not fit dim 2"),
        (lambda x: F.pad(x, (4, 0), "circular"), RuntimeError, "'circular'.*does not fit"),
        (lambda x: F.pad(x, (-2, -2)), RuntimeError, "cuts off more than there is"),
        (lambda x: F.pad(x, (1,)), RuntimeError, "two lengths for each dimension"),
        (lambda x: F.pad(x, (1, 1), "mirror"), NotImplementedError, "Unrecognised padding mode"),
        (lambda x: F.pad(x, (1, 1), "reflect", 1.0), ValueError, "doesn't take in value"),
        (lambda x: F.pad(x, (1,) * 6, "reflect"), NotImplementedError, "2, 4 or 6 numbers"),
        (lambda x: F.interpolate(x), ValueError, "only one of size or scale_factor"),
        (lambda x: F.interpolate(x, 2, mode="bicubic"), NotImplementedError, "is not for 3D"),
        (lambda x: F.interpolate(x, 2, align_corners=True), ValueError, "align_corners option"),
        (lambda x: F.interpolate(x, (2, 2)), ValueError, "same number of spatial dimensions"),
        (lambda x: F.interpolate(x, 0), RuntimeError, "should be greater than 0"),
        (lambda x: F.pixel_shuffle(x, 2), RuntimeError, r"expects \[..., C · 2², H, W\]"),
        (lambda x: F.pixel_unshuffle(x, 2), RuntimeError, "pixel_unshuffle: expects"),
        (lambda x: F.channel_shuffle(x, 3), RuntimeError, "divisible by groups=3"),
        (lambda x: nn.ReflectionPad2d((1, 2, 3)), RuntimeError, "or 4 of them"),
    ],
)  # fmt: skip
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(zeros(1, 2, 3))


def test_a_grid_made_by_the_identity_reads_the_image_itself():
    manual_seed(0)
    x = randn(2, 3, 4, 5)
    identity = tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2)
    for align_corners in (False, True):
        grid = F.affine_grid(identity, x.shape, align_corners)
        for mode in ("bilinear", "nearest", "bicubic"):
            y = F.grid_sample(x, grid, mode, align_corners=align_corners)
            np.testing.assert_allclose(y.array, x.array, rtol=1e-4, atol=1e-5)
    half = F.affine_grid(tensor([[[1.0, 0, 1], [0, 1, 0]]] * 2), x.shape, False)
    assert (F.grid_sample(x, half, align_corners=False).array[..., -2:] == 0).all()  # outside


# ---- Dropout of channels -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "places"),
    [
        (nn.Dropout1d(0.25), (50, 40, 3), 1),
        (nn.Dropout1d(0.25), (2000, 3), 1),
        (nn.Dropout2d(0.25), (50, 40, 3, 2), 2),
        (nn.Dropout3d(0.25), (50, 40, 2, 1, 2), 3),
    ],
)
def test_channels_are_dropped_as_a_whole(layer, shape, places):
    manual_seed(0)
    out = layer(ones(shape)).array.reshape(-1, int(np.prod(shape[-places:])))
    assert (out == out[:, :1]).all()
    assert set(np.round(out[:, 0], 5)) == {0.0, np.float32(1.33333)}
    assert abs((out[:, 0] == 0).mean() - 0.25) < 0.03
    x = ones(shape)
    assert layer.eval()(x) is x


@pytest.mark.parametrize("layer", [nn.AlphaDropout(0.3), nn.FeatureAlphaDropout(0.3)])
def test_alpha_dropout_keeps_mean_and_variance(layer):
    manual_seed(0)
    x = randn(300, 300)
    out = layer(x)
    assert abs(out.array.mean()) < 0.02 and abs(out.array.var() - 1) < 0.03
    assert not np.array_equal(out.array, layer(x).array) and layer.eval()(x) is x
    assert out.dtype == x.dtype


def test_alpha_dropout_is_linear_in_what_it_keeps():
    manual_seed(0)
    x = randn(100, requires_grad=True)
    out = F.alpha_dropout(x, 0.5, training=True)
    out.sum().backward()
    slopes = np.unique(x.grad.array)
    assert len(slopes) == 2 and slopes[0] == 0
    np.testing.assert_allclose(
        slopes[1], 1 / np.sqrt(0.5 * (1 + 0.5 * 1.7580993408473766**2)), 1e-6
    )
    y = ones(100)
    assert F.alpha_dropout(y, 0.5, True, inplace=True) is y and len(set(y.tolist())) == 2


def test_wrong_dimensions_for_dropout():
    with pytest.raises(RuntimeError, match="dropout1d: expects 2D or 3D input"):
        F.dropout1d(ones(3))
