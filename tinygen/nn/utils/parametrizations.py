"""Parametrisations of weights: spectral norm and weight norm.

With them, `layer.parametrizations.weight` holds what is trained; reparametrize.py has the older
forms, `nn.utils.spectral_norm` and `nn.utils.weight_norm`.
"""

from __future__ import annotations

from tinygen.autograd import Tensor, no_grad
from tinygen.autograd.ops.reduce import norm
from tinygen.autograd.ops.shape import checked_dim, movedim
from tinygen.autograd.random import randn

from ..functional import normalize
from ..module import Module
from .parametrize import register_parametrization

__all__ = ["spectral_norm", "weight_norm"]


# ---- Spectral norm -------------------------------------------------------------------------------


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Divide a weight by its largest singular value (Miyato et al. 2018, algorithm 1).

    The weight counts as a matrix whose rows are along `dim`: by default 1 for transposed
    convolutions, otherwise 0. Each reading of the weight while training makes
    `n_power_iterations` steps towards the singular vectors, which are kept from one to the next.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter '{name}'")
    dim = rows_of(module) if dim is None else dim
    return register_parametrization(
        module, name, SpectralNorm(weight.detach(), n_power_iterations, dim, eps)
    )


class SpectralNorm(Module):
    """W / σ, with σ = uᵀ W v; the buffers u and v approach the first singular vectors of W."""

    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ):
        super().__init__()
        check_iterations(n_power_iterations)
        self.dim, self.eps = checked_dim(dim, weight.ndim, "spectral_norm"), eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            matrix = as_matrix(weight, self.dim)
            self.register_buffer("_u", random_unit(matrix.shape[0], matrix.dtype, eps))
            self.register_buffer("_v", random_unit(matrix.shape[1], matrix.dtype, eps))
            self._step(matrix, 15)

    def _step(self, matrix: Tensor, steps: int) -> None:
        self._u, self._v = power_iteration(matrix.mT, self._v, steps, self.eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._step(matrix.detach(), self.n_power_iterations)
        return weight / (self._u @ (matrix @ self._v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def rows_of(module: Module) -> int:
    """The axis of a layer's weight that counts its outputs."""
    return int(type(module).__name__.startswith("ConvTranspose"))


def check_iterations(n_power_iterations: int) -> None:
    if n_power_iterations <= 0:
        raise ValueError(
            "Expected n_power_iterations to be positive, but got "
            f"n_power_iterations={n_power_iterations}"
        )


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """[rows, columns], with the rows along `dim`."""
    return movedim(weight, dim, 0).flatten(1)


def random_unit(size: int, dtype, eps: float) -> Tensor:
    """A random direction."""
    return normalize(randn(size, dtype=dtype), dim=0, eps=eps)


@no_grad()
def power_iteration(matrix: Tensor, x: Tensor, steps: int, eps: float) -> tuple[Tensor, Tensor]:
    """(y, x) after so many times y = Mᵀ x / ‖Mᵀ x‖, x = M y / ‖M y‖."""
    y = x
    for _ in range(steps):
        y = normalize(matrix.mT @ x, dim=0, eps=eps)
        x = normalize(matrix @ y, dim=0, eps=eps)
    return y, x


# ---- Weight norm ---------------------------------------------------------------------------------


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the length g and the direction v of a weight apart (Salimans & Kingma 2016, eq. 2).

    Each slice along `dim` has a length of its own; with dim=None the whole weight has one.
    """
    if not isinstance(getattr(module, name, None), Tensor):
        raise ValueError(f"{type(module).__name__} has no parameter '{name}'")
    return register_parametrization(module, name, WeightNorm(dim))


class WeightNorm(Module):
    """g v / ‖v‖."""

    def __init__(self, dim: int | None = 0):
        super().__init__()
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return v * (g / norm_except(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """‖v‖ of each slice along `dim`, with size 1 for the other axes; of all if None or −1."""
    if dim is None or dim == -1:
        return norm(v)
    kept = checked_dim(dim, v.ndim, "weight_norm")
    others = tuple(i for i in range(v.ndim) if i != kept)
    return norm(v, 2, others, keepdim=True) if others else v.abs()
