"""Module: a tree of parts that knows its parameters, and calls `forward`.

All the magic is in `__setattr__`. What is assigned to an attribute is filed in a register:

    _parameters   a Parameter                         trained, and saved
    _buffers      a Tensor given to register_buffer   saved, but not trained
    _modules      a Module                            searched for more of all three

and `__getattr__` finds it there again. Everything else in this file walks over these registers.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from tinygen.autograd import Tensor, no_grad
from tinygen.autograd.creation import as_tensor
from tinygen.autograd.tensor import RemovableHandle

from .parameter import Parameter, zero_grad

__all__ = ["Module"]


class LoadResult(NamedTuple):
    """What `load_state_dict` looked for in vain, and what it had no use for."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={self[0]}, unexpected_keys={self[1]})"


class Module:
    """The base of layers and models. Make the parts in `__init__`, use them in `forward`:

    class MLP(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = nn.Linear(2, 16), nn.Linear(16, 1)

        def forward(self, x):
            return self.out(F.relu(self.hidden(x)))
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent_buffers=set(),
            _forward_pre_hooks={},
            _forward_hooks={},
        )

    # ---- Calling ---------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f'{type(self).__name__} is missing the required "forward" method')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, with the hooks around it. A hook that returns something replaces it."""
        for hook in tuple(self._forward_pre_hooks.values()):
            found = hook(self, args)
            if found is not None:
                args = found if isinstance(found, tuple) else (found,)
        out = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            found = hook(self, args, out)
            if found is not None:
                out = found
        return out

    def register_forward_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, args)` before each `forward`."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, args, output)` after each `forward`."""
        return RemovableHandle(self._forward_hooks, hook)

    # ---- The registers ---------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        parametrization = self._parametrization(name)
        if parametrization is not None:
            parametrization.right_inverse(value)
        elif isinstance(value, Parameter):
            self._file("_parameters", name, value)
        elif isinstance(value, Module):
            self._file("_modules", name, value)
        else:
            for register, kind in REGISTERS.items():
                if name in self.__dict__.get(register, ()):
                    _check_kind(name, value, kind)
                    self.__dict__[register][name] = value
                    return
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:  # only called for what is not an ordinary attribute
        for register in REGISTERS:
            found = self.__dict__.get(register, ())
            if name in found:
                return found[name]
        parametrization = self._parametrization(name)
        if parametrization is not None:
            return parametrization()
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _parametrization(self, name: str) -> Any:
        """What computes this attribute, if nn.utils.parametrize was told to; otherwise None."""
        found = self.__dict__.get("_modules", {}).get("parametrizations")
        return None if found is None else found._modules.get(name)

    def __delattr__(self, name: str) -> None:
        for register in REGISTERS:
            if name in self.__dict__.get(register, ()):
                del self.__dict__[register][name]
                self._non_persistent_buffers.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._parameters, *self._buffers, *self._modules})

    def _file(self, register: str, name: str, value: Any) -> None:
        """Put `value` into a register, and take its name out of wherever else it was."""
        if register not in self.__dict__:
            raise AttributeError(
                f"cannot assign {register[1:]} before Module.__init__() call: "
                f"begin {type(self).__name__}.__init__ with super().__init__()"
            )
        self.__dict__.pop(name, None)
        for other in REGISTERS:
            if other != register:
                self.__dict__[other].pop(name, None)
        self._non_persistent_buffers.discard(name)
        self.__dict__[register][name] = value

    def _register(self, register: str, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise KeyError(
                f"a name must be a string that is not empty and has no dot, got {name!r}"
            )
        if hasattr(self, name) and name not in self.__dict__.get(register, ()):
            raise KeyError(f"attribute '{name}' already exists")
        _check_kind(name, value, REGISTERS[register])
        self._file(register, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter by name. None says that the module could have one, but does without."""
        self._register("_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but not trained, such as a mask or a running mean.

        One that is not `persistent` is left out of `state_dict`: it can be computed again.
        """
        self._register("_buffers", name, tensor)
        if not persistent:
            self._non_persistent_buffers.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a submodule by name."""
        self._register("_modules", name, module)

    add_module = register_module

    # ---- Walking over the tree -------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, each once, with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, with their dotted paths; each one once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each one once."""
        return (module for _, module in self.named_modules())

    def _named_members(
        self, register: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        """What is in one register of this module and, if `recurse`, of all below it."""
        below = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        seen: set[int] = set()
        for path, module in below if recurse else [(prefix, self)]:
            for name, value in module.__dict__[register].items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield _join(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their dotted paths; one that two modules share comes once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """What an optimizer is to update; each parameter once."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their dotted paths, each once."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The tensors that are state but are not trained; each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path, such as "blocks.0.attention"; "" is this one."""
        module = self
        for name in target.split(".") if target else ():
            found = getattr(module, name, None)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no submodule '{name}'")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path, such as "blocks.0.attention.query.weight"."""
        return self._get_member(target, Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        return self._get_member(target, Tensor)

    def _get_member(self, target: str, kind: type) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        found = getattr(module, name, None)
        if not isinstance(found, kind):
            raise AttributeError(f"{type(module).__name__} has no {kind.__name__} '{name}'")
        return found

    # ---- State -----------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """All parameters and persistent buffers by dotted path, sharing memory with the module.

        A shared parameter is listed under each of its names. `keep_vars` gives the parameters
        themselves; otherwise they come detached from the graph.
        """
        state: dict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(prefix=prefix.rstrip("."), remove_duplicate=False):
            skip = module._non_persistent_buffers
            for name, value in (*module._parameters.items(), *module._buffers.items()):
                if value is not None and name not in skip:
                    state[_join(path, name)] = value if keep_vars else value.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> LoadResult:
        """Copy values in from a mapping of dotted paths to tensors (or ndarrays).

        With `assign` parameters and buffers take over the given memory, and its dtype, instead.
        Returns the missing and the unexpected keys, which only `strict=False` lets pass. All that
        is wrong is listed in one RuntimeError, and then nothing has been loaded.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = self.state_dict(keep_vars=True)
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        found = {key: _as_tensor(key, state_dict[key]) for key in own if key in state_dict}

        errors = []
        if strict and missing:
            errors.append(f"Missing key(s) in state_dict: {_quoted(missing)}.")
        if strict and unexpected:
            errors.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}.")
        errors += [
            f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
            f"the shape in current model is {own[key].shape}."
            for key, value in found.items()
            if value.shape != own[key].shape
        ]
        if errors:
            name = type(self).__name__
            raise RuntimeError(
                f"Error(s) in loading state_dict for {name}:\n\t" + "\n\t".join(errors)
            )
        with no_grad():
            for key, value in found.items():
                if assign:
                    own[key].data = value.detach()
                else:
                    own[key].copy_(value)
        return LoadResult(missing, unexpected)

    # ---- Modes and types -------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode for this module and all below: dropout drops."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Evaluation mode for this module and all below: dropout lets everything pass."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children first; typically to initialise weights."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or thaw all parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        zero_grad(self.parameters(), set_to_none)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert floating-point parameters and buffers, in place: `to(tg.float64)`.

        `to("cpu")`, `to(device="cpu")` and `to(other_tensor)` are understood too; there is no other
        device.
        """
        return self._convert(lambda x: x.to(*args, **kwargs))

    def float(self) -> Self:
        """Convert to float32."""
        return self._convert(lambda x: x.float())

    def double(self) -> Self:
        """Convert to float64."""
        return self._convert(lambda x: x.double())

    def cpu(self) -> Self:
        """The module itself: everything is on the CPU."""
        return self

    def _convert(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Put function(value) in the place of each floating-point value."""
        values = [x for x in (*self.parameters(), *self.buffers()) if x.dtype.kind == "f"]
        converted = [function(x.detach()) for x in values]
        if any(x.dtype.kind != "f" for x in converted):
            raise TypeError("a module can only be converted to a floating-point type")
        for value, new in zip(values, converted):
            value.data = new
            value.grad = None if value.grad is None else function(value.grad.detach())
        return self

    # ---- Printing --------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What a subclass wants shown between the brackets: its sizes and options."""
        return ""

    def __repr__(self) -> str:
        """The tree, with the number of parameters in each module that has any, and in all."""
        count = sum(p.array.size for p in self.parameters())
        note = f"  # {count:,} parameter{'s' * (count != 1)}" if count else ""
        name, extra = type(self).__name__, self.extra_repr()
        children = [(key, repr(module)) for key, module in self._modules.items()]
        if not children:
            return f"{name}({extra}){note}"
        lines = [extra] if extra else []
        for text, same in itertools.groupby(children, key=lambda child: child[1]):
            keys = [key for key, _ in same]
            title = f"({keys[0]})" if len(keys) == 1 else f"({keys[0]}-{keys[-1]}): {len(keys)} x"
            lines.append(f"{title}: {text}" if len(keys) == 1 else f"{title} {text}")
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{name}({note}\n  {body}\n)"


REGISTERS: dict[str, type] = {"_parameters": Parameter, "_buffers": Tensor, "_modules": Module}


def _check_kind(name: str, value: Any, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"cannot assign '{type(value).__name__}' as '{name}', "
            f"which must be a {kind.__name__} or None"
        )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _quoted(keys: Iterable[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


def _as_tensor(key: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if hasattr(value, "__array__"):
        return as_tensor(np.asarray(value))
    raise TypeError(
        f"state_dict[{key!r}] must be a tensor or an ndarray, got {type(value).__name__}"
    )
