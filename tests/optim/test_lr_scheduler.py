"""Schedulers: PyTorch's learning rates, closed forms, resuming."""

import math

import pytest

from tinygen import nn, optim
from tinygen.autograd.creation import zeros
from tinygen.optim import lr_scheduler as ours

CASES = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda t: 0.9**t),
    "LambdaLR, a list": lambda m, o: m.LambdaLR(o, [lambda t: 1 / (t + 1), lambda t: t]),
    "StepLR": lambda m, o: m.StepLR(o, 4, 0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [9, 3, 3], 0.3),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.8),
    "LinearLR": lambda m, o: m.LinearLR(o),
    "LinearLR down": lambda m, o: m.LinearLR(o, 1.0, 0.0, total_iters=12),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, 7),
    "CosineAnnealingLR, eta_min": lambda m, o: m.CosineAnnealingLR(o, 10, eta_min=0.03),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, 1.0, total_steps=30),
    "OneCycleLR, all options": lambda m, o: m.OneCycleLR(
        o,
        [1.0, 2.0],
        epochs=3,
        steps_per_epoch=10,
        pct_start=0.25,
        anneal_strategy="linear",
        base_momentum=0.7,
        max_momentum=0.8,
        div_factor=10.0,
        final_div_factor=100.0,
        three_phase=True,
    ),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o,
        [m.LinearLR(o, 0.1, total_iters=4), m.CosineAnnealingLR(o, 12), m.ExponentialLR(o, 0.5)],
        milestones=[4, 16],
    ),
    "SequentialLR of lambdas": lambda m, o: m.SequentialLR(
        o, [m.LambdaLR(o, lambda t: t / 5), m.StepLR(o, 3)], milestones=[5]
    ),
    "two at once": lambda m, o: [m.ExponentialLR(o, 0.9), m.LinearLR(o, 0.5, total_iters=6)],
    "cosine on top of steps": lambda m, o: [m.StepLR(o, 5), m.CosineAnnealingLR(o, 25, 1e-4)],
}


def optimizer(module=optim, make=lambda: nn.Parameter(zeros(1)), name="SGD"):
    groups = [{"params": [make()]}, {"params": [make()], "lr": 0.3}]
    options = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(module, name)(groups, lr=0.1, **options)


def run(build, module, opt, steps=28):
    """The rates and momenta after 0, 1, … steps, as the optimizer sees them."""
    found = build(module, opt)
    schedulers = found if isinstance(found, list) else [found]
    history = []
    for _ in range(steps + 1):
        momenta = [g.get("momentum", g.get("betas")) for g in opt.param_groups]
        history.append(([g["lr"] for g in opt.param_groups], momenta, schedulers[-1].get_last_lr()))
        opt.step()
        for scheduler in schedulers:
            scheduler.step()
    return history


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("case", CASES)
def test_rates_are_pytorchs(case, name):
    torch = pytest.importorskip("torch")
    found = run(CASES[case], ours, optimizer(name=name))
    make = lambda: torch.zeros(1, requires_grad=True)
    expected = run(CASES[case], torch.optim.lr_scheduler, optimizer(torch.optim, make, name))
    for step, (a, b) in enumerate(zip(found, expected)):
        for x, y in zip(a, b):
            flat_x, flat_y = (
                [v for part in z for v in (part if isinstance(part, tuple) else (part,))]
                for z in (x, y)
            )
            assert flat_x == pytest.approx(flat_y, rel=1e-9, abs=1e-15), step


# ---- Closed forms, without PyTorch ----


def rates(build, steps):
    return [lrs[0] for lrs, _, _ in run(build, ours, optimizer(), steps)]


def test_closed_forms():
    assert rates(lambda m, o: m.StepLR(o, 2, 0.5), 4) == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.025]
    )
    assert rates(lambda m, o: m.MultiStepLR(o, [1, 3]), 3) == pytest.approx([0.1, 0.01, 0.01, 1e-3])
    assert rates(lambda m, o: m.ExponentialLR(o, 0.5), 2) == pytest.approx([0.1, 0.05, 0.025])
    linear = rates(lambda m, o: m.LinearLR(o, 0.5, total_iters=2), 3)
    assert linear == pytest.approx([0.05, 0.075, 0.1, 0.1])
    cosine = rates(lambda m, o: m.CosineAnnealingLR(o, 4, 0.02), 4)
    expected = [0.02 + 0.08 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)]
    assert cosine == pytest.approx(expected)


def test_warmup_cosine_is_nanogpts():
    def nanogpt(t, lr=0.1, warmup=5, total=20, least=0.01):
        """get_lr of nanoGPT's train.py."""
        if t < warmup:
            return lr * (t + 1) / (warmup + 1)
        if t > total:
            return least
        ratio = (t - warmup) / (total - warmup)
        return least + 0.5 * (1.0 + math.cos(math.pi * ratio)) * (lr - least)

    found = rates(lambda m, o: m.WarmupCosineLR(o, 5, 20, min_lr=0.01), 25)
    assert found == pytest.approx([nanogpt(t) for t in range(26)], rel=1e-12)
    with pytest.raises(ValueError, match="warmup_steps must be in"):
        ours.WarmupCosineLR(optimizer(), 5, 5)


