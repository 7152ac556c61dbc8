"""Group and batch normalisation."""

import math

import numpy as np

from ...kernels import column_norm, layer_norm
from ...kernels import group_norm as kernels
from ..fused import Fused
from ..tensor import Tensor
from .elementwise import sqrt
from .layer_norm import like
from .reduce import mean
from .shape import reshape


@Fused
def normalised_groups(x, groups, weight=None, bias=None, eps=1e-5, known=None, fixed=False):
    """(x - mean) / √(variance + eps) weight + bias, mean and variance being taken over each group
    of channels, with all places (Wu & He 2018); or, with groups=None, over each channel, with all
    examples and places (Ioffe & Szegedy 2015). x [examples, channels, *places]; weight, bias
    [channels] or None; known: the two statistics, as arrays with a number for each group, or
    channel, if they need not be computed again, or if they are `fixed` ones, not those of x."""
    examples, channels, *sizes = x.shape
    if groups is None:
        rows, dims = reshape(x, (examples, channels, math.prod(sizes))), (0, 2)
    else:
        rows, dims = reshape(x, (examples, groups, channels // groups * math.prod(sizes))), 2
    constants = [Tensor(k.reshape(-1, 1)) for k in known or ()] if fixed else None
    centred = rows - (constants[0] if constants else mean(rows, dims, keepdim=True))
    var = constants[1] if constants else mean(centred * centred, dims, keepdim=True)
    normal = reshape(centred / sqrt(var + eps), x.shape)
    ones = (1,) * len(sizes)
    scaled = normal if weight is None else normal * reshape(weight, (channels, *ones))
    return scaled if bias is None else scaled + reshape(bias, (channels, *ones))


@normalised_groups.kernel
def _(x, groups, weight, bias, eps, known, fixed):
    if not is_vectors(x):
        y, mean, rstd = kernels.forward(x, groups, weight, bias, eps, known)
    elif groups is None:
        y, mean, rstd = column_norm.forward(as_matrix(x), weight, bias, eps, known)
    else:
        y, mean, rstd = layer_norm.forward(as_rows(x, groups), weight, bias, eps)
    return y.reshape(x.shape), (mean, rstd)


@normalised_groups.gradient
def _(g, saved, wanted, x, groups, weight, bias, eps, known, fixed):
    if not is_vectors(x):
        dx, dweight, dbias = kernels.backward(g, x, groups, weight, *saved, fixed=fixed)
    elif groups is None:
        matrices = as_matrix(g), as_matrix(x)
        dx, dweight, dbias = column_norm.backward(*matrices, weight, *saved, fixed=fixed)
    else:
        rows = as_rows(g, groups), as_rows(x, groups)
        dx, dweight, dbias = layer_norm.backward(*rows, weight, *saved)
    return like(dx, x), None, dweight, dbias, None, None, None


# ---- Vectors: one place --------------------------------------------------------------------------


def is_vectors(x: np.ndarray) -> bool:
    return math.prod(x.shape[2:]) == 1


def as_matrix(x: np.ndarray) -> np.ndarray:
    return x if x.ndim == 2 else x.reshape(x.shape[:2])


def as_rows(x: np.ndarray, groups: int) -> np.ndarray:
    return x.reshape(len(x) * groups, x.shape[1] // groups)


def statistics(x: np.ndarray, groups: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each group, or channel, as arrays: to be `known`."""
    if groups is None and is_vectors(x):
        return column_norm.statistics(as_matrix(x))
    return kernels.statistics(x, groups)
