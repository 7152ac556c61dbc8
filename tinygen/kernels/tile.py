"""The register tile under `matmul` and `attention`: C = A B, or C += A B, for packed B.

A tile of C, at most HEIGHTS[0] rows x COLUMNS numbers, stays in registers while k runs over the
depth of A and B. Every step is an outer product, of a column of A with a row of B:

                           B  [. . . . k . . . .]   2 vectors (COLUMNS numbers)
                              [. . . . . . . . .]
          A  [. . k . . .]    +-----------------+
             [. . k . . .]    |                 |
             [. . k . . .]    |        C        |   14 rows x 2 vectors = 28 registers of 32
             [. . k . . .]    +-----------------+

One step loads 2 vectors of B and 14 numbers of A for 28 multiply-adds of 16 numbers each: the
arithmetic, not the memory, sets the pace (Goto and van de Geijn 2008). For that B has been packed
in strips of COLUMNS columns, one step behind the other in memory. A is read where it lies, in any
strides.

A matrix is passed as `a, a_at, a_row, a_col`: its element [i, j] is `a[a_at + i a_row + j a_col]`.
The functions here are `c_function`s, for they are large and have many callers.
"""

from collections.abc import Mapping
from typing import Any

from tinygen.kernels import simd
from tinygen.kernels.jit import c_function, kernel
from tinygen.kernels.simd import LANES, load_first, store

VECTORS = 2
COLUMNS = VECTORS * LANES
# Heights of tile: greedily from the tallest, which fills the registers (32 of AVX-512, else 16),
# any number of rows is made up. Each more costs half a second of compilation.
HEIGHTS = {16: (14, 8, 4, 2, 1), 8: (6, 4, 2, 1), 4: (6, 4, 2, 1)}[LANES]
ROWS = HEIGHTS[0]
AHEAD = 16 * COLUMNS  # B is fetched into the L1 cache 16 steps ahead: 4 to 8 % of the time of 1024³


# ---- The tile: source text, so that each vector of C is a variable, and so a register ------------


def tile_source(rows: int) -> str:
    """The function that computes a tile of so many rows. For 2 rows, on 16 lanes, it reads

    def tile2(a, a_at, a_row, a_col, b, b_at, depth, c, c_at, c_row, width, add):
        stride1 = opaque(1 * a_row)
        c00 = broadcast(0.0)
        c01 = ...
        for k in range(depth):
            b0 = load(b, b_at + 0)
            b1 = load(b, b_at + 16)
            prefetch(b, b_at + 512)
            ...
            a0 = load_same(a, a_at)
            c00 = fma(a0, b0, c00)
            c01 = fma(a0, b1, c01)
            a1 = load_same(a, a_at + 1 * stride1)
            ...
            a_at += a_col
            b_at += 32
        if add:
            c00 = c00 + load_first(c, c_at + 0 * c_row + 0, width - 0)
            ...
        store_first(c, c_at + 0 * c_row + 0, c00, width - 0)
        ...

    Rows of A are reached as power * odd * a_row, because an x86 load adds 1, 2, 4 or 8 times a
    register for free; the odd multiples are opaque to LLVM, which would otherwise step from row to
    row with additions (5 % of the time).
    """
    vectors = range(VECTORS)
    cells = [
        (f"c{i}{j}", f"c_at + {i} * c_row + {LANES * j}, ", f"width - {LANES * j}")
        for i in range(rows)
        for j in vectors
    ]
    lines = [f"def tile{rows}(a, a_at, a_row, a_col, b, b_at, depth, c, c_at, c_row, width, add):"]
    lines += [f"    stride{odd} = opaque({odd} * a_row)" for odd in range(1, rows, 2)]
    lines += [f"    {cell} = broadcast(0.0)" for cell, _, _ in cells]
    lines += ["    for k in range(depth):"]
    lines += [f"        b{j} = load(b, b_at + {LANES * j})" for j in vectors]
    lines += [f"        prefetch(b, b_at + {AHEAD + LANES * j})" for j in vectors]
    for i in range(rows):
        power = i & -i  # the largest power of 2 that divides i
        step = f" + {power} * stride{i // power}" if i else ""
        lines += [f"        a{i} = load_same(a, a_at{step})"]
        lines += [f"        c{i}{j} = fma(a{i}, b{j}, c{i}{j})" for j in vectors]
    lines += ["        a_at += a_col", f"        b_at += {COLUMNS}"]
    lines += ["    if add:"]
    lines += [f"        {cell} = {cell} + load_first(c, {at}{left})" for cell, at, left in cells]
    lines += [f"    store_first(c, {at}{cell}, {left})" for cell, at, left in cells]
    return "\n".join(lines)


def choice_source() -> str:
    """The function `tile`, which calls tile14, tile8, ... according to `rows`."""
    arguments = "a, a_at, a_row, a_col, b, b_at, depth, c, c_at, c_row, width, add"
    lines = [f"def tile(rows, {arguments}):"]
    lines += [f"    if rows == {rows}:\n        tile{rows}({arguments})" for rows in HEIGHTS]
    return "\n".join(lines)


