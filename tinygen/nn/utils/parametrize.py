"""Parametrisation: a weight that is computed from something else whenever it is read.

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).mT

    register_parametrization(layer, "weight", Symmetric())

Then `layer.weight` is symmetric, and what is trained and saved is
`layer.parametrizations.weight.original`. Module.__getattr__ looks into `parametrizations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygen.autograd import Tensor, no_grad
from tinygen.autograd.registry import ShapeError

from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations",
]  # fmt: skip


class ParametrizationList(ModuleList):
    """Functions applied one after the other to `original`, or to `original0`, `original1`, …

    There are several originals if the first function has a `right_inverse` that returns several.
    """

    def __init__(self, modules: Iterable[Module], original: Tensor):
        super().__init__(modules)
        self._is_parameter = isinstance(original, Parameter)
        requires_grad = original.requires_grad
        with no_grad():
            values = self._inverted(original)
        self._names = ["original"]
        if isinstance(values, tuple):
            self._names = [f"original{i}" for i in range(len(values))]
        for name, value in zip(self._names, values if isinstance(values, tuple) else (values,)):
            if not self._is_parameter:
                self.register_buffer(name, value)
            elif isinstance(value, Parameter):  # the same one, which an optimizer may have
                self.register_parameter(name, value)
            else:
                self.register_parameter(name, Parameter(value.detach(), requires_grad))

    def originals(self) -> list[Tensor]:
        """What the weight is computed from."""
        return [getattr(self, name) for name in self._names]

    def forward(self) -> Tensor:
        first, *rest = self
        value = first(*self.originals())
        for module in rest:
            value = module(value)
        return value

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals to something that gives `value`."""
        with no_grad():
            values = self._inverted(value)
            values = values if isinstance(values, tuple) else (values,)
            for original, new in zip(self.originals(), values, strict=True):
                original.copy_(new)

    def _inverted(self, value: Tensor) -> Any:
        for module in reversed(list(self)):
            if hasattr(module, "right_inverse"):
                value = module.right_inverse(value)
        return value


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether this attribute, or any, is computed by a parametrisation."""
    found = module._modules.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return bool(len(found)) if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let `parametrization` compute the parameter or buffer `tensor_name` of `module`.

    If it has a method `right_inverse`, this says what to begin with, and what becomes of a value
    that is assigned; without one, the function is applied to the value that is there. A second
    registration is applied to the result of the first. Unless `unsafe`, shape and dtype must stay.
    """
    parametrization.train(module.training)
    before = getattr(module, tensor_name, None)
    if not isinstance(before, Tensor):
        raise ValueError(
            f"{type(module).__name__} has no parameter or buffer '{tensor_name}' to parametrise"
        )
    if is_parametrized(module, tensor_name):
        found = module.parametrizations[tensor_name]
        found.append(parametrization)
        undo = lambda: found.__delitem__(-1)
    else:
        found = ParametrizationList([parametrization], before)
        undo = lambda: None
    with no_grad():
        after = found()
    if not unsafe and (after.shape, after.dtype) != (before.shape, before.dtype):
        undo()
        raise ShapeError(
            f"a parametrisation must keep shape and dtype: {tensor_name} was {before.shape} "
            f"{before.dtype}, {type(parametrization).__name__} gives {after.shape} {after.dtype}; "
            "pass unsafe=True if that is meant"
        )
    if not is_parametrized(module, tensor_name):
        delattr(module, tensor_name)
        if not is_parametrized(module):
            module.parametrizations = ModuleDict()
        module.parametrizations[tensor_name] = found
    return module


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make `tensor_name` an ordinary parameter again: with its present value, or the original."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{type(module).__name__}.{tensor_name} is not parametrised")
    found = module.parametrizations[tensor_name]
    originals = found.originals()
    if not leave_parametrized and len(originals) > 1:
        raise ValueError(
            f"{tensor_name} has {len(originals)} originals, of which none can take its place; use "
            "leave_parametrized=True"
        )
    with no_grad():
        value = found().detach()
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        del module.parametrizations
    original = originals[0]
    if leave_parametrized and len(originals) == 1:
        original.data = value  # the same object, so that an optimizer that has it goes on
    elif leave_parametrized:
        original = Parameter(value, original.requires_grad) if found._is_parameter else value
    if found._is_parameter:
        module.register_parameter(tensor_name, original)  # pyright: ignore[reportArgumentType]
    else:
        module.register_buffer(tensor_name, original)
    return module
