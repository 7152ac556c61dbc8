"""Philox 4×32-10: random bits as a function of a counter (Salmon, Moraes, Dror and Shaw 2011,
"Parallel random numbers: as easy as 1, 2, 3", section 3.3).

A block of 128 bits, the counter, goes through ten rounds that mix it under a key of 64 bits:

    c0, c1, c2, c3  ←  high(M1 c2) ^ c1 ^ k0,  low(M1 c2),  high(M0 c0) ^ c3 ^ k1,  low(M0 c0)
    k0, k1          ←  k0 + W0,  k1 + W1

Every word is an unsigned integer of 32 bits; high and low are the halves of a product of 64 bits.
Nothing is remembered from one block to the next: whoever needs the numbers of path i and step n
puts i and n into the counter, and gets the same ones in any order and on any thread.
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import multiply_high

ROUNDS = 10
M0, M1 = 0xD2511F53, 0xCD9E8D57  # chosen by the authors for how well they spread bits
W0, W1 = 0x9E3779B9, 0xBB67AE85  # the golden ratio, and sqrt(3) - 1

WIDE_M0, WIDE_M1, WIDE_W0, WIDE_W1, LOW, HALF = map(np.uint64, (M0, M1, W0, W1, 2**32 - 1, 32))


def philox_reference(key0, key1, c0, c1, c2, c3):
    """Four words from a counter of four and a key of two: all np.uint64 below 2^32, numbers or
    arrays that broadcast. The NumPy line of `philox`."""
    for _ in range(ROUNDS):
        first, second = WIDE_M0 * c0, WIDE_M1 * c2
        c0, c1, c2, c3 = (second >> HALF) ^ c1 ^ key0, second & LOW, \
            (first >> HALF) ^ c3 ^ key1, first & LOW  # fmt: skip
        key0, key1 = (key0 + WIDE_W0) & LOW, (key1 + WIDE_W1) & LOW
    return c0, c1, c2, c3


philox_of_one = kernel(philox_reference)  # for kernels that take one counter at a time


@kernel
def philox(key0, key1, c0, c1, c2, c3):
    """The same for LANES counters at once: key0 and key1 are numbers, the others vectors `ints`."""
    for _ in range(ROUNDS):
        high0, low0 = multiply_high(c0, M0), c0 * M0
        high1, low1 = multiply_high(c2, M1), c2 * M1
        c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
        key0, key1 = key0 + W0, key1 + W1
    return c0, c1, c2, c3
