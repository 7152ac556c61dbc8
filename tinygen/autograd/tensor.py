"""Tensor: an ndarray, and perhaps a place in the graph. No mathematics lives here.

A tensor that an op computed from others that require grad has a `node`: the op, where its inputs
came from, and the values that its gradient will read. Nodes refer to nodes, and to leaves, never to
the tensor they belong to: so there are no reference cycles, and memory is freed at once.

Operators and methods (`x + y`, `x.sum()`) are attached in methods.py: they are the ops, under their
names.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from .conversions import Conversions
from .dtypes import as_array
from .grad_mode import enable_grad
from .lines import user_line

if TYPE_CHECKING:
    from collections.abc import Callable

# ---- The graph -----------------------------------------------------------------------------------


clock = itertools.count(1).__next__  # numbers nodes and writes, in the order in which they happen


class Node:
    """One application of an op: where its inputs came from, and what its VJPs will read."""

    __slots__ = ("hooks", "kept", "line", "number", "op", "out_storage", "parents", "plan", "shape")

    def __init__(
        self, op, parents, kept, plan: Any = None, shape=(), out_storage=None, depth=4, line=None
    ):
        self.op = op
        self.parents = parents  # for each wanted input: its Node, or the leaf Tensor
        self.kept = kept  # the values that the VJPs read; None once backward() has freed them
        self.plan = plan  # which VJPs will run, and where each finds its values
        self.shape = shape  # of the output
        self.out_storage = out_storage  # of the output, if the VJPs read the output
        self.hooks: dict | None = None
        self.number = clock()
        self.line = line or user_line(depth)  # of an op: beyond __init__, record and __call__


class Storage:
    """What a tensor shares with its views: when their memory was written to."""

    written = 0  # when it was last
    written_by = ""  # by which in-place op
    line: Any = None  # at which line of the user's code
    rebases = 0  # how many writes changed where the values come from, in the graph

    def note_write(self, by: str) -> None:
        """To be called after writing to a tensor's array: gradients that need it must know."""
        self.written, self.written_by, self.line = clock(), by, user_line()

    def __getstate__(self):  # code can't be pickled
        return {**vars(self), "line": None}


def note_writes(tensors, by: str) -> None:
    """`note_write` for many tensors, as if they had been written to at once."""
    now, line = clock(), user_line()
    for tensor in tensors:
        storage = tensor.storage
        storage.written, storage.written_by, storage.line = now, by, line


class View:
    """How a tensor was cut out of another one: `base`, then each of `steps` (op, args, options)."""

    __slots__ = ("base", "rebases", "steps")

    def __init__(self, base: Any, steps: tuple, rebases: int):
        self.base, self.steps, self.rebases = base, steps, rebases

    def of(self, tensor: Tensor) -> Tensor:
        """The same view of a tensor shaped like the base."""
        for op, args, options in self.steps:
            tensor = op(tensor, *args, **options)
        return tensor


class Tensor(Conversions):
    """An array `array` [shape]; a leaf that requires grad has its gradient summed up in `grad`.

    `tg.tensor(data)` is the usual way to make one. This constructor shares the memory of an
    ndarray; anything else is copied, Python floats as the default dtype (float32).
    """

    array: np.ndarray
    node: Node | None  # which op made it; None for a leaf
    tangent: Tensor | None  # its derivative along a direction, in forward mode
    grad: Tensor | None = None
    hooks: dict | None = None  # of a leaf; those of another tensor are at its node
    _view: View | None = None  # set if this is a view of another tensor
    _storage: Storage | None = None  # made at the first write or view: most need none

    __array_priority__ = 1000  # ndarray + tensor asks the tensor
    __hash__ = object.__hash__  # by identity, though == compares elements

    def __init__(self, data, requires_grad: bool = False):
        self.array = data if data.__class__ is ndarray else as_array(data)
        self.node = self.tangent = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # -- the graph --

    @property
    def requires_grad(self) -> bool:
        """Whether gradients reach this tensor. Only a float leaf can be told to."""
        if self._view is not None:
            self.follow_base()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.array.dtype.kind != "f":
            raise RuntimeError(
                f"only floating-point tensors can require grad; this one is {self.array.dtype}: "
                "convert it with .float() first"
            )
        if not value and self.node is not None:
            raise RuntimeError(
                "this tensor was computed by an op, so it can't stop requiring grad; use x.detach()"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True):
        """Set `requires_grad`; return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def storage(self) -> Storage:
        if self._storage is None:
            self._storage = Storage()
        return self._storage

    @property
    def place(self) -> Node | Tensor:
        """Where gradients for this tensor go: its node, or itself if it is a leaf."""
        return self.node or self

    def follow_base(self) -> None:
        """If this view's base has been written to in the graph, take the view again."""
        view, storage = self._view, self._storage
        if view is None or storage is None or view.rebases == storage.rebases:
            return
        with enable_grad():
            fresh = view.of(view.base)
        view.rebases = storage.rebases
        self.node, self._requires_grad = fresh.node, fresh._requires_grad

    @property
    def is_leaf(self) -> bool:
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        if self._view is not None:
            self.follow_base()
        return self.node

    def detach(self) -> Tensor:
        """The same memory, outside of the graph."""
        out = Tensor(self.array)
        out._storage = self.storage
        return out

    @property
    def data(self) -> Tensor:
        """The values outside of the graph; assign to it to put other values in their place."""
        return self.detach()

    @data.setter
    def data(self, value) -> None:
        self.array = value.array if isinstance(value, Tensor) else as_array(value)
        self._storage, self._view = getattr(value, "_storage", None), None

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` when this tensor's gradient is known; what it returns replaces it."""
        if not self.requires_grad:
            raise RuntimeError("can't register a hook on a tensor that requires no grad")
        place = self.place
        if place.hooks is None:
            place.hooks = {}
        return RemovableHandle(place.hooks, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is not a leaf in `grad`, too."""
        if self.grad_fn is None:
            return
        this = weakref.ref(self)  # the hook hangs at the node, which must not hold its tensor

        def keep(g):
            if (tensor := this()) is not None:
                tensor.grad = g if tensor.grad is None else tensor.grad + g

        self.register_hook(keep)

    # -- the array --

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def device(self) -> str:
        return "cpu"


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    numbers = itertools.count().__next__

    def __init__(self, hooks: dict, hook: Callable):
        self.hooks, self.id = hooks, RemovableHandle.numbers()
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)
