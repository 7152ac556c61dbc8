"""Writing in place: PyTorch's gradient or an error that names the ops, never a wrong number."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygen as tg
from tinygen.autograd.random import SAMPLERS
from tinygen.autograd.registry import ShapeError
from tinygen.autograd.tensor import Tensor

VALUES = np.array([[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]])


def leaf(values=VALUES) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


def gradient(program, values=VALUES) -> np.ndarray:
    """Of a weighted sum of what the program returns; the weights tell the elements apart."""
    x = leaf(values)
    y = program(x)
    y.backward(Tensor(np.arange(1.0, y.numel() + 1).reshape(y.shape)))
    return x.grad.numpy()


# ---- Every form of it ----------------------------------------------------------------------------

ONES = tg.ones(3, dtype=tg.float64)

# name, arguments after x, and the op that gives the same result out of place
FORMS = {
    "abs_": ((), lambda x: x.abs()), "add_": ((2.0,), lambda x, y: x + y), "ceil_": ((), tg.ceil),
    "clamp_": ((1.0, 4.0), tg.clamp), "clamp_min_": ((1.0,), tg.clamp),
    "clamp_max_": ((4.0,), lambda x, y: tg.clamp(x, None, y)), "cos_": ((), tg.cos),
    "div_": ((2.0,), tg.div), "erf_": ((), tg.erf), "exp_": ((), tg.exp), "expm1_": ((), tg.expm1),
    "fill_diagonal_": ((0.1,), lambda x, y: x.diagonal_scatter(tg.full((2,), y, dtype=tg.float64))),
    "fill_": ((0.1,), lambda x, y: x * 0 + y), "floor_": ((), tg.floor),
    "index_add_": ((1, tg.tensor([2, 2]), tg.ones(2, 2, dtype=tg.float64)), tg.index_add),
    "index_copy_": ((1, tg.tensor([2, 0]), tg.ones(2, 2, dtype=tg.float64)), tg.index_copy),
    "index_fill_": ((1, tg.tensor([2, 0]), 0.1), tg.index_fill),
    "index_put_": (((tg.tensor([1, 0]), tg.tensor([0, 0])), ONES[:2]), tg.index_put),
    "index_reduce_": ((1, tg.tensor([2, 2]), tg.ones(2, 2, dtype=tg.float64), "prod"),
                      tg.index_reduce),
    "lerp_": ((ONES, 0.3), tg.lerp), "log_": ((), tg.log),
    "masked_fill_": ((tg.tensor(VALUES > 2), 1.0), tg.masked_fill),
    "masked_scatter_": ((tg.tensor(VALUES > 2), tg.arange(6).double()), tg.masked_scatter),
    "mul_": ((2.0,), tg.mul),
    "neg_": ((), tg.neg), "put_": ((tg.tensor([3, 0]), ONES[:2]), tg.put),
    "pow_": ((3.0,), tg.pow), "reciprocal_": ((), tg.reciprocal),
    "relu_": ((), tg.relu), "remainder_": ((2.0,), tg.remainder), "round_": ((), tg.round),
    "rsqrt_": ((), tg.rsqrt), "sigmoid_": ((), tg.sigmoid), "sign_": ((), tg.sign),
    "scatter_": ((1, tg.tensor([[2, 0]]), 5.0), tg.scatter), "sin_": ((), tg.sin),
    "scatter_add_": ((1, tg.tensor([[2, 2]]), tg.ones(1, 2, dtype=tg.float64)), tg.scatter_add),
    "scatter_reduce_": ((1, tg.tensor([[2, 2]]), tg.ones(1, 2, dtype=tg.float64), "amax"),
                        tg.scatter_reduce),
    "sqrt_": ((), tg.sqrt), "square_": ((), tg.square), "sub_": ((2.0,), tg.sub),
    "tanh_": ((), tg.tanh), "tril_": ((), tg.tril), "triu_": ((), tg.triu),
    "zero_": ((), lambda x: x * 0), "copy_": ((ONES,), lambda x, y: x * 0 + y),
    "addcmul_": ((ONES, ONES), lambda x, y, z: x + y * z),
    "addcdiv_": ((ONES, ONES), lambda x, y, z: x + y / z),
    "__iadd__": ((2.0,), tg.add), "__isub__": ((2.0,), tg.sub), "__imul__": ((2.0,), tg.mul),
    "__itruediv__": ((2.0,), tg.div), "__ipow__": ((3.0,), tg.pow),
    "__ifloordiv__": ((2.0,), tg.floor_divide), "__imod__": ((2.0,), tg.remainder),
    "clip_": ((1.0, 4.0), tg.clamp), "logit_": ((0.1,), tg.logit),
    "polygamma_": ((1,), lambda x, n: tg.polygamma(n, x)),
}  # fmt: skip
ONE_ARGUMENT = """
    absolute acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh cosh
    deg2rad digamma erfc erfinv exp2 fix frac lgamma log10 log1p log2 nan_to_num negative rad2deg
    sgn sinc sinh tan trunc
