"""Arrays of random numbers: element i is a function of (seed, call, i) alone.

`seed` is Philox's key, and (block, call) its counter, both of 64 bits. The four words of 16
successive blocks make 64 successive elements, so that vectors of 4, 8 or 16 lanes are stored as
they come: element 64 g + 16 w + j has word w of block 16 g + j.

    uniform:      word / 2^32, rounded down to 24 bits                            in [0, 1)
    normal:       sqrt(-2 ln u) cos 2πv,  sqrt(-2 ln u) sin 2πv                   (Box, Muller 1958)
    exponential:  -ln u

with u = (2 floor(word / 2) + 1) / 2^32, and v = word / 2^32 of the word after it. So the largest
normal is sqrt(64 ln 2) = 6.66, which one in 10^11 should exceed, and the largest exponential 22.2.
float64 takes two words an element, and the NumPy line: 53 bits, normals up to 8.57.
"""

from typing import Any

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
        maximum,
        sqrt,
        store_first,
        to_floats,
    )
    from tinygen.kernels.vector_math import log, sincos_of_turns

BLOCKS = 16  # whose words are stored together
GROUP = 4 * BLOCKS
PARALLEL = 16_384  # elements: there normals take one thread 24 µs and two 19, uniforms 14 and 12
WORDS, UNIFORM, NORMAL, EXPONENTIAL = range(4)
LEAST_EXPONENTIAL = 2.0**-25  # where u is nearest 1; not 0, for some will take its logarithm

# ---- NumPy lines ---------------------------------------------------------------------------------


