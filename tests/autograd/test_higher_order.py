"""Higher derivatives of what generative models differentiate twice, against differences."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.nn import functional as F


def along(f, x, direction, order: int):
    """The derivative of this order of f(x + t direction) by t at 0, one gradient at a time."""
    t = tg.zeros((), dtype=tg.float64, requires_grad=True)
    y = f(x + t * direction)
    for _ in range(order):
        (y,) = tg.autograd.grad(y, t, create_graph=True)
    return y.item()


def attention(x):
    """Causal self-attention of two heads over five places, made a number."""
    q, k, v = (x * s for s in (1.0, -0.7, 0.4))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return (y.sin() * tg.arange(5, dtype=tg.float64)[:, None]).sum()


def layer_norm(x):
    scale = tg.linspace(-1, 2, 3, dtype=tg.float64)
    return (F.layer_norm(x, (3,), scale, scale * 0.5).cos() * x).sum()


def tanh(x):
    return (tg.tanh(x) * x).sum()


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("f", [tanh, attention, layer_norm])
def test_derivatives_of_any_order(f, order):
    """Each against central differences of the one before (error O(h⁴) after Richardson)."""
    rng = np.random.default_rng(1)
    x, direction = (tg.tensor(rng.standard_normal((1, 2, 5, 3))) for _ in range(2))
    before = lambda s: (f(x + s * direction).item() if order == 1
                        else along(f, x + s * direction, direction, order - 1))  # fmt: skip
    slope = lambda h: (before(h) - before(-h)) / (2 * h)
    expected = (4 * slope(1e-3) - slope(2e-3)) / 3
    assert along(f, x, direction, order) == pytest.approx(expected, rel=1e-6)


def test_gradient_penalty_of_a_wasserstein_critic():
    """∂/∂θ of (‖∇D(x)‖ - 1)² (Gulrajani et al. 2017, equation 3), for every parameter."""
    tg.manual_seed(0)
    make = lambda i, o: tg.nn.Linear(i, o, dtype=tg.float64)
    critic = tg.nn.Sequential(
        make(4, 8), tg.nn.LayerNorm(8, dtype=tg.float64), tg.nn.GELU(), make(8, 8), tg.nn.SiLU(),
        make(8, 1),
    )  # fmt: skip
    real, fake = tg.randn(6, 4, dtype=tg.float64), tg.randn(6, 4, dtype=tg.float64)
    share = tg.rand(6, 1, dtype=tg.float64)

    def penalty(create_graph):
        x = (share * real + (1 - share) * fake).requires_grad_()
        (g,) = tg.autograd.grad(critic(x).sum(), x, create_graph=create_graph)
        return ((g.norm(2, dim=1) - 1) ** 2).mean()

    parameters = list(critic.parameters())
    found = tg.autograd.grad(penalty(True), parameters, allow_unused=True)
    assert found[-1] is None  # the last bias shifts D, and leaves its slope alone
    for p, g in zip(parameters[:-1], found):
        for at in np.ndindex(p.shape):
            values = []
            for h in (1e-4, -1e-4):
                with tg.no_grad():
                    p[at] += h
                values.append(penalty(False).item())
                with tg.no_grad():
                    p[at] -= h
            expected = (values[0] - values[1]) / 2e-4
            assert g[at].item() == pytest.approx(expected, rel=1e-6, abs=1e-8)
