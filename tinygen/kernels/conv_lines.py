"""Copying for `conv`: the channels of x into lines with zeros between them, parted by phase."""

from tinygen.kernels.conv_plan import BEFORE, LINES, PHASE, SIZES, STEPS
from tinygen.kernels.jit import ENABLED, kernel

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        evens,
        load,
        load_first,
        odds,
        store,
        store_first,
        sum_lanes,
    )
else:
    LANES = 1


@kernel
def lay_out(x, item, channels, table, memory, at, segment):
    """Copy the channels of an item, a group of an example, to where the table says, in segment
    number `segment` of each line; the zeros around them are there."""
    depth, height, width = table[SIZES, 0], table[SIZES, 1], table[SIZES, 2]
    d_steps, h_steps, steps = table[STEPS, 0], table[STEPS, 1], table[STEPS, 2]
    d_before, h_before, before = table[BEFORE, 0], table[BEFORE, 1], table[BEFORE, 2]
    plane, line, phase = table[LINES, 1], table[LINES, 2], table[PHASE, 0]
    at += segment * table[PHASE, 2]
    for c in range(channels):
        source = (item * channels + c) * depth * height * width
        for i in range(d_steps):
            d_first = (i - d_before) % d_steps  # the first place of phase i
            for j in range(h_steps):
                h_first = (j - h_before) % h_steps
                of_phase = at + c * table[PHASE, 1] + (i * h_steps + j) * steps * phase
                to_plane = (
                    of_phase + (d_first + d_before) // d_steps * plane * line + before // steps
                )
                for d in range(d_first, depth, d_steps):
                    to = to_plane + (h_first + h_before) // h_steps * line
                    for h in range(h_first, height, h_steps):
                        split(x, source + (d * height + h) * width, width, memory, to, steps,
                              before % steps, phase)  # fmt: skip
                        to += line
                    to_plane += plane * line


@kernel
def split(source, at, count, target, to, steps, first, phase):
    """Copy a line, of which number 0 belongs to phase `first`, number 1 to the next one, and so on:
    these lie `phase` apart."""
    if steps == 1:
        copy(source, at, target, to, count)
        return
    done = 0
    if steps == 2:
        even, odd = to + first * phase, to + (1 - first) * phase + first
        while done < count:
            x = load_first(source, at + done, count - done)
            y = load_first(source, at + done + LANES, count - done - LANES)
            store_first(target, even + done // 2, evens(x, y), (count - done + 1) // 2)
            store_first(target, odd + done // 2, odds(x, y), (count - done) // 2)
            done += 2 * LANES
    for i in range(done, count):
        target[to + (first + i) % steps * phase + (first + i) // steps] = source[at + i]


@kernel
def copy(source, at, target, target_at, count):
    whole = count - count % LANES
    for i in range(0, whole, LANES):
        store(target, target_at + i, load(source, at + i))
    if whole < count:
        left = count - whole
        store_first(target, target_at + whole, load_first(source, at + whole, left), left)


@kernel
def not_finite(x, item, size):
    """Whether any of the `size` numbers of an item is NaN or infinite (0 times it is NaN)."""
    total = broadcast(0.0)
    for i in range(0, size, LANES):
        total = total + 0.0 * load_first(x, item * size + i, size - i)
    return sum_lanes(total) != 0.0
