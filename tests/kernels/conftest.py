"""What the tests of kernels share: seeded numbers, and calls that check what kernels promise."""

import threading

import numpy as np
import pytest

from tinygen.kernels import jit


@pytest.fixture
def normal():
    """normal(2, 3): float32 of that shape, the same in every run."""
    random = np.random.default_rng(7)
    return lambda *shape: random.standard_normal(shape, np.float32)


@pytest.fixture
def call():
    """call(function, *arguments): its results as a tuple, after checking that no argument was
    written to, and that every bit is the same at 1, 2 and 3 threads and from 4 Python threads."""
    before = jit.get_num_threads()
    yield checked_call
    jit.set_num_threads(before)


def checked_call(function, *arguments):
    copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
    results = []
    for threads in (1, 2, 3):
        jit.set_num_threads(threads)
        results.append(as_tuple(function(*arguments)))
    jit.set_num_threads(2)
    pythons = [
        threading.Thread(target=lambda: results.append(as_tuple(function(*arguments))))
        for _ in range(4)
    ]
    for python in pythons:
        python.start()
    for python in pythons:
        python.join()
    assert len(results) == 7
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)
    for argument, copy in zip(arguments, copies):
        if isinstance(argument, np.ndarray):
            np.testing.assert_array_equal(argument, copy)
    return results[0]


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.fixture
def close():
    """close(results, expected): float32 results against a reference in float64."""

    def close(results, expected, tolerance=1e-5):
        for result, right in zip(results, as_tuple(expected), strict=True):
            assert result.shape == right.shape
            assert result.dtype == np.float32
            np.testing.assert_allclose(result, right, rtol=tolerance, atol=tolerance)

    return close


@pytest.fixture
def double():
    """double(*arrays): the same in float64, as one tuple."""
    return lambda *arrays: tuple(a.astype(np.float64) for a in arrays)
