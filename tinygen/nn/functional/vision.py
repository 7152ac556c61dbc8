"""Borders, sizes and the arrangement of pixels: pad, interpolate, pixel shuffle.

All but the constant padding picks slices along one dimension after another, so that any number of
dimensions is served.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.shape import permute
from tinygen.autograd.ops.window import constant_pad_nd, pick, window_spread
from tinygen.autograd.registry import ShapeError, composition

from .pooling import adaptive_windows, means_of_ranges

__all__ = [
    "channel_shuffle", "interpolate", "native_channel_shuffle", "pad", "pixel_shuffle",
    "pixel_unshuffle", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip


# ---- Padding -------------------------------------------------------------------------------------


def reflected(place: np.ndarray, n: int) -> np.ndarray:
    """…, 2, 1, [0, 1, …, n − 1], n − 2, …"""
    return n - 1 - np.abs(n - 1 - np.abs(place))


def replicated(place: np.ndarray, n: int) -> np.ndarray:
    """…, 0, 0, [0, 1, …, n − 1], n − 1, …"""
    return np.clip(place, 0, n - 1)


def circled(place: np.ndarray, n: int) -> np.ndarray:
    """…, n − 1, [0, 1, …, n − 1], 0, …; of what is left where a negative padding cuts off"""
    first, last = max(0, place[0]), min(n, place[-1] + 1)
    return (place - first) % (last - first) + first


# How to go on beyond the border, and how far.
BORDERS = {
    "reflect": (reflected, lambda n: n - 1),
    "replicate": (replicated, lambda n: math.inf),
    "circular": (circled, lambda n: n),
}


@composition
def pad(input: Tensor, pad, mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements around the last dimensions: pad[0] before and pad[1] behind the last one, pad[2] and
    pad[3] around the one before it, and so on. A negative number cuts off.

    mode: "constant" for `value` (0 by default); "reflect" at the outermost elements, which are not
        repeated; "replicate" the outermost elements; "circular" from the other end. All but
        "constant" take [C, *sizes] or [N, C, *sizes] and pads for all of up to three sizes.
    """
    pads = tuple(operator.index(n) for n in pad)
    if mode == "constant":
        return constant_pad_nd(input, pads, 0 if value is None else value)
    if mode not in BORDERS:
        raise NotImplementedError(
            f"pad: Unrecognised padding mode {mode}; use constant, {', '.join(BORDERS)}"
        )
    if value is not None and value != 0:
        raise ValueError(f'pad: Padding mode "{mode}" doesn\'t take in value argument')
    n = len(pads) // 2
    if len(pads) % 2 or not 1 <= n <= 3 or input.ndim not in (n + 1, n + 2):
        raise NotImplementedError(
            f"pad: with mode {mode!r} 2, 4 or 6 numbers pad all sizes of a 2D to 5D input [C, "
            f"*sizes] or [N, C, *sizes]; got {pads} for shape {input.shape}"
        )
    for i in range(n):
        before, behind = pads[2 * i : 2 * i + 2]
        if before or behind:
            input = bordered(input, input.ndim - 1 - i, before, behind, mode)
    return input


def bordered(x: Tensor, dim: int, before: int, behind: int, mode: str) -> Tensor:
    """x with elements of its own before and behind it along `dim`."""
    size, (source, farthest) = x.shape[dim], BORDERS[mode]
    nothing_left = min(size, size + behind) <= max(0, -before)  # of x itself
    if (
        max(before, behind) > farthest(size)
        or size + before + behind < 1
        or (nothing_left and mode == "circular")
    ):
        raise ShapeError(
            f"pad: Padding size should be less than the corresponding input dimension: with mode "
            f"{mode!r}, ({before}, {behind}) does not fit dim {dim} of shape {x.shape}"
        )
    return pick(x, source(np.arange(-before, size + behind), size), dim)


# ---- Interpolation -------------------------------------------------------------------------------


@composition
def interpolate(
    input: Tensor,
    size=None,
    scale_factor=None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """[N, C, *sizes] with other sizes: `size`, or ⌊sizes · scale_factor⌋.

    mode: "nearest" (the element at or before), "nearest-exact" (truly the nearest); "linear",
        "bilinear", "trilinear" between the two neighbours along each dimension, of 1, 2 or 3;
        "bicubic" from four (Keys 1981 with a = −3/4); "area", the mean of what an output covers.
    align_corners: the centres of the outermost elements keep their places; otherwise, the edges.
    recompute_scale_factor: let the sizes say what the scale is, after rounding.
    """
    n = input.ndim - 2
    check_interpolation(input, size, scale_factor, mode, align_corners, antialias)
    sizes, scales = sizes_and_scales(
        input, size, scale_factor, recompute_scale_factor or mode == "area"
    )
    if mode == "area":
        return means_of_ranges(input, *adaptive_windows(input.shape[2:], tuple(sizes)))
    places = zip(input.shape[2:], sizes, scales)
    steps = [step_between(*place, bool(align_corners)) for place in places]
    if mode in ("nearest", "nearest-exact"):
        offset = 0.5 if mode == "nearest-exact" else 0.0
        found = [nearest(*place, offset) for place in zip(input.shape[2:], sizes, steps)]
        return window_spread(input, sizes, [runs(f, n) for f, n in zip(found, input.shape[2:])])
    for i in reversed(range(n)):
        input = resampled(input, i + 2, sizes[i], steps[i], mode, bool(align_corners))
    return input


LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def check_interpolation(input, size, scale_factor, mode, align_corners, antialias) -> None:
    """Refuse what does not go together."""
    if input.ndim not in (3, 4, 5):
        raise NotImplementedError(
            f"interpolate: needs [N, C, *sizes] of one to three sizes, got shape {input.shape}"
        )
    fitting = ["nearest", "nearest-exact", "area", LINEAR[input.ndim - 2]]
    fitting += ["bicubic"] * (input.ndim == 4)
    if mode not in fitting:
        raise NotImplementedError(
            f"interpolate: mode {mode!r} is not for {input.ndim}D input, which takes "
            f"{', '.join(fitting)}"
        )
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear "
            "| bicubic | trilinear"
        )
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: only one of size or scale_factor should be defined")
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not there")


