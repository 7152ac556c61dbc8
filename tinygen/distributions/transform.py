"""Invertible functions with the logarithm of their slope, for changes of variables.

For y = f(x) the density of y is that of x over |f'(x)|: `log_abs_det_jacobian(x, y)` is
log |f'(x)|, or log |det ∂y/∂x| where the transform acts on vectors.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from . import constraints
from .constraints import Constraint

__all__ = ["ComposeTransform", "IndependentTransform", "Transform", "identity_transform"]


class Transform:
    """y = f(x). A subclass gives `_call`, `_inverse` and `log_abs_det_jacobian`.

    cache_size: with 1, the inverse of the latest y is the x it was computed from, exactly, even
        where f has lost it to rounding (as tanh does).
    """

    domain: Constraint = constraints.real
    codomain: Constraint = constraints.real
    bijective = True

    def __init__(self, cache_size: int = 0):
        if cache_size not in (0, 1):
            raise ValueError(f"cache_size must be 0 or 1; got {cache_size}")
        self._cache_size: int = cache_size
        self._latest: Any = (None, None)  # x and y

    def __call__(self, x: Tensor) -> Tensor:
        if self._cache_size and self._latest[0] is x:
            return self._latest[1]
        y = self._call(x)
        self._remember(x, y)
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if self._cache_size and self._latest[1] is y:
            return self._latest[0]
        x = self._inverse(y)
        self._remember(x, y)
        return x

    def _remember(self, x, y) -> None:
        if self._cache_size:
            self._latest = (x, y)

    @property
    def inv(self) -> Transform:
        """The inverse transform"""
        return _Inverse(self)

    @property
    def event_dim(self) -> int:
        """How many dimensions of x make one value"""
        return self.domain.event_dim

    @property
    def sign(self) -> int:
        """1 if f grows, -1 if it falls"""
        raise NotImplementedError(f"{type(self).__name__} is not monotone, or not of numbers")

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no log_abs_det_jacobian")

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of f(x) for an x of this shape"""
        return tuple(shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of x for a y of this shape"""
        return tuple(shape)

    __hash__ = object.__hash__

    def __eq__(self, other) -> bool:
        """Whether both are known to be the same function"""
        if type(self) is not type(other):
            return False
        mine, theirs = vars(self), vars(other)
        return all(same(mine[name], theirs[name]) for name in mine.keys() - NO_PARAMETERS)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


NO_PARAMETERS = {"_cache_size", "_latest", "domain", "codomain", "bijective"}


def same(a, b) -> bool:
    """Whether two parameters are equal: numbers, tensors, or lists of transforms"""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        a, b = (getattr(p, "array", p) for p in (a, b))
        return np.array_equal(a, b)
    return a == b


class _Inverse(Transform):
    """The inverse of a transform; its own inverse is that transform."""

    def __init__(self, transform: Transform):
        super().__init__()
        self._of = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.bijective = transform.bijective

    @property
    def inv(self) -> Transform:
        return self._of

    @property
    def sign(self) -> int:
        return self._of.sign

    def __call__(self, x: Tensor) -> Tensor:
        return self._of._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._of(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape):
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape):
        return self._of.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{self._of!r}.inv"


def sum_last(x: Tensor, n: int) -> Tensor:
    """The sum over the last n dimensions"""
    return x.sum(tuple(range(-n, 0))) if n else x


class ComposeTransform(Transform):
    """f = f_n ∘ ... ∘ f_1 of the transforms `parts` = [f_1, ..., f_n]"""

    def __init__(self, parts: list[Transform], cache_size: int = 0):
        super().__init__(cache_size)
        self.parts = list(parts)
        if self.parts:
            dims = [d for p in self.parts for d in (p.domain.event_dim, p.codomain.event_dim)]
            first, last = self.parts[0].domain, self.parts[-1].codomain
            self.domain = constraints.independent(first, max(dims) - first.event_dim)
            self.codomain = constraints.independent(last, max(dims) - last.event_dim)
        self.bijective = all(p.bijective for p in self.parts)

    @property
    def sign(self) -> int:
        return math.prod(p.sign for p in self.parts)

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.parts:
            return x * 0
        total = 0.0
        for part in self.parts:
            after = y if part is self.parts[-1] else part(x)
            slope = part.log_abs_det_jacobian(x, after)
            total = total + sum_last(slope, self.event_dim - part.event_dim)
            x = after
        return total  # pyright: ignore[reportReturnType]

    def forward_shape(self, shape):
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape):
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts})"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """`base_transform`, with the last `reinterpreted_batch_ndims` dimensions as one value"""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ):
        super().__init__(cache_size)
        self.base_transform, self.ndims = base_transform, reinterpreted_batch_ndims
        self.domain = constraints.independent(base_transform.domain, self.ndims)
        self.codomain = constraints.independent(base_transform.codomain, self.ndims)
        self.bijective = base_transform.bijective

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform._inv_call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return sum_last(self.base_transform.log_abs_det_jacobian(x, y), self.ndims)

    def forward_shape(self, shape):
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape):
        return self.base_transform.inverse_shape(shape)
