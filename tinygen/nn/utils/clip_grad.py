"""nn.utils: gradient clipping, and parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.creation import zeros
from tinygen.autograd.ops.join import cat

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in parameters if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients, in place, so that the norm of all together is at most `max_norm`.

    Returns the norm before scaling (Pascanu, Mikolov & Bengio 2013, algorithm 1). `norm_type` may
    be inf, for the largest magnitude. `error_if_nonfinite` raises when the norm is NaN or infinite.
    """
    gradients = _gradients(parameters)
    if not gradients:
        return zeros(())
    norms = [np.linalg.norm(g.array.reshape(-1), norm_type) for g in gradients]
    total = np.linalg.norm(np.stack(norms), norm_type)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {norm_type} of the gradients is {total}, so they can't be "
            "clipped; look for the NaN or infinity with tg.autograd.detect_anomaly()"
        )
    coefficient = max_norm / (total + 1e-6)
    if not coefficient >= 1:  # a NaN norm makes all gradients NaN, as in PyTorch
        for g in gradients:
            g.array *= coefficient.astype(g.dtype)
            g.storage.note_write("clip_grad_norm_")
    return Tensor(np.asarray(total))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip each element of each gradient to ±`clip_value`, in place."""
    for g in _gradients(parameters):
        np.clip(g.array, -clip_value, clip_value, out=g.array)
        g.storage.note_write("clip_grad_value_")


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, flattened, as one vector; differentiable."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put consecutive slices of `vec` in the place of the parameters' values."""
    start = 0
    for param in parameters:
        size = param.array.size
        param.data = vec.detach()[start : start + size].reshape(param.shape)
        start += size