def sizes_and_scales(x: Tensor, size, scale_factor, recompute) -> tuple[list[int], list]:
    """The sizes asked for, and the scales where they, and not the sizes, tell how far to step."""
    sizes = x.shape[2:]
    given = size if scale_factor is None else scale_factor
    given = list(given) if isinstance(given, list | tuple) else [given] * len(sizes)
    if len(given) != len(sizes):
        raise ValueError(
            f"interpolate: Input and output must have the same number of spatial dimensions; got "
            f"{given} for shape {x.shape}"
        )
    scales = [None] * len(sizes) if scale_factor is None or recompute else given
    outs = given if scale_factor is None else [math.floor(n * s) for n, s in zip(sizes, given)]
    if min(outs) < 1 or 0 in x.shape[1:]:
        raise ShapeError(
            f"interpolate: Input and output sizes should be greater than 0; got {x.shape[1:]} "
            f"and {tuple(outs)}"
        )
    return [operator.index(n) for n in outs], scales


def step_between(size: int, out: int, scale: float | None, align_corners: bool) -> float:
    """How far two neighbours of the output lie apart in the input."""
    if align_corners:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return 1 / scale if scale else size / out


def resampled(x: Tensor, dim: int, out: int, step: float, mode: str, align_corners: bool) -> Tensor:
    """x read at `out` places along `dim`, between its elements."""
    size, i = x.shape[dim], np.arange(out)
    place = i * step if align_corners else (i + 0.5) * step - 0.5
    below = np.floor(place)
    t, total = place - below, None
    weights = cubic_weights(t) if mode == "bicubic" else {0: 1 - t, 1: t}
    for offset, weight in weights.items():
        neighbour = pick(x, np.clip(below + offset, 0, size - 1).astype(np.intp), dim)
        part = neighbour * weight.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1 - dim))
        total = part if total is None else total + part
    return total  # pyright: ignore[reportReturnType]


def nearest(size: int, out: int, step: float, offset: float) -> np.ndarray:
    """Which element of `size` each of `out` places takes. Rounded as in PyTorch: the products are
    float32, and for the same size and the double one that is not even looked at the step."""
    i = np.arange(out)
    if not offset and out in (size, 2 * size):
        return i * size // out
    place = (i.astype(np.float32) + np.float32(offset)) * np.float32(step)
    return np.minimum(place.astype(np.intp), size - 1)


def runs(index: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where, in an index that grows, each of `size` numbers begins, and where it ends."""
    numbers = np.arange(size)
    return np.searchsorted(index, numbers), np.searchsorted(index, numbers, "right")


def cubic_weights(t, a: float = -0.75) -> dict:
    """What the neighbours at distances 1 + t, t, 1 − t, 2 − t count (Keys 1981, equation 4)."""
    near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1
    far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return {-1: far(1 + t), 0: near(t), 1: near(1 - t), 2: far(2 - t)}


def upsample(
    input: Tensor, size=None, scale_factor=None, mode="nearest", align_corners=None
) -> Tensor:
    """The old name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """`interpolate` with the element at or before."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """`interpolate` between neighbours, with the corners aligned."""
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- Arrangement ---------------------------------------------------------------------------------


@composition
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[..., C r², H, W] -> [..., C, H r, W r]: channels become the pixels of finer images (Shi et
    al. 2016, equation 4)."""
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise ShapeError(
            f"pixel_shuffle: expects [..., C · {r}², H, W] for upscale_factor={r}; got shape "
            f"{input.shape}"
        )
    *lead, C, H, W = input.shape
    n = len(lead)
    x = input.reshape(*lead, C // (r * r), r, r, H, W)
    x = permute(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))  # [..., C, H, r, W, r]
    return x.reshape(*lead, C // (r * r), H * r, W * r)


@composition
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[..., C, H r, W r] -> [..., C r², H, W]: undoes pixel_shuffle."""
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-2] % r or input.shape[-1] % r:
        raise ShapeError(
            f"pixel_unshuffle: expects [..., C, H · {r}, W · {r}] for downscale_factor={r}; got "
            f"shape {input.shape}"
        )
    *lead, C, H, W = input.shape
    n = len(lead)
    x = input.reshape(*lead, C, H // r, r, W // r, r)
    x = permute(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))  # [..., C, r, r, H, W]
    return x.reshape(*lead, C * r * r, H // r, W // r)


@composition
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of [N, C, *sizes], dealt to `groups` hands in turn (Zhang et al. 2018)."""
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: expects [N, C, *sizes] with channels divisible by groups={groups}; "
            f"got shape {input.shape}"
        )
    N, C, *sizes = input.shape
    x = input.reshape(N, groups, C // groups, *sizes)
    return x.transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
