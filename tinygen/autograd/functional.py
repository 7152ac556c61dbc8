"""Derivatives of functions: vjp, jvp, jacobian, hessian, hvp, vhp, as in torch.autograd.functional.

    jacobian(func, inputs)     ∂ output / ∂ input, all of it
    vjp(func, inputs, v)       v' J: one sweep of reverse mode
    jvp(func, inputs, v)       J v: one evaluation in forward mode
    hessian(func, inputs)      second derivatives of a scalar function
    hvp(func, inputs, v)       H v, without H: forward mode through reverse mode (Pearlmutter 1994)

`func` takes tensors and returns a tensor or a tuple of them; `inputs` is a tensor or a tuple.
Results are nested accordingly: a tensor for one input or output, a tuple for several. They are in
the graph of the inputs with create_graph=True, and can then be differentiated in turn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .engine import grad
from .forward_ad import dual_level, make_dual, unpack_dual
from .grad_mode import enable_grad
from .ops.join import stack
from .tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def jacobian(
    func: Callable,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
):
    """∂ func(*inputs) / ∂ inputs: for each output and input, [*output.shape, *input.shape].

    strategy: "reverse-mode" takes one sweep an element of the outputs, "forward-mode" one
        evaluation an element of the inputs: choose the fewer.
    strict: an output that does not depend on an input is an error, instead of zeros.
    vectorize: accepted, and changes nothing.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f'strategy must be "reverse-mode" or "forward-mode", not {strategy!r}')
    xs = prepared(inputs, create_graph)
    if strategy == "reverse-mode":
        with enable_grad():
            outputs = called(func, xs)
        rows = [rows_of(y, xs, create_graph, strict) for y in as_tuple(outputs)]
    else:
        outputs, rows = by_columns(func, xs, create_graph)
    rows = [row if isinstance(inputs, tuple) else row[0] for row in rows]
    return tuple(rows) if isinstance(outputs, tuple) else rows[0]


def rows_of(y: Tensor, xs, create_graph: bool, strict: bool) -> tuple[Tensor, ...]:
    """∂y/∂x for every x, a row (one element of y) after the other."""
    found = [gradients(y, xs, basis(y, at), create_graph, strict) for at in np.ndindex(y.shape)]
    return tuple(
        stacked([g[i] for g in found], y).reshape(*y.shape, *x.shape) for i, x in enumerate(xs)
    )


def by_columns(func, xs, create_graph: bool):
    """The outputs, and for each the Jacobians for all inputs, a column (one element of an input)
    after the other."""
    columns = []
    for i, x in enumerate(xs):
        rest = [zeros_like(other) for other in xs]
        directions = [[*rest[:i], basis(x, at), *rest[i + 1 :]] for at in np.ndindex(x.shape)]
        columns.append([pushed(func, xs, d, create_graph)[1] for d in directions])
    outputs = called(func, xs)
    ys = as_tuple(outputs)
    rows = [
        tuple(
            moved_last(stacked([c[k] for c in column], y).reshape(*x.shape, *y.shape), x.ndim)
            for x, column in zip(xs, columns)
        )
        for k, y in enumerate(ys)
    ]
    return outputs, rows


def vjp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(outputs, v' J): the gradients of Σ v · output. v may be left out for a scalar output."""
    xs = prepared(inputs, create_graph)
    with enable_grad():
        outputs = called(func, xs)
    ys = as_tuple(outputs)
    vs = checked(v, ys, "output") if v is not None else ones_for_scalars(ys)
    found = gradients(ys, xs, vs, create_graph, strict)
    return finished(outputs, create_graph), like(inputs, found)


def jvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(outputs, J v): how the outputs move when the inputs move along v, in forward mode."""
    xs = prepared(inputs, create_graph)
    vs = checked(v, xs, "input") if v is not None else ones_for_scalars(xs)
    outputs, found = pushed(func, xs, vs, create_graph, strict)
    return finished(outputs, create_graph), like(outputs, found)


def hessian(
    func: Callable,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
):
    """The second derivatives of a scalar function: for inputs x and z, [*x.shape, *z.shape]."""

    def gradient(*xs):
        return gradients(scalar(called(func, xs), "hessian"), xs, None, True, strict)

    found = jacobian(
        gradient, as_tuple(inputs), create_graph, strict, vectorize, outer_jacobian_strategy
    )
    return found if isinstance(inputs, tuple) else found[0][0]


def hvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(output, H v) for a scalar function: the gradient's derivative along v, at the cost of a few
    gradients, however large H is (Pearlmutter 1994)."""
    xs = prepared(inputs, create_graph)
    vs = checked(v, xs, "input") if v is not None else ones_for_scalars(xs)
    with enable_grad(), dual_level():
        duals = [make_dual(x, t) for x, t in zip(xs, vs)]
        output = scalar(called(func, duals), "hvp")
        found = gradients(output, duals, None, create_graph, strict)
        moves = [unpack_dual(g).tangent for g in found]
        output = unpack_dual(output).primal
    found = tuple(zeros_like(x) if t is None else t for t, x in zip(moves, xs))
    return finished(output, create_graph), like(inputs, finished(found, create_graph))


def vhp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False):
    """(output, v' H): the same numbers as hvp, H being symmetric, by reverse mode twice."""
    xs = prepared(inputs, create_graph)
    vs = checked(v, xs, "input") if v is not None else ones_for_scalars(xs)
    with enable_grad():
        output = scalar(called(func, xs), "vhp")
        first = gradients(output, xs, None, True, strict)
    found = gradients(first, xs, vs, create_graph, strict)
    return finished(output, create_graph), like(inputs, found)


