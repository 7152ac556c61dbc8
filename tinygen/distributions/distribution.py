"""Distribution: what all have in common, in particular their shapes.

A sample has the shape `sample_shape + batch_shape + event_shape`: how many are drawn; how many
distributions, with parameters of their own, there are in one; and how large a single value is.
`log_prob` has the shape `sample_shape + batch_shape`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.creation import as_tensor
from ..autograd.dtypes import get_default_dtype, result_dtype
from ..autograd.grad_mode import no_grad
from ..autograd.ops.elementwise import exp, sqrt
from ..autograd.ops.shape import broadcast_shapes
from ..autograd.random import Generator
from ..autograd.registry import ShapeError
from ..autograd.tensor import Tensor
from .constraints import Constraint

Shape = tuple[int, ...]


def broadcast_all(*values) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one float type and one shape."""
    dtype = result_dtype([getattr(v, "array", v) for v in values], floating=True)
    dtype = dtype if dtype.kind == "f" else get_default_dtype()
    tensors = [as_tensor(v, dtype=dtype) for v in values]
    shape = broadcast_shapes(*[x.shape for x in tensors])
    return tuple(x if x.shape == shape else x.expand(shape) for x in tensors)


class Distribution:
    """A random variable. Subclasses say what their parameters and values must satisfy, and give
    `log_prob`, `sample` and whatever else has a closed form; the rest raises NotImplementedError.

    validate_args: whether parameters and values are checked, and refused in a ValueError. It costs
        little; `Distribution.set_default_validate_args(False)` turns it off.
    """

    arg_constraints: dict[str, Constraint] = {}
    support: Any = None  # the constraint that values satisfy
    has_rsample = False
    has_enumerate_support = False
    _validate_args = True

    def __init__(
        self, batch_shape: Shape = (), event_shape: Shape = (), validate_args: bool | None = None
    ):
        self.batch_shape, self.event_shape = tuple(batch_shape), tuple(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if name in vars(self):  # not one that is computed from another
                    self._check(f"parameter {name}", vars(self)[name], constraint)

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked where nothing else is said."""
        Distribution._validate_args = value

    # ---- Shapes ----

    def expand(self, batch_shape) -> Any:
        """The same with its parameters broadcast to another batch shape."""
        batch_shape = tuple(batch_shape)
        parameters: dict[str, Any] = {
            name: expanded(vars(self)[name], batch_shape, constraint.event_dim)
            for name, constraint in self.arg_constraints.items()
            if name in vars(self)
        }
        return type(self)(**parameters, validate_args=False)._like(self)

    def _like(self, other: Distribution):
        """Check values if `other` does."""
        self._validate_args = other._validate_args
        return self

    def _extended_shape(self, sample_shape) -> Shape:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    # ---- Drawing ----

    def sample(self, sample_shape=(), *, generator: Generator | None = None) -> Tensor:
        """Draw [sample_shape + batch_shape + event_shape], without gradient."""
        with no_grad():
            return self.rsample(sample_shape, generator=generator).detach()

    def rsample(self, sample_shape=(), *, generator: Generator | None = None) -> Tensor:
        """Draw with the gradient of the sample with respect to the parameters."""
        raise NotImplementedError(
            f"a sample of {type(self).__name__} has no gradient with respect to its parameters: "
            "draw it with sample(), and use log_prob of it (the score-function estimator)"
        )

    # ---- Densities and moments ----

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density or probability of `value`."""
        raise self._without("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to `value`."""
        raise self._without("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile: up to which there is the probability `value`."""
        raise self._without("icdf")

    def entropy(self) -> Tensor:
        """-E log_prob, in nats, [batch_shape]"""
        raise self._without("entropy")

    def perplexity(self) -> Tensor:
        """e to the power of the entropy"""
        return exp(self.entropy())

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values along a new first dimension; of batch shape (1, 1, ...) with expand=False."""
        raise self._without("enumerate_support")

    @property
    def mean(self) -> Tensor:
        raise self._without("mean")

    @property
    def mode(self) -> Tensor:
        raise self._without("mode")

    @property
    def variance(self) -> Tensor:
        raise self._without("variance")

    @property
    def stddev(self) -> Tensor:
        return sqrt(self.variance)

    # ---- Checks ----

    def _without(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {what} in closed form")

    def _check(self, what: str, value: Tensor, constraint: Constraint) -> None:
        holds = constraint.check(value).array
        if not holds.all():
            found = value.array if constraint.event_dim else value.array[~holds]
            found = np.array2string(found, threshold=8, precision=6, separator=", ")
            raise ValueError(
                f"{type(self).__name__}: {what}, of shape {value.shape}, must be {constraint}; "
                f"got {found}"
            )

    def _validate_sample(self, value) -> Tensor:
        """`value` as a tensor, refused if it has the wrong shape or can't be a sample."""
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{type(self).__name__}: the value must be a tensor; got {type(value).__name__}: "
                "use tg.tensor"
            )
        if not self._validate_args:
            return value
        n = len(self.event_shape)
        event = value.shape[value.ndim - n :] if n else ()
        try:
            np.broadcast_shapes(value.shape[: value.ndim - n], self.batch_shape)
        except ValueError:
            event = None
        if event != self.event_shape:
            raise ShapeError(
                f"{type(self).__name__}: the value has shape {value.shape}, but must fit batch "
                f"shape {self.batch_shape} and event shape {self.event_shape}"
            )
        if self.support is not None:
            self._check("the value", value, self.support)
        return value

    def __repr__(self) -> str:
        given = {n: vars(self)[n] for n in self.arg_constraints if n in vars(self)}
        words = [f"{n}: {p.array if not p.ndim else p.shape}" for n, p in given.items()]
        return f"{type(self).__name__}({', '.join(words)})"


def expanded(parameter: Tensor, batch_shape: Shape, event_dim: int) -> Tensor:
    return parameter.expand(batch_shape + parameter.shape[parameter.ndim - event_dim :])
