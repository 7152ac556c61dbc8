"""Group normalisation."""

from ...kernels import group_norm as kernels
from ..fused import Fused
from .elementwise import sqrt
from .reduce import mean
from .shape import reshape


@Fused
def normalised_groups(x, groups, weight=None, bias=None, eps=1e-5):
    """(x - mean) / √(variance + eps) weight + bias, mean and variance being taken over each group
    of channels, with all places (Wu & He 2018). x [examples, channels, places]; weight, bias
    [channels] or None."""
    rows = reshape(x, (x.shape[0], groups, x.shape[1] // groups * x.shape[2]))
    centred = rows - mean(rows, 2, keepdim=True)
    normal = centred / sqrt(mean(centred * centred, 2, keepdim=True) + eps)
    normal = reshape(normal, x.shape)
    scaled = normal if weight is None else normal * reshape(weight, (-1, 1))
    return scaled if bias is None else scaled + reshape(bias, (-1, 1))


@normalised_groups.kernel
def _(x, groups, weight, bias, eps):
    y, mean, rstd = kernels.forward(x, groups, weight, bias, eps)
    return y, (mean, rstd)


@normalised_groups.gradient
def _(g, saved, wanted, x, groups, weight, bias, eps):
    dx, dweight, dbias = kernels.backward(g, x, weight, *saved)
    return dx, None, dweight, dbias, None
