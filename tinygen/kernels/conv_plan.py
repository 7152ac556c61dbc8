"""Where the numbers of a convolution lie: the tables that its kernels go by.

Nothing here looks at an array; all is known from shapes, strides and so on, and is kept for the
next call. Dimensions are made three, by sizes of 1 in front.
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from tinygen.kernels.conv_columns import padded_sizes, places_of

STRIP = 32  # places that are computed at a time, at least
LAID_OUT = 1 << 17  # numbers of x that are laid out at a time: 512 KB

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

# Rows of Plan.table. The first five tell how a channel is laid out: in phases, each of planes of
# lines, with zeros before and behind. A line is made of the lines of some examples, in segments.
SIZES = 0  # of the channel
BEFORE = 1  # how many zeros come before it
STEPS = 2  # how many phases each dimension is cut into: place i belongs to phase i % step
LINES = 3  # the sizes of a phase; the last one, of a line
PHASE = 4  # from one phase, channel, or segment of a line to the next (in columns 0, 1, 2)
OUTS = 5  # the sizes of y
OUT_STEPS = 6  # how far neighbouring places of a pass lie apart in y
FILTERS = (
    7  # in w: from one filter to the next; how many of its numbers are neighbours, and how far
)
# it is to the next so many

# Columns of Plan.passes.
FIRST, TAPS = 0, 1  # its first one in `starts`, and how many it has
PLACES = 2  # in columns 2, 3, 4: how many windows there are along each dimension
TARGET = 5  # in columns 5, 6, 7: where in y the first of them belongs


class Plan(NamedTuple):
    """All that a convolution needs to know beyond its arrays."""

    table: np.ndarray  # [8, 3]
    passes: np.ndarray  # [passes, 8]
    starts: np.ndarray  # where the row of each channel and tap begins: [taps of all passes]
    order: np.ndarray  # for each number of a filter, which tap it belongs to; -1 for none
    together: int  # how many examples are laid out side by side

    @property
    def volume(self) -> int:
        """Numbers of a channel of all examples that are laid out together."""
        return int(self.table[PHASE, 1])

    @property
    def run(self) -> int:
        """How many places lie from the first to the last one, those at the ends of lines included
        (of the largest pass)."""
        lines, segment = self.table[LINES], self.table[PHASE, 2]
        return max(
            int(((p[0] - 1) * lines[1] + p[1]) * lines[2] - segment + p[2])
            for p in self.passes[:, PLACES:TARGET]
        )

    def busy(self, examples: int) -> float:
        """What share of the places that are computed for so many examples is wanted."""
        steps, wanted = -(-examples // self.together), self.passes[0, PLACES:TARGET].prod()
        return examples * wanted / (steps * (-(-self.run // STRIP) * STRIP))


@functools.lru_cache(maxsize=256)
def best_plan(make, examples: int, limit: int, *shapes) -> Plan:
    """The plan for the least number of examples together that keeps vectors about as busy as any
    does, with no more than `limit` numbers laid out."""
    plans = [make(1, *shapes)]
    most = min(examples, limit // max(plans[0].volume * shapes[0], 1), 16)
    plans += [make(together, *shapes) for together in range(2, most + 1)]
    best = max(plan.busy(examples) for plan in plans)
    return next(plan for plan in plans if plan.busy(examples) > 0.97 * best)


def forward_plan(together, channels, sizes, kernel_sizes, stride, padding, dilation) -> Plan:
    """Of y from x: one pass. A tap of phase r sees the places of x that belong to phase r."""
    sizes, kernel_sizes, stride = three(sizes, 1), three(kernel_sizes, 1), three(stride, 1)
    padding, dilation = three(padding, (0, 0)), three(dilation, 1)
    laid = lay(together, sizes, padding, stride)
    places = places_of(padded_sizes(sizes, padding), kernel_sizes, stride, dilation)
    at = [np.divmod(np.arange(k) * d, s) for k, d, s in zip(kernel_sizes, dilation, stride)]
    starts = starts_of(channels, [(phase, place) for place, phase in at], laid)
    passes = np.array([[0, len(starts), *places, 0, 0, 0]], np.int64)
    size = len(starts)
    table = np.array([*laid, places, (1, 1, 1), (size, size, size)], np.int64)
    return Plan(table, passes, starts, np.arange(size, dtype=np.int64), together)


def input_plan(
    together, filters, channels, places, kernel_sizes, sizes, stride, padding, dilation
) -> Plan:
    """Of dx from dy: a pass for each phase of x, that is, of (place + padding) % stride.

    Place i of x, at q = i + padding, is seen through tap k from place (q - k dilation) / stride of
    dy, if that divides. With q = u stride + r, those are the taps k for which k dilation % stride
    is r, each from place u - k dilation // stride.
    """
    places, kernel_sizes, stride = three(places, 1), three(kernel_sizes, 1), three(stride, 1)
    sizes, padding, dilation = three(sizes, 1), three(padding, (0, 0)), three(dilation, 1)
    around, phases = [], []
    for n, p, k, s, d, (before, _) in zip(sizes, places, kernel_sizes, stride, dilation, padding):
        shift, phase = np.divmod(np.arange(k) * d, s)
        seen = []  # for each r: its taps, how far back each looks, and u: the first, and how many
        for r in range(s):
            taps = np.flatnonzero(phase == r)
            first, end = -(-(before - r) // s), -(-(before + n - r) // s)
            if end > first:
                seen.append((taps, shift[taps], first, end - first, first * s + r - before))
        front = max([0, *[back.max() - u for _, back, u, _, _ in seen if back.size]])
        behind = max([0, *[u + many - back.min() - p for _, back, u, many, _ in seen if back.size]])
        around.append((int(front), int(behind)))
        found = [(t, u - back + front, many, i) for t, back, u, many, i in seen]
        phases.append(sorted(found, key=lambda phase: phase[-1]))
    laid = lay(together, places, around, (1, 1, 1))
    starts, numbers, passes, first, size = [], [], [], 0, math.prod(kernel_sizes)
    for of_each in itertools.product(*phases):
        tap = np.ravel_multi_index(np.ix_(*[t for t, _, _, _ in of_each]), kernel_sizes).reshape(-1)
        numbers.append((np.arange(filters)[:, None] * size + tap).reshape(-1))
        starts.append(starts_of(filters, [(0 * at, at) for _, at, _, _ in of_each], laid))
        counts, targets = [m for _, _, m, _ in of_each], [i for _, _, _, i in of_each]
        passes.append([first, len(starts[-1]), *counts, *targets])
        first += len(starts[-1])
    table = np.array([*laid, sizes, stride, (size, size, channels * size)], np.int64)
    order = np.full(filters * size, -1, np.int64)
    order[np.concatenate(numbers)] = np.arange(first)
    return Plan(table, np.array(passes, np.int64), np.concatenate(starts), order, together)


def whole(size: int) -> int:
    """`size` rounded up to cache lines."""
    return -(-size // 16) * 16


def three(values, neutral):
    """An option for each dimension as one for each of three."""
    return (neutral,) * (3 - len(values)) + tuple(values)


def lay(together: int, sizes: Sizes, padding: Pairs, steps: Sizes) -> list:
    """The first five rows of the table, for some examples together. What is behind a line is also
    before the next one: so many zeros as the larger padding has, and not the sum, go between."""
    *outer, last = [-(-(n + a + b) // s) for n, (a, b), s in zip(sizes, padding, steps)]
    segment = max(-(-(sizes[-1] + max(padding[-1])) // steps[-1]), 1)
    lines = (*outer, together * segment)
    phase = math.prod(lines) + max(last - segment, 0)
    before = [a for a, _ in padding]
    return [sizes, before, steps, lines, (phase, phase * math.prod(steps), segment)]


def starts_of(channels: int, at, laid) -> np.ndarray:
    """Where, for each channel and each combination of places, its row begins: `at` has, for each
    dimension, an array of phases and one of places in them."""
    _, _, steps, lines, (phase, volume, _) = laid
    total = np.arange(channels, dtype=np.int64).reshape(-1, 1, 1, 1) * volume
    for i, (phases, places) in enumerate(at):
        offsets = phases * math.prod(steps[i + 1 :]) * phase + places * math.prod(lines[i + 1 :])
        total = total + offsets.reshape([-1 if i == j else 1 for j in range(3)])
    return total.reshape(-1)
