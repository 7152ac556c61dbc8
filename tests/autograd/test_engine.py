"""Reverse mode: what is visited, kept and freed, and what is said if it can't be done."""

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import engine
from tinygen.autograd.primitive import Primitive
from tinygen.autograd.tensor import Node, Tensor

grad = tg.autograd.grad


def leaf(*values, dtype=np.float64) -> Tensor:
    return Tensor(np.array(values or [1.0, 2.0, 3.0], dtype), requires_grad=True)


@pytest.fixture
def visited(monkeypatch):
    """The names of the ops whose VJPs ran, in order."""
    names = []
    cotangents = Primitive.cotangents

    def counting(self, node, *args):
        names.append(self.name)
        return cotangents(self, node, *args)

    monkeypatch.setattr(Primitive, "cotangents", counting)
    return names


# ---- Graphs of any shape -------------------------------------------------------------------------


def test_chain_of_100_000_nodes():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward(retain_graph=True)
    assert x.grad.item() == 1
    assert grad(y, x)[0].item() == 1
    del y  # takes 100,000 nodes apart, without recursion


def test_dropping_a_deep_graph_that_was_never_used():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y * 1.0
    del y


def test_deep_graph_of_gradients():
    x = leaf(0.5)
    y = x
    for _ in range(2000):
        y = y * 1.0 + 0.0
    (g,) = grad(y * y, x, create_graph=True)
    assert grad(g, x)[0].item() == pytest.approx(2)


def test_wide_graph():
    x = leaf(1.0)
    parts = [x * float(i) for i in range(2000)]
    tg.stack(parts).sum().backward()
    assert x.grad.item() == 1999 * 1000


def test_every_node_is_visited_once(visited):
    x = leaf(1.0)
    y = x
    for _ in range(40):  # 2^40 paths
        y = y + y
    y.backward()
    assert x.grad.item() == 2**40
    assert visited == ["add"] * 40


def test_paths_of_different_length_meet():
    x = leaf(2.0)
    a = x * 3
    b = (a * a).exp().log() + a
    (b * x + a).backward()
    # d/dx of (9x² + 3x) x + 3x
    assert x.grad.item() == pytest.approx(27 * 4 + 6 * 2 + 3)


def test_several_outputs():
    x, y = leaf(2.0), leaf(3.0)
    first, second = grad([x * y, x + y], [x, y])
    assert (first.item(), second.item()) == (4, 3)
    tg.autograd.backward([x * y, x * 2], [Tensor(np.array([2.0])), None])
    assert (x.grad.item(), y.grad.item()) == (8, 4)


def test_output_that_is_a_leaf_or_an_input():
    x = leaf(2.0)
    x.backward()
    assert x.grad.item() == 1
    y = x * 2
    assert [g.item() for g in grad(y, [y, x], retain_graph=True)] == [1, 2]
    assert [g.item() for g in grad([y, x], [x])] == [3]


# ---- Backward, twice and more --------------------------------------------------------------------


def test_second_backward_says_so():
    x = leaf()
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"freed.*retain_graph=True"):
        y.backward()
    with pytest.raises(RuntimeError, match=r"freed.*retain_graph=True"):
        grad(y, x)


def test_what_keeps_nothing_can_be_differentiated_twice():
    x = leaf()
    z = -x.expand((2, *x.shape))
    z.sum().backward()
    (z * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.array, np.full(x.shape, -6.0))


def test_shared_part_freed_by_another_output():
    x = leaf()
    h = x.exp()
    first, second = h.sum(), (h * h).sum()
    first.backward()
    with pytest.raises(RuntimeError, match="the graph behind exp was freed"):
        second.backward()


@pytest.mark.parametrize("op", [lambda x: tg.nn.functional.gelu(x), lambda x: x * 2.0 * x])
def test_retain_graph(op):
    x = leaf()
    y = op(x).sum()
    for _ in range(3):
        y.backward(retain_graph=True)
    once = grad(y, x)[0].numpy()
    np.testing.assert_allclose(x.grad.numpy(), 3 * once)


