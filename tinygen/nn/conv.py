"""Convolutions as modules; `nn.functional` says in full what each computes.

Weights and biases start uniform in ±1/√fan_in, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygen.autograd import Tensor
from tinygen.autograd.creation import empty
from tinygen.autograd.ops.window import PerDim, per_dim

from . import functional as F
from . import init
from .functional.conv import ends_of
from .module import Module
from .parameter import Parameter

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Fold",
    "Unfold",
]  # fmt: skip


def options(module: Module, *names: str) -> str:
    """What `repr` shows between the brackets: these attributes, by name."""
    return ", ".join(f"{name}={getattr(module, name)!r}" for name in names)


class _Convolution(Module):
    """What a convolution and its transpose have in common: options and weights."""

    function: Callable
    dims: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size,
        stride,
        padding,
        output_padding,
        dilation,
        groups: int,
        bias: bool,
        padding_mode: str,
        device,
        dtype,
    ):
        super().__init__()
        name, n = type(self).__name__, self.dims
        _check_channels(name, in_channels, out_channels, groups)
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"{name}: padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular'; "
                f"got {padding_mode!r}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_dim(kernel_size, n, "kernel_size", name)
        self.stride = per_dim(stride, n, "stride", name)
        self.dilation = per_dim(dilation, n, "dilation", name)
        self.output_padding = per_dim(output_padding, n, "output_padding", name)
        self.padding, self.padding_mode = (
            _checked_padding(padding, n, name, self.stride),
            padding_mode,
        )
        first, second = (
            (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        )
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        values = Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", values)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        fan_in = math.prod(self.weight.shape[1:])
        if fan_in:
            init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # is uniform in ±1/√fan_in
            if self.bias is not None:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        found = [f"{self.in_channels}, {self.out_channels}", options(self, "kernel_size", "stride")]
        usual = {"padding": 0, "dilation": 1, "output_padding": 0}
        for name, value in usual.items():
            if getattr(self, name) != (value,) * self.dims:
                found.append(f"{name}={getattr(self, name)}")
        if self.groups != 1:
            found.append(f"groups={self.groups}")
        if self.bias is None:
            found.append("bias=False")
        if self.padding_mode != "zeros":
            found.append(f"padding_mode={self.padding_mode}")
        return ", ".join(found)


def _check_channels(name: str, in_channels: int, out_channels: int, groups: int) -> None:
    if groups < 1:
        raise ValueError(f"{name}: groups must be a positive integer, got {groups}")
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{name}: in_channels and out_channels must be divisible by groups={groups}; got "
            f"{in_channels} and {out_channels}"
        )


def _checked_padding(padding, n: int, name: str, stride) -> Any:
    """ "same", "valid", or a number for each dimension"""
    if not isinstance(padding, str):
        return per_dim(padding, n, "padding", name)
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: Invalid padding string {padding!r}, should be 'same' or 'valid'")
    if padding == "same" and max(stride) > 1:
        raise ValueError(f"{name}: padding='same' is not supported for strided convolutions")
    return padding


class _Conv(_Convolution):
    """Filters [out_channels, in_channels / groups, *kernel_size] slid over [N, C, *sizes].

    padding_mode: what to put at the ends: "zeros", or as `F.pad` "reflect", "replicate" or
        "circular".
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerDim,
        stride: PerDim = 1,
        padding: PerDim | str = 0,
        dilation: PerDim = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._ends(), mode=self.padding_mode), 0
        return self.function(
            input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups
        )

    def _ends(self) -> list[int]:
        """The padding as `F.pad` takes it: from the last dimension on, in pairs."""
        options = self.padding, self.dims, self.kernel_size, self.stride, self.dilation
        return [end for ends in reversed(ends_of(*options, "pad")) for end in ends]


class _ConvTranspose(_Convolution):
    """Filters [in_channels, out_channels / groups, *kernel_size] spread by [N, C, *sizes]: the
    gradient of a convolution with respect to its input."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerDim,
        stride: PerDim = 1,
        padding: PerDim = 0,
        output_padding: PerDim = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: PerDim = 1,
        padding_mode: str = "zeros",
        device=None,
        dtype=None,
    ):
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`output_size`, of all dimensions or of the last ones, chooses the output_padding."""
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return self.function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
            self.dilation,
        )  # fmt: skip

    def _extra(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives this size."""
        n, asked = self.dims, tuple(output_size)
        if len(asked) not in (n, input.ndim):
            raise ValueError(
                f"{type(self).__name__}: for input {input.shape}, output_size must have {n} or "
                f"{input.ndim} elements, got {asked}"
            )
        each = zip(input.shape[-n:], self.stride, self.padding, self.dilation, self.kernel_size)
        least = [(i - 1) * s - 2 * p + d * (k - 1) + 1 for i, s, p, d, k in each]
        extra = tuple(a - m for a, m in zip(asked[-n:], least))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride)):
            most = [m + s - 1 for m, s in zip(least, self.stride)]
            raise ValueError(
                f"requested an output size of {asked}, but valid sizes range from {least} to "
                f"{most} (for an input of {input.shape[-n:]})"
            )
        return extra


class Conv1d(_Conv):
    """Convolution of [N, in_channels, L]: [N, out_channels, places]."""

    function, dims = staticmethod(F.conv1d), 1


class Conv2d(_Conv):
    """Convolution of [N, in_channels, H, W]: [N, out_channels, *places]."""

    function, dims = staticmethod(F.conv2d), 2


class Conv3d(_Conv):
    """Convolution of [N, in_channels, D, H, W]: [N, out_channels, *places]."""

    function, dims = staticmethod(F.conv3d), 3


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of [N, in_channels, L]: [N, out_channels, size]."""

    function, dims = staticmethod(F.conv_transpose1d), 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of [N, in_channels, H, W]: [N, out_channels, *sizes]."""

    function, dims = staticmethod(F.conv_transpose2d), 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of [N, in_channels, D, H, W]: [N, out_channels, *sizes]."""

    function, dims = staticmethod(F.conv_transpose3d), 3


class Unfold(Module):
    """Every window on [N, C, H, W] as a column: [N, C · kernel, places]."""

    def __init__(
        self, kernel_size: PerDim, dilation: PerDim = 1, padding: PerDim = 0, stride: PerDim = 1
    ):
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return options(self, "kernel_size", "dilation", "padding", "stride")


class Fold(Module):
    """Columns [N, C · kernel, places] put back and added up where they overlap: [N, C, H, W]."""

    def __init__(
        self,
        output_size: PerDim,
        kernel_size: PerDim,
        dilation: PerDim = 1,
        padding: PerDim = 0,
        stride: PerDim = 1,
    ):
        super().__init__()
        self.output_size, self.kernel_size, self.dilation = output_size, kernel_size, dilation
        self.padding, self.stride = padding, stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return options(self, "output_size", "kernel_size", "dilation", "padding", "stride")
