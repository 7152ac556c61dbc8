"""One row of samples for every op; the tests in tests/autograd/test_ops.py walk it.

    row("exp", np.exp, each(N))                         # NumPy's function must give the same values
    row("sum", np_sum, with_(N(2, 3), dim=1, keepdim=True), with_(N(2, 3), dim=(0, -1)))

A new op needs one row: a test fails for every registered op without one. `N(2, 3)` stands for an
array [2, 3] of float64 standard normals; other domains are below. Arrays of floats become tensors
that are differentiated; arrays of integers and bools become tensors that are not; anything else is
passed to the op as it is. Layouts in memory, float32, mutation, and mistakes in VJPs are tried with
every sample, so the rows have only shapes, options and values of interest.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from tinygen.autograd.fused import Fused
from tinygen.autograd.registry import registry
from tinygen.autograd.tensor import Tensor

OPS = {name: op for name, op in registry.items() if op.__module__.startswith("tinygen")}

# ---- Arrays to be drawn ------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """An array of this shape, from `sample(rng, shape)`."""

    sample: Callable
    shape: tuple[int, ...]


def domain(sample):
    return lambda *shape: Draw(sample, shape)


def away_from_steps(rng, shape, steps=(0.0,), gap=0.05):
    """Normals of which none lies near a step or kink of the op."""
    x = rng.standard_normal(shape) * 1.5
    for step in steps:
        x = np.where(np.abs(x - step) < gap, step + gap + np.abs(x - step), x)
    return x


N = domain(lambda rng, shape: rng.standard_normal(shape))
P = domain(lambda rng, shape: rng.uniform(0.5, 2.0, shape))  # positive
UNIT = domain(lambda rng, shape: rng.uniform(0.1, 0.9, shape))
NONZERO = domain(away_from_steps)
STEPS = domain(lambda rng, shape: rng.integers(-3, 3, shape) + rng.uniform(0.1, 0.4, shape))
# All different, and not near one another: no ties where elements are compared.
DISTINCT = domain(lambda rng, shape: rng.permutation(math.prod(shape)).reshape(shape) * 0.37 - 1)
# Different by construction: the second argument lies between the values that the first can take.
BETWEEN = domain(lambda rng, shape: DISTINCT().sample(rng, shape) + 0.185)
LOGP = domain(lambda rng, shape: np.log(rng.uniform(0.1, 0.9, shape)))


# ---- Rows --------------------------------------------------------------------------------------


@dataclass
class Sample:
    op: str
    call: Callable  # what the test calls: the op, or what makes its arguments fit
    args: tuple
    options: dict
    oracle: Callable | None  # the same on arrays, in NumPy
    torch: str | None  # the name of the same function in torch or torch.nn.functional
    smooth: bool  # whether gradients of gradients are checked as well
    differentiable: bool
    name: str = ""
    before: Callable | None = None  # what is done to the arguments first, by any library
    after: Callable | None = None  # and to the result: what no library is free to choose

    def arrays(self, dtype=np.float64) -> list:
        """The arguments, the same at every call; floats to be differentiated are arrays."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        drawn = [a.sample(rng, a.shape) if isinstance(a, Draw) else a for a in self.args]
        return [np.asarray(a, dtype) if is_float(a) else a for a in drawn]

    def tensors(self, dtype=np.float64) -> tuple:
        return tuple(as_argument(a) for a in self.arrays(dtype))

    def function(self, *args):
        return self.through(self.call)(*args, **self.options)

    def through(self, call):
        """`call`, with what is done before and after it."""

        def whole(*args, **options):
            out = call(*(self.before(*args) if self.before else args), **options)
            return self.after(out) if self.after else out

        return whole


@dataclass
class with_:
    """Arguments and options of one call."""

    args: tuple
    options: dict = field(default_factory=dict)

    def __init__(self, *args, **options):
        self.args, self.options = args, options


SAMPLES: list[Sample] = []


def row(op, oracle, *calls, call=None, torch="", smooth=True, differentiable=True,
        before=None, after=None):  # fmt: skip
    """The samples of one op. `torch` is its name there,
    if it is not the same; None if there is none."""
    flat = [c for group in calls for c in (group if isinstance(group, list) else [group])]
    known = sum(sample.op == op for sample in SAMPLES)
    for number, c in enumerate(flat, known):
        SAMPLES.append(
            Sample(
                op,
                call or OPS[op],
                c.args,
                c.options,
                oracle,
                op if torch == "" else torch,
                smooth,
                differentiable,
                f"{op}-{number}",
                before,
                after,
            )
        )


def is_float(a) -> bool:
    return isinstance(a, np.ndarray | np.floating) and a.dtype.kind == "f"


def as_argument(a):
    if isinstance(a, np.ndarray | np.generic):
        return Tensor(np.asarray(a), requires_grad=is_float(a))
    return a


def each(draw, *shapes, **options) -> list:
    """One argument of several shapes: square, with one dimension, 0-d, empty."""
    return [with_(draw(*s), **options) for s in shapes or [(3, 3), (2, 3), (3,), (), (0, 3)]]


def pairs(first, second=None, numbers=True, **options) -> list:
    """Two arguments that are broadcast to each other; also empty, 0-d, and Python numbers."""
    second = second or first
    shapes = [
        ((3, 3), (3, 3)),
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 1), (1, 3)),
        ((), (3,)),
        ((2, 3), ()),
        ((0, 3), (3,)),
        ((1, 1), (3,)),
        ((4, 1, 2), (3, 1)),
    ]
    found = [with_(first(*s), second(*t), **options) for s, t in shapes]
    numbers = [with_(first(2, 3), 0.7, **options), with_(0.7, second(3), **options)] * numbers
    return found + numbers


def reductions(draw, *, several=True, everything=True, empty=True) -> list:
    """dim as a number from either end, as a tuple, and as None; with and without keepdim."""
    dims = [0, 1, -1, *[(0, 1), (-1, 0)] * several, *[None] * everything]
    found = [with_(draw(2, 3), dim=d, keepdim=k) for d, k in product(dims, (False, True))]
    found += [with_(draw(2, 3, 2), dim=1), with_(draw(2, 2), dim=0)]
    found += [
        with_(draw(2, 3, 2), dim=(0, 2)),
        with_(draw(2, 3, 2), dim=(-1, 1), keepdim=True),
    ] * several
    found += [with_(draw()), with_(draw(3))] * everything
    return found + [with_(draw(0, 3), dim=0), with_(draw(2, 0, 3), dim=2)] * empty


def reducing(numpy_function):
    """A NumPy reduction under PyTorch's keywords."""
    return lambda x, dim=None, keepdim=False: numpy_function(x, axis=dim, keepdims=keepdim)


ints = lambda *values: np.array(values)
BOOLS = np.array([[True, False, True], [False, True, True]])
SPECIAL = np.array([[0.0, -1.5, np.nan], [np.inf, -np.inf, 2.0]])
KINDS = [with_(SPECIAL), with_(ints(0, 3, -1)), with_(np.zeros((0, 2)))]

# ---- NumPy's side of several rows ----------------------------------------------------------------


def np_put(x, value, index):
    out = x.copy()
    out[index] = value
    return out


def np_put_sum(x, value, index):
    out = x.copy()
    np.add.at(out, index, value)
    return out


def np_softmax(x, dim):
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)


FUSED = [name for name, op in OPS.items() if isinstance(op, Fused)]
