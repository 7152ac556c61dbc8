"""autograd.functional against closed forms, differences, and PyTorch's."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import functional as F

STRATEGIES = ["reverse-mode", "forward-mode"]


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return tg.tensor(rng.standard_normal((2, 3))), tg.tensor(rng.standard_normal(3))


def several(x, y):
    return (x * y).sin(), ((x @ y).exp()).sum()


def scalar(x, y):
    return (x * y).sin().exp().sum() + (x @ y).prod()


def assert_same(found, expected) -> None:
    """The same numbers, nested in the same way."""
    if isinstance(expected, tuple):
        assert isinstance(found, tuple) and len(found) == len(expected)
        for f, e in zip(found, expected):
            assert_same(f, e)
    else:
        assert tuple(found.shape) == tuple(expected.shape)
        assert not found.requires_grad
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_jacobian_of_a_linear_map_is_its_matrix(strategy):
    a = tg.randn(4, 3, dtype=tg.float64)
    found = F.jacobian(lambda x: a @ x, tg.ones(3, dtype=tg.float64), strategy=strategy)
    np.testing.assert_allclose(found.numpy(), a.numpy(), rtol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hessian_of_a_quadratic_form_is_its_matrix(strategy):
    a = tg.randn(4, 4, dtype=tg.float64)
    x = tg.randn(4, dtype=tg.float64)
    found = F.hessian(lambda x: x @ a @ x, x, outer_jacobian_strategy=strategy)
    np.testing.assert_allclose(found.numpy(), (a + a.T).numpy(), rtol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_hessian_of_a_linear_function_is_0(strategy):
    found = F.hessian(lambda x: (2 * x).sum(), tg.ones(3), outer_jacobian_strategy=strategy)
    np.testing.assert_array_equal(found.numpy(), np.zeros((3, 3)))


def test_hessian_of_a_network_equals_differences():
    """∂²loss/∂w² of an MLP with every weight, against differences of the gradient."""
    rng = np.random.default_rng(0)
    x, t = tg.tensor(rng.standard_normal((7, 3))), tg.tensor(rng.standard_normal((7, 2)))
    shapes = [(5, 3), (5,), (2, 5), (2,)]
    weights = tuple(tg.tensor(rng.standard_normal(s)) for s in shapes)

    def loss(w1, b1, w2, b2):
        h = tg.nn.functional.gelu(tg.nn.functional.linear(x, w1, b1))
        return tg.nn.functional.mse_loss(tg.nn.functional.linear(h, w2, b2), t)

    def gradients(*ws):
        ws = [w.detach().requires_grad_() for w in ws]
        return tg.autograd.grad(loss(*ws), ws)

    blocks = F.hessian(loss, weights)
    for i, w in enumerate(weights):
        for at in np.ndindex(w.shape):
            step = tg.zeros_like(w)
            step[at] = 1e-5
            up = gradients(*weights[:i], w + step, *weights[i + 1 :])
            down = gradients(*weights[:i], w - step, *weights[i + 1 :])
            for k, (u, d) in enumerate(zip(up, down)):
                found = blocks[k][i].numpy()[(..., *at)]
                np.testing.assert_allclose(found, ((u - d) / 2e-5).numpy(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("product", [F.hvp, F.vhp])
def test_hessian_vector_products(product, inputs):
    x, y = inputs
    v = tg.randn(2, 3, dtype=tg.float64), tg.randn(3, dtype=tg.float64)
    value, found = product(scalar, inputs, v)
    blocks = F.hessian(scalar, inputs)
    assert value.item() == pytest.approx(scalar(x, y).item())
    for f, row in zip(found, blocks):
        expected = sum(np.tensordot(block.numpy(), t.numpy(), t.ndim) for block, t in zip(row, v))
        np.testing.assert_allclose(f.numpy(), expected, rtol=1e-10, atol=1e-12)


def test_vjp_and_jvp_are_products_with_the_jacobian(inputs):
    rows = F.jacobian(several, inputs)
    v = tg.randn(2, 3, dtype=tg.float64), tg.randn(3, dtype=tg.float64)
    outputs, pushed = F.jvp(several, inputs, v)
    for y, p, row in zip(outputs, pushed, rows):
        expected = sum(np.tensordot(j.numpy(), t.numpy(), t.ndim) for j, t in zip(row, v))
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-10)
        assert not y.requires_grad
    u = tg.randn(2, 3, dtype=tg.float64), tg.randn((), dtype=tg.float64)
    _, pulled = F.vjp(several, inputs, u)
    for i, p in enumerate(pulled):
        expected = sum(np.tensordot(c.numpy(), row[i].numpy(), c.ndim) for c, row in zip(u, rows))
        np.testing.assert_allclose(p.numpy(), expected, rtol=1e-10)


def test_create_graph_leads_back_to_the_inputs():
    x = tg.tensor([0.3, -0.7], dtype=tg.float64, requires_grad=True)
    for found in [
        F.jacobian(tg.tanh, x, create_graph=True).sum(),
        F.vjp(tg.tanh, x, tg.ones(2, dtype=tg.float64), create_graph=True)[1].sum(),
        F.jvp(tg.tanh, x, tg.ones(2, dtype=tg.float64), create_graph=True)[1].sum(),
        F.jacobian(tg.tanh, x, create_graph=True, strategy="forward-mode").sum(),
    ]:
        (g,) = tg.autograd.grad(found, x)
        t = np.tanh(x.detach().numpy())
        np.testing.assert_allclose(g.numpy(), -2 * t * (1 - t * t), rtol=1e-12)


def test_third_derivative_of_tanh():
    """f''' = (1 - t²)(6t² - 2), by nesting the three ways of differentiating."""
    x = tg.tensor([0.3, -0.7, 1.1], dtype=tg.float64)
    second = lambda x: F.hvp(lambda x: tg.tanh(x).sum(), x, tg.ones_like(x), create_graph=True)[1]
    found = F.vjp(second, x.requires_grad_(), tg.ones(3, dtype=tg.float64))[1].numpy()
    t = np.tanh(x.detach().numpy())
    np.testing.assert_allclose(found, (1 - t * t) * (6 * t * t - 2), rtol=1e-12)


def test_an_output_without_inputs_is_zeros_or_refused(inputs):
    x, _ = inputs
    constant = lambda x: tg.ones(2, dtype=tg.float64)
    np.testing.assert_array_equal(F.jacobian(constant, x).numpy(), np.zeros((2, 2, 3)))
    np.testing.assert_array_equal(F.jvp(constant, x, x)[1].numpy(), np.zeros(2))
    for call in [lambda: F.jacobian(constant, x, strict=True),
                 lambda: F.jvp(constant, x, x, strict=True)]:  # fmt: skip
        with pytest.raises(RuntimeError, match="does not depend"):
            call()


def test_what_is_refused(inputs):
    x, _ = inputs
    with pytest.raises(RuntimeError, match="one number; it gave shape"):
        F.hessian(lambda x: x, x)
    with pytest.raises(RuntimeError, match="v must have the shapes"):
        F.hvp(lambda x: x.sum(), x, x[0])
    with pytest.raises(RuntimeError, match="may be left out only"):
        F.vjp(lambda x: x, x)
    with pytest.raises(TypeError, match="inputs must be"):
        F.jacobian(lambda x: x, 3.0)
    with pytest.raises(TypeError, match="func must return"):
        F.jacobian(lambda x: 3.0, x)
    with pytest.raises(ValueError, match="strategy must be"):
        F.jacobian(lambda x: x, x, strategy="sideways")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_is_torchs(inputs, strategy):
    torch = pytest.importorskip("torch")
    G = torch.autograd.functional
    theirs = tuple(torch.tensor(x.numpy()) for x in inputs)
    assert_same(F.jacobian(several, inputs, strategy=strategy), G.jacobian(several, theirs))
    assert_same(F.jacobian(tg.sin, inputs[0], strategy=strategy), G.jacobian(torch.sin, theirs[0]))
    found = F.hessian(scalar, inputs, outer_jacobian_strategy=strategy)
    assert_same(found, G.hessian(scalar, theirs))
    v, u = (inputs[1].expand(2, 3), inputs[1]), (theirs[1].expand(2, 3), theirs[1])
    for name in ("hvp", "vhp"):
        assert_same(getattr(F, name)(scalar, inputs, v), getattr(G, name)(scalar, theirs, u))
    assert_same(F.jvp(several, inputs, v), G.jvp(several, theirs, u))
