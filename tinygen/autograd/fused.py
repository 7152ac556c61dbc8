"""Fused ops: a composition hot enough for a kernel, declared together with that composition.

    @Fused
    def gelu(x, approximate="none"):        # the reference: says what the op is
        ...

    @gelu.kernel
    def gelu_kernel(x, approximate):        # arrays in; the output and what backward needs out
        ...

    @gelu.gradient
    def gelu_gradient(g, saved, wanted, x, approximate):    # a cotangent for each tensor argument
        ...

The kernel must equal the reference in value and gradient, and the tests hold it to that. Under
create_graph the engine differentiates the reference instead: gradients of any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..kernels import gelu as gelu_kernels
from .engine import grad
from .grad_mode import enable_grad, grad_mode
from .ops.elementwise import clone, erf, tanh
from .primitive import Primitive, check_unwritten
from .registry import our_names
from .tensor import Node, Tensor


class Fused(Primitive):
    """An op with a kernel for its value, one for its gradient, and a reference for everything else.

    kernel:   (*arrays) -> (output, saved)
    gradient: (g, saved, wanted, *arrays) -> a cotangent per tensor argument, None where wanted[i]
              is False
    """

    kernel_function: Callable
    gradient_function: Callable

    def __init__(self, reference):
        super().__init__(reference)
        self.reference = reference
        self.default_values = tuple(self.defaults.values())

    def kernel(self, function):
        self.kernel_function = function
        return function

    def gradient(self, function):
        self.gradient_function = function
        return function

    def __call__(self, *args, **options) -> Tensor:
        if options or len(args) < len(self.arguments):
            args = self.all_arguments(args, options)
        arrays, types, watched = [], [], False
        for a in args:
            if isinstance(a, Tensor):
                arrays.append(a.array)
                if (dtype := a.array.dtype).kind == "f" and dtype not in types:
                    types.append(dtype)
                if a._requires_grad or a._view is not None or a.tangent is not None:
                    watched = True
            else:
                arrays.append(a)
        moving = watched and grad_mode.duals is not None and any(has_tangent(a) for a in args)
        if moving or len(types) != 1:
            return self.reference(
                *args
            )  # forward mode, mixed precision, no floats: not for kernels
        try:
            array, saved = self.kernel_function(*arrays)
        except (ValueError, IndexError, TypeError) as error:
            raise self.explained(error, arrays) from error
        out = Tensor(array)
        if watched and grad_mode.enabled:
            self.record(args, saved, out)
        return out

    def all_arguments(self, args, options) -> tuple:
        """The arguments in their order, with defaults where none was given."""
        if not options:
            return (*args, *self.default_values[len(args) :])
        options = our_names(options)
        if unknown := options.keys() - self.defaults.keys():
            raise TypeError(f"{self.name} has no argument {', '.join(sorted(unknown))}")
        rest = self.arguments[len(args) :]
        return (*args, *[options.get(n, self.defaults[n]) for n in rest])

    def record(self, args, saved, out: Tensor) -> None:
        """Give `out` a node, if any argument wants a gradient. Its plan says which do."""
        wanted = tuple([a.requires_grad if isinstance(a, Tensor) else False for a in args])
        if any(wanted):
            parents = [a.node or a for a, wants in zip(args, wanted) if wants]
            storage = out.storage if any(s is out.array for s in saved) else None
            out.node = Node(self, parents, (args, saved), wanted, out.array.shape, storage)
            out._requires_grad = True

    def cotangents(self, node: Node, g: Tensor, needed=None):
        args, saved = node.kept
        for name, a in zip(self.arguments, args):
            if isinstance(a, Tensor) and a._storage is not None:
                check_unwritten(f"argument `{name}`", node, a._storage)
        check_unwritten("output", node, node.out_storage)
        parents = iter(node.parents)
        places = [next(parents) if wants else None for wants in node.plan]
        wanted = [p is not None and (needed is None or id(p) in needed) for p in places]
        if grad_mode.enabled or has_tangent(g):  # create_graph, or forward over reverse
            found = self.through_reference(args, wanted, g)
        else:
            arrays = [a.array if isinstance(a, Tensor) else a for a in args]
            found = self.gradient_function(g.array, saved, wanted, *arrays)
            found = [None if c is None else Tensor(c) for c in found]
        return [(p, c) for p, c, wants in zip(places, found, wanted) if wants]

    def through_reference(self, args, wanted, g: Tensor) -> list:
        """Cotangents that can be differentiated in turn. Each argument is copied, so that one which
        was computed from another counts by itself alone."""
        create_graph = grad_mode.enabled
        with enable_grad():
            copies = [clone(a) if wants else a for a, wants in zip(args, wanted)]
            inputs = [c for c, wants in zip(copies, wanted) if wants]
            out = self.reference(*copies)
        found = iter(grad(out, inputs, g, create_graph=create_graph, allow_unused=True))
        return [next(found) if wants else None for wants in wanted]


def has_tangent(x) -> bool:
    return isinstance(x, Tensor) and x.tangent is not None


def rows(x):
    """[..., columns] as a matrix [rows, columns]."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


# ---- GELU ----------------------------------------------------------------------------------------


@Fused
def gelu(x, approximate="none"):
    """x Φ(x), Φ being the normal distribution function (Hendrycks & Gimpel 2016); or, with
    approximate="tanh", x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, as in GPT-2."""
    if approximate == "tanh":
        return 0.5 * x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


@gelu.kernel
def _(x, approximate):
    if approximate not in gelu_kernels.FORMS:
        raise ValueError(f'approximate must be "none" or "tanh", not {approximate!r}')
    return gelu_kernels.forward(x, approximate), ()


@gelu.gradient
def _(g, saved, wanted, x, approximate):
    return gelu_kernels.backward(g, x, approximate), None
