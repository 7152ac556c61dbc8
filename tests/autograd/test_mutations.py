"""Would we notice? Every VJP of every primitive is made wrong in the usual ways, one at a time, and
gradcheck must complain on that op's own samples. That is what makes the other tests worth it."""

import inspect

import numpy as np
import pytest
from samples import BY_OP as ALL
from samples import OPS, Draw

import tinygen as tg
from tinygen.autograd.fused import Fused
from tinygen.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tinygen.autograd.primitive import Primitive
from tinygen.autograd.tensor import Tensor

BY_OP = {name: [s for s in samples if s.differentiable] for name, samples in ALL.items()}
ELEMENTWISE = {"add", "sub", "mul", "div", "exp", "sin", "tanh", "sigmoid", "neg", "matmul"}
FLAT = {"sign", "floor", "ceil", "round", "trunc", "floor_divide", "trunc_divide"}  # gradient 0


def negative(g):
    return -g


def doubled(g):
    return g * 2


def halved(g):
    return g * 0.5


def zero(g):
    return g * 0


def one_more(g):
    return g + 1


def transposed(g):
    return g.mT if g.ndim == 2 and g.shape[0] == g.shape[1] else g


def slightly_off(g):
    return g * (1 + 1e-5)


MUTATIONS = [negative, doubled, halved, zero, one_more, transposed, slightly_off]
PRIMITIVES = [
    op for name, op in OPS.items() if isinstance(op, Primitive) and not isinstance(op, Fused)
]
VJPS = [(op, i) for op in PRIMITIVES for i in op.vjps]


def has_square(sample) -> bool:
    return any(getattr(a, "shape", ()) in [(2, 2), (3, 3)] for a in sample.args)


def cheapest_first(samples):
    """Squares in front, then small ones that are not too small."""
    drawn = lambda s: sum(int(np.prod(a.shape)) for a in s.args if isinstance(a, Draw))
    return sorted(samples, key=lambda s: (not has_square(s), drawn(s) < 3, drawn(s)))


def noticed(samples, check=gradcheck) -> str | None:
    """What the check says of the first sample that it fails on."""
    for sample in cheapest_first(samples):
        try:
            check(sample.function, sample.tensors())
        except GradcheckError as error:
            return str(error)
    return None


def mutate(monkeypatch, op, i, mutation) -> list[bool]:
    """Replace one VJP; the list will say, for each of its calls, whether the gradient changed."""
    vjp, names = op.vjps[i]
    changes = []

    def wrong(g, *kept):
        right = tg.as_tensor(vjp(g, *kept))  # VJPs are run on arrays, too
        mutant = mutation(right)
        changes.append(not np.array_equal(mutant.array, right.array))
        return mutant

    monkeypatch.setitem(op.vjps, i, (wrong, names))
    monkeypatch.setattr(op, "plans", {})
    return changes


LIKELY = {negative: "sign is flipped", doubled: "should be 0.5 times", halved: "should be 2 times",
          zero: "gradient is cut", transposed: "transposed"}  # fmt: skip


@pytest.mark.parametrize("op,i", VJPS, ids=lambda v: getattr(v, "name", v))
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_wrong_vjp_is_noticed(monkeypatch, op, i, mutation):
    changes = mutate(monkeypatch, op, i, mutation)
    message = noticed(BY_OP[op.name])
    if any(changes):
        assert message, f"{op.name}: nobody notices a {mutation.__name__} VJP for {op.arguments[i]}"
    else:  # only where it could not be otherwise is there nothing to notice
        assert mutation is transposed or op.name in FLAT
        assert op.name not in ELEMENTWISE
    if op.name in ELEMENTWISE and mutation in LIKELY and message:
        assert LIKELY[mutation] in message


@pytest.mark.parametrize("op,i", VJPS, ids=lambda v: getattr(v, "name", v))
def test_wrong_second_derivative_is_noticed(monkeypatch, op, i):
    """A VJP with the right value, of which one gradient is cut, has a wrong gradient itself."""
    if op.name in FLAT:
        return
    mutate(monkeypatch, op, i, lambda g: g.detach())
    assert noticed(BY_OP[op.name]) is None
    assert noticed(BY_OP[op.name], gradgradcheck)