def test_create_graph_to_the_fourth_order():
    x = leaf(0.7)
    g = x.sin() * x.exp()
    for expected in (
        np.exp(0.7) * (np.sin(0.7) + np.cos(0.7)), 2 * np.exp(0.7) * np.cos(0.7),
        2 * np.exp(0.7) * (np.cos(0.7) - np.sin(0.7)), -4 * np.exp(0.7) * np.sin(0.7),
    ):  # fmt: skip
        (g,) = grad(g, x, create_graph=True)
        assert g.item() == pytest.approx(expected, rel=1e-12)


def test_backward_with_create_graph():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 18
    assert not x.grad.requires_grad


def test_gradient_of_a_gradient_that_is_constant():
    x = leaf()
    (g,) = grad((x * 2).sum(), x, create_graph=True)
    assert not g.requires_grad
    with pytest.raises(RuntimeError, match="no graph"):
        g.sum().backward()


def test_gradient_penalty():
    """As in WGAN-GP: a loss of an input gradient, differentiated for the weights."""
    w, x = leaf(), leaf(0.5, -1.0, 2.0)
    (g,) = grad((w * x * x).sum(), x, create_graph=True)
    (g * g).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 8 * w.detach().numpy() * x.detach().numpy() ** 2)


def test_hessian_vector_product_by_double_backward():
    x, v = leaf(), leaf()
    (g,) = grad((x**3).sum(), x, create_graph=True)
    (hv,) = grad(g, x, v.detach())
    np.testing.assert_allclose(hv.numpy(), 6 * x.detach().numpy() * v.detach().numpy())


# ---- grad(): only what is asked for --------------------------------------------------------------


def test_only_the_needed_part_is_visited(visited):
    x, w = leaf(), leaf()
    early = x.exp().sin()  # below what is asked for
    h = w * early
    aside = x.cos()  # beside it
    y = (h.tanh() + aside).sum()
    grad(y, w, retain_graph=True)
    assert sorted(visited) == ["add", "mul", "sum", "tanh"]
    visited.clear()
    grad(y, h)
    assert sorted(visited) == ["add", "sum", "tanh"]


def test_unwanted_vjps_do_not_run(monkeypatch):
    calls = []
    op = tg.autograd.primitive.registry["mul"]
    for i, (vjp, names) in list(op.vjps.items()):
        wrapped = lambda g, *a, i=i, vjp=vjp: calls.append(i) or vjp(g, *a)
        monkeypatch.setitem(op.vjps, i, (wrapped, names))
    monkeypatch.setattr(op, "plans", {})
    x, w = leaf().detach(), leaf()
    (x * w).sum().backward()
    assert calls == [1]
    calls.clear()
    x.requires_grad_()
    grad((x * w).sum(), x)
    assert calls == [0]


def test_inputs_that_are_not_leaves():
    x = leaf()
    h = x * 2
    y = (h * h).sum()
    g_h, g_x = grad(y, [h, x])
    np.testing.assert_allclose(g_h.numpy(), 2 * h.detach().numpy())
    np.testing.assert_allclose(g_x.numpy(), 8 * x.detach().numpy())
    assert x.grad is None and h.grad is None


def test_unused_inputs():
    x, unused = leaf(), leaf()
    with pytest.raises(RuntimeError, match=r"input 1 was not used.*allow_unused=True"):
        grad(x.sum(), [x, unused])
    g, nothing = grad(x.sum(), [x, unused], allow_unused=True)
    assert nothing is None and g.shape == (3,)


def test_inputs_without_requires_grad_are_refused():
    x = leaf()
    with pytest.raises(RuntimeError, match=r"input 0 does not require grad.*requires_grad_"):
        grad(x.sum(), tg.zeros(3))


