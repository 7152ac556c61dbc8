"""How a matrix product climbs to what a core can do: from three loops to a register tile.

    python benchmarks/climb.py

Each function below computes the same C = A B of two 896 × 896 matrices of float32 on one thread,
and adds one idea to the one before; what each idea is worth is printed in GFLOP/s, between a naive
loop and the ceiling: a loop of nothing but fused multiply-adds of registers. The size is a multiple
of every tile, so that no step here has to look after a last, smaller one: see kernels/matmul.py.
"""

import time
from typing import Any

import numpy as np
from numba import njit

import tinygen as tg
from tinygen.kernels.jit import kernel
from tinygen.kernels.matmul import matmul
from tinygen.kernels.simd import LANES, broadcast, fma, load, load_same, store
from tinygen.kernels.tile import COLUMNS, ROWS, multiply, pack

ENGINES = ("tinygen",)
SIZE = 896
DEPTH, WIDTH = 256, 448  # of a block of B: 448 KB, for the L2 cache
SECONDS = 0.5  # for which each step is timed


@njit
def naive(a, b, c):
    """C[i, j] is the dot product of a row of A and a column of B: each number of the column comes
    from another line of memory, and one sum has to wait for the one before."""
    for i in range(SIZE):
        for j in range(SIZE):
            total = np.float32(0)
            for k in range(SIZE):
                total += a[i, k] * b[k, j]
            c[i, j] = total


@njit
def in_rows(a, b, c):
    """With j innermost, rows of B and C are read as they lie, and the compiler makes vectors of
    them. But for each multiply-add a number of C is loaded and stored."""
    c[:] = 0
    for i in range(SIZE):
        for k in range(SIZE):
            for j in range(SIZE):
                c[i, j] += a[i, k] * b[k, j]


@njit(fastmath={"contract"})
def tiled(a, b, c):
    """A block of B stays in the L2 cache while all rows of A meet it; and four steps over k at a
    time load and store C once."""
    c[:] = 0
    for left in range(0, SIZE, WIDTH):
        for top in range(0, SIZE, DEPTH):
            for i in range(SIZE):
                for k in range(top, min(SIZE, top + DEPTH), 4):
                    a0, a1, a2, a3 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
                    for j in range(left, left + WIDTH):
                        so_far = c[i, j] + a0 * b[k, j] + a1 * b[k + 1, j]
                        c[i, j] = so_far + a2 * b[k + 2, j] + a3 * b[k + 3, j]


@kernel(calls=(pack,))
def packed(a, b, c, strips):
    """The block is copied first, in strips of two vectors (`pack`): what is read one after the
    other then lies one behind the other, and two vectors of C stay in registers while k runs. But
    each multiply-add has to wait for the one before."""
    for left in range(0, SIZE, WIDTH):
        for top in range(0, SIZE, DEPTH):
            depth = min(DEPTH, SIZE - top)
            pack(b.ctypes, top * SIZE + left, SIZE, 1, depth, WIDTH, strips.ctypes, 0)
            for i in range(SIZE):
                for j in range(0, WIDTH, COLUMNS):
                    at = i * SIZE + left + j
                    c0 = load(c, at) if top else broadcast(0.0)
                    c1 = load(c, at + LANES) if top else broadcast(0.0)
                    for k in range(depth):
                        x, strip = load_same(a, i * SIZE + top + k), j * depth + k * COLUMNS
                        c0 = fma(x, load(strips, strip), c0)
                        c1 = fma(x, load(strips, strip + LANES), c1)
                    store(c, at, c0)
                    store(c, at + LANES, c1)


@kernel(calls=(multiply, pack))
def register_tile(a, b, c, strips):
    """14 rows of A meet a strip at a time (`multiply`): 28 vectors of C stay in registers, while a
    step over k loads 2 vectors of B and 14 numbers of A for 28 multiply-adds."""
    for left in range(0, SIZE, WIDTH):
        for k in range(0, SIZE, DEPTH):
            depth = min(DEPTH, SIZE - k)
            pack(b.ctypes, k * SIZE + left, SIZE, 1, depth, WIDTH, strips.ctypes, 0)
            for i in range(0, SIZE, ROWS):
                multiply(min(ROWS, SIZE - i), a.ctypes, i * SIZE + k, SIZE, 1, depth,
                         strips.ctypes, 0, depth * COLUMNS,
                         c.ctypes, i * SIZE + left, SIZE, WIDTH, k > 0)  # fmt: skip


def fma_source(chains: int) -> str:
    """A loop of so many independent fused multiply-adds, none of which reads memory."""
    names = [f"x{i}" for i in range(chains)]
    lines = ["def fused_multiply_adds(x, steps):", "    half = load(x, 0)"]
    lines += [f"    {name} = load(x, 0)" for name in names]
    lines += ["    for _ in range(steps):"]
    lines += [f"        {name} = fma({name}, half, half)" for name in names]
    lines += [f"    store(x, 0, {' + '.join(names)})"]
    return "\n".join(lines)


CHAINS = 12  # enough to hide that each takes four cycles, and to fit into 16 registers
scope: dict[str, Any] = {"load": load, "fma": fma, "store": store}
exec(fma_source(CHAINS), scope)
fused_multiply_adds = njit(scope["fused_multiply_adds"])


def steps() -> dict:
    """Each step by name: a function, and how many additions and multiplications it does."""
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, SIZE, SIZE), np.float32)
    c, strips = np.empty_like(a), np.empty(DEPTH * WIDTH, np.float32)

    def product(function, *more):
        def call():
            function(a, b, c, *more)
            return c

        return call, 2 * SIZE**3

    def ceiling():
        x = np.full(LANES, 0.5, np.float32)
        fused_multiply_adds(x, 1_000_000)

    return {
        "naive: i, j, k": product(naive),
        "in rows: i, k, j": product(in_rows),
        "tiled: blocks of B, four steps at a time": product(tiled),
        "packed: strips of B, a row of C in registers": product(packed, strips),
        "register tile: 14 rows of C in registers": product(register_tile, strips),
        "tinygen.kernels.matmul": (lambda: matmul(a, b), 2 * SIZE**3),
        "ceiling: nothing but fused multiply-adds": (ceiling, 2 * CHAINS * LANES * 1_000_000),
    }


def make(engine: str) -> dict:
    return {name: function for name, (function, _) in steps().items()}


def main() -> None:
    tg.set_num_threads(1)
    right = None
    for name, (function, operations) in steps().items():
        result = function()  # compiles it
        if result is not None:
            right = result.copy() if right is None else right
            np.testing.assert_allclose(result, right, rtol=0, atol=1e-3)
        times, end = [], time.perf_counter() + SECONDS
        while time.perf_counter() < end or len(times) < 3:
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
        print(f"{name:46s} {operations / min(times) / 1e9:7.1f} GFLOP/s", flush=True)


if __name__ == "__main__":
    main()
