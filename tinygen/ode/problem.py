"""Problem: f, the initial state and the tolerances, checked, in the one form that solvers take.

A state that is a tuple of tensors becomes one vector, on which solvers work as on any tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.ops.join import cat, split
from tinygen.autograd.ops.shape import reshape

State = Tensor | tuple[Tensor, ...]
Time = float | Tensor  # a number; or a 0-d tensor of float64, where a gradient for it is wanted


@dataclass
class Statistics:
    """What a solver did. Pass one as `statistics=`; several calls add to the same one.

    steps, rejected: steps that were kept, and those tried but taken again with a smaller size.
    evaluations: calls of f.
    """

    steps: int = 0
    rejected: int = 0
    evaluations: int = 0


class Layout:
    """Where the tensors of a state lie in the one that solvers work on."""

    def __init__(self, y0: State):
        self.is_tuple = not isinstance(y0, Tensor)
        self.shapes = [y.shape for y in ((y0,) if isinstance(y0, Tensor) else y0)]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]

    def pack(self, state: Any) -> Tensor:
        if not self.is_tuple:
            return state
        return cat([reshape(y, (-1,)) for y in state])

    def unpack(self, y: Tensor) -> Any:
        """The state in y [..., n], with the leading dimensions before those of each tensor."""
        if not self.is_tuple:
            return y
        lead = y.shape[:-1]
        parts = split(y, self.sizes, -1)
        return tuple(reshape(p, (*lead, *shape)) for p, shape in zip(parts, self.shapes))


class Problem:
    """dy/dt = func(t, y), y(t[0]) = y0, to tolerances. Calling it evaluates func, with checks.

    y0: the initial state as one tensor. rtol, atol: numbers or arrays that fit it.
    """

    def __init__(self, func: Callable, y0: Any, rtol: Any, atol: Any, statistics=None, norm=None):
        if not callable(func):
            raise TypeError(f"func must be a function of (t, y), not a {type(func).__name__}")
        y0 = checked_state(y0)
        self.func = func
        self.layout = Layout(y0)
        self.y0 = self.layout.pack(y0)
        self.dtype = self.y0.dtype
        self.rtol, self.atol = (
            tolerance(name, value, self.layout) for name, value in (("rtol", rtol), ("atol", atol))
        )
        if not np.all(self.rtol + self.atol > 0):
            raise ValueError("rtol and atol are both 0 somewhere: no step can be that accurate")
        self.statistics = Statistics() if statistics is None else statistics
        self.norm = self.mixed_norm if norm is None else self.own_norm(norm)

    @np.errstate(over="ignore", invalid="ignore")  # drivers look for what is not finite
    def __call__(self, t: Time, y: Tensor, toward: float | None = None) -> Tensor:
        """func at (t, y). toward: at the neighbour of t on that side instead, among the floats of
        the state's type, for an f that jumps at t."""
        self.statistics.evaluations += 1
        time = self.tensor(t)
        if toward is not None:
            value = time.array
            time = time + float(np.nextafter(value, self.dtype.type(toward)) - value)
        return self.layout.pack(self.checked(self.func(time, self.layout.unpack(y)), t))

    def tensor(self, t: Time) -> Tensor:
        """A time as func takes it: 0-d, of the state's type."""
        return t.to(self.dtype) if isinstance(t, Tensor) else Tensor(np.array(t, self.dtype))

    def checked(self, slopes: Any, t: Time) -> Any:
        """What func returned, if it has the form of the state."""
        is_tuple, shapes = self.layout.is_tuple, self.layout.shapes
        if is_tuple and isinstance(slopes, tuple | list):
            parts: Sequence = slopes
        else:
            parts = (slopes,) if not is_tuple else ()
        if len(parts) != len(shapes):
            raise TypeError(
                f"y is a tuple of {len(shapes)} tensors, and so must be what func returns; at "
                f"t = {float(t):g} it returned {described(slopes)}"
            )
        for k, shape in zip(parts, shapes):
            if not isinstance(k, Tensor):
                raise TypeError(f"func must return a tensor, dy/dt; it returned {described(k)}")
            if k.shape != shape:
                raise ValueError(
                    f"func returned a tensor of shape {k.shape} for a y of shape {shape}; dy/dt "
                    "has the shape of y (is something broadcast, or summed, that should not be?)"
                )
            if k.dtype != self.dtype:
                raise TypeError(
                    f"func returned {k.dtype} for a y of {self.dtype}; make both the same, by "
                    f"y0.to(tg.{k.dtype}) or by returning dy.to(tg.{self.dtype})"
                )
        return slopes

    # ---- How large an error is -------------------------------------------------------------------

    def mixed_norm(self, y: np.ndarray) -> float:
        """The root mean square of the elements; of a tuple, that of the tensor where it is largest
        (so that a small tensor is not drowned in a large one)."""
        if not self.layout.is_tuple:
            return root_mean_square(y)
        parts = np.split(y, np.cumsum(self.layout.sizes)[:-1])
        return max(map(root_mean_square, parts))

    def own_norm(self, norm: Callable) -> Callable[[np.ndarray], float]:
        return lambda y: float(norm(self.layout.unpack(Tensor(y))))