def test_one_cycle_corners():
    opt = optimizer()
    history = run(lambda m, o: m.OneCycleLR(o, 2.0, total_steps=20, pct_start=0.5), ours, opt, 19)
    first, peak, last = history[0], history[9], history[19]
    assert (first[0][0], first[1][0]) == pytest.approx((2.0 / 25, 0.95))
    assert (peak[0][0], peak[1][0]) == pytest.approx((2.0, 0.85))
    assert (last[0][0], last[1][0]) == pytest.approx((2.0 / 25 / 1e4, 0.95))
    steady = optimizer()
    run(lambda m, o: m.OneCycleLR(o, 2.0, total_steps=20, cycle_momentum=False), ours, steady, 5)
    assert steady.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize("case", [c for c in CASES if not c.startswith("two at")])
def test_resuming_is_bit_identical(case):
    build = lambda opt: [s] if not isinstance(s := CASES[case](ours, opt), list) else s
    opt = optimizer()
    schedulers = build(opt)
    for _ in range(6):
        for s in schedulers:
            s.step()
    saved, saved_optimizer = [s.state_dict() for s in schedulers], opt.state_dict()
    other = optimizer()
    resumed = build(other)
    other.load_state_dict(saved_optimizer)
    for s, state in zip(resumed, saved):
        s.load_state_dict(state)
    for _ in range(15):
        for s in (*schedulers, *resumed):
            s.step()
        assert [g["lr"] for g in opt.param_groups] == [g["lr"] for g in other.param_groups]
    assert [s.last_epoch for s in schedulers] == [s.last_epoch for s in resumed]


def test_last_epoch_goes_on_from_an_earlier_count():
    opt = optimizer()
    before = ours.ExponentialLR(opt, 0.5)
    for _ in range(3):
        before.step()
    after = ours.ExponentialLR(opt, 0.5, last_epoch=before.last_epoch)
    assert after.get_last_lr() == pytest.approx([0.1 * 0.5**4, 0.3 * 0.5**4])
    with pytest.raises(KeyError, match="initial_lr"):
        ours.StepLR(optimizer(), 2, last_epoch=3)


def test_a_rate_set_by_hand_is_scaled_on():
    opt = optimizer()
    scheduler = ours.ExponentialLR(opt, 0.5)
    opt.param_groups[0]["lr"] = 8.0
    scheduler.step()
    assert opt.param_groups[0]["lr"] == 4.0


def test_lambdas_are_not_saved_but_objects_are():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, t):
            return self.rate**t

    saved = ours.LambdaLR(optimizer(), [Decay(0.5), lambda t: 1.0]).state_dict()
    assert saved["lr_lambdas"] == [{"rate": 0.5}, None] and "optimizer" not in saved
    other = ours.LambdaLR(optimizer(), [Decay(0.9), lambda t: 1.0])
    other.load_state_dict(saved)
    assert other.lr_lambdas[0].rate == 0.5


def test_refusals():
    opt = optimizer()
    adagrad = optim.Adagrad([nn.Parameter(zeros(1))])
    with pytest.raises(TypeError, match="not an Optimizer"):
        ours.StepLR([opt], 3)
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas, but got 1"):
        ours.LambdaLR(opt, [lambda t: t])
    with pytest.raises(ValueError, match="Starting multiplicative factor"):
        ours.LinearLR(opt, 0.0)
    with pytest.raises(ValueError, match="Ending multiplicative factor"):
        ours.LinearLR(opt, 0.5, 1.5)
    with pytest.raises(ValueError, match="one more than the number of milestone"):
        ours.SequentialLR(opt, [ours.StepLR(opt, 1)], [3])
    with pytest.raises(ValueError, match="must drive the optimizer"):
        ours.SequentialLR(opt, [ours.StepLR(optimizer(), 1)], [])
    with pytest.raises(ValueError, match="must support momentum or beta1"):
        ours.OneCycleLR(adagrad, 1.0, 10)
    with pytest.raises(ValueError, match="total_steps"):
        ours.OneCycleLR(opt, 1.0, epochs=3)
    with pytest.raises(ValueError, match="'cos' or 'linear', instead got cosine"):
        ours.OneCycleLR(opt, 1.0, 10, anneal_strategy="cosine")
    with pytest.raises(ValueError, match="expected 2 values for max_lr"):
        ours.OneCycleLR(opt, [1.0], 10)
    cycle = ours.OneCycleLR(opt, 1.0, 2)
    cycle.step()
    cycle.step()
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        cycle.step()
