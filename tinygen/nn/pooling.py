"""Pooling as modules; `nn.functional` says in full what each computes."""

from __future__ import annotations

from collections.abc import Callable

from tinygen.autograd import Tensor
from tinygen.autograd.ops.window import PerDim, per_dim

from . import functional as F
from .conv import options
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d",
    "MaxPool2d", "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
]  # fmt: skip


class _MaxPool(Module):
    function: Callable

    def __init__(
        self,
        kernel_size: PerDim,
        stride: PerDim | None = None,
        padding: PerDim = 0,
        dilation: PerDim = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor):
        return self.function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return options(self, "kernel_size", "stride", "padding", "dilation", "ceil_mode")


class MaxPool1d(_MaxPool):
    """The largest element of each window on [N, C, L]."""

    function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window on [N, C, H, W]."""

    function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window on [N, C, D, H, W]."""

    function = staticmethod(F.max_pool3d)


class _MaxUnpool(Module):
    function: Callable
    dims: int

    def __init__(self, kernel_size: PerDim, stride: PerDim | None = None, padding: PerDim = 0):
        super().__init__()
        name = type(self).__name__
        self.kernel_size = per_dim(kernel_size, self.dims, "kernel_size", name)
        self.stride = per_dim(
            self.kernel_size if stride is None else stride, self.dims, "stride", name
        )
        self.padding = per_dim(padding, self.dims, "padding", name)

    def forward(self, input: Tensor, indices: Tensor, output_size=None) -> Tensor:
        return self.function(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return options(self, "kernel_size", "stride", "padding")


class MaxUnpool1d(_MaxUnpool):
    """The elements of [N, C, places] where MaxPool1d found them, zeros elsewhere."""

    function, dims = staticmethod(F.max_unpool1d), 1


class MaxUnpool2d(_MaxUnpool):
    """The elements of [N, C, *places] where MaxPool2d found them, zeros elsewhere."""

    function, dims = staticmethod(F.max_unpool2d), 2


class MaxUnpool3d(_MaxUnpool):
    """The elements of [N, C, *places] where MaxPool3d found them, zeros elsewhere."""

    function, dims = staticmethod(F.max_unpool3d), 3


class AvgPool1d(Module):
    """The mean of each window on [N, C, L]."""

    def __init__(
        self,
        kernel_size: PerDim,
        stride: PerDim | None = None,
        padding: PerDim = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        self.kernel_size = per_dim(kernel_size, 1, "kernel_size", "AvgPool1d")
        self.stride = per_dim(
            self.kernel_size if stride is None else stride, 1, "stride", "AvgPool1d"
        )
        self.padding = per_dim(padding, 1, "padding", "AvgPool1d")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return options(self, "kernel_size", "stride", "padding")


class _AvgPool(Module):
    function: Callable

    def __init__(
        self,
        kernel_size: PerDim,
        stride: PerDim | None = None,
        padding: PerDim = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return self.function(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return options(self, "kernel_size", "stride", "padding")


class AvgPool2d(_AvgPool):
    """The mean of each window on [N, C, H, W]."""

    function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window on [N, C, D, H, W]."""

    function = staticmethod(F.avg_pool3d)


class _AdaptiveAvgPool(Module):
    function: Callable

    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input, self.output_size)

    def extra_repr(self) -> str:
        return options(self, "output_size")


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` windows, spread evenly over [N, C, L]."""

    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of `output_size` windows, spread evenly over [N, C, H, W]."""

    function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of `output_size` windows, spread evenly over [N, C, D, H, W]."""

    function = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    function: Callable

    def __init__(self, output_size, return_indices: bool = False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor):
        return self.function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return options(self, "output_size")


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of `output_size` windows, spread evenly over [N, C, L]."""

    function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of `output_size` windows, spread evenly over [N, C, H, W]."""

    function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of `output_size` windows, spread evenly over [N, C, D, H, W]."""

    function = staticmethod(F.adaptive_max_pool3d)
