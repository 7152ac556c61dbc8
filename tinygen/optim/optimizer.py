"""Optimizer: groups of parameters with their options, the state of each, and a step of all.

What a step does to a parameter is a formula of kernels/optimizers.py. A subclass names it, and says
what it remembers and which numbers it takes. Parameters are ordinary tensors with arrays of their
own: the kernel finds them by their addresses, and takes a whole group as one long array.
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
from tinygen.autograd.tensor import note_writes
from tinygen.kernels import optimizers
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
        self._tables: list[optimizers.Table] = []
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
        self._tables.append(optimizers.Table())

    # ---- A step ----------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient.

        `closure`, if given, computes the loss and the gradients first; its loss is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group, table in zip(self.param_groups, self._tables):
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group, table)
                note_writes(params, f"{type(self).__name__}.step")
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any], table: optimizers.Table) -> None:
        """One step for parameters of a group that have a gradient: change them and their state."""
        arrays = [p.array for p in params]
        grads = [p.grad.array for p in params if p.grad is not None]
        check_gradients(arrays, grads)
        states = [self.state[p] for p in params]
        steps = [self._count(state) for state in states]
        columns = [self._column(name, states, arrays, group) for name in self._state_names(group)]
        optimizers.step(self._form, arrays, grads, columns, steps, self._options(group), table)

    def _column(self, name: str, states: list[dict], arrays: list[np.ndarray], group) -> list:
        """What the states have under this name; made where it is missing, as at the first step."""
        try:
            return [state[name].array for state in states]
        except (KeyError, AttributeError):  # it is missing, or None
            for state, array in zip(states, arrays):
                if state.get(name) is None:
                    state[name] = Tensor(np.full_like(array, self._start(group)))
        return [state[name].array for state in states]

    _form: int  # of kernels/optimizers.py

    @abstractmethod
    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """What is remembered of a parameter, in the order in which the formula takes it."""

    @abstractmethod
    def _options(self, group: dict[str, Any]) -> tuple[float, ...]:
        """The eight numbers that the formula takes."""

    def _count(self, state: dict[str, Any]) -> int:
        """The number of the step that a parameter of this state is about to make: 1, 2, ..."""
        state["step"] = step = state.get("step", 0) + 1
        return step

    def _start(self, group: dict[str, Any]) -> float:
        """What the state is filled with before the first step."""
        return 0.0

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            zero_grad(group["params"], set_to_none)

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


def check_gradients(arrays: list[np.ndarray], grads: list[np.ndarray]) -> None:
    """Raise RuntimeError for a gradient that is not of the shape and type of its parameter."""
    for array, grad in zip(arrays, grads):
        if grad.shape != array.shape or grad.dtype != array.dtype:
            raise RuntimeError(
                f"a parameter of shape {array.shape} and type {array.dtype} has a gradient of "
                f"shape {grad.shape} and type {grad.dtype}; they must be the same"
            )


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
