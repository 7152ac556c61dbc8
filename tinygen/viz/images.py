"""Sheets of images: samples, and what a decoder makes of points on a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.grad_mode import no_grad
from ..autograd.tensor import Tensor
from .figures import axes_of, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Decoder = Callable[[Tensor], Tensor]  # latent points [n, latent] -> images [n, 1 or 3, H, W]


def sample_grid(
    images: Any,
    columns: int | None = None,
    *,
    row_labels: Sequence[str] = (),
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Images [N, H, W] or [N, 1 or 3, H, W], with values from 0 (black) to 1, on one sheet.

    columns: how many in a row; by default so many that the sheet is about square.
    """
    sheet, rows, columns = contact_sheet(images, columns)
    figure, axes = axes_of(axes, size=(0.5 * columns + 0.6, 0.5 * rows + 0.6))
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    height = len(sheet) / rows
    axes.set_xticks([])
    axes.set_yticks([(row + 0.5) * height - 0.5 for row in range(len(row_labels))], row_labels)
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=10)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def contact_sheet(images: Any, columns: int | None = None) -> tuple[np.ndarray, int, int]:
    """The images side by side with white lines between: ([height, width(, 3)], rows, columns)."""
    images = to_array(images)
    if images.ndim == 4 and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)  # channels last; one channel is none
        images = images[..., 0] if images.shape[3] == 1 else images
    elif images.ndim != 3:
        raise ValueError(
            f"expected images [N, H, W] or [N, 1 or 3, H, W], got shape {images.shape}"
        )
    if len(images) == 0:
        raise ValueError("there are no images to show")
    N, H, W, *colour = images.shape
    columns = columns or int(np.ceil(np.sqrt(N)))
    rows = -(-N // columns)
    sheet = np.ones((rows * (H + 1) + 1, columns * (W + 1) + 1, *colour))
    for i, image in enumerate(images):
        top, left = (i // columns) * (H + 1) + 1, (i % columns) * (W + 1) + 1
        sheet[top : top + H, left : left + W] = np.clip(image, 0, 1)
    return sheet, rows, columns


@no_grad()
def traversal(
    decode: Decoder,
    z: Any,
    dimensions: Sequence[int] | None = None,
    values: Sequence[float] = tuple(np.linspace(-3, 3, 11)),
    *,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """What each latent dimension says: a row each, in which it goes through `values`.

    z: the point [latent] to start from; all its other dimensions stay as they are.
    dimensions: which ones; by default all.
    """
    z = to_array(z)
    dimensions = range(len(z)) if dimensions is None else dimensions
    points = np.tile(z, (len(dimensions), len(values), 1))
    for row, dimension in enumerate(dimensions):
        points[row, :, dimension] = values
    images = decode(Tensor(points.reshape(-1, len(z))))
    labels = [f"z{dimension}" for dimension in dimensions]
    return sample_grid(images, len(values), row_labels=labels, title=title, axes=axes)


@no_grad()
def interpolation(
    decode: Decoder,
    starts: Any,
    ends: Any,
    steps: int = 11,
    *,
    spherical: bool = False,
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """The way from each of `starts` to that of `ends`, both [N, latent]: a row each.

    spherical: along the arc rather than the line, so that points keep the norms that standard
        normals have in many dimensions (White 2016, "Sampling generative networks").
    """
    starts, ends = to_array(starts), to_array(ends)
    if starts.shape != ends.shape or starts.ndim != 2:
        raise ValueError(
            f"interpolation: expected starts and ends [N, latent] alike, got {starts.shape} and "
            f"{ends.shape}"
        )
    t = np.linspace(0, 1, steps, dtype=starts.dtype)[:, None]
    between = slerp if spherical else lerp
    points = np.stack([between(a, b, t) for a, b in zip(starts, ends)])  # [N, steps, latent]
    images = decode(Tensor(points.reshape(-1, starts.shape[1])))
    return sample_grid(images, steps, title=title, axes=axes)


def lerp(a: Any, b: Any, t: np.ndarray) -> np.ndarray:
    """Points [steps, latent] on the line from a to b [latent], at t [steps, 1] from 0 to 1."""
    return a + t * (b - a)


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The same on the arc, the norm changing in a straight line (Shoemake 1985)."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    a, b = a / (lengths[0] or 1), b / (lengths[1] or 1)
    angle = np.arccos(np.clip(a @ b, -1, 1))
    if (
        np.sin(angle) < 1e-6
    ):  # the same direction, or opposite ones between which no arc is shortest
        directions = lerp(a, b, t)
    else:
        directions = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return lerp(lengths[0], lengths[1], t) * directions
