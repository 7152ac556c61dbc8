"""Reading and writing elements: NumPy's indices, PyTorch's results, errors that name the index."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygen as tg
from tinygen.autograd.registry import ShapeError
from tinygen.autograd.tensor import Tensor

X = np.arange(6.0).reshape(2, 3)

# ---- Any index, against PyTorch and NumPy --------------------------------------------------------


def slices(draw, size):
    ends = st.none() | st.integers(-size - 1, size + 1)
    return slice(draw(ends), draw(ends), draw(st.none() | st.integers(1, 3)))


@st.composite
def indices(draw):
    """A shape, and an index that fits: any mixture of what there is."""
    shape = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)))
    index, length = [], draw(st.integers(1, 3))
    dim = 0
    while dim < len(shape):
        kinds = ["slice", "stop", "none", "mask"] + ["int", "array", "array", "0-d"] * (
            shape[dim] > 0
        )
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "none":
            index.append(None)
            continue
        within = st.integers(-shape[dim], shape[dim] - 1)
        if kind == "slice":
            index.append(slices(draw, shape[dim]))
        elif kind == "int":
            index.append(draw(within))
        elif kind == "0-d":
            index.append(np.array(draw(within)))
        elif kind == "array":
            values = draw(st.lists(within, min_size=length, max_size=length))
            index.append(np.array(values)[:: draw(st.sampled_from([1, length]))])  # or one of them
        else:  # a mask of one or two dimensions, True in `length` places, so that arrays fit
            taken = shape[dim : dim + draw(st.integers(1, 2))]
            mask = np.zeros(taken, bool)
            mask.reshape(-1)[: draw(st.sampled_from([length, 1]))] = True
            index.append(mask)
            dim += len(taken) - 1
        dim += 1
    if draw(st.booleans()) and dim == len(shape):
        index.insert(draw(st.integers(0, len(index))), ...)
    return shape, tuple(index)


def as_torchs(torch, index):
    return tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in index)


def as_ours(index):
    return tuple(Tensor(i) if isinstance(i, np.ndarray) else i for i in index)


def filled(shape):
    return np.random.default_rng(0).standard_normal(shape)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(indices())
def test_reading_is_torchs(case):
    torch = pytest.importorskip("torch")
    shape, index = case
    x, theirs = Tensor(filled(shape), True), torch.tensor(filled(shape), requires_grad=True)
    try:
        expected = theirs[as_torchs(torch, index)]
    except IndexError:
        with pytest.raises(IndexError):
            x[as_ours(index)]
        return
    found = x[as_ours(index)]
    np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy())
    assert tuple(expected.shape) == found.shape  # assert_array_equal broadcasts
    cotangent = filled(found.shape)
    found.backward(Tensor(cotangent))
    expected.backward(torch.tensor(cotangent))
    np.testing.assert_allclose(x.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(indices(), st.booleans(), st.booleans())
def test_writing_is_torchs(case, one_number, recorded):
    torch = pytest.importorskip("torch")
    shape, index = case
    counts = np.zeros(shape, int)
    try:
        part = torch.zeros(shape)[as_torchs(torch, index)]
    except IndexError:
        with pytest.raises(IndexError):
            Tensor(filled(shape))[as_ours(index)] = 0.0
        return
    places = torch.arange(counts.size).reshape(shape)[as_torchs(torch, index)]
    assume(len(set(places.flatten().tolist())) == places.numel())  # else torch's choice is open
    value = np.array(0.5) if one_number else filled(tuple(part.shape))
    x, theirs = Tensor(filled(shape), recorded), torch.tensor(filled(shape), requires_grad=recorded)
    v, their_v = Tensor(value, recorded), torch.tensor(value, requires_grad=recorded)
    y, expected = x * 1, theirs * 1
    y[as_ours(index)], expected[as_torchs(torch, index)] = v, their_v
    np.testing.assert_array_equal(y.detach().numpy(), expected.detach().numpy())
    if recorded:
        cotangent = filled(shape)
        y.backward(Tensor(cotangent))
        expected.backward(torch.tensor(cotangent))
        np.testing.assert_allclose(x.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)
        given_ = 0 if v.grad is None else v.grad.numpy()
        np.testing.assert_allclose(
            given_, 0 if their_v.grad is None else their_v.grad.numpy(), rtol=1e-12
        )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(indices())
def test_reading_is_numpys_but_for_ints_beside_arrays(case):
    shape, index = case
    plain = [int(i) if isinstance(i, np.ndarray) and not i.ndim else i for i in index]
    assume(not any(isinstance(i, int) for i in plain))
    try:
        expected = filled(shape)[tuple(plain)]
    except IndexError:
        return
    np.testing.assert_array_equal(Tensor(filled(shape))[as_ours(index)].numpy(), expected)


# ---- One by one ----------------------------------------------------------------------------------


def test_an_int_beside_an_array_takes_its_dimension_away_and_no_more():
    x = tg.arange(24).reshape(2, 3, 4)
    assert x[0, :, [1, 2]].shape == (3, 2)  # NumPy's would be (2, 3)
    y = x.clone()
    y[1, :, [0, 3]] = 0
    assert y[1].tolist() == [[0, 13, 14, 0], [0, 17, 18, 0], [0, 21, 22, 0]]
    assert (y[0] == x[0]).all()


def test_slices_backwards():
    x = Tensor(X.copy(), requires_grad=True)
    y = x[::-1, 2:0:-1]
    np.testing.assert_array_equal(y.detach().numpy(), X[::-1, 2:0:-1])
    (y * tg.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 4, 3], [0, 2, 1]])


def test_numbers_of_all_kinds_are_ints():
    x = Tensor(X.copy())
    for one in (
        1,
        np.int64(1),
        np.uint8(1),
        np.array(1),
        tg.tensor(1),
        tg.tensor(-1, dtype=tg.int8),
    ):
        np.testing.assert_array_equal(x[one].numpy(), X[1])
        assert np.shares_memory(x[one].numpy(), x.numpy())
    np.testing.assert_array_equal(x[tg.tensor(0) : tg.tensor(2), tg.tensor(1) :].numpy(), X[:, 1:])


def test_bools_are_masks_of_no_dimension():
    x = Tensor(X.copy())
    assert x[True].shape == x[np.True_].shape == x[tg.tensor(True)].shape == (1, 2, 3)
    assert x[False].shape == (0, 2, 3)
    assert x[:, [True, False, True]].shape == (2, 2)


def test_uint8_is_a_mask_with_a_warning():
    x = Tensor(X[0].copy())
    with pytest.warns(UserWarning, match=r"uint8.*mask.*\.bool\(\).*\.long\(\)"):
        found = x[tg.tensor([1, 0, 1], dtype=tg.uint8)]
    assert found.tolist() == [0, 2]


def test_chains_write_through():
    x = Tensor(X.copy())
    x[0][1:][0] = 9.0
    x[1][[0, 2]] = 7.0
    x[x > 8] *= 2
    np.testing.assert_array_equal(x.numpy(), [[0, 18, 2], [7, 4, 7]])


def test_repeated_indices_sum_their_gradients():
    x = Tensor(X.copy(), requires_grad=True)
    (x[[0, 0, 1], [1, 1, 2]] * tg.tensor([1.0, 2.0, 4.0])).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 3, 0], [0, 0, 4]])


def test_integers_take_whole_numbers_silently_and_nothing_else():
    x = tg.tensor([1, 2, 3])
    x[0] = 1.7  # as in PyTorch
    assert x.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="NaN"):
        x[0] = float("nan")


# ---- Errors --------------------------------------------------------------------------------------

OUT_OF_RANGE = {
    "x[2]": "index 2 .* dim 0 with size 2", "x[0, -4]": "index -4 .* dim 1 with size 3",
    "x[[0, 5]]": "index 5 .* dim 0 with size 2",
    "x[:, tg.tensor([3])]": "index 3 .* dim 1 .*size 3",
    "x[0, 0, 0]": "too many indices", "x[1.5]": "only integers", "x[tg.tensor([0.5])]": "integer",
    "x[tg.tensor([True, False, True])]": "mask .* dim 0; size of dim is 2 .* is 3",
    "x.gather(1, tg.tensor([[-1]]))": "gather: index -1 .* dim 1 with size 3",
    "x.gather(2, tg.tensor([[0]]))": r"gather: dim 2 .*\[-2, 1\]",
    "x.scatter(0, tg.tensor([[2]]), 1.0)": "scatter: index 2 .* dim 0 with size 2",
    "x.scatter_add(0, tg.tensor([[2]]), x)": "scatter_add: index 2",
    "x.scatter_reduce(0, tg.tensor([[2]]), x, 'sum')": "scatter_reduce: index 2",
    "x.index_select(1, tg.tensor([3]))": "index_select: index 3 .* dim 1 with size 3",
    "x.index_add(0, tg.tensor([-1]), x[:1])": "index_add: index -1 .* dim 0 with size 2",
    "x.index_copy(0, tg.tensor([2]), x[:1])": "index_copy: index 2",
    "x.index_fill(0, tg.tensor([2]), 1)": "index_fill: index 2",
    "x.index_put((tg.tensor([2]),), x[0])": "index 2 .* dim 0 with size 2",
    "x.take(tg.tensor([6]))": "take: index 6 .* size 6",
    "x.take_along_dim(tg.tensor([[3]]), 1)": "take_along_dim: index 3 .* dim 1 with size 3",
    "x.put(tg.tensor([-7]), x[0, :1])": "put: index -7",
    "x.select(1, 3)": "index 3 .* dim 1 .*size 3",
    "tg.unravel_index(tg.tensor(6), (2, 3))": "unravel_index: index 6",
    "x.gather(1, x)": "must hold integers", "x.index_select(1, x[0])": "must hold integers",
    "x.__setitem__(2, 0.0)": "= value: index 2 .* dim 0 with size 2",
    "x.__setitem__((0, [0, 3]), 0.0)": "index 3 .* dim 0 with size 3",
}  # fmt: skip


@pytest.mark.parametrize("code", OUT_OF_RANGE)
def test_out_of_range(code):
    with pytest.raises(IndexError, match=OUT_OF_RANGE[code]):
        eval(code, {"tg": tg, "x": Tensor(X.copy())})


SHAPES = {
    "x.__setitem__(0, tg.ones(2))": r"\(2,\).*\(3,\)",
    "x.__setitem__([0, 1], tg.ones(2, 2))": r"\(2, 2\).*\(2, 3\)",
    "x.__setitem__(x > 2, tg.ones(2))": r"\(2,\).*\(3,\)",
    "x.gather(1, tg.tensor([0]))": r"\(1,\).*\(2, 3\)",
    "x.gather(1, tg.zeros(3, 1).long())": r"\(3, 1\).*\(2, 3\)",
    "x.scatter(1, tg.tensor([[0, 1]]), tg.ones(1, 1).double())": r"\(1, 1\).*\(1, 2\)",
    "x.index_add(0, tg.tensor([0]), x)": r"\(1, 3\).*\(2, 3\)",
    "x.index_select(0, tg.tensor([[0]]))": r"1-D.*\(1, 1\)",
    "x.masked_scatter(x >= 0, x[0])": r"6 elements.*\(3,\)",
    "x.masked_fill(x > 0, x[0])": r"0-d.*\(3,\)",
    "x.masked_select(tg.ones(4) > 0)": r"\(2, 3\).*\(4,\)",
    "x.put(tg.tensor([0, 1]), x[0])": r"\(2,\).*\(3,\)",
    "x.take_along_dim(tg.tensor([0]), 1)": r"\(1,\).*\(2, 3\)",
}  # fmt: skip


@pytest.mark.parametrize("code", SHAPES)
def test_shapes_that_do_not_fit(code):
    with pytest.raises(ShapeError, match=SHAPES[code]):
        eval(code, {"tg": tg, "x": Tensor(X.copy())})


@pytest.mark.parametrize("code", [
    "x.scatter(1, i, i)", "x.scatter_add(1, i, i)", "x.index_add(0, i[0], i)", "x.put(i, i)",
    "x.index_put((i[0],), i)", "x.masked_scatter(x > 0, i)", "i.masked_fill(i == 0, float('inf'))",
])  # fmt: skip
def test_values_of_another_type_are_refused(code):
    with pytest.raises(RuntimeError, match="int64"):
        eval(code, {"tg": tg, "x": Tensor(X.copy()), "i": tg.tensor([[0, 1]])})


def test_nothing_is_written_by_an_index_that_is_refused():
    x = Tensor(X.copy())
    with pytest.raises(IndexError):
        x[[0, 5]] = 1.0
    with pytest.raises(IndexError):
        x.index_add_(0, tg.tensor([0, 2]), x.clone())
    np.testing.assert_array_equal(x.numpy(), X)


# ---- Several values for one element --------------------------------------------------------------


def test_product_with_zeros_has_the_right_derivatives():
    """Where a factor is 0, the gradient of another is 0, but not its second derivative."""
    x = Tensor(np.array([2.0]), requires_grad=True)
    factors = Tensor(np.array([0.0, 3.0, 5.0]), requires_grad=True)
    y = x.scatter_reduce(0, tg.tensor([0, 0, 0]), factors, "prod")
    first = tg.autograd.grad(y.sum(), [x, factors], create_graph=True)
    assert first[0].tolist() == [0] and first[1].tolist() == [30, 0, 0]
    second = tg.autograd.grad(first[1][1], [x, factors])
    assert second[0].tolist() == [0] and second[1].tolist() == [10, 0, 0]


def test_extremes_that_are_equal_share_the_gradient():
    x = Tensor(np.array([1.0, 5.0]), requires_grad=True)
    src = Tensor(np.array([1.0, 1.0, 2.0]), requires_grad=True)
    x.scatter_reduce(0, tg.tensor([0, 0, 1]), src, "amax").sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 / 3, 1])
    np.testing.assert_allclose(src.grad.numpy(), [1 / 3, 1 / 3, 0])


def test_accumulating_counts_every_index():
    x = tg.zeros(3)
    x.index_put_((tg.tensor([0, 0, 2]),), tg.tensor([1.0, 2.0, 4.0]), accumulate=True)
    x.index_add_(0, tg.tensor([1, 1]), tg.ones(2), alpha=2)
    assert x.tolist() == [3, 4, 4]


def test_no_warning_for_ordinary_indices():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Tensor(X)[[0], tg.tensor([1])]
