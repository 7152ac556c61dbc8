"""Arrays of random bits, uniforms and normals: element i is a function of (seed, call, i) alone.

`seed` is Philox's key, and (block, call) its counter, both of 64 bits. The four words of 16
successive blocks make 64 successive elements, so that vectors of 4, 8 or 16 lanes are stored as
they come: element 64 g + 16 w + j has word w of block 16 g + j.

    uniform:  u = word / 2^32, rounded down to 24 bits                             in [0, 1)
    normal:   sqrt(-2 ln u) cos 2πv,  sqrt(-2 ln u) sin 2πv      (Box and Muller 1958)

with u = (word 0 or 2 + 1) / 2^32 and v = (word 1 or 3) / 2^32, so |normal| ≤ sqrt(64 ln 2) = 6.66.
float64 takes two words an element, and the NumPy line: 53 bits, and |normal| ≤ 8.57.
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, prange, threads_for
from tinygen.kernels.philox import HALF, LOW, philox, philox_reference

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast_int,
        counting_from,
        fma,
        from_bits,
        sqrt,
        store_first,
        to_floats,
    )
    from tinygen.kernels.vector_math import log, sincos_of_turns

BLOCKS = 16  # whose words are stored together
GROUP = 4 * BLOCKS
PARALLEL = 16_384
WORDS, UNIFORM, NORMAL = range(3)

# ---- NumPy lines ---------------------------------------------------------------------------------


def words_reference(n, seed, call):
    groups = -(-n // GROUP)
    block = np.arange(groups * BLOCKS, dtype=np.uint64)
    words = np.stack(philox_reference(*halves(seed), *halves(block), *halves(call)), 0)
    words = words.reshape(4, groups, BLOCKS).swapaxes(0, 1)
    return words.astype(np.uint32).reshape(-1)[:n]


def uniform_reference(words):
    return ((words >> 8) * 2.0**-24).astype(np.float32)


def normal_reference(words):
    """Of whole groups."""
    words = words.reshape(-1, 2, 2, BLOCKS)
    u = (words[:, :, 0] >> 1).astype(np.float32) * 2.0**-31 + 2.0**-32
    u, v = u.astype(np.float32).astype(np.float64), words[:, :, 1] * 2.0**-32
    return np.stack(box_muller(u, v), 2).astype(np.float32).reshape(-1)


def uniform_float64(words):
    return (words.view(np.uint64) >> 11) * 2.0**-53


def normal_float64(words):
    u, v = uniform_float64(words).reshape(2, -1)
    return np.concatenate(box_muller(1 - u, v))


def box_muller(u, v):
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * v
    return radius * np.cos(angle), radius * np.sin(angle)


def halves(number):
    """The lower and the upper 32 bits, as np.uint64."""
    number = np.asarray(number, np.uint64)
    return number & LOW, number >> HALF


# ---- Public functions ----------------------------------------------------------------------------


def words(n: int, seed: int, call: int) -> np.ndarray:
    """[n] words of 32 random bits: uint32."""
    if not ENABLED:
        return words_reference(n, seed, call)
    return fill(WORDS, np.empty(n, np.uint32).view(np.float32), seed, call).view(np.uint32)


def uniform(n: int, seed: int, call: int, dtype=np.float32) -> np.ndarray:
    """[n] independent uniforms in [0, 1), float32 or float64."""
    if dtype == np.float64:
        return uniform_float64(words(2 * n, seed, call))
    if not ENABLED:
        return uniform_reference(words_reference(n, seed, call))
    return fill(UNIFORM, np.empty(n, np.float32), seed, call)


def normal(n: int, seed: int, call: int, dtype=np.float32) -> np.ndarray:
    """[n] independent standard normals, float32 or float64."""
    if dtype == np.float64:
        return normal_float64(words(2 * (n + n % 2), seed, call))[:n]
    if not ENABLED:
        return normal_reference(words_reference(n + -n % GROUP, seed, call))[:n]
    return fill(NORMAL, np.empty(n, np.float32), seed, call)


def fill(form, x, seed, call):
    threads = threads_for(x.size, PARALLEL)
    fill_all(form, x, seed % 2**32, seed >> 32, call % 2**32, call >> 32, threads)
    return x


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def fill_all(form, x, seed0, seed1, call0, call1, threads):
    groups = (x.size + GROUP - 1) // GROUP
    if threads == 1:
        fill_groups(form, x, seed0, seed1, call0, call1, 0, groups)
    else:
        for t in prange(threads):
            begin, end = t * groups // threads, (t + 1) * groups // threads
            fill_groups(form, x, seed0, seed1, call0, call1, begin, end)


@kernel
def fill_groups(form, x, seed0, seed1, call0, call1, begin, end):
    call0, call1 = broadcast_int(call0), broadcast_int(call1)
    for block in range(begin * BLOCKS, end * BLOCKS, LANES):
        c0, c1 = counting_from(block), broadcast_int(block >> 32)
        a, b, c, d = vectors(form, *philox(seed0, seed1, c0, c1, call0, call1))
        i = block // BLOCKS * GROUP + block % BLOCKS
        store_first(x, i, a, min(x.size - i, LANES))
        store_first(x, i + BLOCKS, b, min(x.size - i - BLOCKS, LANES))
        store_first(x, i + 2 * BLOCKS, c, min(x.size - i - 2 * BLOCKS, LANES))
        store_first(x, i + 3 * BLOCKS, d, min(x.size - i - 3 * BLOCKS, LANES))


@kernel
def vectors(form, a, b, c, d):
    if form == WORDS:
        return from_bits(a), from_bits(b), from_bits(c), from_bits(d)
    if form == UNIFORM:
        return uniforms(a), uniforms(b), uniforms(c), uniforms(d)
    (a, b), (c, d) = normals(a, b), normals(c, d)
    return a, b, c, d


@kernel
def uniforms(word):
    """Uniforms in [0, 1), of 24 bits."""
    return to_floats(word >> 8) * 2.0**-24


@kernel
def normals(word, other):
    """Two vectors of independent standard normals."""
    u = fma(to_floats(word >> 1), 2.0**-31, 2.0**-32)
    radius = sqrt(-2.0 * log(u))
    sin, cos = sincos_of_turns(other)
    return radius * cos, radius * sin
