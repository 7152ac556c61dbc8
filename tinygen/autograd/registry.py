"""The registry of ops, compositions, and what all ops have in common: names and errors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable)
registry: dict[str, Callable] = {}  # every op, by name: the tests walk it

# What PyTorch's arguments are called here: x and y, and what it takes from NumPy.
torch_names = {"input": "x", "other": "y", "axis": "dim", "keepdims": "keepdim"}


class ShapeError(ValueError, RuntimeError):
    """Shapes that do not fit: a ValueError as in NumPy, a RuntimeError as in PyTorch."""


def composition(function: F, name: str = "") -> F:
    """Decorator: register a function made of other ops, which need no gradient of its own."""
    function = numpy_names(function)
    register(name or function.__name__, function)
    return function


def our_names(options: dict[str, Any]) -> dict[str, Any]:
    return {torch_names.get(name) or name: value for name, value in options.items()}


def numpy_names(function: F) -> F:
    """Let a function of `dim` take `axis` and `keepdims` for it, too, as PyTorch's do."""
    if "dim" not in inspect.signature(function).parameters:
        return function

    @functools.wraps(function)
    def renamed(*args, **options):
        if not options:  # most often
            return function(*args)
        if "axis" in options or "keepdims" in options:
            options = our_names(options)
        return function(*args, **options)

    return renamed  # pyright: ignore[reportReturnType]


def register(name: str, op: Callable) -> None:
    """Enter an op under its name, which must be its alone."""
    if name in registry:
        raise ValueError(f"there is an op {name} already, in {registry[name].__module__}")
    registry[name] = op