def root_mean_square(y: np.ndarray) -> float:
    return float(np.sqrt(np.vdot(y, y) / y.size)) if y.size else 0.0


# ---- Checks --------------------------------------------------------------------------------------


def checked_state(y0: Any) -> State:
    parts = tuple(y0) if isinstance(y0, tuple | list) else (y0,)
    if not parts:
        raise ValueError("y0 is an empty tuple; there is nothing to solve for")
    for y in parts:
        if not isinstance(y, Tensor):
            raise TypeError(
                f"y0 must be a tensor or a tuple of tensors, not {described(y)}: write tg.tensor(…)"
            )
        if y.dtype.kind != "f":
            raise TypeError(f"y0 must be floating-point; it is {y.dtype}: use y0.float()")
    if len({y.dtype for y in parts}) > 1:
        raise TypeError(
            f"all tensors of y0 must have one type; they have {[str(y.dtype) for y in parts]}"
        )
    return y0 if isinstance(y0, Tensor) else parts


def tolerance(name: str, value: Any, layout: Layout) -> Any:
    """A tolerance as a number, or as an array for the state as one tensor."""
    if layout.is_tuple and isinstance(value, tuple | list):
        if len(value) != len(layout.shapes):
            raise ValueError(
                f"{name} has {len(value)} parts for a state of {len(layout.shapes)}: give one "
                "number for all, or one tolerance for each tensor of the tuple"
            )
        pairs = zip(value, layout.shapes, strict=True)
        return np.concatenate([fitted(name, v, shape).ravel() for v, shape in pairs])
    array = as_tolerance(name, value)
    if array.ndim == 0:
        return float(array)
    shape = (sum(layout.sizes),) if layout.is_tuple else layout.shapes[0]
    return fitted(name, value, shape)


def fitted(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = as_tolerance(name, value)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {array.shape}, which does not fit a state of shape {shape}"
        ) from None


def as_tolerance(name: str, value: Any) -> np.ndarray:
    array = np.asarray(getattr(value, "array", value), np.float64)
    if not np.all((array >= 0) & (array < np.inf)):
        raise ValueError(f"{name} must be finite and not negative; got {value}")
    return array


def checked_times(t: Any) -> Tensor:
    """t, if it is a tensor [times] of floats that rise or fall strictly."""
    if not isinstance(t, Tensor):
        raise TypeError(f"t must be a tensor [times], not {described(t)}: write tg.tensor(…)")
    if t.dtype.kind != "f" or t.ndim != 1 or not t.shape[0]:
        raise ValueError(
            f"t must have one dimension, of at least one floating-point time; it has shape "
            f"{t.shape} and type {t.dtype}"
        )
    if not np.isfinite(t.array).all():
        raise ValueError(f"t must be finite; it is {t.array}")
    steps = np.diff(t.array)
    wrong = np.flatnonzero(steps * steps[:1] <= 0)
    if len(wrong):
        at = int(wrong[0])
        raise ValueError(
            "t must be strictly increasing or strictly decreasing; "
            f"t[{at}], t[{at + 1}] = {t.array[at : at + 2]}"
        )
    return t


def described(x: Any) -> str:
    if isinstance(x, tuple | list):
        return f"a {type(x).__name__} of {len(x)}"
    return f"a tensor of shape {x.shape}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
