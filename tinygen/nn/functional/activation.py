"""Activations. Each is one line of mathematics, given in its docstring, applied to every element.

With `inplace` the result is also written over the input, as some PyTorch scripts rely on.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygen.autograd import Tensor, fused
from tinygen.autograd.ops import composed, elementwise, reduce
from tinygen.autograd.ops.composed import softplus
from tinygen.autograd.ops.elementwise import abs, clamp, expm1, logsigmoid, sigmoid, tanh, where
from tinygen.autograd.ops.shape import chunk
from tinygen.autograd.primitive import composition

__all__ = [
    "elu", "gelu", "glu", "hardtanh", "leaky_relu", "log_softmax", "logsigmoid", "mish", "relu",
    "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh",
]  # fmt: skip


def _over(input: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Write function(input) over the input; gradients read a copy of what was there before."""
    return input.copy_(function(input.clone()))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); its gradient at 0 is 0."""
    return _over(input, elementwise.relu) if inplace else elementwise.relu(input)


@composition
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, otherwise negative_slope · x (Maas, Hannun & Ng 2013)."""
    if inplace:
        return _over(input, lambda x: leaky_relu(x, negative_slope))
    return where(input > 0, input, negative_slope * input)


@composition
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, otherwise α (eˣ − 1) (Clevert, Unterthiner & Hochreiter 2016)."""
    if inplace:
        return _over(input, lambda x: elu(x, alpha))
    positive = input > 0
    negative_part = where(positive, 0.0, input)  # e^x must not overflow unused
    return where(positive, input, alpha * expm1(negative_part))


@composition
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """λ · elu(x, α), with constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    if inplace:
        return _over(input, selu)
    return 1.0507009873554804934193349852946 * elu(input, 1.6732632423543772848170429916717)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x), Φ being the normal distribution function (Hendrycks & Gimpel 2016).

    approximate="tanh" is the formula with a tanh that GPT-2 used.
    """
    return fused.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also known as swish (Elfwing, Uchibe & Doya 2018)."""
    return _over(input, composed.silu) if inplace else composed.silu(input)


@composition
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x)) (Misra 2020)."""
    return _over(input, mish) if inplace else input * tanh(softplus(input))


@composition
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (1 + abs(input))


@composition
def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x, cut off at `min_val` and `max_val`."""
    if inplace:
        return _over(input, lambda x: hardtanh(x, min_val, max_val))
    return clamp(input, min_val, max_val)


@composition
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), where a and b are the halves of the axis `dim` (Dauphin et al. 2017)."""
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(f"glu halves axis {dim}, so its size must be even, but it is {size}")
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)


def softmax(input: Tensor, dim: int, dtype=None) -> Tensor:
    """exp(x) / Σ exp(x) along `dim`, after conversion to `dtype` if that is given."""
    return reduce.softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input: Tensor, dim: int, dtype=None) -> Tensor:
    """x − log Σ exp(x) along `dim`, exact where the softmax itself would underflow."""
    return reduce.log_softmax(input if dtype is None else input.to(dtype), dim)
