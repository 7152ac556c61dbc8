"""Activations: values, gradients everywhere (kinks and far tails included), in-place forms."""

import math

import numpy as np
import pytest

from tinygen import nn
from tinygen.autograd import grad
from tinygen.autograd.creation import ones, tensor
from tinygen.autograd.dtypes import float64
from tinygen.autograd.random import Generator, randn
from tinygen.nn import functional as F

# 0 is where kinks are; ±800 is where e^x overflows or underflows
POINTS = [-800.0, -30.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 30.0, 800.0]

CASES = [  # (module, name in torch.nn.functional, options)
    (nn.ReLU(), "relu", {}),
    (nn.LeakyReLU(0.2), "leaky_relu", {"negative_slope": 0.2}),
    (nn.ELU(1.5), "elu", {"alpha": 1.5}),
    (nn.SELU(), "selu", {}),
    (nn.GELU(), "gelu", {}),
    (nn.GELU("tanh"), "gelu", {"approximate": "tanh"}),
    (nn.SiLU(), "silu", {}),
    (nn.Mish(), "mish", {}),
    (nn.Softplus(), "softplus", {}),
    (nn.Softplus(2.0, 5.0), "softplus", {"beta": 2.0, "threshold": 5.0}),
    (nn.Softsign(), "softsign", {}),
    (nn.Hardtanh(-2.0, 0.5), "hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    (nn.ReLU6(), "relu6", {}),
    (nn.RReLU(0.25, 0.75).eval(), "rrelu", {"lower": 0.25, "upper": 0.75}),
    (nn.CELU(0.5), "celu", {"alpha": 0.5}),
    (nn.Hardswish(), "hardswish", {}),
    (nn.Hardshrink(0.25), "hardshrink", {"lambd": 0.25}),
    (nn.Softshrink(2.0), "softshrink", {"lambd": 2.0}),
    (nn.Tanhshrink(), "tanhshrink", {}),
    (nn.Threshold(1.0, -7.0), "threshold", {"threshold": 1.0, "value": -7.0}),
    (nn.Tanh(), "tanh", {}),
    (nn.Sigmoid(), "sigmoid", {}),
    (nn.LogSigmoid(), "logsigmoid", {}),
    (nn.Softmax(-1), "softmax", {"dim": -1}),
    (nn.Softmin(-1), "softmin", {"dim": -1}),
    (nn.LogSoftmax(-1), "log_softmax", {"dim": -1}),
]
IDS = [f"{name}{list(options.values()) or ''}" for _, name, options in CASES]


@pytest.mark.parametrize(("module", "name", "options"), CASES, ids=IDS)
def test_value_and_gradient_are_pytorchs(module, name, options):
    torch = pytest.importorskip("torch")
    x = tensor(POINTS, dtype=float64, requires_grad=True)
    y = module(x)
    cotangent = np.random.default_rng(0).standard_normal(y.shape)
    (found,) = grad(y, x, tensor(cotangent))
    theirs = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(theirs, **options)
    expected.backward(torch.tensor(cotangent))
    np.testing.assert_allclose(y.array, expected.detach(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.array, theirs.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("module", "name", "options"), CASES, ids=IDS)
def test_float32_stays_float32_and_finite(module, name, options):
    x = tensor([-200.0, -1.0, 0.0, 1.0, 200.0], requires_grad=True)
    y = module(x)
    y.backward(ones(5))
    assert y.dtype == x.grad.dtype == np.float32
    assert np.isfinite(y.array).all() and np.isfinite(x.grad.array).all()


@pytest.mark.parametrize("function", [F.softplus, F.logsigmoid])
def test_the_slope_at_zero_is_a_half(function):
    """A slope of 0, as from −|x|, would freeze every layer that starts with zero weights."""
    x = tensor([0.0], requires_grad=True)
    function(x).sum().backward()
    assert x.grad.item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "function",
    [
        F.relu,
        F.relu6,
        F.leaky_relu,
        F.elu,
        F.selu,
        F.celu,
        F.silu,
        F.mish,
        F.hardtanh,
        F.rrelu,
        F.hardsigmoid,
        F.hardswish,
        lambda x, **o: F.threshold(x, 0.3, -1.0, **o),
    ],
)
def test_in_place_writes_over_the_input_with_the_same_gradient(function):
    x = randn(8, dtype=float64, requires_grad=True)
    hidden = x * 2
    out = function(hidden, inplace=True)
    assert out is hidden
    assert np.array_equal(out.array, function(x * 2).array)
    (found,) = grad((out * out).sum(), x)
    (expected,) = grad((function(x * 2) ** 2).sum(), x)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-12)


