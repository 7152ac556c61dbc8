"""The ops, by topic. Every one is in `tinygen.autograd.registry.registry`."""

from . import (
    activation,
    aliases,
    along,
    arrange,
    choose,
    compare,
    composed,
    diagonal,
    dropout,
    elementwise,
    incomplete_beta,
    incomplete_gamma,
    index,
    join,
    layer_norm,
    linalg,
    linear_activation,
    mask,
    order,
    reduce,
    scan,
    scatter,
    shape,
    slices,
    softmax,
    special,
    statistics,
)  # fmt: skip

__all__ = [
    "activation", "aliases", "along", "arrange", "choose", "compare", "composed", "diagonal",
    "dropout", "elementwise", "incomplete_beta", "incomplete_gamma", "index", "join", "layer_norm",
    "linalg", "linear_activation", "mask", "order", "reduce", "scan", "scatter", "shape", "slices",
    "softmax", "special", "statistics",
]  # fmt: skip
