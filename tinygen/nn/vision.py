"""Padding, resizing and the arrangement of pixels as modules; `nn.functional` says what each does.

A padding is one number for all ends, or a number for each: before and behind the last dimension,
before and behind the one before it, and so on.
"""

from __future__ import annotations

from tinygen.autograd import Tensor
from tinygen.autograd.ops.window import per_dim

from . import functional as F
from .conv import options
from .module import Module

__all__ = [
    "ChannelShuffle", "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d",
    "ConstantPad2d", "ConstantPad3d", "PixelShuffle", "PixelUnshuffle", "ReflectionPad1d",
    "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "ZeroPad1d",
    "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


# ---- Padding -------------------------------------------------------------------------------------


class _Pad(Module):
    dims: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding):
        super().__init__()
        self.padding = per_dim(padding, 2 * self.dims, "padding", type(self).__name__)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding, value: float):
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return options(self, "padding", "value")


class ConstantPad1d(_ConstantPad):
    """`value` before and behind the last dimension."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """`value` around the last two dimensions."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """`value` around the last three dimensions."""

    dims = 3


class ZeroPad1d(_Pad):
    """Zeros before and behind the last dimension."""

    dims = 1


class ZeroPad2d(_Pad):
    """Zeros around the last two dimensions."""

    dims = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three dimensions."""

    dims = 3


class ReflectionPad1d(_Pad):
    """[N, C, L] mirrored at its outermost elements."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """[N, C, H, W] mirrored at its outermost elements."""

    dims, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """[N, C, D, H, W] mirrored at its outermost elements."""

    dims, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """[N, C, L] with its outermost elements repeated."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """[N, C, H, W] with its outermost elements repeated."""

    dims, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """[N, C, D, H, W] with its outermost elements repeated."""

    dims, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """[N, C, L] continued with what is at the other end."""

    dims, mode = 1, "circular"


class CircularPad2d(_Pad):
    """[N, C, H, W] continued with what is at the other end."""

    dims, mode = 2, "circular"


class CircularPad3d(_Pad):
    """[N, C, D, H, W] continued with what is at the other end."""

    dims, mode = 3, "circular"


# ---- Size ----------------------------------------------------------------------------------------


class Upsample(Module):
    """[N, C, *sizes] resized to `size`, or by `scale_factor`: see `F.interpolate`."""

    def __init__(
        self,
        size=None,
        scale_factor=None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        super().__init__()
        self.size, self.scale_factor, self.mode = size, _as_floats(scale_factor), mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners,
            self.recompute_scale_factor,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return options(self, "size" if self.scale_factor is None else "scale_factor", "mode")


def _as_floats(scale_factor):
    if isinstance(scale_factor, list | tuple):
        return tuple(float(s) for s in scale_factor)
    return None if scale_factor is None else float(scale_factor)


class UpsamplingNearest2d(Upsample):
    """[N, C, H, W] resized, with the element at or before each place."""

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """[N, C, H, W] resized, between neighbours, with the corners aligned."""

    def __init__(self, size=None, scale_factor=None):
        super().__init__(size, scale_factor, "bilinear", align_corners=True)


# ---- Arrangement ---------------------------------------------------------------------------------


class PixelShuffle(Module):
    """[..., C r², H, W] -> [..., C, H r, W r]: channels become the pixels of finer images."""

    def __init__(self, upscale_factor: int):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return options(self, "upscale_factor")


class PixelUnshuffle(Module):
    """[..., C, H r, W r] -> [..., C r², H, W]: undoes PixelShuffle."""

    def __init__(self, downscale_factor: int):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return options(self, "downscale_factor")


class ChannelShuffle(Module):
    """The channels of [N, C, *sizes], dealt to `groups` hands in turn."""

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return options(self, "groups")
