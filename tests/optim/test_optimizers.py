"""Optimizers: PyTorch's trajectories, one step by hand, resuming, groups, refusals."""

import math
import tracemalloc

import numpy as np
import pytest

from tinygen import nn, optim
from tinygen.autograd import Tensor, is_grad_enabled
from tinygen.autograd.creation import ones, tensor, zeros
from tinygen.autograd.dtypes import float64
from tinygen.nn import functional as F

START = np.random.default_rng(0).standard_normal((4, 3))
SHIFT = np.random.default_rng(1).standard_normal(3)
X, Y = np.random.default_rng(2).standard_normal((2, 8, 3))

CASES = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True}),
    ("SGD", {"lr": 0.001, "momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-6, "weight_decay": 0.1, "momentum": 0.5}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1, "lr": 0.1}),
    ("Adam", {"maximize": True, "weight_decay": 0.1, "amsgrad": False}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.5, "lr": 0.1, "maximize": True}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


def gradients(make, weight, shift):
    """Fill the gradients of Σ (y − tanh(x Wᵀ) W − b)², which has curvature everywhere."""
    x, y = make(X), make(Y)
    hidden = (x @ weight.T).tanh()
    loss = ((y - hidden @ weight - shift) ** 2).sum()
    loss.backward()
    return loss


def groups(weight, shift):
    """The weight by the defaults, the shift without decay and with another learning rate."""
    return [{"params": [weight]}, {"params": shift, "weight_decay": 0.0, "lr": 0.02}]


def parameters(make=None):
    start = [START.copy(), SHIFT.copy()]
    if make is None:
        return [nn.Parameter(tensor(a)) for a in start]
    return [make(a).requires_grad_() for a in start]


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_trajectories_are_pytorchs(name, options):
    """50 steps with two groups, and a schedule of the learning rate, to 1e-9."""
    torch = pytest.importorskip("torch")
    ours, theirs = parameters(), parameters(torch.tensor)
    opt = getattr(optim, name)(groups(*ours), **options)
    opt_theirs = getattr(torch.optim, name)(groups(*theirs), **options)
    schedule = optim.lr_scheduler.CosineAnnealingLR(opt, 40)
    schedule_theirs = torch.optim.lr_scheduler.CosineAnnealingLR(opt_theirs, 40)
    for _ in range(50):
        opt.zero_grad()
        opt_theirs.zero_grad()
        gradients(tensor, *ours)
        gradients(torch.tensor, *theirs)
        opt.step()
        opt_theirs.step()
        schedule.step()
        schedule_theirs.step()
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a.array, b.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_resuming_is_bit_identical(name, options):
    """Also with arrays and string keys in the place of tensors and ints, as files have them."""
    straight = train(name, options, 6)[0]
    saved_params, opt = train(name, options, 3)
    state = opt.state_dict()
    params = [nn.Parameter(p.detach().clone()) for p in saved_params]
    other = getattr(optim, name)(groups(*params))  # its options come from the file
    from_file = {
        "param_groups": state["param_groups"],
        "state": {
            str(number): {
                k: np.array(v.array) if isinstance(v, Tensor) else v for k, v in fields.items()
            }
            for number, fields in state["state"].items()
        },
    }
    other.load_state_dict(from_file)
    for _ in range(3):
        other.zero_grad()
        gradients(tensor, *params)
        other.step()
    for a, b in zip(params, straight):
        assert np.array_equal(a.array, b.array)
    for a, b in zip(saved_params, params):
        assert not np.array_equal(a.array, b.array)  # the saved run was not dragged along


def train(name, options, steps):
    params = parameters()
    opt = getattr(optim, name)(groups(*params), **options)
    for _ in range(steps):
        opt.zero_grad()
        gradients(tensor, *params)
        opt.step()
    return params, opt


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_float32_stays_float32_and_learns(name, options):
    layer = nn.Linear(3, 3)
    opt = getattr(optim, name)(layer.parameters(), **options)
    x, y = tensor(X, dtype=np.float32), tensor(Y, dtype=np.float32)
    arrays, losses = [p.array for p in layer.parameters()], []
    for _ in range(20):
        opt.zero_grad()
        loss = F.mse_loss(layer(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert (losses[-1] < losses[0]) != options.get("maximize", False)
    assert all(p.array is a for p, a in zip(layer.parameters(), arrays))  # updated in place
    states = [v for s in opt.state.values() for v in s.values() if isinstance(v, Tensor)]
    assert all(v.dtype == np.float32 for v in states)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_a_step_allocates_no_array(name, options):
    param = nn.Parameter(zeros(1_000_000))
    param.grad = ones(1_000_000)
    opt = getattr(optim, name)([param], **options)
    opt.step()
    opt.step()
    tracemalloc.start()
    opt.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < param.array.nbytes / 10


# ---- One step, by hand ----


def one_step(make, theta=2.0, g=0.5, steps=1):
    param = nn.Parameter(tensor([theta], dtype=float64))
    opt = make([param])
    for _ in range(steps):
        param.grad = tensor([g], dtype=float64)
        opt.step()
    return param.item()


def test_steps_by_hand():
    theta, g, lr = 2.0, 0.5, 0.1
    assert one_step(lambda p: optim.SGD(p, lr)) == pytest.approx(theta - lr * g)
    two = one_step(lambda p: optim.SGD(p, lr, momentum=0.9), steps=2)
    assert two == pytest.approx(theta - lr * g - lr * (0.9 * g + g))
    decayed = one_step(lambda p: optim.SGD(p, lr, weight_decay=0.3))
    assert decayed == pytest.approx(theta - lr * (g + 0.3 * theta))
    # the first step of Adam has length lr, whatever the gradient
    assert one_step(lambda p: optim.Adam(p, lr)) == pytest.approx(theta - lr, rel=1e-7)
    shrunk = theta * (1 - lr * 0.3)
    found = one_step(lambda p: optim.AdamW(p, lr, weight_decay=0.3))
    assert found == pytest.approx(shrunk - lr, rel=1e-7)
    found = one_step(lambda p: optim.RMSprop(p, lr, alpha=0.75, eps=0))
    assert found == pytest.approx(theta - lr * g / math.sqrt(0.25 * g * g))
    found = one_step(lambda p: optim.Adagrad(p, lr, lr_decay=1.0), steps=2)
    expected = theta - lr * g / math.sqrt(g * g) - lr / 2 * g / math.sqrt(2 * g * g)
    assert found == pytest.approx(expected)


def test_amsgrad_never_forgets_the_largest_square():
    param = nn.Parameter(tensor([0.0], dtype=float64))
    opt = optim.Adam([param], amsgrad=True)
    for g in (10.0, 0.1, 0.1):
        param.grad = tensor([g], dtype=float64)
        opt.step()
    assert opt.state[param]["max_exp_avg_sq"].item() == pytest.approx(0.001 * 100)
    assert opt.state[param]["exp_avg_sq"].item() < 0.1


# ---- The base class ----


def test_parameters_without_gradient_are_left_alone():
    used, unused = parameters()
    opt = optim.AdamW([used, unused], weight_decay=0.5)
    used.grad = tensor(np.ones_like(START))
    opt.step()
    assert np.array_equal(unused.array, SHIFT) and unused not in opt.state


def test_closure_is_called_with_gradients_on():
    params = parameters()
    opt = optim.SGD(params, 0.01)

    def closure():
        assert is_grad_enabled()
        opt.zero_grad()
        return gradients(tensor, *params)

    first, second = opt.step(closure), opt.step(closure)
    assert second.item() < first.item() and opt.step() is None


def test_zero_grad():
    params = parameters()
    opt = optim.SGD(params)
    gradients(tensor, *params)
    opt.zero_grad(set_to_none=False)
    assert not params[0].grad.array.any()
    opt.zero_grad()
    assert params[0].grad is None


def test_a_step_invalidates_a_graph_that_needs_the_old_values():
    layer = nn.Linear(2, 2)
    opt = optim.SGD(layer.parameters())
    x = ones(1, 2, requires_grad=True)
    loss = (layer(x) ** 2).sum()
    loss.backward(retain_graph=True)
    opt.step()
    with pytest.raises(RuntimeError, match=r"SGD\.step"):
        loss.backward()


def test_gradients_are_not_changed_by_a_step():
    for name, options in CASES:
        params = parameters()
        opt = getattr(optim, name)(groups(*params), **options)
        gradients(tensor, *params)
        before = [p.grad.array.copy() for p in params]
        opt.step()
        assert all(np.array_equal(p.grad.array, b) for p, b in zip(params, before)), name


def test_groups_and_state_dict_have_pytorchs_layout():
    weight, shift = parameters()
    opt = optim.AdamW(groups(weight, shift), lr=0.1)
    assert [g["lr"] for g in opt.param_groups] == [0.1, 0.02]
    assert [g["weight_decay"] for g in opt.param_groups] == [0.01, 0.0]
    opt.add_param_group({"params": [nn.Parameter(ones(2))], "lr": 1.0})
    gradients(tensor, weight, shift)
    opt.step()
    state = opt.state_dict()
    assert [g["params"] for g in state["param_groups"]] == [[0], [1], [2]]
    assert set(state["state"]) == {0, 1}
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert "lr: 0.1" in repr(opt) and repr(opt).startswith("AdamW (\nParameter Group 0")


def test_pytorchs_state_dict_can_be_loaded():
    torch = pytest.importorskip("torch")
    theirs, ours = parameters(torch.tensor), parameters()
    opt_theirs, opt = torch.optim.AdamW(groups(*theirs)), optim.AdamW(groups(*ours))
    for _ in range(3):
        opt_theirs.zero_grad()
        gradients(torch.tensor, *theirs)
        opt_theirs.step()
    for a, b in zip(ours, theirs):
        a.detach().copy_(tensor(b.detach().numpy()))
    opt.load_state_dict(opt_theirs.state_dict())
    for _ in range(3):
        for o, make, params in ((opt, tensor, ours), (opt_theirs, torch.tensor, theirs)):
            o.zero_grad()
            gradients(make, *params)
            o.step()
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.array, b.detach(), rtol=1e-9)


def test_load_state_dict_refuses_other_groups():
    weight, shift = parameters()
    one, two = optim.SGD([weight, shift]), optim.SGD(groups(weight, shift))
    with pytest.raises(ValueError, match="different number of parameter groups"):
        one.load_state_dict(two.state_dict())
    with pytest.raises(ValueError, match="doesn't match the size"):
        optim.SGD([weight]).load_state_dict(one.state_dict())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -1.0}, "Invalid learning rate: -1.0"),
        ("SGD", {"momentum": -0.1}, "Invalid momentum value: -0.1"),
        ("SGD", {"weight_decay": -0.1}, "Invalid weight_decay value: -0.1"),
        ("SGD", {"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "zero dampening"),
        ("Adam", {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
        ("AdamW", {"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
        ("Adam", {"lr": math.nan}, "Invalid learning rate: nan"),
        ("RMSprop", {"eps": -1e-8}, "Invalid eps value"),
        ("RMSprop", {"alpha": -1}, "Invalid alpha value"),
        ("Adagrad", {"lr_decay": -1}, "Invalid lr_decay value"),
        ("Adagrad", {"initial_accumulator_value": -1}, "Invalid initial_accumulator_value value"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)(parameters(), **options)


def test_bad_parameters_are_refused():
    weight, shift = parameters()
    with pytest.raises(TypeError, match="iterable of Tensors or dicts"):
        optim.SGD(weight)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="only optimize Tensors, got ndarray"):
        optim.SGD([START])
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([weight * 2])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [weight]}, {"params": [shift, weight]}])
    with pytest.raises(TypeError, match="must be a dict"):
        optim.SGD([weight]).add_param_group([shift])
