"""Custom Functions: forward and backward by hand, in the graph as any other op."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import Function
from tinygen.autograd.gradcheck import gradcheck, gradgradcheck
from tinygen.autograd.tensor import Tensor


def leaf(*values) -> Tensor:
    return Tensor(np.array(values or [0.5, 1.0, 2.0]), requires_grad=True)


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx, x):
        y = tg.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Product(Function):
    """Saves its inputs, and has an argument that is no tensor."""

    @staticmethod
    def forward(ctx, x, factor, y):
        ctx.save_for_backward(x, y)
        ctx.factor = factor
        return factor * x * y

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y * ctx.factor, None, g * x * ctx.factor


class SumAndDifference(Function):
    """Two outputs."""

    @staticmethod
    def forward(ctx, x, y):
        return x + y, x - y

    @staticmethod
    def backward(ctx, g_sum, g_difference):
        return g_sum + g_difference, g_sum - g_difference


def function_of(forward, backward) -> type[Function]:
    return type(
        "Mine", (Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    )


@pytest.mark.parametrize("call", [
    Exp.apply, lambda x: Product.apply(x, 3.0, x * 2), SumAndDifference.apply,
    lambda x: SumAndDifference.apply(Exp.apply(x), x)[1],
], ids=["exp", "product", "two outputs", "nested"])  # fmt: skip
def test_gradients_of_first_and_second_order(call):
    args = (leaf(), leaf(1.0, 2.0, 3.0)) if call == SumAndDifference.apply else (leaf(),)
    assert gradcheck(call, args)
    assert gradgradcheck(call, args)


def test_third_order_through_a_saved_output():
    x = leaf(0.3)
    g = Exp.apply(x)
    for _ in range(3):
        (g,) = tg.autograd.grad(g, x, create_graph=True)
    assert g.item() == pytest.approx(np.exp(0.3))


def test_only_one_of_several_outputs_is_used():
    x, y = leaf(), leaf()
    _, difference = SumAndDifference.apply(x, y)
    difference.sum().backward()
    assert x.grad.tolist() == [1, 1, 1] and y.grad.tolist() == [-1, -1, -1]


def test_outputs_used_several_times_and_apart():
    x, y = leaf(), leaf()
    total, difference = SumAndDifference.apply(x, y)
    (total * 2 + difference).sum().backward(retain_graph=True)
    assert x.grad.tolist() == [3, 3, 3] and y.grad.tolist() == [1, 1, 1]
    (g,) = tg.autograd.grad(difference.sum(), y)
    assert g.tolist() == [-1, -1, -1]


def test_grad_with_respect_to_an_output():
    x, y = leaf(), leaf()
    total, difference = SumAndDifference.apply(x, y)
    g, h = tg.autograd.grad((total * total + 3 * difference).sum(), [total, difference])
    np.testing.assert_allclose(g.numpy(), 2 * total.detach().numpy())
    assert h.tolist() == [3, 3, 3]


def test_needs_input_grad():
    seen = []

    def backward(ctx, g):
        seen.append(ctx.needs_input_grad)
        return g, g, None

    op = function_of(lambda ctx, x, y, n: x + y, backward)
    op.apply(leaf(), leaf().detach(), 3).sum().backward()
    assert seen == [(True, False, False)]


def test_nothing_is_recorded_without_need():
    for x in (leaf().detach(), tg.tensor([1, 2, 3])):
        assert not Exp.apply(x).requires_grad
    with tg.no_grad():
        assert not Exp.apply(leaf()).requires_grad


def test_ops_inside_of_forward_are_not_recorded():
    modes = []
    op = function_of(
        lambda ctx, x: modes.append(tg.is_grad_enabled()) or x * 2, lambda ctx, g: g * 2
    )
    y = op.apply(leaf())
    assert modes == [False] and tg.is_grad_enabled()
    assert y.grad_fn.op.name == "Mine"


def test_none_means_no_gradient():
    x, y = leaf(), leaf()
    op = function_of(lambda ctx, x, y: x * y, lambda ctx, g: (g, None))
    op.apply(x, y).sum().backward()
    assert y.grad is None and x.grad.tolist() == [1, 1, 1]


def test_mark_non_differentiable():
    def forward(ctx, x):
        best, where = x * 2, x.floor()
        ctx.mark_non_differentiable(where)
        return best, where

    best, where = function_of(forward, lambda ctx, g, unused: g * 2).apply(leaf())
    assert best.requires_grad and not where.requires_grad
    best.sum().backward()


def test_integer_outputs_carry_no_gradient():
    op = function_of(lambda ctx, x: (x.argmax(), x * 1), lambda ctx, unused, g: g)
    index, y = op.apply(leaf())
    assert not index.requires_grad and y.requires_grad
    y.sum().backward()


def test_wrong_number_of_gradients():
    op = function_of(lambda ctx, x, y: x * y, lambda ctx, g: g)
    with pytest.raises(RuntimeError, match=r"Mine.backward returned 1 gradients; forward took 2"):
        op.apply(leaf(), leaf()).sum().backward()


def test_wrong_shape_of_a_gradient():
    op = function_of(lambda ctx, x: x.sum(), lambda ctx, g: g)
    with pytest.raises(
        RuntimeError, match=r"Mine.backward.*shape \(\) for an argument of shape \(3,\)"
    ):
        op.apply(leaf()).backward()


def test_methods_that_are_missing():
    class Empty(Function):
        pass

    with pytest.raises(TypeError, match="static method forward"):
        Empty.apply(leaf())
    op = type("Half", (Function,), {"forward": staticmethod(lambda ctx, x: x * 2)})
    with pytest.raises(TypeError, match="static method backward"):
        op.apply(leaf()).sum().backward()


def test_saved_input_that_was_written_to():
    h = leaf() * 1
    y = Product.apply(h, 2.0, leaf())
    h.add_(1)
    with pytest.raises(RuntimeError, match=r"saved tensor of Product.*add_"):
        y.sum().backward()


def test_saved_output_that_was_written_to():
    y = Exp.apply(leaf())
    y.mul_(2)
    with pytest.raises(RuntimeError, match=r"saved tensor of Exp.*mul_"):
        y.sum().backward()


def test_second_backward_says_so():
    y = Exp.apply(leaf()).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        y.backward()


def test_second_backward_directly_on_an_output():
    y = Exp.apply(leaf(1.0))
    y.backward()
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        y.backward()


def test_a_cotangent_that_is_returned_is_not_shared():
    """backward may hand out the same tensor for two arguments, or keep it."""
    kept = []
    op = function_of(lambda ctx, x, y: x + y, lambda ctx, g: (kept.append(g), (g, g))[1])
    x, y = leaf(), leaf()
    op.apply(x, y).sum().backward()
    x.grad.mul_(10)
    assert y.grad.tolist() == [1, 1, 1] and kept[0].tolist() == [1, 1, 1]


def test_an_argument_returned_as_it_is():
    op = function_of(lambda ctx, x: x, lambda ctx, g: g * 5)
    x = leaf()
    y = op.apply(x)
    assert y is not x and x.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [5, 5, 5]


def test_a_view_of_an_argument_is_returned():
    op = function_of(
        lambda ctx, x: x[1:], lambda ctx, g: tg.cat([tg.zeros(1, dtype=g.dtype), g * 5])
    )
    x = leaf()
    op.apply(x * 1).sum().backward()
    assert x.grad.tolist() == [0, 5, 5]


def test_only_the_wanted_inputs():
    x, y = leaf(), leaf()
    out = Product.apply(x, 2.0, y).sum()
    (g,) = tg.autograd.grad(out, y)
    np.testing.assert_allclose(g.numpy(), 2 * x.detach().numpy())
    assert x.grad is None


def test_hooks_on_outputs():
    x, seen = leaf(), []
    total, _ = SumAndDifference.apply(x, leaf())
    total.register_hook(lambda g: seen.append(g.tolist()) or g * 3)
    total.sum().backward()
    assert seen == [[1, 1, 1]] and x.grad.tolist() == [3, 3, 3]


def test_straight_through_estimator():
    """The usual reason for a Function: a gradient that is not that of the forward pass."""
    op = function_of(lambda ctx, x: x.round(), lambda ctx, g: g)
    x = leaf(0.2, 0.9)
    op.apply(x).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_gradient_of_backward_that_uses_numpy_is_cut_and_noticed():
    op = function_of(
        lambda ctx, x: (ctx.save_for_backward(x), x**2)[1],
        lambda ctx, g: g * Tensor(2 * ctx.saved_tensors[0].detach().numpy()),
    )
    assert gradcheck(op.apply, leaf())
    with pytest.raises(RuntimeError, match="cut"):
        gradgradcheck(op.apply, leaf())
