"""CalledRun: drift and diffusion that ask what x is, such as `if x[0] > 0`, compiled as they stand.

Numba compiles them as they are written, and the loop over steps and paths (kernels/paths.py) calls
them for one path after the other. That is slower than a traced equation by an order of magnitude,
as nothing is computed for several paths at once, and has no gradients. Without Numba, Python calls
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..kernels.jit import ENABLED, safe_threads
from ..kernels.path_calls import calls_of, compiled, step_by_calls
from ..kernels.paths import UNIT, noise_of_step, padded, signed, threads_of
from .runs import Grid
from .traced import check_diffusion, check_drift

CALLED = ("euler", "heun")


class CalledRun:
    """reason: why the functions could not be traced."""

    def __init__(self, drift: Callable, diffusion: Callable, method: str, args: tuple,
                 x: np.ndarray, grid: Grid, key: int, reason: str):  # fmt: skip
        if method not in CALLED:
            raise ValueError(
                f"{method} needs formulas of x, and this drift and diffusion are none, as "
                f"{reason}: take {' or '.join(CALLED)}, or write np.where instead of if"
            )
        self.functions, self.heun, self.key = (drift, diffusion), method == "heun", key
        self.dtype, self.args = x.dtype, tuple(plain(a, x.dtype) for a in args)
        first = np.ascontiguousarray(x[:, 0])
        found = [np.asarray(call(f, grid.t0, first, self.args), x.dtype) for f in self.functions]
        check_drift(found[0].shape, len(x))
        check_diffusion(found[1].shape, len(x))
        self.noise = found[1].shape[1] if found[1].ndim == 2 else len(x)
        if ENABLED:
            self.functions = tuple(
                compiled(f, name, first, self.args)
                for f, name in zip(self.functions, ("drift", "diffusion"))
            )

    def forward(self, x: np.ndarray, grid: Grid, first: int = 0) -> np.ndarray:
        """See TracedRun.forward."""
        (drift, diffusion), paths, h = self.functions, x.shape[1], grid.h
        table = np.stack([grid.starts, np.full(grid.steps, h), np.full(grid.steps, h**0.5)], 1)
        x = padded(x) if ENABLED else x.copy()
        saved = np.empty((grid.steps // grid.every, *x.shape), self.dtype)
        if ENABLED:
            threads = threads_of(x, grid.steps, self.noise)
            kernel = calls_of(drift, diffusion, self.heun, safe_threads())
            kernel(x, saved, table, signed(self.key), first, self.noise, self.noise, grid.every,
                   self.args, threads)  # fmt: skip
            return saved[:, :, :paths]
        for n in range(grid.steps):
            z = noise_of_step(UNIT * first, paths, self.key, n, self.noise, self.noise)
            z = z.astype(self.dtype)
            step_by_calls(drift, diffusion, self.heun, x, z, table[n], self.args)
            if (n + 1) % grid.every == 0:
                saved[(n + 1) // grid.every - 1] = x
        return saved


def plain(a: Any, dtype: np.dtype) -> Any:
    """An argument as Numba takes it."""
    a = a.array if isinstance(a, Tensor) else a
    if isinstance(a, np.ndarray):
        return np.ascontiguousarray(a, dtype if a.dtype.kind == "f" else None)
    return a


def call(function: Callable, t: float, x: np.ndarray, args: tuple) -> Any:
    return getattr(function, "py_func", function)(t, x.copy(), *args)
