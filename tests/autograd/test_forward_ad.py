"""Forward mode: every op on every sample against reverse mode; both modes around each other."""

import numpy as np
import pytest
from samples import BY_OP as ALL
from samples import OPS

import tinygen as tg
from tinygen.autograd.forward_ad import dual_level, make_dual, unpack_dual
from tinygen.autograd.fused import Fused
from tinygen.autograd.tensor import Tensor

BY_OP = {name: [s for s in samples if s.differentiable] for name, samples in ALL.items()}


def results(out) -> list[Tensor]:
    outputs = out if isinstance(out, tuple | list) else [out]
    return [y for y in outputs if isinstance(y, Tensor) and y.dtype.kind == "f"]


@pytest.mark.parametrize("samples", [s for s in BY_OP.values() if s], ids=lambda s: s[0].op)
def test_both_modes_are_transposes_of_each_other(samples):
    """⟨cotangent, J tangent⟩ = ⟨J' cotangent, tangent⟩ for random tangents and cotangents."""
    for sample in samples:
        rng = np.random.default_rng(3)
        args = sample.tensors()
        inputs = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
        tangents = [Tensor(np.asarray(rng.standard_normal(x.shape))) for x in inputs]
        with dual_level():
            moving = iter([make_dual(x, t) for x, t in zip(inputs, tangents)])
            outputs = results(
                sample.function(*[next(moving) if any(a is x for x in inputs) else a for a in args])
            )
            pushed = [unpack_dual(y).tangent for y in outputs]
        cotangents = [Tensor(np.asarray(rng.standard_normal(y.shape))) for y in outputs]
        pulled = tg.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
        forward = sum((c * t).sum().item() for c, t in zip(cotangents, pushed) if t is not None)
        reverse = sum((g * t).sum().item() for g, t in zip(pulled, tangents) if g is not None)
        assert forward == pytest.approx(reverse, rel=1e-9, abs=1e-11), sample.name


def test_the_numbers_of_a_textbook():
    with dual_level():
        x = make_dual(tg.tensor(2.0), tg.tensor(1.0))
        y = unpack_dual(tg.sin(x * x))
    assert y.primal.item() == pytest.approx(np.sin(4.0), rel=1e-6)
    assert y.tangent.item() == pytest.approx(4 * np.cos(4.0), rel=1e-6)


def network(x, w):
    """Every kind of op: pointwise, linear, fused, with several outputs, composed."""
    h = tg.nn.functional.layer_norm(tg.nn.functional.gelu(x @ w), (4,))
    a, b = h.chunk(2, -1)
    q = tg.cat([a * b, b.softmax(-1)], -1).reshape(1, 1, 3, 4)
    y = tg.nn.functional.scaled_dot_product_attention(q, q, q)
    return (y**2).sum() + h.amax()


@pytest.fixture
def point():
    rng = np.random.default_rng(0)
    draw = lambda *shape: tg.tensor(rng.standard_normal(shape))
    return draw(3, 5), draw(5, 4), draw(3, 5), draw(5, 4)


def differences(f, x, direction, h=1e-5):
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


def test_through_a_network(point):
    x, w, dx, dw = point
    with dual_level():
        found = unpack_dual(network(make_dual(x, dx), make_dual(w, dw))).tangent.item()
    step = lambda h: network(x + h * dx, w + h * dw).item()
    assert found == pytest.approx((step(1e-5) - step(-1e-5)) / 2e-5, rel=1e-7)


def gradient(x, w):
    x = x.detach().requires_grad_()
    return tg.autograd.grad(network(x, w), x)[0]


def test_forward_over_reverse_is_the_hessian_times_a_vector(point):
    x, w, dx, _ = point
    with dual_level():
        moving = make_dual(x.clone().requires_grad_(), dx)
        (g,) = tg.autograd.grad(network(moving, w), moving)
        found = unpack_dual(g).tangent
    expected = differences(lambda x: gradient(x, w), x, dx)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)


def test_reverse_over_forward_is_the_hessian_times_a_vector(point):
    x, w, dx, _ = point
    leaf = x.clone().requires_grad_()
    with dual_level():
        y = unpack_dual(network(make_dual(leaf, dx), w)).tangent
    (found,) = tg.autograd.grad(y, leaf)
    expected = differences(lambda x: gradient(x, w), x, dx)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)


def test_a_function_of_the_users_own_moves_as_its_gradient_says():
    class StraightThrough(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, g):
            return 3 * g

    with dual_level():
        y = StraightThrough.apply(make_dual(tg.tensor([1.2, 2.7]), tg.tensor([1.0, -2.0])))
        np.testing.assert_array_equal(unpack_dual(y).tangent.numpy(), [3.0, -6.0])


def test_integers_and_comparisons_do_not_move():
    with dual_level():
        x = make_dual(tg.tensor([1.0, 3.0]), tg.tensor([1.0, 1.0]))
        assert unpack_dual(x > 2).tangent is None
        assert unpack_dual(x.argmax()).tangent is None
        assert unpack_dual(x.detach()).tangent is None
        np.testing.assert_array_equal(unpack_dual(tg.where(x > 2, x, 0.0)).tangent.numpy(), [0, 1])


def test_tangents_end_with_their_level():
    with dual_level():
        x = make_dual(tg.tensor(2.0), tg.tensor(1.0))
        y = x * x
    assert x.tangent is None and y.tangent is None
    with dual_level():
        assert unpack_dual(x * make_dual(tg.tensor(3.0), tg.tensor(1.0))).tangent.item() == 2


def test_what_is_refused():
    x, t = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0])
    with pytest.raises(RuntimeError, match="needs an open level"):
        make_dual(x, t)
    with dual_level():
        with pytest.raises(RuntimeError, match=r"the tangent is float32 \(1,\)"):
            make_dual(x, t[:1])
        with pytest.raises(ValueError, match="only floats"):
            make_dual(tg.tensor([1]), tg.tensor([1]))
        with pytest.raises(RuntimeError, match="can't be nested"), dual_level():
            pass
        dual = make_dual(x, t)
        with pytest.raises(RuntimeError, match="does not follow in-place"):
            dual.add_(1)
        still = tg.zeros(2)
        with pytest.raises(RuntimeError, match="does not follow in-place"):
            still[0] = dual[0]
        with pytest.raises(RuntimeError, match="does not follow in-place"):
            still.add_(dual)
    with dual_level():  # the failed one has closed nothing but itself
        make_dual(x, t)


def test_no_kernel_swallows_a_tangent():
    """Every fused op has a sample here through which a tangent passes."""
    fused = {name for name, op in OPS.items() if isinstance(op, Fused)}
    assert fused and fused <= {name for name, samples in BY_OP.items() if samples}
