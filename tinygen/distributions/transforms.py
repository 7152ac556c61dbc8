"""The transforms: of numbers, and of vectors. What they have in common is in transform.py."""

from __future__ import annotations

import math

from ..autograd.creation import as_tensor
from ..autograd.ops.choose import clamp
from ..autograd.ops.elementwise import abs, exp, expm1, log, log1p, logsigmoid, sigmoid, tanh
from ..autograd.ops.join import cat
from ..autograd.ops.scan import cumsum
from ..autograd.ops.special import logit
from ..autograd.tensor import Tensor
from . import constraints
from .transform import (
    ComposeTransform,
    IndependentTransform,
    Transform,
    identity_transform,
    sum_last,
)

__all__ = [
    "AffineTransform", "ComposeTransform", "ExpTransform", "IndependentTransform", "PowerTransform",
    "SigmoidTransform", "SoftplusTransform", "StickBreakingTransform", "TanhTransform",
    "Transform", "identity_transform",
]  # fmt: skip

# ---- Of numbers ----------------------------------------------------------------------------------


class _Rising(Transform):
    """A function of numbers that grows"""

    @property
    def sign(self) -> int:
        return 1


class AffineTransform(Transform):
    """y = loc + scale x; with event_dim = 1 or more, of vectors or matrices"""

    def __init__(self, loc, scale, event_dim: int = 0, cache_size: int = 0):
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self):
        return as_tensor(self.scale).sign()

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        slope = log(abs(as_tensor(self.scale, dtype=x.dtype))) + x * 0
        return sum_last(slope, self.event_dim)


class ExpTransform(_Rising):
    """y = e^x"""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return exp(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return log(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """y = x^exponent, of positive x"""

    domain = codomain = constraints.positive

    def __init__(self, exponent, cache_size: int = 0):
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self):
        return as_tensor(self.exponent).sign()

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return log(abs(self.exponent * y / x))


class SigmoidTransform(_Rising):
    """y = 1 / (1 + e^-x)"""

    codomain = constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        return sigmoid(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return logit(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return logsigmoid(x) + logsigmoid(-x)


class TanhTransform(_Rising):
    """y = tanh(x)"""

    codomain = constraints.interval(-1, 1)

    def _call(self, x: Tensor) -> Tensor:
        return tanh(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return 0.5 * (log1p(y) - log1p(-y))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log(1 - tanh² x) = log 4 + log σ(2x) + log σ(-2x)"""
        return math.log(4) + logsigmoid(2 * x) + logsigmoid(-2 * x)


class SoftplusTransform(_Rising):
    """y = log(1 + e^x)"""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return -logsigmoid(-x)

    def _inverse(self, y: Tensor) -> Tensor:
        return y + log(-expm1(-y))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return logsigmoid(x)


# ---- Of vectors ----------------------------------------------------------------------------------


class StickBreakingTransform(Transform):
    """Vectors [..., n] to probabilities [..., n + 1]: part k takes σ(x_k - log(n - k)), k = 0, 1,
    ..., of what the parts before it have left. x = 0 becomes the uniform distribution."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    @staticmethod
    def _offset(n: int, dtype) -> Tensor:
        return log(as_tensor([float(n - k) for k in range(n)], dtype=dtype))

    def _shares(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log of what each part takes of the rest, and log of what it leaves of it"""
        x = x - self._offset(x.shape[-1], x.dtype)
        return logsigmoid(x), logsigmoid(-x)

    def _call(self, x: Tensor) -> Tensor:
        taken, left = self._shares(x)
        rest = cumsum(left, -1)
        zero = rest[..., :1] * 0
        return exp(cat([zero, rest], -1) + cat([taken, zero], -1))

    def _inverse(self, y: Tensor) -> Tensor:
        rest = cumsum(y.flip(-1), -1).flip(-1)[..., 1:]  # what is left after each part
        tiny = 1e-300 if y.dtype.itemsize == 8 else 1e-37
        part = clamp(y[..., :-1], min=tiny)
        return log(part) - log(clamp(rest, min=tiny)) + self._offset(part.shape[-1], y.dtype)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """∂y_k/∂x_k = taken_k left_k Π_{j<k} left_j, a triangular matrix"""
        taken, left = self._shares(x)
        return (taken + cumsum(left, -1)).sum(-1)

    def forward_shape(self, shape):
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape):
        return (*shape[:-1], shape[-1] - 1)
