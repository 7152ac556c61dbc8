"""Parameter: the tensor that a module registers and an optimizer updates."""

from __future__ import annotations

from collections.abc import Iterable

from tinygen.autograd import Tensor
from tinygen.autograd.creation import as_tensor

__all__ = ["Parameter", "zero_grad"]


class Parameter(Tensor):
    """A leaf tensor that becomes part of a module by being assigned to one of its attributes.

    It shares memory with `data`, and requires grad unless told otherwise.
    """

    def __init__(self, data, requires_grad: bool = True):
        data = as_tensor(data)
        super().__init__(data.array, requires_grad)
        self._storage = data.storage  # a write to either must be noticed by the graph of the other

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def zero_grad(params: Iterable[Tensor], set_to_none: bool = True) -> None:
    """Forget the gradients of all `params`, or fill them with zeros."""
    for param in params:
        if set_to_none:
            param.grad = None
        elif param.grad is not None:
            param.grad = param.grad.detach().zero_()
