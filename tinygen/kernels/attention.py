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

Backward, the key tiles are outside the query tiles, P = exp(scale S - lse) is computed again, and
five products are made of each pair of tiles. A causal head is cut along the diagonal in panels of
ROWS rows: keys that no row of a panel sees are neither scored nor multiplied.
"""

import math

import numpy as np

from tinygen.kernels.jit import (
    ENABLED,
    c_function,
    hold_blas,
    kernel,
    prange,
    scratch,
    serves,
    threads_for,
)

# pyright: reportPossiblyUnboundVariable=false, reportOptionalCall=false
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
        store_first,
        sum_lanes,
        where,
    )
    from tinygen.kernels.tile import (
        COLUMNS,
        POINTER,
        ROWS,
        multiply,
        pack,
        packed_size,
        whole_lines,
    )
else:
    COLUMNS, ROWS, POINTER, multiply, pack = 1, 1, None, None, None

QUERIES = 9 * ROWS  # rows of a tile of queries: 126, in whole panels of 14
KEYS = 512  # of a tile of keys, forward: a tile of S takes 258 KB of the L2 cache
KEYS_BACKWARD = 128  # backward there are two such tiles, P and dS
PARALLEL = 32**3  # multiply-adds of one product: there one thread takes 14.6 µs, two take 12.7
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
    """(out, lse): the attention of the queries to keys and values; and what `backward` needs."""
    if not serves(q) or not q.size or not k.size:
        hold_blas()
        return forward_reference(q, k, v, causal, scale)
    q, k, v = readable(q), readable(k), readable(v)
    (B, H, Tq, D), Tk = q.shape, k.shape[2]
    out, lse = np.empty(q.shape, np.float32), np.empty((B, H, Tq), np.float32)
    threads, size = threads_for(B * H * Tq * Tk * D, PARALLEL), forward_scratch(Tk, D)
    memory = scratch(threads * size)
    forward_heads(q, k, v, causal, scale, out.ravel(), lse.ravel(), memory, size, threads)
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
    dq, dk, dv = (np.empty(x.shape, np.float32) for x in (q, k, v))
    threads, size = threads_for(B * H * Tq * Tk * D, PARALLEL), backward_scratch(Tq, Tk, D)
    backward_heads(
        dout, q, k, v, out, np.ravel(lse), causal, scale,
        dq.ravel(), dk.ravel(), dv.ravel(), scratch(threads * size), size, threads,
    )  # fmt: skip
    return dq, dk, dv


def readable(x):
    """x itself if the numbers of a row are adjacent, as the kernels expect; else a copy."""
    return x if x.strides[-1] == 4 and x.flags.aligned else np.array(x, order="C")


def forward_scratch(Tk, D):
    """Floats that a thread needs: K', V, a tile of S, m and l."""
    return whole_lines(packed_size(D, Tk) + packed_size(Tk, D) + QUERIES * KEYS + 2 * QUERIES)


def backward_scratch(Tq, Tk, D):
    """K', V', K, Q and dO packed, tiles of P and dS, rowsum(dO O)."""
    packed = 2 * packed_size(D, Tk) + packed_size(Tk, D) + 2 * packed_size(Tq, D)
    return whole_lines(packed + 2 * QUERIES * KEYS_BACKWARD + Tq)


# ---- Kernels -------------------------------------------------------------------------------------

HEADS = "const(float32[:, :, :, :])"
VECTOR = f"{POINTER}, intp"  # x, x_at
ROWS_OF = f"{POINTER}, intp, intp"  # x, x_at, x_row

# A matrix with adjacent columns, of one head, is passed as `x, x_at, x_row`: its element [i, d] is
# x[x_at + i x_row + d]. That of an output follows the one of the head before.


@c_function(f"void({', '.join([ROWS_OF] * 3)}, intp, intp, intp, boolean, float32,"
            f" {', '.join([VECTOR] * 3)})")  # fmt: skip
