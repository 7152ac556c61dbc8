"""Curves of a training run, and the gradients in the middle of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..nn import Module
from .figures import COLOURS, GREY, INK, axes_of, bare, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_curve(
    losses: Sequence[float] | Mapping[str, Sequence[float]],
    evaluations: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    levels: Mapping[str, float] | None = None,
    *,
    ylabel: str = "loss",
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """The loss of every step [steps], with the band in which nine of ten of neighbouring steps lie.

    losses: of one network, or by name of several that are trained together.
    evaluations: by name, (steps, values) of what was measured now and then.
    levels: by name, values to compare with, drawn as horizontal lines.
    """
    figure, axes = axes_of(axes, size=(7, 4.2))
    colours = iter(COLOURS * 3)
    curves = losses if isinstance(losses, Mapping) else {"training": losses}
    shown = [*(levels or {}).values()]  # what has to lie inside of the picture
    for name, values in curves.items():
        shown += _band(axes, values, next(colours), f"{name}, median and 90 % band")
    for name, (at, found) in (evaluations or {}).items():
        shown += list(found)
        colour = next(colours)
        axes.plot(at, found, "o-", color=colour, markersize=3.5, clip_on=False, label=name)
    for name, value in (levels or {}).items():
        axes.axhline(value, color=GREY, linewidth=1, linestyle="--")
        axes.annotate(f"{name} {value:.2f}", (1.01, value), xycoords=("axes fraction", "data"),
                      ha="left", va="center", color=INK, fontsize=8)  # fmt: skip
    steps = max(len(values) for values in curves.values())
    axes.set(xlabel="step", ylabel=ylabel, title=title, xlim=(0, max(1, steps)))
    margin = 0.07 * (max(shown) - min(shown)) or 1.0
    axes.set_ylim(min(shown) - margin, max(shown) + margin)
    axes.legend(frameon=False, fontsize=8)
    bare(axes)
    return figure


def _band(axes: Axes, losses: Sequence[float], colour: str, label: str) -> list[float]:
    """Draw the median and the band of one curve; the values that have to be seen."""
    values = np.asarray(losses, np.float64)
    width = max(1, len(values) // 50)
    pieces = [values[i : i + width] for i in range(0, len(values), width)]
    steps = [min((i + 0.5) * width, len(values)) for i in range(len(pieces))]
    low, middle, high = np.transpose([np.quantile(p, (0.05, 0.5, 0.95)) for p in pieces])
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(steps, middle, color=colour, label=label)
    # The first steps fall from high up; leave room for what comes after them.
    return [*middle[min(1, len(middle) - 1) :], low.min()]


def gradient_flow(model: Module, *, title: str = "", axes: Axes | None = None) -> Figure:
    """The size of the gradient of each parameter: the root mean square of its entries, as a bar.

    To be drawn between `backward()` and the optimizer's `zero_grad()`. The bars shrink from layer
    to layer where gradients vanish. What has no gradient, or one that is all 0 or not finite, is
    marked with the word instead.

    Raises RuntimeError for a model without any gradient.
    """
    named = list(model.named_parameters())
    if all(p.grad is None for _, p in named):
        raise RuntimeError(
            "gradient_flow: no parameter has a gradient; draw after loss.backward(), and before "
            "the optimizer's zero_grad()"
        )
    figure, axes = axes_of(axes, size=(7, 0.8 + 0.22 * len(named)))
    sizes = [_root_mean_square(p.grad) for _, p in named]
    for place, size in enumerate(sizes):
        if isinstance(size, str):
            axes.annotate(size, (0.01, place), xycoords=("axes fraction", "data"),
                          color=COLOURS[1], fontsize=8, va="center")  # fmt: skip
        else:
            axes.barh(place, size, color=COLOURS[0], height=0.7)
    axes.set_yticks(range(len(named)), [name for name, _ in named], fontsize=8)
    axes.set(ylim=(len(named) - 0.5, -0.5), title=title)
    found = [size for size in sizes if isinstance(size, float)]
    if found:
        low, high = np.floor(np.log10(min(found))), np.ceil(np.log10(max(found)))
        axes.set(xscale="log", xlim=(10.0 ** min(low, high - 1), 10.0**high))
    axes.set_xlabel("root mean square of the gradient's entries")
    bare(axes)
    return figure


def _root_mean_square(grad) -> float | str:
    """The size of a gradient, or the word for why it has none."""
    if grad is None:
        return "no gradient"
    size = float(np.sqrt((to_array(grad).astype(np.float64) ** 2).mean()))
    return "all 0" if size == 0 else size if np.isfinite(size) else "not finite"
