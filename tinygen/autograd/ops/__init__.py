"""The ops, by topic. Every one is in `tinygen.autograd.primitive.registry`."""

from . import elementwise, index, linalg, order, reduce, shape

__all__ = ["elementwise", "index", "linalg", "order", "reduce", "shape"]
