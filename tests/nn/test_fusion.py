"""A linear layer and its activation: one op, unless somebody could tell the difference."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.nn import functional as F
from tinygen.nn.fusion import activated

FUSED = [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.Tanh(), nn.Sigmoid(), nn.GELU(),
         nn.GELU("tanh"), nn.SiLU(), F.relu, F.gelu, F.silu, F.tanh]  # fmt: skip


def ops(out):
    """The names of the ops that lead to a tensor, the last one first, along the first parents."""
    names, node = [], out.node
    while node is not None:
        names.append(node.op.name)
        node = getattr(node.parents[0], "op", None) and node.parents[0]
    return names


def gradients(out, module):
    weight = tg.arange(out.array.size).reshape(out.shape).sin()
    return tg.autograd.grad((out * weight).sum(), list(module.parameters()))


@pytest.mark.parametrize("activation", FUSED)
@pytest.mark.parametrize("bias", [True, False])
def test_fused_equals_one_after_the_other(activation, bias):
    linear, x = nn.Linear(7, 33, bias=bias), tg.randn(2, 5, 7)
    y, expected = activated(linear, activation, x), activation(linear(x))
    assert ops(y) == ["linear_activation"]
    np.testing.assert_allclose(y.detach(), expected.detach(), rtol=1e-6, atol=1e-6)
    for found, right in zip(gradients(y, linear), gradients(expected, linear), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-5)


def test_sequential_fuses_what_it_can():
    layers = [
        *(nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.0)),
        *(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.GELU()),
        *(nn.Linear(4, 2), nn.Sigmoid(), nn.Linear(2, 2)),
    ]
    model, x = nn.Sequential(*layers), tg.randn(6, 3)
    y = model(x)
    assert ops(y)[:2] == ["linear", "linear_activation"]
    assert ops(model[:3](x)) == ["linear_activation", "linear"]
    assert ops(model[6:7](model[:6](x)))[0] == "gelu"
    for layer in layers:
        x = layer(x)
    np.testing.assert_allclose(y.detach(), x.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_see_what_they_always_saw(position, register):
    model, x, seen = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), tg.randn(2, 3), []
    hook = getattr(model[position], register)(lambda module, *values: seen.append(values))
    y = model(x)
    assert ops(y) == ["relu", "linear"]
    assert len(seen) == 1
    hook.remove()
    assert ops(model(x)) == ["linear_activation"]
    np.testing.assert_array_equal(model(x).detach(), y.detach())


class Doubled(nn.Linear):
    def forward(self, input):
        return 2 * super().forward(input)


class Shifted(nn.ReLU):
    def forward(self, input):
        return super().forward(input + 1)


def test_other_forwards_are_called():
    x = tg.randn(2, 3)
    linear = nn.Linear(3, 4)
    assert "linear_activation" not in ops(nn.Sequential(Doubled(3, 4), nn.ReLU())(x))
    assert "linear_activation" not in ops(nn.Sequential(linear, Shifted())(x))
    assert "linear_activation" not in ops(nn.Sequential(linear, nn.LeakyReLU(-0.5))(x))
    model = nn.Sequential(linear, nn.ReLU())
    linear.forward = lambda input: F.linear(input, linear.weight) + 5
    np.testing.assert_array_equal(model(x).detach(), F.relu(linear(x)).detach())
    assert "linear_activation" not in ops(model(x))


def test_replaced_forward_of_the_class(monkeypatch):
    monkeypatch.setattr(nn.Linear, "forward", lambda self, input: input * 3)
    np.testing.assert_array_equal(nn.Sequential(nn.Linear(2, 2), nn.ReLU())(tg.ones(2)), [3, 3])


def test_parametrised_weight_is_read():
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    x = tg.randn(2, 3)
    y = nn.Sequential(linear, nn.Tanh())(x)
    expected = F.tanh(F.linear(x, linear.weight, linear.bias))
    np.testing.assert_allclose(y.detach(), expected.detach(), rtol=1e-6)
    assert all(g is not None for g in gradients(y, linear))


def test_output_that_the_gradient_needs_must_not_change():
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh()), tg.randn(2, 3)
    y = model(x)
    y += 1
    with pytest.raises(RuntimeError, match="the output of linear_activation, which its gradient"):
        y.sum().backward()
    z = nn.Sequential(nn.Linear(3, 4), nn.SiLU())(x)
    z += 1
    z.sum().backward()


def test_integers_and_float64():
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU())
    y = model(tg.tensor([[1, 2, 3]]))
    np.testing.assert_allclose(y.detach(), model(tg.tensor([[1.0, 2.0, 3.0]])).detach(), rtol=1e-6)
    y.sum().backward()
    assert model[0].weight.grad.dtype == tg.float32
    assert model.double()(tg.randn(2, 3).double()).dtype == tg.float64


def test_unknown_activations_are_refused():
    from tinygen.autograd.ops.linear_activation import linear_activation

    x, w = tg.randn(2, 3), tg.randn(4, 3)
    with pytest.raises(ValueError, match=r"must be one of .*silu.*: 'step'"):
        linear_activation(x, w, None, "step")
    with pytest.raises(ValueError, match="slope of leaky_relu must be > 0, not 0"):
        linear_activation(x, w, None, "leaky_relu", 0)
    with pytest.raises(ValueError, match="linear: the input has 5 features"):
        linear_activation(tg.randn(2, 5), w)
    with pytest.raises(ValueError, match="approximate"):
        nn.Sequential(nn.Linear(3, 4), nn.GELU("exact"))(x)