def words_reference(shape, seed, call):
    n = int(np.prod(shape))
    groups = -(-n // GROUP)
    block = np.arange(groups * BLOCKS, dtype=np.uint64)
    words = np.stack(philox_reference(*halves(seed), *halves(block), *halves(call)))
    words = words.reshape(4, groups, BLOCKS).swapaxes(0, 1)
    return words.astype(np.uint32).reshape(-1)[:n].reshape(shape)


def halves(number):
    """The lower and the upper 32 bits, as np.uint64."""
    number = np.asarray(number, np.uint64)
    return number & LOW, number >> HALF


def uniform_reference(shape, seed, call):
    return ((words_reference(shape, seed, call) >> 8) * 2.0**-24).astype(np.float32)


def normal_reference(shape, seed, call):
    n = int(np.prod(shape))
    words = words_reference(n + -n % GROUP, seed, call).reshape(-1, 2, 2, BLOCKS)
    z = box_muller(not_zero(words[:, :, 0]), words[:, :, 1] * 2.0**-32)
    return np.stack(z, 2).astype(np.float32).reshape(-1)[:n].reshape(shape)


def exponential_reference(shape, seed, call):
    drawn = -np.log(not_zero(words_reference(shape, seed, call)))
    return np.maximum(drawn, LEAST_EXPONENTIAL).astype(np.float32)


def not_zero(words):
    """Uniforms in (0, 1], with the rounding of float32."""
    u = (words >> 1).astype(np.float32) * 2.0**-31 + 2.0**-32
    return u.astype(np.float32).astype(np.float64)


def box_muller(u, v):
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * v
    return radius * np.cos(angle), radius * np.sin(angle)


def uniform_float64(shape, seed, call):
    return (words((*shape, 2), seed, call).view(np.uint64)[..., 0] >> 11) * 2.0**-53


def normal_float64(shape, seed, call):
    n = int(np.prod(shape))
    u, v = uniform_float64((2, (n + 1) // 2), seed, call)
    return np.concatenate(box_muller(1 - u, v))[:n].reshape(shape)


def exponential_float64(shape, seed, call):
    return np.maximum(-np.log1p(-uniform_float64(shape, seed, call)), 2.0**-54)


# ---- Public functions ----------------------------------------------------------------------------


def words(shape: tuple[int, ...], seed: int, call: int) -> np.ndarray:
    """[shape] words of 32 random bits: uint32."""
    if not ENABLED:
        return words_reference(shape, seed, call)
    x = np.empty(shape, np.uint32)
    fill(WORDS, x.view(np.float32), seed, call, 0.0, 1.0)
    return x


def uniform(shape, seed: int, call: int, dtype: Any = np.float32, low=0.0, high=1.0) -> np.ndarray:
    """[shape] independent uniforms in [low, high): float32 or float64."""
    if dtype == np.float32 and ENABLED:
        return fill(UNIFORM, np.empty(shape, np.float32), seed, call, low, high - low)
    line = uniform_float64 if dtype == np.float64 else uniform_reference
    return scaled(line(shape, seed, call), low, high - low)


def normal(shape, seed: int, call: int, dtype: Any = np.float32, mean=0.0, std=1.0) -> np.ndarray:
    """[shape] independent normals of that mean and standard deviation: float32 or float64."""
    if dtype == np.float32 and ENABLED:
        return fill(NORMAL, np.empty(shape, np.float32), seed, call, mean, std)
    line = normal_float64 if dtype == np.float64 else normal_reference
    return scaled(line(shape, seed, call), mean, std)


def exponential(shape, seed: int, call: int, dtype: Any = np.float32) -> np.ndarray:
    """[shape] independent exponentials of mean 1, all above 0: float32 or float64."""
    if dtype == np.float32 and ENABLED:
        return fill(EXPONENTIAL, np.empty(shape, np.float32), seed, call, 0.0, 1.0)
    line = exponential_float64 if dtype == np.float64 else exponential_reference
    return line(shape, seed, call)


def scaled(x, shift, scale):
    x *= scale
    x += shift
    return x


def fill(form, x, seed, call, shift, scale):
    threads = threads_for(x.size, PARALLEL)
    fill_all(form, x.reshape(-1), signed(seed), call, shift, scale, threads)
    return x


def signed(seed: int) -> int:
    """The number of 64 bits with a sign that has the same bits: kernels take halves of it."""
    return seed if seed < 2**63 else seed - 2**64


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True, signature="void(intp, float32[::1], int64, int64, float64, float64, intp)")
def fill_all(form, x, seed, call, shift, scale, threads):
    groups = (x.size + GROUP - 1) // GROUP
    if threads == 1:
        fill_groups(form, x, seed, call, shift, scale, 0, groups)
    else:
        for t in prange(threads):
            begin, end = t * groups // threads, (t + 1) * groups // threads
            fill_groups(form, x, seed, call, shift, scale, begin, end)


@kernel
def fill_groups(form, x, seed, call, shift, scale, begin, end):
    call0, call1 = broadcast_int(call), broadcast_int(call >> 32)
    for block in range(begin * BLOCKS, end * BLOCKS, LANES):
        c0, c1 = counting_from(block), broadcast_int(block >> 32)
        a, b, c, d = philox(seed, seed >> 32, c0, c1, call0, call1)
        a, b, c, d = numbers(form, a, b, c, d, shift, scale)
        i = block // BLOCKS * GROUP + block % BLOCKS
        store_first(x, i, a, min(x.size - i, LANES))
        store_first(x, i + BLOCKS, b, min(x.size - i - BLOCKS, LANES))
        store_first(x, i + 2 * BLOCKS, c, min(x.size - i - 2 * BLOCKS, LANES))
        store_first(x, i + 3 * BLOCKS, d, min(x.size - i - 3 * BLOCKS, LANES))


@kernel
def numbers(form, a, b, c, d, shift, scale):
    """The numbers that four vectors of words become."""
    if form == WORDS:
        return from_bits(a), from_bits(b), from_bits(c), from_bits(d)
    if form == EXPONENTIAL:
        return exponentials(a), exponentials(b), exponentials(c), exponentials(d)
    if form == UNIFORM:
        a, b, c, d = uniforms(a), uniforms(b), uniforms(c), uniforms(d)
    else:
        (a, b), (c, d) = normals(a, b), normals(c, d)
    return a * scale + shift, b * scale + shift, c * scale + shift, d * scale + shift


@kernel
def uniforms(word):
    """Uniforms in [0, 1), of 24 bits."""
    return to_floats(word >> 8) * 2.0**-24


@kernel
def normals(word, other):
    """Two vectors of independent standard normals."""
    radius = sqrt(-2.0 * log(uniforms_not_zero(word)))
    sin, cos = sincos_of_turns(other)
    return radius * cos, radius * sin


@kernel
def exponentials(word):
    """Exponentials of mean 1."""
    return maximum(-log(uniforms_not_zero(word)), LEAST_EXPONENTIAL)


@kernel
def uniforms_not_zero(word):
    """Uniforms in (0, 1]: far below 1 they have 31 bits, which make the tails."""
    return fma(to_floats(word >> 1), 2.0**-31, 2.0**-32)
