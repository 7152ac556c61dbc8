"""The ops, by topic. Every one is in `tinygen.autograd.primitive.registry`."""

from . import (
    aliases,
    arrange,
    choose,
    compare,
    composed,
    diagonal,
    elementwise,
    index,
    join,
    linalg,
    mask,
    order,
    reduce,
    scan,
    scatter,
    shape,
    slices,
    special,
    statistics,
)  # fmt: skip

__all__ = [
    "aliases", "arrange", "choose", "compare", "composed", "diagonal", "elementwise", "index",
    "join", "linalg", "mask", "order", "reduce", "scan", "scatter", "shape", "slices", "special",
    "statistics",
]  # fmt: skip
