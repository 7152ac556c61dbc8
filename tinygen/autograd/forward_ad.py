"""Forward mode: dual numbers, a value with its derivative along a direction, through the same ops.

    with dual_level():
        x = make_dual(tg.tensor(2.0), tg.tensor(1.0))   # x = 2, dx = 1
        y = tg.sin(x * x)
        unpack_dual(y).tangent                          # dy = cos(4) 2·2

Reverse mode hands a cotangent from the result back to every input: one sweep gives a whole
gradient. Forward mode hands a tangent from one input on to every result: one evaluation gives a
whole column of the Jacobian. What an op does to a tangent is its JVP (Jacobian-vector product),
found in one of three ways:

- a pointwise op has a diagonal Jacobian, which is its own transpose: its VJPs are its JVPs;
- an op may say what its JVP is (`op.jvp(x=...)`), or that it is linear in an argument: then it does
  to the tangent what it does to the argument;
- for any other, g -> VJP(g) is a linear function, and the transpose of that is the JVP: it is the
  VJP of the VJP (J. Townsend 2017, "A new trick for calculating Jacobian vector products").
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .engine import grad
from .grad_mode import enable_grad, grad_mode
from .primitive import finder
from .tensor import Tensor


class Dual(NamedTuple):
    primal: Tensor
    tangent: Tensor | None


class dual_level:
    """The context in which tensors carry tangents. They lose them when it ends."""

    def __enter__(self):
        if grad_mode.duals is not None:
            raise RuntimeError(
                "forward mode can't be nested; for a second derivative put one mode around the "
                "other: grad of jvp, or jvp of grad"
            )
        grad_mode.duals = []
        return self

    def __exit__(self, *_):
        for reference in grad_mode.duals or ():
            if (tensor := reference()) is not None:
                tensor.tangent = None
        grad_mode.duals = None


def make_dual(tensor: Tensor, tangent: Tensor) -> Tensor:
    """The tensor as a dual number: itself, and the direction `tangent` in which it moves."""
    if grad_mode.duals is None:
        raise RuntimeError("make_dual() needs an open level: `with dual_level():`")
    if tensor.dtype.kind != "f":
        raise ValueError(f"only floats have a derivative; this tensor is {tensor.dtype}")
    if (tangent.shape, tangent.dtype) != (tensor.shape, tensor.dtype):
        raise RuntimeError(
            f"the tangent is {tangent.dtype} {tangent.shape}; it must be like the tensor, "
            f"{tensor.dtype} {tensor.shape}"
        )
    with enable_grad():
        dual = tensor.view_as(tensor)  # in the graph, but another tensor
    return with_tangent(dual, tangent)


def unpack_dual(tensor: Tensor) -> Dual:
    """(primal, tangent): the value alone, and its derivative (None if it does not move)."""
    return Dual(primal(tensor), tensor.tangent)


def with_tangent(tensor: Tensor, tangent: Tensor | None) -> Tensor:
    tensor.tangent = tangent
    if grad_mode.duals is not None:
        grad_mode.duals.append(weakref.ref(tensor))
    return tensor


def primal(x):
    """The same value at the same place in the graph, at rest."""
    if not isinstance(x, Tensor) or x.tangent is None:
        return x
    still = Tensor(x.array)
    still.node, still._requires_grad, still._storage = x.grad_fn, x._requires_grad, x.storage
    return still


# ---- JVPs ----------------------------------------------------------------------------------------


def push(op, args, options, outputs: Sequence[Tensor]) -> None:
    """Give the outputs of op(*args, **options) their tangents: the sum, over the arguments that
    move, of what that does to each output."""
    still = [primal(a) for a in args]
    for i, a in enumerate(args):
        if isinstance(a, Tensor) and a.tangent is not None:
            for out, t in zip(outputs, jvp(op, i, a.tangent, still, options, outputs)):
                if t is not None and out.array.dtype.kind == "f":
                    out.tangent = t if out.tangent is None else out.tangent + t
    for out in outputs:
        if (t := out.tangent) is not None:
            t = t if t.shape == out.shape else t.expand(out.shape)
            with_tangent(out, t if t.dtype == out.dtype else t.to(out.dtype))
            remember_tangent(out)


def jvp(op, i: int, tangent: Tensor, args, options, outputs) -> Sequence[Tensor | None]:
    """What moving argument i along `tangent` does to each output; None for nothing."""
    if (rule := op.jvps.get(i)) == "linear":
        found = op(*args[:i], tangent, *args[i + 1 :], **options)
        return found if isinstance(found, tuple) else (found,)
    if not (i in op.vjps or op.variadic):
        return ()
    if rule is None and op.pointwise:
        rule, shape = op.rule(i), outputs[0].shape
        tangent = tangent if tangent.shape == shape else tangent.expand(shape)
    if rule is not None:
        function, names = rule
        (kept,) = finder(op, ((i, names),))(args, options, outputs[0])
        kept = [primal(outputs[0]) if n == "out" else value for n, value in zip(names, kept)]
        return (function(tangent, *kept),)
    return transposed_twice(op, i, tangent, args, options)


def transposed_twice(op, i: int, tangent: Tensor, args, options) -> Sequence[Tensor | None]:
    """The JVP by two VJPs, the second of which differentiates the first by its cotangent."""
    create_graph = grad_mode.enabled and any(
        isinstance(t, Tensor) and t.requires_grad for t in (*args, tangent)
    )
    with enable_grad():
        x = args[i].clone() if args[i].requires_grad else args[i].detach().requires_grad_()
        outputs = op(*args[:i], x, *args[i + 1 :], **options)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        moving = [y for y in outputs if y.requires_grad]
        cotangents = [Tensor(np.zeros_like(y.array), requires_grad=True) for y in moving]
        (g,) = grad(moving, x, cotangents, create_graph=True, allow_unused=True)
        if g is None or not g.requires_grad:
            return ()
        found = grad(g, cotangents, tangent, create_graph=create_graph, allow_unused=True)
    by_output = dict(zip(map(id, moving), found))
    return [by_output.get(id(y)) for y in outputs]


def remember_tangent(out: Tensor) -> None:
    """If the output's node kept the output's value, let it keep the tangent, too: so that a
    gradient that is computed from it moves with it (forward over reverse)."""
    node = out.node
    if node is not None and getattr(node.plan, "keeps_out", False):
        value = Tensor(out.array)
        value.tangent = out.tangent
        node.kept = tuple(
            tuple(value if name == "out" else one for name, one in zip(names, kept))
            for (_, names), kept in zip(node.plan.steps, node.kept)
        )
