"""Shapes: which results share memory, what is written through them, and what does not fit."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd.registry import ShapeError
from tinygen.autograd.tensor import Tensor

X = np.arange(12.0).reshape(3, 4)

# ---- Views and copies ----------------------------------------------------------------------------

VIEWS = {
    "view": lambda x: x.view(4, 3),
    "view(-1)": lambda x: x.view(-1),
    "reshape": lambda x: x.reshape(2, 6),
    "view_as": lambda x: x.view_as(tg.zeros(6, 2)),
    "ravel": lambda x: x.ravel(),
    "reshape_as": lambda x: x.reshape_as(tg.zeros(6, 2)),
    "flatten": lambda x: x.flatten(),
    "unflatten": lambda x: x.unflatten(1, (2, -1)),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x[:, :1].squeeze(),
    "transpose": lambda x: x.transpose(0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "swapdims": lambda x: x.swapdims(0, 1),
    "t": lambda x: x.t(),
    "permute": lambda x: x.permute(1, 0),
    "movedim": lambda x: x.movedim(0, 1),
    "moveaxis": lambda x: x.moveaxis(0, 1),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "H": lambda x: x.H,
    "mH": lambda x: x.mH,
    "adjoint": lambda x: x.adjoint(),
    "narrow": lambda x: x.narrow(1, -3, 2),
    "select": lambda x: x.select(1, -1),
    "diagonal": lambda x: x.diagonal(),
    "diagonal(1)": lambda x: x.diagonal(1, 1, 0),
    "unfold": lambda x: x.unfold(1, 2, 2),
    "unfold of a part": lambda x: x.T[1:].unfold(0, 1, 2),
    "x[1:, ::2]": lambda x: x[1:, ::2],
    "x[::-1]": lambda x: x[::-1, None],
    "x[1, 2]": lambda x: x[1, 2],
    "split": lambda x: x.split(2)[1],
    "chunk": lambda x: x.chunk(2, 1)[0],
    "unbind": lambda x: x.unbind(1)[2],
    "tensor_split": lambda x: x.tensor_split(2)[1],
    "hsplit": lambda x: x.hsplit(2)[1],
    "tensor_split at": lambda x: x.tensor_split((1, 3), 1)[1],
    "vsplit": lambda x: x.vsplit([1])[1],
    "iteration": lambda x: list(x)[1],
    "expand of nothing new": lambda x: x.expand(-1, 4),
    "of a view": lambda x: x.T[1:].diagonal()[::2],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory_and_history(name):
    """Written through, the base sees it, in value and gradient; and the other way round."""
    view = VIEWS[name]
    x = Tensor(X.copy(), requires_grad=True)
    base = x * 1
    part = view(base)
    assert np.shares_memory(part.detach().numpy(), base.detach().numpy())
    part.mul_(10)
    expected = np.ones_like(X)
    view(Tensor(expected)).array[...] = 10
    np.testing.assert_array_equal(base.detach().numpy(), X * expected)
    weights = np.arange(1.0, 13).reshape(3, 4)
    (base * tg.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), weights * expected)
    base = Tensor(X.copy(), requires_grad=True) * 1
    part = view(base)
    base.mul_(3)
    np.testing.assert_array_equal(part.detach().numpy(), view(Tensor(3 * X)).numpy())
    assert part.grad_fn is not None


COPIES = {
    "flip": lambda x: x.flip(0),
    "flip of none": lambda x: x.flip(()),
    "fliplr": lambda x: x.fliplr(),
    "flipud": lambda x: x.flipud(),
    "roll": lambda x: x.roll(0),
    "rot90": lambda x: x.rot90(0),
    "rot90(2)": lambda x: x.rot90(2),
    "tril": lambda x: x.tril(9),
    "triu": lambda x: x.triu(-9),
    "diag": lambda x: x.diag(),
    "diag_embed": lambda x: x.diag_embed(),
    "repeat": lambda x: x.repeat(1, 1),
    "x[[0, 1]]": lambda x: x[[0, 1]],
    "x[mask]": lambda x: x[x > -1],
    "gather": lambda x: x.gather(0, tg.zeros(1, 4).long()),
    "take": lambda x: x.take(tg.tensor(3)),
    "index_select": lambda x: x.index_select(0, tg.tensor([0, 1, 2])),
    "cat": lambda x: tg.cat([x]),
    "stack": lambda x: tg.stack([x]),
    "diagonal_scatter": lambda x: x.diagonal_scatter(x.diagonal()),
    "masked_select": lambda x: x.masked_select(x > -1),
    "scatter": lambda x: x.scatter(0, tg.zeros(0, 4).long(), 1.0),
    "masked_fill": lambda x: x.masked_fill(x < -1, 0.0),
    "tile": lambda x: x.tile(1),
    "index_add": lambda x: x.index_add(0, tg.zeros(0).long(), tg.zeros(0, 4).double()),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_do_not(name):
    x = Tensor(X.copy())
    out = COPIES[name](x)
    assert not np.shares_memory(out.numpy(), x.numpy())
    out.fill_(-1.0)
    np.testing.assert_array_equal(x.numpy(), X)


@pytest.mark.parametrize("view", [lambda x: x.unfold(1, 3, 1), lambda x: x.expand(2, 3, 4)])
def test_memory_that_stands_for_several_elements_is_not_written(view):
    for base in (Tensor(X.copy()), Tensor(X.copy(), requires_grad=True) * 1):
        with pytest.raises(RuntimeError, match=r"one element stands for several.*clone"):
            view(base).mul_(2)


def test_overlapping_windows_follow_the_base():
    x = Tensor(X[0].copy(), requires_grad=True)
    base = x * 1
    windows = base.unfold(0, 2, 1)
    base[1] = 7.0
    assert windows.tolist() == [[0, 7], [7, 2], [2, 3]]
    windows.sum().backward()
    assert x.grad.tolist() == [1, 0, 2, 1]


def test_windows_of_memory_in_any_order():
    for x in (X, X.T, X[::-1, 1:], np.broadcast_to(X[0], (3, 4)), np.asfortranarray(X),
              np.frombuffer(X.tobytes()).reshape(3, 4), X[:0], np.lib.stride_tricks.as_strided(
              X, (2, 3), (64, 16))):  # fmt: skip
        n = x.shape[1]
        found = Tensor(x).unfold(1, 2, 1)
        expected = np.stack([x[:, i : i + 2] for i in range(n - 1)], 1)
        np.testing.assert_array_equal(found.numpy(), expected)


# ---- Forms of calling ----------------------------------------------------------------------------


def test_sizes_one_by_one_as_a_tuple_or_by_name():
    x = Tensor(X.copy())
    for forms in [
        (
            x.reshape(2, 6),
            x.reshape((2, 6)),
            x.reshape([2, 6]),
            x.reshape(shape=(2, 6)),
            x.reshape(2, -1),
        ),
        (x.view(2, 6), x.view((2, 6)), x.view(size=(2, 6)), x.view(np.int64(2), tg.tensor(6))),
        (x.permute(1, 0), x.permute((1, 0)), x.permute(dims=(1, 0)), tg.permute(x, (1, 0))),
        (
            x.expand(2, 3, 4),
            x.expand((2, 3, 4)),
            x.expand(size=(2, 3, 4)),
            x.broadcast_to((2, 3, 4)),
        ),
        (x.repeat(1, 2), x.repeat((1, 2)), x.repeat(repeats=(1, 2)), x.tile(2), tg.tile(x, (2,))),
        (x.flip(0, 1), x.flip((0, 1)), x.flip(dims=[0, 1]), tg.flip(x, (0, 1)), x.rot90(2)),
        (tg.broadcast_tensors(x, x)[0], tg.broadcast_tensors([x, x])[1]),
        (
            tg.meshgrid(x[0], x[1])[0],
            tg.meshgrid([x[0], x[1]])[0],
            tg.meshgrid(x[0], x[1], indexing="ij")[0],
        ),
    ]:
        for other in forms[1:]:
            np.testing.assert_array_equal(other.numpy(), forms[0].numpy())


def test_sizes_and_strides():
    x = Tensor(X.copy())
    assert x.size() == x.shape == (3, 4) and x.size(-1) == 4 and x.dim() == x.ndimension() == 2
    assert x.T.stride() == (1, 4) and x.stride(0) == 4
    for wrong in (lambda: x.size(2), lambda: x.stride(-3), lambda: x[0, 0].size(0)):
        with pytest.raises(IndexError):
            wrong()


def test_broadcast_shapes():
    assert tg.broadcast_shapes((2, 1), (3,), 1, ()) == (2, 3)
    with pytest.raises(ShapeError, match=r"\(2, 3\), \(3, 2\)"):
        tg.broadcast_shapes((2, 3), (3, 2))


def test_empty_vectors_fit_into_every_cat():
    x, nothing = Tensor(X.copy(), requires_grad=True), Tensor(np.zeros(0), requires_grad=True)
    out = tg.cat([nothing, x, nothing], 1)
    out.sum().backward()
    assert out.shape == (3, 4) and nothing.grad.shape == (0,)
    assert tg.cat([tg.zeros(0), tg.ones(2).long()]).dtype == tg.float32


def test_pieces_of_nothing():
    x = tg.zeros(0, 2)
    assert [p.shape for p in x.chunk(3)] == [(0, 2)] * 3
    assert [p.shape for p in x.split(5)] == [(0, 2)] and x.unbind() == ()
    assert x.unfold(1, 2, 1).shape == (0, 1, 2) and tg.zeros(3).unfold(0, 0, 1).shape == (4, 0)
    assert x.diagonal().shape == (0,) and x.repeat(2, 0).shape == (0, 0)


# ---- Errors --------------------------------------------------------------------------------------

DIMS = """
    transpose(0,2) transpose(-3,0) permute(0,2) unsqueeze(3) squeeze(2) squeeze((0,5)) flatten(0,3)
    unflatten(2,(2,2)) movedim(0,2) narrow(2,0,1) select(2,0) unfold(2,1,1) diagonal(0,0,2)
    unbind(2) split(1,2) chunk(1,2) tensor_split(1,2) flip(2) flip(0,-3) roll(1,2)
    repeat_interleave(2,2) index_select(2,i) index_add(2,i,x) gather(2,i) scatter(-3,i,0)
    take_along_dim(i,2) diag_embed(0,0,4) diagonal_scatter(x,0,0,2) select_scatter(x,2,0)
    slice_scatter(x,2) rot90(1,(0,2)) size(2)
