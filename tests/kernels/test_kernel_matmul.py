import itertools

import numpy as np
import pytest

import tinygen.kernels.matmul
from tinygen.kernels import write_back
from tinygen.kernels.matmul import column_sum, linear, matmul

SHAPES = [(1, 1, 1), (3, 5, 7), (14, 16, 32), (15, 17, 33), (13, 400, 31), (129, 70, 300),
          (257, 400, 515), (30, 20, 1100), (300, 130, 40), (5, 800, 3), (1, 130, 70),
          (37, 600, 1), (130, 300, 8), (7, 64, 129)]  # fmt: skip
FORMS = range(write_back.SILU + 1)


@pytest.fixture(params=["small ones by the kernel too", "small ones by BLAS"], autouse=True)
def small(request, monkeypatch):
    """All tests run twice."""
    if request.param == "small ones by the kernel too":
        monkeypatch.setattr(tinygen.kernels.matmul, "SMALL", 0)


def error(a, b):
    """The largest error of a @ b, over a bound on what rounding does to sums that long."""
    expected = a.astype(np.float64) @ b.astype(np.float64)
    result = matmul(a, b)
    assert result.shape == expected.shape
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    return np.abs(result - expected).max(initial=0) / (2e-6 + 3e-7 * a.shape[-1])


@pytest.mark.parametrize("transposed", [*itertools.product([False, True], repeat=2)])
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_equals_reference(normal, m, k, n, transposed):
    a = normal(k, m).T if transposed[0] else normal(m, k)
    b = normal(n, k).T if transposed[1] else normal(k, n)
    assert error(a, b) < 1


@pytest.mark.parametrize("m, k, n", [(300, 500, 300), (1000, 100, 90), (129, 700, 1111)])
def test_promises(normal, call, m, k, n):
    call(matmul, normal(m, k), normal(k, n))
    call(matmul, normal(k, m).T, normal(n, k).T)


def test_promises_of_a_batch(normal, call):
    call(matmul, normal(3, 1, 70, 64), normal(5, 64, 66))


@pytest.mark.parametrize(
    "a, b",
    [
        ((4, 30, 20), (4, 20, 50)),
        ((4, 30, 20), (20, 50)),
        ((30, 20), (4, 20, 50)),
        ((2, 1, 30, 20), (3, 20, 50)),
        ((2, 3, 30, 20), (1, 3, 20, 50)),
        ((1, 30, 20), (1, 1, 20, 50)),
    ],
)
def test_batches_are_broadcast(normal, a, b):
    assert error(normal(*a), normal(*b)) < 1


def test_any_strides(normal):
    assert error(normal(150, 200)[::-3, 10:110], normal(220, 200)[::2, 180:0:-2][:100]) < 1
    assert error(normal(20, 60)[:, ::3], normal(20, 90)[:, ::3]) < 1
    heads = normal(2, 9, 3, 4, 8).transpose(2, 0, 3, 1, 4)  # q, k, v cut out of a packed projection
    assert error(heads[0], heads[1].swapaxes(-1, -2)) < 1
    assert (
        error(np.broadcast_to(normal(1, 40), (30, 40)), np.broadcast_to(normal(50), (40, 50))) < 1
    )


def test_unaligned_and_readonly(normal):
    memory = np.zeros(4 * 60 + 1, np.uint8)
    unaligned = memory[1:].view(np.float32).reshape(6, 10)
    unaligned[:] = normal(6, 10)
    assert error(unaligned, unaligned.T) < 1
    readonly = normal(6, 10)
    readonly.flags.writeable = False
    assert error(readonly, readonly.T) < 1


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_zero_sizes(normal, m, k, n):
    assert error(normal(m, k), normal(k, n)) == 0
    assert error(normal(2, m, k), normal(2, k, n)) == 0
    assert error(normal(0, 3, 4), normal(4, 5)) == 0
    assert error(normal(2, 3, 0), normal(0, 5)) == 0
    assert error(normal(0, 3, 4), normal(1, 4, 5)) == 0


def test_nan_and_inf_reach_their_row_and_column_only(normal):
    a, b = normal(50, 70), normal(70, 90)
    a[20, 3], b[5, 88] = np.nan, np.inf
    np.testing.assert_array_equal(np.isnan(matmul(a, b)).all(1), np.arange(50) == 20)
    np.testing.assert_array_equal(np.isinf(matmul(a, b)).any(0), np.arange(90) == 88)


