"""Tensors among ndarrays, numbers, indices and dtypes: what one gets, and what is refused."""

import operator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygen as tg
from tinygen.autograd.registry import ShapeError
from tinygen.autograd.tensor import Tensor

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


# ---- ndarrays and NumPy scalars ------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize(
    "array",
    [np.array([2.0, 3.0]), np.float64(2), np.float32(2), np.array(2.0)],
    ids=["array", "float64", "float32", "0-d"],
)
def test_ndarray_and_tensor_give_a_tensor_with_a_gradient(op, array):
    for flipped in (False, True):
        x = tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True)
        y = op(array, x) if flipped else op(x, array)
        assert isinstance(y, Tensor) and y.requires_grad
        plain = x.detach().numpy()
        np.testing.assert_allclose(
            y.detach().numpy(), op(array, plain) if flipped else op(plain, array)
        )
        y.sum().backward()
        assert x.grad.shape == (2,)


def test_matmul_with_an_ndarray():
    x = tg.ones(2, 2, dtype=tg.float64, requires_grad=True)
    for y in (np.eye(2) @ x, x @ np.eye(2)):
        assert isinstance(y, Tensor) and y.requires_grad


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_with_ndarrays_and_numbers(op):
    x = tg.tensor([1.0, 2.0, 3.0])
    for other in (np.array([3.0, 2.0, 1.0]), 2, 2.0, np.float64(2), tg.tensor(2)):
        for y in (op(x, other), op(other, x)):
            assert isinstance(y, Tensor) and y.dtype == tg.bool
    assert op(x, 2).tolist() == op(np.array([1.0, 2.0, 3.0]), 2).tolist()
    assert op(2, x).tolist() == op(2, np.array([1.0, 2.0, 3.0])).tolist()


def test_comparison_with_something_else():
    x = tg.tensor([1.0])
    assert (x is None) is False
    assert x in [x]
    assert len({x, tg.tensor([1.0])}) == 2  # by identity


def test_numpy_scalars_keep_float32():
    x = tg.ones(3)
    for scalar in (np.float64(2), np.float32(2), np.int64(2), np.bool_(True), 2, 2.0, True):
        for op in OPERATORS:
            if op is operator.sub and isinstance(scalar, bool | np.bool_):
                continue
            assert op(x, scalar).dtype == tg.float32
            assert op(scalar, x).dtype == tg.float32
    assert tg.where(x > 0, x, np.float64(0)).dtype == tg.float32
    assert tg.clamp(x, np.float64(0)).dtype == tg.float32
    assert tg.maximum(x, np.float64(0)).dtype == tg.float32


def test_array_of_a_tensor():
    x = tg.tensor([1.0, 2.0])
    assert np.asarray(x) is x.array and x.numpy() is x.array
    assert np.array(x) is not x.array
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.stack([x, x]).shape == (2, 2)
    y = x.requires_grad_()
    for convert in (np.asarray, np.array, lambda t: t.numpy(), lambda t: np.asarray(t * 2)):
        with pytest.raises(RuntimeError, match=r"detach\(\)\.numpy\(\)"):
            convert(y)
    np.testing.assert_array_equal(y.detach().numpy(), [1, 2])


def test_numpy_functions_of_tensors():
    x = tg.tensor([1.0, 4.0])
    np.testing.assert_array_equal(np.asarray(np.sqrt(x)), [1, 2])
    with pytest.raises((RuntimeError, TypeError)):
        np.sqrt(x.requires_grad_())  # no gradient is lost silently


def test_sharing_and_copying():
    array = np.zeros(3)
    assert tg.from_numpy(array).array is array and tg.as_tensor(array).array is array
    copied = tg.tensor(array)
    array[0] = 1
    assert copied[0].item() == 0 and copied.dtype == tg.float64
    x = tg.tensor([1.0], requires_grad=True)
    y = tg.tensor(x)
    assert y.is_leaf and not y.requires_grad and not np.shares_memory(y.array, x.array)
    assert tg.as_tensor(x) is x
    with pytest.raises(TypeError, match="from_numpy takes an ndarray; got list"):
        tg.from_numpy([1])
    shared = tg.from_numpy(array)
    shared.add_(1)
    assert array[0] == 2


