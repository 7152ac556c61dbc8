"""Activations. Each is one line of mathematics, given in its docstring, applied to every element.

With `inplace` the result is also written over the input, as some PyTorch scripts rely on. At a kink
the slope is PyTorch's: that of the flat side where there is one.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygen.autograd import Tensor, fused
from tinygen.autograd.ops import activation, elementwise
from tinygen.autograd.ops.activation import (
    hardshrink,
    softplus,
    softsign,
    tanhshrink,
)
from tinygen.autograd.ops.choose import where
from tinygen.autograd.ops.elementwise import logsigmoid, sigmoid, tanh
from tinygen.autograd.random import Generator, rand
from tinygen.autograd.registry import ShapeError, composition

__all__ = [
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip


def _over(input: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Write function(input) over the input; gradients read a copy of what was there before."""
    return input.copy_(function(input.clone()))


# ---- Straight where positive ---------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); its gradient at 0 is 0."""
    return _over(input, elementwise.relu) if inplace else elementwise.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, otherwise negative_slope · x (Maas, Hannun & Ng 2013)."""
    bent = lambda x: activation.leaky_relu(x, negative_slope)
    return _over(input, bent) if inplace else bent(input)


@composition
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, otherwise weight · x (He et al. 2015, equation 1).

    weight: one slope, or [C], one for each channel of an input [N, C, ...].
    """
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.array.size not in (1, channels):
        raise ShapeError(
            f"prelu: the weight must hold one slope, or one for each of the {channels} channels "
            f"(axis 1) of an input of shape {input.shape}; it has shape {weight.shape}"
        )
    if weight.array.size > 1:
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    elif weight.ndim:
        weight = weight.reshape(())
    return where(input > 0, input, weight * input)


@composition
def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """x where positive, otherwise a · x, with a slope uniform in [lower, upper) for each element.

    When not `training`, all slopes are the mean, (lower + upper)/2 (Xu et al. 2015, section 2.4).
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not be greater than upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = rand(input.shape, dtype=input.dtype, generator=generator) * (upper - lower) + lower
    straight = lambda x: where(x > 0, x, slope * x)
    return _over(input, straight) if inplace else straight(input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, otherwise α (eˣ − 1) (Clevert, Unterthiner & Hochreiter 2016)."""
    bent = lambda x: activation.elu(x, alpha)
    return _over(input, bent) if inplace else bent(input)


@composition
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """λ · elu(x, α), with constants that keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    if inplace:
        return _over(input, selu)
    return activation.elu(
        input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    )


@composition
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, otherwise α (e^(x/α) − 1), whose slope has no step at 0 (Barron 2017)."""
    if alpha == 0:
        raise RuntimeError("celu divides by alpha, which must not be 0")
    bent = lambda x: activation.elu(x, alpha, 1.0, alpha)
    return _over(input, bent) if inplace else bent(input)


# ---- Smooth --------------------------------------------------------------------------------------


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Φ(x), Φ being the normal distribution function (Hendrycks & Gimpel 2016).

    approximate="tanh" is the formula with a tanh that GPT-2 used.
    """
    return fused.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x), also known as swish (Elfwing, Uchibe & Doya 2018)."""
    return _over(input, activation.silu) if inplace else activation.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x)) (Misra 2020)."""
    return _over(input, activation.mish) if inplace else activation.mish(input)


# ---- In straight pieces --------------------------------------------------------------------------


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """x, cut off at `min_val` and `max_val`; its gradient is 0 at both."""
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val {min_val} is greater than max_val {max_val}")
    cut = lambda x: activation.hardtanh(x, min_val, max_val)
    return _over(input, cut) if inplace else cut(input)


@composition
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6) (Krizhevsky 2010)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3)/6: 0 up to −3, 1 from 3, a straight line between."""
    return _over(input, activation.hardsigmoid) if inplace else activation.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · relu6(x + 3)/6 (Howard et al. 2019, section 5.2)."""
    return _over(input, activation.hardswish) if inplace else activation.hardswish(input)


@composition
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where it is above `threshold`, otherwise `value`."""
    replaced = lambda x: where(x <= threshold, value, x)
    return _over(input, replaced) if inplace else replaced(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, and 0 where |x| ≤ lambd."""
    if not lambd >= 0:
        raise RuntimeError(f"softshrink: lambda must be greater or equal to 0, but found {lambd}")
    return activation.softshrink(input, lambd)
