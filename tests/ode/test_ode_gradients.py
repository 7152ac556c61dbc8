"""Gradients: through the steps, to any order; and by the adjoint equation, in constant memory."""

import math
import tracemalloc

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.autograd import forward_ad, grad, gradcheck, gradgradcheck
from tinygen.ode import METHODS, Statistics, odeint, odeint_adjoint

f64 = {"dtype": tg.float64}
TIMES = [0.0, 0.3, 1.1, 1.5]


class Field(nn.Module):
    """A small network of (t, y)."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.hidden, self.out = nn.Linear(3, width), nn.Linear(width, 2)

    def forward(self, t, y):
        time = t * tg.ones(*y.shape[:-1], 1, dtype=y.dtype)
        return self.out(tg.tanh(self.hidden(tg.cat([y, time], -1))))


@pytest.fixture
def field():
    return Field().double()


def leaves(rows: int = 3, times=TIMES):
    y0 = tg.randn(rows, 2, **f64).requires_grad_()
    return y0, tg.tensor(times, requires_grad=True, **f64)


def all_gradients(interface, field, y0, t, cotangent, **settings):
    y = interface(field, y0, t, **settings)
    return grad((y * y * cotangent).sum(), [y0, t, *field.parameters()])


# ---- Through the solver --------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_steps(method, field):
    """With steps of a given size, to all digits: with respect to y0, t and the parameters."""
    y0, t = leaves(rows=1)
    for options in (
        ({}, {"step_size": 0.4}) if not METHODS[method].adaptive else ({"step_size": 0.4},)
    ):
        gradcheck(lambda y, t: odeint(field, y, t, method=method, options=options), (y0, t))  # noqa: B023
    weight = field.hidden.weight

    def of_weight(w):
        f = lambda t, y: field.out(tg.tanh(tg.cat([y, t * tg.ones(1, 1, **f64)], -1) @ w.T))
        return odeint(f, y0.detach(), t.detach(), method=method, options={"step_size": 0.4})

    gradcheck(of_weight, weight.detach().requires_grad_())


@pytest.mark.parametrize("method", ["midpoint", "rk4", "dopri5"])
def test_gradients_of_gradients(method, field):
    y0, t = leaves(rows=1, times=[0.0, 0.35, 0.9])
    gradgradcheck(
        lambda y, t: odeint(field, y, t, method=method, options={"step_size": 0.4}), (y0, t)
    )


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].adaptive])
def test_gradients_with_steps_that_the_error_chooses(method, field):
    """The sizes of the steps count as constants, and so does what they change: the tolerance."""
    y0, t = leaves(rows=1, times=[0.0, 0.1, 0.25] if method == "bosh3" else TIMES)
    settings = {"method": method, "rtol": 1e-10, "atol": 1e-10}
    check = lambda y, t: odeint(field, y, t, **settings)
    gradcheck(check, (y0, t), rtol=1e-5, atol=1e-6)


def test_backwards_in_time_and_through_tuples():
    rate = tg.tensor(0.7, requires_grad=True, **f64)
    y0 = tg.tensor([1.0, 2.0], requires_grad=True, **f64)
    t = tg.tensor([1.0, 0.4, -0.5], requires_grad=True, **f64)

    def solve(rate, y0, t):
        f = lambda t, y: (-rate * y[0] * t, y[0].sum() * tg.ones_like(y[1]))
        u, v = odeint(f, (y0, y0[:1] * 2), t, rtol=1e-10, atol=1e-10)
        return u, v

    u, _ = solve(rate, y0, t)
    exact = np.exp(-0.7 * (t.array**2 - 1) / 2)[:, None] * y0.array
    np.testing.assert_allclose(u.array, exact, rtol=1e-8)
    gradcheck(solve, (rate, y0, t))
    (slope,) = grad(u[-1, 0], rate)
    assert slope.item() == pytest.approx(-(0.25 - 1) / 2 * exact[-1, 0], rel=1e-7)


def test_the_gradient_for_the_times_is_the_slope():
    """dy(t₁)/dt₁ = f(t₁, y₁), and dy(t₁)/dt₀ = -f for an f without t, wherever steps end."""
    f = lambda t, y: y * (1 - y)
    y0 = tg.tensor([0.3], **f64)
    for interface, more in ((odeint, {}), (odeint_adjoint, {"adjoint_params": ()})):
        for options in (None, {"step_size": 0.05}, {"step_t": [1.0]}):
            t = tg.tensor([0.0, 1.0, 2.0], requires_grad=True, **f64)
            y = interface(f, y0, t, options=options, **more)
            for i in (1, 2):
                found = grad(y[i].sum(), t, retain_graph=True)[0].array
                slope = (y[i] * (1 - y[i])).item()
                np.testing.assert_allclose(found[i], slope, rtol=1e-5)
                np.testing.assert_allclose(found[0], -slope, rtol=1e-5)
                assert found[3 - i] == 0


def test_forward_mode_goes_through_the_steps():
    y0, v = tg.tensor([0.3], **f64), tg.ones(1, **f64)
    t = tg.tensor([0.0, 1.0, 2.5], **f64)
    with forward_ad.dual_level():
        y = odeint(lambda t, y: -y * y, forward_ad.make_dual(y0, v), t)
        tangent = forward_ad.unpack_dual(y).tangent
    np.testing.assert_allclose(tangent.array[:, 0], 1 / (1 + 0.3 * t.array) ** 2, rtol=1e-6)


def test_under_no_grad_nothing_is_recorded(field):
    y0, t = leaves()
    with tg.no_grad():
        assert not odeint(field, y0, t).requires_grad
        assert not odeint_adjoint(field, y0, t).requires_grad


# ---- The adjoint equation ------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "tsit5", "dopri8"])
@pytest.mark.parametrize("times", [TIMES, TIMES[::-1]], ids=["on", "back"])
def test_the_adjoint_agrees_with_backpropagation(method, times, field):
    y0, t = leaves(times=times)
    cotangent = tg.randn(len(times), 3, 2, **f64)
    settings = {"method": method, "rtol": 1e-9, "atol": 1e-9}
    through = all_gradients(odeint, field, y0, t, cotangent, **settings)
    adjoint = all_gradients(odeint_adjoint, field, y0, t, cotangent, **settings)
    for one, other in zip(through, adjoint):
        np.testing.assert_allclose(one.array, other.array, rtol=3e-6, atol=1e-6)


def test_the_adjoint_agrees_with_backpropagation_to_nine_digits(field):
    y0, t = leaves()
    cotangent = tg.randn(4, 3, 2, **f64)
    settings = {"method": "dopri8", "rtol": 1e-12, "atol": 1e-12}
    through = all_gradients(odeint, field, y0, t, cotangent, **settings)
    adjoint = all_gradients(odeint_adjoint, field, y0, t, cotangent, **settings)
    for one, other in zip(through, adjoint):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-9, atol=1e-9)


def test_the_adjoint_passes_gradcheck_and_gradgradcheck(field):
    y0, t = leaves(rows=1, times=[0.0, 0.4, 0.9])
    settings = {"method": "dopri8", "rtol": 1e-11, "atol": 1e-11}
    gradcheck(lambda y, t: odeint_adjoint(field, y, t, **settings), (y0, t))
    rate = tg.tensor(0.7, requires_grad=True, **f64)

    def by_rate(rate, y, t):
        f = lambda t, y: -rate * y * tg.sin(t + y)
        return odeint_adjoint(f, y, t, adjoint_params=(rate,), **settings)

    gradcheck(by_rate, (rate, y0, t))
    gradgradcheck(by_rate, (rate, y0, t), rtol=1e-5, atol=1e-6)


def test_steps_of_a_given_size_have_an_adjoint_too(field):
    y0, t = leaves()
    cotangent = tg.randn(4, 3, 2, **f64)
    settings = {"method": "rk4", "options": {"step_size": 0.02}}
    through = all_gradients(odeint, field, y0, t, cotangent, **settings)
    adjoint = all_gradients(odeint_adjoint, field, y0, t, cotangent, **settings)
    for one, other in zip(through, adjoint):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-6, atol=1e-7)


def test_the_adjoint_of_a_tuple_with_tolerances_for_its_parts():
    rate = tg.tensor(0.7, requires_grad=True, **f64)
    f = lambda t, y: (y[1], -rate * y[0])
    t = tg.linspace(0, 3, 4, **f64)
    found = []
    for interface, more in ((odeint, {}), (odeint_adjoint, {"adjoint_params": [rate]})):
        x = tg.tensor([1.0, 0.5], requires_grad=True, **f64)
        u, v = interface(f, (x, tg.zeros(2, **f64)), t, rtol=1e-9, atol=(1e-9, 1e-10), **more)
        assert u.shape == v.shape == (4, 2)
        found.append(grad((u * v).sum(), [x, rate]))
    for one, other in zip(*found):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-6)


def test_only_tensors_that_are_named_get_gradients_from_the_adjoint(field):
    y0 = leaves()[0]
    t = tg.tensor(TIMES, **f64)
    field.out.weight.requires_grad_(False)
    odeint_adjoint(field, y0, t).sum().backward()
    assert field.out.weight.grad is None and field.out.bias.grad is not None
    field.zero_grad()
    odeint_adjoint(lambda t, y: field(t, y), y0, t, adjoint_params=()).sum().backward()
    assert field.out.bias.grad is None and y0.grad is not None


def test_parameters_may_have_been_computed_and_unused_ones_get_zeros():
    base = tg.tensor(0.5, requires_grad=True, **f64)
    spare = tg.tensor(1.0, requires_grad=True, **f64)
    rate = base * base
    y0, t = tg.ones(1, **f64), tg.tensor([0.0, 2.0], **f64)
    y = odeint_adjoint(lambda t, y: -rate * y, y0, t, adjoint_params=(rate, spare))
    of_base, of_spare = grad(y[-1].sum(), [base, spare])
    assert of_base.item() == pytest.approx(-2 * math.exp(-0.5) * 2 * 0.5, rel=1e-6)
    assert of_spare.item() == 0
    constant = odeint_adjoint(lambda t, y: tg.ones(1, **f64), y0.requires_grad_(), t,
                              adjoint_params=())  # fmt: skip
    assert grad(constant[-1].sum(), y0)[0].item() == 1


def test_the_seminorm_spares_steps(field):
    y0 = leaves()[0]
    t = tg.tensor([0.0, 4.0], **f64)
    with tg.no_grad():
        for p in field.parameters():
            p.mul_(3.0)
    counts, found = {}, []
    for name, options in {"norm": {}, "seminorm": {"norm": "seminorm"}}.items():
        counts[name] = count = Statistics()
        y = odeint_adjoint(field, y0, t, adjoint_options=options, adjoint_statistics=count)
        assert count.steps == 0
        found.append(grad(y[-1].sum(), [y0, *field.parameters()]))
    assert 0 < counts["seminorm"].steps < counts["norm"].steps
    for one, other in zip(*found):
        np.testing.assert_allclose(one.array, other.array, rtol=1e-4, atol=1e-5)


def there_and_back(interface, steps: int, before=lambda: None) -> None:
    field = Field(width=16)
    y0, t = tg.randn(64, 2).requires_grad_(), tg.tensor([0.0, 1.0])
    before()
    y = interface(field, y0, t, method="rk4", options={"step_size": 1 / steps})
    y[-1].sum().backward()


def peak_memory(interface, steps: int) -> int:
    """Bytes that a solution and its gradient need at their peak, beyond what was there."""
    there_and_back(interface, steps, tracemalloc.start)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_the_memory_of_the_adjoint_does_not_grow_with_the_steps():
    there_and_back(odeint_adjoint, 2)  # what is made once: compilers under a trace crawl
    through = [peak_memory(odeint, steps) for steps in (10, 80)]
    adjoint = [peak_memory(odeint_adjoint, steps) for steps in (10, 80)]
    assert through[1] > 6 * through[0]
    assert adjoint[1] < 1.1 * adjoint[0] + 20_000  # the list of times
    assert adjoint[1] < 0.05 * through[1]
