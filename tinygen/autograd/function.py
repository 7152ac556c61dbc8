"""Function: an op of the user's own, with a gradient that is written by hand.

    class Exp(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = tg.exp(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    y = Exp.apply(x)

backward() gets a cotangent for each output and returns one (or None) for each argument of forward.
Made of tinygen's ops, it can be differentiated in turn.
"""

from __future__ import annotations

from typing import Any

from .forward_ad import primal, push
from .grad_mode import grad_mode, no_grad
from .inplace import same_place
from .ops.elementwise import clone
from .parts import Parts, part_of
from .primitive import check_unwritten
from .tensor import Node, Tensor


class Context:
    """What forward leaves for backward: tensors, and anything else as attributes."""

    saved_tensors: tuple = ()
    non_differentiable: tuple = ()
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs; a later write to one of them is noticed."""
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs carry no gradient."""
        self.non_differentiable = outputs


class Function:
    """Derive from it, write forward and backward, call `apply`. See the head of this file."""

    @staticmethod
    def forward(ctx: Context, *args: Any):
        raise TypeError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def backward(ctx: Context, *cotangents: Tensor):
        raise TypeError("a Function needs a static method backward(ctx, *cotangents)")

    @classmethod
    def apply(cls, *args: Any):
        """Call forward; record the call if a gradient is wanted."""
        if grad_mode.duals is not None and any(
            getattr(a, "tangent", None) is not None for a in args
        ):
            return moved(cls, args)
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        with no_grad():
            found = cls.forward(ctx, *args)
        outputs = found if isinstance(found, tuple) else (found,)
        # An argument that is returned as it is must not be given another place in the graph.
        outputs = tuple(same_place(t) if any(t is a for a in args) else t for t in outputs)
        if grad_mode.enabled and any(ctx.needs_input_grad):
            record(cls, ctx, args, outputs)
        return outputs if isinstance(found, tuple) else outputs[0]


def moved(cls, args):
    """The outputs in forward mode: they move as the user's backward says, by differentiating it."""
    found = cls.apply(*[primal(a) for a in args])
    push(Applied(cls), args, {}, found if isinstance(found, tuple) else (found,))
    return found


class Applied:
    """The call of a Function, as an op without JVPs of its own."""

    jvps: dict = {}
    vjps: dict = {}
    variadic, pointwise = True, False

    def __init__(self, cls):
        self.cls = cls

    def __call__(self, *args):
        return self.cls.apply(*args)


def record(cls, ctx: Context, args, outputs) -> None:
    """Make one node for the call, and for each output a node that is a part of it."""
    parents = [a.place for a, wants in zip(args, ctx.needs_input_grad) if wants]
    positions = {id(t): i for i, t in enumerate(outputs)}
    saved = [(t, positions.get(id(t))) for t in ctx.saved_tensors]
    # A node must not hold the output that holds it: of an output it keeps the values only.
    kept = [(t if position is None else t.detach(), position) for t, position in saved]
    ctx.saved_tensors = ()
    call = Node(FunctionOp(cls, ctx, outputs), parents, kept)
    for i, output in enumerate(outputs):
        differentiable = not any(output is t for t in ctx.non_differentiable)
        if isinstance(output, Tensor) and output.dtype.kind == "f" and differentiable:
            output.node, output._requires_grad = part_of(call, i, output.shape), True


class FunctionOp:
    """The op of one call's node."""

    def __init__(self, cls, ctx: Context, outputs):
        self.name, self.cls, self.ctx = cls.__name__, cls, ctx
        self.like = [(t.shape, t.dtype) if isinstance(t, Tensor) else ((), None) for t in outputs]

    def cotangents(self, node: Node, g: Parts, needed=None):
        self.ctx.saved_tensors = tuple(self.opened(node, *kept) for kept in node.kept)
        found = self.cls.backward(self.ctx, *g.filled(self.like))
        self.ctx.saved_tensors = ()
        found = found if isinstance(found, tuple) else (found,)
        needs = self.ctx.needs_input_grad
        if len(found) != len(needs):
            raise RuntimeError(
                f"{self.name}.backward returned {len(found)} gradients; forward took {len(needs)} "
                "arguments, and each needs one, or None"
            )
        found = [c for c, wants in zip(found, needs) if wants]
        for parent, cotangent in zip(node.parents, found):
            if cotangent is not None and (needed is None or id(parent) in needed):
                if cotangent.shape != parent.shape:
                    raise RuntimeError(
                        f"{self.name}.backward returned a gradient of shape {cotangent.shape} for "
                        f"an argument of shape {parent.shape}"
                    )
                own = clone(cotangent)  # the user may have kept this one, or returned it twice
                yield parent, own

    def opened(self, node: Node, tensor, position):
        """A saved tensor, refused if it was written to since; an output gets its place back."""
        if isinstance(tensor, Tensor):
            check_unwritten("saved tensor", node, tensor.storage)
            if position is not None:
                tensor = tensor.detach()
                tensor.node = part_of(node, position, tensor.shape)
                tensor._requires_grad = True
        return tensor
