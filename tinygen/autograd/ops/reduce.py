"""Reductions and scans: ops that combine the elements along some dimensions (`dim`).

`dim` is None for all dimensions, an int, or a tuple of ints; `keepdim` leaves size 1 in their
place.
"""

import math

import numpy as np

from ..primitive import composition, primitive
from .compare import eq, isfinite
from .elementwise import abs, exp, log, sqrt, where
from .shape import cat, expand, flip, narrow, reshape, squeeze

__all__ = [
    "all", "amax", "amin", "any", "cumsum", "log_softmax", "logsumexp", "mean", "norm", "prod",
    "softmax", "std", "sum", "var",
]  # fmt: skip


def axes(dim):
    """`dim` as NumPy wants it: lists become tuples."""
    return tuple(dim) if isinstance(dim, list | tuple) else dim


def with_kept_dims(g, x_shape, dim):
    """A reduced tensor with size 1 in place of the dimensions that were reduced away."""
    if dim is None:
        return reshape(g, (1,) * len(x_shape))
    dims = {d % len(x_shape) for d in (dim if isinstance(dim, list | tuple) else (dim,))}
    return reshape(g, tuple(1 if i in dims else n for i, n in enumerate(x_shape)))


def spread(g, x_shape, dim, keepdim):
    """The opposite of a reduction: every element that was reduced gets the value g."""
    if x_shape and not keepdim:
        g = with_kept_dims(g, x_shape, dim)
    return expand(g, x_shape)


def reduced_count(x, dim) -> int:
    """How many elements are combined into one."""
    if dim is None:
        return x.array.size
    return math.prod(x.shape[d] for d in (dim if isinstance(dim, list | tuple) else (dim,)))


# ---- Sums ----------------------------------------------------------------------------------------


@primitive
def sum(x, dim=None, keepdim=False, dtype=None):
    """The sum over `dim`. bool and integers are summed as int64."""
    dtype = np.int64 if dtype is None and x.dtype.kind in "biu" else dtype
    return np.sum(x, axis=axes(dim), keepdims=keepdim, dtype=dtype)


sum.vjp(x=lambda g, x_shape, x_dtype, dim, keepdim: spread(g, x_shape, dim, keepdim).to(x_dtype))


@primitive
def sum_to(x, shape):
    """Sum over the dimensions along which a tensor of `shape` would be broadcast to x's shape."""
    lead = x.ndim - len(shape)
    kept = [i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1]
    return np.sum(x, axis=(*range(lead), *kept), keepdims=True).reshape(shape)


sum_to.vjp(x=lambda g, x_shape: expand(g, x_shape))


@composition
def mean(x, dim=None, keepdim=False, dtype=None):
    """The arithmetic mean over `dim`, NaN if there is nothing to average"""
    x = x if dtype is None else x.to(dtype)
    if x.dtype.kind != "f":
        raise RuntimeError(
            f"mean needs a float tensor; this one is {x.dtype}: use x.float().mean()"
        )
    count = reduced_count(x, dim)
    return sum(x, dim, keepdim) * (1 / count if count else math.nan)


