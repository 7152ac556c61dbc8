"""nn.utils: clipping, and parameters as one vector."""

import math

import numpy as np
import pytest

from tinygen import nn
from tinygen.autograd.creation import tensor, zeros
from tinygen.autograd.dtypes import float64
from tinygen.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    parameters_to_vector,
    vector_to_parameters,
)  # fmt: skip
from tinygen.nn.utils.rnn import pad_sequence, unpad_sequence

GRADIENTS = [np.array([[3.0, -1.0]]), np.array([2.0, 0.5, -4.0])]


def params_with_gradients(gradients=GRADIENTS):
    params = [nn.Parameter(zeros(*g.shape, dtype=float64)) for g in gradients]
    for p, g in zip(params, gradients):
        p.grad = tensor(g)
    return [*params, nn.Parameter(zeros(1))]  # one has no gradient


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clip_grad_norm_is_pytorchs(norm_type, max_norm):
    torch = pytest.importorskip("torch")
    params = params_with_gradients()
    total = clip_grad_norm_(params, max_norm, norm_type)
    theirs = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in GRADIENTS]
    for p, g in zip(theirs, GRADIENTS):
        p.grad = torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    for p, q in zip(params, theirs):
        np.testing.assert_allclose(p.grad.array, q.grad, rtol=1e-12)


def test_clip_grad_norm_by_hand():
    params = params_with_gradients([np.array([3.0, 4.0])])
    assert clip_grad_norm_(params, 1.0).item() == 5.0
    np.testing.assert_allclose(params[0].grad.array, [0.6, 0.8], rtol=1e-6)
    before = params[0].grad.array.copy()
    assert clip_grad_norm_(params[0], 2.0).item() == pytest.approx(1.0)
    assert np.array_equal(params[0].grad.array, before)
    assert clip_grad_norm_([nn.Parameter(zeros(1))], 1.0).item() == 0
    param = nn.Parameter(zeros(2))
    param.grad = tensor([3.0, 4.0])
    assert clip_grad_norm_(param, 1.0).dtype == param.grad.dtype == np.float32


def test_a_norm_that_is_no_number():
    params = params_with_gradients([np.array([1.0, math.nan])])
    with pytest.raises(RuntimeError, match="is nan"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert math.isnan(clip_grad_norm_(params, 1.0).item())
    assert np.isnan(params[0].grad.array).all()


def test_clip_grad_value():
    params = params_with_gradients()
    clip_grad_value_(params, 1.5)
    assert params[0].grad.array.tolist() == [[1.5, -1]]
    assert params[1].grad.array.tolist() == [1.5, 0.5, -1.5]


def test_norm_and_clipping_apart_are_clipping():
    params, others = params_with_gradients(), params_with_gradients()
    total = nn.utils.get_total_norm([p.grad for p in params[:2]], 3.0)
    nn.utils.clip_grads_with_norm_(iter(params), 0.5, total)
    assert clip_grad_norm_(iter(others), 0.5, 3.0, foreach=True).item() == total.item()
    for p, q in zip(params[:2], others[:2]):
        assert np.array_equal(p.grad.array, q.grad.array)


def test_vector_there_and_back():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = parameters_to_vector(model.parameters())
    assert vector.shape == (13,) and vector.requires_grad
    vector_to_parameters(vector * 0 + 2, model.parameters())
    assert all((p.array == 2).all() and p.requires_grad for p in model.parameters())
    assert model[0].weight.shape == (3, 2)
    with pytest.raises(ValueError, match=r"vector of 13 numbers, got shape \(12,\)"):
        vector_to_parameters(zeros(12), model.parameters())
    with pytest.raises(TypeError, match="list"):
        vector_to_parameters([1.0], model.parameters())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence_is_pytorchs(side, batch_first):
    torch = pytest.importorskip("torch")
    arrays = [np.arange(2.0 * n).reshape(n, 2) for n in (3, 1, 4, 0)]
    found = pad_sequence([tensor(a) for a in arrays], batch_first, -1.0, side)
    expected = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(a) for a in arrays], batch_first, -1.0, side
    )
    assert np.array_equal(found.array, expected.numpy()) and found.dtype == float64
    if side == "right":
        for x, a in zip(unpad_sequence(found, tensor([3, 1, 4, 0]), batch_first), arrays):
            assert np.array_equal(x.array, a)


def test_pad_sequence_passes_gradients_on_and_refuses_nonsense():
    x = tensor([1.0, 2.0], requires_grad=True)
    (pad_sequence([x, zeros(3)]) * tensor([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0]])).sum().backward()
    assert x.grad.array.tolist() == [1, 2]
    assert pad_sequence([tensor([1, 2]), tensor([3])]).array.tolist() == [[1, 3], [2, 0]]
    with pytest.raises(RuntimeError, match="empty"):
        pad_sequence([])
    with pytest.raises(ValueError, match="'middle'"):
        pad_sequence([x], padding_side="middle")