def test_dlpack_with_numpy():
    x = tg.arange(6).reshape(2, 3).T.float()
    there = np.from_dlpack(x)
    assert np.shares_memory(there, x.array)
    back = tg.from_dlpack(there)
    assert isinstance(back, Tensor) and back.tolist() == x.tolist()
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(tg.ones(2, requires_grad=True))


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(6.0).reshape(2, 3)
    ours = tg.from_dlpack(theirs)
    theirs[0, 0] = 9
    assert ours[0, 0].item() == 9 and ours.dtype == tg.float32
    assert torch.from_dlpack(tg.ones(3)).tolist() == [1, 1, 1]
    assert torch.tensor(tg.ones(3)).tolist() == [1, 1, 1]
    assert tg.tensor(theirs.numpy()).shape == (2, 3)


# ---- Making tensors ------------------------------------------------------------------------------


@pytest.mark.parametrize("data,dtype", [
    (1, tg.int64), (1.0, tg.float32), (True, tg.bool), ([1, 2], tg.int64), ([1, 2.0], tg.float32),
    ([True, False], tg.bool), ([[1.0], [2.0]], tg.float32), ([], tg.float32),
    (np.ones(2), tg.float64),
    (np.float64(1), tg.float64), ([np.float64(1)], tg.float64), (np.int32(1), tg.int32),
    (range(3), tg.int64), ((1.0, 2.0), tg.float32),
], ids=repr)  # fmt: skip
def test_dtype_of_data(data, dtype):
    assert tg.tensor(data).dtype == dtype


def test_tensors_in_lists():
    x = tg.tensor([tg.tensor(1.0), tg.tensor(2.0)])
    assert x.tolist() == [1, 2] and x.dtype == tg.float32
    assert tg.tensor([[tg.tensor(1), 2]]).tolist() == [[1, 2]]


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError):
        tg.tensor([[1.0], [1.0, 2.0]])


def test_default_dtype():
    tg.set_default_dtype(tg.float64)
    try:
        assert tg.tensor(1.0).dtype == tg.zeros(2).dtype == tg.randn(2).dtype == tg.float64
        assert (tg.tensor([1, 2]) / 2).dtype == tg.float64
    finally:
        tg.set_default_dtype(tg.float32)
    assert tg.tensor(1.0).dtype == tg.float32
    with pytest.raises(TypeError, match="floating"):
        tg.set_default_dtype(tg.int64)


def test_factories_are_torchs():
    torch = pytest.importorskip("torch")
    for call in (
        lambda t: t.zeros(2, 3), lambda t: t.ones((2, 3)), lambda t: t.full((2,), 7),
        lambda t: t.eye(3),
        lambda t: t.full((2,), 0.5), lambda t: t.arange(5), lambda t: t.arange(1, 5, 2),
        lambda t: t.eye(2, 3),
        lambda t: t.arange(0.0, 1.0, 0.25), lambda t: t.linspace(0, 1, 5), lambda t: t.zeros(()),
        lambda t: t.arange(5, 0, -2), lambda t: t.zeros_like(t.ones(2)),
        lambda t: t.ones(2, dtype=t.int64),
        lambda t: t.full_like(t.ones(2), 3), lambda t: t.tensor(3.0).new_zeros(2, 2),
        lambda t: t.empty(0, 3),
        lambda t: t.tensor([1, 2]).new_ones((3,)), lambda t: t.tensor([1.0]).new_full((2,), 3),
        lambda t: t.tensor([1]).new_tensor([1.5]), lambda t: t.linspace(1, 2, 1),
        lambda t: t.zeros(2, 0),
        lambda t: t.full((2,), True),
    ):  # fmt: skip
        ours, theirs = call(tg), call(torch)
        assert (ours.shape, str(ours.dtype)) == (tuple(theirs.shape), str(theirs.dtype)[6:])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", None])
def test_the_cpu_is_accepted(device):
    made = [
        tg.zeros(2, device=device),
        tg.tensor([1.0], device=device),
        tg.arange(3, device=device),
    ]
    drawn = [tg.randn(2, device=device), tg.randint(3, (2,), device=device)]
    moved = [tg.zeros(2).to(device or "cpu"), tg.ones(2).to(device=device), tg.ones(2).cpu()]
    for x in made + drawn + moved:
        assert x.device == "cpu"
    assert tg.device("cpu") == "cpu" and not tg.cuda.is_available()


