"""Gradients: through the steps, and by the way back, in constant memory."""

import re
import tracemalloc

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.autograd import grad, gradcheck, gradgradcheck
from tinygen.sde import METHODS, BrownianInterval, sdeint, sdeint_adjoint

f64 = {"dtype": tg.float64}
NOISE = {"diagonal": 2, "scalar": 1, "additive": 3, "general": 3}
TIMES = [0.0, 0.3, 1.0]


class Neural(nn.Module):
    """A small network for the drift, and for the diffusion one of the form that the noise has."""

    def __init__(self, noise_type: str, sde_type: str, scale: float = 0.5, width: int = 4):
        super().__init__()
        self.noise_type, self.sde_type, self.scale = noise_type, sde_type, scale
        self.hidden, self.out = nn.Linear(2, width), nn.Linear(width, 2)
        self.weight = nn.Parameter(tg.randn(2, NOISE[noise_type]))
        self.double()

    def f(self, t, y):
        return self.out(tg.tanh(self.hidden(y) + t))

    def g(self, t, y):
        weight = self.scale * self.weight
        if self.noise_type == "diagonal":
            return weight[0] + 0.5 * tg.sin(y * weight[1])
        if self.noise_type == "additive":
            return (tg.cos(t) * weight).expand(y.shape[0], 2, 3)
        return weight * tg.sin(y).unsqueeze(-1) + weight * 0.3


def path(sde, rows: int, entropy: int = 2, **more):
    return BrownianInterval(0, 1, (rows, NOISE[sde.noise_type]), entropy=entropy, **f64,
                            levy_area_approximation="space-time", **more)  # fmt: skip


def combinations():
    for method in METHODS.values():
        for noise_type in NOISE:
            for sde_type in ("ito", "stratonovich"):
                if method.serves(sde_type, noise_type) and sde_type in method.sde_types:
                    yield method.name, noise_type, sde_type


@pytest.mark.parametrize(("method", "noise_type", "sde_type"), list(combinations()))
def test_gradients_are_those_of_the_steps(method, noise_type, sde_type):
    """By finite differences on a fixed path, for y0, the drift and the diffusion."""
    sde = Neural(noise_type, sde_type)
    bm, y0 = path(sde, 2), tg.randn(2, 2, **f64).requires_grad_()

    def solve(y0, bias, weight):
        return Changed(sde, bias, weight).solve(y0, bm, method)

    gradcheck(solve, (y0, sde.out.bias.detach().requires_grad_(),
                      sde.weight.detach().requires_grad_()))  # fmt: skip


class Changed:
    """An equation with other tensors in the place of two parameters."""

    def __init__(self, sde, bias, weight):
        self.sde, self.bias, self.weight = sde, bias, weight
        self.noise_type, self.sde_type = sde.noise_type, sde.sde_type

    def f(self, t, y):
        return tg.tanh(self.sde.hidden(y) + t) @ self.sde.out.weight.T + self.bias

    def g(self, t, y):
        return type(self.sde).g(self._with_weight(), t, y)

    def _with_weight(self):
        twin = type("Twin", (), {})()
        twin.scale, twin.weight, twin.noise_type = self.sde.scale, self.weight, self.noise_type
        return twin

    def solve(self, y0, bm, method):
        return sdeint(self, y0, TIMES, bm, method, dt=0.35)


@pytest.mark.parametrize(
    ("method", "noise_type", "sde_type"),
    [("milstein", "diagonal", "ito"), ("heun", "general", "stratonovich")],
)
def test_gradients_of_gradients(method, noise_type, sde_type):
    sde = Neural(noise_type, sde_type)
    bm, y0 = path(sde, 1), tg.randn(1, 2, **f64).requires_grad_()
    gradgradcheck(lambda y: sdeint(sde, y, [0, 1], bm, method, dt=0.5), y0)


def test_under_no_grad_nothing_is_recorded():
    sde = Neural("diagonal", "ito")
    y0 = tg.zeros(2, 2, **f64).requires_grad_()
    with tg.no_grad():
        assert not sdeint(sde, y0, [0, 1], dt=0.5).requires_grad
        assert not sdeint_adjoint(sde, y0, [0, 1], dt=0.5).requires_grad


# ---- The way back --------------------------------------------------------------------------------


def gradients(interface, sde, y0, bm, cotangent, **settings):
    y = interface(sde, y0, TIMES, bm, **settings)
    return grad((y * y * cotangent).sum(), [y0, *sde.parameters()])


def largest_difference(one, other) -> float:
    return max(np.abs(a.array - b.array).max() / max(1, np.abs(a.array).max())
               for a, b in zip(one, other))  # fmt: skip