def test_same_input_twice():
    x = leaf()
    a, b = grad((x * x).sum(), [x, x])
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_grad_touches_no_grad():
    x, w = leaf(), leaf()
    (x * w).sum().backward()
    before = x.grad.numpy().copy(), w.grad.numpy().copy()
    grad((x * w * 3).sum(), [x, w])
    np.testing.assert_array_equal(before, (x.grad.numpy(), w.grad.numpy()))


def test_backward_with_inputs():
    x, w = leaf(), leaf()
    h = x * 2
    y = (h * w).sum()
    y.backward(inputs=[w], retain_graph=True)
    assert x.grad is None
    np.testing.assert_allclose(w.grad.numpy(), h.detach().numpy())
    y.backward(inputs=[w, h])
    np.testing.assert_allclose(w.grad.numpy(), 2 * h.detach().numpy())
    np.testing.assert_allclose(h.grad.numpy(), w.detach().numpy())


# ---- Leaf gradients ------------------------------------------------------------------------------


def test_gradients_accumulate():
    x = leaf()
    for _ in range(3):
        (x * x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.detach().numpy())
    x.grad = None
    x.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(3))


@pytest.mark.parametrize("op", [
    lambda x, y: x + y, lambda x, y: (x.reshape(3, 1) + y.reshape(3, 1)).reshape(3),
    lambda x, y: tg.cat([x, y])[:3] + tg.stack([x, y])[1],
    lambda x, y: x.clone() + y.expand(2, 3)[0],
    lambda x, y: x.flip(0) + y.view(3), lambda x, y: x.T + y, lambda x, y: (x + y) * 1,
    lambda x, y: ((x + 1) + (y + 1)).clone() * 1, lambda x, y: (x - y.detach() + y) * 1,
])  # fmt: skip
def test_leaf_gradients_own_their_memory(op):
    x, y = leaf(), leaf()
    cotangent = tg.ones(3, dtype=tg.float64)
    op(x, y).backward(cotangent)
    right = y.grad.numpy().copy()
    x.grad.mul_(100)
    np.testing.assert_array_equal(y.grad.numpy(), right)
    assert cotangent.tolist() == [1, 1, 1]
    before = x.grad.numpy().copy()
    cotangent.zero_()
    y.grad.zero_()
    np.testing.assert_array_equal(x.grad.numpy(), before)


def test_the_cotangent_of_a_leaf_is_copied():
    x, cotangent = leaf(), tg.ones(3, dtype=tg.float64)
    x.backward(cotangent)
    x.grad.mul_(3)
    assert cotangent.tolist() == [1, 1, 1]


def test_accumulating_changes_nobody_elses_gradient():
    x = leaf()
    (x * 1).sum().backward()
    kept = x.grad.detach().clone()
    held = []
    x.register_hook(held.append)
    x.sum().backward()
    first = held[0].numpy().copy()
    x.sum().backward()
    np.testing.assert_array_equal(held[0].numpy(), first)
    np.testing.assert_array_equal(x.grad.numpy(), 3 * kept.numpy())


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64, tg.float16])
def test_gradient_has_the_dtype_of_its_leaf(dtype):
    x = tg.ones(3, dtype=dtype, requires_grad=True)
    (x.double() * 2.0).sum().backward()
    assert x.grad.dtype == dtype
    other = tg.ones(3, dtype=tg.float64, requires_grad=True)
    x.grad = None
    (x * other + np.float64(2)).sum().backward()
    assert (x.grad.dtype, other.grad.dtype) == (dtype, tg.float64)


def test_broadcast_leaf():
    b = leaf()
    (tg.ones(4, 3, dtype=tg.float64) * b).sum().backward()
    assert b.grad.shape == (3,)
    assert b.grad.tolist() == [4, 4, 4]


