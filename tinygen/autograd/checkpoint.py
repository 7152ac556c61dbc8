"""Gradient checkpointing: forget what a part of the computation kept, and compute it again.

    y = checkpoint(block, x)        # like block(x), in less memory and with more work

Backward needs the intermediate values of every op. A chain of n blocks keeps those of all n; with
each under `checkpoint`, only the inputs of the blocks are kept, and the intermediate values of one
block at a time are computed a second time during backward (Chen et al. 2016, "Training deep nets
with sublinear memory cost").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .engine import sweep
from .grad_mode import enable_grad, grad_mode
from .parts import Parts, part_of
from .primitive import check_unwritten
from .random import get_rng_state, set_rng_state
from .tensor import Node, Tensor, clock


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
):
    """function(*args, **kwargs), whose intermediate values are computed again for the gradient.

    The function must do the same at its second call as at the first. preserve_rng_state: it draws
    the same random numbers (of the default generator), too, as dropout must. Gradients reach the
    arguments as well as parameters that the function refers to; they can be differentiated in turn.
    use_reentrant is PyTorch's; there is one implementation here.
    """
    if not grad_mode.enabled:
        return function(*args, **kwargs)
    segment = Segment(function, args, kwargs, get_rng_state() if preserve_rng_state else None)
    found, frontier = segment.run()
    outputs = found if isinstance(found, tuple) else (found,)
    moving = [y for y in outputs if isinstance(y, Tensor) and y.requires_grad]
    if not moving:
        return found
    shapes = [(y.shape, y.dtype) for y in moving]
    call = Node(segment, list(frontier), (segment,), shape=shapes, depth=3)
    short = {id(y): stand_in(part_of(call, i, y.shape), y.array) for i, y in enumerate(moving)}
    outputs = tuple(short.get(id(y), y) for y in outputs)
    return outputs if isinstance(found, tuple) else outputs[0]


def checkpoint_sequential(
    functions: Sequence[Callable], segments: int, input: Any, preserve_rng_state: bool = True, **_
):
    """functions[-1](… functions[0](input)), in `segments` parts that are checkpointed each."""
    functions = list(functions)
    if not 1 <= segments <= len(functions):
        raise ValueError(f"segments must be in [1, {len(functions)}], not {segments}")
    size = -(-len(functions) // segments)
    for begin in range(0, len(functions), size):
        part = functions[begin : begin + size]
        input = checkpoint(in_turn, part, input, preserve_rng_state=preserve_rng_state)
    return input


def in_turn(functions, x):
    for function in functions:
        x = function(x)
    return x


class Segment:
    """The op of a checkpointed call: its gradient runs the function again."""

    def __init__(self, function, args, kwargs, rng_state):
        self.name = getattr(function, "__name__", type(function).__name__)
        self.function, self.args, self.kwargs = function, args, kwargs
        self.rng_state = rng_state

    def run(self):
        """What the function returns, and the places from which its graph sets out: the arguments,
        and whatever else it refers to."""
        since = clock()
        with enable_grad():
            found = self.function(*self.args, **self.kwargs)
        frontier = {}
        stack = [y.grad_fn or y for y in (found if isinstance(found, tuple) else (found,))
                 if isinstance(y, Tensor) and y.requires_grad]  # fmt: skip
        seen = set()
        while stack:
            place = stack.pop()
            if isinstance(place, Tensor) or place.number < since:
                frontier[id(place)] = place
            elif place.number not in seen:
                seen.add(place.number)
                stack.extend(place.parents)
        return found, frontier.values()

    def cotangents(self, node: Node, g: Parts, needed=None):
        for a in (*self.args, *self.kwargs.values()):
            if isinstance(a, Tensor):
                check_unwritten("argument", node, a._storage)
        before = get_rng_state()
        if self.rng_state is not None:
            set_rng_state(self.rng_state)
        since = clock()
        found, _ = self.run()
        set_rng_state(before)
        outputs = [y for y in (found if isinstance(found, tuple) else (found,))
                   if isinstance(y, Tensor) and y.requires_grad]  # fmt: skip
        if [(y.shape, y.dtype) for y in outputs] != node.shape:
            raise RuntimeError(f"checkpoint: {self.name} returned something else the second time")
        parents = [p for p in node.parents if needed is None or id(p) in needed]
        wanted = [p if isinstance(p, Tensor) else stand_in(p) for p in parents]
        cotangents = g.filled(node.shape)
        again = grad_mode.enabled  # with create_graph: the second graph is differentiated in turn
        results, _ = sweep(outputs, cotangents, again, again, wanted, since)
        return [(p, c) for p, (_, c) in zip(parents, results) if c is not None]


def stand_in(node: Node, array=()) -> Tensor:
    """A tensor at this node."""
    tensor = Tensor(array)
    tensor.node, tensor._requires_grad = node, True
    return tensor
