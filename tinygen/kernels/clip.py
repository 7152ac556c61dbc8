"""The Euclidean norm of many arrays together, and their scaling: what clipping gradients takes.

    norm = sqrt(Σ x²),   x *= factor

over all elements of all arrays. Squares are summed in float32 within pieces of 16,384 elements, and
the sums of the pieces in float64, one after the other: so the norm does not depend on threads.
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for
from tinygen.kernels.optimizers import addresses

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        floats_at,
        load_first,
        store_first,
        sum_lanes,
    )

PIECE = 16_384
PARALLEL = 131_072  # elements: there the norm takes one thread 30 µs and two 27, scaling 20 and 18


def norm_reference(arrays):
    return np.linalg.norm(np.stack([np.linalg.norm(a.reshape(-1)) for a in arrays]))


def served(arrays: list[np.ndarray]) -> bool:
    return ENABLED and all(a.dtype == np.float32 for a in arrays)


def norm(arrays: list[np.ndarray]) -> np.floating:
    """The norm of all elements of `arrays`, of which there is one or more, in their type."""
    if not served(arrays):
        return norm_reference(arrays)
    arrays = [plain(a) for a in arrays]
    sizes = np.array([a.size for a in arrays])
    sums = np.empty((-(-sizes // PIECE)).sum())
    sum_squares(addresses(arrays), sizes, sums, threads_for(sizes.sum(), PARALLEL))
    return np.float32(np.sqrt(np.cumsum(sums)[-1])) if sums.size else np.float32(0)


def scale(arrays: list[np.ndarray], factor: float) -> None:
    """Multiply all elements of `arrays` by `factor`, in place."""
    if not served(arrays) or not all(a.flags.carray for a in arrays):
        for a in arrays:
            a *= a.dtype.type(factor)
        return
    sizes = np.array([a.size for a in arrays])
    n = int(sizes.sum())
    scale_all(addresses(arrays), sizes, n, factor, threads_for(n, PARALLEL))


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True, signature="void(int64[::1], int64[::1], float64[::1], intp)")
def sum_squares(places, sizes, sums, threads):
    if threads == 1:
        sum_pieces(places, sizes, sums, 0, sums.size)
    else:
        for t in prange(threads):
            begin, end = t * sums.size // threads, (t + 1) * sums.size // threads
            sum_pieces(places, sizes, sums, begin, end)


@kernel
def sum_pieces(places, sizes, sums, begin, end):
    """For the pieces `begin` to `end` of those of all arrays, numbered from 0: the sum of each."""
    piece = 0
    for k in range(sizes.size):
        x = floats_at(places[k])
        for first in range(0, sizes[k], PIECE):
            if begin <= piece < end:
                last = min(first + PIECE, sizes[k])
                total = broadcast(0.0)
                for i in range(first, last, LANES):
                    v = load_first(x, i, last - i)
                    total = v * v + total
                sums[piece] = sum_lanes(total)
            piece += 1


@kernel(parallel=True, signature="void(int64[::1], int64[::1], intp, float64, intp)")
def scale_all(places, sizes, n, factor, threads):
    if threads == 1:
        scale_part(places, sizes, factor, 0, n)
    else:
        for t in prange(threads):
            scale_part(places, sizes, factor, t * n // threads, (t + 1) * n // threads)


@kernel
def scale_part(places, sizes, factor, begin, end):
    """Elements `begin` to `end` of all arrays, counted from the first one of the first array."""
    start = 0
    for k in range(sizes.size):
        x, last = floats_at(places[k]), min(end - start, sizes[k])
        for i in range(max(begin - start, 0), last, LANES):
            store_first(x, i, load_first(x, i, last - i) * factor, last - i)
        start += sizes[k]