def test_other_dtypes(normal):
    a, b = normal(6, 7), normal(7, 8)
    np.testing.assert_array_equal(matmul(a.astype(np.float64), b), a.astype(np.float64) @ b)


@pytest.mark.parametrize("a, b", [((2, 3), (4, 5)), ((2, 3, 4), (3, 4, 5)), ((3, 2, 4), (5, 6))])
def test_shapes_that_do_not_fit(normal, a, b):
    with pytest.raises(ValueError, match=r"matmul: .* @ |matmul: Input operand|could not be broad"):
        matmul(normal(*a), normal(*b))


# ---- Bias and activation, written back with the product ------------------------------------------


def linear_reference(x, weight, bias, form, slope=0.0):
    z = x @ weight.T
    return write_back.value_reference(form, z if bias is None else z + bias, slope)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("m, k, n", [(1, 3, 1), (5, 33, 40), (29, 500, 70), (200, 64, 5),
                                     (300, 130, 1100), (1, 200, 300)])  # fmt: skip
def test_linear_equals_reference(normal, call, close, double, m, k, n, form):
    x, weight, bias, g = normal(m, k), normal(n, k) / k**0.5, normal(n), normal(m, n)
    for b in (bias, None):
        y, kept = call(linear, x, weight, b, form, 0.3, True)
        wide = double(x, weight) + (None if b is None else b.astype(np.float64),)
        close((y,), linear_reference(*wide, form, 0.3), 3e-6)
        same = y if form < write_back.KEEPS_Z else linear_reference(*wide, write_back.IDENTITY)
        close((kept,), same, 3e-6)
    dz, sums = call(write_back.gradient, form, 0.3, g, kept)
    expected = write_back.gradient_reference(form, 0.3, *double(g, kept))
    close((dz, sums), (expected, expected.sum(0)), 2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_linear_of_nan_and_inf(form):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 100.0, -100.0], np.float32)
    x, weight = np.ones((40, 1), np.float32), np.tile(special, 6)[:, None]
    with np.errstate(invalid="ignore"):
        y, kept = linear(x, weight, np.zeros(48, np.float32), form, 0.5, True)
        expected = write_back.value_reference(form, x * weight.T, 0.5)
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-37)
    with np.errstate(invalid="ignore"):
        dz, sums = write_back.gradient(form, 0.5, np.ones_like(y), kept)
        expected = write_back.gradient_reference(form, 0.5, np.ones_like(y), kept)
    np.testing.assert_allclose(dz, expected, rtol=1e-5, atol=1e-37)
    np.testing.assert_array_equal(np.isnan(sums), np.isnan(expected[0]))


def test_linear_takes_any_strides(normal):
    x, weight, bias = normal(40, 90)[::2, ::-3], normal(30, 64)[:, ::2].T[:30], normal(120)[::-2]
    y, _ = linear(x, weight, bias[:30], write_back.RELU)
    expected = linear_reference(x, weight, bias[:30], write_back.RELU)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (3, 0, 4), (3, 4, 0)])
def test_linear_of_nothing(normal, m, k, n):
    x, weight, bias = normal(m, k), normal(n, k), normal(n)
    y, _ = linear(x, weight, bias, write_back.RELU)
    np.testing.assert_array_equal(y, linear_reference(x, weight, bias, write_back.RELU))
    g = np.ones_like(y)
    dz, sums = write_back.gradient(write_back.RELU, 0.0, g, y)
    assert dz.shape == y.shape and sums.shape == (n,)


def test_linear_of_other_dtypes(normal, double):
    x, weight, bias = double(normal(3, 4), normal(5, 4), normal(5))
    for form in FORMS:
        y, _ = linear(x, weight, bias, form, 0.3)
        np.testing.assert_array_equal(y, linear_reference(x, weight, bias, form, 0.3))


def test_bias_must_fit(normal):
    with pytest.raises(ValueError, match="broadcast"):
        linear(normal(3, 4), normal(5, 4), normal(3))


def test_bits_do_not_depend_on_the_batch(normal):
    a, b = normal(6, 90, 300), normal(6, 300, 70)
    np.testing.assert_array_equal(matmul(a, b)[3], matmul(a[3], b[3]))


@pytest.mark.parametrize("rows, columns", [(1, 1), (5, 70), (1000, 65), (3, 0), (0, 4)])
def test_column_sum(normal, call, close, rows, columns):
    x = normal(rows, columns)
    close(call(column_sum, x), x.sum(0, dtype=np.float64), 1e-4)
    y = normal(columns, rows).T
    close(call(column_sum, y), y.sum(0, dtype=np.float64), 1e-4)