def test_glu():
    x = randn(2, 6, dtype=float64)
    a, b = x.array[:, :3], x.array[:, 3:]
    np.testing.assert_allclose(F.glu(x).array, a / (1 + np.exp(-b)), rtol=1e-12)
    assert nn.GLU(0)(x).shape == (1, 6)
    with pytest.raises(RuntimeError, match="is 3"):
        F.glu(randn(2, 3))
    with pytest.raises(RuntimeError, match="0-d"):
        F.glu(randn(()))


def test_hardsigmoid_is_pytorchs_at_its_kinks():
    """Apart from their 1/6, which is rounded to float32."""
    x = tensor([-4.0, -3.0, 0.0, 3.0, 4.0], dtype=float64, requires_grad=True)
    y = nn.Hardsigmoid()(x)
    y.backward(ones(5, dtype=float64))
    np.testing.assert_allclose(y.array, [0, 0, 0.5, 1, 1], rtol=1e-12)
    np.testing.assert_allclose(x.grad.array, [0, 0, 1 / 6, 0, 0], rtol=1e-12)


def test_nan_comes_out_where_it_went_in():
    x = tensor([math.nan])
    for module, _, _ in CASES:
        assert np.isnan(module(x).array).all(), module


def test_prelu_has_a_slope_a_channel():
    layer = nn.PReLU(3)
    assert layer.weight.array.tolist() == [0.25] * 3 and repr(layer).startswith("PReLU(num_par")
    layer.weight.data = tensor([0.0, 1.0, -1.0])
    out = layer(-ones(2, 3, 2))
    assert out.array[0].tolist() == [[0, 0], [-1, -1], [1, 1]]
    out.sum().backward()
    assert layer.weight.grad.array.tolist() == [-4] * 3
    assert nn.PReLU()(-ones(5)).array.tolist() == [-0.25] * 5
    with pytest.raises(RuntimeError, match=r"each of the 2 channels.*\(3, 2\).*\(3,\)"):
        layer(ones(3, 2))


def test_rrelu_draws_its_slopes_while_training():
    layer, x = nn.RReLU(0.1, 0.3), -ones(1000, requires_grad=True)
    slopes = -layer(x).array
    assert 0.1 <= slopes.min() < 0.11 and 0.29 < slopes.max() <= 0.3
    (g,) = grad(layer(x).sum(), x)
    assert g.array.std() > 0.05  # the slopes that were drawn, not their mean
    a, b = (F.rrelu(x, training=True, generator=Generator().manual_seed(1)) for _ in range(2))
    assert np.array_equal(a.array, b.array)
    np.testing.assert_allclose(layer.eval()(x).array, -0.2, rtol=1e-6)


def test_gumbel_softmax_draws_categories():
    probabilities = tensor([0.5, 0.3, 0.2], dtype=float64)
    logits = probabilities.log().expand(20000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(hard.array.max(-1), 1, rtol=1e-12)
    np.testing.assert_allclose(hard.array.mean(0), probabilities.array, atol=0.015)
    (g,) = grad((hard * tensor([1.0, 2.0, 3.0])).sum(), logits)
    assert g.array.any()  # straight through: the gradient of the soft sample
    cold = F.gumbel_softmax(randn(50, 4), tau=0.01)
    assert cold.dtype == np.float32 and np.median(cold.array.max(-1)) > 0.99
    a, b = (F.gumbel_softmax(logits, generator=Generator().manual_seed(1)) for _ in range(2))
    assert np.array_equal(a.array, b.array)


def test_softmax2d_is_over_channels():
    x = randn(2, 3, 4, 5)
    np.testing.assert_allclose(nn.Softmax2d()(x).array.sum(1), 1, rtol=1e-6)
    assert np.array_equal(nn.Softmax2d()(x[0]).array, nn.Softmax2d()(x).array[0])
    with pytest.raises(ValueError, match="Softmax2d"):
        nn.Softmax2d()(randn(2, 3))


def test_softmax_without_dim_guesses_and_says_so():
    for shape, dim in [((4,), 0), ((2, 3), 1), ((2, 3, 4), 0), ((2, 3, 4, 5), 1)]:
        x = randn(*shape)
        for function in (F.softmax, F.softmin, F.log_softmax):
            with pytest.warns(UserWarning, match=f"dim={dim}"):
                guessed = function(x)
            assert np.array_equal(guessed.array, function(x, dim).array)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="lower"):
        F.rrelu(ones(1), 0.5, 0.1)
    with pytest.raises(ValueError, match=r"min_val 1\.0 is greater"):
        F.hardtanh(ones(1), 1.0, -1.0)
    with pytest.raises(RuntimeError, match="alpha"):
        F.celu(ones(1), 0.0)
    with pytest.raises(RuntimeError, match="-1"):
        F.softshrink(ones(1), -1.0)


def test_softmax_converts_first():
    assert F.softmax(ones(3), dim=0, dtype=float64).dtype == float64
    assert F.log_softmax(ones(3), 0, dtype=float64).dtype == float64
