"""Attention, backward: tiles of scores computed again, and five products of each (see `attention`).

A unit is a part of the key tiles of one head of keys. It adds up dk and dv over all queries that
see them, of all query heads that this head of keys serves, and its own share of dq.
"""

from tinygen.kernels.attention_forward import HEADS
from tinygen.kernels.attention_tile import (
    COLUMNS,
    DK,
    DOUT,
    DQ,
    DV,
    LOG2E,
    MASK,
    NO_MASK,
    OUT,
    QUERIES,
    K,
    Q,
    V,
    add_seeing,
    add_seen,
    clear,
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
    from tinygen.kernels.simd import LANES, broadcast, load, load_first, store, sum_lanes
    from tinygen.kernels.tile import POINTER, pack, packed_size, whole_lines
else:
    POINTER, pack = "", None

KEYS = 128  # of a tile: two such tiles, P and dS, are in the cache at a time


def scratch_size(D, Dv):
    """Floats that a thread needs: K', V', K, Q and dO packed, and Q itself, of one pair of tiles;
    P and dS; rowsum(dO O) and a row of dropout."""
    of_keys = packed_size(D, KEYS) + packed_size(Dv, KEYS) + packed_size(KEYS, D)
    of_queries = packed_size(QUERIES, D) + packed_size(QUERIES, Dv) + QUERIES * D
    return whole_lines(of_keys + of_queries + 2 * QUERIES * KEYS + QUERIES + KEYS)


@kernel
def areas_of(layout, at):
    """Where in the scratch memory of a thread these lie."""
    D, Dv = sizes_of(layout)[4:6]
    vt_strips = at + D * round_up(KEYS)
    k_strips = vt_strips + Dv * round_up(KEYS)
    q_strips = k_strips + KEYS * round_up(D)
    dout_strips = q_strips + QUERIES * round_up(D)
    q_tile = dout_strips + QUERIES * round_up(Dv)
    p = q_tile + QUERIES * D
    ds = p + QUERIES * KEYS
    rowsums = ds + QUERIES * KEYS
    return at, vt_strips, k_strips, q_strips, dout_strips, q_tile, p, ds, rowsums, rowsums + QUERIES


@c_function(
    f"void(intp, intp, intp, {', '.join([POINTER] * 6)}, CPointer(uint8),"
    f" {', '.join([POINTER] * 4)}, CPointer(int64), float32, float32, {POINTER}, intp)"
)
def backward_units(
    thread, threads, units, dout, q, k, v, out, lse, bools, floats, dq, dk, dv, layout, scale,
    limit, memory, at,
):  # fmt: skip
    """Units number thread, thread + threads, ..."""
    H, group, Tq, Tk, D, Dv, causal, parts = sizes_of(layout)[:8]
    kt_strips, vt_strips, k_strips = areas_of(layout, at)[:3]
    for unit in range(thread, units, threads):
        head, part = unit // parts, unit % parts
        batch, g = head // (H // group), head % (H // group)
        if causal:
            clear_unreached(batch, g, part, dq, layout)
        for j in range(part * KEYS, Tk, parts * KEYS):
            keys = min(KEYS, Tk - j)
            k_at, k_row = place(layout, K, batch, g, j)
            v_at, v_row = place(layout, V, batch, g, j)
            pack(k, k_at, 1, k_row, D, keys, memory, kt_strips)
            pack(v, v_at, 1, v_row, Dv, keys, memory, vt_strips)
            pack(k, k_at, k_row, 1, keys, D, memory, k_strips)
            top = first_tile(j) if causal else 0
            if top >= Tq:
                clear_keys(batch, g, j, keys, dk, dv, layout)
            for h in range(g * group, (g + 1) * group):
                for i in range(top, Tq, QUERIES):
                    backward_tile(
                        batch, h, part, i, j, i > top or h > g * group, dout, q, out, lse, bools,
                        floats, dq, dk, dv, layout, scale, limit, memory, at,
                    )  # fmt: skip


@kernel
def first_tile(j):
    """The first row of the first tile of queries of which some see key j, if attention is causal"""
    return j // QUERIES * QUERIES


@kernel
def clear_unreached(batch, g, part, dq, layout):
    """Zeros for the queries that see none of the keys of a part."""
    _, group, Tq, _, D = sizes_of(layout)[:5]
    dq_part = sizes_of(layout)[12]
    for h in range(g * group, (g + 1) * group):
        for i in range(min(Tq, first_tile(part * KEYS))):
            clear(dq, part * dq_part + place(layout, DQ, batch, h, i)[0], D)


@kernel
def clear_keys(batch, g, j, keys, dk, dv, layout):
    """Zeros for keys that no query sees."""
    D, Dv = sizes_of(layout)[4:6]
    for c in range(j, j + keys):
        clear(dk, place(layout, DK, batch, g, c)[0], D)
        clear(dv, place(layout, DV, batch, g, c)[0], Dv)


@kernel
def backward_tile(
    batch, h, part, i, j, add, dout, q, out, lse, bools, floats, dq, dk, dv, layout, scale, limit,
    memory, at,
):  # fmt: skip
    """What the queries from i on, of head h, and the keys from j on have to do with one another."""
    H, group, Tq, Tk, D, Dv, causal, _, mask, step, seed0, seed1, dq_part = sizes_of(layout)
    (kt_strips, vt_strips, k_strips, q_strips, dout_strips, q_tile, p, ds, rowsums,
     kept) = areas_of(layout, at)  # fmt: skip
    rows, keys, head = min(QUERIES, Tq - i), min(KEYS, Tk - j), batch * H + h
    diagonal = i - j if causal else keys
    q_at, q_row = place(layout, Q, batch, h, i)
    dout_at, dout_row = place(layout, DOUT, batch, h, i)
    out_at, out_row = place(layout, OUT, batch, h, i)
    dq_at, dq_row = place(layout, DQ, batch, h, i)
    dk_at, dk_row = place(layout, DK, batch, h // group, j)
    dv_at, dv_row = place(layout, DV, batch, h // group, j)

    copy_scaled(q, q_at, q_row, rows, D, scale * LOG2E, memory, q_tile)
    score(memory, q_tile, D, rows, D, memory, kt_strips, p, KEYS, keys, diagonal)
    score(dout, dout_at, dout_row, rows, Dv, memory, vt_strips, ds, KEYS, keys, diagonal)
    if mask != NO_MASK:
        mask_at, mask_row = place(layout, MASK, batch, h, i)
        mask_scores(memory, p, KEYS, rows, keys, diagonal, bools, floats,
                    mask_at + j * step, mask_row, step, mask)  # fmt: skip
    sum_rows(dout, dout_at, dout_row, out, out_at, out_row, rows, Dv, memory, rowsums)
    for r in range(rows):
        seen = seen_by(r, keys, diagonal)
        if limit > 0:
            draw_kept(memory, kept, seen, j, i + r, head, seed0, seed1, limit)
        score_gradients(memory, p + r * KEYS, ds + r * KEYS, keys, seen, scale,
                        lse[head * Tq + i + r], memory[rowsums + r], limit > 0, kept)  # fmt: skip

    add_seen(memory, ds, KEYS, rows, keys, diagonal, k_strips, keys * COLUMNS,
             dq, part * dq_part + dq_at, dq_row, D, j >= (part + 1) * KEYS)  # fmt: skip
    pack(q, q_at, q_row, 1, rows, D, memory, q_strips)
    add_seeing(memory, ds, KEYS, rows, keys, diagonal, q_strips, dk, dk_at, dk_row, D, add)
    pack(dout, dout_at, dout_row, 1, rows, Dv, memory, dout_strips)
    add_seeing(memory, p, KEYS, rows, keys, diagonal, dout_strips, dv, dv_at, dv_row, Dv, add)


@kernel
def sum_rows(dout, dout_at, dout_row, out, out_at, out_row, rows, columns, memory, rowsums):
    """rowsum(dO O) of every query of a tile."""
    for r in range(rows):
        x, y = dout_at + r * dout_row, out_at + r * out_row
        total = broadcast(0.0)
        for d in range(0, columns, LANES):
            total = total + load_first(dout, x + d, columns - d) * load_first(
                out, y + d, columns - d
            )
        memory[rowsums + r] = sum_lanes(total)


@kernel
def score_gradients(memory, p, ds, keys, seen, scale, lse, rowsum, dropping, kept):
    """A row of S becomes P = exp(S - lse), and one of dP becomes scale dS = scale P (dP -
    rowsum(dO O)); both are 0 where the query does not see the key. With dropout, dP and then P
    are multiplied by its factors."""
    fill_up(memory, p, seen, -float("inf"))
    end = fill_up(memory, ds, seen, 0.0)
    lse = lse * LOG2E
    for c in range(0, end, LANES):
        x, dx = exp2(load(memory, p + c) - lse), load(memory, ds + c)
        y = x
        if dropping:
            factor = load(memory, kept + c)
            y, dx = x * factor, dx * factor
        store(memory, p + c, y)
        store(memory, ds + c, x * (dx - rowsum) * scale)
    clear_unseen(memory, p, end, keys, seen)
    clear_unseen(memory, ds, end, keys, seen)


WRITTEN = "float32[:, :, :, :]"


@kernel(
    parallel=True,
    calls=(multiply, pack, backward_units),
    signature=f"void({', '.join([HEADS] * 5)}, const(float32[:, :, ::1]),"
    f" const(uint8[:, :, :, :]), {HEADS}, {WRITTEN}, {WRITTEN}, {WRITTEN}, int64[::1], float32,"
    " float32, intp, float32[::1], intp, intp)",
)
def backward_all(
    dout, q, k, v, out, lse, bools, floats, dq, dk, dv, layout, scale, limit, units, memory, size,
    threads,
):  # fmt: skip
    """All units, shared among threads, which have so much of the memory each."""
    if threads == 1:
        backward_units(
            0, 1, units, dout.ctypes, q.ctypes, k.ctypes, v.ctypes, out.ctypes, lse.ctypes,
            bools.ctypes, floats.ctypes, dq.ctypes, dk.ctypes, dv.ctypes, layout.ctypes, scale,
            limit, memory.ctypes, 0,
        )  # fmt: skip
    else:
        for t in prange(threads):
            backward_units(
                t, threads, units, dout.ctypes, q.ctypes, k.ctypes, v.ctypes, out.ctypes,
                lse.ctypes, bools.ctypes, floats.ctypes, dq.ctypes, dk.ctypes, dv.ctypes,
                layout.ctypes, scale, limit, memory.ctypes, t * size,
            )  # fmt: skip
