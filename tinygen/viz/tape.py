"""The tape as a drawing: which ops a tensor was computed by, and from which leaves.

The layout is that of Sugiyama, Tagawa & Toda 1981, in four steps: a rank for every place, so that
edges point down; in each rank one stand-in for every edge that passes through; an order within the
ranks by which few edges cross (each place goes where the mean of its neighbours is); coordinates.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd.tensor import Node, Tensor
from .figures import COLOURS, INK, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 400  # places: more can't be read
SWEEPS = 12  # down and up again through the ranks, to untangle edges
LETTER, MARGIN, RANK_HEIGHT = 0.075, 0.3, 0.62  # inches
HALF_BOX = 0.25  # of the height of a rank

Place = Node | Tensor
Edge = tuple[int, int]  # ids of a place and of one that was computed from it


def graph(tensor: Tensor, params: Mapping[str, Tensor] | None = None, *, title: str = "") -> Figure:
    """The graph behind a tensor, from the leaves at the top to the tensor at the bottom.

    White boxes are ops with the shape of what they gave, blue ones are leaves that require grad.
    Constants are no part of a graph, and so of no picture.
    params: names for leaves, such as `dict(model.named_parameters())`.

    Raises ValueError for a tensor without a graph, and for a graph of more than 400 places.
    """
    if not tensor.requires_grad:
        raise ValueError("graph: this tensor has no graph, for nothing it came from requires grad")
    names = {id(p): name for name, p in (params or {}).items()}
    places, edges = explore(tensor)
    ranks, edges = with_stand_ins(rank(places, edges), edges)
    labels = {key: _label(place, names) for key, place in places.items()}
    widths = {key: LETTER * max(map(len, labels.get(key, "").split("\n"))) for key in ranks}
    rows = ordered(ranks, edges)
    # Leaves hardly pull: chains of ops go straight down, and leaves stand beside them.
    pull = {key: 0.02 if isinstance(places.get(key), Tensor) else 1.0 for key in ranks}
    x = coordinates(rows, edges, {key: width + MARGIN for key, width in widths.items()}, pull)
    return _draw(places, edges, labels, x, ranks, title)


def explore(tensor: Tensor) -> tuple[dict[int, Place], list[Edge]]:
    """All places behind a tensor by id, itself first; and all edges between them."""
    places: dict[int, Place] = {id(tensor.place): tensor.place}
    edges, stack = [], [tensor.place]
    while stack:
        place = stack.pop()
        for parent in place.parents if isinstance(place, Node) else ():
            edges.append((id(parent), id(place)))
            if id(parent) not in places:
                places[id(parent)] = parent
                stack.append(parent)
        if len(places) > LARGEST:
            raise ValueError(
                f"graph: more than {LARGEST} places can't be read; draw a smaller model"
            )
    return places, list(dict.fromkeys(edges))  # x * x has one edge


def rank(places: dict[int, Place], edges: list[Edge]) -> dict[int, int]:
    """0 at the top; ops lie below all that they read, leaves right above who reads them first."""
    children = defaultdict(list)
    for parent, child in edges:
        children[parent].append(child)
    nodes = sorted((p.number, key) for key, p in places.items() if isinstance(p, Node))
    ranks = dict.fromkeys(places, 0)
    for _, key in nodes:  # parents first: each waits for the one that is furthest down
        ranks[key] = max(ranks[key], 1)
        for child in children[key]:
            ranks[child] = max(ranks[child], ranks[key] + 1)
    for key, place in places.items():
        if isinstance(place, Tensor) and children[key]:
            ranks[key] = min(ranks[child] for child in children[key]) - 1
    return ranks


def with_stand_ins(ranks: dict[int, int], edges: list[Edge]) -> tuple[dict[int, int], list[Edge]]:
    """Edges cut up at each rank that they pass; the cuts are places with negative ids."""
    ranks, short, new = dict(ranks), [], -1
    for parent, child in edges:
        above = parent
        for at in range(ranks[parent] + 1, ranks[child]):
            ranks[new] = at
            short.append((above, new))
            above, new = new, new - 1
        short.append((above, child))
    return ranks, short


def neighbours(edges: list[Edge]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Of each place, those right above it, and those right below."""
    above, below = defaultdict(list), defaultdict(list)
    for parent, child in edges:
        above[child].append(parent)
        below[parent].append(child)
    return above, below


