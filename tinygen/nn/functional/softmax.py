"""Activations that mix the elements along one axis: the softmax and its kin, and gates."""

from __future__ import annotations

import warnings

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops import softmax as ops_softmax
from tinygen.autograd.ops.elementwise import sigmoid
from tinygen.autograd.ops.join import chunk
from tinygen.autograd.ops.shape import checked_dim
from tinygen.autograd.random import Generator, rng_of
from tinygen.autograd.registry import composition

__all__ = [
    "glu", "gumbel_softmax", "log_softmax", "softmax", "softmin",
]  # fmt: skip


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`, after conversion to `dtype` if that is given."""
    dim = _given("softmax", input, dim, _stacklevel)
    return ops_softmax.softmax(input if dtype is None else input.to(dtype), dim)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """softmax(−x)."""
    dim = _given("softmin", input, dim, _stacklevel)
    return ops_softmax.softmax(-(input if dtype is None else input.to(dtype)), dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """x − log Σ exp(x) along `dim`, exact where the softmax itself would underflow."""
    dim = _given("log_softmax", input, dim, _stacklevel)
    return ops_softmax.log_softmax(input if dtype is None else input.to(dtype), dim)


def _given(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """`dim`; without one, PyTorch's old guess, and a warning."""
    if dim is not None:
        return dim
    dim = 0 if input.ndim in (0, 1, 3) else 1
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated; here it is dim={dim}. "
        "Say which one you mean.",
        stacklevel=stacklevel,
    )
    return dim


@composition
def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """softmax((logits + g)/tau), g being Gumbel noise: a differentiable sample of a category.

    The smaller tau, the nearer to one-hot (Jang, Gu & Poole 2017, equation 2; Maddison, Mnih & Teh
    2017). `hard` gives the one-hot vector of the category, with the gradient of the soft sample.
    `eps` does nothing; PyTorch has it for compatibility, too.
    """
    noise = np.asarray(rng_of(generator).gumbel(size=logits.shape), logits.dtype)
    soft = ops_softmax.softmax((logits + Tensor(noise)) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    one_hot = (soft.detach() * 0).scatter(dim, index, 1.0)
    return one_hot - soft.detach() + soft


@composition
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), where a and b are the halves of the axis `dim` (Dauphin et al. 2017)."""
    if not input.ndim:
        raise RuntimeError("glu halves an axis, but a 0-d tensor has none")
    size = input.shape[checked_dim(dim, input.ndim, "glu")]
    if size % 2:
        raise RuntimeError(f"glu halves axis {dim}, so its size must be even, but it is {size}")
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)