def test_zero_size():
    x = tg.zeros(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.shape == (0, 3)


# ---- Cotangents ----------------------------------------------------------------------------------


def test_cotangent_is_given():
    x = leaf()
    (x * 2).backward(tg.tensor([1.0, 0.0, -1.0]))
    assert x.grad.tolist() == [2, 0, -2] and x.grad.dtype == np.float64


def test_cotangent_may_be_an_array():
    for shape in [(3,), (1,), ()]:
        x = Tensor(np.ones(shape), requires_grad=True)
        (g,) = grad(x * 2, x, np.full(shape, 3.0))
        np.testing.assert_array_equal(g.numpy(), np.full(shape, 6.0))
        (x * 2).backward(np.full(shape, 3.0))
        np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, 6.0))


def test_cotangent_of_the_wrong_shape():
    with pytest.raises(RuntimeError, match=r"cotangent has shape \(2,\), the output \(3,\)"):
        (leaf() * 2).backward(tg.ones(2))


def test_wrong_number_of_cotangents():
    x = leaf()
    with pytest.raises(RuntimeError, match="got 2 cotangents for 1 output"):
        grad(x * 2, x, [tg.ones(3), tg.ones(3)])


def test_output_with_several_elements_needs_a_cotangent():
    with pytest.raises(RuntimeError, match=r"shape \(3,\): reduce it.*or pass a gradient"):
        (leaf() * 2).backward()
    x = leaf(2.0)
    (x * 2).backward()  # one element
    assert x.grad.shape == (1,)


def test_no_graph():
    for y in (tg.ones(1), leaf(1.0).detach() * 2):
        with pytest.raises(RuntimeError, match="no graph"):
            y.backward()
    with tg.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match=r"no_grad\(\)"):
        y.backward()


# ---- requires_grad -------------------------------------------------------------------------------


def test_only_floats_can_require_grad():
    for x in (tg.tensor([1, 2]), tg.tensor([True])):
        with pytest.raises(RuntimeError, match=r"only floating-point.*\.float\(\)"):
            x.requires_grad_()
        with pytest.raises(RuntimeError, match="only floating-point"):
            x.requires_grad = True
        x.requires_grad = False
    with pytest.raises(RuntimeError, match="only floating-point"):
        tg.tensor([1], requires_grad=True)
    with pytest.raises(RuntimeError, match="only floating-point"):
        tg.arange(3, requires_grad=True)


@pytest.mark.parametrize("op", [
    lambda x: x > 1, lambda x: x.argmax(), lambda x: x.isnan(), lambda x: x.argsort(),
    lambda x: x == x, lambda x: x.long(), lambda x: x.bool(), lambda x: x.to(tg.int32),
    lambda x: x.sum(dtype=tg.int64), lambda x: x.nonzero(),
])  # fmt: skip
def test_integer_results_require_none(op):
    y = op(leaf())
    assert y.dtype.kind in "bi" and not y.requires_grad and y.is_leaf
    assert not y.float().requires_grad


def test_result_of_an_op_cannot_stop_requiring_grad():
    y = leaf() * 2
    with pytest.raises(RuntimeError, match=r"detach\(\)"):
        y.requires_grad = False
    y.requires_grad = True
    x = leaf()
    assert x.requires_grad_(False) is x and not (x * 2).requires_grad


def test_is_leaf_and_grad_fn():
    x = leaf()
    y = x * 2
    assert x.is_leaf and x.grad_fn is None
    assert not y.is_leaf and y.grad_fn.op.name == "mul"
    assert y.detach().is_leaf and not y.detach().requires_grad
    assert (tg.ones(2) * 2).is_leaf


def test_freezing_between_two_passes():
    x, w = leaf(), leaf()
    w.requires_grad_(False)
    y = x * w
    w.requires_grad_(True)
    y.sum().backward()
    assert w.grad is None and x.grad is not None


# ---- Grad mode -----------------------------------------------------------------------------------


def test_grad_mode_as_context():
    x = leaf()
    with tg.no_grad():
        assert not tg.is_grad_enabled() and not (x * 2).requires_grad
        with tg.enable_grad():
            assert tg.is_grad_enabled() and (x * 2).requires_grad
        assert not tg.is_grad_enabled()
        with tg.set_grad_enabled(True):
            assert tg.is_grad_enabled()
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled() and (x * 2).requires_grad


