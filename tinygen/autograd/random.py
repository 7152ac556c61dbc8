"""Random numbers: seeded, reproducible, and saved in checkpoints.

The generator is Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): each
number is a function of the seed, of how many calls have drawn from the generator before, and of its
place in what this call draws. So the state is two integers, and no thread waits for another.

What is drawn has no gradient: for one with respect to a mean or a standard deviation, write
`mean + std * randn_like(mean)`. `**place` is what scripts say of devices and layouts: devices.py.
"""

from __future__ import annotations

import operator
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ..kernels import random as kernels
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
    """A stream of random numbers. Give it a seed, or a device as in PyTorch, which is the CPU."""

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
        self._seed, self._offset = int(seed) % 2**64, 0
        return self

    def seed(self) -> int:
        """Start a stream that nobody could have foreseen; return its seed."""
        self.manual_seed(secrets.randbits(64))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of this stream."""
        return self._seed

    def get_state(self) -> dict[str, int]:
        """Where in its stream the generator is: its seed and how many calls have drawn from it."""
        return {"seed": self._seed, "offset": self._offset}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from where get_state() was called."""
        if not isinstance(state, dict) or state.keys() != {"seed", "offset"}:
            raise ValueError(
                "the state of a generator is {'seed': ..., 'offset': ...}, as get_state() returns "
                "it. One that an older version or PyTorch has saved belongs to another stream, on "
                "which there is no going on: start a new one with manual_seed"
            )
        self._seed, self._offset = int(state["seed"]), int(state["offset"])

    def next_call(self) -> tuple[int, int]:
        """The seed, and the number of this call: with them a kernel draws what nobody else does."""
        with lock:
            call = self._offset
            self._offset = call + 1
        return self._seed, call

    @property
    def rng(self) -> np.random.Generator:
        """A NumPy generator for the draws of one call, for what kernels/random.py has no formula
        for: the same seed is its key, and the number of the call a part of its counter. Its Philox
        computes with words of 64 bits, so it shares no numbers with ours."""
        seed, call = self.next_call()
        return np.random.Generator(np.random.Philox(key=seed, counter=call << 64))


lock = threading.Lock()  # two threads that drew in the same call would get the same numbers
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


def get_rng_state() -> dict[str, int]:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: dict[str, int]) -> None:
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


def generator_of(generator: Generator | None) -> Generator:
    """`generator`, or the default one."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(
            f"generator must be a tg.Generator, not {type(generator).__name__}; write "
            "generator=tg.Generator().manual_seed(0)"
        )
    return generator


def rng_of(generator: Generator | None) -> np.random.Generator:
    """A NumPy generator for one call that draws from `generator`, or from the default one."""
    return generator_of(generator).rng


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


def standard_normal(shape, dtype, generator, mean=0.0, std=1.0) -> np.ndarray:
    """Normals [shape] of a float type."""
    seed, call = generator_of(generator).next_call()
    x = kernels.normal(shape, seed, call, drawn_as(dtype), mean, std)
    return x if x.dtype == dtype else x.astype(dtype)


def uniform(shape, dtype, generator, low=0.0, high=1.0) -> np.ndarray:
    """Uniforms in [low, high), [shape], of a float type."""
    seed, call = generator_of(generator).next_call()
    if dtype == np.float16:  # rounded down to a multiple of 2^-11, as one near 1 would become 1
        u = (kernels.words(shape, seed, call) >> 21) / 2048
        return (u * (high - low) + low).astype(dtype)
    return kernels.uniform(shape, seed, call, dtype, low, high)


def standard_exponential(shape, dtype, generator=None) -> np.ndarray:
    """Exponentials of mean 1 [shape] of a float type, all above 0."""
    seed, call = generator_of(generator).next_call()
    return kernels.exponential(shape, seed, call, drawn_as(dtype)).astype(dtype, copy=False)


def standard_gamma(concentration: np.ndarray, generator=None) -> np.ndarray:
    """Gamma numbers of these concentrations and of rate 1, in their type, all above 0."""
    drawn = rng_of(generator).standard_gamma(concentration)
    dtype = concentration.dtype
    return np.maximum(drawn, np.finfo(dtype).tiny, dtype=np.float64).astype(dtype)


def drawn_as(dtype) -> np.dtype:
    """The type to draw in: no kernel draws float16."""
    return np.promote_types(dtype, np.float32)


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
    seed, call = generator_of(generator).next_call()
    return kernels.words(x.shape, seed, call) < np.multiply(p, 2.0**32, dtype=np.float64)


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

    Without replacement, an exponential of rate p for each class, of which the first few are drawn
    (Efraimidis and Spirakis 2006); with it, the inverse of the cumulative sum.
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
    if replacement or num_samples == 1:
        uniforms = uniform((len(weights), num_samples), weights.dtype, generator)
        drawn = by_cumulative_sum(weights, uniforms)
    else:
        with np.errstate(divide="ignore"):
            times = standard_exponential(weights.shape, weights.dtype, generator) / weights
        drawn = np.argsort(times, 1)[:, :num_samples]
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
    dtype = float_dtype(x.dtype, "normal_")
    if isinstance(mean, int | float) and isinstance(std, int | float):
        return standard_normal(x.shape, dtype, generator, mean, std)
    return standard_normal(x.shape, dtype, generator) * std + mean


def uniform_in_place(x, low=0.0, to=1.0, *, generator=None):
    checked(low <= to, "uniform_", "from <= to", low, to)
    return uniform(x.shape, float_dtype(x.dtype, "uniform_"), generator, float(low), float(to))


def bernoulli_in_place(x, p=0.5, *, generator=None):
    return coins(x, p, generator)


def exponential_in_place(x, lambd=1.0, *, generator=None):
    """Density lambd e^(-lambd t)"""
    checked(lambd > 0, "exponential_", "lambd > 0", lambd)
    return standard_exponential(x.shape, float_dtype(x.dtype, "exponential_"), generator) / lambd


def log_normal_in_place(x, mean=1.0, std=2.0, *, generator=None):
    """e to the power of a normal of this mean and standard deviation"""
    checked(std > 0, "log_normal_", "std > 0", std)
    dtype = float_dtype(x.dtype, "log_normal_")
    return np.exp(standard_normal(x.shape, dtype, generator, mean, std))


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
