"""Reverse mode: visit every node once, after all its users, and hand cotangents to its parents.

Nodes are numbered as they are made, so a node's users have higher numbers than itself: always
taking the highest number that has a cotangent is a topological order. No recursion: the graph of
an SDE is 100,000 nodes deep.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence

import numpy as np

from .grad_mode import grad_mode
from .tensor import Node, Tensor

Tensors = Tensor | Sequence[Tensor]


def backward(
    tensors: Tensors,
    grad_tensors=None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    """Add the gradient of the sum of `tensors` to the `grad` of every leaf, or of each of `inputs`.

    grad_tensors: the cotangents to start from, one for each tensor; a scalar needs none.
    retain_graph: keep what backward needs, to call it once more (default: as create_graph).
    create_graph: record the computation of the gradients, so that they can be differentiated.
    """
    wanted = None if inputs is None else as_tuple(inputs)
    retain = create_graph if retain_graph is None else retain_graph
    found, shared = sweep(as_tuple(tensors), grad_tensors, retain, create_graph, wanted)
    for leaf, g in found:
        if g is not None:
            accumulate(leaf, g, create_graph, id(g) in shared)


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs=None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` with respect to each of `inputs`, touching no `grad`.

    Only the part of the graph between the two is visited. An input that the outputs do not depend
    on is an error; or None, with allow_unused; or zeros, with materialize_grads.
    """
    if not only_inputs:
        raise ValueError("grad(only_inputs=False) is not there: backward() fills every leaf's grad")
    wanted = as_tuple(inputs)
    for i, x in enumerate(wanted):
        if not x.requires_grad:
            raise RuntimeError(
                f"input {i} does not require grad; call .requires_grad_() on it first"
            )
    retain = create_graph if retain_graph is None else retain_graph
    found, _ = sweep(as_tuple(outputs), grad_outputs, retain, create_graph, wanted)
    missing = [i for i, (_, g) in enumerate(found) if g is None]
    if materialize_grads:
        return tuple(Tensor(np.zeros_like(x.array)) if g is None else g for x, g in found)
    if missing and not allow_unused:
        raise RuntimeError(
            f"input {missing[0]} was not used to compute the outputs; "
            "pass allow_unused=True to get None for it"
        )
    return tuple(g for _, g in found)


SINGLE = (Tensor, np.ndarray, float, type(None))  # a tuple: to make `Tensor | ...` takes time


def as_tuple(x) -> tuple:
    return (x,) if isinstance(x, SINGLE) else tuple(x)


def sweep(
    outputs, cotangents, retain, create_graph, wanted, since: int = 0
) -> tuple[list[tuple[Tensor, Tensor | None]], set[int]]:
    """Run the graph backwards from `outputs`, not beyond nodes that are older than `since`.

    Returns a (tensor, gradient) for each of `wanted`, or, if that is None, for each leaf; and the
    ids of those gradients that may share memory with something else.
    """
    heap: list[tuple[int, Node]] = []  # the nodes still to be visited, the youngest first
    pending: dict[int, Tensor] = {}  # by the id of a place: the sum of what its users handed to it
    leaves: dict[int, Tensor] = {}
    shared: set[int] = set()
    needed = None if wanted is None else needed_places(outputs, wanted, since)
    results: dict[int, Tensor | None] = dict.fromkeys(id(x.place) for x in wanted or ())

    def hand(place, g):
        key = id(place)
        if (before := pending.get(key)) is not None:
            pending[key] = before + g
            return
        pending[key] = g
        if isinstance(place, Tensor):
            leaves[key] = place
        else:
            heapq.heappush(heap, (-place.number, place))

    mode, grad_mode.enabled = grad_mode.enabled, create_graph
    try:
        for output, g in zip(outputs, seeds(outputs, cotangents), strict=True):
            shared.add(id(g))
            hand(output.place, g)
        while heap:
            _, node = heapq.heappop(heap)
            g = pending.pop(id(node))
            if node.number < since:
                results[id(node)] = g
                continue
            if node.hooks:
                g = run_hooks(node.hooks, g)
            if results and id(node) in results:
                results[id(node)] = g
                shared.add(id(g))  # it goes on to the node's parents
            if needed is not None and not any(id(parent) in needed for parent in node.parents):
                continue
            if node.kept is None:
                raise RuntimeError(
                    f"the graph behind {node.op.name} was freed by an earlier backward; pass "
                    "retain_graph=True to that one if you want to differentiate a second time"
                )
            for parent, cotangent in node.op.cotangents(node, g, needed):
                if cotangent is g:
                    shared.add(id(g))
                hand(parent, cotangent)
            if not retain and any(node.kept):
                node.kept = None
        for key, leaf in leaves.items():
            if leaf.hooks and not since:
                pending[key] = run_hooks(leaf.hooks, pending[key])
                shared.add(id(pending[key]))  # a hook may have kept it
    finally:
        grad_mode.enabled = mode
    if wanted is None:
        return [(leaf, pending[key]) for key, leaf in leaves.items()], shared
    results.update({key: pending[key] for key in leaves if key in results})
    return [(x, results[id(x.place)]) for x in wanted], shared