"""
TWO_ARGUMENTS = """
    arctan2 atan2 copysign divide float_power floor_divide fmod hypot multiply subtract true_divide
    xlogy
"""
FORMS |= {f"{name}_": ((), getattr(tg, name)) for name in ONE_ARGUMENT.split()}
FORMS |= {f"{name}_": ((2.0,), getattr(tg, name)) for name in TWO_ARGUMENTS.split()}

# Those whose results have no gradient, with arguments before and after the underscore
COMPARISONS = """
    eq ge greater greater_equal gt le less less_equal lt ne not_equal logical_and logical_or
    logical_xor
"""
BITWISE = "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift"
STEPS = dict.fromkeys(COMPARISONS.split(), (VALUES, 1.5))
STEPS |= dict.fromkeys(BITWISE.split(), (np.array([5, 6]), 3))
STEPS |= {"logical_not": (VALUES,), "bitwise_not": (np.array([5, 6]),),
          "heaviside": (VALUES - 1.5, ONES)}  # fmt: skip


def test_every_in_place_method_is_here():
    methods = {n for n in vars(Tensor) if n.endswith("_") and not n.startswith("_")}
    steps = {f"{name}_" for name in STEPS}
    samplers = {f"{name}_" for name in SAMPLERS}
    assert methods - FORMS.keys() - steps - samplers == {"requires_grad_"}


@pytest.mark.parametrize("name", STEPS)
def test_in_place_step_is_as_out_of_place(name):
    values, *args = STEPS[name]
    x = Tensor(values.copy())
    expected = getattr(tg, name)(x, *args).to(x.dtype)
    assert getattr(x, f"{name}_")(*args) is x
    np.testing.assert_array_equal(x.numpy(), expected.numpy())


@pytest.mark.parametrize("name", FORMS)
def test_in_place_is_as_out_of_place(name):
    args, op = FORMS[name]

    def in_place(x):
        y = x * 1
        assert getattr(y, name)(*args) is y
        return y

    np.testing.assert_array_equal(
        in_place(leaf()).detach().numpy(), op(leaf(), *args).detach().numpy()
    )
    if name in ("fill_", "zero_", "copy_"):  # what is written does not depend on x any more
        in_place = lambda x, method=in_place: method(x) + x * 0
    np.testing.assert_allclose(gradient(in_place), gradient(lambda x: op(x, *args)), rtol=1e-14)


@pytest.mark.parametrize("name", FORMS)
def test_in_place_through_a_view_is_as_setting_a_part(name):
    args, op = FORMS[name]
    if name.startswith("masked"):
        args = (args[0].T, *args[1:])
    if name.startswith("index") and name != "index_put_":
        args = (0, *args[1:])
    if name.startswith("scatter"):
        args = (0, args[1].T, *[a.T if isinstance(a, Tensor) else a for a in args[2:]])
    if name in ("lerp_", "copy_", "addcmul_", "addcdiv_"):
        args = tuple(a[:2] if isinstance(a, Tensor) else a for a in args)

    def through_view(x):
        base = x.repeat(2, 1) * 1
        getattr(base[1:3].T, name)(*args)
        return base

    def by_parts(x):
        base = x.repeat(2, 1) * 1
        return tg.cat([base[:1], op(base[1:3].T, *args).T, base[3:]])

    np.testing.assert_allclose(gradient(through_view), gradient(by_parts), rtol=1e-14)


@pytest.mark.parametrize("name", FORMS)
def test_leaf_that_requires_grad_is_refused(name):
    x = leaf()
    with pytest.raises(RuntimeError, match="leaf tensor that requires grad"):
        getattr(x, name)(*FORMS[name][0])
    np.testing.assert_array_equal(x.detach().numpy(), VALUES)
    with tg.no_grad():
        getattr(x, name)(*FORMS[name][0])
    assert x.is_leaf and x.requires_grad


@pytest.mark.parametrize("name,mean", [("normal_", 2.0), ("uniform_", 0.5), ("bernoulli_", 0.5)])
def test_random_in_place(name, mean):
    x = tg.zeros(10_000)
    args = (2.0, 1.0) if name == "normal_" else ()
    assert getattr(x, name)(*args) is x
    assert x.dtype == tg.float32 and abs(x.mean().item() - mean) < 0.05


# ---- Views ---------------------------------------------------------------------------------------


def test_view_of_a_leaf_is_refused():
    for view in (leaf()[0], leaf().T, leaf().reshape(6)[1:]):
        with pytest.raises(RuntimeError, match="view of such a leaf"):
            view.mul_(2)


def test_views_of_views():
    def program(x):
        y = x * 1
        y.T[1:][:, 0].mul_(3)
        return y

    np.testing.assert_array_equal(gradient(program), [[1, 6, 9], [4, 5, 6]])


def test_base_written_after_a_view_was_taken():
    def program(x):
        y = x * 1
        row = y[0]
        y.mul_(2)
        return row

    np.testing.assert_array_equal(gradient(program), [[2, 4, 6], [0, 0, 0]])


def test_one_view_written_another_read():
    def program(x):
        y = x * 1
        row, column = y[0], y[:, 0]
        row.mul_(5)
        return column

    np.testing.assert_array_equal(gradient(program), [[5, 0, 0], [2, 0, 0]])


def test_view_is_up_to_date_after_several_writes():
    def program(x):
        y = x * 1
        flat, row = y.view(6), y[1]
        row.mul_(2)
        flat[4:] *= 3
        y += 1
        return row

    np.testing.assert_array_equal(gradient(program), [[0, 0, 0], [2, 12, 18]])


def test_constant_base_gets_a_gradient_through_a_view():
    base = tg.zeros(2, 3, dtype=tg.float64)
    row = base[0]
    x = leaf(VALUES[0])
    row.copy_(x * 2)
    assert base.requires_grad and row.requires_grad
    (base * base).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 8 * VALUES[0])


def test_pieces_can_be_written():
    def program(x):
        y = x * 1
        for i, row in enumerate(y.unbind()):
            row.mul_(i + 2)
        y.chunk(3, 1)[0].zero_()
        return y

    np.testing.assert_array_equal(gradient(program), [[0, 4, 6], [0, 15, 18]])


def test_expanded_target_is_refused():
    x = tg.zeros(3).expand(2, 3)
    with pytest.raises(RuntimeError, match=r"add_.*clone"):
        x.add_(1)
    y = (leaf(VALUES[0]) * 1).expand(2, 3)
    with pytest.raises(RuntimeError, match=r"mul_.*clone"):
        y.mul_(2)


# ---- x[i] = v ------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [
    0, (slice(None), 1), (1, 2), slice(None, None, -1), [1, 0], np.array([1, 1]), VALUES > 2,
    tg.tensor([0, 0, 1]), (tg.tensor([0, 1]), tg.tensor([2, 2])), Ellipsis, (None, 0), slice(0, 0),
], ids=repr)  # fmt: skip
def test_setting_items(index):
    plain = index.array if isinstance(index, Tensor) else index
    plain = tuple(getattr(i, "array", i) for i in plain) if isinstance(plain, tuple) else plain
    shape = VALUES[plain].shape
    value = leaf(np.random.default_rng(0).standard_normal(shape))
    x = leaf()
    y = x * 1
    y[index] = value
    expected = VALUES.copy()
    expected[plain] = value.detach().numpy()
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    cotangent = np.arange(1.0, 7).reshape(2, 3)
    y.backward(Tensor(cotangent))
    kept = cotangent.copy()
    kept[plain] = 0
    np.testing.assert_array_equal(x.grad.numpy(), kept)
    assert value.grad.numpy().sum() == (cotangent - kept).sum()  # each element written counts once


def test_setting_numbers_and_broadcast_values():
    def program(x):
        y = x * 1
        y[0] = 7
        y[:, 1] = x[0, 0] * 3  # 0-d
        y[1] = y[1] * 2
        return y

    np.testing.assert_array_equal(gradient(program), [[3 * 2 + 3 * 2 * 5, 0, 0], [8, 0, 12]])


def test_setting_items_of_a_leaf_is_refused():
    x = leaf()
    with pytest.raises(RuntimeError, match="leaf"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="leaf"):
        x[0] += 1.0
    with tg.no_grad():
        x[0] = 1.0
    assert x[0, 0].item() == 1


def test_value_with_dimensions_to_spare():
    x = leaf(VALUES[:1])
    y = tg.zeros(3, dtype=tg.float64)
    y[...] = x
    y[:2] = x[:, None, :1]
    (y * tg.arange(3)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[1, 0, 2]])


def test_one_element_of_a_vector_is_a_view():
    for x in (tg.arange(3).float(), leaf(np.arange(3.0)) * 1):
        x[1].mul_(5)
        x[tg.tensor(2)].mul_(5)  # a 0-d index is an int
        x[[2]].mul_(5)  # a copy, as an index array always gives one
        assert x.tolist() == [0, 5, 10]
    last = x[-1]
    x.add_(1)
    assert last.item() == 11


def test_augmented_items():
    def program(x):
        y = x * 1
        y[0] *= 2
        y[:, 1:] += x[:, :1]
        return y

    np.testing.assert_array_equal(gradient(program), [[2 + 5, 4, 6], [4 + 11, 5, 6]])


# ---- Broadcasting, dtypes, shapes ----------------------------------------------------------------


def test_the_other_operand_is_broadcast():
    x, y = leaf(), leaf(VALUES[0])
    z = x * 1
    z += y
    z *= y
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.broadcast_to(VALUES[0], (2, 3)))
    np.testing.assert_allclose(y.grad.numpy(), (VALUES + 2 * VALUES[0]).sum(0))


def test_the_target_is_not():
    x = tg.zeros(3)
    with pytest.raises(ShapeError, match=r"add_.*\(2, 3\).*\(3,\)"):
        x += tg.ones(2, 3)
    with pytest.raises(RuntimeError):
        x.copy_(tg.ones(2, 3))


def test_float_results_do_not_fit_into_integers():
    x = tg.tensor([1, 2])
    for write in (
        lambda: x.add_(0.5),
        lambda: x.div_(2),
        lambda: x.sqrt_(),
        lambda: x.__imul__(1.5),
    ):
        with pytest.raises(RuntimeError, match=r"float32 result can't be written into a int64"):
            write()
    assert x.tolist() == [1, 2]
    x += 1
    assert x.dtype == tg.int64 and x.tolist() == [2, 3]


def test_float32_stays_float32():
    x = tg.ones(3)
    x += tg.ones(3, dtype=tg.float64)
    x *= np.float64(2)
    x[0] = np.pi
    assert x.dtype == tg.float32


# ---- Values that a gradient still needs ----------------------------------------------------------


@pytest.mark.parametrize("op,needed", [
    (lambda h: h.exp(), "output of exp"), (lambda h: h.sigmoid(), "output of sigmoid"),
    (lambda h: h.sqrt(), "output of sqrt"), (lambda h: h.softmax(1), "output of softmax"),
    (lambda h: h.amax(1), "output of amax"),
])  # fmt: skip
def test_output_that_is_needed(op, needed):
    y = op(leaf() * 1)
    y.mul_(2)
    with pytest.raises(RuntimeError, match=rf"{needed}.*mul_"):
        y.sum().backward()


@pytest.mark.parametrize("op,needed", [
    (lambda h: h * h, "argument `y` of mul"), (lambda h: h.log(), "argument `x` of log"),
    (lambda h: h.sin(), "argument `x` of sin"), (lambda h: h.abs(), "argument `x` of abs"),
    (lambda h: h @ h.T, "argument `y` of matmul"), (lambda h: 1 / h, "argument `y` of div"),
    (lambda h: h.amax(1), "argument `x` of amax"),
    (lambda h: h.clamp(1, 2), "argument `x` of clamp"),
    (lambda h: tg.maximum(h, h * 0), "argument `x` of maximum"),
])  # fmt: skip
@pytest.mark.parametrize("write", [
    lambda h: h.add_(1), lambda h: h[0].add_(1), lambda h: h.T.add_(1),
    lambda h: h.detach().add_(1), lambda h: h.data.add_(1),
], ids=["itself", "a view", "a view of all", "detached", "data"])  # fmt: skip
def test_input_that_is_needed(op, needed, write):
    h = leaf() * 1
    y = op(h)
    write(h)
    with pytest.raises(RuntimeError, match=rf"{needed}.*add_"):
        y.sum().backward()


@pytest.mark.parametrize("op", [
    lambda h: h + h, lambda h: h.sum(0), lambda h: h.reshape(6).clone(), lambda h: 3 * h,
    lambda h: h.exp(), lambda h: tg.cat([h, h]), lambda h: h.relu(), lambda h: h.mean(),
    lambda h: h / 2,
])  # fmt: skip
def test_input_that_is_not_needed_may_be_overwritten(op):
    def overwritten(x):
        h = x * 1
        y = op(h)
        h.zero_()
        return y

    np.testing.assert_array_equal(gradient(overwritten), gradient(lambda x: op(x * 1)))


def test_constants_and_indices_count_too():
    x, c = leaf(), tg.ones(2, 3, dtype=tg.float64)
    y = x * c
    c += 1
    with pytest.raises(RuntimeError, match=r"argument `y` of mul.*add_"):
        y.sum().backward()
    table, index = leaf(), tg.tensor([0, 1])
    y = tg.nn.functional.embedding(index, table)
    index[0] = 1
    with pytest.raises(RuntimeError, match=r"argument `indices` of embedding"):
        y.sum().backward()


@pytest.mark.parametrize("make", [
    lambda x, index: x[index], lambda x, index: x.gather(0, index[None].expand(1, 3)),
    lambda x, index: x.index_select(1, index), lambda x, index: x.take_along_dim(index[None], 1),
    lambda x, index: x[:, index],
], ids=["x[i]", "gather", "index_select", "take_along_dim", "x[:, i]"])  # fmt: skip
def test_index_that_is_written_to(make):
    """An index tensor belongs to what the gradient needs: it must be copied, or be an error."""
    x, index = leaf(), tg.tensor([0, 1, 1])
    right = gradient(lambda x: make(x, tg.tensor([0, 1, 1])))
    y = make(x, index)
    index.zero_()
    try:
        y.backward(Tensor(np.arange(1.0, y.numel() + 1).reshape(y.shape)))
    except RuntimeError as error:
        assert "zero_" in str(error)
    else:
        np.testing.assert_array_equal(x.grad.numpy(), right)


@pytest.mark.parametrize("op", [
    lambda x, m: x.masked_fill(m, 0.0), lambda x, m: tg.where(m, x, 0.0), lambda x, m: x[m],
    lambda x, m: x.masked_select(m), lambda x, m: x * m,
], ids=["masked_fill", "where", "x[mask]", "masked_select", "mul"])  # fmt: skip
def test_mask_that_is_written_to(op):
    x, mask = leaf(), tg.tensor([[True, False, False], [False, False, True]])
    right = gradient(lambda x: op(x, mask.clone()))
    y = op(x, mask)
    mask.copy_(mask.flip(1))
    try:
        y.backward(Tensor(np.arange(1.0, y.numel() + 1).reshape(y.shape)))
    except RuntimeError as error:
        assert "copy_" in str(error)
    else:
        np.testing.assert_array_equal(x.grad.numpy(), right)


def test_array_index_that_is_written_to():
    x, index = leaf(), np.array([0, 1])
    y = x[index]
    index[:] = 0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((2, 3)))


def test_optimizer_step_between_forward_and_backward():
    w, x = leaf(), tg.ones(4, 2, dtype=tg.float64)
    loss = ((x @ w) ** 2).sum()
    loss.backward()
    before = w.grad.numpy().copy()
    loss = (w * w).sum()
    with tg.no_grad():
        w -= 0.1 * w.grad
    with pytest.raises(RuntimeError, match=r"`[xy]` of mul.*sub_"):
        loss.backward()
    np.testing.assert_array_equal(before, w.grad.numpy())


def test_write_to_a_leaf_before_it_is_used_is_fine():
    w = leaf()
    with tg.no_grad():
        w.mul_(2)
        w[0] = 1
    (w * w).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), 2 * w.detach().numpy())


# ---- Outside of the graph ------------------------------------------------------------------------


def test_no_grad_writes_leave_the_place_in_the_graph():
    x = leaf()
    y = x * 2
    with tg.no_grad():
        y.add_(1)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 3), 2.0))


def test_detached_tensors_share_memory_and_history():
    x = leaf()
    d = x.detach()
    d.mul_(2)
    assert x.detach()[0, 0].item() == 1.0 and x.is_leaf
    h = x * 1
    y = h.exp()
    y.detach().zero_()
    with pytest.raises(RuntimeError, match=r"output of exp.*zero_"):
        y.sum().backward()


def test_assigning_data():
    x = leaf()
    x.data = tg.zeros(2, 3, dtype=tg.float64)
    assert x.requires_grad and x.detach().sum().item() == 0
    x.data.add_(1)
    assert x.detach().sum().item() == 6


def test_in_place_return_value_is_in_the_graph():
    x = leaf()
    z = (x * 1).mul_(3).add_(x).exp_().log_()
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((2, 3), 4.0))


def test_accumulating_into_a_buffer():
    """A common loop: a result is put together in a preallocated tensor."""
    x = leaf()
    out = tg.zeros(4, 3, dtype=tg.float64)
    for i in range(4):
        out[i] = x[i % 2] * (i + 1)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[4] * 3, [6] * 3])


def test_running_sum_over_itself():
    def program(x):
        h = x * 1
        h += h
        h *= h
        h -= h.mean()
        return h

    rows = VALUES * 8
    weights = np.arange(1.0, 7).reshape(2, 3)
    np.testing.assert_allclose(gradient(program), rows * (weights - weights.mean()))


def test_copy_between_views_of_one_base():
    def program(x):
        y = x * 1
        y[0].copy_(y[1])
        return y

    np.testing.assert_array_equal(gradient(program), [[0, 0, 0], [5, 7, 9]])


def test_overlapping_copy_is_as_if_read_first():
    y = tg.arange(5).float()
    y[1:] = y[:-1]
    assert y.tolist() == [0, 0, 1, 2, 3]
    y[1:] += y[:-1].clone()
    assert y.tolist() == [0, 0, 1, 3, 5]


# ---- Random programs, against PyTorch ------------------------------------------------------------

DETACH = lambda t: t.detach()
INDEX = lambda values, like: like.detach().new_tensor(values).long()
VIEWS = [
    DETACH,
    lambda t: t[0], lambda t: t[1:], lambda t: t[:, 1], lambda t: t.transpose(0, -1),
    lambda t: t.reshape(-1), lambda t: t[..., ::2], lambda t: t.unsqueeze(0), lambda t: t.view(-1),
    lambda t: t.narrow(0, 0, 1), lambda t: t[None, 0], lambda t: t.squeeze(),
    lambda t: t.expand(2, *t.shape), lambda t: t[-1:], lambda t: t.flatten(),
    lambda t: t.diagonal(), lambda t: t.diagonal(1, -1, 0), lambda t: t.unfold(-1, 2, 1),
    lambda t: t.unfold(0, 1, 2), lambda t: t.select(-1, 0), lambda t: t.movedim(0, -1),
    lambda t: t.swapdims(-2, -1), lambda t: t.unflatten(-1, (-1, 1)),
    lambda t: t.tensor_split(2)[1],
    lambda t: t.split((1, 1))[1], lambda t: t.unbind(-1)[0], lambda t: t.squeeze((0, 1)),
    lambda t: t[0, ..., None], lambda t: t.ravel(), lambda t: t.narrow(-1, -1, 1),
]  # fmt: skip
FRESH = [
    lambda t, u: t * u, lambda t, u: t + u, lambda t, u: t.sin(), lambda t, u: t.exp(),
    lambda t, u: t.sigmoid(), lambda t, u: t.clone(), lambda t, u: t.sum(0, keepdim=True),
    lambda t, u: t[..., [0, 0]], lambda t, u: t.flip(0), lambda t, u: t.diag_embed(),
    lambda t, u: t.take(INDEX([1, 0, 1], t)), lambda t, u: t.index_select(0, INDEX([1, 0, 1], t)),
    lambda t, u: t.roll(1, 0), lambda t, u: t.repeat(2, 1), lambda t, u: t.tril(),
    lambda t, u: t * 2 + u, lambda t, u: t.relu(), lambda t, u: t.amax(-1), lambda t, u: t - u,
]  # fmt: skip
WRITES = [
    lambda t, u: t.mul_(u), lambda t, u: t.add_(u), lambda t, u: t.copy_(u), lambda t, u: t.zero_(),
    lambda t, u: t.sin_(), lambda t, u: t.sigmoid_(), lambda t, u: t.mul_(0.5),
    lambda t, u: t.exp_(), lambda t, u: t.__setitem__(0, u), lambda t, u: t[0].add_(u),
    lambda t, u: t.__setitem__(..., u * 2), lambda t, u: t.__setitem__((..., -1), 0.25),
    lambda t, u: t.diagonal().mul_(0.5), lambda t, u: t.unfold(0, 1, 1).mul_(0.5),
    lambda t, u: t.__setitem__([1, 0], u), lambda t, u: t.__setitem__((..., [1, 0]), 0.5),
    lambda t, u: t[0].__setitem__(slice(1, None), u),
    lambda t, u: t.__setitem__(t.detach() > 0.3, 0.1),
    lambda t, u: t.index_add_(0, INDEX([0, 0], t), u[:2]),
    lambda t, u: t.index_fill_(0, INDEX([1], t), 0.2), lambda t, u: t.select(0, 1).copy_(u),
    lambda t, u: t.fill_diagonal_(0.3), lambda t, u: t.masked_scatter_(t.detach() > 0.3, u),
    lambda t, u: t.transpose(0, -1).mul_(u * 1), lambda t, u: t.tanh_(), lambda t, u: t.fill_(0.25),
]  # fmt: skip

numbers = st.integers(0, 10**6)
steps = st.lists(
    st.tuples(st.sampled_from("vvffwww"), numbers, numbers, numbers), min_size=2, max_size=9
)
REFUSED = (RuntimeError, IndexError, TypeError, ValueError)


def run(program, x, y, constant, skip=()):
    """Run each step that is not refused (or to be skipped): all tensors, and which steps were."""
    tensors = [x * 1, y * 1, x, y, constant]
    refused = list(skip)
    for number, (kind, which, first, second) in enumerate(program):
        t, u = tensors[first % len(tensors)], tensors[second % len(tensors)]
        if t is not u and np.shares_memory(t.detach().numpy(), u.detach().numpy()):
            u = u.clone()  # torch reads what it has just written, if the two overlap
        try:
            if number in skip:
                pass
            elif kind == "v":
                tensors.append(VIEWS[which % len(VIEWS)](t))
            elif kind == "f":
                tensors.append(FRESH[which % len(FRESH)](t, u))
            else:
                WRITES[which % len(WRITES)](t, u)
        except REFUSED:
            refused.append(number)
    return tensors, refused


START = VALUES / 3, np.array([0.7, -0.4, 0.2])
CONSTANT = np.full((2, 3), 0.3)


def total(tensors, which):
    return sum(
        ((tensors[i] * tensors[i]).sum() * (i + 1) for i in which),
        tensors[2].sum() + tensors[3].sum(),
    )


def outcome(program, make):
    """What was refused, all tensors, and the gradients or the error of backward."""
    x, y = (make(a, True) for a in START)
    tensors, refused = run(program, x, y, make(CONSTANT, False))
    try:
        total(tensors, [i for i, t in enumerate(tensors) if t.requires_grad]).backward()
    except RuntimeError as error:
        return refused, tensors, error
    return refused, tensors, [x.grad.numpy(), y.grad.numpy()]


def by_differences(program, refused, which, eps=1e-6) -> list[np.ndarray]:
    """The gradients of the same program, from values alone."""

    def value(k, at, step):
        start = [a.copy() for a in START]
        start[k][at] += step
        tensors, _ = run(program, *map(Tensor, start), Tensor(CONSTANT.copy()), refused)
        return total(tensors, which).item()

    slope = lambda k, at: (value(k, at, eps) - value(k, at, -eps)) / (2 * eps)
    return [np.array([slope(k, at) for at in np.ndindex(a.shape)]).reshape(a.shape)
            for k, a in enumerate(START)]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch, of writes to expanded tensors
@settings(max_examples=300, deadline=None, derandomize=True)
@given(steps)
def test_random_programs_give_torchs_gradient_or_an_error(program):
    torch = pytest.importorskip("torch")
    refused, tensors, gradients = outcome(program, lambda a, wants: Tensor(np.array(a), wants))
    make = lambda a, wants: torch.tensor(a, requires_grad=wants)
    torchs_refused, torchs_tensors, expected = outcome(program, make)
    assume(refused == torchs_refused)  # else values differ from there on
    for mine, other in zip(tensors, torchs_tensors, strict=True):
        np.testing.assert_allclose(
            mine.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-12
        )
    if isinstance(gradients, Exception):
        return
    tolerance = 1e-9
    if isinstance(expected, Exception):  # torch refuses what we differentiate: are we right?
        assume(
            not any(
                kind == "v" and VIEWS[which % len(VIEWS)] is DETACH for kind, which, *_ in program
            )
        )
        which = [i for i, t in enumerate(tensors) if t.requires_grad]
        expected, tolerance = by_differences(program, refused, which), 1e-5
        assume(max(np.abs(e).max() for e in expected) < 1e4)  # else differences are not that exact
    for mine, other in zip(gradients, expected, strict=True):
        size = max(1.0, np.abs(other).max())
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance * size)


def test_an_overwritten_value_is_named_with_both_lines():
    x = tg.ones(3, requires_grad=True)
    y = tg.exp(x)
    y *= 2
    with pytest.raises(RuntimeError) as failure:
        y.sum().backward()
    op, write = str(failure.value).split("mul_ was called at")
    assert "exp was called at" in op and "y = tg.exp(x)" in op and "test_inplace.py" in op
    assert "y *= 2" in write and "test_inplace.py" in write
