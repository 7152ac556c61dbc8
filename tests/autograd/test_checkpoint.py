"""Gradient checkpointing: the same gradients, from less memory."""

import tracemalloc

import numpy as np
import pytest

import tinygen as tg
from tinygen.utils.checkpoint import checkpoint, checkpoint_sequential


@pytest.fixture
def layers():
    """Four blocks with parameters, two inputs each, dropout, and something in place."""
    tg.manual_seed(0)

    class Block(tg.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = tg.nn.Linear(6, 6, dtype=tg.float64)
            self.drop = tg.nn.Dropout(0.3)

        def forward(self, x, skip):
            h = tg.tanh(self.linear(x))
            h = h * 2
            h += skip
            return self.drop(h), h.sum(-1, keepdim=True).sigmoid()

    return [Block() for _ in range(4)]


def through(layers, x, call):
    skip = x * 0.1
    for layer in layers:
        x, skip = call(layer, x, skip)
    return (x**3).sum() + skip.sum()


def plain(layer, *args):
    return layer(*args)


def all_gradients(layers, x, call, **options):
    tg.manual_seed(1)
    leaves = [x, *[p for layer in layers for p in layer.parameters()]]
    return tg.autograd.grad(through(layers, x, call), leaves, **options)


@pytest.fixture
def x():
    return tg.randn(5, 6, dtype=tg.float64, requires_grad=True)


def test_gradients_are_those_without(layers, x):
    """Of inputs and parameters, with the same dropout."""
    expected = all_gradients(layers, x, plain)
    for g, e in zip(all_gradients(layers, x, checkpoint), expected):
        np.testing.assert_array_equal(g.numpy(), e.numpy())


def test_backward_fills_grad_and_moves_the_random_numbers_on_once(layers, x):
    tg.manual_seed(1)
    through(layers, x, checkpoint).backward()
    after = tg.rand(3).numpy()
    expected = all_gradients(layers, x, plain)
    np.testing.assert_array_equal(x.grad.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(after, tg.rand(3).numpy())


def test_gradients_of_gradients(layers, x):
    def second(call):
        found = all_gradients(layers, x, call, create_graph=True)
        return tg.autograd.grad(sum((g**2).sum() for g in found), x)[0].numpy()

    np.testing.assert_allclose(second(checkpoint), second(plain), rtol=1e-10)


def test_inside_of_one_another(layers, x):
    whole = lambda x: through(layers, x, checkpoint)
    tg.manual_seed(1)
    (found,) = tg.autograd.grad(checkpoint(whole, x), x)
    np.testing.assert_array_equal(found.numpy(), all_gradients(layers, x, plain)[0].numpy())


def test_an_argument_that_was_computed_from_another_counts_once():
    x = tg.tensor(0.7, dtype=tg.float64, requires_grad=True)
    y = x * x
    f = lambda x, y: x * y
    (found,) = tg.autograd.grad(checkpoint(f, x, y), x)
    assert found.item() == pytest.approx(3 * 0.7**2)


def test_hooks_run_once():
    x = tg.ones(2, requires_grad=True)
    y = x * 2
    calls = []
    x.register_hook(lambda g: calls.append("x"))
    y.register_hook(lambda g: calls.append("y"))
    checkpoint(tg.tanh, y).sum().backward()
    assert calls == ["y", "x"]


def test_less_is_kept():
    def peak(call) -> int:
        x = tg.ones(100_000, requires_grad=True)
        tracemalloc.start()
        for _ in range(6):
            x = call(deep, x)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        x.sum().backward()
        return most

    def deep(x):
        for _ in range(10):
            x = tg.sin(x)
        return x

    deep(tg.ones(100_000))  # what is made once: compilers under a trace crawl
    assert peak(checkpoint) < 0.4 * peak(lambda f, x: f(x))


def test_a_sequence_in_segments():
    tg.manual_seed(0)
    net = tg.nn.Sequential(*[tg.nn.Linear(4, 4, dtype=tg.float64) for _ in range(5)])
    x = tg.randn(3, 4, dtype=tg.float64, requires_grad=True)
    leaves = [x, *net.parameters()]
    expected = tg.autograd.grad((net(x) ** 2).sum(), leaves)
    for segments in (1, 2, 5):
        found = tg.autograd.grad((checkpoint_sequential(net, segments, x) ** 2).sum(), leaves)
        for g, e in zip(found, expected):
            np.testing.assert_array_equal(g.numpy(), e.numpy())
    with pytest.raises(ValueError, match=r"segments must be in \[1, 5\]"):
        checkpoint_sequential(net, 6, x)


def test_without_a_gradient_it_is_a_call():
    with tg.no_grad():
        assert not checkpoint(tg.tanh, tg.ones(2, requires_grad=True)).requires_grad
    assert checkpoint(lambda x: (x, "text", None), tg.ones(2))[1:] == ("text", None)


def test_what_is_refused():
    x = tg.ones(2, requires_grad=True)
    y = checkpoint(tg.tanh, x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        y.backward()

    z = x * 2
    y = checkpoint(tg.tanh, z).sum()
    z.mul_(3)
    with pytest.raises(RuntimeError, match=r"argument of tanh.*modified.*mul_"):
        y.backward()

    shapes = iter([(2,), (1, 2)])
    y = checkpoint(lambda x: (x * 2).reshape(next(shapes)), x).sum()
    with pytest.raises(RuntimeError, match="something else the second time"):
        y.backward()