def test_grad_mode_as_decorator():
    x = leaf()

    @tg.no_grad()
    def called():
        return x * 2

    @tg.no_grad
    def bare():
        return x * 2

    @tg.no_grad()
    def recursive(n):
        assert not tg.is_grad_enabled()
        return recursive(n - 1) if n else x * 2

    @tg.enable_grad()
    def enabled():
        return x * 2

    assert not any(f().requires_grad for f in (called, bare)) and not recursive(3).requires_grad
    with tg.no_grad():
        assert enabled().requires_grad
    assert tg.is_grad_enabled() and called.__name__ == "called"


def test_grad_mode_is_undone_by_exceptions():
    for context in (tg.no_grad, lambda: tg.set_grad_enabled(False)):
        with pytest.raises(ZeroDivisionError), context():
            1 / 0  # noqa: B018
        assert tg.is_grad_enabled()
    x = leaf()

    class Broken(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Broken.apply(x)
    assert tg.is_grad_enabled()
    y = x * 2
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    assert tg.is_grad_enabled()


def test_grad_mode_object_may_be_entered_again():
    mode = tg.no_grad()
    with mode, mode:
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()
    with mode:
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_set_grad_enabled_as_a_function():
    tg.set_grad_enabled(False)
    try:
        assert not tg.is_grad_enabled()
    finally:
        tg.set_grad_enabled(True)
    assert tg.is_grad_enabled()


def test_every_thread_has_its_own_grad_mode():
    inside = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: inside.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert inside == [True]


def test_decorated_function_in_several_threads():
    barrier = threading.Barrier(4)
    seen = []

    @tg.no_grad()
    def function():
        barrier.wait()
        seen.append(tg.is_grad_enabled())
        barrier.wait()

    def work():
        for _ in range(20):
            function()
            seen.append(not tg.is_grad_enabled())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 160 and not any(seen)


THREADS = """
import threading
import numpy as np
import tinygen as tg

results = {}

def work(n):
    x = tg.ones(64, 64, requires_grad=True)
    for _ in range(5):
        (x @ x * float(n)).sum().backward()
    results[n] = x.grad.numpy()

threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for n in range(1, 5):
    np.testing.assert_array_equal(results[n], np.full((64, 64), 640.0 * n, np.float32))
"""


def test_backward_in_several_threads():
    """In a process of its own, so that the threads meet at the first call of every kernel."""
    found = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_backward_is_not_recorded():
    x = leaf()
    (g,) = grad((x * x).sum(), x)
    assert not g.requires_grad
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        y = None
    with tg.enable_grad():
        y = (x * x).sum()
    with tg.no_grad():
        (g,) = grad(y, x, create_graph=True)
        assert g.requires_grad and not tg.is_grad_enabled()


# ---- Hooks ---------------------------------------------------------------------------------------


def test_hooks_see_the_whole_gradient():
    x, seen = leaf(), []
    h = x * 2
    x.register_hook(lambda g: seen.append(("x", g.tolist())))
    h.register_hook(lambda g: seen.append(("h", g.tolist())))
    (h.sum() + (h * 3).sum()).backward()
    assert seen == [("h", [4, 4, 4]), ("x", [8, 8, 8])]


def test_hooks_replace_the_gradient():
    x = leaf()
    h = x * 2
    x.register_hook(lambda g: g + 1)
    h.register_hook(lambda g: g * 10)
    h.sum().backward()
    assert x.grad.tolist() == [21, 21, 21]
    h = x * 2
    h.register_hook(lambda g: g * 10)
    assert grad(h.sum(), x)[0].tolist() == [21, 21, 21]


def test_hooks_run_in_order_and_can_be_removed():
    x = leaf()
    first = x.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 2)
    x.sum().backward()
    assert x.grad.tolist() == [4, 4, 4]
    first.remove()
    first.remove()
    x.grad = None
    x.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_hook_on_a_tensor_without_grad():
    with pytest.raises(RuntimeError, match="requires no grad"):
        tg.ones(2).register_hook(print)


