"""Ops with several outputs: one node for the call, and for each output a node that is a part of it.

In the backward pass the parts hand their cotangents to the call, which waits for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .grad_mode import grad_mode
from .primitive import Primitive, push_tangents
from .tensor import Node, Tensor


class Parts(dict):
    """The cotangents of a call's outputs, by position; the missing ones are 0."""

    def __add__(self, other: Parts) -> Parts:
        both = {i: self[i] + other[i] for i in self.keys() & other.keys()}
        return Parts({**self, **other, **both})

    def filled(self, like) -> list[Tensor]:
        """A cotangent for every output; `like` has their (shape, dtype)."""
        return [self[i] if i in self else Tensor(np.zeros(*one)) for i, one in enumerate(like)]


class Part:
    """The op of an output's node: hands its cotangent to the node of the call."""

    def __init__(self, name: str, position: int):
        self.name, self.position = name, position

    def cotangents(self, node: Node, g: Tensor, needed=None):
        return [(node.parents[0], Parts({self.position: g}))]


def part_of(call: Node, position: int, shape) -> Node:
    return Node(Part(call.op.name, position), [call], (), shape=shape, line=call.line)


class Several(Primitive):
    """A primitive whose forward returns a list of arrays; its VJPs take the list of cotangents.

    view_step: if the outputs are views of the first argument, a function of (i, *args) that tells
        which op, args and options make the i-th one.
    """

    def __init__(self, forward, name: str = "", view_step: Callable | None = None):
        super().__init__(forward, name)
        self.view_step = view_step

    def __call__(self, *args):
        arrays, watched = [], False
        for a in args:
            if isinstance(a, Tensor):
                arrays.append(a.array)
                if a._requires_grad or a._view is not None or a.tangent is not None:
                    watched = True
            else:
                arrays.append(a)
        outputs = [Tensor(array) for array in self.forward(*arrays)]
        if self.view_step is not None:
            for i, out in enumerate(outputs):
                self.note_view(args[0], out, self.view_step(i, *args))
        if watched and grad_mode.duals is not None:
            push_tangents(self, args, {}, outputs)
        if watched and grad_mode.enabled and outputs:
            call = Tensor(outputs[0].array)  # stands for all outputs, to be given the node
            self.record(args, {}, call)
            if call.node is not None:
                call.node.shape = [(out.shape, out.dtype) for out in outputs]
                for i, out in enumerate(outputs):
                    out.node, out._requires_grad = part_of(call.node, i, out.shape), True
        return tuple(outputs)

    def cotangents(self, node: Node, g: Parts, needed=None):
        return super().cotangents(node, g.filled(node.shape), needed)
