"""Many independent paths of a stochastic equation: every step of every path in one parallel loop.

Paths are taken in units of 64, whose states [dim, 64] stay in the first-level cache while all steps
are taken one after the other:

    for each unit of paths                              on all threads
        for n in range(steps)
            the normals z of step n                     [rows, 64], by Philox, 16 steps at once
            advance(x, z, table, n, args)               x becomes the state after the step

`advance`, and for gradients `pull`, its transpose, are given when a template is filled in: they are
loops over the 64 paths, written for one equation and one method by tinygen.sde.programs. `table`
[steps, columns] has the numbers that a step needs and that are the same on all paths.

The normals of step n are those of `random.normal((paths,), key, call)`: path i has the same ones,
however many paths there are and whoever computes it. Increments of component c of the noise have
the call 2 (n noise + c); the odd call after it is for the second normal of methods that need one.
"""

import functools
import hashlib
from typing import Any

import numpy as np

from tinygen.kernels.jit import ENABLED, c_function, kernel, prange, threads_for
from tinygen.kernels.philox import philox
from tinygen.kernels.pointwise import filled_in
from tinygen.kernels.random import BLOCKS, GROUP, normal, signed

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels import simd, vector_math
    from tinygen.kernels.random import normals
    from tinygen.kernels.simd import LANES, broadcast, broadcast_int, counting_from, store

UNIT = GROUP  # paths: the four words of 16 blocks of Philox are one normal for each
BATCH = 16  # steps, whose normals are drawn together
PARALLEL = 16_384  # normals, from which on two threads are quicker than one

advance: Any = None  # named when a template is filled in
pull: Any = None


# ---- Templates -----------------------------------------------------------------------------------


