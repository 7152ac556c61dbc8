"""Every fused op's kernel against its reference: value and gradient, odd shapes, any subset."""

from itertools import combinations

import numpy as np
import pytest
from samples import FUSED, OPS

import tinygen as tg
from tinygen.autograd.gradcheck import gradgradcheck
from tinygen.autograd.ops.linear_activation import ACTIVATIONS
from tinygen.autograd.tensor import Tensor

RNG = np.random.default_rng(11)


def normal(*shape) -> np.ndarray:
    return RNG.standard_normal(shape)


def labels(rows, classes, *ignored) -> np.ndarray:
    targets = RNG.integers(0, classes, rows)
    targets[list(ignored)] = -100
    return targets


def norm_case(*shape, weight=True, bias=True, **options):
    n = shape[-1]
    return (normal(*shape), normal(n) if weight else None, normal(n) if bias else None), options


def attention_case(b, h, m, k, n, groups=None, value=None, mask=None, **options):
    groups, value = groups or h, value or n
    return (normal(b, h, m, n), normal(b, groups, k, n), normal(b, groups, k, value), mask), options


def linear_case(activation, rows, inputs, outputs, bias=True, **options):
    bias = normal(outputs) if bias else None
    weight = normal(outputs, inputs) / max(1, inputs) ** 0.5
    return (normal(rows, inputs), weight, bias, activation), options


# (arguments, options). Sizes that are no multiple of a vector, of one, of none, and above the
# thresholds from which kernels use blocks and threads. A new fused op needs a line here, too.
CASES = {
    "gelu": [((normal(*shape),), {"approximate": how})
             for shape in [(), (1,), (7,), (3, 5), (0,), (2, 0, 3), (33, 1027)]
             for how in ("none", "tanh")],
    "layer_norm": [norm_case(3, 5), norm_case(7), norm_case(1, 2), norm_case(2, 3, 17),
                   norm_case(4, 16, weight=False), norm_case(4, 33, bias=False),
                   norm_case(5, 8, weight=False, bias=False), norm_case(2, 6, eps=0.1),
                   norm_case(0, 4), norm_case(2, 0, 4), norm_case(3, 1), norm_case(129, 257)],
    "rms_normal": [((normal(*shape), weight and normal(shape[-1])), options)
                   for *shape, weight, options in [(3, 5, True, {}), (7, True, {}),
                       (1, 1, None, {}), (2, 3, 17, None, {}), (2, 6, True, {"eps": 0.1}),
                       (0, 4, True, {}), (2, 0, 4, True, {}), (129, 257, True, {})]],
    "attention": [attention_case(2, 3, 5, 7, 4), attention_case(1, 1, 1, 1, 1),
                  attention_case(2, 1, 6, 6, 3, causal=True), attention_case(0, 2, 3, 3, 2),
                  attention_case(1, 2, 33, 33, 17, causal=True),
                  attention_case(1, 1, 4, 4, 8, scale=0.2), attention_case(2, 2, 65, 70, 32),
                  attention_case(1, 2, 129, 129, 16, causal=True),
                  attention_case(1, 2, 3, 4, 2, causal=True),
                  attention_case(2, 6, 5, 4, 3, groups=2, value=7, causal=True),
                  attention_case(2, 2, 5, 7, 4, mask=normal(5, 7)),
                  attention_case(2, 2, 5, 7, 4, mask=normal(2, 1, 1, 7), causal=True),
                  attention_case(2, 2, 130, 7, 4, mask=normal(2, 130, 1)),
                  attention_case(2, 2, 5, 7, 4, mask=normal(5, 7) > 0),
                  attention_case(1, 2, 33, 65, 8, dropout=0.4, seed=7)],
    "packed_attention": [((normal(*shape), heads), options) for *shape, heads, options in [
                             (2, 5, 24, 2, {}), (1, 33, 51, 1, {"causal": True}), (0, 3, 6, 1, {}),
                             (2, 0, 6, 1, {}), (3, 130, 48, 4, {"causal": True, "scale": 0.3}),
                             (2, 9, 12, 2, {"dropout": 0.5, "seed": 3})]]
                        + [((normal(2, 4, 12), 2, normal(4, 4)), {})],
    "dropped_at_random": [((np.asarray(normal(*shape)), 0.4, 3, 5), {})
                          for shape in [(3, 5), (), (0,), (7,), (33, 1027)]],
    "softmax_cross_entropy": [((normal(rows, classes), labels(rows, classes, *ignored)), {})
                              for rows, classes, *ignored in [(4, 5), (1, 1), (7, 33, 2, 5),
                                  (3, 2, 0, 1, 2), (0, 3), (65, 1031, 7)]]
                             + [((normal(2, 3), np.array([1, 2])), {"ignore_index": 1}),
                                ((normal(7, 33), labels(7, 33, 2, 5)), {"label_smoothing": 0.1})]
                             + [((normal(rows, classes), labels(rows, classes, 0), -100, smoothing,
                                  np.abs(normal(classes))), {})
                                for rows, classes, smoothing in [(5, 4, 0.0), (7, 33, 0.2)]],
    "normalised_groups": [((normal(*shape), groups, normal(shape[1]), normal(shape[1])), {})
                          for *shape, groups in [(2, 4, 6, 2), (1, 3, 1, 1), (3, 6, 17, 3),
                              (0, 4, 3, 2), (2, 8, 333, 4), (5, 16, 64, 16)]]
                         + [((normal(2, 4, 5), 2, None, normal(4)), {"eps": 0.1}),
                            ((normal(3, 4, 5), None, normal(4), normal(4)), {}),
                            ((normal(33, 16, 65), None, normal(16), normal(16)), {})],
    **{name: [((np.asarray(3 * normal(*shape)),), {"dim": dim})
              for shape, dim in [((3, 5), -1), ((2, 3, 17), 1), ((7,), 0), ((), -1), ((0, 3), 1),
                                 ((3, 0), 1), ((33, 1027), 1), ((65, 30), 0)]]
       for name in ("softmax", "log_softmax")},
    **{name: [((np.asarray(3 * normal(*shape)),), {})
              for shape in [(), (7,), (3, 5), (0,), (33, 1027)]]
       for name in ("silu", "softplus", "mish", "softsign", "tanhshrink", "hardsigmoid",
                    "hardswish", "leaky_relu", "elu", "hardtanh", "hardshrink", "softshrink")},
    "mean_squared_error": [((normal(*shape), normal(*shape)), {})
                           for shape in [(3, 5), (), (1,), (33, 1027)]],
    "linear_activation": [linear_case(activation, 5, 7, 3) for activation in ACTIVATIONS]
                         + [linear_case("gelu", *sizes) for sizes in [(0, 3, 2), (4, 0, 2),
                              (4, 3, 0), (1, 1, 1), (65, 300, 700), (700, 40, 33)]]
                         + [linear_case("leaky_relu", 33, 17, 70, slope=0.2),
                            linear_case("relu", 9, 64, 2, bias=False),
                            linear_case("silu", 200, 130, 70, bias=False)],
}  # fmt: skip


