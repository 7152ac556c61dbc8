"""Gradients checked with finite differences: `gradcheck(fn, inputs)`.

For outputs y = fn(x) and a random cotangent v, backward computes the vector-Jacobian product

    dL/dx_i = Σ_j v_j ∂y_j/∂x_i        of  L = Σ_j v_j y_j.

The same is had from values of fn alone, by differences around x_i, with a step h:

    D(h) = (y(x_i + h) - y(x_i - h)) / 2h = ∂y/∂x_i + c h² + O(h⁴)

in which the h² goes away if two steps are combined (Richardson 1911): (4 D(h/2) - D(h)) / 3. In
float64, with h = 1e-4, about eleven digits are right, so that a gradient that is off by a millionth
is noticed. The cotangent must be random: one of all ones (that is, `.sum()`) has the same gradient
for a transposed output, and for one that was averaged over the wrong rows.

`gradgradcheck` checks gradients of gradients: the function (x, v) -> dL/dx goes through gradcheck.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .engine import grad
from .tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient that is not what the differences say; the message tells where, and guesses why."""


# ---- The two checks ------------------------------------------------------------------------------


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-4,
    atol: float = 1e-8,
    rtol: float = 1e-6,
    raise_exception: bool = True,
    *,
    seed: int = 0,
) -> bool:
    """Whether the gradients of fn(*inputs) equal finite differences. See the head of this file.

    fn: returns a tensor or a tuple; outputs that are not of floats are left alone.
    inputs: a tensor or a tuple. Those that require grad are checked: they must be float64, and
        small, for fn is called four times for each of their elements. Others, tensors or not, go to
        fn as they are.
    eps: the step h, for numbers about 1; larger ones are moved more. fn should be smooth that near.
    atol, rtol: elements may be off by atol + rtol · size. PyTorch's are 1e-5 and 1e-3, as its
        differences are not extrapolated.
    seed: of the random cotangents.

    Raises GradcheckError, or returns False with raise_exception=False. Also noticed are: inputs or
    cotangents that were written to, gradients of the wrong shape or dtype, an fn that is random.
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    check = Check(fn, args, input_names(fn, args), eps, atol, rtol, seed)
    return passes(check, raise_exception)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-4,
    atol: float = 1e-8,
    rtol: float = 1e-6,
    raise_exception: bool = True,
    *,
    seed: int = 0,
) -> bool:
    """gradcheck of the gradients of fn, as a function of its inputs and of the cotangents of its
    outputs (`grad_outputs`, random if none are given). The arguments are those of gradcheck."""
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = differentiable(fn(*args))
    if grad_outputs is None:
        grad_outputs = random_like(outputs, seed + 1)
    cotangents = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    cotangents = tuple(v.detach().requires_grad_() for v in cotangents)
    names = [*input_names(fn, args), *(f"cotangent of output {i}" for i in range(len(cotangents)))]
    wanted = [i for i, x in enumerate(args) if requires_grad(x)]

    def gradient(*args_and_cotangents):
        args = list(args_and_cotangents[: -len(cotangents)])
        for i in wanted:  # the differences are taken with tensors that don't require grad
            args[i] = args[i] if args[i].requires_grad else args[i].detach().requires_grad_()
        ys, vs = differentiable(fn(*args)), args_and_cotangents[-len(cotangents) :]
        pairs = [(y, v) for y, v in zip(ys, vs) if y.requires_grad]
        again = any(requires_grad(x) for x in args_and_cotangents)
        found = gradients(pairs, [args[i] for i in wanted], create_graph=again)
        return tuple(g for g in found if g is not None)

    gradient.__name__ = f"the gradient of {name_of(fn, outputs)}"
    if not differentiable(gradient(*args, *cotangents)):
        return True  # no gradient, no gradient of it: whether rightly so, gradcheck says
    check = Check(gradient, (*args, *cotangents), names, eps, atol, rtol, seed)
    return passes(check, raise_exception)


def passes(check: Check, raise_exception: bool) -> bool:
    """Whether nothing is wrong; else raise what is, if wanted."""
    failure = next(failures(check), None)
    if failure and raise_exception:
        raise GradcheckError(failure)
    return failure is None


# ---- Both gradients ------------------------------------------------------------------------------


class Check:
    """What is checked, and how closely; with the outputs and their random cotangents."""

    def __init__(self, fn, args, names, eps, atol, rtol, seed):
        self.fn, self.args, self.names = fn, args, names
        self.eps, self.atol, self.rtol = eps, atol, rtol
        self.wanted = [i for i, x in enumerate(args) if requires_grad(x)]
        if not self.wanted:
            raise ValueError("gradcheck: no input requires grad; call .requires_grad_() on some")
        for i in self.wanted:
            if args[i].dtype != np.float64:
                raise ValueError(
                    f"gradcheck: {self.names[i]} is {args[i].dtype}, in which small differences "
                    "drown in rounding: x.detach().double().requires_grad_() is float64"
                )
        self.arrays = [x.array for x in args if isinstance(x, Tensor)]
        self.before = [a.copy() for a in self.arrays]
        self.outputs = differentiable(fn(*args))
        self.cotangents = random_like(self.outputs, seed)
        self.name = name_of(fn, self.outputs)

    def values(self, i: int, x: np.ndarray) -> np.ndarray:
        """All outputs in one vector, for the array x as argument i."""
        plain = [a.detach() if isinstance(a, Tensor) else a for a in self.args]
        plain[i] = Tensor(x)
        return flat(differentiable(self.fn(*plain)))

    def jacobian(self, i: int) -> np.ndarray:
        """∂(all outputs)/∂(argument i) by differences: [elements of argument, of outputs]."""
        x = self.args[i].array
        rows = [self.extrapolated(i, x, at) for at in np.ndindex(x.shape)]
        return np.array(rows).reshape(x.size, flat(self.outputs).size)

    def extrapolated(self, i: int, x: np.ndarray, at: tuple[int, ...]) -> np.ndarray:
        """(4 D(h/2) - D(h)) / 3 for one element of x."""
        h = self.eps * max(1.0, abs(x[at]))
        coarse, fine = (
            (self.values(i, moved(x, at, s)) - self.values(i, moved(x, at, -s))) / (2 * s)
            for s in (h, h / 2)
        )
        return (4 * fine - coarse) / 3

    def is_close(self, found: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Elementwise; a NaN is close to nothing."""
        size = np.maximum(np.abs(found), np.abs(expected))
        with np.errstate(invalid="ignore"):
            return np.abs(found - expected) <= self.atol + self.rtol * size


