"""Writing into tensors: `x += y`, `x[i] = v`, `x.mul_(y)`, also through views.

A write is the ordinary op, then a copy of its result into x's memory, then x taking that result's
place in the graph. If x is a view, its base gets a node too, which says that a part of it was
replaced; other views find out when they are used next (`Tensor.follow_base`). Every write is
counted in the storage, so that a gradient which needs an overwritten value can say so.
"""

from __future__ import annotations

import numpy as np

from .grad_mode import is_grad_enabled
from .primitive import primitive
from .registry import ShapeError
from .tensor import Tensor, View


@primitive
def put_view(x, value, view):
    """x with `value` in the place of the part that `view` (a View) cuts out of it"""
    out = Tensor(np.array(x))
    view.of(out).array[...] = value
    return out.array


put_view.vjp(x=lambda g, view: put_view(g, 0.0, view), value=lambda g, view: view.of(g))


def in_place(op, name: str):
    """The method that does `op` in place: x.name(...) is x = op(x, ...) in x's own memory."""

    def method(x: Tensor, *args, **options) -> Tensor:
        others = (*args, *options.values())
        record = is_grad_enabled() and any(
            isinstance(t, Tensor) and t.requires_grad for t in (x, *others)
        )
        check_memory(x, name, *others)
        if record:
            check_leaf(x, name)
        old = same_place(x)
        write(x, op(old, *args, **options), name, record)
        return x

    method.__name__ = name
    method.__doc__ = f"{op.__name__}, in place."
    return method


def check_memory(x: Tensor, name: str, *values) -> None:
    """Memory that can't be written, or in which one element stands for several; and forward mode,
    which follows no writes."""
    if any(isinstance(t, Tensor) and t.tangent is not None for t in (x, *values)):
        raise RuntimeError(
            f"{name}: forward mode does not follow in-place operations; write x = x + y instead "
            "of x += y"
        )
    if not x.array.flags.writeable:
        raise RuntimeError(
            f"{name}: this tensor's memory can't be written: one element stands for several, as "
            "after expand, or it belongs to a read-only array; write to x.clone() instead"
        )


def check_leaf(x: Tensor, name: str) -> None:
    """A leaf's gradient is with respect to its value: overwriting it would change the question."""
    leaf = x if x._view is None else x._view.base
    if leaf.requires_grad and leaf.node is None:
        what = "a leaf tensor that requires grad" if leaf is x else "a view of such a leaf"
        raise RuntimeError(
            f"{name} would overwrite {what}: to change a parameter, wrap it in "
            "`with tg.no_grad():`, or work on x.clone()"
        )


def same_place(x: Tensor) -> Tensor:
    """Another tensor with x's memory and place in the graph, which keeps them when x moves on."""
    old = Tensor(x.array)
    old._storage, old.node, old._requires_grad = x.storage, x.grad_fn, x.requires_grad
    return old


def write(x: Tensor, out: Tensor, name: str, record: bool) -> None:
    """Put the values of `out` into x, and x into the place of `out` in the graph."""
    if out.shape != x.shape:
        raise ShapeError(f"{name}: a result of shape {out.shape} does not fit into {x.shape}")
    if not np.can_cast(out.dtype, x.dtype, "same_kind"):
        raise RuntimeError(f"{name}: a {out.dtype} result can't be written into a {x.dtype} tensor")
    out = out if out.dtype == x.dtype else out.to(x.dtype)
    base, view = (x, None) if x._view is None else (x._view.base, x._view)
    if record and view is not None:
        recipe = View(None, view.steps, 0)  # a node must not hold the tensor that holds it
        whole = put_view(same_place(base), out, recipe)
    else:
        whole = out
    if out.node is not None:
        keep_own_values(out.node, x)
    np.copyto(x.array, out.array)
    x.storage.note_write(name)
    if record:
        base.node, base._requires_grad = whole.node, whole._requires_grad
        x.storage.rebases += 1


def keep_own_values(node, x: Tensor) -> None:
    """Give the node copies of those kept values whose memory is about to be overwritten."""

    def own(value):
        if not (isinstance(value, Tensor) and value._storage is x._storage):
            return value
        copy = Tensor(value.array.copy())
        copy.node, copy._requires_grad = value.node, value._requires_grad
        return copy

    node.kept = tuple(tuple(own(value) for value in values) for values in node.kept)
