"""Philox, and the uniforms, normals and exponentials made of its words.

The statistical tests are seeded: they pass or fail for ever. Their bounds are five standard
deviations, or p > 0.001, of what independent numbers would give.
"""

import itertools

import numpy as np
import pytest
import scipy.stats

from tinygen.kernels import dropout, philox, random

SHAPES = [(0,), (), (1,), (63,), (8, 8), (5, 13), (1000,), (100_003,)]
STREAMS = [(0, 0), (2**64 - 1, 2**63 - 1), (0x0123456789ABCDEF, 2**33 + 1)]

# From the authors' own tests: the key, the counter, the words.
KNOWN_ANSWERS = [
    ("00000000 00000000", "00000000 " * 4, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff", "ffffffff " * 4, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "a4093822 299f31d0",
        "243f6a88 85a308d3 13198a2e 03707344",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]

# ---- The numbers ---------------------------------------------------------------------------------


def words_of(text):
    return [np.uint64(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize("key, counter, expected", KNOWN_ANSWERS)
def test_philox_known_answers(key, counter, expected):
    for function in (philox.philox_reference, philox.philox_of_one):
        assert [*function(*words_of(key), *words_of(counter))] == words_of(expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", STREAMS)
def test_words_and_uniforms_are_those_of_the_reference(call, shape, stream):
    for function in (random.words, random.uniform):
        expected = getattr(random, f"{function.__name__}_reference")(shape, *stream)
        (drawn,) = call(function, shape, *stream)
        assert drawn.dtype == expected.dtype and drawn.shape == shape
        np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", STREAMS)
def test_normals_and_exponentials_are_near_those_of_the_reference(call, shape, stream):
    for function in (random.normal, random.exponential):
        expected = getattr(random, f"{function.__name__}_reference")(shape, *stream)
        (drawn,) = call(function, shape, *stream)
        assert drawn.dtype == np.float32 and drawn.shape == shape
        np.testing.assert_allclose(drawn, expected, rtol=2e-7, atol=5e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_element_depends_on_its_place_alone(dtype):
    for function in (random.uniform, random.exponential):
        drawn = function((1000,), 5, 6, dtype)
        np.testing.assert_array_equal(function((300,), 5, 6, dtype), drawn[:300])
        np.testing.assert_array_equal(function((8, 125), 5, 6, dtype).reshape(-1), drawn)
    drawn = random.normal((1000,), 5, 6)
    np.testing.assert_array_equal(random.normal((3,), 5, 6), drawn[:3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_and_shift(dtype):
    drawn = random.normal((1000,), 1, 2, dtype, 3.0, 0.5)
    np.testing.assert_allclose(drawn, 3 + 0.5 * random.normal((1000,), 1, 2, dtype), rtol=1e-6)
    drawn = random.uniform((1000,), 1, 2, dtype, -1.0, 3.0)
    np.testing.assert_allclose(drawn, 4 * random.uniform((1000,), 1, 2, dtype) - 1, atol=1e-6)
    assert drawn.min() >= -1 and drawn.max() < 3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", STREAMS)
def test_dropout_multiplies_with_its_factors(normal, call, shape, stream):
    x = np.asarray(normal(*shape), np.float32)
    (y,) = call(dropout.drop, x, 0.3, *stream)
    np.testing.assert_array_equal(y, x * dropout.factors(shape, 0.3, *stream))


def test_dropout_of_any_strides_and_of_nan(normal):
    x = normal(70, 30)
    x[3, 4:9] = np.nan, np.inf, -np.inf, np.nan, np.inf
    factors = dropout.factors((30, 70), 0.5, 1, 2)
    with np.errstate(invalid="ignore"):
        expected = x.T * factors
        np.testing.assert_array_equal(dropout.drop(x.T, 0.5, 1, 2), expected)
        np.testing.assert_array_equal(dropout.drop(x.T.astype(np.float64), 0.5, 1, 2), expected)
    assert abs((factors == 0).mean() - 0.5) < 0.05


def test_the_extremes():
    words = np.array([0, 2**32 - 1], np.uint32)
    assert random.not_zero(words).tolist() == [2.0**-32, 1]
    least = random.exponential((2**20,), 0, 38).min()  # u = 1 is among these
    assert least == random.LEAST_EXPONENTIAL
    for dtype in (np.float32, np.float64):
        assert random.uniform((2**20,), 0, 0, dtype).max() < 1


# ---- Statistics ----------------------------------------------------------------------------------

DRAWS = {"uniform": "uniform", "normal": "norm", "exponential": "expon"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", DRAWS)
def test_distribution(name, dtype):
    drawn = getattr(random, name)((200_000,), 11, 0, dtype)
    assert scipy.stats.kstest(drawn, DRAWS[name]).pvalue > 0.001


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_of_normals(dtype):
    z = random.normal((2**21,), 12, 0, dtype).astype(np.float64)
    variances = {1: 1, 2: 2, 3: 15, 4: 96}  # of z^k
    for k, variance in variances.items():
        assert abs((z**k).mean() - (0, 1, 0, 3)[k - 1]) < 5 * np.sqrt(variance / z.size)


def uncorrelated(x, y):
    x, y = x - x.mean(), y - y.mean()
    return abs((x * y).mean() / (x.std() * y.std())) < 5 / np.sqrt(x.size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_serial_correlation(dtype):
    for draw in (random.uniform, random.normal):
        x = draw((2**20,), 13, 0, dtype).astype(np.float64)
        for power, lag in itertools.product((1, 2), (1, 2, 3, 15, 16, 17, 32, 48, 64, 1024, 2**16)):
            assert uncorrelated(x[lag:] ** power, x[:-lag] ** power)


def test_correlation_of_streams():
    seeds = [(0, 0), (1, 0), (2**31, 0), (2**32, 0), (2**64 - 1, 0)]
    calls = [(0, 1), (0, 2), (0, 2**31), (0, 2**32), (1, 1)]
    z = [random.normal((2**18,), *stream).astype(np.float64) for stream in seeds + calls]
    for one, other in itertools.combinations(z, 2):
        assert uncorrelated(one, other) and uncorrelated(one**2, other**2)


def test_bits_of_a_long_stream():
    """In 2^22 words each bit is as often 1 as 0; and in 2^26 bytes, each value and each pair of
    the lower halves of neighbours is as frequent as the others."""
    ones, bytes_, pairs, n = np.zeros(32), np.zeros(256), np.zeros(256), 2**20
    for call in range(16):
        words = random.words((n,), 14, call)
        bytes_ += np.bincount(words.view(np.uint8), minlength=256)
        low = words & 15
        pairs += np.bincount(low[1:] << 4 | low[:-1], minlength=256)
        if call < 4:
            bits = np.unpackbits(words.view(np.uint8).reshape(n, 4), 1)
            ones += bits.sum(0)
    assert (np.abs(ones - 2 * n) < 5 * np.sqrt(n)).all()
    assert scipy.stats.chisquare(bytes_).pvalue > 0.001
    assert scipy.stats.chisquare(pairs).pvalue > 0.001


def test_tails_of_normals():
    n, calls, beyond, largest = 2**20, 64, np.zeros(4), 0
    for call in range(calls):
        size = np.abs(random.normal((n,), 15, call))
        beyond += [(size > limit).sum() for limit in (2, 3, 4, 5)]
        largest = max(largest, size.max())
    expected = n * calls * 2 * scipy.stats.norm.sf([2, 3, 4, 5])
    assert (np.abs(beyond - expected) < 5 * np.sqrt(expected)).all()
    assert 5 < largest < 6.67
