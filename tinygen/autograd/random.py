"""Random numbers: seeded, reproducible, and saved in checkpoints.

The generator is Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a
counter through a few rounds of multiplication, so its state is small.

What is drawn has no gradient: for one with respect to a mean or a standard deviation, write
`mean + std * randn_like(mean)`. `**place` is what scripts say of devices and layouts: devices.py.
"""

from __future__ import annotations

import operator
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .devices import check_place
from .dtypes import get_default_dtype, result_dtype
from .registry import ShapeError
from .tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "fork_rng", "get_rng_state", "initial_seed",
    "manual_seed", "multinomial", "normal", "poisson", "rand", "rand_like", "randint",
    "randint_like", "randn", "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip


# ---- Generators ----------------------------------------------------------------------------------


class Generator:
    """A stream of random numbers; `rng` is the NumPy generator behind it. Give it a seed, or a
    device as in PyTorch, which is the CPU."""

    device = "cpu"

    def __init__(self, seed: int | str | None = 0, device=None):
        if isinstance(seed, str) or seed is None:
            seed, device = 0, seed
        check_place(device)
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to `seed`; a negative one counts from 2^64 downwards."""
        if not -(2**63) <= int(seed) < 2**64:
            raise ValueError(f"a seed must lie between -2^63 and 2^64 - 1; got {seed}")
        self._seed = int(seed) % 2**64
        self.rng = np.random.Generator(np.random.Philox(self._seed))
        return self

    def seed(self) -> int:
        """Start a stream that nobody could have foreseen; return its seed."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of this stream."""
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


def seed() -> int:
    """Seed the default generator with a number that nobody could have foreseen; return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> dict:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: dict) -> None:
    """Restore the state of the default generator."""
    default_generator.set_state(state)


@contextmanager
def fork_rng(*args, **options) -> Iterator[None]:
    """A block after which the default generator goes on from where it was before."""
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def rng_of(generator: Generator | None) -> np.random.Generator:
    if generator is None:
        return default_generator.rng
    if not isinstance(generator, Generator):
        raise TypeError(
            f"generator must be a tg.Generator, not {type(generator).__name__}; write "
            "generator=tg.Generator().manual_seed(0)"
        )
    return generator.rng


# ---- Shapes and types ----------------------------------------------------------------------------


def as_shape(sizes, size=None) -> tuple[int, ...]:
    """The shape meant by f(2, 3), f((2, 3)) or f(size=(2, 3))."""
    if size is not None:
        sizes = (*sizes, size)
    if len(sizes) == 1 and (isinstance(sizes[0], tuple | list) or getattr(sizes[0], "ndim", 0)):
        sizes = sizes[0]
    try:
        shape = tuple(operator.index(n) for n in sizes)
    except TypeError as error:
        raise TypeError(f"a shape is integers, as in (2, 3) or ((2, 3)); got {sizes}") from error
    if any(n < 0 for n in shape):
        raise ShapeError(f"a shape can't have a negative size; got {shape}")
    return shape


def broadcast(name: str, *shapes) -> tuple[int, ...]:
    """The shape that these have together."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(f"{name}: shapes {' and '.join(map(str, shapes))} don't fit") from error


def float_dtype(dtype, name: str) -> np.dtype:
    """`dtype`, or the default one; refused if it is not of floats."""
    dtype = np.dtype(dtype or get_default_dtype())
    if dtype.kind != "f":
        raise NotImplementedError(
            f"{name} draws floats, which {dtype} can't hold; convert the result, or draw integers "
            "with randint, or random_ in place"
        )
    return dtype


def standard_normal(shape, dtype, generator) -> np.ndarray:
    """Standard normals [shape] of a float type."""
    wide = np.promote_types(dtype, np.float32)  # NumPy draws no float16
    return np.asarray(rng_of(generator).standard_normal(shape, wide), dtype)


def uniform(shape, dtype, generator) -> np.ndarray:
    """Uniforms in [0, 1), [shape], of a float type."""
    if dtype == np.float16:  # rounded down to a multiple of 2^-11, as one near 1 would become 1
        return (rng_of(generator).integers(0, 2048, shape) / 2048).astype(dtype)
    return np.asarray(rng_of(generator).random(shape, dtype), dtype)


# ---- Of a given shape ----------------------------------------------------------------------------


def randn(*shape, size=None, generator=None, dtype=None, requires_grad=False, **place) -> Tensor:
    """Independent standard normals."""
    check_place(**place)
    dtype = float_dtype(dtype, "randn")
    return Tensor(standard_normal(as_shape(shape, size), dtype, generator), requires_grad)


def rand(*shape, size=None, generator=None, dtype=None, requires_grad=False, **place) -> Tensor:
    """Independent uniforms in [0, 1)."""
    check_place(**place)
    dtype = float_dtype(dtype, "rand")
    return Tensor(uniform(as_shape(shape, size), dtype, generator), requires_grad)


