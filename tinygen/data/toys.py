"""Two-dimensional densities that are easy to look at and hard to fit.

Each function draws n independent points [n, 2] of the default float type. `noise` is a standard
deviation; of what, each function says.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..autograd.dtypes import get_default_dtype
from ..autograd.random import Generator, rng_of
from ..autograd.tensor import Tensor

__all__ = [
    "TOYS", "checkerboard", "eight_gaussians", "gaussian_grid", "gaussian_grid_modes",
    "nine_gaussians", "pinwheel", "ring", "spirals", "swiss_roll", "two_moons",
]  # fmt: skip


def _begin(n: int, noise: float, generator: Generator | None) -> np.random.Generator:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise ValueError(f"n is how many points to draw, a whole number from 0 on; got {n!r}")
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is a standard deviation, finite and from 0 on; got {noise}")
    return rng_of(generator)


def _points(x: np.ndarray, y: np.ndarray, noise: float, rng: np.random.Generator) -> Tensor:
    """The points (x, y), each coordinate with independent normal noise."""
    points = np.stack([x, y], 1)
    return Tensor((points + noise * rng.standard_normal(points.shape)).astype(get_default_dtype()))


def _on_circle(radius: float | np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return radius * np.cos(angle), radius * np.sin(angle)


def two_moons(n: int, *, noise: float = 0.1, generator: Generator | None = None) -> Tensor:
    """Two half circles of radius 1 that reach into each other, around (0, 0) and (1, 0.5).

    Those of scikit-learn's make_moons. `noise` of each coordinate.
    """
    rng = _begin(n, noise, generator)
    x, y = _on_circle(1.0, rng.uniform(0, math.pi, n))
    lower = rng.random(n) < 0.5
    return _points(np.where(lower, 1 - x, x), np.where(lower, 0.5 - y, y), noise, rng)


def ring(
    n: int, *, noise: float = 0.1, generator: Generator | None = None, radius: float = 2.0
) -> Tensor:
    """A circle around 0. `noise` of the radius: the distance from 0 is |N(radius, noise²)|."""
    rng = _begin(n, noise, generator)
    distance = radius + noise * rng.standard_normal(n)
    return _points(*_on_circle(distance, rng.uniform(0, 2 * math.pi, n)), 0.0, rng)


def eight_gaussians(
    n: int, *, noise: float = 0.1, generator: Generator | None = None, radius: float = 2.0
) -> Tensor:
    """Eight normals, evenly spaced on a circle around 0. `noise` of each coordinate."""
    rng = _begin(n, noise, generator)
    angle = rng.integers(8, size=n) * (math.pi / 4)
    return _points(*_on_circle(radius, angle), noise, rng)


def gaussian_grid_modes(side: int = 5, spacing: float = 2.0) -> Tensor:
    """The means [side², 2] of `gaussian_grid`, row after row, centred on 0."""
    if side < 1:
        raise ValueError(f"a grid has at least 1 mode on a side, got {side=}")
    line = (np.arange(side) - (side - 1) / 2) * spacing
    x, y = np.meshgrid(line, line)
    return Tensor(np.stack([x.ravel(), y.ravel()], 1).astype(get_default_dtype()))


def gaussian_grid(
    n: int,
    *,
    noise: float = 0.05,
    generator: Generator | None = None,
    side: int = 5,
    spacing: float = 2.0,
) -> Tensor:
    """Normals on a grid, by default 25, all equally likely. `noise` of each coordinate.

    The test of mode collapse of Srivastava et al. 2017, "VEEGAN".
    """
    rng = _begin(n, noise, generator)
    modes = gaussian_grid_modes(side, spacing).array
    x, y = modes[rng.integers(len(modes), size=n)].T
    return _points(x, y, noise, rng)


def nine_gaussians(n: int, *, noise: float = 0.1, generator: Generator | None = None) -> Tensor:
    """A grid of 3 x 3 normals, at a distance of 2. `noise` of each coordinate."""
    return gaussian_grid(n, noise=noise, generator=generator, side=3)


def spirals(n: int, *, noise: float = 0.1, generator: Generator | None = None) -> Tensor:
    """Two arms that wind one and a half times around 0, out to radius π.

    The 2spirals of Grathwohl et al. 2019, "FFJORD". `noise` of each coordinate.
    """
    rng = _begin(n, noise, generator)
    angle = 3 * math.pi * np.sqrt(rng.random(n))  # the root: denser outside, where an arm is longer
    arm = rng.choice([-1.0, 1.0], n)
    return _points(*_on_circle(arm * angle / 3, math.pi - angle), noise, rng)


def checkerboard(n: int, *, noise: float = 0.0, generator: Generator | None = None) -> Tensor:
    """Uniform on every second of the 16 squares of [-4, 4]²: those whose corners nearest to
    (-4, -4) have an even number of sides between them. `noise` of each coordinate."""
    rng = _begin(n, noise, generator)
    column = rng.integers(4, size=n)
    row = 2 * rng.integers(2, size=n) + column % 2
    x, y = 2.0 * np.stack([column, row]) - 4 + rng.uniform(0, 2, (2, n))
    return _points(x, y, noise, rng)


def swiss_roll(n: int, *, noise: float = 0.1, generator: Generator | None = None) -> Tensor:
    """One arm that winds one and a half times around 0, from radius 0.94 to 2.83.

    scikit-learn's make_swiss_roll seen from its side, a fifth as large. `noise` of each coordinate.
    """
    rng = _begin(n, noise, generator)
    angle = 1.5 * math.pi * (1 + 2 * rng.random(n))
    return _points(*_on_circle(angle / 5, angle), noise, rng)


def pinwheel(
    n: int, *, noise: float = 0.1, generator: Generator | None = None, blades: int = 5
) -> Tensor:
    """Bent blades around 0. `noise` across a blade; along it the deviation is three times as large.

    Johnson et al. 2016, "Composing graphical models with neural networks", section 2, doubled.
    """
    rng = _begin(n, noise, generator)
    along = 1 + 3 * noise * rng.standard_normal(n)
    across = noise * rng.standard_normal(n)
    turn = rng.integers(blades, size=n) * (2 * math.pi / blades) + 0.25 * np.exp(along)
    x = 2 * (along * np.cos(turn) - across * np.sin(turn))
    y = 2 * (along * np.sin(turn) + across * np.cos(turn))
    return _points(x, y, 0.0, rng)


TOYS: dict[str, Callable[..., Tensor]] = {
    toy.__name__: toy
    for toy in (
        two_moons, ring, eight_gaussians, gaussian_grid, nine_gaussians, spirals, checkerboard,
        swiss_roll, pinwheel,
    )
}  # fmt: skip