@pytest.mark.parametrize("call", [
    lambda: tg.zeros(2, device="cuda"), lambda: tg.tensor(1.0, device="cuda:0"),
    lambda: tg.ones(2).to("mps"),
    lambda: tg.randn(2, device="cuda"), lambda: tg.device("cuda"),
    lambda: tg.rand(2, device="cuda"),
    lambda: tg.zeros_like(tg.ones(2), device="cuda"), lambda: tg.randint(3, (2,), device="cuda"),
    lambda: tg.randperm(3, device="cuda"),
])  # fmt: skip
def test_other_devices_are_refused(call):
    with pytest.raises(RuntimeError, match="CPU only"):
        call()


# ---- dtypes --------------------------------------------------------------------------------------

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


def kinds_of(library, dtype):
    """A tensor with dimensions, and a 0-d one."""
    dtype = getattr(library, dtype)
    return [library.tensor([1, 1]).to(dtype), library.tensor(1).to(dtype)]


@pytest.mark.parametrize("first", DTYPES)
def test_promotion_is_torchs(first):
    torch = pytest.importorskip("torch")
    for second in DTYPES:
        ours = product(kinds_of(tg, first), kinds_of(tg, second))
        theirs = product(kinds_of(torch, first), kinds_of(torch, second))
        for (x, y), (a, b) in zip(ours, theirs):
            for op in (operator.add, operator.mul, operator.truediv, operator.eq):
                expected = str(op(a, b).dtype)[6:]
                assert str(op(x, y).dtype) == expected, (op, x, y)
            for function in ("maximum", "where", "pow", "remainder"):
                if function == "where":
                    found = tg.where(tg.tensor(True), x, y), torch.where(torch.tensor(True), a, b)
                else:
                    try:
                        found = getattr(tg, function)(x, y), getattr(torch, function)(a, b)
                    except (RuntimeError, TypeError):
                        continue
                assert str(found[0].dtype) == str(found[1].dtype)[6:], (function, x, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_promotion_with_numbers_is_torchs(dtype):
    torch = pytest.importorskip("torch")
    for number in (True, 2, 2.5):
        for x, a in zip(kinds_of(tg, dtype), kinds_of(torch, dtype)):
            for op in (operator.add, operator.mul, operator.truediv, operator.lt):
                assert str(op(x, number).dtype) == str(op(a, number).dtype)[6:], (op, x, number)
                assert str(op(number, x).dtype) == str(op(number, a).dtype)[6:], (op, number, x)


def test_promotions_that_surprise_numpys_users():
    ints, floats = tg.tensor([1, 2]), tg.tensor([1.0, 2.0])
    assert (ints + floats).dtype == (ints / ints).dtype == (ints * 0.5).dtype == tg.float32
    assert (floats + tg.tensor(1.0, dtype=tg.float64)).dtype == tg.float32
    assert (ints + tg.tensor(1.5, dtype=tg.float64)).dtype == tg.float64
    for function in (tg.exp, tg.sqrt, tg.log, tg.sin, tg.sigmoid, tg.tanh):
        assert function(ints).dtype == tg.float32
    assert ints.sum().dtype == tg.tensor([True]).sum().dtype == tg.int64
    assert tg.cat([ints, floats]).dtype == tg.float32


@pytest.mark.parametrize("convert,dtype", [
    ("float", "float32"), ("double", "float64"), ("half", "float16"), ("long", "int64"),
    ("int", "int32"),
    ("short", "int16"), ("byte", "uint8"), ("char", "int8"), ("bool", "bool"),
])  # fmt: skip
def test_conversions(convert, dtype):
    x = tg.tensor([0.0, 1.0, 2.0], dtype=tg.float16)
    y = getattr(x, convert)()
    assert y.dtype == dtype and y.tolist() == (
        [False, True, True] if dtype == "bool" else [0, 1, 2]
    )
    assert getattr(y, convert)() is y
    assert x.to(getattr(tg, dtype)).dtype == x.to(dtype=getattr(tg, dtype)).dtype == dtype
    assert x.type_as(y).dtype == x.to(y).dtype == dtype


def test_gradient_through_conversions():
    x = tg.ones(3, requires_grad=True)
    (x.double() * 2).half().float().sum().backward()
    assert x.grad.dtype == tg.float32 and x.grad.tolist() == [2, 2, 2]


# ---- A tensor as a number, or as text ------------------------------------------------------------


def test_item_len_bool():
    assert tg.tensor([[2.5]]).item() == 2.5 and type(tg.tensor(2).item()) is int
    assert float(tg.tensor(2)) == 2.0 and int(tg.tensor(2.9)) == 2 and [5, 6][tg.tensor(1)] == 6
    assert len(tg.zeros(3, 2)) == 3 and bool(tg.tensor([1])) and not tg.tensor(0.0)
    assert f"{tg.tensor(1.23456):.2f}" == "1.23"
    for call, error, text in [
        (lambda: tg.zeros(2).item(), RuntimeError, r"one element; this has shape \(2,\)"),
        (lambda: bool(tg.zeros(2)), RuntimeError, r"\.any\(\) or \.all\(\)"),
        (lambda: float(tg.zeros(0)), RuntimeError, "one element"),
        (lambda: len(tg.tensor(1.0)), TypeError, "0-d"),
        (lambda: list(tg.tensor(1.0)), TypeError, "0-d"),
        (lambda: [1][tg.tensor(0.5)], TypeError, "integer"),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_repr():
    assert repr(tg.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(tg.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tg.tensor([1.0], dtype=tg.float64)) == "tensor([1.], dtype=float64)"
    x = tg.tensor(1.5, requires_grad=True)
    assert repr(x) == "tensor(1.5, requires_grad=True)"
    assert repr(x * 2) == "tensor(3., grad_fn=<mul>)"
    assert "..." in repr(tg.zeros(100, 100))
    y = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert repr(y) == "tensor([[1., 2.],\n        [3., 4.]])"


def test_iteration_and_unpacking():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3, 4], [1, 2]]
    assert [row.tolist() for row in x.detach()] == [[1, 2], [3, 4]]
    assert [float(v) for v in tg.tensor([1.0, 2.0])] == [1, 2]


def test_shape_questions():
    x = tg.zeros(2, 3)
    assert x.shape == (2, 3) == x.size() and x.size(-1) == 3 and x.numel() == x.nelement() == 6
    assert x.dim() == x.ndim == 2 and x.stride() == (3, 1) and x.T.stride() == (1, 3)
    assert x.is_contiguous() and not x.T.is_contiguous() and x.T.contiguous().is_contiguous()
    assert x.contiguous() is x and x.element_size() == 4 and x.is_floating_point()
    assert tg.is_tensor(x) and not tg.is_tensor(x.numpy()) and tg.numel(x) == 6


# ---- Indexing ------------------------------------------------------------------------------------


@st.composite
def arrays_and_indices(draw):
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    x = np.random.default_rng(0).standard_normal(shape)
    basic = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
    kinds = [basic, hnp.arrays(bool, shape)]
    if shape and all(shape):
        kinds.append(hnp.integer_array_indices(shape, dtype=np.int64))
        rows = hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, min_side=0, max_side=3),
                          elements=st.integers(-shape[0], shape[0] - 1))  # fmt: skip
        backwards = [slice(None, None, -1)] * (len(shape) - 1)
        kinds += [rows, rows.map(lambda i: i.tolist() or [0]), rows.map(lambda i: (i, *backwards))]
        kinds += [st.just((Ellipsis, [0, -1], None)), st.just((None, np.array(0), Ellipsis))]
    return x, draw(st.one_of(kinds))


