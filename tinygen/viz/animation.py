"""Moving pictures, as GIF files: matplotlib writes them with Pillow, which comes with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .figures import COLOURS, panels, to_array
from .images import contact_sheet
from .plane import Bounds, around, planar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

File = str | os.PathLike


def points_gif(
    paths: Any,
    file: File,
    bounds: Bounds | None = None,
    *,
    labels: Sequence[str] = (),
    fps: int = 20,
    hold: float = 1.0,
    title: str = "",
) -> None:
    """Points [T, n, 2] that move in T frames, written to a GIF file.

    labels: one a frame, such as its time, shown under the picture.
    fps: frames a second; hold: seconds for which the last one stays.
    """
    paths = planar(paths, "[T, n, 2]", 3)
    left, right, bottom, top = bounds or around(paths)
    figure, ((axes,),) = panels(size=(4, 4.2))
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.set_title(title, fontsize=10)
    dots = axes.scatter(*paths[0].T, s=4, color=COLOURS[0], linewidths=0, alpha=0.7)

    def show(i: int) -> None:
        dots.set_offsets(paths[i])
        axes.set_xlabel(labels[i] if labels else "")

    write_gif(figure, show, len(paths), file, fps, hold)


def images_gif(
    frames: Any,
    file: File,
    columns: int | None = None,
    *,
    labels: Sequence[str] = (),
    fps: int = 20,
    hold: float = 1.0,
    title: str = "",
) -> None:
    """Sheets of images [T, N, H, W] or [T, N, 1 or 3, H, W] that change in T frames, as a GIF file.

    The rest is as in `points_gif` and `sample_grid`.
    """
    frames = to_array(frames)
    sheet, rows, columns = contact_sheet(frames[0], columns)
    figure, ((axes,),) = panels(size=(0.45 * columns + 0.4, 0.45 * rows + 0.7))
    shown = axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)

    def show(i: int) -> None:
        shown.set_data(contact_sheet(frames[i], columns)[0])
        axes.set_xlabel(labels[i] if labels else "")

    write_gif(figure, show, len(frames), file, fps, hold)


def write_gif(
    figure: Figure, show: Callable[[int], None], frames: int, file: File, fps: int, hold: float
) -> None:
    """`show(i)` changes the figure into frame i; all of them one after the other into `file`."""
    from matplotlib.animation import PillowWriter

    show(0)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # or the axes would move with the labels
    writer = PillowWriter(fps=fps)
    with writer.saving(figure, os.fspath(file), dpi=100):
        for i in range(frames):
            show(i)
            for _ in range(max(1, round(hold * fps)) if i == frames - 1 else 1):
                writer.grab_frame()
