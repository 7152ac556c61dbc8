"""Scaled dot-product attention, forward and backward, without the Tq x Tk matrix of scores
(Dao et al. 2022; the loops of FlashAttention-2, Dao 2023, algorithms 1 and 2).

    S = scale Q K',   P = softmax of the rows of S,   O = P V,   lse = log sum exp of the rows of S

    dV = P' dO,   dP = dO V',   dS = P (dP - rowsum(dO O)),   dQ = scale dS K,   dK = scale dS' Q

Shapes: q, out, dout, dq [B, H, Tq, D]; k, v, dk, dv [B, H, Tk, D]; lse [B, H, Tq]. Inputs in any
strides. causal: query i sees the keys j <= i only (of equally long sequences, those up to itself).

Forward, the loops are:

    heads            B H of them, shared among threads; K' and V are packed for the tile once
      query tile     QUERIES rows of Q and O
        key tile     KEYS keys: S = Q K' (`multiply`), in cache
          row        P = exp(scale S - m) with the running maximum m; what O and the sum l have so
                     far shrinks by exp(m_before - m) (online softmax)
                     O += P V (`multiply`)
        row          O / l,  lse = m + log l

Backward, the key tiles are outside the query tiles, P = exp(scale S - lse) is computed again, and five
products are made of each pair of tiles. Under the diagonal of a causal head everything is cut to panels
of ROWS rows: keys that no row of a panel sees are neither scored nor multiplied.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, hold_blas, kernel, prange, scratch, serves, threads_for

if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        exp,
        first,
        load,
        load_first,
        max_lanes,
        maximum,
        store,
        store_first,
        sum_lanes,
        where,
    )
    from tinygen.kernels.tile import COLUMNS, ROWS, multiply, pack, packed_size
else:
    COLUMNS, ROWS, multiply, pack = 1, 1, None, None

QUERIES = 9 * ROWS  # rows of a tile of queries: 126, in whole panels of 14
KEYS = 512  # of a tile of keys, forward: a tile of S takes 258 KB of the L2 cache
KEYS_BACKWARD = 128  # backward there are two such tiles, P and dS
PARALLEL = 64**3  # multiply-adds of one product from which two threads are faster than one
LOWEST = -3.4028235e38  # the running maximum before any score: finite, or -inf - -inf were NaN


# ---- NumPy lines: tiles of queries against all keys ----------------------------------------------


def scores_reference(q, k, top, causal, scale):
    """S of the queries top, top + 1, ..."""
    scores = q @ k.swapaxes(-1, -2) * np.asarray(scale, q.dtype)
    if causal:
        queries, keys = np.ogrid[top : top + q.shape[-2], : k.shape[-2]]
        np.copyto(scores, -np.inf, where=keys > queries)
    return scores


def forward_reference(q, k, v, causal, scale):
    out, lse = np.empty(q.shape, q.dtype), np.empty(q.shape[:-1], q.dtype)
    for top in range(0, q.shape[-2], QUERIES):
        rows = np.s_[:, :, top : top + QUERIES]
        s = scores_reference(q[rows], k, top, causal, scale)
        m = s.max(-1, keepdims=True, initial=LOWEST)
        p = np.exp(s - m)
        l = p.sum(-1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # a query that sees nothing: 0 / 0
            out[rows] = p @ v / l
            lse[rows] = (m + np.log(l))[..., 0]
    return out, lse


def backward_reference(dout, q, k, v, out, lse, causal, scale):
    dq, dk, dv = np.empty(q.shape, q.dtype), np.zeros(k.shape, k.dtype), np.zeros(v.shape, v.dtype)
    for top in range(0, q.shape[-2], QUERIES):
        rows = np.s_[:, :, top : top + QUERIES]
        p = np.exp(scores_reference(q[rows], k, top, causal, scale) - lse[rows][..., None])
        dp = dout[rows] @ v.swapaxes(-1, -2)
        ds = p * (dp - (dout[rows] * out[rows]).sum(-1, keepdims=True))
        ds *= np.asarray(scale, q.dtype)
        dq[rows] = ds @ k
        dk += ds.swapaxes(-1, -2) @ q[rows]
        dv += p.swapaxes(-1, -2) @ dout[rows]
    return dq, dk, dv


# ---- Public functions ----------------------------------------------------------------------------


def forward(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """(out, lse): attention of the queries to the keys and their values, and what `backward` needs."""
    if not serves(q) or not q.size or not k.size:
        hold_blas()
        return forward_reference(q, k, v, causal, scale)
    q, k, v = readable(q), readable(k), readable(v)
    (B, H, Tq, D), Tk = q.shape, k.shape[2]
    out, lse = np.empty(q.shape, np.float32), np.empty((B, H, Tq), np.float32)
    threads = threads_for(B * H * Tq * Tk * D, PARALLEL)
    memory = scratch(threads * forward_scratch(Tk, D))
    forward_heads(q, k, v, causal, scale, out, lse, memory, threads)
    return out, lse


def backward(
    dout: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    out: np.ndarray,
    lse: np.ndarray,
    causal: bool,
    scale: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dq, dk, dv), for the cotangent dout of out; out and lse are what `forward` returned."""
    if not serves(q) or not q.size or not k.size:
        hold_blas()
        return backward_reference(dout, q, k, v, out, lse, causal, scale)
    dout, q, k, v, out = readable(dout), readable(q), readable(k), readable(v), readable(out)
    (B, H, Tq, D), Tk = q.shape, k.shape[2]
    dq, dk, dv = np.empty(q.shape, np.float32), *np.empty((2, *k.shape), np.float32)
    threads = threads_for(B * H * Tq * Tk * D, PARALLEL)
    memory = scratch(threads * backward_scratch(Tq, Tk, D))
    lse = np.ascontiguousarray(lse)
    backward_heads(dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, threads)
    return dq, dk, dv