def forward_head(
    q, q_at, q_row, k, k_at, k_row, v, v_at, v_row, Tq, Tk, D, causal, scale,
    out, out_at, lse, lse_at, memory, at,
):  # fmt: skip
    """out [Tq, D] and lse [Tq] of one head."""
    k_strips = at
    v_strips = k_strips + D * round_up(Tk)
    s = v_strips + Tk * round_up(D)
    m = s + QUERIES * KEYS
    l = m + QUERIES
    pack(k, k_at, 1, k_row, D, Tk, memory, k_strips)
    pack(v, v_at, v_row, 1, Tk, D, memory, v_strips)
    for i in range(0, Tq, QUERIES):
        rows, out_here = min(QUERIES, Tq - i), out_at + i * D
        for r in range(rows):
            memory[m + r], memory[l + r] = LOWEST, 0.0
        for j in range(0, min(Tk, i + rows) if causal else Tk, KEYS):
            keys = min(KEYS, Tk - j)
            diagonal = i - j if causal else keys  # row r of the tile sees diagonal + r + 1 keys
            score(q, q_at + i * q_row, q_row, rows, D, memory, k_strips + j * D,
                  s, KEYS, keys, diagonal)  # fmt: skip
            online_softmax(memory, s, rows, keys, diagonal, scale, m, l, out, out_here, D)
            add_seen(memory, s, KEYS, rows, keys, diagonal, v_strips + j * COLUMNS, Tk,
                     out, out_here, D, j > 0)  # fmt: skip
        finish_rows(memory, m, l, rows, out, out_here, D, lse, lse_at + i)