def run(x, saved, table, key, first, noise, rows, every, args, threads):
    """Steps from x [dim, paths] on; every so many of them the state goes to saved […, dim, paths].

    first: which unit of the whole the paths begin with. The rows of z belong to `noise` components.
    """
    units = x.shape[1] // UNIT
    for t in prange(threads):
        for unit in range(t * units // threads, (t + 1) * units // threads):
            run_unit(unit, x, saved, table, key, first, noise, rows, every, args)


def run_part(unit, x, saved, table, key, first, noise, rows, every, args):
    begin, end = unit * UNIT, (unit + 1) * UNIT
    state, z = x[:, begin:end].copy(), np.empty((BATCH, rows, UNIT), np.float32)
    for save in range(saved.shape[0]):
        n, stop = save * every, (save + 1) * every
        while n < stop:
            count = min(BATCH, stop - n)
            draw(z.ctypes, key, first + unit, n, count, noise, rows)
            for k in range(count):
                advance(state, z[k], table, n + k, args)
            n += count
        saved[save, :, begin:end] = state


def sweep(x, given, table, back, key, first, noise, rows, every, segment, found, sums, threads):
    """The way back: from the cotangents of the saved states, `given`, to those of x, `found`, and
    of the parameters, `sums` [units, parameters], one row for each unit of paths.

    Of the states on the way there nothing is kept: a unit's are computed again, once to mark that
    at the beginning of every segment, and a second time within it, from the last segment back.
    back: the table of `pull`.
    """
    units = x.shape[1] // UNIT
    for t in prange(threads):
        for unit in range(t * units // threads, (t + 1) * units // threads):
            sweep_unit(unit, x, given, table, back, key, first, noise, rows, every, segment, found,
                       sums)  # fmt: skip


def sweep_part(
    unit, x, given, table, back, key, first, noise, rows, every, segment, found, sums
):  # fmt: skip
    begin, end, steps = unit * UNIT, (unit + 1) * UNIT, table.shape[0]
    marks = np.empty(((steps + segment - 1) // segment, x.shape[0], UNIT), x.dtype)
    states = np.empty((segment, x.shape[0], UNIT), x.dtype)
    z = np.empty((segment, rows, UNIT), np.float32)
    state = x[:, begin:end].copy()
    for mark in range(marks.shape[0]):
        marks[mark] = state
        start, count = mark * segment, min(segment, steps - mark * segment)
        draw(z.ctypes, key, first + unit, start, count, noise, rows)
        for k in range(count):
            advance(state, z[k], table, start + k, ())
    g, p = np.zeros((x.shape[0], UNIT), x.dtype), np.zeros((sums.shape[1], UNIT), x.dtype)
    for mark in range(marks.shape[0] - 1, -1, -1):
        start, count = mark * segment, min(segment, steps - mark * segment)
        state[:] = marks[mark]
        draw(z.ctypes, key, first + unit, start, count, noise, rows)
        for k in range(count):
            states[k] = state
            advance(state, z[k], table, start + k, ())
        for k in range(count - 1, -1, -1):
            if (start + k + 1) % every == 0:
                g += given[(start + k + 1) // every - 1, :, begin:end]
            pull(states[k], z[k], g, p, back, start + k)
    found[:, begin:end] = g
    for j in range(sums.shape[1]):
        total = 0.0
        for i in range(UNIT):
            total += p[j, i]
        sums[unit, j] = total


@c_function("void(CPointer(float32), int64, int64, int64, int64, int64, int64)")
def draw(z, key, unit, start, count, noise, rows):
    """The normals of `count` steps from number `start` on, for a unit of paths: z [count, rows, 64]
    with rows = kinds * noise. Several steps at once, as Philox's keys are then found once."""
    c1 = broadcast_int((unit * BLOCKS) >> 32)
    for row in range(rows):
        kind, component = divmod(row, noise)
        for block in range(0, BLOCKS, LANES):
            c0 = counting_from(unit * BLOCKS + block)
            for k in range(count):
                call = 2 * ((start + k) * noise + component) + kind
                call0, call1 = broadcast_int(call), broadcast_int(call >> 32)
                a, b, c, d = philox(key, key >> 32, c0, c1, call0, call1)
                (a, b), (c, d) = normals(a, b), normals(c, d)
                i = (k * rows + row) * UNIT + block
                store(z, i, a)
                store(z, i + BLOCKS, b)
                store(z, i + 2 * BLOCKS, c)
                store(z, i + 3 * BLOCKS, d)


run_unit: Any = None
sweep_unit: Any = None


# ---- Compiling what is written for an equation ---------------------------------------------------


@kernel
def choose(condition, x, y):
    return x if condition else y


@kernel
def larger(x, y):
    return x if x >= y or x != x else y


@kernel
def smaller(x, y):
    return x if x <= y or x != x else y


@kernel
def itself(x):
    return x


def functions_of(dtype: np.dtype) -> dict[str, Any]:
    """What the functions in a source mean: those of vectors of float32, or of single float64."""
    common = {"inf": np.inf, "nan": np.nan}
    if dtype == np.float64:
        known = {name: getattr(np, name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")}
        return common | known | {"abs": np.abs, "maximum": larger, "minimum": smaller,
                                 "where": choose, "lanes": itself}  # fmt: skip
    names = ("exp", "sqrt", "tanh", "maximum", "minimum", "where", "load", "store", "LANES")
    known = {name: getattr(simd, name) for name in names}
    return common | known | {"abs": vector_math.abs, "log": vector_math.log_of_any,
                             "sin": vector_math.sin, "cos": vector_math.cos,
                             "lanes": broadcast}  # fmt: skip


@functools.lru_cache(64)
def kernels_of(
    advance_source: str, pull_source: str | None, dtype: np.dtype, parallel: bool
) -> Any:
    """`run`, or, with `pull`, `sweep`, for sources that define `advance` and `pull`.

    parallel: safe_threads(), and not whether there are several: the kernel without threads rounds
    some products and sums once where the other does twice.
    """
    space = functions_of(dtype)
    exec(advance_source + (pull_source or ""), space)
    text = f"{advance_source}{pull_source}{dtype}"
    name = hashlib.sha256(text.encode()).hexdigest()[:16] + "_parallel" * parallel
    # By a name of its own, too: on disk, functions of the same name and types may get the same
    # symbol, and of two such the linker takes the one that it saw first, for both.
    own = lambda function: kernel(filled_in(space[function], f"{function}_{name}"))
    parts = {"advance": own("advance")}
    if pull_source is None:
        part = kernel(filled_in(run_part, f"run_part_{name}", **parts))
        whole = filled_in(run, f"run_{name}", run_unit=part)
    else:
        parts["pull"] = own("pull")
        part = kernel(filled_in(sweep_part, f"sweep_part_{name}", **parts))
        whole = filled_in(sweep, f"sweep_{name}", sweep_unit=part)
    return kernel(whole, parallel=parallel, calls=[draw])


def threads_of(x: np.ndarray, steps: int, rows: int) -> int:
    return threads_for(x.shape[1] * steps * rows, PARALLEL)


def padded(x: np.ndarray) -> np.ndarray:
    """x [..., paths] with the last path repeated, so that all units are full."""
    missing = -x.shape[-1] % UNIT
    return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)], mode="edge")


def noise_of_step(first: int, paths: int, key: int, n: int, noise: int, rows: int) -> np.ndarray:
    """[rows, paths]: the normals that `draw` makes for paths from number `first` on."""
    calls = [2 * (n * noise + row % noise) + row // noise for row in range(rows)]
    return np.stack([normal((first + paths,), key, call)[first:] for call in calls])


__all__ = ["UNIT", "kernels_of", "noise_of_step", "padded", "signed", "threads_of"]