def failures(check: Check) -> Iterator[str]:
    """What is wrong with the gradients, in words."""
    cotangents = flat(check.cotangents)
    for k, y in enumerate(check.outputs):
        if y.dtype != np.float64:
            yield f"gradcheck of {check.name}: output {k} is {y.dtype}, though inputs are float64"
    pairs = [(y, v) for y, v in zip(check.outputs, check.cotangents) if y.requires_grad]
    found = gradients(pairs, [check.args[i] for i in check.wanted])
    for a, b in zip([*check.arrays, flat(check.cotangents)], [*check.before, cotangents]):
        if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            yield f"gradcheck of {check.name}: an input or cotangent was written to in place"
    first = check.wanted[0]
    again = check.values(first, check.args[first].array.copy())
    if not np.allclose(again, flat(check.outputs), 1e-9, 1e-12, equal_nan=True):
        yield (
            f"gradcheck of {check.name}: two calls with the same inputs gave different values; if "
            "it draws random numbers, seed them inside of it"
        )
    for i, g in zip(check.wanted, found):
        x = check.args[i]
        if g is not None and (g.shape, g.dtype) != (x.shape, x.dtype):
            yield (
                f"gradcheck of {check.name}: the gradient for {check.names[i]} is {g.dtype} "
                f"{g.shape}, the input {x.dtype} {x.shape}: a sum over broadcast dims missing?"
            )
        analytic = np.zeros(x.shape) if g is None else g.array
        jacobian = check.jacobian(i)
        numeric = (jacobian @ cotangents).reshape(x.shape)
        if not check.is_close(analytic, numeric).all():
            yield report(check, i, analytic, numeric, jacobian)


def gradients(pairs, inputs, create_graph=False) -> tuple[Tensor | None, ...]:
    """The gradients of Σ output · cotangent over the pairs; None where nothing depends on it."""
    if not pairs:
        return (None,) * len(inputs)
    outputs, cotangents = zip(*pairs)
    return grad(outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True)


# ---- What to say of a failure --------------------------------------------------------------------


def report(check: Check, i: int, analytic, numeric, jacobian) -> str:
    """Where, by how much, and perhaps why the two gradients differ."""
    close = check.is_close(analytic, numeric)
    error = np.where(close, -1.0, np.nan_to_num(np.abs(analytic - numeric), nan=np.inf))
    at = tuple(int(k) for k in np.unravel_index(error.argmax(), error.shape))
    size = max(abs(analytic[at]), abs(numeric[at]))
    causes = likely_causes(check, i, analytic, numeric, jacobian, at)
    return (
        f"gradcheck of {check.name}: the gradient for {check.names[i]} is wrong\n"
        f"  worst element   {at} of shape {analytic.shape}\n"
        f"  analytic        {analytic[at]:.10g}\n"
        f"  numeric         {numeric[at]:.10g}\n"
        f"  relative error  {abs(analytic[at] - numeric[at]) / size:.2g}\n"
        f"  elements off    {(~close).sum()} of {close.size}\n"
        f"  likely cause    {next(causes, 'none of the usual ones; compare the two formulas')}"
    )


