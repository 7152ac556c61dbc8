"""A layer of ours beside PyTorch's of the same name: weights, outputs, gradients, buffers."""

import numpy as np
import pytest

from tinygen import nn, tensor


def assert_twins(name: str, *options, shapes=((2, 4, 6, 5),), steps: int = 2, **keywords) -> None:
    """Our layer must have PyTorch's state_dict and repr, and after `steps` calls in training and
    one in evaluation the same outputs, gradients and buffers."""
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(*options, **keywords)
    theirs = getattr(torch.nn, name)(*options, **keywords).double()
    state = theirs.state_dict()
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in state.items()
    ]
    ours.double().load_state_dict({k: v.numpy().copy() for k, v in state.items()})
    rng = np.random.default_rng(0)
    for training in [True] * steps + [False]:
        ours.train(training), theirs.train(training)
        arrays = [rng.standard_normal(shape) for shape in shapes]
        xs = [tensor(a, requires_grad=True) for a in arrays]
        their_xs = [torch.tensor(a, requires_grad=True) for a in arrays]
        y, expected = ours(*xs), theirs(*their_xs)
        assert_close(y, expected)
        g = rng.standard_normal(y.shape)
        ours.zero_grad(), theirs.zero_grad()
        y.backward(tensor(g)), expected.backward(torch.tensor(g))
        for x, t in zip((*xs, *ours.parameters()), (*their_xs, *theirs.parameters()), strict=True):
            assert_close(x.grad, t.grad)
        for (key, b), t in zip(ours.named_buffers(), theirs.buffers(), strict=True):
            assert str(b.dtype) == str(t.dtype).removeprefix("torch."), key
            assert_close(b, t)


def assert_close(ours, theirs) -> None:
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11
    )
