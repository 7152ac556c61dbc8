"""Steps of paths whose drift and diffusion are called as they are, one path after the other.

For functions that ask what x is, such as `if x[0] > 0`. Numba compiles them as they are written,
and the loop of paths.py calls them; without Numba, Python does.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, link
from tinygen.kernels.paths import draw, run, run_part
from tinygen.kernels.pointwise import filled_in


def step_by_calls(drift, diffusion, heun, x, z, row, args):
    """The states x [dim, paths] after a step of Euler–Maruyama, or of Heun's method for
    Stratonovich, of each path by itself. row: t, h and the root of h."""
    t, h, root = row[0], row[1], row[2]
    for i in range(x.shape[1]):
        before = x[:, i].copy()
        W = root * z[:, i].astype(x.dtype)
        move = of_drift(drift(t, before.copy(), *args), before) * h
        move += of_noise(diffusion(t, before.copy(), *args), W, before)
        if heun:
            after = (before + move).astype(x.dtype)
            more = of_drift(drift(t + h, after.copy(), *args), before) * h
            more += of_noise(diffusion(t + h, after, *args), W, before)
            move = (move + more) / 2
        x[:, i] = before + move


def of_drift(found, x):
    """What drift returned, as an array [dim]."""
    return np.zeros(x.shape[0]) + np.asarray(found)


def of_noise(found, W, x):
    """What diffusion returned, an array of any of its shapes, times the increment W."""
    return np.zeros(x.shape[0]) + product(np.asarray(found), W)


@kernel
def product(g, W):
    if g.ndim == 2:  # each case is compiled by itself
        return (g * W).sum(1)
    return g * W


if ENABLED:
    of_drift, of_noise = kernel(of_drift), kernel(of_noise)


@functools.lru_cache(64)
def calls_of(drift: Any, diffusion: Any, heun: bool, parallel: bool) -> Any:
    """`run` for functions that Numba has compiled. It is not kept on disk: nobody could tell there
    whether they have changed."""
    import numba

    link(draw)
    compile = functools.partial(numba.njit, error_model="numpy")
    step = compile(step_by_calls)

    @compile
    def advance(x, z, table, n, args):
        step(drift, diffusion, heun, x, z, table[n], args)

    inner = compile(filled_in(run_part, "run_part_by_calls", advance=advance))
    return compile(filled_in(run, "run_by_calls", run_unit=inner), parallel=parallel)


@functools.lru_cache(64)
def dispatcher(function: Callable) -> Any:
    import numba

    return function if hasattr(function, "py_func") else numba.njit(error_model="numpy")(function)


def compiled(function: Callable, name: str, x: np.ndarray, args: tuple) -> Any:
    """The function of (t, x, *args) as Numba compiles it. Raises TypeError if it cannot."""
    from numba.core.errors import NumbaError

    found = dispatcher(function)
    try:
        found(0.0, x.copy(), *args)
    except (NumbaError, TypeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise TypeError(
            f"Numba cannot compile this {name}, nor is it a formula that can be traced: "
            f"{' '.join(lines[:3])[:300]} … Write it as a function of (t, x, *args) with numbers, "
            "arrays, and functions of NumPy and math, of which Numba's documentation has a list; "
            "or take sdeint, for tensors"
        ) from error
    return found
