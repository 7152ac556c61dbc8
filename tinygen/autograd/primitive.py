"""Primitive: a NumPy forward, and one VJP per argument, written in differentiable ops.

    @primitive
    def mul(x, y):
        return np.multiply(x, y)

    mul.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)

`g` is the cotangent of the output: the gradient, with respect to it, of whatever is differentiated.
The keyword says which argument a VJP (vector-Jacobian product) is for. The names that the VJP takes
beyond `g` say what a node must keep: an argument, `out`, or `<argument>_shape` where the shape is
enough. Nothing else is kept alive, and a VJP whose cotangent nobody wants does not run. Since VJPs
are made of ops, they can be differentiated in turn.

An argument that was broadcast gets its cotangent summed in one place, `Primitive.cotangents`.
Integers meeting floats are converted in another, `Primitive.promoted`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from ..kernels.arithmetic import LARGE
from .dtypes import float32, result_dtype
from .grad_mode import grad_mode
from .lines import described
from .quiet import quiet, quietly
from .registry import ShapeError, our_names, register, registry, torch_names
from .tensor import Node, Storage, Tensor, View


class Plan:
    """For one set of arguments that want gradients: which VJPs run, and how to find what they read.

    steps: for each such argument, its VJP and the names that the VJP reads.
    keep:  (args, options, out) -> for each step, a tuple of the values of those names.
    """

    def __init__(self, op: Primitive, wanted: tuple[int, ...]):
        self.steps = [op.rule(i) for i in wanted]
        self.keep = finder(op, tuple((i, names) for i, (_, names) in zip(wanted, self.steps)))
        self.keeps_out = any("out" in names for _, names in self.steps)


@functools.cache
def finder(op: Primitive, reads: tuple) -> Callable:
    """The function of (args, options, out) that returns, for each (position of an argument, names)
    of `reads`, a tuple of the values of these names. It is put together as source text, since it
    runs at every call: for mul, whose VJPs read y and x, that is ((args[1],), (args[0],))."""
    texts = [f"({''.join(source(op, i, name) + ', ' for name in names)})" for i, names in reads]
    scope = {"defaults": op.defaults, "shape_of": shape_of}
    return eval(f"lambda args, options, out: ({', '.join(texts)},)", scope)


def source(op: Primitive, position: int, name: str) -> str:
    """The expression that finds one value, for the VJP of the argument at `position`."""
    if name == "position":
        return str(position)
    if name == "out":
        return "out.array"  # not the tensor, which holds the node
    if name.endswith("_shape"):
        return f"shape_of(args[{op.arguments.index(name.removesuffix('_shape'))}])"
    if name.endswith("_dtype"):
        return f"args[{op.arguments.index(name.removesuffix('_dtype'))}].dtype"
    by_name = f"options.get('{name}', defaults['{name}'])"
    i = op.arguments.index(name)
    return by_name if op.variadic else f"args[{i}] if len(args) > {i} else {by_name}"


def shape_of(x) -> tuple[int, ...]:
    return x.array.shape if isinstance(x, Tensor) else np.shape(x)


class Primitive:
    """An op whose gradient is written by hand. Call it with tensors, arrays and numbers.

    promotes:  "common" if arguments of different types are first brought to one, "float" if
               integers become floats as well (as in division); None if it takes them as they are.
    pointwise: element i of the output depends on elements i of the (broadcast) arguments alone, and
               the VJPs are arithmetic that takes arrays as well as tensors.
    is_view:   the output may share the memory of the first argument.
    """

    def __init__(self, forward, name="", promotes=None, pointwise=False, is_view=False):
        # Real functions are quiet about log(0) and 0 / 0, whose results say enough.
        self.forward = quiet(forward) if promotes == "float" else forward
        self.promotes, self.pointwise, self.is_view = promotes, pointwise, is_view
        self.name = self.__name__ = name or forward.__name__
        self.__doc__, self.__module__ = forward.__doc__, forward.__module__
        self.__signature__ = inspect.signature(forward)
        self.defaults = {n: p.default for n, p in self.__signature__.parameters.items()}
        self.arguments = tuple(self.defaults)
        self.variadic = any(
            p.kind == p.VAR_POSITIONAL for p in self.__signature__.parameters.values()
        )
        self.vjps: dict[int, tuple] = {}  # argument's position -> (function, names it reads)
        self.jvps: dict[int, Any] = {}  # the same, or "linear"
        self.plans: dict[tuple[int, ...], Plan] = {}
        register(self.name, self)

    def __repr__(self) -> str:
        return f"<op {self.name}{self.__signature__}>"

    # ---- Declaring gradients ----

    def vjp(self, **functions: Callable) -> Primitive:
        """Give the VJP of each named argument. An argument without one passes no gradient on."""
        for argument, function in functions.items():
            self.vjps[self.arguments.index(argument)] = (function, names_read(function))
        self.plans.clear()
        return self

    def jvp(self, **functions: Callable | str) -> Primitive:
        """Give, for forward mode, the JVP of a named argument: a function of its tangent, or
        "linear" if the op does to a tangent what it does to the argument. See forward_ad.py."""
        for argument, rule in functions.items():
            rule = rule if rule == "linear" else (rule, names_read(rule))
            self.jvps[self.arguments.index(argument)] = rule
        return self

    def rule(self, i: int) -> tuple:
        """The VJP of the argument at position i; all of a `*xs` share the VJP of the first."""
        return self.vjps[0 if self.variadic else i]

    # ---- Forward ----

    def __call__(self, *args, **options) -> Tensor:
        if options and not self.variadic:
            args, options = self.positional(args, options)
        arrays, watched = [], False
        for a in args:
            if isinstance(a, Tensor):
                arrays.append(a.array)
                if a._requires_grad or a._view is not None or a.tangent is not None:
                    watched = True
            else:
                arrays.append(a)
        try:
            array = self.forward(*arrays, **options)
        except (ValueError, IndexError, TypeError) as error:
            raise self.explained(error, arrays) from error
        if self.promotes and array.dtype is not float32:  # float32 from float32 needs no look
            promoted = self.promoted(args, arrays, array.dtype)
            if promoted is not None:
                return self(*promoted, **options)
        out = Tensor(array)
        if self.is_view:
            self.note_view(args[0], out, (self, args[1:], options))
        if watched and grad_mode.enabled:
            self.record(args, options, out)
        if watched and grad_mode.duals is not None:
            push_tangents(self, args, options, [out])
        return out

    def positional(self, args, options):
        """Tensors given by keyword, moved to their position; PyTorch's names for x and y, too."""
        for name, value in options.items():
            if isinstance(value, Tensor) or name in torch_names:
                break
        else:
            return args, options
        options = our_names(options)
        found = [i for i, n in enumerate(self.arguments) if isinstance(options.get(n), Tensor)]
        names = self.arguments[len(args) : max(found, default=-1) + 1]
        return (*args, *[options.pop(n, self.defaults[n]) for n in names]), options

    def promoted(self, args, arrays, found):
        """The arguments converted to the type they should meet in; None if they have it already."""
        if all(a.dtype is found for a in arrays if isinstance(a, np.ndarray)):
            return None
        first = int(self.arguments[0] == "condition")  # which stays bool
        operands = [a for a in arrays[first:] if a is not None]
        dtype = result_dtype(operands, self.promotes == "float")
        converted = [*args[:first], *[converted_to(dtype, a) for a in args[first:]]]
        return None if all(c is a for c, a in zip(converted, args)) else converted

    def explained(self, error: Exception, arrays) -> Exception:
        """NumPy's complaint, with the name of the op and the shapes it was given."""
        done = isinstance(error, ShapeError | np.linalg.LinAlgError)
        if done or not any(isinstance(a, np.ndarray) for a in arrays):
            return error
        shapes = " and ".join(str(a.shape) for a in arrays if isinstance(a, np.ndarray))
        kind = ShapeError if isinstance(error, ValueError) else type(error)
        kind = IndexError if isinstance(error, np.exceptions.AxisError) else kind
        return kind(f"{self.name}: {error} (given shapes {shapes})")

    def note_view(self, base, out: Tensor, step: tuple) -> None:
        """If `out` shares the memory of `base`, let it share its history of writes too. `step` is
        the op with the arguments and options that, after `base`, make `out`."""
        memory = out.array.base
        if memory is None or not isinstance(base, Tensor):
            return
        if memory is base.array or memory is base.array.base:
            storage = out._storage = base._storage or base.storage
            root, steps = (base, ()) if base._view is None else (base._view.base, base._view.steps)
            out._view = View(root, (*steps, step), storage.rebases)

    def record(self, args, options, out: Tensor) -> None:
        """Give `out` a node, if any argument wants a gradient and has a VJP to get one from."""
        wanted, parents = (), []
        for i, a in enumerate(args):
            if isinstance(a, Tensor):
                if a._view is not None:
                    a.follow_base()
                if a._requires_grad and (i in self.vjps or self.variadic):
                    wanted += (i,)
                    parents.append(a.node or a)
        if not parents or out.array.dtype.kind != "f":
            return
        plan = self.plans.get(wanted) or self.make_plan(wanted)
        kept = plan.keep(args, options, out)
        storage = out.storage if plan.keeps_out else None
        out._requires_grad = True
        out.node = Node(self, parents, kept, plan, out.array.shape, storage)

    def make_plan(self, wanted: tuple[int, ...]) -> Plan:
        self.plans[wanted] = Plan(self, wanted)
        return self.plans[wanted]

    # ---- Backward ----

    def cotangents(self, node: Node, g: Any, needed=None):
        """One (parent, cotangent) for every parent, or every one whose id is in `needed`."""
        differentiated = grad_mode.enabled or grad_mode.duals is not None
        small = self.pointwise and not differentiated and g.array.size < LARGE
        for (vjp, names), kept, parent in zip(node.plan.steps, node.kept, node.parents):
            if needed is not None and id(parent) not in needed:
                continue
            arrays = []
            for name, value in zip(names, kept):
                if isinstance(value, Tensor):
                    if value._storage is not None:
                        check_unwritten(f"argument `{name}`", node, value._storage)
                    value = value.array
                arrays.append(value)
            if "out" in names:
                check_unwritten("output", node, node.out_storage)
            if small:
                cotangent = on_arrays(vjp, g, arrays)
            else:
                cotangent = vjp(g, *with_output(node, names, kept))
            if cotangent.array.shape != parent.shape:
                cotangent = registry["sum_to"](cotangent, parent.shape)
            yield parent, cotangent


