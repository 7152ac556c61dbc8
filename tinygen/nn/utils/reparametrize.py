"""The older spectral norm and weight norm: a weight computed anew before each `forward`.

What is trained is registered beside it, under `<name>_orig`, or `<name>_g` and `<name>_v`; the
weight itself is an ordinary attribute. Checkpoints of many published models have these names.
"""

from __future__ import annotations

from typing import Any

from tinygen.autograd import Tensor, no_grad

from ..module import Module
from ..parameter import Parameter
from .parametrizations import (
    as_matrix,
    check_iterations,
    norm_except,
    power_iteration,
    random_unit,
    rows_of,
)

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


class _Hook:
    """Sets `name` from what is registered beside it, before each `forward`."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.computed(module, module.training))

    def computed(self, module: Module, training: bool) -> Tensor:
        raise NotImplementedError

    def install(self, module: Module, parameters: dict[str, Tensor]) -> None:
        """Register parameters under `<name>_<key>` in the place of `name`, and compute it."""
        original = module._parameters[self.name]
        assert original is not None
        delattr(module, self.name)
        for key, value in parameters.items():
            param = value if value is original else Parameter(value, original.requires_grad)
            module.register_parameter(f"{self.name}_{key}", param)  # pyright: ignore
        setattr(module, self.name, original.detach())
        module.register_forward_pre_hook(self)

    def remove(self, module: Module, keys: tuple[str, ...]) -> None:
        """Make `name` a parameter again, with its present value."""
        with no_grad():
            value = self.computed(module, False).detach()
        requires_grad = getattr(module, f"{self.name}_{keys[0]}").requires_grad
        for key in keys:
            delattr(module, f"{self.name}_{key}")
        delattr(module, self.name)
        module.register_parameter(self.name, Parameter(value, requires_grad))
        hooks = module._forward_pre_hooks
        for number in [n for n, hook in hooks.items() if hook is self]:
            del hooks[number]


def _hooked(module: Module, name: str, kind: type[_Hook]) -> _Hook | None:
    hooks = module._forward_pre_hooks.values()
    return next((h for h in hooks if isinstance(h, kind) and h.name == name), None)


def _weight_to_hook(module: Module, name: str, kind: type[_Hook], function: str) -> Parameter:
    if _hooked(module, name, kind) is not None:
        raise RuntimeError(f"Cannot register two {function} hooks on the same parameter {name}")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"{function}: {type(module).__name__} has no parameter '{name}'")
    return weight


def _remove(module: Module, name: str, kind: type[_Hook], keys: tuple[str, ...], function: str):
    hook = _hooked(module, name, kind)
    if hook is None:
        raise ValueError(f"{function} of '{name}' not found in {type(module).__name__}")
    hook.remove(module, keys)
    return module


# ---- Spectral norm -------------------------------------------------------------------------------


class _SpectralNorm(_Hook):
    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int):
        super().__init__(name)
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim

    def computed(self, module: Module, training: bool) -> Tensor:
        weight = getattr(module, f"{self.name}_orig")
        matrix = as_matrix(weight, self.dim)
        if training:
            u = getattr(module, f"{self.name}_u")
            v, u = power_iteration(matrix.detach(), u, self.n_power_iterations, self.eps)
            setattr(module, f"{self.name}_u", u)
            setattr(module, f"{self.name}_v", v)
        u, v = (getattr(module, f"{self.name}_{key}") for key in "uv")
        return weight / (u @ (matrix @ v))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value before each `forward` (Miyato et al. 2018).

    See `parametrizations.spectral_norm`. While training, each call makes `n_power_iterations` steps
    towards the singular vectors, which are the buffers `<name>_u` and `<name>_v`.
    """
    weight = _weight_to_hook(module, name, _SpectralNorm, "spectral_norm")
    check_iterations(n_power_iterations)
    dim = rows_of(module) if dim is None else dim
    rows, columns = as_matrix(weight.detach(), dim).shape
    _SpectralNorm(name, n_power_iterations, eps, dim).install(module, {"orig": weight})
    module.register_buffer(f"{name}_u", random_unit(rows, weight.dtype, eps))
    module.register_buffer(f"{name}_v", random_unit(columns, weight.dtype, eps))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the normalised weight an ordinary parameter."""
    return _remove(module, name, _SpectralNorm, ("orig", "u", "v"), "spectral_norm")


# ---- Weight norm ---------------------------------------------------------------------------------


class _WeightNorm(_Hook):
    def __init__(self, name: str, dim: int | None):
        super().__init__(name)
        self.dim = dim

    def computed(self, module: Module, training: bool) -> Tensor:
        g, v = (getattr(module, f"{self.name}_{key}") for key in "gv")
        return v * (g / norm_except(v, self.dim))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the length g and the direction v of a weight apart (Salimans & Kingma 2016, eq. 2).

    They are the parameters `<name>_g` and `<name>_v`. Each slice along `dim` has a length of its
    own; with dim=None the whole weight has one.
    """
    weight = _weight_to_hook(module, name, _WeightNorm, "weight_norm").detach()
    lengths = norm_except(weight, dim)
    _WeightNorm(name, dim).install(module, {"g": lengths, "v": weight})
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter."""
    return _remove(module, name, _WeightNorm, ("g", "v"), "weight_norm")
