"""Normalisation as modules; `nn.functional` says in full what each computes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from tinygen.autograd import Tensor
from tinygen.autograd.creation import empty, ones, tensor, zeros

from . import functional as F
from . import init
from .conv import options
from .module import Module
from .parameter import Parameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "CosineSimilarity", "GroupNorm", "InstanceNorm1d",
    "InstanceNorm2d", "InstanceNorm3d", "LayerNorm", "LocalResponseNorm", "PairwiseDistance",
    "RMSNorm",
]  # fmt: skip


class _Affine(Module):
    """A module that multiplies by a `weight` (ones at first) and adds a `bias` (zeros) at the end,
    unless these are None."""

    def _make_affine(self, shape, weight: bool, bias: bool, device, dtype) -> None:
        for name, present in (("weight", weight), ("bias", bias)):
            values = Parameter(empty(shape, device=device, dtype=dtype)) if present else None
            self.register_parameter(name, values)

    def reset_parameters(self) -> None:
        """Back to ones and zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


# ---- Over the last dimensions --------------------------------------------------------------------


def _as_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(_Affine):
    """y = (x − mean) / √(var + eps) · weight + bias, per row (Ba, Kiros & Hinton 2016, eq. 4).

    `normalized_shape` is the size of the last axis, or the shape of the last few: mean and variance
    are taken over these. `weight` (ones at first) and `bias` (zeros) have that shape.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._make_affine(
            self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype
        )
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, {options(self, 'eps', 'elementwise_affine')}"


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) · weight over the last axes, whose shape is `normalized_shape`
    (Zhang & Sennrich 2019). Without `eps` it is the spacing of the dtype's numbers at 1."""

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        values = ones(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(values) if elementwise_affine else None)

    def reset_parameters(self) -> None:
        """Back to ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, {options(self, 'eps', 'elementwise_affine')}"


# ---- Over places ---------------------------------------------------------------------------------


class GroupNorm(_Affine):
    """[N, num_channels, *sizes] normalised over groups of channels and their places, per example
    (Wu & He 2018); then scaled and shifted by channel."""

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels must be divisible by num_groups; got {num_channels} and "
                f"{num_groups}"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._make_affine(num_channels, affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, {options(self, 'eps', 'affine')}"


class LocalResponseNorm(Module):
    """[N, C, *sizes] divided by (k + alpha · mean(x²))^beta over `size` channels around it."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, {options(self, 'alpha', 'beta', 'k')}"


# ---- With running statistics ---------------------------------------------------------------------


class _RunningNorm(_Affine):
    """Mean and variance by channel, which a training remembers in buffers for the evaluation.

    momentum: by how much each batch moves them; None for the mean over all batches so far.
    track_running_stats: with False there are none, and an evaluation, too, uses its own.
    """

    ndims: tuple[int, ...]  # of the inputs it takes

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool,
        track_running_stats: bool, device, dtype, bias: bool,
    ):  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._make_affine(num_features, affine, affine and bias, device, dtype)
        self.register_buffer("running_mean", None)
        self.register_buffer("running_var", None)
        self.register_buffer("num_batches_tracked", None)
        if track_running_stats:
            self.running_mean = zeros(num_features, device=device, dtype=dtype)
            self.running_var = ones(num_features, device=device, dtype=dtype)
            self.num_batches_tracked = tensor(0)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Back to ones and zeros, without memories."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check_input(self, input: Tensor) -> None:
        if input.ndim not in self.ndims:
            kinds = " or ".join(f"{n}D" for n in self.ndims)
            raise ValueError(f"{type(self).__name__}: expected {kinds} input (got {input.ndim}D "
                             f"input, of shape {input.shape})")  # fmt: skip

    def extra_repr(self) -> str:
        shown = options(self, "eps", "momentum", "affine", "track_running_stats")
        return f"{self.num_features}, {shown}"


class _BatchNorm(_RunningNorm):
    __doc__ = _RunningNorm.__doc__

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input(input)
        momentum, tracked = self.momentum or 0.0, self.running_mean is not None
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1 / self.num_batches_tracked.item()
        keeps = tracked and (not self.training or self.track_running_stats)
        return F.batch_norm(
            input,
            self.running_mean if keeps else None,
            self.running_var if keeps else None,
            self.weight,
            self.bias,
            self.training or not tracked,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """[N, C] or [N, C, L] normalised over the batch and all places, by channel."""

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """[N, C, H, W] normalised over the batch and all places, by channel."""

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """[N, C, D, H, W] normalised over the batch and all places, by channel."""

    ndims = (5,)


class _InstanceNorm(_RunningNorm):
    __doc__ = _RunningNorm.__doc__

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device=None,
        dtype=None,
        *,
        bias: bool = True,
    ):
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input(input)
        batched = input.ndim == max(self.ndims)
        x = input if batched else input.unsqueeze(0)
        if x.shape[1] != self.num_features and not self.affine:
            warnings.warn(
                f"{type(self).__name__}: the input has {x.shape[1]} channels, not num_features="
                f"{self.num_features}, which affine=False does not use",
                stacklevel=2,
            )
        out = F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return out if batched else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """[N, C, L] normalised over the places, by example and channel."""

    ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """[N, C, H, W] normalised over the places, by example and channel."""

    ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """[N, C, D, H, W] normalised over the places, by example and channel."""

    ndims = (4, 5)


# ---- Comparisons ---------------------------------------------------------------------------------


class CosineSimilarity(Module):
    """The cosine of the angle between two tensors along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of two tensors, over the last dimension."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