def on_arrays(vjp, g: Tensor, arrays) -> Tensor:
    """The VJP of a pointwise op is arithmetic, which means the same on arrays as on tensors, and
    takes half the time, if they are small. If nobody differentiates the gradient, it will do."""
    found = quietly(vjp, g.array, *arrays)
    if found is g.array:
        return g
    return found if isinstance(found, Tensor) else Tensor(found)


def with_output(node: Node, names, kept) -> tuple:
    """The kept values; of these `out`, an array, as a tensor at its place in the graph again."""
    if "out" not in names:
        return kept
    at = names.index("out")
    out = Tensor(getattr(kept[at], "array", kept[at]))
    out._requires_grad, out.node = True, node
    out.tangent = getattr(kept[at], "tangent", None)
    return (*kept[:at], out, *kept[at + 1 :])


def names_read(rule) -> tuple[str, ...]:
    """What a VJP or JVP reads beyond the cotangent or tangent."""
    return tuple(inspect.signature(rule).parameters)[1:]


def push_tangents(op, args, options, outputs) -> None:
    from .forward_ad import push  # which is built on the engine

    push(op, args, options, outputs)


def check_unwritten(what: str, node: Node, storage: Storage | None) -> None:
    """Refuse to differentiate with values that are no longer those of the forward pass."""
    if storage is not None and storage.written > node.number:
        raise RuntimeError(
            f"the {what} of {node.op.name}, which its gradient needs, was modified by the in-place "
            f"operation {storage.written_by}; work on a copy (x.clone()), or write x = x + y "
            f"instead of x += y.\n{node.op.name} was called at\n{described(node.line)}\n"
            f"{storage.written_by} was called at\n{described(storage.line)}"
        )


def converted_to(dtype: np.dtype, x):
    """A tensor (in the graph) or array with this dtype; a NumPy scalar as a plain number."""
    if isinstance(x, Tensor):
        return x if x.array.dtype == dtype else registry["cast"](x, dtype)
    if isinstance(x, np.ndarray):
        return x if x.dtype == dtype else x.astype(dtype)
    return x.item() if isinstance(x, np.generic) else x


@overload
def primitive(forward: Callable, **settings) -> Primitive: ...
@overload
def primitive(forward: None = None, **settings) -> Callable[[Callable], Primitive]: ...
def primitive(forward=None, **settings) -> Any:
    """Decorator: make a Primitive of a function on arrays."""
    return Primitive(forward, **settings) if forward else lambda f: Primitive(f, **settings)
