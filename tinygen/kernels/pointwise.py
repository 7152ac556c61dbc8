"""Functions of elements: a formula is written once, and read by NumPy and by the vector loops.

    @of_one
    def silu(x):                        # an ordinary function of arrays: the NumPy line
        return x * sigmoid(x)

    @of_two
    def silu_gradient(g, x):
        s = sigmoid(x)
        return g * s * (1 + x * (1 - s))

Calls take arrays, and after them numbers if the formula has any. float32 goes through a loop, in
which the same formula is compiled for vectors, each of NumPy's functions replaced by its namesake
of simd.py and vector_math.py. Other types take the formula as it stands. Each formula is compiled
by itself, when it is first used; the loops are templates:

    z[i] = formula(x[i]),   z[i] = formula(x[i], y[i]),   z[row, c] = formula(x[row, c], y[row, c])

where in the last one x and y may each be whole, a row for all, a column for all, or a number.
"""

import functools
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels import simd, vector_math
    from tinygen.kernels.simd import LANES, load_first, load_same, store_first

FLOAT32 = np.dtype(np.float32)  # an instance: np.empty takes half of its time
PARALLEL = 8_192  # elements: there GELU takes one thread 13.0 µs backward, and two 10.5

# ---- Templates: `formula` and `part` are named when they are filled in ---------------------------

formula: Any = None
part: Any = None


