"""Layer normalisation, and that by the root mean square."""

from ...kernels import layer_norm as kernels
from ...kernels import rms_norm
from ..fused import Fused, rows
from .elementwise import sqrt
from .reduce import mean


@Fused
def layer_norm(x, weight=None, bias=None, eps=1e-5):
    """(x - mean) / √(variance + eps) weight + bias, mean and variance being taken over the last
    dimension (Ba, Kiros & Hinton 2016, equation 4). x [..., n]; weight, bias [n] or None."""
    centred = x - mean(x, -1, keepdim=True)
    normal = centred / sqrt(mean(centred * centred, -1, keepdim=True) + eps)
    scaled = normal if weight is None else normal * weight
    return scaled if bias is None else scaled + bias


@layer_norm.kernel
def _(x, weight, bias, eps):
    y, mean, rstd = kernels.forward(rows(x), weight, bias, eps)
    return y.reshape(x.shape), (mean, rstd)


@layer_norm.gradient
def _(g, saved, wanted, x, weight, bias, eps):
    dx, dweight, dbias = kernels.backward(rows(g), rows(x), weight, *saved)
    return like(dx, x), dweight, dbias, None


@Fused
def rms_normal(x, weight=None, eps=1e-5):
    """x / √(mean(x²) + eps) weight, the mean being taken over the last dimension (Zhang & Sennrich
    2019, equation 4). x [..., n]; weight [n] or None."""
    normal = x / sqrt(mean(x * x, -1, keepdim=True) + eps)
    return normal if weight is None else normal * weight


@rms_normal.kernel
def _(x, weight, eps):
    y, rstd = rms_norm.forward(rows(x), weight, eps)
    return y.reshape(x.shape), (rstd,)


@rms_normal.gradient
def _(g, saved, wanted, x, weight, eps):
    dx, dweight = rms_norm.backward(rows(g), rows(x), weight, *saved)
    return like(dx, x), dweight, None


def like(dx, x):
    """dx in the shape of x; itself if it has that, for who owns its memory may keep it."""
    return dx if dx.shape == x.shape else dx.reshape(x.shape)
