"""Attention: the kernels against their NumPy lines, and those against the textbook."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygen.kernels import attention, jit

# Tq, Tk, D, Dv, query heads, key heads
SHAPES = [(1, 1, 1, 1, 1, 1), (64, 64, 32, 32, 4, 4), (5, 9, 24, 7, 2, 1), (200, 300, 33, 17, 4, 2),
          (300, 130, 8, 40, 1, 1), (130, 700, 40, 40, 2, 2), (0, 5, 4, 4, 2, 2),
          (5, 0, 4, 4, 2, 2)]  # fmt: skip
MASKS = [None, "bools", "numbers", "padding", "of queries", "transposed"]


def random_mask(kind, B, H, Tq, Tk, random):
    if kind is None:
        return None
    if kind == "bools":
        mask = random.random((H, Tq, Tk)) < 0.7
        mask[:, Tq // 2 :][:, :1] = False  # a query that sees nothing
        return mask
    if kind == "padding":
        return np.arange(Tk) < random.integers(0, Tk + 1, (B, 1, 1, 1))
    shape = {"numbers": (B, 1, Tq, Tk), "of queries": (Tq, 1), "transposed": (Tk, Tq)}[kind]
    mask = random.standard_normal(shape, np.float32)
    mask[random.random(shape) < 0.2] = -np.inf
    return mask.T if kind == "transposed" else mask


def dense(q, k, v, mask, causal, scale, factors=1.0):
    """The textbook's lines, with the whole matrix of scores."""
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    s = scale * q @ k.swapaxes(-1, -2)
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    p = np.exp(s - s.max(-1, keepdims=True, initial=-1e300))
    return p / np.maximum(p.sum(-1, keepdims=True), 1e-300) * factors @ v


def in_float64(x):
    return x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype == np.float32 else x


def assert_equals_reference(arrays, options, call=lambda f, *a: f(*a)):
    """Value and gradient of dout, q, k, v in float32, against the NumPy lines in float64."""
    dout, *qkv = arrays
    result = call(attention.forward, *qkv, *options)
    gradients = call(attention.backward, dout, *qkv, *result, *options)
    options = [in_float64(x) for x in options]
    dout, *qkv = (in_float64(x) for x in arrays)
    expected = attention.forward(*qkv, *options)
    expected_gradients = attention.backward(dout, *qkv, *expected, *options)
    # What the gradients of q and k add up is as large as this, even if nothing is left of it.
    longest = [np.linalg.norm(x, axis=-1).max(initial=0) for x in (dout, qkv[2])]
    terms = 0.1 * longest[0] * longest[1]
    for x, right in zip((*result, *gradients), (*expected, *expected_gradients), strict=True):
        assert x.shape == right.shape and x.dtype == np.float32 and right.dtype == np.float64
        size = np.abs(right[np.isfinite(right)]).max(initial=max(1.0, terms))
        np.testing.assert_allclose(x, right, rtol=1e-5, atol=1e-5 * size)
    return qkv, expected[0]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("Tq, Tk, D, Dv, H, G", SHAPES)
def test_equals_reference(normal, call, Tq, Tk, D, Dv, H, G, mask):
    for causal, dropout in itertools.product((False, True), (0.0, 0.3)):
        arrays = (
            normal(2, H, Tq, Dv),
            normal(2, H, Tq, D),
            normal(2, G, Tk, D),
            normal(2, G, Tk, Dv),
        )
        found = random_mask(mask, 2, H, Tq, Tk, np.random.default_rng(Tq + Tk))
        options = found, causal, 0.7 * D**-0.5, dropout, 2**40 + 1
        (q, k, v), out = assert_equals_reference(arrays, options, call)
        factors = attention.kept((2, H, Tq, Tk), 0, dropout, 2**40 + 1) if dropout else 1
        right = dense(q, k, v, in_float64(found), causal, 0.7 * D**-0.5, factors)
        np.testing.assert_allclose(out, right, atol=1e-12)


sizes = st.integers(1, 40) | st.integers(120, 140)


@settings(max_examples=40, deadline=None)
@given(st.data(), sizes, sizes, st.integers(1, 40), st.integers(1, 40))
def test_equals_reference_in_any_layout(data, Tq, Tk, D, Dv):
    """Axes in any order in memory, with gaps; masks broadcast along any axes, with any strides."""
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    B, G, group = (data.draw(st.integers(1, 3)) for _ in range(3))
    H = G * group

    def array(*shape):
        order = data.draw(st.permutations(range(len(shape))))
        x = random.standard_normal([shape[i] + data.draw(st.integers(0, 1)) for i in order])
        x = x.astype(np.float32).transpose(np.argsort(order))
        return x[tuple(slice(n) for n in shape)]

    mask = None
    kind = data.draw(st.sampled_from([None, "bools", "numbers"]))
    if kind:
        mask = array(*[n if data.draw(st.booleans()) else 1 for n in (B, H, Tq, Tk)])
        mask = mask > 0 if kind == "bools" else np.where(mask > 1, -np.inf, mask)
    arrays = array(B, H, Tq, Dv), array(B, H, Tq, D), array(B, G, Tk, D), array(B, G, Tk, Dv)
    scale = data.draw(st.sampled_from([0.5, -0.5, 0.0]))
    dropout = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    assert_equals_reference(arrays, (mask, data.draw(st.booleans()), scale, dropout, 5))