"""


@pytest.mark.parametrize("call", DIMS.split())
def test_dim_out_of_range(call):
    with pytest.raises(IndexError, match=r"dim -?\d.*\[-\d, \d\]"):
        eval(f"x.{call}", {"x": Tensor(X.copy()), "i": tg.tensor([[0]])})


MISFITS = {
    "x.view(5)": r"5.*\(3, 4\)",
    "x.T.view(12)": r"\(12,\).*\(4, 3\).*reshape",
    "x.reshape(5, -1)": r"\(3, 4\)",
    "x.expand(2, 4)": r"\(3, 4\).*\(2, 4\)",
    "x.expand(4)": r"\(3, 4\).*\(4,\)",
    "x.unflatten(1, (3, 2))": r"\(3, 2\).*4.*\(3, 4\)",
    "x.permute(0)": r"\(3, 4\)",
    "x.permute(0, 0)": r"permute.*twice",
    "x.flip(0, 0)": "flip.*twice",
    "x.repeat(2)": r"\(3, 4\)",
    "tg.cat([x, x.T])": r"\(3, 4\).*\(4, 3\).*dim 0",
    "tg.cat([])": "empty",
    "tg.stack([x, x.T])": r"\(3, 4\), \(4, 3\)",
    "tg.cat([x[0, 0]])": "0-d.*stack",
    "x.split([1, 1])": r"\[1, 1\].*3.*dim 0",
    "x.split(0)": "at least 1",
    "x.chunk(0)": "at least 1",
    "x.hsplit(3)": "4 elements.*3 equal",
    "x.dsplit(1)": r"3 dimensions.*\(3, 4\)",
    "x.unfold(0, 4, 1)": r"size 4.*3 elements",
    "x.unfold(0, 1, 0)": "step at least 1",
    "x.roll((1, 2), 0)": "2 shifts for 1 dims",
    "x[0].tril()": r"tril.*\(4,\)",
    "x.diag().diag().sum().diag()": "diag",
    "x.diagonal_scatter(x[0])": r"\(3,\).*\(4,\)",
    "x.repeat_interleave(tg.tensor([1, 2]), 0)": r"\(2,\) for 3",
    "tg.meshgrid(x)": r"\(3, 4\)",
    "x.movedim((0, 1), (0,))": "2 dimensions.*1",
    "x[0].mT": r"\(4,\)",
    "x[0].fill_diagonal_(0)": r"\(4,\)",
}


@pytest.mark.parametrize("code", MISFITS)
def test_shapes_that_do_not_fit(code):
    with pytest.raises(RuntimeError, match=MISFITS[code]):
        eval(code, {"tg": tg, "x": Tensor(X.copy())})


def test_sizes_must_be_ints():
    for wrong in (lambda x: x.view(tg.float64), lambda x: x.reshape(1.5), lambda x: x.expand("3")):
        with pytest.raises(TypeError, match="ints"):
            wrong(Tensor(X))


# ---- Diagonals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape,wrap",
    [
        ((3, 3), False),
        ((2, 4), False),
        ((4, 2), False),
        ((7, 2), True),
        ((2, 7), True),
        ((0, 3), False),
        ((2, 2, 2), False),
    ],
)
def test_fill_diagonal_is_torchs(shape, wrap):
    torch = pytest.importorskip("torch")
    expected = torch.zeros(shape).fill_diagonal_(1.5, wrap)
    np.testing.assert_array_equal(
        tg.zeros(shape).fill_diagonal_(1.5, wrap).numpy(), expected.numpy()
    )
