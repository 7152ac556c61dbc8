"""A linear layer and the activation behind it, computed together where nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygen.autograd.ops.linear_activation import linear_activation
from tinygen.autograd.tensor import Tensor

from . import functional as F
from .activations import GELU, LeakyReLU, ReLU, Sigmoid, SiLU, Tanh
from .layers import Linear

GELUS = {"none": ("gelu",), "tanh": ("gelu_tanh",)}

# What linear_activation is to be told of an activation, or None if it has no such form.
FUNCTIONS = [(F.relu, ("relu",)), (F.gelu, ("gelu",)), (F.silu, ("silu",)), (F.tanh, ("tanh",))]
ACTIVATIONS: dict[type, Callable[[Any], tuple | None]] = {
    ReLU: lambda module: ("relu",),
    LeakyReLU: lambda m: ("leaky_relu", m.negative_slope) if m.negative_slope > 0 else None,
    Tanh: lambda module: ("tanh",),
    Sigmoid: lambda module: ("sigmoid",),
    GELU: lambda module: GELUS.get(module.approximate),
    SiLU: lambda module: ("silu",),
}
FORWARDS = {kind: kind.forward for kind in (Linear, *ACTIVATIONS)}


def activated(linear: Any, activation: Any, x: Any) -> Any:
    """activation(linear(x)), by one kernel if both are as they are written here."""
    form = form_of(activation) if can_fuse(linear, x) else None
    if form is None:
        return activation(linear(x))
    return linear_activation(x, linear.weight, linear.bias, *form)


def can_fuse(linear: Any, x: Any) -> bool:
    """Whether linear(x) is the product of x and a weight, and nothing else."""
    return type(linear) is Linear and is_plain(linear) and isinstance(x, Tensor)


def form_of(activation: Any) -> tuple | None:
    """The options that make linear_activation end in this activation; None if nothing does. One
    that writes over its input is welcome: that input is nobody else's."""
    for function, options in FUNCTIONS:
        if activation is function:
            return options
    options = ACTIVATIONS.get(type(activation))
    return options(activation) if options is not None and is_plain(activation) else None


def is_plain(module: Any) -> bool:
    """Whether to call the module is to run its class's `forward` as written here: no hook looks on,
    and nobody has put another function in its place."""
    return (
        FORWARDS[type(module)] is type(module).forward
        and not module._forward_hooks
        and not module._forward_pre_hooks
        and "forward" not in vars(module)
    )