def cases(largest=1e9):
    found = [(op, *case) for op in FUSED for case in CASES.get(op, ()) if size(case[0]) <= largest]
    name = lambda op, args, options: f"{op}-{args[0].shape}{list(options.values()) or ''}"
    return [pytest.param(OPS[op], *case, id=name(op, *case)) for op, *case in found]


def size(args) -> int:
    return sum(a.size for a in args if isinstance(a, np.ndarray))


def tensors(args, dtype, wanted=range(5)) -> tuple:
    """Fresh leaves; floats require grad if their position is wanted."""
    return tuple(
        a if not isinstance(a, np.ndarray)
        else Tensor(a.astype(dtype), i in wanted) if a.dtype.kind == "f" else Tensor(a)
        for i, a in enumerate(args)
    )  # fmt: skip


def value_and_gradients(function, inputs, options, create_graph=False):
    leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    out = function(*inputs, **options)
    cotangent = np.random.default_rng(5).standard_normal(out.shape)
    cotangent = Tensor(np.asarray(cotangent, out.dtype))
    found = tg.autograd.grad(out, leaves, cotangent, create_graph=create_graph)
    return out.detach().numpy(), [g.detach().numpy() for g in found]


def assert_close(found, expected, tolerance):
    (y, gradients), (y_expected, expected_gradients) = found, expected
    for a, e in zip([y, *gradients], [y_expected, *expected_gradients], strict=True):
        assert a.shape == e.shape
        scale = max(1.0, np.abs(e).max(initial=0))
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * scale)


def test_every_fused_op_has_cases():
    assert set(FUSED) == CASES.keys()


@pytest.mark.parametrize("op,args,options", cases())
def test_kernel_in_float64_is_the_reference(op, args, options):
    found = value_and_gradients(op, tensors(args, np.float64), options)
    expected = value_and_gradients(op.reference, tensors(args, np.float64), options)
    assert_close(found, expected, 1e-11)