def randint(
    *bounds, low=None, high=None, size=None, generator=None, dtype=None, **options
) -> Tensor:
    """Independent uniform integers from low to high - 1: randint(low, high, size); or
    randint(high, size), from 0. Also by keyword. A float dtype holds them as well."""
    requires_grad = options.pop("requires_grad", False)
    check_place(**options)
    given = list(bounds)
    size = given.pop() if size is None and given else size
    high = given.pop() if high is None and given else high
    low = given.pop() if low is None and given else low or 0
    if given or high is None or size is None:
        raise TypeError("randint takes (high, size) or (low, high, size), such as (0, 10, (2, 3))")
    dtype = np.dtype(dtype or np.int64)
    return Tensor(integers(low, high, as_shape((), size), dtype, generator), requires_grad)


def integers(low, high, shape, dtype, generator) -> np.ndarray:
    """Uniform integers [shape] in a type of integers or floats."""
    if low >= high:
        raise RuntimeError(f"there is no integer from {low} up to, but not including, {high}")
    exact = np.dtype(np.int64) if dtype.kind == "f" else dtype
    return np.asarray(rng_of(generator).integers(low, high, shape, exact), dtype)


def randperm(n: int, *, generator=None, dtype=None, requires_grad=False, **place) -> Tensor:
    """The numbers 0 to n - 1 in random order."""
    check_place(**place)
    (n,) = as_shape((n,))
    drawn = rng_of(generator).permutation(n).astype(dtype or np.int64)
    return Tensor(drawn, requires_grad)


def randn_like(x: Tensor, *, dtype=None, **options) -> Tensor:
    """Standard normals of the shape and type of x."""
    return randn(x.shape, dtype=dtype or x.dtype, **options)


def rand_like(x: Tensor, *, dtype=None, **options) -> Tensor:
    """Uniforms of the shape and type of x."""
    return rand(x.shape, dtype=dtype or x.dtype, **options)


def randint_like(x: Tensor, *bounds, dtype=None, **options) -> Tensor:
    """Uniform integers of the shape and type of x: randint_like(x, high), or (x, low, high)."""
    return randint(*bounds, size=x.shape, dtype=dtype or x.dtype, **options)


# ---- With parameters of their own for each element -----------------------------------------------


def normal(
    mean=0.0, std=1.0, size=None, *, generator=None, dtype=None, requires_grad=False, **place
) -> Tensor:
    """Normals of this mean and standard deviation: numbers and a size, or tensors to broadcast."""
    check_place(**place)
    if size is None and not (isinstance(mean, Tensor) or isinstance(std, Tensor)):
        raise TypeError("normal of two numbers needs a size, such as normal(0.0, 1.0, (2, 3))")
    mean, std = (getattr(a, "array", a) for a in (mean, std))
    if size is None:
        shape = broadcast("normal", np.shape(mean), np.shape(std))
        dtype = dtype or result_dtype((mean, std))
    else:
        shape = as_shape((), size)
    x = np.empty(shape, float_dtype(dtype, "normal"))
    return Tensor(normal_in_place(x, mean, std, generator=generator).astype(x.dtype), requires_grad)


def bernoulli(x: Tensor, p: float | None = None, *, generator=None) -> Tensor:
    """1 with probability x[...], else 0, in the type of x; with `p`, that for every element."""
    return Tensor(coins(x.array, x.array if p is None else p, generator).astype(x.dtype))


def coins(x: np.ndarray, p, generator) -> np.ndarray:
    """True with probability p, a number or an array, in the shape of x."""
    p = getattr(p, "array", p)
    if not np.all((np.greater_equal(p, 0)) & np.less_equal(p, 1)):
        raise RuntimeError("bernoulli: a probability lies outside of [0, 1]")
    if broadcast("bernoulli", np.shape(p), x.shape) != x.shape:
        raise ShapeError(f"bernoulli: probabilities {p.shape} for a tensor of shape {x.shape}")
    return rng_of(generator).random(x.shape) < p


def poisson(rate: Tensor, *, generator=None) -> Tensor:
    """Poisson numbers of these rates, in their type."""
    if not (rate.array >= 0).all():
        raise RuntimeError("poisson: a rate is negative, or NaN")
    return Tensor(np.asarray(rng_of(generator).poisson(rate.array), rate.dtype))


