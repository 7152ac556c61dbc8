"""Normalisation: activations shifted and scaled to mean 0 and variance 1, over this or that.

    layer_norm, rms_norm         over the last dimensions of each example
    group_norm, instance_norm    over the places of a group of channels, or of one, of each example
    batch_norm                   over the batch and all places, for each channel

and vectors scaled to length 1 (`normalize`) or compared with one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops import layer_norm as ops_layer_norm
from tinygen.autograd.ops.group_norm import normalised_groups, statistics
from tinygen.autograd.ops.reduce import norm
from tinygen.autograd.ops.window import window_sum
from tinygen.autograd.registry import ShapeError, composition
from tinygen.autograd.tensor import note_writes

__all__ = [
    "batch_norm", "cosine_similarity", "group_norm", "instance_norm", "layer_norm",
    "local_response_norm", "normalize", "pairwise_distance", "rms_norm",
]  # fmt: skip


# ---- Over the last dimensions --------------------------------------------------------------------


def normalized_dims(input: Tensor, normalized_shape, weight, bias, op: str) -> tuple[int, ...]:
    """The trailing shape to normalise over; refused if input, weight or bias have another."""
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{op}: normalized_shape={list(shape)} must be the end of the input's shape, "
            f"which is {input.shape}"
        )
    for name, x in (("weight", weight), ("bias", bias)):
        if x is not None and x.shape != shape:
            raise ShapeError(f"{op}: {name} must have the shape {shape}, got {x.shape}")
    return shape


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias over the trailing axes, whose shape is given.

    Several axes are normalised as one: they are flattened for the fused op, which knows the last.
    """
    shape = normalized_dims(input, normalized_shape, weight, bias, "layer_norm")
    if len(shape) == 1:
        return ops_layer_norm.layer_norm(input, weight, bias, eps)
    flat = [x if x is None else x.reshape(-1) for x in (weight, bias)]
    rows = input.reshape(*input.shape[: -len(shape)], math.prod(shape))
    return ops_layer_norm.layer_norm(rows, *flat, eps).reshape(input.shape)


@composition
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / √(mean(x²) + eps) · weight over the trailing axes (Zhang & Sennrich 2019, equation 4).

    Without `eps` it is the spacing of the dtype's numbers at 1.
    """
    shape = normalized_dims(input, normalized_shape, weight, None, "rms_norm")
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    if len(shape) == 1:
        return ops_layer_norm.rms_normal(input, weight, eps)
    flat = weight if weight is None else weight.reshape(-1)
    rows = input.reshape(*input.shape[: -len(shape)], math.prod(shape))
    return ops_layer_norm.rms_normal(rows, flat, eps).reshape(input.shape)


# ---- Over places, and the batch ------------------------------------------------------------------


def check_channels(op: str, input: Tensor, **tensors: Tensor | None) -> None:
    """Refuse what has not one number for each channel of input [N, C, *sizes]."""
    if input.ndim < 2:
        raise ShapeError(f"{op}: the input must be [N, C, *sizes], got shape {input.shape}")
    for name, x in tensors.items():
        if x is not None and x.shape != input.shape[1:2]:
            raise ShapeError(
                f"{op}: {name} must have {input.shape[1]} elements, one for each channel of the "
                f"input {input.shape}; got shape {x.shape}"
            )


@composition
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The channels of [N, C, *sizes] in `num_groups` groups, each example's of which are
    normalised together with all their places (Wu & He 2018)."""
    check_channels("group_norm", input, weight=weight, bias=bias)
    C = input.shape[1]
    if num_groups < 1 or C % num_groups:
        raise ShapeError(
            f"group_norm: the number of channels must be divisible by num_groups={num_groups}; "
            f"the input {input.shape} has {C}"
        )
    if input.array.size == C and num_groups == C:
        raise ValueError(f"group_norm: Expected more than 1 value per channel, got {input.shape}")
    return normalised_groups(input, num_groups, weight, bias, eps)