BROADCAST = [s for name in ("add", "mul", "div", "where", "lerp") for s in BY_OP[name]]
BROADCAST = [s for s in BROADCAST
             if len({a.shape for a in s.args if isinstance(a, Draw)} - {()}) > 1
             and all(0 not in a.shape for a in s.args if isinstance(a, Draw))]  # fmt: skip


def slice_0(x, shape):
    lead = x[(0,) * (x.ndim - len(shape))]
    return lead[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


def mean_to(x, shape):
    lead = x.mean(tuple(range(x.ndim - len(shape))))
    return lead.mean(tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


@pytest.mark.parametrize("sample", BROADCAST, ids=lambda s: s.name)
@pytest.mark.parametrize("wrong", [slice_0, mean_to], ids=lambda f: f.__name__)
def test_missing_sum_over_a_broadcast_dimension_is_noticed(monkeypatch, sample, wrong):
    monkeypatch.setattr(OPS["sum_to"], "forward", wrong)
    with pytest.raises(GradcheckError, match="gradient for input") as error:
        gradcheck(sample.function, sample.tensors())
    if sample.name in ("add-1", "mul-1", "div-1"):  # [2, 3] and [3]
        told = {slice_0: "only slice 0 along dim 0", mean_to: "mean instead of a sum over dim 0"}
        assert told[wrong] in str(error.value)


@pytest.mark.parametrize(
    "op", [op for op in OPS.values() if isinstance(op, Fused)], ids=lambda op: op.name
)
@pytest.mark.parametrize("mutation", [negative, doubled, zero, one_more], ids=lambda m: m.__name__)
def test_wrong_gradient_kernel_is_noticed(monkeypatch, op, mutation):
    right = op.gradient_function
    sample = max(BY_OP[op.name], key=lambda s: sum(isinstance(a, Draw) for a in s.args))
    for i, x in enumerate(sample.tensors()):
        if not (isinstance(x, Tensor) and x.requires_grad):
            continue

        def wrong(*args, i=i):
            found = right(*args)
            return tuple(mutation(c) if k == i else c for k, c in enumerate(found))

        monkeypatch.setattr(op, "gradient_function", wrong)
        assert noticed([sample]), f"{op.name}: nobody notices the wrong gradient {i}"


# ---- What gradcheck says, and what else it notices -----------------------------------------------


def numbers(*shape) -> Tensor:
    rng = np.random.default_rng(3)
    return Tensor(np.asarray(rng.standard_normal(shape)), requires_grad=True)


class wrong_op(tg.autograd.Function):
    """An op with a gradient of the test's choice."""

    @staticmethod
    def forward(ctx, function, gradient, *xs):
        ctx.gradient, ctx.xs = gradient, xs
        return function(*xs)

    @staticmethod
    def backward(ctx, g):
        found = ctx.gradient(g, *ctx.xs)
        return None, None, *(found if isinstance(found, tuple) else (found,))


def complaint(function, gradient, *xs) -> str:
    def op(x, y=None):
        return wrong_op.apply(function, gradient, *((x,) if y is None else (x, y)))

    with pytest.raises(GradcheckError) as error:
        gradcheck(op, xs)
    return str(error.value)


def test_message_has_all_that_one_wants_to_know():
    text = complaint(
        lambda x, y: x * y, lambda g, x, y: (g * y, -g * x), numbers(2, 3), numbers(2, 3)
    )
    assert "gradcheck of op: the gradient for input 1 (y) is wrong" in text
    for part in ("worst element", "of shape (2, 3)", "analytic", "numeric", "relative error  2",
                 "elements off    6 of 6", "likely cause    the sign is flipped"):  # fmt: skip
        assert part in text


def test_exchanged_gradients_are_told():
    text = complaint(lambda x, y: x * y, lambda g, x, y: (g * x, g * y), numbers(3), numbers(3) + 1)
    assert "this is the gradient for input 1 (y)" in text


def test_mean_instead_of_sum_is_told():
    text = complaint(lambda x: x.sum(1), lambda g, x: (g / 3)[:, None].expand(2, 3), numbers(2, 3))
    assert "should be 3 times as large" in text
    assert "mean instead of a sum over dim 1 of input 0 (x)" in text


def test_sum_instead_of_mean_is_told():
    text = complaint(lambda x: x.mean(1), lambda g, x: g[:, None].expand(2, 3), numbers(2, 3))
    assert "sum instead of a mean over dim 1 of input 0 (x)" in text


def test_gradient_of_a_constant_is_told():
    text = complaint(lambda x: x.detach().floor(), lambda g, x: g, numbers(3))
    assert "does not depend on this input" in text


def test_kinks_jumps_and_poles_are_told():
    at_zero = tg.tensor([0.0, 1.0], dtype=tg.float64, requires_grad=True)
    for function in (lambda x: x.relu(), lambda x: x.clamp(max=0), lambda x: x + (x > 0)):
        with pytest.raises(GradcheckError, match="kink or jump"):
            gradcheck(function, (at_zero,))
    with np.errstate(all="ignore"), pytest.raises(GradcheckError, match="not finite within eps"):
        gradcheck(tg.sqrt, (at_zero,))


def test_nan_in_the_gradient_is_told():
    text = complaint(lambda x: x + 1, lambda g, x: g * float("nan"), numbers(2))
    assert "0/0" in text


def test_only_some_elements_wrong():
    def gradient(g, x):
        g = g.clone()
        g[1] = 0
        return g

    text = complaint(lambda x: x + 1, gradient, numbers(4))
    assert "worst element   (1,)" in text and "elements off    1 of 4" in text
    assert "none of the usual ones" in text


def test_lambda_is_called_by_its_op():
    with pytest.raises(GradcheckError, match="gradcheck of mul: the gradient for input 0"):
        gradcheck(lambda x: x * x.detach(), numbers(3))


def test_detached_argument_is_noticed():
    with pytest.raises(GradcheckError, match="gradient is cut"):
        gradcheck(lambda x, y: x * y.detach(), (numbers(3), numbers(3)))
    with pytest.raises(GradcheckError, match="gradient is cut"):
        gradcheck(lambda x: x.detach() * 2, numbers(3))


def test_false_instead_of_an_exception():
    assert gradcheck(lambda x: x * x.detach(), numbers(3), raise_exception=False) is False
    assert gradcheck(lambda x: x * x, numbers(3), raise_exception=False) is True


def test_inputs_that_are_refused():
    with pytest.raises(ValueError, match=r"input 0 \(x\) is float32"):
        gradcheck(tg.exp, tg.randn(3, requires_grad=True))
    with pytest.raises(ValueError, match="no input requires grad"):
        gradcheck(tg.exp, tg.randn(3, dtype=tg.float64))


def test_output_in_float32_is_refused():
    with pytest.raises(GradcheckError, match="output 0 is float32"):
        gradcheck(lambda x: x.float(), numbers(3))


def test_randomness_is_noticed():
    with pytest.raises(GradcheckError, match="two calls with the same inputs"):
        gradcheck(lambda x: x * tg.randn(3, dtype=tg.float64), numbers(3))


def test_written_inputs_and_cotangents_are_noticed():
    def writes_input(x, y):
        y.array[0] += 1
        return x * 2

    with pytest.raises(GradcheckError, match="written to in place"):
        gradcheck(writes_input, (numbers(3), numbers(3).detach()))

    def backward(g, x):
        out = g * 2
        g.array[0] = 0
        return out

    assert "written to in place" in complaint(lambda x: x * 2, backward, numbers(3))


def test_tuples_constants_and_unused_inputs():
    def function(x, n, y, text):
        assert text == "text"
        return x * n, (y > 0), None, x.sum() * 2

    assert gradcheck(function, (numbers(2, 3), 3, numbers(2), "text"))
    assert gradgradcheck(function, (numbers(2, 3), 3, numbers(2), "text"))


def test_inputs_may_have_been_computed():
    assert gradcheck(lambda x: x * x, numbers(3) * 2)
    assert gradcheck(lambda x: x * x, numbers(3, 2).T)


def test_gradgradcheck_takes_cotangents_and_names_them():
    assert gradgradcheck(lambda x: x**3, numbers(3), numbers(3))

    def double_backward_is_wrong(g, x):
        return g * (3 * x.detach() ** 2)

    def op(x):
        return wrong_op.apply(lambda x: x**3, double_backward_is_wrong, x)

    assert gradcheck(op, numbers(3))
    with pytest.raises(GradcheckError, match=r"the gradient of op: the gradient for input 0 \(x\)"):
        gradgradcheck(op, numbers(3))


def test_signatures_begin_as_in_torch():
    names = list(inspect.signature(gradcheck).parameters)
    assert names[:6] == ["fn", "inputs", "eps", "atol", "rtol", "raise_exception"]
