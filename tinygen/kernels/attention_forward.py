"""Attention, forward: the online softmax over tiles of keys (see `attention`)."""

import math

from tinygen.kernels.attention_tile import (
    COLUMNS,
    LOG2E,
    MASK,
    NO_MASK,
    OUT,
    QUERIES,
    K,
    Q,
    V,
    add_seen,
    clear_unseen,
    copy_scaled,
    draw_kept,
    exp2,
    fill_up,
    mask_scores,
    multiply,
    place,
    round_up,
    score,
    seen_by,
    sizes_of,
)
from tinygen.kernels.jit import ENABLED, c_function, kernel, prange

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        load,
        load_first,
        max_of_numbers,
        store,
        store_first,
        sum_lanes,
        where,
    )
    from tinygen.kernels.tile import POINTER, pack, packed_size, whole_lines
else:
    POINTER, pack = "", None

KEYS = 512  # of a tile: a tile of S takes 258 KB of the L2 cache
LOWEST = -3.4028235e38  # the running maximum before any score: finite, or -inf - -inf were NaN
LN2 = math.log(2)


def scratch_size(Tk, D, Dv):
    """Floats that a thread needs: K', V, a tile of Q, one of S, m, l and a row of dropout."""
    packed = packed_size(D, Tk) + packed_size(Tk, Dv)
    return whole_lines(packed + QUERIES * D + QUERIES * KEYS + 2 * QUERIES + KEYS)


@kernel
def areas_of(layout, at):
    """Where in the scratch memory of a thread these lie."""
    _, _, _, Tk, D, Dv = sizes_of(layout)[:6]
    v_strips = at + D * round_up(Tk)
    q_tile = v_strips + Tk * round_up(Dv)
    s = q_tile + QUERIES * D
    m = s + QUERIES * KEYS
    return at, v_strips, q_tile, s, m, m + QUERIES, m + 2 * QUERIES


