"""What a flow does to one number: scale and shift it.

A transformer y = f(x; θ), increasing in every number x, comes with its derivative and its inverse.
Coupling and autoregressive flows (coupling.py, autoregressive.py) let a network choose θ, so the
two can be combined at will; spline.py has the other transformer.
"""

from __future__ import annotations

from ...autograd.ops.elementwise import exp, tanh
from ...autograd.tensor import Tensor


class Affine:
    """y = x eˢ + t (Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP",
    equation 7), with s = limit · tanh(raw s), so that no layer stretches by more than e^limit.

    θ = 0 is the identity.
    """

    parameters = 2  # raw s and t, for every number

    def __init__(self, limit: float = 1.0):
        if not limit > 0:
            raise ValueError(f"the largest log-scale must be positive, not {limit}")
        self.limit = limit

    def __repr__(self) -> str:
        return f"Affine(limit={self.limit:g})"

    def forward(self, x: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """x [..., n], theta [..., 2 n] -> (y, log dy/dx), both [..., n]"""
        log_scale, shift = self.scale_and_shift(theta)
        return x * exp(log_scale) + shift, log_scale

    def inverse(self, y: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """y [..., n], theta [..., 2 n] -> (x, log dx/dy), both [..., n]"""
        log_scale, shift = self.scale_and_shift(theta)
        return (y - shift) * exp(-log_scale), -log_scale

    def scale_and_shift(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = theta.chunk(2, -1)
        log_scale = tanh(raw)
        return (log_scale if self.limit == 1 else log_scale * self.limit), shift
