"""The ops, by topic. Every one is in `tinygen.autograd.primitive.registry`."""

from . import (
    aliases,
    choose,
    compare,
    composed,
    elementwise,
    index,
    linalg,
    order,
    reduce,
    shape,
    special,
)

__all__ = [
    "aliases", "choose", "compare", "composed", "elementwise", "index", "linalg", "order", "reduce",
    "shape", "special",
]  # fmt: skip