# ---- Calls ---------------------------------------------------------------------------------------


def prepared(inputs, create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors that require grad: apart from their own graph, or in it."""
    for x in as_tuple(inputs):
        if not isinstance(x, Tensor):
            raise TypeError(f"inputs must be a tensor or a tuple of tensors; got {type(x)}")
    with enable_grad():
        return tuple(
            x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_()
            for x in as_tuple(inputs)
        )


def called(func, xs):
    outputs = func(*xs)
    outputs = tuple(outputs) if isinstance(outputs, list) else outputs
    for y in as_tuple(outputs):
        if not isinstance(y, Tensor):
            raise TypeError(f"func must return a tensor or a tuple of tensors; it gave {type(y)}")
    return outputs


def pushed(func, xs, vs, create_graph: bool, strict: bool = False):
    """(outputs, their tangents) when the inputs xs move along vs."""
    with enable_grad(), dual_level():  # func may differentiate in turn
        outputs = called(func, [make_dual(x, v) for x, v in zip(xs, vs)])
        duals = [unpack_dual(y) for y in as_tuple(outputs)]
    if strict and any(y.tangent is None for y in duals):
        raise RuntimeError("an output does not depend on the inputs (strict=True)")
    found = [zeros_like(y.primal) if y.tangent is None else y.tangent for y in duals]
    return like(outputs, [y.primal for y in duals]), finished(tuple(found), create_graph)


def gradients(ys, xs, vs, create_graph: bool, strict: bool) -> tuple[Tensor, ...]:
    """The gradients of Σ v · y for every x; zeros where y does not depend on x."""
    pairs = list(zip(as_tuple(ys), as_tuple(vs) if vs is not None else [None] * len(as_tuple(ys))))
    reached = [(y, v) for y, v in pairs if y.requires_grad]
    found = (None,) * len(xs)
    if reached:
        outputs, cotangents = zip(*reached)
        found = grad(outputs, xs, cotangents, True, create_graph, allow_unused=True)
    if strict and any(g is None for g in found):
        raise RuntimeError("an output does not depend on one of the inputs (strict=True)")
    return tuple(zeros_like(x) if g is None else g for g, x in zip(found, xs))


# ---- Small helpers -------------------------------------------------------------------------------


def as_tuple(x) -> tuple:
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def like(model, values):
    """`values` as a tuple if the model is one, else the only one of them."""
    return tuple(values) if isinstance(model, tuple) else values[0]


def finished(outputs, create_graph: bool):
    return outputs if create_graph else like(outputs, [y.detach() for y in as_tuple(outputs)])


def scalar(output, name: str) -> Tensor:
    if not isinstance(output, Tensor) or output.array.size != 1:
        shape = tuple(getattr(y, "shape", y) for y in as_tuple(output))
        raise RuntimeError(f"{name} needs a func that returns one number; it gave shape {shape}")
    return output


def checked(v, like_these, what: str) -> tuple[Tensor, ...]:
    """The vectors v, one for each of `like_these`, in its shape."""
    vs = as_tuple(v)
    if [t.shape for t in vs] != [t.shape for t in like_these]:
        raise RuntimeError(
            f"v must have the shapes of the {what}s, {[t.shape for t in like_these]}; "
            f"it has {[t.shape for t in vs]}"
        )
    return vs


def ones_for_scalars(tensors) -> tuple[Tensor, ...]:
    if len(tensors) != 1 or tensors[0].array.size != 1:
        raise RuntimeError("v may be left out only for a single number; give it in this case")
    return (Tensor(np.ones_like(tensors[0].array)),)


def zeros_like(x: Tensor) -> Tensor:
    return Tensor(np.zeros_like(x.array))


def basis(x: Tensor, at) -> Tensor:
    """1 at one place, 0 elsewhere, in the shape of x."""
    e = zeros_like(x)
    e.array[at] = 1
    return e


def stacked(parts: list[Tensor], y: Tensor):
    return stack(parts) if parts else Tensor(np.zeros(0, y.dtype))


def moved_last(x: Tensor, count: int):
    """The first `count` dimensions behind the others."""
    return x.permute(*range(count, x.ndim), *range(count))