def test_a_kept_gradient_is_the_hooks_own():
    x, kept = leaf(), []
    x.register_hook(kept.append)
    (x * 2).backward(tg.ones(3))
    x.grad.mul_(7)
    assert kept[0].tolist() == [2, 2, 2]


def test_retain_grad():
    x = leaf()
    h = x * 2
    h.retain_grad()
    (h * h).sum().backward()
    np.testing.assert_allclose(h.grad.numpy(), 4 * x.detach().numpy())
    before = x.grad.numpy().copy()
    h.grad.mul_(0)
    np.testing.assert_array_equal(x.grad.numpy(), before)
    x.retain_grad()


def test_hook_under_create_graph():
    x = leaf(2.0)
    y = x**3
    y.register_hook(lambda g: g * 2)
    (g,) = grad(y, x, create_graph=True)
    assert g.item() == 24
    assert grad(g, x)[0].item() == 24


# ---- Memory --------------------------------------------------------------------------------------


@pytest.fixture
def no_gc():
    """Cycles are not collected: what reference counts alone do not free stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("op", [
    lambda x: x.exp(), lambda x: x.softmax(0), lambda x: x.sigmoid() * x, lambda x: x.amax(),
    lambda x: tg.nn.functional.gelu(x), lambda x: tg.nn.functional.layer_norm(x, (3,)),
    lambda x: (x * 1).add_(1), lambda x: x.split(1)[0], lambda x: x.reshape(3, 1)[0],
    lambda x: x**2,
    lambda x: (x * 1).exp_(), lambda x: tg.cat([x, x]), lambda x: x.sqrt(), lambda x: x.std(),
])  # fmt: skip
def test_no_reference_cycles(no_gc, op):
    x = leaf()
    y = op(x)
    y.retain_grad()
    node, array = weakref.ref(y), weakref.ref(y.array)
    del y
    assert node() is None and array() is None
    y = op(x)
    out = weakref.ref(y)
    y.sum().backward()
    del y
    assert out() is None
    (g,) = grad(op(x).sum(), x, create_graph=True)
    out = weakref.ref(g)
    del g
    assert out() is None


def test_written_views_make_no_cycle(no_gc):
    x = leaf()
    base = x * 1
    view = base[1:]
    view.mul_(2)
    base.add_(1)
    assert view.requires_grad
    refs = [weakref.ref(base), weakref.ref(view)]
    del base, view
    assert all(r() is None for r in refs)


def test_custom_functions_make_no_cycle(no_gc):
    class Exp(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = tg.exp(x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[1]

    y = Exp.apply(leaf())
    out, array = weakref.ref(y), weakref.ref(y.array)
    del y
    assert out() is None and array() is None


def kept_arrays(node: Node) -> list:
    return [v.array if isinstance(v, Tensor) else v for values in node.kept for v in values]


def test_a_node_keeps_only_what_its_vjps_read():
    x, w, b = leaf(), leaf(), leaf()
    constant = leaf().detach()
    has = lambda y, array: any(v is array for v in kept_arrays(y.grad_fn))
    assert kept_arrays((x + b).grad_fn) in ([], [1])  # alpha
    both = x * w
    assert has(both, x.array) and has(both, w.array)
    half = constant * w
    assert has(half, constant.array) and not has(half, w.array)
    assert not has(x * constant, x.array)
    y = x.exp()
    assert has(y, y.array) and not has(y, x.array)
    y = x.log()
    assert has(y, x.array) and not has(y, y.array)
    y = x.relu()
    assert has(y, y.array) and not has(y, x.array)
    for y in (x.sum(), x.reshape(3, 1), x.expand(2, 3), x.mean(), x[1:], x.flip(0), x.cumsum(0)):
        assert not any(isinstance(v, np.ndarray) and v.size for v in kept_arrays(y.grad_fn))
    matrix, other = x[:, None] @ w[None], leaf().detach()[:, None]
    assert len(kept_arrays(matrix.grad_fn)) == 2
    assert len(kept_arrays((other @ w[None]).grad_fn)) == 1


def test_inputs_that_no_vjp_reads_are_freed():
    x = leaf()
    h = x + 1
    array = weakref.ref(h.array)
    y = h + 1
    del h
    assert array() is None and y.requires_grad


def test_backward_frees_the_graph_as_it_goes():
    x = leaf()
    h = x.exp()
    y = h.sin().sum()
    array = weakref.ref(h.array)
    del h
    assert array() is not None
    y.backward()
    assert array() is None


def test_no_grad_keeps_nothing():
    x = leaf()
    with tg.no_grad():
        y = x.exp()
    assert y.node is None and y._storage is None


# ---- Documented subgradients, and NaN ------------------------------------------------------------


@pytest.mark.parametrize("op,expected", [
    (lambda x: x.abs(), 0), (lambda x: x.relu(), 0), (lambda x: x.sign(), 0),
    (lambda x: x.clamp(min=0), 1), (lambda x: x.clamp(max=0), 1), (lambda x: x.norm(), 0),
    (lambda x: x.norm(p=1), 0), (lambda x: tg.maximum(x, x * 0), 0.5), (lambda x: x**2, 0),
    (lambda x: x**0, 0), (lambda x: x**1, 1), (lambda x: tg.nn.functional.softplus(x), 0.5),
    (tg.nn.functional.logsigmoid, 0.5), (lambda x: tg.nn.functional.leaky_relu(x, 0.2), 0.2),
    (lambda x: tg.logaddexp(x, x * 0), 0.5), (lambda x: x.norm(p=3), 0),
    (lambda x: tg.xlogy(x * 0, x), 0),
])  # fmt: skip
def test_subgradients_at_zero(op, expected):
    x = leaf(0.0)
    op(x).sum().backward()
    assert x.grad.item() == expected


def test_equal_extremes_share():
    x = leaf(1.0, 3.0, 3.0, 3.0)
    x.amax().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 1 / 3, 1 / 3, 1 / 3])


def test_where_does_not_leak_nan():
    x = leaf(0.0, 4.0)
    with np.errstate(divide="ignore"):
        safe = tg.where(x > 0, x, 1.0)
        tg.where(x > 0, safe.log(), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 0.25]
    x = leaf(float("nan"), 1.0)
    tg.where(tg.tensor([False, True]), x, 0.0).sum().backward()
    assert x.grad.tolist() == [0, 1]
    x.grad = None
    x.masked_fill(tg.tensor([True, False]), 0.0).sum().backward()
    assert x.grad.tolist() == [0, 1]


def test_module_functions_are_public():
    assert tg.autograd.grad is engine.grad and tg.autograd.backward is engine.backward
    for name in ("gradcheck", "gradgradcheck"):
        assert callable(getattr(tg.autograd, name))


def test_a_leaf_takes_a_gradient_without_a_copy_only_if_nobody_else_sees_its_memory(monkeypatch):
    address = lambda array: array.__array_interface__["data"][0]
    kept, made = np.ones(6), []

    def gradient(keeps):
        flat = kept if keeps else np.ones(6)
        made.append(address(flat))
        return Tensor(flat.reshape(2, 3))

    op = tg.autograd.primitive.registry["tan"]
    for keeps in (True, False):
        monkeypatch.setitem(op.vjps, 0, (lambda g, keeps=keeps: gradient(keeps), ()))
        monkeypatch.setattr(op, "plans", {})
        x = tg.zeros(2, 3, dtype=tg.float64).requires_grad_()
        op(x).sum().backward()
        x.grad.mul_(0)
        assert (address(x.grad.array) == made[-1]) == (not keeps)
    assert (kept == 1).all()
