"""Arithmetic of large float32 arrays on all cores; NumPy's where an array is small, or has another
type, or broadcasts in another way than as rows, columns or numbers. The bits are NumPy's: each of
these operations is rounded correctly.

    z = x + y, x - y, x y, x / y, max(x, y), min(x, y);   -x, |x|, sqrt x;   x where c holds, else y
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import abs, maximum, minimum, ndarray, sqrt

from tinygen.kernels.jit import kernel, plain, prange, serves, threads_for
from tinygen.kernels.pointwise import OfOne, OfTwo, as_operand

LARGE = 131_072  # elements: there NumPy adds in 17 µs, and two threads in 16, arranging included


def of_one(ufunc: np.ufunc) -> Callable[[Callable], Callable[[Any], Any]]:
    """Decorator: NumPy's function until the array is large, then the loop with this formula."""

    def declare(formula):
        loop = OfOne(formula)

        def function(x):
            if x.__class__ is ndarray and x.size >= LARGE and serves(x):
                return loop(x)
            return ufunc(x)

        return function

    return declare


def of_two(ufunc: np.ufunc) -> Callable[[Callable], Callable[[Any, Any], Any]]:
    def declare(formula):
        loop = OfTwo(formula)

        def function(x, y):
            if (x.__class__ is ndarray and x.size >= LARGE) or (
                y.__class__ is ndarray and y.size >= LARGE
            ):  # written out: a call would take a sixth of the time of adding small arrays
                z = loop.broadcast(x, y)
                if z is not None:
                    return z
            return ufunc(x, y)

        return function

    return declare


@of_one(np.negative)
def negative(x):
    return -x


@of_one(np.absolute)
def absolute(x):
    return abs(x)


@of_one(np.sqrt)
def square_root(x):
    return sqrt(x)


@of_two(np.add)
def add(x, y):
    return x + y


@of_two(np.subtract)
def subtract(x, y):
    return x - y


@of_two(np.multiply)
def multiply(x, y):
    return x * y


@of_two(np.true_divide)
def divide(x, y):
    return x / y


@of_two(np.maximum)
def larger(x, y):
    return maximum(x, y)


@of_two(np.minimum)
def smaller(x, y):
    return minimum(x, y)


def where(condition: np.ndarray, x, y) -> np.ndarray:
    """np.where(condition, x, y), for a condition of bool; x and y of its shape, or numbers."""
    if condition.__class__ is not ndarray or condition.size < LARGE:
        return np.where(condition, x, y)
    shapes, operands = {np.shape(x), np.shape(y)}, [as_operand(x), as_operand(y)]
    fit = condition.shape in shapes <= {condition.shape, ()} and condition.flags.carray
    if fit and all(a is not None for a in operands):
        z, threads = np.empty(condition.shape, np.float32), threads_for(condition.size, LARGE)
        flat = [plain(a).reshape(-1) for a in (condition, *operands)]
        choose(*flat, z.reshape(-1), threads)
        return z
    return np.where(condition, x, y)


@kernel(parallel=True)
def choose(condition, x, y, z, threads):
    if threads == 1:
        choose_part(condition, x, y, z, 0, z.size)
    else:
        for t in prange(threads):
            choose_part(condition, x, y, z, t * z.size // threads, (t + 1) * z.size // threads)


@kernel
def choose_part(condition, x, y, z, begin, end):
    """x and y are whole, or one number."""
    x_whole, y_whole = x.size > 1, y.size > 1
    for i in range(begin, end):
        u, v = x[i if x_whole else 0], y[i if y_whole else 0]
        z[i] = u if condition[i] else v
