"""Gradients of bounded size: of all together, or of each element."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tinygen.autograd import Tensor
from tinygen.autograd.creation import zeros
from tinygen.autograd.tensor import note_writes
from tinygen.kernels import clip

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach=None
) -> Tensor:
    """The norm of all tensors together, as if they were one vector. `norm_type` may be inf, for the
    largest magnitude. `error_if_nonfinite` raises when the norm is NaN or infinite."""
    tensors = _listed(tensors)
    if not tensors:
        return zeros(())
    arrays = [t.array for t in tensors]
    if norm_type == 2:
        total = clip.norm(arrays)
    else:
        norms = [np.linalg.norm(a.reshape(-1), norm_type) for a in arrays]
        total = np.linalg.norm(np.stack(norms), norm_type)
    if error_if_nonfinite and not np.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {norm_type} of the gradients is {total}, so they can't be "
            "clipped; look for the NaN or infinity with tg.autograd.detect_anomaly()"
        )
    return Tensor(np.asarray(total))


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach=None
) -> None:
    """Scale all gradients, in place, by max_norm / total_norm if that is less than 1."""
    coefficient = max_norm / (total_norm.array + 1e-6)
    if not coefficient >= 1:  # a NaN norm makes all gradients NaN, as in PyTorch
        gradients = _gradients(parameters)
        clip.scale([g.array for g in gradients], float(coefficient))
        note_writes(gradients, "clip_grad_norm_")


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach=None,
) -> Tensor:
    """Scale all gradients, in place, so that the norm of all together is at most `max_norm`.

    Returns the norm before scaling (Pascanu, Mikolov & Bengio 2013, algorithm 1), which is that of
    `get_total_norm`. `foreach` does nothing.
    """
    parameters = _listed(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach=None) -> None:
    """Clip each element of each gradient to ±`clip_value`, in place."""
    for g in _gradients(parameters):
        np.clip(g.array, -clip_value, clip_value, out=g.array)
        g.storage.note_write("clip_grad_value_")
