"""Dropout: zeros at random, in one pass, forward and backward (Srivastava et al. 2014).

    y = x / (1 - p) where u >= p, else 0 x;       dx is the same of dy

u are the uniforms that `random.uniform` draws for the same seed and call: backward makes them anew,
so that no mask is kept. Arrays of any shape; one loop over groups of 64 elements.
"""

import numpy as np

from tinygen.kernels import random
from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for
from tinygen.kernels.philox import philox
from tinygen.kernels.random import BLOCKS, GROUP, PARALLEL, signed, uniforms

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast_int,
        counting_from,
        load_first,
        store_first,
        where,
    )


def factors(shape, p: float, seed: int, call: int, dtype=np.float32) -> np.ndarray:
    """What x is multiplied with: 0 or 1 / (1 - p), in the type `dtype`."""
    kept = random.uniform(shape, seed, call) >= np.float32(p)
    return np.multiply(kept, 1 / (1 - p), dtype=dtype)


def drop(x: np.ndarray, p: float, seed: int, call: int) -> np.ndarray:
    """y, in the shape of x; or dx of dy. 0 <= p < 1."""
    if not serves(x):
        return x * factors(x.shape, p, seed, call, x.dtype)
    y, threads = np.empty(x.shape, np.float32), threads_for(x.size, PARALLEL)
    drop_all(plain(x).reshape(-1), y.reshape(-1), p, signed(seed), call, threads)
    return y


@kernel(parallel=True, signature="void(float32[::1], float32[::1], float64, int64, int64, intp)")
def drop_all(x, y, p, seed, call, threads):
    groups = (x.size + GROUP - 1) // GROUP
    if threads == 1:
        drop_groups(x, y, p, seed, call, 0, groups)
    else:
        for t in prange(threads):
            drop_groups(x, y, p, seed, call, t * groups // threads, (t + 1) * groups // threads)


@kernel
def drop_groups(x, y, p, seed, call, begin, end):
    call0, call1 = broadcast_int(call), broadcast_int(call >> 32)
    for block in range(begin * BLOCKS, end * BLOCKS, LANES):
        c0, c1 = counting_from(block), broadcast_int(block >> 32)
        a, b, c, d = philox(seed, seed >> 32, c0, c1, call0, call1)
        i = block // BLOCKS * GROUP + block % BLOCKS
        drop_vector(x, y, p, a, i)
        drop_vector(x, y, p, b, i + BLOCKS)
        drop_vector(x, y, p, c, i + 2 * BLOCKS)
        drop_vector(x, y, p, d, i + 3 * BLOCKS)


@kernel
def drop_vector(x, y, p, words, i):
    count = min(x.size - i, LANES)
    v = load_first(x, i, count)
    store_first(y, i, where(uniforms(words) >= p, v * (1 / (1 - p)), v * 0.0), count)
