"""Reading and adding where an index says, with any number of repetitions.

    add_rows      out[a, index[i]] += rows[a, i],              i = 0, 1, 2, ...
    pick_along    out[a, i, b] = x[a, index[a, i, b], b]
    add_along     out[a, index[a, i, b], b] += x[a, i, b],     i = 0, 1, 2, ...

`add_at` brings whatever NumPy takes for an index down to the first of these. Its threads look at
all of the index, and each adds up the rows that are its own; the others share out the numbers a. So
every sum is made in the order of i. (Given some of the columns instead, two threads pulled cache
lines to and fro: five times slower than one.)
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

PARALLEL = 131_072  # elements that are added: there one thread takes 29 µs
ALL = slice(None)
PARALLEL_EACH = 32_768  # elements that each have an index: at half of them 11 and 12 µs


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
    whole = 0  # so many dimensions come before the index, if it is one array
    while whole < len(parts) - 1 and isinstance(parts[whole], slice) and parts[whole] == ALL:
        whole += 1
    numbers = [isinstance(i, np.ndarray) and i.dtype.kind in "iu" for i in parts[whole:]]
    end = len(parts) if numbers and all(numbers) else out.ndim  # so many dimensions are indexed
    whole = whole if len(numbers) == 1 and end == len(parts) else 0
    before, indexed, width = out.shape[:whole], out.shape[whole:end], out.shape[end:]
    places = np.arange(math.prod(indexed)).reshape(indexed)[parts[whole:]]
    rows = np.broadcast_to(values, (*before, *places.shape, *width))
    lead, size = math.prod(before), math.prod(width)
    if rows.size:
        add_rows(plain(rows).reshape(lead, places.size, size), plain(places.reshape(-1)),
                 out.reshape(lead, -1, size), threads_for(rows.size, PARALLEL))  # fmt: skip


def inside(index: np.ndarray, size: int) -> bool:
    """Whether all of index (integers) is in [0, size). Read without its sign, a negative number is
    a very large one: so the largest tells."""
    unsigned = index if index.dtype.kind == "u" else index.view(f"u{index.dtype.itemsize}")
    return not index.size or int(unsigned.max()) < size


def pick_along(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """out[a, i, b] = x[a, index[a, i, b], b], for x [lead, n, rest] and an index [lead, i, rest]
    that is inside."""
    if not serve(x) or not index.size:
        return np.take_along_axis(x, index, 1)
    out, threads = np.empty(index.shape, x.dtype), threads_for(index.size, PARALLEL_EACH)
    pick(plain(x), plain(np.asarray(index, np.int64)), out, threads)
    return out


def add_along(out: np.ndarray, index: np.ndarray, x: np.ndarray) -> None:
    """out[a, index[a, i, b], b] += x[a, i, b] for x and index [lead, i, rest], i = 0, 1, 2, ..."""
    if serve(out, x) and out.flags.carray and index.size:
        threads = threads_for(x.size, PARALLEL_EACH)
        add(plain(x), plain(np.asarray(index, np.int64)), out, threads)
    else:
        lead, _, rest = np.ogrid[tuple(slice(n) for n in x.shape)]
        np.add.at(out, (lead, index, rest), x)


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
    for a in range(len(out)):
        for i in range(len(index)):
            row = index[i]
            if row % threads == t:
                for c in range(rows.shape[2]):
                    out[a, row, c] += rows[a, i, c]


@kernel(parallel=True)
def pick(x, index, out, threads):
    if threads == 1:
        pick_part(x, index, out, 0, len(x))
    else:
        for t in prange(threads):
            pick_part(x, index, out, t * len(x) // threads, (t + 1) * len(x) // threads)


@kernel
def pick_part(x, index, out, begin, end):
    for a in range(begin, end):
        if index.shape[2] == 1:
            for i in range(index.shape[1]):
                out[a, i, 0] = x[a, index[a, i, 0], 0]
        else:
            for i in range(index.shape[1]):
                for b in range(index.shape[2]):
                    out[a, i, b] = x[a, index[a, i, b], b]


@kernel(parallel=True)
def add(x, index, out, threads):
    if threads == 1:
        add_part(x, index, out, 0, len(x))
    else:
        for t in prange(threads):
            add_part(x, index, out, t * len(x) // threads, (t + 1) * len(x) // threads)


@kernel
def add_part(x, index, out, begin, end):
    for a in range(begin, end):
        if index.shape[2] == 1:
            for i in range(index.shape[1]):
                out[a, index[a, i, 0], 0] += x[a, i, 0]
        else:
            for i in range(index.shape[1]):
                for b in range(index.shape[2]):
                    out[a, index[a, i, b], b] += x[a, i, b]