def readable(x):
    """x itself if the numbers of each of its rows are adjacent, as the kernels expect; else a copy."""
    return x if x.strides[-1] == 4 and x.flags.aligned else np.array(x, order="C")


def forward_scratch(Tk, D):
    """Floats that a thread needs: K', V, a tile of S, m and l."""
    return packed_size(D, Tk) + packed_size(Tk, D) + QUERIES * KEYS + 2 * QUERIES


def backward_scratch(Tq, Tk, D):
    """K', V', K, Q and dO packed, tiles of P and dS, rowsum(dO O)."""
    packed = 2 * packed_size(D, Tk) + packed_size(Tk, D) + 2 * packed_size(Tq, D)
    return packed + 2 * QUERIES * KEYS_BACKWARD + Tq


# ---- Kernels -------------------------------------------------------------------------------------

HEADS, ROWSUMS = "const(float32[:, :, :, :])", "const(float32[:, :, ::1])"


@kernel
def begins(x, head):
    """Where a head, of [B, H, T, D], begins, in elements."""
    H = x.shape[1]
    return (head // H * x.strides[0] + head % H * x.strides[1]) // 4


@kernel(
    parallel=True,
    calls=(multiply, pack),
    signature=f"void({HEADS}, {HEADS}, {HEADS}, boolean, float32, float32[:, :, :, ::1],"
    " float32[:, :, ::1], float32[::1], intp)",
)
def forward_heads(q, k, v, causal, scale, out, lse, memory, threads):
    heads, size = q.shape[0] * q.shape[1], memory.size // threads
    if threads == 1:
        for head in range(heads):
            forward_head(head, q, k, v, causal, scale, out, lse, memory, 0)
    else:
        for t in prange(threads):
            for head in range(t * heads // threads, (t + 1) * heads // threads):
                forward_head(head, q, k, v, causal, scale, out, lse, memory, t * size)


@kernel
def forward_head(head, q, k, v, causal, scale, out, lse, memory, at):
    Tq, Tk, D = q.shape[2], k.shape[2], q.shape[3]
    k_strips = at
    v_strips = k_strips + D * round_up(Tk)
    s = v_strips + Tk * round_up(D)
    m = s + QUERIES * KEYS
    l = m + QUERIES
    q_row, q_at, o_at, lse_at = q.strides[2] // 4, begins(q, head), head * Tq * D, head * Tq
    pack_head(k, head, True, memory, k_strips)
    pack_head(v, head, False, memory, v_strips)
    for i in range(0, Tq, QUERIES):
        rows = min(QUERIES, Tq - i)
        for r in range(rows):
            memory[m + r], memory[l + r] = LOWEST, 0.0
        for j in range(0, min(Tk, i + rows) if causal else Tk, KEYS):
            keys = min(KEYS, Tk - j)
            diagonal = i - j if causal else keys  # row r of the tile sees diagonal + r + 1 keys
            row_products(q, q_at + i * q_row, q_row, rows, D, memory, k_strips + j * D, D,
                         memory, s, KEYS, keys, diagonal)  # fmt: skip
            online_softmax(memory, s, rows, keys, diagonal, scale, m, l, out, o_at + i * D, D)
            for p in range(0, rows, ROWS):
                seen = min(keys, diagonal + p + ROWS)
                multiply(min(ROWS, rows - p), memory.ctypes, s + p * KEYS, KEYS, 1, max(0, seen),
                         memory.ctypes, v_strips + j * COLUMNS, Tk * COLUMNS,
                         out.ctypes, o_at + (i + p) * D, D, D, j > 0)  # fmt: skip
        finish_rows(memory, m, l, rows, out, o_at + i * D, D, lse, lse_at + i)


@kernel
def round_up(width):
    return -(-width // COLUMNS) * COLUMNS


@kernel
def pack_head(x, head, transposed, memory, at):
    """Pack X [T, D] of one head, or X'."""
    T, D, row = x.shape[2], x.shape[3], x.strides[2] // 4
    if transposed:
        pack(x.ctypes, begins(x, head), 1, row, D, T, memory.ctypes, at)
    else:
        pack(x.ctypes, begins(x, head), row, 1, T, D, memory.ctypes, at)


@kernel
def row_products(
    a, a_at, a_row, rows, depth, b, b_at, strip_depth, c, c_at, c_row, width, diagonal
):
    """C[rows, width] = A[rows, depth] B, of which row r is wanted up to column diagonal + r only."""
    for p in range(0, rows, ROWS):
        wanted = min(width, diagonal + p + ROWS)
        multiply(min(ROWS, rows - p), a.ctypes, a_at + p * a_row, a_row, 1, depth,
                 b.ctypes, b_at, strip_depth * COLUMNS,
                 c.ctypes, c_at + p * c_row, c_row, wanted, False)  # fmt: skip


@kernel
def online_softmax(memory, s, rows, keys, diagonal, scale, m, l, out, o_at, D):
    """A tile of S becomes P = exp(scale S - m), 0 where a query does not see the key. The running
    maximum m and sum l, and what O has so far, are brought up to date."""
    for r in range(rows):
        row, seen = s + r * KEYS, min(keys, diagonal + r + 1)
        if seen > 0:
            peaks = broadcast(LOWEST)
            for c in range(0, seen, LANES):
                peaks = maximum(
                    peaks, where(first(seen - c), load(memory, row + c) * scale, LOWEST)
                )
            before = memory[m + r]
            peak = max_lanes(maximum(peaks, before))
            total = broadcast(0.0)
            for c in range(0, seen, LANES):
                p = where(first(seen - c), exp(load(memory, row + c) * scale - peak), 0.0)
                store(memory, row + c, p)
                total = total + p
            if memory[l + r] != 0.0:
                shrink = exp(broadcast(before - peak))
                memory[l + r] *= max_lanes(shrink)
                for d in range(0, D, LANES):
                    o = load_first(out, o_at + r * D + d, D - d)
                    store_first(out, o_at + r * D + d, o * shrink, D - d)
            memory[l + r] += sum_lanes(total)
            memory[m + r] = peak
        clear(memory, row, max(0, seen), keys)


@kernel
def clear(memory, row, begin, end):
    """Zeros from `begin` to `end`, where whole vectors up to the one with `begin` have been stored."""
    for c in range(-(-begin // LANES) * LANES, end, LANES):
        store(memory, row + c, broadcast(0.0))


@kernel
def finish_rows(memory, m, l, rows, out, o_at, D, lse, lse_at):
    for r in range(rows):
        total = memory[l + r]
        for d in range(0, D, LANES):
            o = load_first(out, o_at + r * D + d, D - d)
            store_first(out, o_at + r * D + d, o / total, D - d)
        lse.ravel()[lse_at + r] = memory[m + r] + math.log(total)


@kernel(
    parallel=True,
    calls=(multiply, pack),
    signature=f"void({HEADS}, {HEADS}, {HEADS}, {HEADS}, {HEADS}, {ROWSUMS}, boolean, float32,"
    " float32[:, :, :, ::1], float32[:, :, :, ::1], float32[:, :, :, ::1], float32[::1], intp)",
)
def backward_heads(dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, threads):
    heads, size = q.shape[0] * q.shape[1], memory.size // threads
    if threads == 1:
        for h in range(heads):
            backward_head(h, dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, 0)
    else:
        for t in prange(threads):
            for h in range(t * heads // threads, (t + 1) * heads // threads):
                backward_head(
                    h, dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, t * size
                )


@kernel
def backward_head(head, dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, at):
    Tq, Tk, D = q.shape[2], k.shape[2], q.shape[3]
    kt_strips = at
    vt_strips = kt_strips + D * round_up(Tk)
    k_strips = vt_strips + D * round_up(Tk)
    q_strips = k_strips + Tk * round_up(D)
    do_strips = q_strips + Tq * round_up(D)
    p = do_strips + Tq * round_up(D)
    ds = p + QUERIES * KEYS_BACKWARD
    rowsums = ds + QUERIES * KEYS_BACKWARD
    pack_head(k, head, True, memory, kt_strips)
    pack_head(v, head, True, memory, vt_strips)
    pack_head(k, head, False, memory, k_strips)
    pack_head(q, head, False, memory, q_strips)
    pack_head(dout, head, False, memory, do_strips)
    sum_rows(dout, out, head, memory, rowsums)
    q_at, q_row, do_at, do_row = (
        begins(q, head),
        q.strides[2] // 4,
        begins(dout, head),
        dout.strides[2] // 4,
    )
    dq_at, dk_at, lse_at = head * Tq * D, head * Tk * D, head * Tq
    for j in range(0, Tk, KEYS_BACKWARD):
        keys, top = min(KEYS_BACKWARD, Tk - j), j // QUERIES * QUERIES if causal else 0
        if top >= Tq:
            clear_rows(dk, dk_at + j * D, keys * D)
            clear_rows(dv, dk_at + j * D, keys * D)
        for i in range(top, Tq, QUERIES):
            rows = min(QUERIES, Tq - i)
            diagonal = i - j if causal else keys
            row_products(q, q_at + i * q_row, q_row, rows, D, memory, kt_strips + j * D, D,
                         memory, p, KEYS_BACKWARD, keys, diagonal)  # fmt: skip
            row_products(dout, do_at + i * do_row, do_row, rows, D, memory, vt_strips + j * D, D,
                         memory, ds, KEYS_BACKWARD, keys, diagonal)  # fmt: skip
            score_gradients(
                memory, p, ds, rows, keys, diagonal, scale, lse, lse_at + i, rowsums + i
            )
            for b in range(0, rows, ROWS):  # dQ += dS K
                seen = min(keys, diagonal + b + ROWS)
                multiply(min(ROWS, rows - b), memory.ctypes, ds + b * KEYS_BACKWARD, KEYS_BACKWARD, 1,
                         max(0, seen), memory.ctypes, k_strips + j * COLUMNS, Tk * COLUMNS,
                         dq.ctypes, dq_at + (i + b) * D, D, D, j > 0)  # fmt: skip
            for b in range(0, keys, ROWS):  # dV += P' dO, dK += dS' Q
                top_row = min(rows, max(0, b - diagonal))
                column, strips = top_row * KEYS_BACKWARD + b, (i + top_row) * COLUMNS
                multiply(min(ROWS, keys - b), memory.ctypes, p + column, 1, KEYS_BACKWARD,
                         rows - top_row, memory.ctypes, do_strips + strips, Tq * COLUMNS,
                         dv.ctypes, dk_at + (j + b) * D, D, D, i > top)  # fmt: skip
                multiply(min(ROWS, keys - b), memory.ctypes, ds + column, 1, KEYS_BACKWARD,
                         rows - top_row, memory.ctypes, q_strips + strips, Tq * COLUMNS,
                         dk.ctypes, dk_at + (j + b) * D, D, D, i > top)  # fmt: skip


@kernel
def clear_rows(x, at, size):
    for i in range(0, size, LANES):
        store_first(x, at + i, broadcast(0.0), size - i)


@kernel
def sum_rows(dout, out, head, memory, rowsums):
    """rowsum(dO O) of every query of a head."""
    T, D = dout.shape[2], dout.shape[3]
    for r in range(T):
        x, y = (
            begins(dout, head) + r * dout.strides[2] // 4,
            begins(out, head) + r * out.strides[2] // 4,
        )
        total = broadcast(0.0)
        for d in range(0, D, LANES):
            total = total + load_first(dout, x + d, D - d) * load_first(out, y + d, D - d)
        memory[rowsums + r] = sum_lanes(total)


@kernel
def score_gradients(memory, p, ds, rows, keys, diagonal, scale, lse, lse_at, rowsums):
    """S becomes P = exp(scale S - lse), and dP becomes scale dS = scale P (dP - rowsum(dO O))."""
    for r in range(rows):
        p_row, ds_row, seen = (
            p + r * KEYS_BACKWARD,
            ds + r * KEYS_BACKWARD,
            min(keys, diagonal + r + 1),
        )
        row_lse, rowsum = lse.ravel()[lse_at + r], memory[rowsums + r]
        for c in range(0, seen, LANES):
            x = exp(load(memory, p_row + c) * scale - row_lse)
            dx = x * (load(memory, ds_row + c) - rowsum) * scale
            store(memory, p_row + c, where(first(seen - c), x, 0.0))
            store(memory, ds_row + c, where(first(seen - c), dx, 0.0))
        clear(memory, p_row, max(0, seen), keys)
        clear(memory, ds_row, max(0, seen), keys)
