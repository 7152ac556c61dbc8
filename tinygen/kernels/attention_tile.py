"""What attention does with one tile of scores, forward and backward (see `attention`).

A tile lies in scratch memory, `rows` queries x `keys` keys. Row r of it sees the first
diagonal + r + 1 keys: all of them, unless attention is causal. Scores are in units of ln 2, so that
exp(score) is a power of 2. Helpers get pointers, an offset for each, and `layout`: the sizes and
strides of all arrays of a call, which `layout_of` writes and `sizes_of` and `place` read. Helpers
that are called with constants have a signature, lest Numba compile them for each constant anew.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.philox import philox
    from tinygen.kernels.simd import (
        LANES,
        bits,
        broadcast,
        broadcast_int,
        counting_from,
        first,
        fma,
        from_bits,
        load,
        load_first,
        store,
        store_first,
        to_floats,
        where,
    )
    from tinygen.kernels.tile import COLUMNS, POINTER, ROWS, multiply
else:
    COLUMNS, ROWS, POINTER, multiply = 1, 1, "", None

QUERIES = 9 * ROWS  # rows of a tile: 126, in whole panels of 14
LOG2E = np.float32(1 / math.log(2))
HIDDEN = np.float32(-math.inf)
HIDING = -1e30  # a number in a mask that is not above it hides the key
HIDING_FLOAT32 = np.float32(HIDING)
SMALLEST = -100.0  # in powers of 2: less is taken for 0, lest products with it be denormal
NO_MASK, BOOLS, FLOATS = range(3)
BLOCKS = 16  # Philox's, whose words are used together: see `random`
GROUP = 4 * BLOCKS


# ---- Sizes and strides ---------------------------------------------------------------------------

SIZES = 13
Q, K, V, OUT, MASK, DOUT, DQ, DK, DV = range(SIZES, SIZES + 9 * 3, 3)


def layout_of(sizes, *arrays):
    """What `sizes_of` and `place` read: sizes, then three strides of each array, in elements."""
    strides = [s // a.itemsize for a in arrays for s in a.strides[:3]]
    return np.array([*sizes, *strides])


@kernel
def sizes_of(layout):
    """Query heads of a batch entry, and for each key head; Tq, Tk, D, Dv; causal; parts of a head
    (see `attention`); the kind of mask, and its step from key to key; Philox's key, two words; from
    one part of dq to the next."""
    return (
        layout[0], layout[1], layout[2], layout[3], layout[4], layout[5], layout[6], layout[7],
        layout[8], layout[9], layout[10], layout[11], layout[12],
    )  # fmt: skip


@kernel(signature=f"UniTuple(intp, 2)(CPointer(int64){', intp' * 4})")
def place(layout, array, batch, head, row):
    """Where a row of a head begins, and how far the next row is."""
    stride = layout[array + 2]
    return batch * layout[array] + head * layout[array + 1] + row * stride, stride


# ---- Products ------------------------------------------------------------------------------------


@kernel
def round_up(width):
    return -(-width // COLUMNS) * COLUMNS


@kernel
def copy_scaled(x, x_at, x_row, rows, columns, factor, memory, at):
    """factor X[rows, columns], row after row."""
    for r in range(rows):
        for c in range(0, columns, LANES):
            y = load_first(x, x_at + r * x_row + c, columns - c) * factor
            store_first(memory, at + r * columns + c, y, columns - c)


@kernel(signature=f"void({POINTER}{', intp' * 4}, {POINTER}{', intp' * 5})")
def score(x, x_at, x_row, rows, depth, memory, strips, s, s_row, keys, diagonal):
    """S[rows, keys] = X[rows, depth] B, of which row r is wanted up to column diagonal + r only."""
    for p in range(0, rows, ROWS):
        wanted = min(keys, diagonal + p + ROWS)
        multiply(min(ROWS, rows - p), x, x_at + p * x_row, x_row, 1, depth,
                 memory, strips, depth * COLUMNS,
                 memory, s + p * s_row, s_row, wanted, False)  # fmt: skip


@kernel(signature=f"void({POINTER}{', intp' * 7}, {POINTER}, intp, intp, intp, boolean)")
def add_seen(memory, p, p_row, rows, keys, diagonal, strips, strip, out, at, row, columns, add):
    """O[rows, columns] = P[rows, keys] B (+ O if add), where P is 0 from column diagonal + r + 1;
    B packed, its strips so many elements from one another."""
    for b in range(0, rows, ROWS):
        seen = max(0, min(keys, diagonal + b + ROWS))
        multiply(min(ROWS, rows - b), memory, p + b * p_row, p_row, 1, seen,
                 memory, strips, strip, out, at + b * row, row, columns, add)  # fmt: skip


@kernel
def add_seeing(memory, p, p_row, rows, keys, diagonal, strips, out, at, row, columns, add):
    """O[keys, columns] = P[rows, keys]' B (+ O if add), where P is 0 above row c - diagonal; B
    packed, `rows` deep."""
    for b in range(0, keys, ROWS):
        top = min(rows, max(0, b - diagonal))
        multiply(min(ROWS, keys - b), memory, p + top * p_row + b, 1, p_row, rows - top,
                 memory, strips + top * COLUMNS, rows * COLUMNS,
                 out, at + b * row, row, columns, add)  # fmt: skip


# ---- Rows of a tile ------------------------------------------------------------------------------


@kernel
def seen_by(r, keys, diagonal):
    """How many keys of the tile row r sees."""
    return max(0, min(keys, diagonal + r + 1))


@kernel
def exp2(x):
    """2^x for x up to 127, off by less than 2e-7 of it; 0 below 2^SMALLEST.

    x is split into the nearest integer n and the rest r. Adding 1.5 2^23 rounds to an integer, and
    leaves n in the lowest bits. The polynomial is the best one of degree 5 for 2^r that is 1 at 0.
    The exponent begins at bit 23; n is added there.
    """
    shifted = x + 12582912.0
    r = x - (shifted - 12582912.0)
    p = fma(r, 1.3264727e-3, 9.6715130e-3)
    p = fma(r, p, 5.5507336e-2)
    p = fma(r, p, 2.4022242e-1)
    p = fma(r, p, 6.9314700e-1)
    p = fma(r, p, 1.0)
    y = where(x < SMALLEST, 0.0, from_bits(bits(p) + (bits(shifted) << 23)))
    return where(x == x, y, x)  # NaN is the one number that differs from itself


@kernel
def fill_up(memory, row, count, value):
    """Let the last vector of a row of `count` numbers be whole. Returns the new end of the row."""
    end = count // LANES * LANES
    if end < count:
        x = load(memory, row + end)
        store(memory, row + end, where(first(count - end), x, value))
        end += LANES
    return end


@kernel
def clear(x, at, size):
    for i in range(0, size, LANES):
        store_first(x, at + i, broadcast(0.0), size - i)


@kernel
def clear_unseen(memory, row, end, keys, seen):
    """Zeros from `end` on, as far as `add_seen` and `add_seeing` read."""
    for c in range(end, min(keys, seen + ROWS), LANES):
        store(memory, row + c, broadcast(0.0))


@kernel(signature=f"void({POINTER}{', intp' * 5}, CPointer(uint8), {POINTER}{', intp' * 4})")
def mask_scores(memory, s, s_row, rows, keys, diagonal, bools, floats, at, row, step, kind):
    """Scores become -inf where the mask hides a key; a mask of numbers is added to the others."""
    for r in range(rows):
        x, m, seen = s + r * s_row, at + r * row, seen_by(r, keys, diagonal)
        if kind == BOOLS:
            for c in range(seen):
                memory[x + c] = memory[x + c] if bools[m + c * step] else HIDDEN
        else:
            for c in range(seen):
                bias = floats[m + c * step]
                memory[x + c] = HIDDEN if bias <= HIDING_FLOAT32 else memory[x + c] + bias * LOG2E


@kernel
def draw_kept(memory, kept, keys, first_key, query, head, seed0, seed1, limit):
    """What dropout does to each weight of a row: a factor, 0 or 1 / (1 - p), where limit = 2^24 p.

    It is a function of (seed, head, query, key): the upper 24 bits of a word of Philox are below
    the limit, or not. Words and keys correspond as words and elements in `random`."""
    factor = 16777216.0 / (16777216.0 - limit) if limit < 16777216.0 else 0.0
    row, head, none = broadcast_int(query), broadcast_int(head), broadcast_int(0)
    for group in range(0, keys, GROUP):
        for b in range(0, BLOCKS, LANES):
            block = counting_from((first_key + group) // 4 + b)
            words = philox(seed0, seed1, block, row, head, none)
            to = kept + group + b
            store(memory, to, kept_or_not(words[0], limit, factor))
            store(memory, to + BLOCKS, kept_or_not(words[1], limit, factor))
            store(memory, to + 2 * BLOCKS, kept_or_not(words[2], limit, factor))
            store(memory, to + 3 * BLOCKS, kept_or_not(words[3], limit, factor))


@kernel
def kept_or_not(words, limit, factor):
    return where(to_floats(words >> 8) >= limit, broadcast(factor), 0.0)
