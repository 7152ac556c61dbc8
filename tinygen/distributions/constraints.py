"""What parameters and values must satisfy. A constraint can say so in words, and check an array.

constraints.positive                  # "greater than 0"
constraints.interval(-1.0, 1.0)       # "in [-1.0, 1.0]"
constraints.independent(real, 1)      # holds for a vector if it does for every element
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..autograd.tensor import Tensor

__all__ = [
    "Constraint", "boolean", "greater_than", "greater_than_eq", "half_open_interval",
    "independent", "integer_interval", "interval", "less_than", "lower_cholesky",
    "nonnegative", "nonnegative_integer", "one_hot", "positive", "positive_definite",
    "real", "real_vector", "simplex", "unit_interval",
]  # fmt: skip


class Constraint:
    """`check(value)` tells, of an array or tensor, where the constraint holds: bools of its shape,
    less the last `event_dim` dimensions, which count as one value."""

    def __init__(self, text: str, test: Callable, event_dim: int = 0, is_discrete: bool = False):
        self.text, self.test = text, test
        self.event_dim, self.is_discrete = event_dim, is_discrete

    def check(self, value) -> Tensor:
        array = value.array if isinstance(value, Tensor) else np.asarray(value)
        if array.ndim < self.event_dim:
            return Tensor(np.zeros((), np.bool_))
        with np.errstate(invalid="ignore"):
            return Tensor(np.asarray(self.test(array)))

    def __repr__(self) -> str:
        return self.text


# ---- Numbers -------------------------------------------------------------------------------------

_array = lambda bound: getattr(bound, "array", bound)
_say = lambda bound: str(_array(bound)) if np.ndim(_array(bound)) == 0 else "its bounds"


def greater_than(lower_bound) -> Constraint:
    return Constraint(f"greater than {_say(lower_bound)}", lambda x: x > _array(lower_bound))


def greater_than_eq(lower_bound) -> Constraint:
    return Constraint(f"at least {_say(lower_bound)}", lambda x: x >= _array(lower_bound))


def less_than(upper_bound) -> Constraint:
    return Constraint(f"less than {_say(upper_bound)}", lambda x: x < _array(upper_bound))


def interval(lower_bound, upper_bound) -> Constraint:
    text = f"in [{_say(lower_bound)}, {_say(upper_bound)}]"
    return Constraint(text, lambda x: (x >= _array(lower_bound)) & (x <= _array(upper_bound)))


def half_open_interval(lower_bound, upper_bound) -> Constraint:
    text = f"in [{_say(lower_bound)}, {_say(upper_bound)})"
    return Constraint(text, lambda x: (x >= _array(lower_bound)) & (x < _array(upper_bound)))


def integer_interval(lower_bound, upper_bound) -> Constraint:
    """Whole numbers from the lower to the upper bound, both included."""
    return Constraint(
        f"a whole number in [{_say(lower_bound)}, {_say(upper_bound)}]",
        lambda x: (x == np.floor(x)) & (x >= _array(lower_bound)) & (x <= _array(upper_bound)),
        is_discrete=True,
    )


real = Constraint("a number (and not NaN)", lambda x: x == x)
positive = greater_than(0)
nonnegative = greater_than_eq(0)
unit_interval = interval(0, 1)
boolean = Constraint("0 or 1", lambda x: (x == 0) | (x == 1), is_discrete=True)
nonnegative_integer = Constraint(
    "a whole number of at least 0", lambda x: (x == np.floor(x)) & (x >= 0), is_discrete=True
)


# ---- Vectors and matrices ------------------------------------------------------------------------


def independent(base: Constraint, reinterpreted_batch_ndims: int) -> Constraint:
    """`base` for every element of the last dimensions, which count as one value."""
    n = reinterpreted_batch_ndims

    def test(x):
        holds = base.test(x)
        return holds.all(axis=tuple(range(holds.ndim - n, holds.ndim)))

    text = f"{base.text}, in all elements" if n else base.text
    return Constraint(text, test, base.event_dim + n, base.is_discrete)


real_vector = independent(real, 1)
simplex = Constraint(
    "probabilities that sum to 1",
    lambda x: (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6 * max(10, x.shape[-1])),
    event_dim=1,
)
one_hot = Constraint(
    "a row of zeros with one 1",
    lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1),
    event_dim=1,
    is_discrete=True,
)
lower_cholesky = Constraint(
    "a lower triangular matrix with a positive diagonal",
    lambda x: (np.tril(x) == x).all((-2, -1)) & (np.diagonal(x, 0, -2, -1) > 0).all(-1),
    event_dim=2,
)


def _is_positive_definite(x) -> np.ndarray:
    symmetric = np.isclose(x, np.swapaxes(x, -1, -2), atol=1e-6).all((-2, -1))
    safe = np.where(np.isfinite(x).all((-2, -1), keepdims=True), x, 0.0)
    return symmetric & (np.linalg.eigvalsh(safe.astype(np.float64)) > 0).all(-1)


positive_definite = Constraint(
    "a symmetric matrix with positive eigenvalues", _is_positive_definite, event_dim=2
)
