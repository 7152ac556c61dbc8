"""Whether ops are recorded: `with no_grad():`, `@no_grad()`, and their kin, for each thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any


class _GradMode(threading.local):
    enabled = True
    duals: list | None = None  # inside forward_ad.dual_level: what carries a tangent


grad_mode = _GradMode()


def is_grad_enabled() -> bool:
    """Whether ops are being recorded for differentiation, in this thread."""
    return grad_mode.enabled


class _grad_mode_as(ContextDecorator):
    """Recording on or off, as a context, as `@no_grad()` or as a bare `@no_grad`."""

    mode: bool
    before: list[bool]

    def __new__(cls, function: Callable | None = None) -> Any:
        self = super().__new__(cls)
        self.before = []  # a stack: a decorated function may call itself
        return self if function is None else self(function)

    def __enter__(self):
        self.before.append(grad_mode.enabled)
        grad_mode.enabled = self.mode
        return self

    def __exit__(self, *_):
        grad_mode.enabled = self.before.pop()


class no_grad(_grad_mode_as):
    """Ops inside are not recorded: their results require no grad."""

    mode = False


class enable_grad(_grad_mode_as):
    """Ops inside are recorded, even within `no_grad`."""

    mode = True


class set_grad_enabled:
    """`no_grad` or `enable_grad` by argument; in force at once, undone at the end of a `with`."""

    def __init__(self, mode: bool):
        self.before, grad_mode.enabled = grad_mode.enabled, bool(mode)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        grad_mode.enabled = self.before
