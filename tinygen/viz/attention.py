"""Attention: who looks at whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def attention_maps(
    weights: Sequence[np.ndarray], tokens: Sequence[str], *, title: str = ""
) -> Figure:
    """Who looks at whom: one panel a layer (rows) and head (columns).

    weights: for each layer [heads, T, T], rows adding up to 1; tokens: the T labels.
    """
    layers, (heads, length, _) = len(weights), np.shape(weights[0])
    side = max(1.9, 0.085 * length)
    figure, grid = panels(heads, layers, (side * heads + 0.6, side * layers + 0.7))
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
