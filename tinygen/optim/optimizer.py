"""Optimizer: groups of parameters with their options, the state of each, and the loop of a step.

A subclass says in `_update` what one step does to one parameter, in NumPy and in place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from tinygen.autograd import Tensor, enable_grad
from tinygen.autograd.creation import tensor
from tinygen.nn.parameter import zero_grad

__all__ = ["Optimizer", "ParamsT"]

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer(ABC):
    """The base of all optimizers.

    params: the tensors to update; or dicts, each with "params" and the options that differ from
        `defaults` for them: `[{"params": biases, "weight_decay": 0.0}, {"params": weights}]`.
    defaults: the options of a group that does not say otherwise.

    param_groups: the groups, each a dict; schedulers write to their "lr".
    state: for each parameter what the optimizer remembers about it, made at its first step.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                "but got a single Tensor"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._memory: dict[Any, np.ndarray] = {}
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, as when thawing layers during fine-tuning."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, got {type(param_group).__name__}")
        params = param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, got {type(param).__name__}")
            if not param.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor: it is computed from others")
            if id(param) in known:
                raise ValueError(
                    "some parameters appear in more than one parameter group, or twice"
                )
            known.add(id(param))
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    # ---- A step ----------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        `closure`, if given, computes the loss and the gradients first; its loss is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    self._update(param.array, param.grad.array, self.state[param], group)
                    param.storage.note_write(f"{type(self).__name__}.step")
        return loss

    @abstractmethod
    def _update(
        self, param: np.ndarray, grad: np.ndarray, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """One step for one parameter: change `param` and `state` in place, leave `grad` alone."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            zero_grad(group["params"], set_to_none)

    # ---- For the arithmetic of subclasses --------------------------------------------------------

    def _scratch(self, purpose: str, like: np.ndarray) -> np.ndarray:
        """An array of that shape and type, in memory that the next call for this purpose reuses.

        Fresh memory for every product of a large array costs more than the product.
        """
        memory = self._memory.get((purpose, like.dtype))
        if memory is None or memory.size < like.size:
            memory = self._memory[purpose, like.dtype] = np.empty(like.size, like.dtype)
        return memory[: like.size].reshape(like.shape)

    def _scaled(self, array: np.ndarray, factor: Any) -> np.ndarray:
        """factor · array; valid until the next call."""
        return np.multiply(array, factor, out=self._scratch("scaled", array))

    def _descent_gradient(
        self, param: np.ndarray, grad: np.ndarray, group: dict[str, Any]
    ) -> np.ndarray:
        """The gradient to descend: the other way for `maximize`, with that of ½ λ‖param‖² added."""
        if group["maximize"]:
            grad = np.negative(grad, out=self._scratch("gradient", grad))
        if group["weight_decay"]:
            decay = self._scaled(param, group["weight_decay"])
            grad = np.add(grad, decay, out=self._scratch("gradient", grad))
        return grad

    # ---- State -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with parameters replaced by their numbers 0, 1, … in order."""
        params = [p for group in self.param_groups for p in group["params"]]
        number = {id(p): i for i, p in enumerate(params)}
        return {
            "state": {number[id(p)]: state for p, state in self.state.items()},
            "param_groups": [
                {**group, "params": [number[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where another optimizer, over parameters in the same order, was saved."""
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved)}, "
                f"not {len(self.param_groups)}"
            )
        for theirs, own in zip(saved, self.param_groups):
            if len(theirs["params"]) != len(own["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    f"optimizer's group: {len(theirs['params'])} parameters, "
                    f"not {len(own['params'])}"
                )
        param_of = {
            number: param
            for theirs, own in zip(saved, self.param_groups)
            for number, param in zip(theirs["params"], own["params"])
        }
        self.state = defaultdict(dict)
        for number, state in state_dict["state"].items():
            param = param_of[int(number)]
            self.state[param] = {key: _owned(key, value, param) for key, value in state.items()}
        for theirs, own in zip(saved, self.param_groups):
            own.update(deepcopy({k: v for k, v in theirs.items() if k != "params"}))

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _owned(key: str, value: Any, param: Tensor) -> Any:
    """A copy of a saved value, in the parameter's type. PyTorch saves the step as a tensor."""
    if key == "step":
        return int(value)
    if isinstance(value, Tensor) or hasattr(value, "__array__"):
        return tensor(np.asarray(value), dtype=param.dtype)
    return deepcopy(value)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ValueError for an option that is not a number ≥ 0; `betas` must lie in [0, 1)."""
    for name, value in options.items():
        if name == "betas":
            for i, beta in enumerate(value):
                if not 0 <= beta < 1:
                    raise ValueError(
                        f"Invalid beta parameter at index {i}: {beta}; it must be in [0, 1)"
                    )
        elif not value >= 0:
            title = "learning rate" if name == "lr" else f"{name} value"
            raise ValueError(f"Invalid {title}: {value}; it must not be negative")