@pytest.mark.parametrize("op,args,options", cases())
def test_kernel_in_float32_is_the_reference_in_float64(op, args, options):
    inputs = tensors(args, np.float32)
    found = value_and_gradients(op, inputs, options)
    assert {found[0].dtype, *(g.dtype for g in found[1])} == {np.dtype(np.float32)}
    rounded = [x.array if isinstance(x, Tensor) else x for x in inputs]
    expected = value_and_gradients(op.reference, tensors(rounded, np.float64), options)
    assert_close(found, expected, 2e-5)


@pytest.mark.parametrize("op,args,options", cases(largest=100))
def test_create_graph_goes_through_the_reference(op, args, options):
    plain = value_and_gradients(op, tensors(args, np.float64), options)
    again = value_and_gradients(op, tensors(args, np.float64), options, create_graph=True)
    assert_close(again, plain, 1e-11)
    if size(args):
        assert gradgradcheck(lambda *xs: op(*xs, **options), tensors(args, np.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("op,args,options", cases(largest=100))
def test_any_subset_of_the_inputs_may_want_a_gradient(op, args, options, dtype):
    places = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    _, everything = value_and_gradients(op, tensors(args, dtype), options)
    for n in range(1, len(places)):
        for wanted in combinations(places, n):
            for again in (False, True):
                _, found = value_and_gradients(op, tensors(args, dtype, wanted), options, again)
                for i, g in zip(wanted, found, strict=True):
                    np.testing.assert_allclose(g, everything[places.index(i)], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("again", [False, True], ids=["kernel", "reference"])
def test_inputs_computed_from_each_other_count_every_path_once(again):
    x = normal(4, 3)

    def gradient_of(op):
        leaf = Tensor(x, requires_grad=True)
        y = op(leaf, leaf.mean(0), (leaf * leaf).sum(0))
        return tg.autograd.grad((y * y).sum(), leaf, create_graph=again)[0].detach().numpy()

    layer_norm = OPS["layer_norm"]
    np.testing.assert_allclose(
        gradient_of(layer_norm), gradient_of(layer_norm.reference), rtol=1e-10
    )

    def self_attention(op):
        leaf = Tensor(normal_qkv, requires_grad=True)
        y = op(leaf, leaf, leaf * 2)
        return tg.autograd.grad((y * y).sum(), leaf, create_graph=again)[0].detach().numpy()

    normal_qkv = normal(1, 1, 3, 2)
    attention = OPS["attention"]
    np.testing.assert_allclose(
        self_attention(attention), self_attention(attention.reference), rtol=1e-10
    )


def test_same_tensor_in_several_places():
    found = []
    for op in (OPS["layer_norm"], OPS["layer_norm"].reference):
        x = Tensor(np.array([0.3, -1.0, 2.0]), requires_grad=True)
        op(x, x, x).backward(Tensor(np.arange(3.0)))
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_mixed_precision_takes_the_reference():
    x, w = tg.randn(2, 3, requires_grad=True), tg.randn(3, dtype=tg.float64, requires_grad=True)
    y = OPS["layer_norm"](x, w)
    assert y.dtype == np.float64
    y.sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)


def test_third_derivative():
    found = []
    for function in (OPS["gelu"], OPS["gelu"].reference):
        x = Tensor(np.array([0.3, -1.0, 2.0]), requires_grad=True)
        g = function(x)
        for _ in range(3):
            (g,) = tg.autograd.grad(g.sum(), x, create_graph=True)
        found.append(g.detach().numpy())
    np.testing.assert_allclose(*found, rtol=1e-10)


def test_only_the_outer_part_is_differentiated_twice():
    """The reference is to see a copy of its input, not the graph behind it."""
    x = Tensor(normal(2, 3), requires_grad=True)
    h = x * 2
    (g,) = tg.autograd.grad(OPS["gelu"](h).sum(), h, create_graph=True)
    (g2,) = tg.autograd.grad(g.sum(), x)
    assert g2.shape == x.shape


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="gelu has no argument tanh"):
        OPS["gelu"](tg.randn(2), tanh=True)


def test_saved_values_that_were_overwritten_are_noticed():
    for op, args in [(OPS["gelu"], (normal(3),)), (OPS["layer_norm"], (normal(2, 3), normal(3)))]:
        x, *rest = tensors(args, np.float64)
        h = x + 0
        y = op(h, *rest)
        h.mul_(2)
        with pytest.raises(RuntimeError, match=rf"argument `x` of {op.name}.*mul_"):
            y.sum().backward()
    q, k, v, _ = tensors(attention_case(1, 1, 3, 3, 2)[0], np.float64)
    y = OPS["attention"](q, k, v)
    y.mul_(2)
    with pytest.raises(RuntimeError, match=r"output of attention.*mul_"):
        y.sum().backward()
    y = OPS["gelu"](x)  # whose gradient does not need the output
    y.mul_(2)
    y.sum().backward()
