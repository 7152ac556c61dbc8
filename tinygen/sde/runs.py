"""Runs: all steps of all paths of a traced equation, forwards, and backwards for gradients.

States are [dim, paths] here. Compiled, a kernel does it (kernels/paths.py); under TINYGEN_JIT=0
NumPy does, a step at a time, with the same noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels.jit import ENABLED, safe_threads
from ..kernels.paths import UNIT, kernels_of, noise_of_step, padded, signed, threads_of
from .expressions import Expression
from .traced import TracedEquation


@dataclass(frozen=True)
class Grid:
    """Steps of equal size from t0 to t1, of which every `every`th ends in a state that is saved."""

    t0: float
    t1: float
    steps: int
    every: int

    @property
    def h(self) -> float:
        return (self.t1 - self.t0) / self.steps

    @property
    def starts(self) -> np.ndarray:
        """The times [steps] at which steps begin."""
        return self.t0 + np.arange(self.steps) * (self.t1 - self.t0) / self.steps

    def upto(self, steps: int) -> Grid:
        """The first steps alone, of which the last state is saved."""
        return Grid(self.t0, self.t0 + steps * self.h, steps, steps)


class TracedRun:
    """values: by name, the numbers among the arguments of drift and diffusion. wanted: those that
    are to get gradients. key: of the noise."""

    def __init__(self, equation: TracedEquation, method: str, values: Mapping[str, Any],
                 wanted: Sequence[Expression], dtype: np.dtype, key: int):  # fmt: skip
        self.step, self.back = equation.programs(method, wanted)
        self.noise, self.rows, self.wanted = equation.noise, equation.rows, len(wanted)
        self.values, self.dtype, self.key = values, dtype, key

    @property
    def size(self) -> int:
        """How many operations a step has."""
        return self.step.size

    def table(self, program: Any, grid: Grid) -> np.ndarray:
        known = {"t0": grid.starts, "h0": np.float64(grid.h), **self.values}
        return program.table(known, grid.steps, self.dtype)

    def forward(self, x: np.ndarray, grid: Grid, first: int = 0) -> np.ndarray:
        """The saved states [saves, dim, paths] of paths that start in x [dim, paths] and have the
        noise of those from number 64 first on."""
        table, paths = self.table(self.step, grid), x.shape[1]
        if not ENABLED:
            return self.by_numpy(x, grid, table, first)[grid.every :: grid.every]
        x = padded(x)
        saved = np.empty((grid.steps // grid.every, *x.shape), self.dtype)
        threads = threads_of(x, grid.steps, self.rows)
        kernels_of(self.step.source(self.dtype), None, self.dtype, safe_threads())(
            x, saved, table, signed(self.key), first, self.noise, self.rows, grid.every, (), threads
        )  # fmt: skip
        return saved[:, :, :paths]

    def by_numpy(self, x: np.ndarray, grid: Grid, table: np.ndarray, first: int = 0) -> np.ndarray:
        """The states at the ends of all steps, and the first [steps + 1, dim, paths]."""
        states = np.empty((grid.steps + 1, *x.shape), self.dtype)
        states[0] = x
        for n in range(grid.steps):
            after = self.step.compute(self.row_variables(states[n], n, first), table[n])
            states[n + 1] = [after[f"x{i}"] for i in range(len(x))]
        return states

    def row_variables(self, x: np.ndarray, n: int, first: int = 0) -> dict[str, np.ndarray]:
        z = noise_of_step(UNIT * first, x.shape[1], self.key, n, self.noise, self.rows)
        rows = {f"x{i}": row for i, row in enumerate(x)}
        return rows | {f"z{i}": row for i, row in enumerate(z.astype(self.dtype))}

    # ---- The way back ----------------------------------------------------------------------------

    def backward(self, x: np.ndarray, given: np.ndarray, grid: Grid):
        """The cotangents of x [dim, paths], and of the numbers that are wanted, if the saved states
        have the cotangents `given` [saves, dim, paths]."""
        table, back = self.table(self.step, grid), self.table(self.back, grid)
        if not ENABLED:
            return self.back_by_numpy(x, given, grid, table, back)
        paths, x = x.shape[1], padded(x)
        given = np.pad(given, [(0, 0), (0, 0), (0, x.shape[1] - paths)])
        found, sums = np.empty_like(x), np.empty((x.shape[1] // UNIT, self.wanted))
        segment, threads = max(1, math.isqrt(grid.steps)), threads_of(x, grid.steps, self.rows)
        sources = self.step.source(self.dtype), self.back.source(self.dtype)
        kernels_of(*sources, self.dtype, safe_threads())(
            x, given, table, back, signed(self.key), 0, self.noise, self.rows, grid.every, segment,
            found, sums, threads,
        )  # fmt: skip
        return found[:, :paths], sums.sum(0)

    def back_by_numpy(self, x, given, grid: Grid, table, back):
        states = self.by_numpy(x, grid, table)
        g, p = np.zeros_like(x), np.zeros((self.wanted, x.shape[1]), self.dtype)
        for n in reversed(range(grid.steps)):
            if (n + 1) % grid.every == 0:
                g = g + given[(n + 1) // grid.every - 1]
            rows = self.row_variables(states[n], n)
            rows |= {f"g{i}": row for i, row in enumerate(g)}
            rows |= {f"p{i}": row for i, row in enumerate(p)}
            after = self.back.compute(rows, back[n])
            g = np.stack([after[f"g{i}"] for i in range(len(g))])
            for j in range(self.wanted):
                p[j] = after.get(f"p{j}", p[j])
        return g, p.sum(1, dtype=np.float64)