@composition
def var(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """The mean squared deviation from the mean, the mean being over count - correction"""
    correction = correction if unbiased is None else int(unbiased)
    centred = x - mean(x, dim, keepdim=True)
    divisor = reduced_count(x, dim) - correction
    return sum(centred * centred, dim, keepdim) * (1 / divisor if divisor > 0 else math.nan)


@composition
def std(x, dim=None, correction=1, keepdim=False, unbiased=None):
    """The square root of the variance; its gradient is infinite where the variance is 0"""
    return sqrt(var(x, dim, correction, keepdim, unbiased))


@composition
def prod(x, dim=None, keepdim=False):
    """The product over `dim` (an int, or None for all), multiplied up in pairs: so its gradient is
    right where elements are 0, too, for which out / x would be 0 / 0."""
    if dim is None:
        total = prod(reshape(x, (-1,)), 0)
        return reshape(total, (1,) * x.ndim) if keepdim else total
    if not x.shape[dim]:
        return sum(x, dim, keepdim) + 1  # an empty product
    while (n := x.shape[dim]) > 1:
        odd = [narrow(x, dim, n - 1, 1)] if n % 2 else []
        x = cat([narrow(x, dim, 0, n // 2) * narrow(x, dim, n // 2, n // 2), *odd], dim)
    return x if keepdim else squeeze(x, dim)


@primitive
def cumsum(x, dim):
    """Element i along `dim` is the sum of elements 0 to i"""
    return np.cumsum(x, axis=dim)


cumsum.vjp(x=lambda g, dim: flip(cumsum(flip(g, dim), dim), dim))


# ---- Norms and log-sum-exp -----------------------------------------------------------------------


@composition
def logsumexp(x, dim, keepdim=False):
    """log of the sum of e^x, without overflow"""
    top = amax(x, dim, keepdim=True).detach()
    top = where(isfinite(top), top, 0.0)
    total = log(sum(exp(x - top), dim, keepdim=True)) + top
    return total if keepdim else reshape(total, sum_shape(x.shape, dim))


def sum_shape(shape, dim) -> tuple[int, ...]:
    """The shape that is left when `dim` is reduced away."""
    dims = dim if isinstance(dim, list | tuple) else (dim,)
    gone = {d % len(shape) for d in dims} if shape else set()
    return tuple(n for i, n in enumerate(shape) if i not in gone)


@primitive
def softmax(x, dim):
    """e^x divided by its sum over `dim`"""
    e = np.exp(x - np.max(x, axis=dim, keepdims=True)) if x.size else np.array(x)
    return e / e.sum(axis=dim, keepdims=True)


softmax.vjp(x=lambda g, out, dim: out * (g - sum(g * out, dim, keepdim=True)))


@primitive
def log_softmax(x, dim):
    """log(softmax(x)), exact also where the softmax underflows"""
    z = x - np.max(x, axis=dim, keepdims=True) if x.size else np.array(x)
    return z - np.log(np.exp(z).sum(axis=dim, keepdims=True))


log_softmax.vjp(x=lambda g, out, dim: g - exp(out) * sum(g, dim, keepdim=True))


@composition
def norm(x, p=2, dim=None, keepdim=False):
    """(sum of |x|^p)^(1/p); p may be inf, and "fro" is 2. The subgradient at 0 is 0."""
    if p == math.inf:
        return amax(abs(x), dim, keepdim)
    if p in (2, "fro"):
        total = sum(x * x, dim, keepdim)
        nonzero = where(eq(total, 0), 1.0, total)  # so that no 0/0 reaches the gradient
        return where(eq(total, 0), 0.0, sqrt(nonzero))
    if p == 1:
        return sum(abs(x), dim, keepdim)
    total = sum(abs(x) ** p, dim, keepdim)
    return where(eq(total, 0), 0.0, where(eq(total, 0), 1.0, total) ** (1 / p))


# ---- Extremes ------------------------------------------------------------------------------------


@primitive
def amax(x, dim=None, keepdim=False):
    """The largest element over `dim`. Equal ones share the gradient equally."""
    return np.max(x, axis=axes(dim), keepdims=keepdim)


@primitive
def amin(x, dim=None, keepdim=False):
    """The smallest element over `dim`. Equal ones share the gradient equally."""
    return np.min(x, axis=axes(dim), keepdims=keepdim)


def share_among_equals(g, x, out, dim, keepdim):
    chosen = eq(x, spread(out.detach(), x.shape, dim, keepdim)).to(g.dtype)
    share = chosen / sum(chosen, dim, keepdim=True)
    return spread(g, x.shape, dim, keepdim) * share


amax.vjp(x=share_among_equals)
amin.vjp(x=share_among_equals)


@primitive
def any(x, dim=None, keepdim=False):
    """Whether an element over `dim` is not 0"""
    return np.any(x, axis=axes(dim), keepdims=keepdim)


@primitive
def all(x, dim=None, keepdim=False):
    """Whether no element over `dim` is 0"""
    return np.all(x, axis=axes(dim), keepdims=keepdim)