def as_tensors(index):
    if isinstance(index, tuple):
        return tuple(as_tensors(i) for i in index)
    return tg.tensor(index) if isinstance(index, np.ndarray) else index


@settings(max_examples=300, deadline=None, derandomize=True)
@given(arrays_and_indices())
def test_indexing_is_numpys(case):
    array, index = case
    expected = np.asarray(array[index])
    plain = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    scattered = np.zeros(array.shape)
    np.add.at(scattered, index, plain)
    for form in (index, as_tensors(index)):
        x = Tensor(array.copy(), requires_grad=True)
        y = x[form]
        assert y.shape == expected.shape
        np.testing.assert_array_equal(y.detach().numpy(), expected)
        y.backward(Tensor(plain))
        np.testing.assert_array_equal(x.grad.numpy(), scattered)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(arrays_and_indices(), st.booleans())
def test_setting_is_numpys(case, scalar):
    array, index = case
    shape = () if scalar else array[index].shape
    value = np.random.default_rng(1).standard_normal(shape)
    expected = array.copy()
    expected[index] = value
    for recorded in (False, True):
        base, v = Tensor(array.copy(), recorded), Tensor(value.copy(), recorded)
        x = base * 1 if recorded else base
        x[as_tensors(index)] = v
        np.testing.assert_array_equal(x.detach().numpy(), expected)
        if recorded:
            cotangent = np.random.default_rng(2).standard_normal(array.shape)
            x.backward(Tensor(cotangent))
            kept = cotangent.copy()
            kept[index] = 0
            np.testing.assert_array_equal(base.grad.numpy(), kept)
            total = cotangent.sum() - kept.sum()
            np.testing.assert_allclose(v.grad.numpy().sum(), total, atol=1e-10)


