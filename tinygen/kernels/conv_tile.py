"""The register tiles under `conv`: products with windows that are read where they lie.

Convolution multiplies filters with windows: number p of the row of a channel and a tap is
x[start + p], where `start` depends on channel and tap alone (see `conv`). A row is as good as
packed, for its numbers are neighbours; only where the next row begins must be looked up. Two tiles
read such rows, and each keeps its results in registers:

    slide      y[f, p]  = sum over taps k of    w[f, k] x[start[k] + p]      filters x places
    correlate  dw[f, k] = sum over n, p of  dy[n, f, p] x[n, start[k] + p]   filters x taps

The first is the tile of `matmul` with a table in place of a stride. In the second the lanes of a
vector are places, which are summed up last: so neither dy nor the windows need be transposed.
"""

from tinygen.kernels import simd
from tinygen.kernels.jit import c_function
from tinygen.kernels.simd import LANES, load, store
from tinygen.kernels.tile import COLUMNS, HEIGHTS, POINTER, from_source, transpose

STARTS = "CPointer(int64)"  # where the row of each channel and tap begins
# Sizes of the tile of `correlate`: 24 vectors of dw, 4 of dy and 1 of x are 29 of 32 registers.
FILTERS = (4, 1) if LANES == 16 else (2, 1)
TAPS = (6, 3, 1)
PANEL = min(HEIGHTS[0], LANES)  # filters of a panel

SLID = "w, w_at, x, x_at, starts, tap, taps, y, y_at, y_row"
CORRELATED = (
    "x, x_at, x_step, starts, tap, dy, dy_at, dy_step, dy_row, examples, places, dw, dw_at, dw_row"
)

# ---- Source text, so that each vector is a variable, and so a register ---------------------------


