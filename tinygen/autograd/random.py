"""Random numbers: seeded, reproducible, and saved in checkpoints.

The generator is Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a
counter through a few rounds of multiplication, so its state is small.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .devices import check_device
from .dtypes import get_default_dtype
from .tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "manual_seed",
    "multinomial", "normal", "rand", "rand_like", "randint", "randn", "randn_like", "randperm",
    "set_rng_state",
]  # fmt: skip


class Generator:
    """A stream of random numbers; `rng` is the NumPy generator behind it."""

    def __init__(self, seed: int = 0):
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to `seed`, a non-negative int."""
        self.rng = np.random.Generator(np.random.Philox(int(seed)))
        self._seed = int(seed)
        return self

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> dict:
        """Where in its stream the generator is: a dict of ints and arrays, for a checkpoint."""
        return dict(self.rng.bit_generator.state)

    def set_state(self, state: dict) -> None:
        """Go on from where get_state() was called."""
        self.rng.bit_generator.state = state


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given."""
    return default_generator.manual_seed(seed)


def get_rng_state() -> dict:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: dict) -> None:
    """Restore the state of the default generator."""
    default_generator.set_state(state)


def rng_of(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).rng


def as_shape(shape) -> tuple[int, ...]:
    return (
        tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int | np.integer) else shape
    )


def _made(array, dtype, requires_grad) -> Tensor:
    return Tensor(np.asarray(array, dtype or get_default_dtype()), requires_grad)


def standard_normal(shape, dtype, generator) -> np.ndarray:
    """Standard normals [shape], float32 or float64."""
    return np.asarray(rng_of(generator).standard_normal(shape, dtype))


def randn(*size, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Independent standard normals."""
    check_device(device)
    shape, dtype = as_shape(size), np.dtype(dtype or get_default_dtype())
    return _made(standard_normal(shape, dtype, generator), dtype, requires_grad)


def rand(*size, generator=None, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Independent uniforms in [0, 1)."""
    check_device(device)
    dtype = np.dtype(dtype or get_default_dtype())
    return _made(rng_of(generator).random(as_shape(size), dtype), dtype, requires_grad)


def randint(
    low, high=None, size: Any = None, *, generator=None, dtype=np.int64, device=None
) -> Tensor:
    """Independent uniform integers from low to high - 1; `randint(high, size)` begins at 0."""
    check_device(device)
    if size is None:
        low, high, size = 0, low, high
    return Tensor(rng_of(generator).integers(low, high, tuple(size), dtype))


def randperm(n: int, *, generator=None, dtype=np.int64, device=None) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    check_device(device)
    return Tensor(rng_of(generator).permutation(n).astype(dtype))


def randn_like(x: Tensor, *, generator=None, dtype=None, requires_grad=False) -> Tensor:
    return randn(x.shape, generator=generator, dtype=dtype or x.dtype, requires_grad=requires_grad)


def rand_like(x: Tensor, *, generator=None, dtype=None, requires_grad=False) -> Tensor:
    return rand(x.shape, generator=generator, dtype=dtype or x.dtype, requires_grad=requires_grad)


def normal(mean=0.0, std=1.0, size=None, *, generator=None) -> Tensor:
    """Normals of this mean and standard deviation: numbers and a size, or tensors to broadcast."""
    if size is None:
        size = np.broadcast_shapes(getattr(mean, "shape", ()), getattr(std, "shape", ()))
    return randn(tuple(size), generator=generator) * std + mean


def bernoulli(p: Tensor, *, generator=None) -> Tensor:
    """1 with probability p[...], else 0, in p's dtype."""
    array = p.array
    if not ((array >= 0) & (array <= 1)).all():
        raise RuntimeError("bernoulli: a probability lies outside of [0, 1]")
    return Tensor((rng_of(generator).random(array.shape) < array).astype(array.dtype))


def multinomial(
    p: Tensor, num_samples: int, replacement: bool = False, *, generator=None
) -> Tensor:
    """Indices drawn with probability proportional to p [classes] or [rows, classes]: int64
    [num_samples] or [rows, num_samples].

    The largest p e with e = -1 / log(uniform), that is the Gumbel-max trick, draws without
    replacement; the inverse of the cumulative sum draws with it.
    """
    weights = np.atleast_2d(p.array.astype(np.float64))
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(1) > 0).all()):
        raise RuntimeError("multinomial: weights must be finite, not negative, and not all 0")
    if not replacement and num_samples > (weights > 0).sum(1).min():
        raise RuntimeError(
            f"multinomial: can't draw {num_samples} different classes; some row has only "
            f"{(weights > 0).sum(1).min()} of positive weight: pass replacement=True"
        )
    rng = rng_of(generator)
    if replacement or num_samples == 1:
        ends = np.cumsum(weights, 1)
        at = rng.random((len(ends), num_samples)) * ends[:, -1:]
        drawn = (at[:, :, None] >= ends[:, None, :]).sum(2)
    else:
        with np.errstate(divide="ignore"):
            scores = np.log(weights) + rng.gumbel(size=weights.shape)
        drawn = np.argsort(-scores, 1)[:, :num_samples]
    return Tensor(drawn if p.ndim == 2 else drawn[0])