@pytest.mark.parametrize(
    "index", [3, -4, (0, 5), [0, 3], np.array([7]), (0, 0, 0), (slice(None), -3)], ids=repr
)
def test_index_out_of_range(index):
    x = tg.zeros(3, 2, requires_grad=True)
    with pytest.raises(IndexError, match="getitem"):
        x[index]
    with pytest.raises(IndexError):
        (x * 1)[index] = 1.0
    with pytest.raises(IndexError):
        x.detach()[index] = 1.0


def test_named_index_errors():
    x, i = tg.zeros(3, 2), tg.tensor([5])
    for call, text in [
        (lambda: x.gather(0, i[None]), "gather: index 5 .* size 3"),
        (lambda: x.index_select(1, i), "index_select: index 5 .* size 2"),
        (lambda: x.scatter(0, i[None], 1.0), "scatter: index 5 .* size 3"),
        (lambda: x.scatter_add(0, i[None], tg.ones(1, 1)), "scatter_add: index 5 .* size 3"),
        (lambda: tg.nn.functional.embedding(i, x), "index 5 .* 3 embeddings"),
        (lambda: x.gather(0, tg.zeros(1, 1)), "must hold integers; it is float32"),
        (lambda: x.narrow(0, 2, 2), "2:4 is not within 0:3"),
        (lambda: x.unsqueeze(4), "unsqueeze: dim 4"),
        (lambda: x.squeeze(2), "squeeze: dim 2"),
        (lambda: x.flatten(0, 3), "flatten: dim 3"),
    ]:
        with pytest.raises(IndexError, match=text):
            call()


@pytest.mark.parametrize("call,text", [
    (lambda: tg.zeros(2, 3) + tg.zeros(2), r"add: .*\(2, 3\) and \(2,\)"),
    (lambda: tg.zeros(2, 3) @ tg.zeros(2, 3), r"matmul: \(2, 3\) @ \(2, 3\)"),
    (lambda: tg.zeros(2, 3).mT.contiguous().view(2, 3).view(7), "view|reshape"),
    (lambda: tg.zeros(2, 3).reshape(4), r"reshape: .*\(2, 3\)"),
    (lambda: tg.zeros(2, 3).expand(4, 3), r"expand: .*\(2, 3\)"),
    (lambda: tg.cat([tg.zeros(2, 3), tg.zeros(2, 4)]), r"cat: .*\(2, 3\) and \(2, 4\)"),
    (lambda: tg.stack([tg.zeros(2), tg.zeros(3)]), r"stack: the shapes differ: \(2,\), \(3,\)"),
    (lambda: tg.where(tg.zeros(2).bool(), tg.zeros(3), 0.0), r"where: .*\(2,\) and \(3,\)"),
    (lambda: tg.zeros(2, 3).split([1, 1], 1), "do not add up to 3"),
    (lambda: tg.mm(tg.zeros(2), tg.zeros(2, 2)), r"mm takes .*\(2,\)"),
    (lambda: tg.dot(tg.zeros(2), tg.zeros(3)), r"dot .*\(2,\), \(3,\)"),
    (lambda: tg.nn.functional.linear(tg.zeros(2, 3), tg.zeros(4, 2)), "3 features .* takes 2"),
    (lambda: tg.zeros(2, 3).sum(5), "sum"),
    (lambda: tg.matmul(tg.tensor(1.0), tg.zeros(2)), "matmul: both operands need a dimension"),
])  # fmt: skip
def test_shape_errors_name_the_op_and_the_shapes(call, text):
    with pytest.raises((ShapeError, IndexError), match=text) as error:
        call()
    if isinstance(error.value, ShapeError):
        assert isinstance(error.value, ValueError) and isinstance(error.value, RuntimeError)


