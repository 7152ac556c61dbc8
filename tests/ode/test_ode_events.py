"""Events: found where they are, and differentiated as the implicit function theorem says."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import grad, gradcheck, gradgradcheck
from tinygen.ode import METHODS, odeint, odeint_adjoint, odeint_event

f64 = {"dtype": tg.float64}
GRAVITY = 9.81

INTERFACES = {
    "through": {},
    "adjoint": {"odeint_interface": odeint_adjoint, "adjoint_params": ()},
    "rk4": {"method": "rk4", "options": {"step_size": 0.1}},
    "dopri8": {"method": "dopri8"},
}
interfaces = pytest.mark.parametrize("settings", INTERFACES.values(), ids=INTERFACES)


def falling(t, state):
    height, speed = state
    return speed, -GRAVITY * tg.ones_like(height)


def on_the_ground(t, state):
    return state[0]


def thrown(height: float, speed: float, start: float = 0.0):
    return [tg.tensor(x, requires_grad=True, **f64) for x in (height, speed, start)]


@interfaces
def test_a_ball_comes_down_when_newton_says(settings):
    """t = t₀ + (v + √(v² + 2 g h)) / g, and its derivatives."""
    height, speed, start = thrown(10.0, 2.0, 0.5)
    t, (heights, speeds) = odeint_event(
        falling, (height, speed), start, event_fn=on_the_ground, **settings
    )
    impact = math.sqrt(2.0**2 + 2 * GRAVITY * 10)
    assert t.item() == pytest.approx(0.5 + (2 + impact) / GRAVITY, rel=1e-12)
    assert heights[1].item() == pytest.approx(0, abs=1e-9)
    assert speeds[1].item() == pytest.approx(-impact, rel=1e-9)
    assert (heights[0].item(), speeds[0].item()) == (10, 2)
    found = [g.item() for g in grad(t, [height, speed, start], retain_graph=True)]
    np.testing.assert_allclose(found, [1 / impact, (1 + 2 / impact) / GRAVITY, 1], rtol=1e-7)
    found = [g.item() for g in grad(speeds[1], [height, speed, start], retain_graph=True)]
    np.testing.assert_allclose(found, [-GRAVITY / impact, -2 / impact, 0], rtol=1e-7, atol=1e-7)
    # The ball is on the ground at the event, wherever it was thrown from.
    found = [g.item() for g in grad(heights[1], [height, speed, start])]
    np.testing.assert_allclose(found, 0, atol=1e-7)


def test_bounces_add_up():
    """A ball that keeps 0.8 of its speed: the time of the fifth bounce, and its derivative."""
    height, speed, t = thrown(1.0, 0.0)
    start, state = height, (height, speed)
    for _ in range(5):
        t, solution = odeint_event(falling, state, t, event_fn=on_the_ground)
        state = (0 * solution[0][1], -0.8 * solution[1][1])
    first = math.sqrt(2 / GRAVITY)
    expected = first * (1 + 2 * sum(0.8**k for k in range(1, 5)))
    assert t.item() == pytest.approx(expected, rel=1e-9)
    assert grad(t, start)[0].item() == pytest.approx(expected / 2, rel=1e-7)


def test_time_and_state_pass_gradcheck_to_second_order():
    """Also with parameters in the event, and time in both."""

    def solve(height, speed, start, level):
        wind = lambda t, y: (y[1], -GRAVITY - 0.1 * y[1] + tg.sin(t))
        moving = lambda t, y: y[0] * tg.exp(0.1 * t) - level * t
        t, (x, v) = odeint_event(wind, (height, speed), start, event_fn=moving, method="dopri8",
                                 rtol=1e-10, atol=1e-10)  # fmt: skip
        return t, x, v

    inputs = (*thrown(3.0, 1.0, 0.2), tg.tensor(0.4, requires_grad=True, **f64))
    gradcheck(solve, inputs)
    gradgradcheck(solve, inputs, rtol=1e-5, atol=1e-6)


def test_the_adjoint_finds_the_same_gradients_for_parameters():
    rate = tg.tensor(0.8, requires_grad=True, **f64)
    y0, start = tg.ones(1, **f64), tg.tensor(0.0, **f64)
    decay = lambda t, y: -rate * y
    half = lambda t, y: y - 0.5
    for settings in ({}, {"odeint_interface": odeint_adjoint, "adjoint_params": (rate,)}):
        t, _ = odeint_event(decay, y0, start, event_fn=half, **settings)
        assert t.item() == pytest.approx(math.log(2) / 0.8, rel=1e-7)
        assert grad(t, rate)[0].item() == pytest.approx(-math.log(2) / 0.64, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_events(method):
    settings = {"method": method}
    if not METHODS[method].adaptive:
        settings["options"] = {"step_size": 0.01}
    turning = lambda t, y: tg.stack([y[1], -y[0]])
    t, y = odeint_event(turning, tg.tensor([1.0, 0.0], **f64), tg.tensor(0.0, **f64),
                        event_fn=lambda t, y: y[0], **settings)  # fmt: skip
    accuracy = {"euler": 0.02, "midpoint": 1e-4, "heun2": 1e-4}.get(method, 1e-6)
    assert t.item() == pytest.approx(math.pi / 2, abs=accuracy)
    np.testing.assert_allclose(y.array[1], [0, -1], atol=accuracy)


def test_back_in_time():
    height, speed, start = thrown(10.0, 2.0)
    for settings in INTERFACES.values():
        t, (_, speeds) = odeint_event(falling, (height, speed), start, event_fn=on_the_ground,
                                      reverse_time=True, **settings)  # fmt: skip
        impact = math.sqrt(2.0**2 + 2 * GRAVITY * 10)
        assert t.item() == pytest.approx((2 - impact) / GRAVITY, rel=1e-12)
        assert speeds[1].item() == pytest.approx(impact, rel=1e-9)
        found = [g.item() for g in grad(t, [height, speed, start])]
        expected = [-1 / impact, (1 - 2 / impact) / GRAVITY, 1]
        np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_of_several_conditions_the_first_counts():
    f = lambda t, y: tg.ones_like(y)
    level = tg.tensor([3.0, -1.0, 2.0], requires_grad=True, **f64)
    t, y = odeint_event(f, tg.zeros(1, **f64), tg.tensor(0.0, **f64),
                        event_fn=lambda t, y: y - level)  # fmt: skip
    assert t.item() == pytest.approx(2) and y[1].item() == pytest.approx(2)
    assert grad(t, level)[0].array.tolist() == [0, 0, 1]


def test_what_holds_at_the_start_is_waited_for():
    """Thrown up from the ground, to within rounding on either side of it."""
    for height in (0.0, 1e-12, -1e-12):
        t, _ = odeint_event(falling, thrown(height, 2.0)[:2], tg.tensor(0.0, **f64),
                            event_fn=on_the_ground)  # fmt: skip
        assert t.item() == pytest.approx(4 / GRAVITY, rel=1e-6)
        # Seen backwards, it has come down.
        t, _ = odeint_event(falling, thrown(height, -2.0)[:2], tg.tensor(0.0, **f64),
                            event_fn=on_the_ground, reverse_time=True)  # fmt: skip
        assert t.item() == pytest.approx(-4 / GRAVITY, rel=1e-6)


def test_odeint_with_an_event_function_gives_the_time_without_a_gradient():
    height, speed, _ = thrown(10.0, 0.0)
    t, (heights, _) = odeint(falling, (height, speed), tg.tensor([0.0, 1.0], **f64),
                             event_fn=on_the_ground)  # fmt: skip
    assert t.item() == pytest.approx(math.sqrt(20 / GRAVITY)) and not t.requires_grad
    assert heights.requires_grad and heights.shape == (2,)


def test_float32_and_no_grad():
    y0, start = tg.tensor([1.0]), tg.tensor(0.0)
    with tg.no_grad():
        t, y = odeint_event(lambda t, y: -y, y0, start, event_fn=lambda t, y: y - 0.5)
    assert t.dtype == y.dtype == tg.float32
    assert t.item() == pytest.approx(math.log(2), rel=1e-5)


def test_an_event_that_never_comes_is_not_waited_for_forever():
    turning = lambda t, y: tg.stack([y[1], -y[0]])
    y0, start = tg.tensor([1.0, 0.0], **f64), tg.tensor(0.0, **f64)
    never = lambda t, y: y[0] + 2
    options = {"max_num_steps": 100}
    with pytest.raises(RuntimeError, match="no event was found in 100 steps, up to t = "):
        odeint_event(turning, y0, start, event_fn=never, options=options)
    with pytest.raises(RuntimeError, match="no event was found up to t = "):
        odeint_event(lambda t, y: y * 0, y0, start, event_fn=never, method="euler",
                     options={"step_size": 0.1})  # fmt: skip


def test_a_touch_has_no_derivative():
    """The event function y has a double root at t = 1."""
    f = lambda t, y: 2 * (t - 1) * tg.ones_like(y)
    y0 = tg.ones(1, requires_grad=True, **f64)
    event = lambda t, y: (t - 1) ** 3 * tg.ones_like(y)
    with pytest.raises(RuntimeError, match=r"touches zero at t = 1 .*no derivative"):
        odeint_event(f, y0, tg.tensor(0.0, **f64), event_fn=event, method="euler",
                     options={"step_size": 0.5})  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"method": "rk4"}, ValueError, "needs options={'step_size': …}"),
        ({"event_fn": lambda t, y: 1.0}, TypeError, "event_fn must return a floating-point tensor"),
    ],
)
def test_mistakes_get_a_sentence(change, error, words):
    arguments = {"event_fn": on_the_ground, **change}
    with pytest.raises(error, match=words.replace("{", "\\{")):
        odeint_event(falling, thrown(1.0, 0.0)[:2], tg.tensor(0.0, **f64), **arguments)
