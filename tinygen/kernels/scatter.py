"""Reading and adding where an index says, with any number of repetitions.

    add_rows      out[index[i]] += rows[i],              i = 0, 1, 2, ...
    pick_each     out[r, i] = x[r, index[r, i]]
    collect_each  out[r, index[r, i]] += x[r, i],        i = 0, 1, 2, ...

`add_at` brings whatever NumPy takes for an index down to the first of these. Its threads look at
all of the index, and each adds up the rows that are its own; in the others rows r are shared out.
So every sum is made in the order of i. (Given some of the columns instead, two threads pulled cache
lines to and fro: five times slower than one.)
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

PARALLEL = 131_072  # elements that are added: there one thread takes 29 µs
PARALLEL_ROWS = 32_768  # elements picked or collected


def serve(*arrays: np.ndarray) -> bool:
    """Whether the kernels here take these numbers."""
    return ENABLED and all(a.dtype in (np.float32, np.float64) for a in arrays)


def add_at(out: np.ndarray, index, values) -> None:
    """np.add.at(out, index, values): out[index] += values, each as often as it is named. out is
    C-contiguous. Raises IndexError for an index outside of out, ValueError if shapes do not fit."""
    values = np.asarray(values)
    if not serve(out, values) or out.dtype != values.dtype or not out.flags.carray:
        np.add.at(out, index, values)
        return
    parts = index if isinstance(index, tuple) else (index,)
    numbers = [isinstance(i, np.ndarray) and i.dtype.kind in "iu" for i in parts]
    lead = len(parts) if all(numbers) else out.ndim  # so many dimensions are indexed
    places = np.arange(math.prod(out.shape[:lead])).reshape(out.shape[:lead])[index]
    width = out.shape[lead:]
    rows = np.broadcast_to(values, (*places.shape, *width))
    count, size = places.size, math.prod(width)
    if count and size:
        add_rows(plain(rows).reshape(count, size), plain(places.reshape(count)),
                 out.reshape(-1, size), threads_for(rows.size, PARALLEL))  # fmt: skip


def pick_each(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """x[r, index[r, i]] of rows x [rows, n], for an index [rows, i] that fits: [rows, i]"""
    if not serve(x) or not index.size:
        return np.take_along_axis(x, index, 1)
    out, threads = np.empty(index.shape, x.dtype), threads_for(index.size, PARALLEL_ROWS)
    pick_in_rows(plain(x), plain(np.asarray(index, np.int64)), out, threads)
    return out


def collect_each(x: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    """Zeros [rows, size], to which x[r, i] is added at index[r, i]."""
    out = np.zeros((len(x), size), x.dtype)
    if serve(x) and x.size:
        threads = threads_for(x.size, PARALLEL_ROWS)
        add_in_rows(plain(x), plain(np.asarray(index, np.int64)), out, threads)
    else:
        np.add.at(out, (np.arange(len(x))[:, None], index), x)
    return out


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def add_rows(rows, index, out, threads):
    if threads == 1:
        add_own_rows(rows, index, out, 0, 1)
    else:
        for t in prange(threads):
            add_own_rows(rows, index, out, t, threads)


@kernel
def add_own_rows(rows, index, out, t, threads):
    """Thread t owns rows t, t + threads, ... of out: frequent ones are often neighbours."""
    for i in range(len(index)):
        row = index[i]
        if row % threads == t:
            for c in range(rows.shape[1]):
                out[row, c] += rows[i, c]


@kernel(parallel=True)
def pick_in_rows(x, index, out, threads):
    if threads == 1:
        pick_part(x, index, out, 0, len(x))
    else:
        for t in prange(threads):
            pick_part(x, index, out, t * len(x) // threads, (t + 1) * len(x) // threads)


@kernel
def pick_part(x, index, out, begin, end):
    for r in range(begin, end):
        for i in range(index.shape[1]):
            out[r, i] = x[r, index[r, i]]


@kernel(parallel=True)
def add_in_rows(x, index, out, threads):
    if threads == 1:
        add_part(x, index, out, 0, len(x))
    else:
        for t in prange(threads):
            add_part(x, index, out, t * len(x) // threads, (t + 1) * len(x) // threads)


@kernel
def add_part(x, index, out, begin, end):
    for r in range(begin, end):
        for i in range(index.shape[1]):
            out[r, index[r, i]] += x[r, i]
