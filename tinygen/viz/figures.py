"""What all pictures share: figures without a window, colours, and arrays out of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY = "#222222", "#999999"
COLOURS = ("#2066a8", "#ae282c", "#3b7a3f", "#8a5a00", "#6a3d9a")


def panels(
    columns: int = 1, rows: int = 1, size: tuple[float, float] | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes [rows, columns]; size in inches.

    It has no window: nothing depends on a display, and pyplot is left alone.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = size or (4.0 * columns, 4.0 * rows)
    figure = Figure(figsize=size, dpi=130, layout="compressed")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def axes_of(axes: Axes | None, size: tuple[float, float] | None = None) -> tuple[Figure, Axes]:
    """The figure of these axes; or a new one with a single panel."""
    if axes is None:
        figure, grid = panels(size=size)
        return figure, grid[0, 0]
    return axes.get_figure(root=True), axes  # type: ignore[return-value]


def bare(axes: Axes, *sides: str) -> None:
    """Take away the frame's sides: by default those that have no ticks."""
    for side in sides or ("top", "right"):
        axes.spines[side].set_visible(False)


def to_array(x: Any) -> np.ndarray:
    """The values of a tensor, with or without a graph, or of anything that NumPy takes."""
    return x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)