def loop_of_one(x, numbers, z, threads):
    if threads == 1:
        part(x, numbers, z, 0, x.size)
    else:
        for t in prange(threads):
            part(x, numbers, z, t * x.size // threads, (t + 1) * x.size // threads)


def part_of_one(x, numbers, z, begin, end):
    for i in range(begin, end, LANES):
        left = end - i
        store_first(z, i, formula(load_first(x, i, left), *numbers), left)


def loop_of_two(x, y, numbers, z, threads):
    if threads == 1:
        part(x, y, numbers, z, 0, x.size)
    else:
        for t in prange(threads):
            part(x, y, numbers, z, t * x.size // threads, (t + 1) * x.size // threads)


def part_of_two(x, y, numbers, z, begin, end):
    for i in range(begin, end, LANES):
        left = end - i
        store_first(z, i, formula(load_first(x, i, left), load_first(y, i, left), *numbers), left)


def loop_of_matrices(x, y, layout, z, columns, threads):
    if threads == 1:
        part(x, y, layout, z, columns, 0, z.size)
    else:
        for t in prange(threads):
            begin, end = t * z.size // threads, (t + 1) * z.size // threads
            part(x, y, layout, z, columns, begin, end)


def part_of_matrices(x, y, layout, z, columns, begin, end):
    """layout: from row to row and from column to column, how many elements to go on in x, in y."""
    x_row, x_column, y_row, y_column = layout
    at = begin
    while at < end:
        row, start = divmod(at, columns)
        stop = min(columns, start + end - at)
        for c in range(start, stop, LANES):
            i, j, left = row * x_row + c * x_column, row * y_row + c * y_column, stop - c
            u = load_first(x, i, left) if x_column else load_same(x, i)
            v = load_first(y, j, left) if y_column else load_same(y, j)
            store_first(z, row * columns + c, formula(u, v), left)
        at += stop - start


def filled_in(template: Callable, name: str, **names: Any) -> Any:
    """The template under a name of its own, some of whose names now mean something: a kernel of
    this kind can be kept on disk, as one that refers to enclosing variables cannot."""
    function = types.FunctionType(template.__code__, {**template.__globals__, **names})
    function.__name__ = function.__qualname__ = name
    return function


# ---- Formulas ------------------------------------------------------------------------------------


class Pointwise:
    """A formula of the elements of arrays, and of further numbers."""

    def __init__(self, formula: Callable):
        self.formula, self.name = formula, formula.__name__
        self.__doc__ = formula.__doc__

    @functools.cached_property
    def of_vectors(self) -> Any:
        """The formula as a kernel, its functions being those of vectors."""
        used = {name: self.formula.__globals__.get(name) for name in self.formula.__code__.co_names}
        names = {name: vector_function(f) for name, f in used.items() if callable(f)}
        return kernel(filled_in(self.formula, self.name, **names))

    def loop(self, loop: Callable, part: Callable) -> Any:
        """The two templates, filled in with this formula."""
        inner = filled_in(part, f"{part.__name__}_{self.name}", formula=self.of_vectors)
        outer = filled_in(loop, f"{loop.__name__}_{self.name}", part=kernel(inner))
        return kernel(outer, parallel=True)

    @np.errstate(all="ignore")
    def of_arrays(self, *arguments) -> np.ndarray:
        """The NumPy line: quiet, for infinities and NaN say enough."""
        return self.formula(*arguments)


class OfOne(Pointwise):
    @functools.cached_property
    def compiled(self):
        return self.loop(loop_of_one, part_of_one)

    def __call__(self, x: np.ndarray, *numbers: float) -> np.ndarray:
        if not serves(x):
            return self.of_arrays(x, *numbers)
        z, threads = np.empty(x.size, FLOAT32), threads_for(x.size, PARALLEL)
        self.compiled(plain(x).ravel(), numbers, z, threads)
        return z.reshape(x.shape)


class OfTwo(Pointwise):
    @functools.cached_property
    def compiled(self):
        return self.loop(loop_of_two, part_of_two)

    @functools.cached_property
    def compiled_for_matrices(self):
        return self.loop(loop_of_matrices, part_of_matrices)

    def __call__(self, x: np.ndarray, y: np.ndarray, *numbers: float) -> np.ndarray:
        """Of two arrays of the same shape."""
        if not (serves(x) and serves(y)):
            return self.of_arrays(x, y, *numbers)
        z, threads = np.empty(x.size, FLOAT32), threads_for(x.size, PARALLEL)
        self.compiled(plain(x).ravel(), plain(y).ravel(), numbers, z, threads)
        return z.reshape(x.shape)

    def broadcast(self, x, y) -> np.ndarray | None:
        """Of two arrays or numbers that broadcast as rows or columns do; None of any others."""
        found = arranged(x, y)
        if found is None:
            return None
        shape, columns, x, y, layout = found
        z = np.empty(shape, np.float32)
        threads = threads_for(z.size, PARALLEL)
        self.compiled_for_matrices(x, y, layout, z.reshape(-1), columns, threads)
        return z


of_one, of_two = OfOne, OfTwo


def vector_function(function: Callable) -> Callable:
    """What a formula's function is among vectors."""
    if isinstance(function, Pointwise):
        return function.of_vectors
    return NAMESAKES.get(function, function)


NAMESAKES: dict[Callable, Callable] = {}
if ENABLED:
    for name in ("exp", "maximum", "minimum", "sqrt", "tanh", "where"):
        NAMESAKES[getattr(np, name)] = getattr(simd, name)
    for name in ("abs", "expm1", "log1p"):
        NAMESAKES[getattr(np, name)] = getattr(vector_math, name)


# ---- Broadcasting --------------------------------------------------------------------------------


def arranged(x, y):
    """(shape, columns, x, y, layout) of float32 operands, numbers among them; None if they do not
    broadcast as rows and columns of a matrix, or a whole one would have to be copied."""
    x, y = as_operand(x), as_operand(y)
    if x is None or y is None:
        return None
    shape = np.broadcast_shapes(x.shape, y.shape)
    steps = [steps_of(operand, shape) for operand in (x, y)]
    widths = {columns for columns, _, _ in filter(None, steps) if columns}
    if None in steps or len(widths) > 1:
        return None
    columns = widths.pop() if widths else math.prod(shape)
    (_, x_row, x_column), (_, y_row, y_column) = steps
    layout = (x_row * columns if x_column else x_row, x_column,
              y_row * columns if y_column else y_row, y_column)  # fmt: skip
    return shape, columns, plain(x).reshape(-1), plain(y).reshape(-1), layout


def as_operand(x) -> np.ndarray | None:
    if x.__class__ in (int, float):
        return np.array(x, np.float32)
    return x if serves(x) else None


def steps_of(operand, whole):
    """(columns, rows to go on from row to row, elements from column to column) of an operand in the
    result's shape; columns is 0 where any number would do. None if it is no row and no column."""
    shape = operand.shape
    if shape == whole:
        return (0, 1, 1) if operand.flags.carray else None
    n = math.prod(shape)
    if n == 1:
        return 0, 0, 0
    inner = shape[next(i for i, size in enumerate(shape) if size != 1) :]
    if whole[len(whole) - len(inner) :] == inner:
        return n, 0, 1
    outer = shape[: max(i for i, size in enumerate(shape) if size != 1) + 1]
    if len(shape) == len(whole) and whole[: len(outer)] == outer:
        return math.prod(whole) // n, 1, 0
    return None