@pytest.mark.parametrize("noise_type", NOISE)
def test_the_adjoint_of_reversible_heun_is_exact(noise_type):
    sde = Neural(noise_type, "stratonovich")
    y0, cotangent = tg.randn(3, 2, **f64).requires_grad_(), tg.randn(3, 3, 2, **f64)
    settings = {"bm": path(sde, 3), "cotangent": cotangent, "method": "reversible_heun", "dt": 0.05}
    through = gradients(sdeint, sde, y0, **settings)
    adjoint = gradients(sdeint_adjoint, sde, y0, **settings)
    assert largest_difference(through, adjoint) < 1e-11


@pytest.mark.slow
@pytest.mark.parametrize(("noise_type", "method"),
                         [("diagonal", "midpoint"), ("scalar", "heun"), ("additive", "midpoint"),
                          ("general", "heun")])  # fmt: skip
def test_the_adjoint_agrees_with_backpropagation(noise_type, method):
    """To 1e-5, at steps that are small enough for it."""
    sde = Neural(noise_type, "stratonovich", scale=0.05)
    y0, cotangent = tg.randn(3, 2, **f64).requires_grad_(), tg.randn(3, 3, 2, **f64)
    settings = {"bm": path(sde, 3, dt=1 / 400), "cotangent": cotangent, "method": method}
    through = gradients(sdeint, sde, y0, dt=1 / 400, **settings)
    adjoint = gradients(sdeint_adjoint, sde, y0, dt=1 / 400, adjoint_method=method, **settings)
    assert largest_difference(through, adjoint) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("noise_type", "method"),
                         [("diagonal", "srk"), ("scalar", "milstein"), ("additive", "euler"),
                          ("general", "euler")])  # fmt: skip
def test_the_adjoint_of_an_ito_equation(noise_type, method):
    """It converges to the gradient of the steps, as both converge to that of the solution."""
    sde = Neural(noise_type, "ito")
    y0, cotangent = tg.randn(3, 2, **f64).requires_grad_(), tg.randn(3, 3, 2, **f64)
    bm = path(sde, 3, dt=1 / 128)
    differences = []
    for steps in (16, 128):
        settings = {"bm": bm, "cotangent": cotangent, "method": method, "dt": 1 / steps}
        through = gradients(sdeint, sde, y0, **settings)
        adjoint = gradients(sdeint_adjoint, sde, y0, **settings)
        differences.append(largest_difference(through, adjoint))
    assert differences[1] < 0.5 * differences[0] and differences[1] < 0.05


def test_the_adjoint_against_finite_differences():
    rate = tg.tensor(0.7, requires_grad=True, **f64)
    y0 = tg.tensor([[0.4, 1.0]], requires_grad=True, **f64)

    class Equation:
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self, rate):
            self.rate = rate

        def f(self, t, y):
            return -self.rate * y

        def g(self, t, y):
            return self.rate * tg.sin(y)

    bm = BrownianInterval(0, 1, (1, 2), entropy=0, **f64)

    def solve(rate, y0):
        return sdeint_adjoint(Equation(rate), y0, TIMES, bm, "reversible_heun", dt=0.1,
                              adjoint_params=(rate,))  # fmt: skip

    gradcheck(solve, (rate, y0))


def there_and_back(interface, steps: int, method: str, before=lambda: None) -> None:
    sde = Neural("diagonal", "stratonovich", width=32).float()
    y0 = tg.randn(256, 2).requires_grad_()
    bm = BrownianInterval(0, 1, (256, 2), entropy=0, cache_size=8, dt=1 / steps)
    before()
    interface(sde, y0, [0, 1], bm, method, dt=1 / steps)[-1].sum().backward()


def peak_memory(interface, steps: int, method: str) -> int:
    there_and_back(interface, steps, method, tracemalloc.start)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("method", ["midpoint", "reversible_heun"])
def test_the_memory_of_the_adjoint_does_not_grow_with_the_steps(method):
    there_and_back(sdeint_adjoint, 2, method)  # what is made once: compilers under a trace crawl
    through = [peak_memory(sdeint, steps, method) for steps in (8, 48)]
    adjoint = [peak_memory(sdeint_adjoint, steps, method) for steps in (8, 48)]
    assert through[1] > 4 * through[0]
    assert adjoint[1] < 1.2 * adjoint[0] + 20_000  # the list of times
    assert adjoint[1] < 0.25 * through[1]


def test_what_the_adjoint_refuses():
    sde = Neural("diagonal", "stratonovich")
    y0 = tg.zeros(2, 2, **f64).requires_grad_()
    for words, arguments in {
        "sde must be a Module": {"sde": Changed(sde, sde.out.bias, sde.weight)},
        "found with heun or midpoint, not with 'srk'": {"adjoint_method": "srk"},
        "found with reversible_heun, not": {"adjoint_method": "heun", "method": "reversible_heun"},
    }.items():
        with pytest.raises(ValueError, match=re.escape(words)):
            sdeint_adjoint(**{"sde": sde, "y0": y0, "ts": [0, 1], **arguments})
    y = sdeint_adjoint(sde, y0, [0, 1], dt=0.5)
    with pytest.raises(NotImplementedError, match="no gradients of gradients"):
        grad(y.sum(), y0, create_graph=True)
