"""Softmax and its logarithm."""

from __future__ import annotations

import operator

import numpy as np

from ...kernels import softmax as kernels
from ..fused import Fused, rows
from .elementwise import exp
from .reduce import logsumexp
from .shape import checked_dim

__all__ = ["log_softmax", "softmax"]


@Fused
def softmax(x, dim, dtype=None):
    """e^x divided by its sum over `dim`; x is converted to `dtype` first"""
    x = x if dtype is None else x.to(dtype)
    return exp(x - logsumexp(x, dim, keepdim=True))


@Fused
def log_softmax(x, dim, dtype=None):
    """log(softmax(x)), exact also where the softmax underflows"""
    x = x if dtype is None else x.to(dtype)
    return x - logsumexp(x, dim, keepdim=True)


def with_last(x: np.ndarray, dim) -> np.ndarray:
    """x with dimension `dim` in the last place; a 0-d array has one of size 1"""
    x, dim = x.reshape(1) if not x.ndim else x, checked_dim(operator.index(dim), x.ndim, "")
    return x if dim == x.ndim - 1 else x.swapaxes(dim, -1)


def declare(op: Fused, log: bool) -> None:
    """Let the kernels serve `op`."""

    @op.kernel
    def _(x, dim, dtype):
        x = x if dtype is None else x.astype(dtype)
        if x.ndim == 2 and dim.__class__ is int and dim in (1, -1):
            out = kernels.forward(x, log)
        else:
            moved = with_last(x, dim)
            y = kernels.forward(rows(moved), log).reshape(moved.shape)
            out = with_last(y, dim).reshape(x.shape)
        return out, (out,)

    @op.gradient
    def _(g, saved, wanted, x, dim, dtype):
        y, dy = with_last(saved[0], dim), with_last(g, dim)
        dx = kernels.backward(rows(dy), rows(y), log).reshape(y.shape)
        dx = with_last(dx, dim).reshape(x.shape)
        return dx.astype(x.dtype, copy=False), None, None


declare(softmax, log=False)
declare(log_softmax, log=True)
