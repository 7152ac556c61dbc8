"""Reading images at places given by a grid: spatial transformers (Jaderberg et al. 2015).

A grid [N, *places, n] has, for each place, where to read: (x, y) or (x, y, z), the last dimension
of the image first. −1 and 1 are the outermost edges, or with `align_corners` the centres of the
outermost elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.choose import clamp, where
from tinygen.autograd.ops.elementwise import abs
from tinygen.autograd.ops.window import pick_each
from tinygen.autograd.registry import ShapeError, composition

from .pooling import flat_planes
from .vision import cubic_weights

__all__ = ["affine_grid", "grid_sample"]


@composition
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid [N, *sizes, n] that `grid_sample` needs to map by theta [N, n, n + 1], a matrix and
    a shift, for an output of `size` (N, C, *sizes)."""
    n = len(size) - 2
    if n not in (2, 3) or theta.shape != (size[0], n, n + 1):
        raise ShapeError(
            f"affine_grid: for size (N, C, H, W) theta must be [N, 2, 3], for (N, C, D, H, W) "
            f"[N, 3, 4]; got {tuple(size)} and {theta.shape}"
        )
    ends = [1.0 if align_corners else (m - 1) / m for m in size[2:]]
    lines = [np.linspace(-e, e, m) if m > 1 else np.zeros(1) for e, m in zip(ends, size[2:])]
    places = np.meshgrid(*lines, indexing="ij")[::-1]
    places = np.stack([*places, np.ones(size[2:])], -1).reshape(-1, n + 1).astype(theta.dtype)
    return (Tensor(places) @ theta.transpose(1, 2)).reshape(size[0], *size[2:], n)


@composition
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """input [N, C, *sizes] read at the places of grid [N, *places, n]: [N, C, *places].

    mode: "bilinear" between the neighbours along each dimension, "nearest", or "bicubic" (images).
    padding_mode: what is outside: "zeros", "border" for the nearest element, "reflection".
    """
    n, corners = input.ndim - 2, bool(align_corners)
    check_grid(input, grid, mode, padding_mode)
    sizes, axes = input.shape[2:], []
    for i, size in enumerate(sizes):
        place = grid[..., n - 1 - i]
        place = (place + 1) / 2 * (size - 1) if corners else ((place + 1) * size - 1) / 2
        if mode != "bicubic":
            place = kept_inside(place, size, padding_mode, corners)
        axes.append(neighbours(place, mode))
    planes, total = flat_planes(input), 0.0
    for corner in product(*axes):
        index, inside, weight = 0, np.ones((), bool), 1.0
        for (at, share), size in zip(corner, sizes):
            at = kept_inside(Tensor(at), size, padding_mode if mode == "bicubic" else "", corners)
            inside = inside & (at.array >= 0) & (at.array <= size - 1)
            index = index * size + np.clip(at.array, 0, size - 1).astype(np.intp)
            weight = share * weight
        read = read_at(planes, index)
        total = total + where(inside[:, None], read, 0.0) * expanded(weight)
    return total  # pyright: ignore[reportReturnType]


def check_grid(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    """Refuse what does not fit."""
    n = input.ndim - 2
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample: mode {mode!r}; use 'bilinear', 'nearest' or 'bicubic'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"grid_sample: padding_mode {padding_mode!r}; use 'zeros', 'border' or 'reflection'"
        )
    if n not in (2, 3) or (n == 3 and mode == "bicubic"):
        raise ShapeError(f"grid_sample: mode {mode!r} is not for input of shape {input.shape}")
    if grid.ndim != n + 2 or grid.shape[0] != input.shape[0] or grid.shape[-1] != n:
        raise ShapeError(
            f"grid_sample: for input {input.shape} the grid must be [{input.shape[0]}, *places, "
            f"{n}], got {grid.shape}"
        )
    if 0 in input.shape[1:]:
        raise ShapeError(f"grid_sample: only the batch may be empty, got {input.shape}")


def kept_inside(place: Tensor, size: int, padding_mode: str, corners: bool) -> Tensor:
    """Places moved to where there are elements, unless what is outside counts as zero."""
    if padding_mode == "reflection":
        low, span = (0.0, size - 1) if corners else (-0.5, size)
        period = math.inf if span == 0 else 2.0 * span
        off = abs(place - low) if span else place * 0.0
        off = off - np.floor(off.array / period) * period if span else off
        place = where(off > span, period - off, off) + low if span else off
    return clamp(place, 0, size - 1) if padding_mode in ("border", "reflection") else place


def neighbours(place: Tensor, mode: str) -> list[tuple[np.ndarray, Tensor | float]]:
    """Which elements along a dimension to read, and how much each counts."""
    if mode == "nearest":
        return [(np.rint(place.array), 1.0)]
    below = np.floor(place.array)
    t = place - below
    weights = cubic_weights(t) if mode == "bicubic" else {0: 1 - t, 1: t}
    return [(below + offset, weight) for offset, weight in weights.items()]


def read_at(planes: Tensor, index) -> Tensor:
    """planes [N, C, size] at index [N, *places]: [N, C, *places]."""
    N, C = planes.shape[:2]
    places = index.shape[1:]
    each = np.broadcast_to(index.reshape(N, 1, math.prod(places)), (N, C, math.prod(places)))
    return pick_each(planes, each).reshape(N, C, *places)


def expanded(weight):
    """[N, *places] as [N, 1, *places]; a number as it is."""
    return weight.unsqueeze(1) if isinstance(weight, Tensor) else weight