def transpose_source(name: str, target: str, put: str) -> str:
    """The function `name`: `rows` rows of `columns` numbers, LANES of each at most, become columns;
    `put` stores row {i} of the result, which is r{i}, at the arguments `target`.

    In each round row i and row i + LANES / 2 are interleaved into rows 2 i and 2 i + 1. That turns
    the highest bit of a number's row into the lowest bit of its lane, and shifts the others up:
    when every bit has been turned, row and lane have changed places.
    """
    half = LANES // 2
    lines = [f"def {name}(source, at, stride, rows, columns, {target}):"]
    for i in range(LANES):
        lines += [f"    r{i} = load_first(source, at + {i} * stride, columns if {i} < rows else 0)"]
    for _ in range(LANES.bit_length() - 1):
        pairs = [
            f"interleave_{end}(r{i}, r{i + half})" for i in range(half) for end in ("low", "high")
        ]
        lines += [f"    {', '.join(f'r{i}' for i in range(LANES))} = {', '.join(pairs)}"]
    for i in range(LANES):
        lines += [f"    if {i} < columns:\n        {put.format(i=i)}"]
    return "\n".join(lines)


def defined(name: str, source: str, names: Mapping[str, Any]) -> Any:
    """The function `name` that `source` defines in terms of `names`."""
    scope = {**names, "__name__": __name__}
    exec(compile(source, __file__, "exec"), scope)
    return scope[name]


def from_source(name: str, source: str, names: Mapping[str, Any]) -> Any:
    """The same as a kernel."""
    return kernel(defined(name, source, names))


POINTER = "CPointer(float32)"
MATRIX = f"{POINTER}, intp, intp, intp"
TILE = f"void({MATRIX}, {POINTER}, intp, intp, {POINTER}, intp, intp, intp, boolean)"

# Each compiled by itself: `multiply` would compile all of them together, a second and a third time.
tiles = {
    f"tile{r}": c_function(TILE)(defined(f"tile{r}", tile_source(r), vars(simd))) for r in HEIGHTS
}
tile = from_source("tile", choice_source(), tiles)
# A matrix becomes a strip of COLUMNS columns.
transpose = from_source(
    "transpose",
    transpose_source(
        "transpose", "target, target_at", f"store(target, target_at + {COLUMNS} * {{i}}, r{{i}})"
    ),
    vars(simd),
)


# ---- Panels and packing --------------------------------------------------------------------------


@c_function(
    f"void(intp, {MATRIX}, intp, {POINTER}, intp, intp, {POINTER}, intp, intp, intp, boolean)",
    calls=tuple(tiles.values()),
)
def multiply(rows, a, a_at, a_row, a_col, depth, b, b_at, strip, c, c_at, c_row, width, add):
    """C[rows, width] = A[rows, depth] @ B[depth, width] (+ C if add); B packed, its strips `strip`
    elements from one another, C with adjacent columns."""
    i = 0
    while i < rows:
        height = ROWS
        for lower in HEIGHTS:
            if height > rows - i:
                height = lower
        for j in range(0, width, COLUMNS):
            tile(
                height, a, a_at + i * a_row, a_row, a_col,
                b, b_at + j // COLUMNS * strip, depth,
                c, c_at + i * c_row + j, c_row, width - j, add,
            )  # fmt: skip
        i += height


@kernel
def copy_rows(source, at, stride, rows, columns, target, target_at, target_stride):
    """Copy rows of adjacent elements, each filled up with zeros to whole vectors."""
    for i in range(rows):
        for j in range(0, columns, LANES):
            x = load_first(source, at + i * stride + j, columns - j)
            store(target, target_at + i * target_stride + j, x)


@kernel
def copy_columns(a, at, stride, rows, depth, target, target_at, panel):
    """Copy a transposed A, whose columns are adjacent, as panels of ROWS rows, `panel` elements
    from one to the next, with 16 elements from column to column. All at once, for a
    cache line of A holds numbers of several."""
    for k in range(depth):
        for i in range(0, rows, ROWS):
            to = target_at + i // ROWS * panel + k * 16
            for r in range(0, ROWS, LANES):
                store(target, to + r, load_first(a, at + i + r, rows - i - r))
        at += stride


@c_function(f"void({MATRIX}, intp, intp, {POINTER}, intp)")
def pack(b, b_at, b_row, b_col, depth, width, strips, at):
    """Copy B[depth, width] into strips of COLUMNS columns, each of depth x COLUMNS elements; the
    last one is filled up with zeros. The columns or the rows of B must be adjacent (b_col or b_row
    is 1)."""
    for j in range(0, width, COLUMNS):
        for k in range(0, depth, 1 if b_col == 1 else LANES):
            source, target = b_at + j * b_col + k * b_row, at + j * depth + k * COLUMNS
            for v in range(0, COLUMNS, LANES):
                left = width - j - v
                if b_col == 1:
                    store(strips, target + v, load_first(b, source + v, left))
                else:
                    transpose(b, source + v * b_col, b_col, left, depth - k, strips, target + v)


def packed_size(depth: int, width: int) -> int:
    """How many elements a packed B[depth, width] takes."""
    return depth * (-(-width // COLUMNS)) * COLUMNS


def whole_lines(size: int) -> int:
    """`size` float32, rounded up to cache lines, so that the next thread's begin with a line."""
    return -(-size // 16) * 16
