"""Pictures. matplotlib is imported when the first one is drawn; functions return a Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, GREY = "#222222", "#999999"
COLOURS = ("#2066a8", "#ae282c", "#3b7a3f", "#8a5a00", "#6a3d9a")


def _figure(columns: int = 1, rows: int = 1, size: tuple[float, float] = (6, 4)):
    """A figure without a window, so that nothing depends on a display: (figure, array of axes)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _bare(axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def loss_curve(
    losses: Sequence[float],
    evaluations: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    levels: Mapping[str, float] | None = None,
    *,
    ylabel: str = "loss",
    title: str = "",
) -> Figure:
    """The loss of every step [steps], with the band in which nine of ten of neighbouring steps lie.

    evaluations: by name, (steps, values) of what was measured now and then.
    levels: by name, values to compare with, drawn as horizontal lines.
    """
    figure, ((axes,),) = _figure(size=(7, 4.2))
    values = np.asarray(losses, np.float64)
    width = max(1, len(values) // 50)
    pieces = [values[i : i + width] for i in range(0, len(values), width)]
    steps = [min((i + 0.5) * width, len(values)) for i in range(len(pieces))]
    low, middle, high = np.transpose([np.quantile(p, (0.05, 0.5, 0.95)) for p in pieces])
    axes.fill_between(steps, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(steps, middle, color=COLOURS[0], label="training, median and 90 % band")
    for colour, (name, (at, found)) in zip(COLOURS[1:], (evaluations or {}).items()):
        axes.plot(at, found, "o-", color=colour, markersize=3.5, clip_on=False, label=name)
    for name, value in (levels or {}).items():
        axes.axhline(value, color=GREY, linewidth=1, linestyle="--")
        axes.annotate(f"{name} {value:.2f}", (1.01, value), xycoords=("axes fraction", "data"),
                      ha="left", va="center", color=INK, fontsize=8)  # fmt: skip
    axes.set(xlabel="step", ylabel=ylabel, title=title, xlim=(0, max(1, len(values))))
    # The first steps fall from high up; leave room for what comes after them.
    shown = [*middle[min(1, len(middle) - 1) :], low.min(), *(levels or {}).values(),
             *(value for _, found in (evaluations or {}).values() for value in found)]  # fmt: skip
    margin = 0.07 * (max(shown) - min(shown)) or 1.0
    axes.set_ylim(min(shown) - margin, max(shown) + margin)
    axes.legend(frameon=False, fontsize=8)
    _bare(axes)
    return figure


def attention_maps(
    weights: Sequence[np.ndarray], tokens: Sequence[str], *, title: str = ""
) -> Figure:
    """Who looks at whom: one panel a layer (rows) and head (columns).

    weights: for each layer [heads, T, T], rows adding up to 1; tokens: the T labels.
    """
    layers, (heads, length, _) = len(weights), np.shape(weights[0])
    side = max(1.9, 0.085 * length)
    figure, grid = _figure(heads, layers, (side * heads + 0.6, side * layers + 0.7))
    labels = [{" ": "␣", "\n": "⏎", "\t": "→"}.get(t, t) for t in tokens]
    text: dict[str, Any] = {"fontsize": 6, "parse_math": False}  # a $ is a $
    for layer, row in enumerate(grid):
        for head, axes in enumerate(row):
            # The square root shows weights that are spread over many tokens, too.
            axes.imshow(np.sqrt(weights[layer][head]), cmap="Blues", vmin=0, vmax=1)
            axes.set_xticks(range(length), labels if layer == layers - 1 else [], **text)
            axes.set_yticks(range(length), labels if head == 0 else [], **text)
            axes.tick_params(length=0, pad=1)
            if layer == 0:
                axes.set_title(f"head {head}", fontsize=8)
        row[0].set_ylabel(f"layer {layer}\nquery", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("key", fontsize=8)
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