# ---- Random numbers ------------------------------------------------------------------------------

DRAWS = [
    lambda g: tg.randn(5, generator=g), lambda g: tg.rand(5, generator=g),
    lambda g: tg.randint(9, (5,), generator=g),
    lambda g: tg.randperm(5, generator=g), lambda g: tg.normal(0.0, tg.ones(5), generator=g),
    lambda g: tg.bernoulli(tg.full((50,), 0.5), generator=g),
    lambda g: tg.randn_like(tg.ones(5), generator=g),
    lambda g: tg.multinomial(tg.ones(9), 5, generator=g),
    lambda g: tg.zeros(5).normal_(generator=g),
    lambda g: tg.multinomial(tg.ones(9), 5, True, generator=g),
    lambda g: tg.zeros(5).uniform_(generator=g),
]  # fmt: skip


@pytest.mark.parametrize("draw", DRAWS)
def test_seeds_repeat(draw):
    tg.manual_seed(3)
    first, second = draw(None).tolist(), draw(None).tolist()
    assert first != second
    tg.manual_seed(3)
    assert draw(None).tolist() == first
    state = tg.get_rng_state()
    assert draw(None).tolist() == second
    tg.set_rng_state(state)
    assert draw(None).tolist() == second
    generator = tg.Generator(3)
    untouched = tg.get_rng_state()
    assert draw(generator).tolist() == first
    assert str(tg.get_rng_state()) == str(untouched)
    assert generator.manual_seed(3) is generator and draw(generator).tolist() == first


def test_moments():
    x = tg.randn(100_000)
    assert abs(x.mean().item()) < 0.02 and abs(x.std().item() - 1) < 0.02 and x.dtype == tg.float32
    u = tg.rand(100_000)
    assert u.min().item() >= 0 and u.max().item() < 1 and abs(u.mean().item() - 0.5) < 0.01
    n = tg.randint(-2, 3, (10_000,))
    assert sorted(set(n.tolist())) == [-2, -1, 0, 1, 2] and n.dtype == tg.int64
    y = tg.normal(tg.tensor([0.0, 10.0]), 0.1)
    assert y.shape == (2,) and abs(y[1].item() - 10) < 1
    assert sorted(tg.randperm(50).tolist()) == list(range(50))
    p = tg.bernoulli(tg.tensor([0.0, 1.0, 0.3]).expand(20_000, 3)).mean(0)
    assert p[0].item() == 0 and p[1].item() == 1 and abs(p[2].item() - 0.3) < 0.02


def test_shapes_and_dtypes_of_draws():
    assert tg.randn(2, 3).shape == tg.randn((2, 3)).shape == tg.rand([2, 3]).shape == (2, 3)
    assert tg.randn(()).shape == tg.randn().shape == () and tg.randn(0, 2).shape == (0, 2)
    assert (
        tg.randn(2, dtype=tg.float64).dtype == tg.float64
        and tg.rand(2, requires_grad=True).requires_grad
    )


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_frequencies(replacement):
    p = tg.tensor([[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 1.0, 2.0]])
    first = tg.stack(
        [tg.multinomial(p, 1 + (not replacement), replacement)[:, 0] for _ in range(4000)]
    )
    for row in range(2):
        frequency = np.bincount(first[:, row].numpy(), minlength=4) / 4000
        np.testing.assert_allclose(frequency, p[row].numpy() / p[row].sum().item(), atol=0.03)


def test_multinomial_without_replacement_draws_each_once():
    for _ in range(50):
        assert sorted(tg.multinomial(tg.tensor([1.0, 5.0, 0.0, 1.0]), 3).tolist()) == [0, 1, 3]


@pytest.mark.parametrize(
    "weights", [[0.0, 0.0], [1.0, -1.0], [float("nan"), 1.0], [float("inf"), 1.0]]
)
def test_multinomial_refuses(weights):
    with pytest.raises(RuntimeError, match="multinomial: weights must be"):
        tg.multinomial(tg.tensor(weights), 1)


def test_multinomial_refuses_too_many():
    with pytest.raises(RuntimeError, match="replacement=True"):
        tg.multinomial(tg.tensor([1.0, 0.0]), 2)
    with pytest.raises(RuntimeError, match="outside of"):
        tg.bernoulli(tg.tensor([1.5]))
