"""Making tensors: PyTorch's values and types, and what is refused."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd.registry import ShapeError

CALLS = [
    lambda t: t.arange(5), lambda t: t.arange(5.0), lambda t: t.arange(1, 7, 3),
    lambda t: t.arange(0, 1, 0.1), lambda t: t.arange(5, -1, -2), lambda t: t.arange(0.5, 3),
    lambda t: t.arange(4, dtype=t.float64), lambda t: t.arange(t.tensor(3)),
    lambda t: t.arange(0, 5, 2, dtype=t.int32), lambda t: t.arange(2, 2),
    lambda t: t.arange(0.0, -8.000001, -4.0, dtype=t.int64), lambda t: t.arange(start=1, end=4),
    lambda t: t.linspace(0, 1, 5), lambda t: t.linspace(-3.0, 2.0, 7, dtype=t.float64),
    lambda t: t.linspace(0, 1, 0), lambda t: t.linspace(2, 1, 1),
    lambda t: t.linspace(4.3, -3, 50, dtype=t.int64), lambda t: t.linspace(t.tensor(1.0), 2, 3),
    lambda t: t.logspace(0, 2, 5), lambda t: t.logspace(0, 2, 3, base=2.0),
    lambda t: t.logspace(0, 2.5, 3, dtype=t.int64),
    lambda t: t.eye(3), lambda t: t.eye(2, 3, dtype=t.int64), lambda t: t.eye(0, 2),
    lambda t: t.full((2,), True), lambda t: t.full((2, 1), 3), lambda t: t.full((), 2.5),
    lambda t: t.full((2,), t.tensor(3.0)), lambda t: t.full_like(t.ones(2, dtype=t.int64), 2.5),
    lambda t: t.full((2,), 3, dtype=t.float64),
    lambda t: t.zeros_like(t.ones(2), dtype=t.int64), lambda t: t.ones_like(t.zeros(2, 3)),
    lambda t: t.tril_indices(3, 4), lambda t: t.tril_indices(4, 2, -1),
    lambda t: t.triu_indices(3, 4, 1), lambda t: t.triu_indices(2, 2, dtype=t.int32),
    lambda t: t.scalar_tensor(2), lambda t: t.asarray([1, 2.0]), lambda t: t.asarray(3),
    lambda t: t.tensor([1.0, 2.0]).new_full((2,), 7, device="cpu"),
    lambda t: t.tensor([1]).new_tensor([1.5], dtype=t.float32),
    lambda t: t.as_tensor([t.tensor(1.0), t.tensor(2.0)]), lambda t: t.as_tensor(np.ones(2)),
    lambda t: t.zeros(2, dtype=float), lambda t: t.ones(2, dtype=int),
    lambda t: t.empty_like(t.zeros(2, 3, dtype=t.float64)).zero_(),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_is_torchs(call):
    theirs = call(pytest.importorskip("torch"))
    ours = call(tg)
    assert (ours.shape, str(ours.dtype)) == (tuple(theirs.shape), str(theirs.dtype)[6:])
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


def test_ends_are_met_exactly():
    x = tg.linspace(0.1, 0.7, 1001, dtype=tg.float64)
    assert x[0].item() == 0.1 and x[-1].item() == 0.7


def test_sharing_and_copying():
    array = np.zeros(2)
    for shared in (tg.asarray(array), tg.as_tensor(array), tg.from_numpy(array)):
        assert shared.array is array
    assert tg.asarray(array, copy=True).array is not array
    x = tg.tensor([1.0])
    assert tg.asarray(x) is x and tg.as_tensor(x) is x
    assert tg.asarray(x, requires_grad=True).requires_grad and not x.requires_grad


def test_questions():
    assert tg.is_tensor(tg.ones(1)) and not tg.is_tensor(1) and tg.numel(tg.ones(2, 3)) == 6
    assert tg.is_floating_point(tg.ones(1)) and not tg.is_complex(tg.ones(1))
    assert tg.is_nonzero(tg.tensor([2])) and not tg.is_nonzero(tg.tensor(0.0))
    assert tg.result_type(tg.tensor([1]), 2.0) == tg.float32
    assert tg.result_type(tg.ones(1), tg.tensor(1.0).double()) == tg.float32
    assert tg.can_cast(tg.int64, tg.float32) and not tg.can_cast(tg.float32, tg.int64)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_finfo_is_torchs(dtype):
    torch = pytest.importorskip("torch")
    ours, theirs = tg.finfo(getattr(tg, dtype)), torch.finfo(getattr(torch, dtype))
    for name in ("eps", "max", "min", "tiny", "bits", "resolution", "smallest_normal", "dtype"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert tg.finfo().dtype == "float32" and type(ours.eps) is float


def test_iinfo():
    assert (tg.iinfo(tg.int8).max, tg.iinfo(tg.int8).min, tg.iinfo(tg.int8).bits) == (127, -128, 8)


@pytest.mark.parametrize("call,error,text", [
    (lambda: tg.tensor(None), TypeError, "numbers or bools"),
    (lambda: tg.tensor(["a"]), TypeError, "numbers or bools"),
    (lambda: tg.tensor([1j]), TypeError, "complex"),
    (lambda: tg.from_numpy(np.array(["a"])), TypeError, "numbers or bools"),
    (lambda: tg.from_numpy([1.0]), TypeError, "takes an ndarray"),
    (lambda: tg.arange(3, 1), RuntimeError, "no steps of 1 lead from 3 to 1"),
    (lambda: tg.arange(1, 3, 0), RuntimeError, "no steps"),
    (lambda: tg.arange(float("inf")), RuntimeError, "finite"),
    (lambda: tg.linspace(0, 1, -1), RuntimeError, "negative"),
    (lambda: tg.linspace(0, 1, 2.0), TypeError, "float"),
    (lambda: tg.linspace(tg.ones(2), 1, 3), RuntimeError, "no dimension"),
    (lambda: tg.eye(-1), ShapeError, "negative size"),
    (lambda: tg.zeros(2, -1), ShapeError, "negative size"),
    (lambda: tg.zeros((2,), 3), TypeError, "a shape is integers"),
    (lambda: tg.zeros(2, dtype=tg.int64, requires_grad=True), RuntimeError, "float"),
    (lambda: tg.zeros(2, device="cuda"), RuntimeError, "CPU only"),
    (lambda: tg.zeros(2, colour="red"), TypeError, "colour"),
])  # fmt: skip
def test_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
