"""Containers: modules that hold others in a list, a dict, or one after the other."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from tinygen.autograd import Tensor

from .fusion import ACTIVATIONS, activated
from .layers import Linear
from .module import Module
from .parameter import Parameter

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Listed(Module):
    """Modules under the names "0", "1", …: what Sequential and ModuleList have in common."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        """A module, or for a slice a container of the same kind that shares the modules."""
        if isinstance(index, slice):
            return self._of(list(self._modules.items())[index])
        return self._modules[self._name_at(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [self._name_at(index)]:
            delattr(self, name)
        self._modules = {str(i): module for i, module in enumerate(self)}

    def _of(self, named: list[tuple[str, Any]]) -> Self:
        raise NotImplementedError

    def _name_at(self, index: int) -> str:
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"index {position} is out of range: there are {len(self)} modules")
        return list(self._modules)[position]

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several modules at the end."""
        for module in tuple(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at `index`."""
        modules = list(self)
        modules.insert(index, module)
        self._modules = {}
        return self.extend(modules)


class Sequential(_Listed):
    """Modules applied one after the other: each takes what the one before it returned.

    Takes the modules as arguments, or an OrderedDict (any dict) that names them. A Linear and the
    activation behind it are computed together, by a kernel, where that makes no difference.
    """

    def __init__(self, *modules: Any):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def _of(self, named: list[tuple[str, Any]]) -> Self:
        return type(self)(dict(named))

    def forward(self, input: Any) -> Any:
        modules, i = list(self), 0
        while i < len(modules):
            following = modules[i + 1] if i + 1 < len(modules) else None
            if type(modules[i]) is Linear and type(following) in ACTIVATIONS:
                input = activated(modules[i], following, input)
                i += 2
            else:
                input = modules[i](input)
                i += 1
        return input


class ModuleList(_Listed):
    """A list of modules; it has no `forward`, so the owner says how to use them."""

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(modules or ())

    def _of(self, named: list[tuple[str, Any]]) -> Self:
        return type(self)([module for _, module in named])


class ModuleDict(Module):
    """A dict of modules; it has no `forward`, so the owner says how to use them."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        super().__init__()
        self.update(modules or {})

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace several modules."""
        for key, module in dict(modules).items():
            self[key] = module

    def keys(self):
        return self._modules.keys()

    def values(self):
        return self._modules.values()

    def items(self):
        return self._modules.items()

    def pop(self, key: str) -> Module | None:
        """Take a module out, and return it."""
        return self._modules.pop(key)


class ParameterList(Module):
    """A list of parameters; plain tensors are made into parameters."""

    def __init__(self, values: Iterable[Tensor] | None = None):
        super().__init__()
        self.extend(values or ())

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parameters.values())

    def __getitem__(self, index: int) -> Any:
        return list(self)[index]

    def __setitem__(self, index: int, value: Tensor) -> None:
        setattr(self, str(range(len(self))[index]), _as_parameter(value))

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add several parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return _listing(self._parameters)


class ParameterDict(Module):
    """A dict of parameters; plain tensors are made into parameters."""

    def __init__(self, parameters: Mapping[str, Tensor] | None = None):
        super().__init__()
        for key, value in (parameters or {}).items():
            self[key] = value

    def __getitem__(self, key: str) -> Any:
        return self._parameters[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        self.register_parameter(key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._parameters[key]

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def keys(self):
        return self._parameters.keys()

    def values(self):
        return self._parameters.values()

    def items(self):
        return self._parameters.items()

    def extra_repr(self) -> str:
        return _listing(self._parameters)


def _as_parameter(value: Tensor) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)


def _listing(parameters: Mapping[str, Parameter | None]) -> str:
    return ", ".join(f"{key}: {list(p.shape)}" for key, p in parameters.items() if p is not None)