def seeds(outputs, cotangents) -> list[Tensor]:
    """The cotangent that each output starts with: the one given, or 1 for a scalar."""
    given = as_tuple(cotangents) if cotangents is not None else (None,) * len(outputs)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(given)} cotangents for {len(outputs)} outputs")
    return [seed(output, g) for output, g in zip(outputs, given)]


def seed(output: Tensor, g) -> Tensor:
    if not output.requires_grad:
        raise RuntimeError(
            "this tensor has no graph: nothing that it was computed from requires grad, "
            "or it was computed under no_grad()"
        )
    if g is None:
        if output.array.size != 1:
            raise RuntimeError(
                f"only the gradient of a scalar needs no cotangent; this output has shape "
                f"{output.shape}: reduce it (.sum(), .mean()) or pass a gradient of that shape"
            )
        return Tensor(np.ones_like(output.array))
    g, array = g if isinstance(g, Tensor) else Tensor(g), output.array
    if g.array.shape != array.shape:
        raise RuntimeError(f"the cotangent has shape {g.shape}, the output {output.shape}")
    return g if g.array.dtype == array.dtype else g.to(array.dtype)


def needed_places(outputs, wanted, since: int) -> set[int]:
    """The ids of the places between `outputs` and `wanted`: those whose cotangents are of use."""
    # A node leads to older ones only: none that is older than all of `wanted` lies in between.
    since = max(since, min((getattr(x.place, "number", 0) for x in wanted), default=0))
    stack = [x.node for x in outputs if x.node is not None]
    nodes = {node.number: node for node in stack}
    while stack:
        for parent in stack.pop().parents:
            if isinstance(parent, Node) and parent.number not in nodes and parent.number >= since:
                nodes[parent.number] = parent
                stack.append(parent)
    needed = {id(x.place) for x in wanted}
    for number in sorted(nodes):  # parents first
        if any(id(parent) in needed for parent in nodes[number].parents):
            needed.add(id(nodes[number]))
    return needed


def run_hooks(hooks, g: Tensor) -> Tensor:
    for hook in list(hooks.values()):
        replaced = hook(g)
        g = g if replaced is None else replaced
    return g


def accumulate(leaf: Tensor, g: Tensor, create_graph: bool, shared: bool) -> None:
    """leaf.grad += g. The grad owns its memory: who scales it in place must change nothing else."""
    if leaf.grad is None:
        owned = create_graph or (not shared and owns_memory(g.array))
        leaf.grad = g if owned else Tensor(g.array.copy())
    elif create_graph or g.tangent is not None:
        leaf.grad = leaf.grad + g
    else:
        np.add(leaf.grad.array, g.array, out=leaf.grad.array)
        leaf.grad.storage.note_write("backward")


def owns_memory(array: np.ndarray) -> bool:
    """Whether nobody else can see its memory: it is its own, or that of an array to which nothing
    else refers, all of it in another shape. Kernels return such ones, and a copy takes as long as
    they do."""
    base = array.base
    if base is None:
        return True
    whole = type(base) is np.ndarray and base.base is None and base.nbytes == array.nbytes
    return whole and sys.getrefcount(base) == 3  # of `array`, of `base`, and of the call