def slide_source(rows: int) -> str:
    """The function that computes a tile of so many filters. For one, on 16 lanes, it reads

    def slide1(w, w_at, x, x_at, starts, tap, taps, y, y_at, y_row):
        c00 = broadcast(0.0)
        c01 = broadcast(0.0)
        for k in range(tap, tap + taps):
            at = x_at + starts[k]
            b0 = load(x, at + 0)
            b1 = load(x, at + 16)
            a = load_same(w, w_at + 0)
            c00 = fma(a, b0, c00)
            c01 = fma(a, b1, c01)
            w_at += 16
        store(y, y_at + 0 * y_row + 0, c00)
        store(y, y_at + 0 * y_row + 16, c01)
    """
    vectors = range(COLUMNS // LANES)
    cells = [(i, j) for i in range(rows) for j in vectors]
    lines = [f"def slide{rows}({SLID}):"]
    lines += [f"    c{i}{j} = broadcast(0.0)" for i, j in cells]
    lines += ["    for k in range(tap, tap + taps):", "        at = x_at + starts[k]"]
    lines += [f"        b{j} = load(x, at + {LANES * j})" for j in vectors]
    for i in range(rows):
        lines += [f"        a = load_same(w, w_at + {i})"]
        lines += [f"        c{i}{j} = fma(a, b{j}, c{i}{j})" for j in vectors]
    lines += [f"        w_at += {LANES}"]
    lines += [f"    store(y, y_at + {i} * y_row + {LANES * j}, c{i}{j})" for i, j in cells]
    return "\n".join(lines)


def correlate_source(filters: int, taps: int) -> str:
    """The function that computes a tile of so many filters and taps. For one of each it reads

    def correlate1x1(x, x_at, x_step, starts, tap, dy, dy_at, dy_step, dy_row, examples, places,
                     dw, dw_at, dw_row):
        start0 = starts[tap + 0]
        c00 = broadcast(0.0)
        for n in range(examples):
            for p in range(0, places, 16):
                d0 = load(dy, dy_at + 0 * dy_row + p)
                v = load(x, x_at + start0 + p)
                c00 = fma(d0, v, c00)
            x_at += x_step
            dy_at += dy_step
        dw[dw_at + 0 * dw_row + 0] += sum_lanes(c00)
    """
    cells = [(f, k) for f in range(filters) for k in range(taps)]
    lines = [f"def correlate{filters}x{taps}({CORRELATED}):"]
    lines += [f"    start{k} = starts[tap + {k}]" for k in range(taps)]
    lines += [f"    c{f}{k} = broadcast(0.0)" for f, k in cells]
    lines += ["    for n in range(examples):", f"        for p in range(0, places, {LANES}):"]
    lines += [f"            d{f} = load(dy, dy_at + {f} * dy_row + p)" for f in range(filters)]
    for k in range(taps):
        lines += [f"            v = load(x, x_at + start{k} + p)"]
        lines += [f"            c{f}{k} = fma(d{f}, v, c{f}{k})" for f in range(filters)]
    lines += ["        x_at += x_step", "        dy_at += dy_step"]
    lines += [f"    dw[dw_at + {f} * dw_row + {k}] += sum_lanes(c{f}{k})" for f, k in cells]
    return "\n".join(lines)


def choice_source(name: str, arguments: str, choices: dict[str, str]) -> str:
    """The function `name`, which calls the first function whose condition holds."""
    lines = [f"def {name}({arguments}):"]
    lines += [f"    if {condition}:\n        {f}" for f, condition in choices.items()]
    return "\n".join(lines)


SIZES = [(f, k) for f in FILTERS for k in TAPS]

tiles = {f"slide{r}": from_source(f"slide{r}", slide_source(r), vars(simd)) for r in HEIGHTS}
tiles |= {
    f"correlate{f}x{k}": from_source(f"correlate{f}x{k}", correlate_source(f, k), vars(simd))
    for f, k in SIZES
}
slide_tile = from_source(
    "slide_tile",
    choice_source("slide_tile", f"rows, {SLID}",
                  {f"slide{r}({SLID})": f"rows == {r}" for r in HEIGHTS}),
    tiles,
)  # fmt: skip
correlate_tile = from_source(
    "correlate_tile",
    choice_source("correlate_tile", f"filters, taps, {CORRELATED}",
                  {f"correlate{f}x{k}({CORRELATED})": f"filters == {f} and taps == {k}"
                   for f, k in SIZES}),
    tiles,
)  # fmt: skip


# ---- What `conv` calls ---------------------------------------------------------------------------


@c_function(f"void({POINTER}, intp, intp, intp, intp, intp, intp, {STARTS}, {POINTER}, intp, intp)")
def pack_panel(w, w_at, row_step, rows, block, block_step, blocks, order, memory, at, spare):
    """Some filters as a panel, in which each number of a filter is followed by that of the next.
    In w, a filter has `block` numbers in a row, and `block_step` further on as many more; number i
    of all becomes row order[i] of the panel, of LANES numbers, or none if that is negative."""
    for i in range(blocks):
        for k in range(0, block, LANES):
            source, left = w_at + i * block_step + k, min(block - k, LANES)
            transpose(w, source, row_step, rows, left, memory, spare)
            for r in range(left):
                row = order[i * block + k + r]
                if row >= 0:
                    store(memory, at + row * LANES, load(memory, spare + r * COLUMNS))


@c_function(
    f"void(intp, {POINTER}, intp, intp, {POINTER}, intp, {STARTS}, intp, intp, intp, {POINTER},"
    " intp, intp)"
)
def slide(filters, w, w_at, panel, x, x_at, starts, tap, taps, places, y, y_at, y_row):
    """y[filters, places] for `taps` taps from number `tap` on, of which the first panel's are at
    w_at, the next panel's `panel` further on. The rows of y have room for whole tiles."""
    for j in range(0, places, COLUMNS):
        i = 0
        while i < filters:
            height = HEIGHTS[0]
            for lower in HEIGHTS:
                if height > min(filters - i, PANEL - i % PANEL):
                    height = lower
            w_from = w_at + i // PANEL * panel + i % PANEL
            slide_tile(height, w, w_from, x, x_at + j, starts, tap, taps, y, y_at + i * y_row + j,
                       y_row)  # fmt: skip
            i += height


@c_function(
    f"void(intp, intp, {POINTER}, intp, intp, {STARTS}, intp, {POINTER}, intp, intp, intp, intp,"
    f" intp, {POINTER}, intp, intp)"
)
def correlate(
    filters, taps, x, x_at, x_step, starts, tap, dy, dy_at, dy_step, dy_row, examples, places,
    dw, dw_at, dw_row,
):  # fmt: skip
    """dw[filters, taps] += its sum over examples and places, for taps from number `tap` on. The
    places are filled up with zeros in dy to whole vectors."""
    f = 0
    while f < filters:
        high = FILTERS[0] if filters - f >= FILTERS[0] else 1
        k = 0
        while k < taps:
            wide = TAPS[0]
            for narrower in TAPS:
                if wide > taps - k:
                    wide = narrower
            correlate_tile(
                high, wide, x, x_at, x_step, starts, tap + k, dy, dy_at + f * dy_row, dy_step,
                dy_row, examples, places, dw, dw_at + f * dw_row + k, dw_row,
            )  # fmt: skip
            k += wide
        f += high