@composition
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias, each of one number per channel of [N, C, *sizes]
    (Ioffe & Szegedy 2015, algorithm 1).

    While `training`, mean and variance are those of the batch and all places, and the running ones
    move by `momentum` towards them (and the unbiased variance); else they are the running ones.
    """
    if input.shape == (0,):
        return input
    check_channels(
        "batch_norm", input, running_mean=running_mean, running_var=running_var, weight=weight,
        bias=bias,
    )  # fmt: skip
    dims = (0, *range(2, input.ndim))
    if training:
        check_several_values(input.shape, dims, "batch_norm")
        known = statistics(input.array, None)
        follow(running_mean, running_var, known, count_of(input, dims), momentum)
        return normalised_groups(input, None, weight, bias, eps, known)
    if running_mean is None or running_var is None:
        raise RuntimeError("batch_norm: running_mean and running_var are needed unless training")
    if any(s.requires_grad or s.tangent is not None for s in (running_mean, running_var)):
        return normalised_by(input, running_mean, running_var, weight, bias, eps)
    known = running_mean.array.copy(), running_var.array.copy()
    return normalised_groups(input, None, weight, bias, eps, known, True)


def normalised_by(x: Tensor, mean: Tensor, var: Tensor, weight, bias, eps: float) -> Tensor:
    """(x − mean) / √(var + eps) · weight + bias, with gradients for mean and variance as well."""
    of_channels = lambda s: s.reshape(*s.shape, *[1] * (x.ndim - 2))
    out = (x - of_channels(mean)) * of_channels((var + eps).rsqrt())
    out = out if weight is None else out * of_channels(weight)
    return out if bias is None else out + of_channels(bias)


@composition
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """batch_norm of each example by itself: mean and variance are over the places alone (Ulyanov,
    Vedaldi & Lempitsky 2016), the running ones over the batch as well."""
    check_channels(
        "instance_norm", input, running_mean=running_mean, running_var=running_var, weight=weight,
        bias=bias,
    )  # fmt: skip
    dims = tuple(range(2, input.ndim))
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "instance_norm: running_mean and running_var are needed unless use_input_stats"
            )
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    check_several_values(input.shape, dims, "instance_norm")
    known = None
    if running_mean is not None:
        known = statistics(input.array, input.shape[1])
        follow(running_mean, running_var, known, count_of(input, dims), momentum)
    return normalised_groups(input, input.shape[1], weight, bias, eps, known)


def count_of(x: Tensor, dims) -> int:
    """Over how many numbers the statistics over `dims` are taken."""
    return math.prod(x.shape[d] for d in dims)


def follow(running_mean, running_var, known, count: int, momentum: float) -> None:
    """Move the running statistics [C], if there are any, by `momentum` towards those that were just
    found of `count` numbers, [C] or [N C]: towards the unbiased variance."""
    if running_mean is None or not count:
        return
    mean, var = known
    for running, found in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
        found = found if found.shape == running.shape else found.reshape(-1, *running.shape).mean(0)
        running.array *= 1 - momentum
        running.array += momentum * found
    note_writes((running_mean, running_var), "follow")


def check_several_values(shape, dims, op: str) -> None:
    """A single value is its own mean, and has no variance. An empty batch may pass."""
    if math.prod(shape[d] for d in dims) == 1:
        what = "value per channel" if 0 in dims else "spatial element"
        raise ValueError(
            f"{op}: Expected more than 1 {what} when training, got input size {tuple(shape)}"
        )


@composition
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha · mean(x²))^beta, the mean being over `size` channels around each one (zeros
    beyond the ends) of [N, C, *sizes] (Krizhevsky, Sutskever & Hinton 2012, section 3.3)."""
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: Expected 3D or higher dimensionality input (got "
                         f"{input.ndim}D input)")  # fmt: skip
    if not input.array.size:
        return input
    channels = np.arange(input.shape[1])
    around = channels - size // 2, channels + (size - 1) // 2 + 1
    ranges = np.maximum(around[0], 0), np.minimum(around[1], input.shape[1])
    planes = (input * input).reshape(*input.shape[:2], math.prod(input.shape[2:]))
    whole = np.arange(planes.shape[2])
    sums = window_sum(planes, (ranges, (whole, whole + 1)))
    means = (sums / size).reshape(input.shape)
    return input / (means * alpha + k) ** beta


# ---- Vectors -------------------------------------------------------------------------------------


@composition
def normalize(
    input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12
) -> Tensor:
    """x / max(‖x‖_p, eps), the p-norm being over `dim`."""
    return input / norm(input, p, dim, keepdim=True).clamp(min=eps)


@composition
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) over `dim`; the shapes are broadcast.

    The bound leaves the gradient of the norm alone, as in PyTorch.
    """
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    x1, x2 = x1.expand(shape), x2.expand(shape)

    def unit(x: Tensor) -> Tensor:
        length = norm(x, 2, dim, keepdim=True)
        return x / (length + (length.clamp(min=eps) - length).detach())

    return (unit(x1) * unit(x2)).sum(dim)


@composition
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """‖x1 − x2 + eps‖_p over the last dimension."""
    return norm(x1 - x2 + eps, p, -1, keepdim)