def multinomial(
    p: Tensor, num_samples: int, replacement: bool = False, *, generator=None
) -> Tensor:
    """Indices drawn with probability proportional to p [classes] or [rows, classes]: int64
    [num_samples] or [rows, num_samples].

    The largest log(p) + gumbel, that is the Gumbel-max trick, draws without replacement; the
    inverse of the cumulative sum draws with it.
    """
    if p.ndim not in (1, 2) or num_samples < 1:
        raise RuntimeError(
            "multinomial draws at least one sample, from weights [classes] or [rows, classes]; got "
            f"num_samples={num_samples} and weights {p.shape}"
        )
    weights = np.atleast_2d(p.array.astype(np.float64))
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(1) > 0).all()):
        raise RuntimeError("multinomial: weights must be finite, not negative, and not all 0")
    possible = (weights > 0).sum(1).min(initial=weights.shape[1])
    if not replacement and num_samples > possible:
        raise RuntimeError(
            f"multinomial: can't draw {num_samples} different classes; some row has only "
            f"{possible} of positive weight: pass replacement=True"
        )
    rng = rng_of(generator)
    if replacement or num_samples == 1:
        drawn = by_cumulative_sum(weights, rng.random((len(weights), num_samples)))
    else:
        with np.errstate(divide="ignore"):
            scores = np.log(weights) + rng.gumbel(size=weights.shape)
        drawn = np.argsort(-scores, 1)[:, :num_samples]
    return Tensor(drawn if p.ndim == 2 else drawn[0])


def by_cumulative_sum(weights, uniforms) -> np.ndarray:
    """The classes, of [rows, classes], in which uniforms [rows, samples] lie."""
    ends = np.cumsum(weights, 1)
    at = uniforms * ends[:, -1:]  # less than it, even for the largest uniform
    if uniforms.shape[1] == 1:
        return (at >= ends).sum(1, keepdims=True)
    return np.array([np.searchsorted(e, a, "right") for e, a in zip(ends, at)]).reshape(at.shape)


# ---- In place ------------------------------------------------------------------------------------
# Each returns what is to be written over the array x; methods.py makes x.normal_() of normal.


def checked(condition, name: str, expected: str, *found) -> None:
    if not condition:
        raise RuntimeError(f"{name} expects {expected}; got {', '.join(map(str, found))}")


def normal_in_place(x, mean=0.0, std=1.0, *, generator=None):
    checked(np.all(np.greater_equal(std, 0)), "normal", "std >= 0", np.min(std))
    return standard_normal(x.shape, float_dtype(x.dtype, "normal_"), generator) * std + mean


def uniform_in_place(x, low=0.0, to=1.0, *, generator=None):
    checked(low <= to, "uniform_", "from <= to", low, to)
    return uniform(x.shape, float_dtype(x.dtype, "uniform_"), generator) * (to - low) + low


def bernoulli_in_place(x, p=0.5, *, generator=None):
    return coins(x, p, generator)


def exponential_in_place(x, lambd=1.0, *, generator=None):
    """Density lambd e^(-lambd t)"""
    checked(lambd > 0, "exponential_", "lambd > 0", lambd)
    dtype = np.promote_types(float_dtype(x.dtype, "exponential_"), np.float32)
    drawn = rng_of(generator).standard_exponential(x.shape, dtype)
    return np.maximum(drawn, np.finfo(dtype).tiny) / lambd  # for some will take its logarithm


def log_normal_in_place(x, mean=1.0, std=2.0, *, generator=None):
    """e to the power of a normal of this mean and standard deviation"""
    checked(std > 0, "log_normal_", "std > 0", std)
    float_dtype(x.dtype, "log_normal_")
    return rng_of(generator).lognormal(mean, std, x.shape)


def cauchy_in_place(x, median=0.0, sigma=1.0, *, generator=None):
    """Density sigma / π / ((t - median)² + sigma²)"""
    checked(sigma > 0, "cauchy_", "sigma > 0", sigma)
    float_dtype(x.dtype, "cauchy_")
    return rng_of(generator).standard_cauchy(x.shape) * sigma + median


def geometric_in_place(x, p, *, generator=None):
    """How often one has to try for a success of probability p: 1, 2, ..."""
    checked(0 < p < 1, "geometric_", "p in (0, 1)", p)
    return rng_of(generator).geometric(p, x.shape)


def random_in_place(x, low=None, to=None, *, generator=None):
    """Integers: x.random_(to) from 0, x.random_(low, to) from low; to - 1 is the largest. Without
    bounds, all that the type holds from 0 on; of floats, up to where they are all exact."""
    if to is None:
        low, to = 0, low
    if to is None:
        to = 2 ** (np.finfo(x.dtype).nmant + 1) if x.dtype.kind == "f" else np.iinfo(x.dtype).max
    return integers(low or 0, to, x.shape, x.dtype, generator)


SAMPLERS = {
    "bernoulli": bernoulli_in_place, "cauchy": cauchy_in_place,
    "exponential": exponential_in_place, "geometric": geometric_in_place,
    "log_normal": log_normal_in_place, "normal": normal_in_place, "random": random_in_place,
    "uniform": uniform_in_place,
}  # fmt: skip