def likely_causes(check: Check, i: int, analytic, numeric, jacobian, at) -> Iterator[str]:
    """Usual mistakes that would explain the whole of the wrong gradient; the best guess first."""
    same = lambda found, expected: bool(check.is_close(found, expected).all())
    if not np.isfinite(numeric).all():
        yield "fn is not finite within eps of the input: use inputs farther from its poles"
    if not np.isfinite(analytic).all():
        yield "0/0 or 0·inf in the VJP: mask the argument that is not used, not the result"
    if is_kink(check, i, at):
        yield "fn has a kink or jump here, so there is no derivative: use inputs away from it"
    if not analytic.any():
        yield "the gradient is cut: a detach(), .data or .numpy(), or no VJP for this argument"
    if not np.abs(numeric).max() > check.atol:
        yield "fn does not depend on this input, near this point, and yet a gradient reaches it"
    if same(-analytic, numeric):
        yield "the sign is flipped"
    if analytic.ndim > 1 and same(transposed(analytic), numeric):
        yield "the gradient is transposed"
    factor = (numeric * analytic).sum() / (analytic * analytic).sum()
    if same(analytic * factor, numeric):
        yield f"the gradient should be {factor:.6g} times as large{meaning(factor, check, i)}"
    yield from unsummed(check, analytic, jacobian, same)
    for k in check.wanted:
        if k != i and check.args[k].shape == analytic.shape:
            other = check.jacobian(k) @ flat(check.cotangents)
            if same(analytic, other.reshape(analytic.shape)):
                yield f"this is the gradient for {check.names[k]}: were two VJPs exchanged?"


def is_kink(check: Check, i: int, at) -> bool:
    """Whether the slopes to the left and right stay apart as the step gets smaller."""
    x, here = check.args[i].array, check.values(i, check.args[i].array)
    gaps = []
    for h in (check.eps, check.eps / 2):
        right = (check.values(i, moved(x, at, h)) - here) / h
        left = (here - check.values(i, moved(x, at, -h))) / h
        gaps.append(np.abs(right - left).max(initial=0))
    return bool(gaps[0] > 10 * check.eps and gaps[1] > 0.75 * gaps[0])


def transposed(analytic: np.ndarray) -> np.ndarray:
    """The last two dimensions exchanged, of an array in which they should have been before."""
    *lead, m, n = analytic.shape
    return np.swapaxes(analytic.reshape(*lead, n, m), -1, -2)


def meaning(factor: float, check: Check, i: int) -> str:
    """Where a factor that is missing may come from."""
    guesses = []
    for what, tensor in [(check.names[i], check.args[i]), ("the output", check.outputs[0])]:
        for dim, n in enumerate(tensor.shape):
            if n > 1 and abs(factor - n) < 1e-5:
                guesses.append(f"a mean instead of a sum over dim {dim} of {what}")
            if n > 1 and abs(factor * n - 1) < 1e-5:
                guesses.append(f"a sum instead of a mean over dim {dim} of {what}")
    if abs(factor - 2) < 1e-5:
        guesses.append("a forgotten factor 2, as of the derivative of x²")
    if abs(factor - 0.5) < 1e-5:
        guesses.append("something counted twice")
    return f": it looks like {', or '.join(guesses)}" if guesses else ""


def unsummed(check: Check, analytic, jacobian, same) -> Iterator[str]:
    """Is it the gradient of the first or last slice of an output alone, as after a missing sum?"""
    for k, v in enumerate(check.cotangents):
        for dim, n in enumerate(v.shape):
            for index in {0, n - 1} if n > 1 else ():
                only = np.zeros(v.shape)
                only[(slice(None),) * dim + (index,)] = 1
                masked = [Tensor(u.array * only) if u is v else u for u in check.cotangents]
                if same(analytic, (jacobian @ flat(masked)).reshape(analytic.shape)):
                    yield (
                        f"only slice {index} along dim {dim} of output {k} counts: "
                        "a sum over a broadcast dimension is missing"
                    )


# ---- Small helpers -------------------------------------------------------------------------------


def requires_grad(x) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def differentiable(outputs) -> list[Tensor]:
    """The outputs that hold floats."""
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    return [y for y in outputs if isinstance(y, Tensor) and y.dtype.kind == "f"]


def flat(tensors) -> np.ndarray:
    return np.concatenate([np.zeros(0), *(t.array.ravel() for t in tensors)])


def random_like(tensors, seed: int) -> tuple[Tensor, ...]:
    """Standard normals in the shapes of the tensors."""
    rng = np.random.default_rng(seed)
    return tuple(Tensor(np.asarray(rng.standard_normal(t.shape), t.dtype)) for t in tensors)


def moved(x: np.ndarray, at: tuple[int, ...], step: float) -> np.ndarray:
    """A copy of x in which one element is larger by `step`."""
    out = np.array(x)
    out[at] += step
    return out


def name_of(fn, outputs) -> str:
    """What to call fn: its name, or that of the op behind its output."""
    name = getattr(fn, "__name__", type(fn).__name__)
    if name == "<lambda>" and outputs and outputs[0].grad_fn is not None:
        return outputs[0].grad_fn.op.name
    return name


def input_names(fn, args) -> list[str]:
    """`input 0 (x)`: number and name of every argument."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = [*(f" ({n})" for n in known), *[""] * len(args)]
    return [f"input {i}{name}" for i, name in enumerate(names[: len(args)])]