@pytest.mark.parametrize("kind", [None, "numbers", "of queries"])
@pytest.mark.parametrize("causal", [False, True])
def test_gradient_of_the_reference(causal, kind):
    random = np.random.default_rng(0)
    q, dout = random.standard_normal((2, 1, 4, 150, 5))
    k, v = random.standard_normal((2, 1, 2, 150, 5))
    mask = in_float64(random_mask(kind, 1, 4, 150, 150, random))
    options = mask, causal, 0.3, 0.4, 11
    out, lse = attention.forward(q, k, v, *options)
    given = dout, q, k, v, out, lse, *options
    leaves = [*zip((q, k, v), attention.backward(*given))]
    if mask is not None:
        leaves.append((mask, attention.mask_gradient(*given)))
    factors = attention.kept((1, 4, 150, 150), 0, 0.4, 11)
    for x, gradient in leaves:
        direction, h = random.standard_normal(x.shape), 1e-6
        x += h * direction
        plus = (dout * dense(q, k, v, mask, causal, 0.3, factors)).sum()
        x -= 2 * h * direction
        minus = (dout * dense(q, k, v, mask, causal, 0.3, factors)).sum()
        x += h * direction
        np.testing.assert_allclose(
            (gradient * direction).sum(), (plus - minus) / (2 * h), rtol=1e-6, atol=1e-7
        )


def test_a_packed_projection_is_read_and_its_gradient_written_in_place(normal):
    qkv = normal(2, 50, 3, 4, 8)
    gradient = np.full_like(qkv, np.nan)
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)
    options = None, True, 0.3
    out, lse = attention.forward(q, k, v, *options)
    assert out.swapaxes(1, 2).flags.c_contiguous or not jit.ENABLED
    dout = normal(2, 50, 4, 8).swapaxes(1, 2)
    into = tuple(gradient.transpose(2, 0, 3, 1, 4))
    attention.backward(dout, q, k, v, out, lse, *options, into=into)
    copies = [x.copy() for x in (q, k, v)]
    expected = attention.backward(dout.copy(), *copies, out.copy(), lse, *options)
    for x, right in zip(into, expected):
        np.testing.assert_allclose(x, right, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not jit.ENABLED, reason="NumPy lines are not cut into units")
def test_units_are_shared_among_threads_when_there_is_one_head():
    assert attention.parts_of(1, 16) == 8 and attention.parts_of(1, 3) == 3
    assert attention.parts_of(3, 16) == 3 and attention.parts_of(48, 16) == 1


