"""Group and batch normalisation."""

from ...kernels import group_norm as kernels
from ..fused import Fused
from .elementwise import sqrt
from .reduce import mean
from .shape import reshape


@Fused
def normalised_groups(x, groups, weight=None, bias=None, eps=1e-5, known=None):
    """(x - mean) / √(variance + eps) weight + bias, mean and variance being taken over each group
    of channels, with all places (Wu & He 2018); or, with groups=None, over each channel, with all
    examples and places (Ioffe & Szegedy 2015). x [examples, channels, places]; weight, bias
    [channels] or None; known: the two statistics, as arrays, if they need not be computed again."""
    if groups is None:
        rows, dims = x, (0, 2)
    else:
        rows, dims = reshape(x, (x.shape[0], groups, x.shape[1] // groups * x.shape[2])), 2
    centred = rows - mean(rows, dims, keepdim=True)
    normal = centred / sqrt(mean(centred * centred, dims, keepdim=True) + eps)
    normal = reshape(normal, x.shape)
    scaled = normal if weight is None else normal * reshape(weight, (-1, 1))
    return scaled if bias is None else scaled + reshape(bias, (-1, 1))


@normalised_groups.kernel
def _(x, groups, weight, bias, eps, known):
    y, mean, rstd = kernels.forward(x, groups, weight, bias, eps, known)
    return y, (mean, rstd)


@normalised_groups.gradient
def _(g, saved, wanted, x, groups, weight, bias, eps, known):
    dx, dweight, dbias = kernels.backward(g, x, groups, weight, *saved)
    return dx, None, dweight, dbias, None, None
