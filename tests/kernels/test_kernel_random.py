"""Philox, and the uniforms and normals made of its words."""

import numpy as np
import pytest

from tinygen.kernels import philox, random

SIZES = [0, 1, 63, 64, 65, 1000, 100_003]
STREAMS = [(0, 0), (2**64 - 1, 2**64 - 1), (0x0123456789ABCDEF, 2**33 + 1)]

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


def words_of(text):
    return [np.uint64(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize("key, counter, expected", KNOWN_ANSWERS)
def test_philox_known_answers(key, counter, expected):
    for function in (philox.philox_reference, philox.philox_of_one):
        assert [*function(*words_of(key), *words_of(counter))] == words_of(expected)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seed, call_number", STREAMS)
def test_words_and_uniforms_are_those_of_the_reference(call, n, seed, call_number):
    expected = random.words_reference(n, seed, call_number)
    (words,) = call(random.words, n, seed, call_number)
    (uniforms,) = call(random.uniform, n, seed, call_number)
    assert (words.dtype, uniforms.dtype) == (np.uint32, np.float32)
    np.testing.assert_array_equal(words, expected)
    np.testing.assert_array_equal(uniforms, random.uniform_reference(expected))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seed, call_number", STREAMS)
def test_normals_are_those_of_the_reference(call, n, seed, call_number):
    words = random.words_reference(n + -n % 64, seed, call_number)
    (normals,) = call(random.normal, n, seed, call_number)
    assert normals.dtype == np.float32
    np.testing.assert_allclose(normals, random.normal_reference(words)[:n], rtol=0, atol=8e-7)