@c_function(
    f"void(intp, intp, intp, {', '.join([POINTER] * 5)}, CPointer(uint8), {POINTER},"
    f" CPointer(int64), float32, float32, {POINTER}, intp)"
)
def forward_units(
    thread, threads, units, q, k, v, out, lse, bools, floats, layout, scale, limit, memory, at
):
    """Units number thread, thread + threads, ...: each a part of the query tiles of one head."""
    H, group, Tq, Tk, D, Dv, _, parts = sizes_of(layout)[:8]
    k_strips, v_strips = areas_of(layout, at)[:2]
    packed = -1
    for unit in range(thread, units, threads):
        head, part = unit // parts, unit % parts
        batch, h = head // H, head % H
        if head // group != packed:
            packed = head // group
            k_at, k_row = place(layout, K, batch, h // group, 0)
            v_at, v_row = place(layout, V, batch, h // group, 0)
            pack(k, k_at, 1, k_row, D, Tk, memory, k_strips)
            pack(v, v_at, v_row, 1, Tk, Dv, memory, v_strips)
        for i in range(part * QUERIES, Tq, parts * QUERIES):
            forward_tile(batch, h, i, q, out, lse, bools, floats, layout, scale, limit, memory, at)


@kernel
def forward_tile(batch, h, i, q, out, lse, bools, floats, layout, scale, limit, memory, at):
    """Rows i, i + 1, ... of out, and of lse, of a head: those of one tile of queries."""
    H, _, Tq, Tk, D, Dv, causal, _, mask, step, seed0, seed1, _ = sizes_of(layout)
    k_strips, v_strips, q_tile, s, m, l, kept = areas_of(layout, at)
    rows, head = min(QUERIES, Tq - i), batch * H + h
    q_at, q_row = place(layout, Q, batch, h, i)
    o_at, o_row = place(layout, OUT, batch, h, i)
    copy_scaled(q, q_at, q_row, rows, D, scale * LOG2E, memory, q_tile)
    for r in range(rows):
        memory[m + r], memory[l + r] = LOWEST, 0.0
    for j in range(0, min(Tk, i + rows) if causal else Tk, KEYS):
        keys = min(KEYS, Tk - j)
        diagonal = i - j if causal else keys
        score(memory, q_tile, D, rows, D, memory, k_strips + j * D, s, KEYS, keys, diagonal)
        if mask != NO_MASK:
            mask_at, mask_row = place(layout, MASK, batch, h, i)
            mask_scores(memory, s, KEYS, rows, keys, diagonal, bools, floats,
                        mask_at + j * step, mask_row, step, mask)  # fmt: skip
        online_softmax(memory, s, rows, keys, diagonal, m, l, out, o_at, o_row, Dv)
        if limit > 0:
            drop(memory, s, rows, keys, diagonal, kept, j, i, head, seed0, seed1, limit)
        add_seen(memory, s, KEYS, rows, keys, diagonal, v_strips + j * COLUMNS, Tk * COLUMNS,
                 out, o_at, o_row, Dv, j > 0)  # fmt: skip
    finish_rows(memory, m, l, rows, out, o_at, o_row, Dv, lse, head * Tq + i)


@kernel
def online_softmax(memory, s, rows, keys, diagonal, m, l, out, o_at, o_row, columns):
    """A tile of S becomes P = 2^(S - m), 0 where a query does not see the key. The running maximum
    m and sum l, and what O has so far, are brought up to date. A NaN makes the sum NaN."""
    for r in range(rows):
        row, seen, end = s + r * KEYS, seen_by(r, keys, diagonal), 0
        if seen > 0:
            end = fill_up(memory, row, seen, -math.inf)
            before = memory[m + r]
            peaks = broadcast(before)
            for c in range(0, end, LANES):
                x = load(memory, row + c)
                peaks = where(x > peaks, x, peaks)
            peak = max_of_numbers(peaks)
            total = broadcast(0.0)
            for c in range(0, end, LANES):
                p = exp2(load(memory, row + c) - peak)
                store(memory, row + c, p)
                total = total + p
            if memory[l + r] != 0.0 and peak != before:
                shrink = exp2(broadcast(before - peak))
                memory[l + r] *= max_of_numbers(shrink)
                for d in range(0, columns, LANES):
                    o = load_first(out, o_at + r * o_row + d, columns - d)
                    store_first(out, o_at + r * o_row + d, o * shrink, columns - d)
            memory[l + r] += sum_lanes(total)
            memory[m + r] = peak
        clear_unseen(memory, row, end, keys, seen)


@kernel
def drop(memory, p, rows, keys, diagonal, kept, j, i, head, seed0, seed1, limit):
    """Dropout of the weights of a tile, whose sums are those of before."""
    for r in range(rows):
        row, seen = p + r * KEYS, seen_by(r, keys, diagonal)
        draw_kept(memory, kept, seen, j, i + r, head, seed0, seed1, limit)
        for c in range(0, seen, LANES):
            store(memory, row + c, load(memory, row + c) * load(memory, kept + c))


@kernel
def finish_rows(memory, m, l, rows, out, o_at, o_row, columns, lse, lse_at):
    """O / l and m + ln l; of a query that sees nothing 0 and inf, so that backward P = 0."""
    for r in range(rows):
        total = memory[l + r]
        share = 1.0 / total if total != 0.0 else 0.0
        for d in range(0, columns, LANES):
            o = load_first(out, o_at + r * o_row + d, columns - d)
            store_first(out, o_at + r * o_row + d, o * share, columns - d)
        lse[lse_at + r] = memory[m + r] * LN2 + math.log(total) if total != 0.0 else math.inf


HEADS = "const(float32[:, :, :, :])"


@kernel(
    parallel=True,
    calls=(multiply, pack, forward_units),
    signature=f"void({HEADS}, {HEADS}, {HEADS}, float32[:, :, :, :], float32[:, :, ::1],"
    f" const(uint8[:, :, :, :]), {HEADS}, int64[::1], float32, float32, intp, float32[::1], intp,"
    " intp)",
)
def forward_all(
    q, k, v, out, lse, bools, floats, layout, scale, limit, units, memory, size, threads
):
    """All units, shared among threads, which have so much of the memory each."""
    if threads == 1:
        forward_units(
            0, 1, units, q.ctypes, k.ctypes, v.ctypes, out.ctypes, lse.ctypes, bools.ctypes,
            floats.ctypes, layout.ctypes, scale, limit, memory.ctypes, 0,
        )  # fmt: skip
    else:
        for t in prange(threads):
            forward_units(
                t, threads, units, q.ctypes, k.ctypes, v.ctypes, out.ctypes, lse.ctypes,
                bools.ctypes, floats.ctypes, layout.ctypes, scale, limit, memory.ctypes, t * size,
            )  # fmt: skip
