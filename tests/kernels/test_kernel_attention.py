import numpy as np
import pytest

from tinygen.kernels import attention

SHAPES = [(1, 1, 1, 1), (64, 64, 32, 4), (5, 9, 24, 2), (200, 300, 33, 2), (300, 130, 8, 1),
          (130, 700, 40, 2)]  # fmt: skip


def dense(q, k, v, causal, scale):
    """The textbook's lines, with the whole matrix of scores."""
    s = scale * q @ k.swapaxes(-1, -2)
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("Tq, Tk, D, H", SHAPES)
def test_equals_reference(normal, call, close, double, Tq, Tk, D, H, causal):
    q, dout, k, v = (
        normal(2, H, Tq, D),
        normal(2, H, Tq, D),
        normal(2, H, Tk, D),
        normal(2, H, Tk, D),
    )
    scale = 0.7 * D**-0.5
    expected = attention.forward_reference(*double(q, k, v), causal, scale)
    np.testing.assert_allclose(expected[0], dense(*double(q, k, v), causal, scale), atol=1e-12)
    out, lse = call(attention.forward, q, k, v, causal, scale)
    close((out, lse), expected)
    gradients = call(attention.backward, dout, q, k, v, out, lse, causal, scale)
    arrays = (*double(dout, q, k, v), *expected)
    close(gradients, attention.backward_reference(*arrays, causal, scale), 2e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_gradient_of_the_reference(causal):
    random = np.random.default_rng(0)
    q, k, v, dout = random.standard_normal((4, 1, 2, 150, 5))
    out, lse = attention.forward(q, k, v, causal, 0.3)
    gradients = attention.backward(dout, q, k, v, out, lse, causal, 0.3)
    for x, gradient in zip((q, k, v), gradients):
        direction, h = random.standard_normal(x.shape), 1e-6
        x += h * direction
        plus = (dout * dense(q, k, v, causal, 0.3)).sum()
        x -= 2 * h * direction
        minus = (dout * dense(q, k, v, causal, 0.3)).sum()
        x += h * direction
        np.testing.assert_allclose(
            (gradient * direction).sum(), (plus - minus) / (2 * h), rtol=1e-6
        )


def test_heads_of_a_packed_projection(normal, close, double):
    qkv = normal(2, 50, 3, 4, 8)
    q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))
    dout = normal(2, 4, 50, 8).swapaxes(2, 3).copy().swapaxes(2, 3)
    out, lse = attention.forward(q, k, v, True, 0.3)
    expected = attention.forward_reference(*double(q, k, v), True, 0.3)
    close((out, lse), expected)
    arrays = (*double(dout, q, k, v), *expected)
    close(
        attention.backward(dout, q, k, v, out, lse, True, 0.3),
        attention.backward_reference(*arrays, True, 0.3),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_stays_in_its_row(normal, dtype):
    q, k, v = normal(3, 1, 2, 200, 16).astype(dtype)
    q[0, 1, 77, 3] = np.nan
    out, lse = attention.forward(q, k, v, True, 0.25)
    expected = np.zeros((1, 2, 200), bool)
    expected[0, 1, 77] = True
    np.testing.assert_array_equal(np.isnan(out).all(-1), expected)
    np.testing.assert_array_equal(np.isnan(out).any(-1), expected)
    np.testing.assert_array_equal(np.isnan(lse), expected)


def test_large_scores_do_not_overflow(normal, close, double):
    q, k, v = 100 * normal(1, 1, 140, 16), 100 * normal(1, 1, 600, 16), normal(1, 1, 600, 16)
    out, lse = attention.forward(q, k, v, False, 1.0)
    right = attention.forward_reference(*double(q, k, v), False, 1.0)
    close((lse / 1e4,), right[1] / 1e4)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("Tq, Tk", [(0, 5), (5, 0)])
def test_zero_size(normal, Tq, Tk):
    q, k, v = normal(1, 2, Tq, 4), normal(1, 2, Tk, 4), normal(1, 2, Tk, 4)
    out, lse = attention.forward(q, k, v, False, 0.5)
    assert (out.shape, lse.shape) == ((1, 2, Tq, 4), (1, 2, Tq))
    gradients = attention.backward(out, q, k, v, out, lse, False, 0.5)
    assert [g.shape for g in gradients] == [q.shape, k.shape, v.shape]
