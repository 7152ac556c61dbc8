"""Pictures in the plane: densities, fields of arrows, points, and the ways that points take."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.dtypes import get_default_dtype
from ..autograd.grad_mode import no_grad
from ..autograd.tensor import Tensor
from .figures import COLOURS, GREY, axes_of, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = tuple[float, float, float, float]  # left, right, bottom, top
SQUARE: Bounds = (-3.0, 3.0, -3.0, 3.0)


def density(
    log_prob: Callable[[Tensor], Tensor],
    bounds: Bounds = SQUARE,
    *,
    resolution: int = 150,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """exp(log_prob) as shades of blue. log_prob takes points [n, 2] and returns [n], in nats."""
    figure, axes = axes_of(axes, size=(4.4, 4.4))
    points, shape = grid(bounds, resolution)
    values = np.exp(in_pieces(log_prob, points)).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError("density: log_prob gave values whose exp is not finite")
    axes.imshow(
        values, origin="lower", extent=bounds, cmap="Blues", vmin=0, interpolation="bilinear"
    )
    return _framed(figure, axes, bounds, title)


def score_field(
    score: Callable[[Tensor], Tensor],
    bounds: Bounds = SQUARE,
    *,
    arrows: int = 20,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """A field of vectors, such as the gradient of log_prob: points [n, 2] to vectors [n, 2].

    Far outside scores grow without limit. So an arrow's length is |v| / (|v| + median |v|) of the
    space between two arrows; its colour gets darker with |v| itself.
    """
    figure, axes = axes_of(axes, size=(4.4, 4.4))
    points, _ = grid(bounds, arrows)
    vectors = in_pieces(score, points)
    lengths = np.linalg.norm(vectors, axis=-1)
    space = (bounds[1] - bounds[0]) / arrows
    drawn = space * vectors / (lengths + np.median(lengths) + 1e-12)[:, None]
    axes.quiver(*points.T, *drawn.T, np.log(lengths + 1e-12), cmap="viridis_r", angles="xy",
                scale_units="xy", scale=1, width=0.004)  # fmt: skip
    return _framed(figure, axes, bounds, title)


def scatter(
    points: Any,
    bounds: Bounds | None = None,
    *,
    colour: str = COLOURS[0],
    size: float = 3.0,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Points [n, 2]; by default the bounds are theirs."""
    figure, axes = axes_of(axes, size=(4.4, 4.4))
    points = planar(points, "[n, 2]", 2)
    axes.scatter(*points.T, s=size, color=colour, linewidths=0, alpha=0.6)
    return _framed(figure, axes, bounds or around(points), title)


def trajectories(
    paths: Any,
    bounds: Bounds | None = None,
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """The ways of points, paths [T, n, 2]: from grey dots along thin lines to blue ones."""
    figure, axes = axes_of(axes, size=(4.4, 4.4))
    paths = planar(paths, "[T, n, 2]", 3)
    axes.plot(paths[..., 0], paths[..., 1], color=COLOURS[0], linewidth=0.6, alpha=0.35)
    axes.scatter(*paths[0].T, s=5, color=GREY, linewidths=0, zorder=2, label="start")
    axes.scatter(*paths[-1].T, s=7, color=COLOURS[0], linewidths=0, zorder=3, label="end")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    return _framed(figure, axes, bounds or around(paths), title)


# ---- Points and bounds ---------------------------------------------------------------------------


def grid(bounds: Bounds, resolution: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Centres of the cells of a grid over the bounds: ([rows · columns, 2], (rows, columns)).

    `resolution` cells from left to right; about square ones.
    """
    left, right, bottom, top = bounds
    rows = max(1, round(resolution * (top - bottom) / (right - left)))
    x = left + (np.arange(resolution) + 0.5) * (right - left) / resolution
    y = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2), (rows, resolution)


@no_grad()
def in_pieces(function: Callable[[Tensor], Tensor], points: np.ndarray, size: int = 4096):
    """function(points) [n, …], of so many points at a time, in the default dtype."""
    points = points.astype(get_default_dtype())
    pieces = [function(Tensor(points[i : i + size])) for i in range(0, len(points), size)]
    return np.concatenate([to_array(piece) for piece in pieces]).astype(np.float64)


def planar(points: Any, expected: str, ndim: int) -> np.ndarray:
    """The array of points in the plane, if it is one."""
    points = to_array(points)
    if points.ndim != ndim or points.shape[-1] != 2 or points.size == 0:
        raise ValueError(f"expected points of the plane {expected}, got shape {points.shape}")
    return points


def around(points: np.ndarray) -> Bounds:
    """A square that holds all points [..., 2] that are finite, with some margin."""
    flat = points.reshape(-1, 2)
    flat = flat[np.isfinite(flat).all(-1)]
    if len(flat) == 0:
        return SQUARE
    low, high = flat.min(0), flat.max(0)
    half = 0.55 * (high - low).max() or 1.0
    (x, y) = (low + high) / 2
    return (x - half, x + half, y - half, y + half)


def _framed(figure: Figure, axes: Axes, bounds: Bounds, title: str) -> Figure:
    left, right, bottom, top = bounds
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    return figure
