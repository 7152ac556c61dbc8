"""The ops, by topic. Every one is in `tinygen.autograd.primitive.registry`."""

from . import compare, composed, elementwise, index, linalg, order, reduce, shape

__all__ = ["compare", "composed", "elementwise", "index", "linalg", "order", "reduce", "shape"]
