"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tinygen.autograd import Tensor
from tinygen.autograd.ops.join import cat
from tinygen.autograd.registry import ShapeError

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened, as one vector; differentiable."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put consecutive slices of `vec` in the place of the parameters' values."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters takes a tensor, got {type(vec).__name__}")
    parameters = list(parameters)
    needed = sum(p.array.size for p in parameters)
    if vec.ndim != 1 or len(vec) < needed:
        raise ShapeError(
            f"vector_to_parameters: the parameters need a vector of {needed} numbers, got shape "
            f"{vec.shape}"
        )
    start = 0
    for param in parameters:
        size = param.array.size
        param.data = vec.detach()[start : start + size].reshape(param.shape)
        start += size
