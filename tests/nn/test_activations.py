"""Activations: values, gradients everywhere (kinks and far tails included), in-place forms."""

import numpy as np
import pytest

from tinygen import nn
from tinygen.autograd import grad
from tinygen.autograd.creation import ones, tensor
from tinygen.autograd.dtypes import float64
from tinygen.autograd.random import randn
from tinygen.nn import functional as F

# 0 is where kinks are; ±800 is where e^x overflows or underflows
POINTS = [-800.0, -30.0, -3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 30.0, 800.0]

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
    (nn.Tanh(), "tanh", {}),
    (nn.Sigmoid(), "sigmoid", {}),
    (nn.LogSigmoid(), "logsigmoid", {}),
    (nn.Softmax(-1), "softmax", {"dim": -1}),
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
    [F.relu, F.leaky_relu, F.elu, F.selu, F.silu, F.mish, F.hardtanh],
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


def test_softmax_converts_first():
    assert F.softmax(ones(3), dim=0, dtype=float64).dtype == float64
    assert F.log_softmax(ones(3), 0, dtype=float64).dtype == float64