# ---- NaN, infinity, and queries that see nothing -------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_stays_in_its_row(normal, dtype, bad):
    q, k, v = normal(3, 1, 2, 200, 16).astype(dtype)
    q[0, 1, 77, 3] = bad
    k[..., 3] = np.abs(k[..., 3])  # inf - inf is another matter
    with np.errstate(invalid="ignore"):
        out, lse = attention.forward(q, k, v, None, True, 0.25)
        gradients = attention.backward(q, q, k, v, out, lse, None, True, 0.25)
    expected = np.zeros((1, 2, 200), bool)
    expected[0, 1, 77] = True
    np.testing.assert_array_equal(np.isnan(out).all(-1), expected)
    np.testing.assert_array_equal(np.isnan(out).any(-1), expected)
    np.testing.assert_array_equal(np.isnan(lse), expected)
    np.testing.assert_array_equal(np.isnan(gradients[0]).all(-1), expected)
    for gradient in gradients[1:]:  # of the keys that this query sees
        assert np.isnan(gradient[0, 1, :78]).all() and np.isfinite(gradient[0, 0]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_hidden_key_leaves_no_trace(normal, dtype):
    """Whatever is in it, and whether a mask of bools, of -inf or of -1e30 hides it."""
    q, k, v, dout = normal(4, 1, 1, 30, 8).astype(dtype)
    alone = np.arange(30) != 7
    expected = attention.forward(q, k[:, :, alone], v[:, :, alone], None, False, 0.3)
    poisoned = k.copy()
    poisoned[:, :, 7] = [np.nan, np.inf, -np.inf, 1, 1, 1, 1, 1]
    for low in (None, -np.inf, np.finfo(dtype).min, -1e30):
        mask = alone if low is None else np.where(alone, 0, low).astype(dtype)
        with np.errstate(invalid="ignore"):
            out, lse = attention.forward(q, poisoned, v, mask[None], False, 0.3)
        np.testing.assert_allclose(out, expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(lse, expected[1], rtol=1e-5)
        dq, dk, dv = attention.backward(dout, q, k, v, out, lse, mask[None], False, 0.3)
        assert not dk[:, :, 7].any() and not dv[:, :, 7].any() and dq.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("low", [None, -np.inf, -3e38])
def test_a_query_that_sees_nothing_gets_zeros_and_gives_none(normal, dtype, low):
    q, k, v, dout = normal(4, 1, 2, 140, 8).astype(dtype)
    seen = np.arange(140)[:, None] % 5 != 2
    mask = seen if low is None else np.where(seen, 0, low).astype(dtype)
    out, lse = attention.forward(q, k, v, mask, False, 0.3)
    gradients = attention.backward(dout, q, k, v, out, lse, mask, False, 0.3)
    rest = seen[:, 0]
    expected = attention.forward(q[:, :, rest], k, v, None, False, 0.3)
    right = attention.backward(
        dout[:, :, rest], q[:, :, rest], k, v, *expected, None, False, 0.3
    )  # fmt: skip
    for x, e in ((out, expected[0]), (gradients[0], right[0])):
        assert not x[:, :, ~rest].any()
        np.testing.assert_allclose(x[:, :, rest], e, rtol=1e-4, atol=1e-5)
    for x, e in zip(gradients[1:], right[1:]):
        np.testing.assert_allclose(x, e, rtol=1e-4, atol=1e-5)


def test_large_scores_do_not_overflow(normal, close, double):
    q, k, v = 100 * normal(1, 1, 140, 16), 100 * normal(1, 1, 600, 16), normal(1, 1, 600, 16)
    out, lse = attention.forward(q, k, v, None, False, 1.0)
    right = attention.forward(*double(q, k, v), None, False, 1.0)
    close((lse / 1e4,), right[1] / 1e4)
    assert np.isfinite(out).all()


# ---- Dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_the_mean(normal, dtype):
    q, k, v = normal(3, 1, 2, 20, 8).astype(dtype)
    plain = attention.forward(q, k, v, None, False, 0.3)[0]
    mean = np.mean(
        [attention.forward(q, k, v, None, False, 0.3, 0.5, s)[0] for s in range(2000)], 0
    )
    np.testing.assert_allclose(mean, plain, atol=0.06)
    assert np.abs(mean - plain).std() < 0.02


def test_weights_are_dropped_independently():
    kept = attention.kept((2, 3, 200, 130), 0, 0.25, 9)
    assert set(np.unique(kept)) == {0, 4 / 3}
    dropped = (kept == 0).astype(float) - 0.25
    n = dropped.size
    assert abs(dropped.mean()) < 4 * np.sqrt(0.1875 / n)
    for axis in range(4):  # neighbours along any axis are uncorrelated
        first, second = np.split(dropped, [1], axis)[1], np.delete(dropped, -1, axis)
        assert abs((first * second).mean()) < 5 * 0.1875 / np.sqrt(first.size)
    other = attention.kept((2, 3, 200, 130), 0, 0.25, 10)
    assert abs(((other == 0) - 0.25).ravel() @ dropped.ravel()) < 5 * 0.1875 * np.sqrt(n)
    np.testing.assert_array_equal(attention.kept((2, 3, 10, 40), 70, 0.25, 9),
                                  kept[:, :, 70:80, :40])  # fmt: skip


def test_dropout_of_everything_and_of_nothing(normal):
    q, k, v = normal(3, 1, 2, 20, 8)
    assert not attention.forward(q, k, v, None, False, 0.3, 1.0, 3)[0].any()
    plain = attention.forward(q, k, v, None, False, 0.3)[0]
    np.testing.assert_array_equal(attention.forward(q, k, v, None, False, 0.3, 0.0, 3)[0], plain)


# ---- The exponential -----------------------------------------------------------------------------

if jit.ENABLED:
    from numba import njit

    from tinygen.kernels.attention_tile import SMALLEST, exp2
    from tinygen.kernels.simd import LANES, load_first, store_first

    @njit
    def apply_exp2(x, y):
        for i in range(0, x.size, LANES):
            store_first(y, i, exp2(load_first(x, i, x.size - i)), x.size - i)


@pytest.mark.skipif(not jit.ENABLED, reason="there is no kernel without a compiler")
def test_exp2():
    x = np.linspace(SMALLEST, 127, 200_003, dtype=np.float32)
    y = np.empty_like(x)
    apply_exp2(x, y)
    np.testing.assert_allclose(y, np.exp2(x.astype(np.float64)), rtol=2e-7)
    special = np.array([0, -0.0, 1, -1, -100.01, -1e30, -np.inf, np.nan], np.float32)
    y = np.empty_like(special)
    apply_exp2(special, y)
    np.testing.assert_array_equal(y, [1, 1, 2, 0.5, 0, 0, 0, np.nan])