def ordered(ranks: dict[int, int], edges: list[Edge]) -> list[list[int]]:
    """The places of each rank from left to right, so that few edges cross."""
    rows = [[key for key in ranks if ranks[key] == r] for r in range(max(ranks.values()) + 1)]
    above, below = neighbours(edges)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row, fixed in zip(rows[1:], rows) if down else zip(rows[-2::-1], rows[::-1]):
            at = {key: i for i, key in enumerate(fixed)}
            mean = {
                key: np.mean([at[n] for n in (above if down else below)[key]] or [i])
                for i, key in enumerate(row)
            }
            row.sort(key=mean.__getitem__)
    return rows


def coordinates(
    rows: list[list[int]], edges: list[Edge], widths: dict[int, float], pull: dict[int, float]
) -> dict[int, float]:
    """The x of each place: near the mean of its neighbours, none on top of another one.

    pull: how much each place counts as a neighbour.
    """
    above, below = neighbours(edges)
    x: dict[int, float] = {}
    for row in rows:
        x |= dict(zip(row, _apart([0.0] * len(row), [widths[key] for key in row])))
    for sweep in range(SWEEPS):
        near = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            wanted = [
                np.average([x[n] for n in near[key]], weights=[pull[n] for n in near[key]])
                if near[key]
                else x[key]
                for key in row
            ]
            x |= dict(zip(row, _apart(wanted, [widths[key] for key in row])))
    return x


def _apart(wanted: list[float], widths: list[float]) -> list[float]:
    """Positions in the given order, near those wanted, whose widths don't overlap.

    Half-way between pushing all to the right from the left end, and to the left from the right.
    """
    needed = [(a + b) / 2 for a, b in itertools.pairwise(widths)]
    right, left = list(wanted), list(wanted)
    for i, space in enumerate(needed):
        right[i + 1] = max(right[i + 1], right[i] + space)
    for i, space in reversed(list(enumerate(needed))):
        left[i] = min(left[i], left[i + 1] - space)
    return [(a + b) / 2 for a, b in zip(left, right)]


def _label(place: Place, names: Mapping[int, str]) -> str:
    shape: Any = tuple(place.shape)
    if isinstance(place, Node) and shape and isinstance(shape[0], tuple):  # an op with more outputs
        shape = ", ".join(str(of_one) for of_one, _ in shape)
    name = place.op.name if isinstance(place, Node) else names.get(id(place), "leaf")
    return f"{name}\n{shape}"


def _draw(places, edges, labels, x, ranks, title: str) -> Figure:
    left, right = min(x.values()) - 0.8, max(x.values()) + 0.8
    depth = max(ranks.values())
    size = (max(3.0, right - left), RANK_HEIGHT * (depth + 1) + 0.6)
    figure, ((axes,),) = panels(size=size)
    axes.set(xlim=(left, right), ylim=(depth + 0.5, -0.5))
    axes.set_axis_off()
    axes.set_title(title, fontsize=10)
    for parent, child in edges:
        style = "-|>" if child in places else "-"
        begin = x[parent], ranks[parent] + (HALF_BOX if parent in places else 0)
        end = x[child], ranks[child] - (HALF_BOX if child in places else 0)
        line = {
            "arrowstyle": style,
            "color": "#777777",
            "linewidth": 0.8,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        axes.annotate("", end, begin, arrowprops=line)
    for key, place in places.items():
        colour = "white" if isinstance(place, Node) else "#d6e6f5"
        box = {"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": COLOURS[0]}
        axes.text(x[key], ranks[key], labels[key], ha="center", va="center", fontsize=7, color=INK,
                  bbox=box, parse_math=False)  # fmt: skip
    return figure
