"""The same numbers as torchdiffeq, where it is installed."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import ode

torchdiffeq = pytest.importorskip("torchdiffeq")
torch = pytest.importorskip("torch")

W = np.random.default_rng(0).standard_normal((2, 2, 3)) * 0.5
START = np.random.default_rng(1).standard_normal((4, 3))
TIMES = np.array([0.0, 0.5, 0.7, 1.6])


def solved(library, make, interface, **settings):
    """The solution, and the gradients of Σ y² sin y for y0, the times and two matrices."""
    u, v = (make(w).requires_grad_() for w in W)
    y0, t = make(START).requires_grad_(), make(TIMES).requires_grad_()

    def f(t, y):
        return library.tanh(y @ u.T + t) @ v

    more = {"adjoint_params": (u, v)} if "adjoint" in interface.__name__ else {}
    y = interface(f, y0, t, **settings, **more)
    (library.sin(y) * y * y).sum().backward()
    return [np.asarray(x.detach().numpy()) for x in (y, y0.grad, t.grad, u.grad, v.grad)]


@pytest.mark.parametrize("interface", ["odeint", "odeint_adjoint"])
@pytest.mark.parametrize(
    ("method", "tolerance"),
    [("euler", 1e-10), ("midpoint", 1e-10), ("heun2", 1e-10), ("rk4", 1e-10), ("bosh3", 1e-5),
     ("dopri5", 1e-5), ("dopri8", 1e-5)],
)  # fmt: skip
def test_solutions_and_gradients_are_torchdiffeqs(method, tolerance, interface):
    settings = {"method": method}
    if ode.METHODS[method].adaptive:
        settings |= {"rtol": 1e-9, "atol": 1e-9}
    ours = solved(tg, tg.tensor, getattr(ode, interface), **settings)
    theirs = solved(torch, torch.tensor, getattr(torchdiffeq, interface), **settings)
    if interface == "odeint_adjoint":  # -a f for the first time; theirs integrates to it
        np.testing.assert_allclose(ours[2][0], theirs[2][0], rtol=0.25)
        ours[2], theirs[2] = ours[2][1:], theirs[2][1:]
    if ode.METHODS[method].adaptive and interface == "odeint":
        # Gradients for times are slopes of the interpolation, which is a quartic there.
        np.testing.assert_allclose(ours[2], theirs[2], rtol=2e-3)
        del ours[2], theirs[2]
    for one, other in zip(ours, theirs):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_events_are_torchdiffeqs():
    found = []
    for library, package in ((tg, ode), (torch, torchdiffeq)):
        y0 = library.tensor([10.0, 0.0], dtype=library.float64, requires_grad=True)
        f = lambda t, y: library.stack([y[1], -9.81 - 0.2 * y[1]])  # noqa: B023
        t0 = library.tensor(0.0, dtype=library.float64)
        t, y = package.odeint_event(f, y0, t0, event_fn=lambda t, y: y[0])
        (t + y[1, 1]).backward()
        found.append([t.item(), y[1, 1].item(), *y0.grad.tolist()])
    np.testing.assert_allclose(*found, rtol=1e-6)
