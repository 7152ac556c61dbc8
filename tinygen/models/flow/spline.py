"""What a flow does to one number: bend it along a monotone rational-quadratic spline.

Durkan, Bekasov, Murray & Papamakarios 2019, "Neural spline flows", section 3.1 and appendix A.1.
"""

from __future__ import annotations

import math

from ...autograd.creation import ones
from ...autograd.ops.activation import softplus
from ...autograd.ops.along import gather
from ...autograd.ops.choose import clamp, where
from ...autograd.ops.elementwise import abs, log, sqrt
from ...autograd.ops.join import cat
from ...autograd.ops.scan import cumsum
from ...autograd.ops.softmax import softmax
from ...autograd.tensor import Tensor

MIN_BIN = 1e-3  # the least width and height of a bin, as a part of the whole
MIN_DERIVATIVE = 1e-3
UNIT_DERIVATIVE = math.log(math.expm1(1 - MIN_DERIVATIVE))  # the raw derivative that means 1


class RationalQuadraticSpline:
    """y = f(x; θ): through `bins` + 1 knots from (-bound, -bound) to (bound, bound), between two of
    which f is a quotient of two quadratics, so that f and f' are continuous. Outside, y = x.

    θ = 0 is the identity.
    """

    def __init__(self, bins: int = 8, bound: float = 3.0):
        if bins < 1 or bins * MIN_BIN >= 1:
            raise ValueError(f"a spline has from 1 to {int(1 / MIN_BIN) - 1} bins, not {bins}")
        if not bound > 0:
            raise ValueError(f"a spline bends what is within ±bound; bound must be > 0: {bound}")
        self.bins, self.bound = bins, float(bound)
        self.parameters = 3 * bins - 1  # widths, heights, and derivatives at inner knots

    def __repr__(self) -> str:
        return f"RationalQuadraticSpline(bins={self.bins}, bound={self.bound:g})"

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """x [..., n], theta [..., parameters · n] -> (y, log dy/dx), both [..., n]"""
        inside = abs(x) < self.bound
        (x0, x1), (y0, y1), (d0, d1) = self.bin_of(clamp(x, -self.bound, self.bound), theta, 0)
        width, height = x1 - x0, y1 - y0
        xi = (clamp(x, -self.bound, self.bound) - x0) / width
        slope = height / width
        bend = d0 + d1 - 2 * slope
        mixed = xi * (1 - xi)
        below = slope + bend * mixed
        y = y0 + height * (slope * xi * xi + d0 * mixed) / below  # equation 4
        log_slope = log_derivative(xi, slope, d0, d1, below, mixed)
        return where(inside, y, x), where(inside, log_slope, 0.0)

    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """y [..., n], theta [..., parameters · n] -> (x, log dx/dy), both [..., n]"""
        inside = abs(y) < self.bound
        at = clamp(y, -self.bound, self.bound)
        (x0, x1), (y0, y1), (d0, d1) = self.bin_of(at, theta, 1)
        width, height = x1 - x0, y1 - y0
        slope = height / width
        bend = d0 + d1 - 2 * slope
        above = at - y0
        a = height * (slope - d0) + above * bend  # equations 6 to 8
        b = height * d0 - above * bend
        c = -slope * above
        # The root as c / …, which does not cancel where a is small.
        xi = 2 * c / (-b - sqrt(clamp(b * b - 4 * a * c, min=0.0)))
        mixed = xi * (1 - xi)
        log_slope = log_derivative(xi, slope, d0, d1, slope + bend * mixed, mixed)
        return where(inside, x0 + xi * width, y), where(inside, -log_slope, 0.0)

    def bin_of(self, value: Tensor, theta: Tensor, axis: int) -> list[tuple[Tensor, Tensor]]:
        """The bin in which value [..., n] lies, x (axis 0) or y (axis 1): of its two ends
        (x, x'), (y, y') and the derivatives (d, d') there, each [..., n]."""
        table = self.knots(theta)  # [..., n, 3, bins + 1]
        inner = table[..., axis, 1:-1]  # [..., n, bins - 1]
        index = (value.unsqueeze(-1) >= inner).sum(-1, keepdim=True).unsqueeze(-1)
        index = cat([index, index + 1], -1).expand(*value.shape, 3, 2)
        ends = gather(table.expand(*value.shape, *table.shape[-2:]), -1, index)  # [..., n, 3, 2]
        return [(ends[..., i, 0], ends[..., i, 1]) for i in range(3)]

    def knots(self, theta: Tensor) -> Tensor:
        """x, y and dy/dx at every knot, from theta [..., parameters · n], which has
        one parameter of all n after the other: [..., n, 3, bins + 1]"""
        K = self.bins
        theta = theta.unflatten(-1, (self.parameters, -1)).transpose(-1, -2)  # [..., n, 3 K - 1]
        sizes = theta[..., : 2 * K].unflatten(-1, (2, K))  # widths and heights
        parts = MIN_BIN + (1 - MIN_BIN * K) * softmax(sizes, -1)
        inner = (2 * cumsum(parts[..., :-1], -1) - 1) * self.bound  # [..., n, 2, K - 1]
        end = ones(*parts.shape[:-1], 1, dtype=theta.dtype)
        places = cat([-self.bound * end, inner, self.bound * end], -1)  # [..., n, 2, K + 1]
        derivatives = MIN_DERIVATIVE + softplus(theta[..., 2 * K :] + UNIT_DERIVATIVE)
        end = end[..., 0, :]
        derivatives = cat([end, derivatives, end], -1)  # [..., n, K + 1]
        return cat([places, derivatives.unsqueeze(-2)], -2)


def log_derivative(xi, slope, d0, d1, below, mixed) -> Tensor:
    """log dy/dx (Durkan et al. 2019, equation 5)"""
    above = d1 * xi * xi + 2 * slope * mixed + d0 * (1 - xi) * (1 - xi)
    return 2 * log(slope) + log(above) - 2 * log(below)