@kernel
def round_up(width):
    return -(-width // COLUMNS) * COLUMNS


@kernel
def score(x, x_at, x_row, rows, depth, memory, strips, s, s_row, keys, diagonal):
    """S[rows, keys] = X[rows, depth] B, of which row r is wanted up to column diagonal + r only."""
    for p in range(0, rows, ROWS):
        wanted = min(keys, diagonal + p + ROWS)
        multiply(min(ROWS, rows - p), x, x_at + p * x_row, x_row, 1, depth,
                 memory, strips, depth * COLUMNS,
                 memory, s + p * s_row, s_row, wanted, False)  # fmt: skip


@kernel
def add_seen(memory, p, p_row, rows, keys, diagonal, strips, Tk, out, out_at, D, add):
    """O[rows, D] = P[rows, keys] B (+ O if add), where P is 0 from column diagonal + r + 1."""
    for b in range(0, rows, ROWS):
        seen = max(0, min(keys, diagonal + b + ROWS))
        multiply(min(ROWS, rows - b), memory, p + b * p_row, p_row, 1, seen,
                 memory, strips, Tk * COLUMNS, out, out_at + b * D, D, D, add)  # fmt: skip


@kernel
def add_seeing(memory, p, p_row, rows, keys, diagonal, strips, Tq, out, out_at, D, add):
    """O[keys, D] = P[rows, keys]' B (+ O if add), where P is 0 above row c - diagonal."""
    for b in range(0, keys, ROWS):
        top = min(rows, max(0, b - diagonal))
        multiply(min(ROWS, keys - b), memory, p + top * p_row + b, 1, p_row, rows - top,
                 memory, strips + top * COLUMNS, Tq * COLUMNS,
                 out, out_at + b * D, D, D, add)  # fmt: skip


@kernel
def online_softmax(memory, s, rows, keys, diagonal, scale, m, l, out, o_at, D):
    """A tile of S becomes P = exp(scale S - m), 0 where a query does not see the key. The running
    maximum m and sum l, and what O has so far, are brought up to date."""
    for r in range(rows):
        row, seen = s + r * KEYS, max(0, min(keys, diagonal + r + 1))
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
                store_first(memory, row + c, p, seen - c)
                total = total + p
            if memory[l + r] != 0.0:
                shrink = exp(broadcast(before - peak))
                memory[l + r] *= max_lanes(shrink)
                for d in range(0, D, LANES):
                    o = load_first(out, o_at + r * D + d, D - d)
                    store_first(out, o_at + r * D + d, o * shrink, D - d)
            memory[l + r] += sum_lanes(total)
            memory[m + r] = peak
        clear(memory, row + seen, keys - seen)


@kernel
def clear(x, at, size):
    for i in range(0, size, LANES):
        store_first(x, at + i, broadcast(0.0), size - i)


@kernel
def finish_rows(memory, m, l, rows, out, o_at, D, lse, lse_at):
    for r in range(rows):
        total = memory[l + r]
        for d in range(0, D, LANES):
            o = load_first(out, o_at + r * D + d, D - d)
            store_first(out, o_at + r * D + d, o / total, D - d)
        lse[lse_at + r] = memory[m + r] + math.log(total)


@c_function(f"void({', '.join([ROWS_OF] * 5)}, {VECTOR}, intp, intp, intp, boolean, float32,"
            f" {VECTOR}, {VECTOR}, {POINTER}, {VECTOR})")  # fmt: skip
def backward_head(
    dout, dout_at, dout_row, q, q_at, q_row, k, k_at, k_row, v, v_at, v_row, out, out_at, out_row,
    lse, lse_at, Tq, Tk, D, causal, scale, dq, dq_at, dk, dk_at, dv, memory, at,
):  # fmt: skip
    """dq [Tq, D], dk and dv [Tk, D] of one head; dv begins where dk does."""
    kt_strips = at
    vt_strips = kt_strips + D * round_up(Tk)
    k_strips = vt_strips + D * round_up(Tk)
    q_strips = k_strips + Tk * round_up(D)
    dout_strips = q_strips + Tq * round_up(D)
    p = dout_strips + Tq * round_up(D)
    ds = p + QUERIES * KEYS_BACKWARD
    rowsums = ds + QUERIES * KEYS_BACKWARD
    pack(k, k_at, 1, k_row, D, Tk, memory, kt_strips)
    pack(v, v_at, 1, v_row, D, Tk, memory, vt_strips)
    pack(k, k_at, k_row, 1, Tk, D, memory, k_strips)
    pack(q, q_at, q_row, 1, Tq, D, memory, q_strips)
    pack(dout, dout_at, dout_row, 1, Tq, D, memory, dout_strips)
    sum_rows(dout, dout_at, dout_row, out, out_at, out_row, Tq, D, memory, rowsums)
    width = KEYS_BACKWARD
    for j in range(0, Tk, width):
        keys, top = min(width, Tk - j), j // QUERIES * QUERIES if causal else 0
        if top >= Tq:  # no query sees these keys
            clear(dk, dk_at + j * D, keys * D)
            clear(dv, dk_at + j * D, keys * D)
        for i in range(top, Tq, QUERIES):
            rows = min(QUERIES, Tq - i)
            diagonal = i - j if causal else keys
            score(q, q_at + i * q_row, q_row, rows, D, memory, kt_strips + j * D,
                  p, width, keys, diagonal)  # fmt: skip
            score(dout, dout_at + i * dout_row, dout_row, rows, D, memory, vt_strips + j * D,
                  ds, width, keys, diagonal)  # fmt: skip
            score_gradients(
                memory, p, ds, rows, keys, diagonal, scale, lse, lse_at + i, rowsums + i
            )
            add_seen(memory, ds, width, rows, keys, diagonal, k_strips + j * COLUMNS, Tk,
                     dq, dq_at + i * D, D, j > 0)  # fmt: skip
            add_seeing(memory, ds, width, rows, keys, diagonal, q_strips + i * COLUMNS, Tq,
                       dk, dk_at + j * D, D, i > top)  # fmt: skip
            add_seeing(memory, p, width, rows, keys, diagonal, dout_strips + i * COLUMNS, Tq,
                       dv, dk_at + j * D, D, i > top)  # fmt: skip


@kernel
def sum_rows(dout, dout_at, dout_row, out, out_at, out_row, Tq, D, memory, rowsums):
    """rowsum(dO O) of every query of a head."""
    for r in range(Tq):
        x, y = dout_at + r * dout_row, out_at + r * out_row
        total = broadcast(0.0)
        for d in range(0, D, LANES):
            total = total + load_first(dout, x + d, D - d) * load_first(out, y + d, D - d)
        memory[rowsums + r] = sum_lanes(total)


@kernel
def score_gradients(memory, p, ds, rows, keys, diagonal, scale, lse, lse_at, rowsums):
    """S becomes P = exp(scale S - lse), and dP becomes scale dS = scale P (dP - rowsum(dO O)); both
    are 0 where a query does not see the key."""
    for r in range(rows):
        p_row, ds_row = p + r * KEYS_BACKWARD, ds + r * KEYS_BACKWARD
        seen = max(0, min(keys, diagonal + r + 1))
        row_lse, rowsum = lse[lse_at + r], memory[rowsums + r]
        for c in range(0, seen, LANES):
            x = exp(load(memory, p_row + c) * scale - row_lse)
            dx = x * (load(memory, ds_row + c) - rowsum) * scale
            store_first(memory, p_row + c, x, seen - c)
            store_first(memory, ds_row + c, dx, seen - c)
        clear(memory, p_row + seen, keys - seen)
        clear(memory, ds_row + seen, keys - seen)


# ---- All heads -----------------------------------------------------------------------------------


@kernel
def begin_of(x, head):
    """Where a head begins in x [B, H, T, D], in elements."""
    H = x.shape[1]
    return (head // H * x.strides[0] + head % H * x.strides[1]) // 4


@kernel(
    parallel=True,
    calls=(multiply, pack, forward_head),
    signature=f"void({HEADS}, {HEADS}, {HEADS}, boolean, float32, float32[::1], float32[::1],"
    " float32[::1], intp, intp)",
)
def forward_heads(q, k, v, causal, scale, out, lse, memory, size, threads):
    """Thread t takes the t-th share of the heads, and of the memory."""
    heads = q.shape[0] * q.shape[1]
    if threads == 1:
        for h in range(heads):
            forward_one(h, q, k, v, causal, scale, out, lse, memory, 0)
    else:
        for t in prange(threads):
            for h in range(t * heads // threads, (t + 1) * heads // threads):
                forward_one(h, q, k, v, causal, scale, out, lse, memory, t * size)


@kernel
def forward_one(h, q, k, v, causal, scale, out, lse, memory, at):
    Tq, Tk, D = q.shape[2], k.shape[2], q.shape[3]
    forward_head(q.ctypes, begin_of(q, h), q.strides[2] // 4,
                 k.ctypes, begin_of(k, h), k.strides[2] // 4,
                 v.ctypes, begin_of(v, h), v.strides[2] // 4, Tq, Tk, D, causal, scale,
                 out.ctypes, h * Tq * D, lse.ctypes, h * Tq, memory.ctypes, at)  # fmt: skip


@kernel(
    parallel=True,
    calls=(multiply, pack, backward_head),
    signature=f"void({HEADS}, {HEADS}, {HEADS}, {HEADS}, {HEADS}, const(float32[::1]), boolean,"
    " float32, float32[::1], float32[::1], float32[::1], float32[::1], intp, intp)",
)
def backward_heads(dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, size, threads):
    heads = q.shape[0] * q.shape[1]
    if threads == 1:
        for h in range(heads):
            backward_one(h, dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, 0)
    else:
        for t in prange(threads):
            for h in range(t * heads // threads, (t + 1) * heads // threads):
                backward_one(
                    h, dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, t * size
                )


@kernel
def backward_one(h, dout, q, k, v, out, lse, causal, scale, dq, dk, dv, memory, at):
    Tq, Tk, D = q.shape[2], k.shape[2], q.shape[3]
    backward_head(dout.ctypes, begin_of(dout, h), dout.strides[2] // 4,
                  q.ctypes, begin_of(q, h), q.strides[2] // 4,
                  k.ctypes, begin_of(k, h), k.strides[2] // 4,
                  v.ctypes, begin_of(v, h), v.strides[2] // 4,
                  out.ctypes, begin_of(out, h), out.strides[2] // 4,
                  lse.ctypes, h * Tq, Tq, Tk, D, causal, scale,
                  dq.ctypes, h * Tq * D, dk.ctypes, h * Tk * D, dv.ctypes,
                  memory.ctypes, at)  # fmt: skip
