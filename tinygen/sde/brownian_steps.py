"""BrownianSteps: the noise of `simulate`, as a Brownian path for sdeint.

    x = simulate(drift, diffusion, x0, (0, 1), 100, seed=3)
    y = sdeint(sde, x0, [0, 1], bm=BrownianSteps((0, 1), 100, x0.shape, seed=3), dt=1 / 100)

solves the same equation twice on the same paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd.dtypes import get_default_dtype
from ..autograd.tensor import Tensor
from ..kernels.paths import noise_of_step
from ..kernels.random import words

SIMULATION_CALL = 2**63 - 2  # of Philox, that makes a key of the seed; brownian.py has another


def key_of_simulation(seed: Any) -> int:
    """The key of 64 bits of the noise: not the seed itself, or tg.randn after tg.manual_seed(seed)
    would draw the same normals."""
    if not isinstance(seed, int | np.integer):
        raise TypeError(f"seed must be a whole number, not a {type(seed).__name__}")
    return int(words((2,), int(seed) % 2**64, SIMULATION_CALL).view(np.uint64)[0])


class BrownianSteps:
    """bm(ta, tb) -> W(tb) - W(ta), a tensor of shape `size`, for times at which steps end;
    bm(ta, tb, return_U=True) -> that and U = ∫ (W(r) - W(ta)) dr, as srk has it.

    t_span, n_steps, seed: those of `simulate`. size: [paths, components of the noise].
    """

    def __init__(self, t_span: Sequence[float], n_steps: int, size: Sequence[int], *, seed: int = 0,
                 dtype: Any = None):  # fmt: skip
        self.t0, self.t1, self.n_steps = float(t_span[0]), float(t_span[1]), int(n_steps)
        self.paths, self.noise = size
        self.key, self.dtype = key_of_simulation(seed), np.dtype(dtype or get_default_dtype())

    def __call__(self, ta: Any, tb: Any, return_U: bool = False) -> Any:
        h = (self.t1 - self.t0) / self.n_steps
        W = np.zeros((self.paths, self.noise), self.dtype)
        U = np.zeros_like(W)
        for n in range(self.step_at(ta, h), self.step_at(tb, h)):
            z = noise_of_step(0, self.paths, self.key, n, self.noise, 2 * self.noise)
            w, more = z.astype(self.dtype).reshape(2, self.noise, self.paths).swapaxes(1, 2)
            w = math.sqrt(h) * w
            U += h * (W + w / 2 + math.sqrt(h / 12) * more)
            W += w
        return (Tensor(W), Tensor(U)) if return_U else Tensor(W)

    def step_at(self, t: Any, h: float) -> int:
        """The number of the step that begins at t."""
        n = (float(t) - self.t0) / h
        if not -0.5 < n < self.n_steps + 0.5 or abs(n - round(n)) > 1e-6 * max(1, self.n_steps):
            raise ValueError(
                f"this Brownian path is known at the ends of {self.n_steps} steps from "
                f"{self.t0:g} to {self.t1:g} alone, and t = {float(t):.8g} is none of them: give "
                f"sdeint dt={h:.8g}"
            )
        return round(n)
