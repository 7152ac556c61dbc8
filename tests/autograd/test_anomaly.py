"""detect_anomaly names the op, and the line, that first made a NaN."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import detect_anomaly
from tinygen.autograd.fused import gelu
from tinygen.autograd.primitive import Primitive


def zero():
    return tg.zeros(3, requires_grad=True)


def test_forward_names_the_op_and_the_line():
    said = r"log made the first NaN(.|\n)*tg.log\(zero\(\) - 1\)"
    with pytest.raises(RuntimeError, match=said), detect_anomaly():
        tg.exp(tg.log(zero() - 1))


def test_backward_names_the_op_whose_gradient_it_is():
    with detect_anomaly():
        y = tg.sqrt(zero()) * 0.0
        with pytest.raises(RuntimeError, match=r"the gradient of sqrt(.|\n)*tg.sqrt\(zero\(\)\)"):
            y.sum().backward()


class Broken(tg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return tg.full(g.shape, np.nan)


def test_gradients_of_kernels_and_of_the_users_functions_are_looked_at(monkeypatch):
    monkeypatch.setattr(gelu, "gradient_function", lambda g, *_: (g * np.float32(np.nan), None))
    for function in (gelu, Broken.apply):
        with detect_anomaly():
            y = function(zero())
            with pytest.raises(RuntimeError, match=r"the gradient of (gelu|Broken)"):
                y.sum().backward()


def test_a_nan_that_was_there_before_is_nobodys_fault():
    with detect_anomaly():
        y = tg.exp(tg.tensor([np.nan, 1.0]))
    assert np.isnan(y.numpy()[0])


def test_off_again_afterwards_and_with_check_nan_false():
    before = Primitive.__call__
    with detect_anomaly(check_nan=False):
        tg.log(tg.tensor([-1.0]))
    with pytest.raises(ZeroDivisionError), detect_anomaly():
        assert Primitive.__call__ is not before
        raise ZeroDivisionError
    assert Primitive.__call__ is before


def test_results_are_the_same_and_several_outputs_pass():
    x = tg.randn(4, 3, requires_grad=True)
    with detect_anomaly():
        a, b = x.split(2)
        ((a * b).sum() + tg.nn.functional.layer_norm(x, (3,))[0, 0]).backward()
    found, x.grad = x.grad, None
    a, b = x.split(2)
    ((a * b).sum() + tg.nn.functional.layer_norm(x, (3,))[0, 0]).backward()
    np.testing.assert_array_equal(found.numpy(), x.grad.numpy())
