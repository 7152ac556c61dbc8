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

import tinygen as tg
from tinygen.autograd.fused import Fused
from tinygen.autograd.primitive import registry
from tinygen.autograd.tensor import Tensor, View

OPS = {name: op for name, op in registry.items() if op.__module__.startswith("tinygen")}

# ---- Arrays to be drawn --------------------------------------------------------------------------


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
LOGP = domain(lambda rng, shape: np.log(rng.uniform(0.1, 0.9, shape)))


# ---- Rows ----------------------------------------------------------------------------------------


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

    def arrays(self, dtype=np.float64) -> list:
        """The arguments, the same at every call; floats to be differentiated are arrays."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        drawn = [a.sample(rng, a.shape) if isinstance(a, Draw) else a for a in self.args]
        return [np.asarray(a, dtype) if is_float(a) else a for a in drawn]

    def tensors(self, dtype=np.float64) -> tuple:
        return tuple(as_argument(a) for a in self.arrays(dtype))

    def function(self, *args):
        return self.call(*args, **self.options)


@dataclass
class with_:
    """Arguments and options of one call."""

    args: tuple
    options: dict = field(default_factory=dict)

    def __init__(self, *args, **options):
        self.args, self.options = args, options


SAMPLES: list[Sample] = []


def row(op, oracle, *calls, call=None, torch="", smooth=True, differentiable=True):
    """The samples of one op. `torch` is its name there,
    if it is not the same; None if there is none."""
    flat = [c for group in calls for c in (group if isinstance(group, list) else [group])]
    before = sum(sample.op == op for sample in SAMPLES)
    for number, c in enumerate(flat, before):
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

# fmt: off

# ---- Comparisons, logic, rounding ----------------------------------------------------------------

COMPARED = [with_(ints(1, 2, 3), ints(3, 2, 1)), with_(SPECIAL, SPECIAL[:, ::-1]),
            with_(SPECIAL, 0.0), with_(N(2, 1), N(3)), with_(N(0, 3), N(3))]
for name, oracle in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
                     "gt": np.greater, "ge": np.greater_equal}.items():
    row(name, oracle, COMPARED, differentiable=False)
for name in ("logical_and", "logical_or"):
    row(name, getattr(np, name), with_(BOOLS, BOOLS[:, ::-1]), with_(SPECIAL, ints(0, 1, 2)),
        differentiable=False)
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    row(name, getattr(np, name), with_(BOOLS, BOOLS[0]), with_(ints(5, 6), ints(3, 3)),
        differentiable=False)
row("logical_not", np.logical_not, with_(BOOLS), KINDS, differentiable=False)
row("bitwise_not", np.bitwise_not, with_(BOOLS), with_(ints(5, -6)), differentiable=False)
for name in ("isnan", "isinf", "isfinite"):
    row(name, getattr(np, name), KINDS, differentiable=False)
row("isclose", lambda x, y, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(x, y, rtol, atol,
    equal_nan),
    with_(SPECIAL, SPECIAL + 1e-7), with_(N(3), N(2, 3), rtol=0.5, atol=0.1),
    with_(SPECIAL, SPECIAL, equal_nan=True), differentiable=False)
for name in ("sign", "floor", "ceil", "round", "trunc"):
    row(name, getattr(np, name), each(STEPS))

# ---- Elementwise ---------------------------------------------------------------------------------

row("add", lambda x, y, alpha=1: x + alpha * y, pairs(N), pairs(N, alpha=-0.5)[:4])
row("sub", lambda x, y, alpha=1: x - alpha * y, pairs(N), pairs(N, alpha=-0.5)[:4])
row("mul", np.multiply, pairs(N))
row("div", np.true_divide, pairs(N, NONZERO))
row("pow", np.power, pairs(P, N), with_(N(3), 2), with_(N(3), 3), with_(N(3), 0), with_(N(3), 1),
    with_(P(3), -1.5), with_(N(2, 2), 2.0))
row("remainder", np.remainder, with_(STEPS(2, 2), np.array([[1.0, 2.0], [-2.0, 1.0]])),
    with_(STEPS(2, 3), np.array([1.0, 2.0, -2.0])), with_(STEPS(3), 2), with_(STEPS(0, 3), 1.0))
row("floor_divide", np.floor_divide, with_(STEPS(2, 2), np.array([1.0, 2.0])), with_(STEPS(3), 2),
    torch=None)
row("neg", np.negative, each(N))
row("abs", np.abs, each(NONZERO))
row("exp", np.exp, each(N))
row("expm1", np.expm1, each(N))
row("log", np.log, each(P))
row("log1p", np.log1p, each(P))
row("sqrt", np.sqrt, each(P))
row("sin", np.sin, each(N))
row("cos", np.cos, each(N))
row("atan", np.arctan, each(N))
row("atan2", np.arctan2, pairs(NONZERO, numbers=False))
row("tanh", np.tanh, each(N))
row("sigmoid", lambda x: 1 / (1 + np.exp(-x)), each(N))
row("relu", lambda x: np.maximum(x, 0), each(NONZERO))
row("erf", np.vectorize(math.erf, otypes=[float]), each(N))
# Different by construction: the second argument lies between the values that the first can take.
BETWEEN = domain(lambda rng, shape: DISTINCT().sample(rng, shape) + 0.185)
for name in ("maximum", "minimum"):
    row(name, getattr(np, name), pairs(DISTINCT, BETWEEN, numbers=False))
    row(name, getattr(np, name), with_(DISTINCT(2, 3), 0.7), with_(0.7, DISTINCT(3)), torch=None)
row("clamp", lambda x, min=None, max=None: np.clip(x, min, max), each(NONZERO, min=0.0),
    each(STEPS, (2, 2), (2, 3), (), min=-1.0, max=1.0), with_(NONZERO(3), max=0.0),
    with_(STEPS(2, 2), ints(-1.0, 0.0), ints(1.0, 2.0)), with_(STEPS(2, 3), ints(-1.0, 0.0, 0.0)),
    with_(STEPS(3), None, ints(-1.0, 0.0, 1.0)))
row("where", np.where, with_(BOOLS, N(2, 3), N(2, 3)), with_(BOOLS, N(3), N(2, 1)),
    with_(BOOLS[0], N(2, 3), N()), with_(BOOLS, N(2, 3), 0.5), with_(BOOLS, 0.5, N(3)),
    with_(np.eye(3, k=1) > 0, N(3, 3), N(3, 3)), with_(BOOLS[:0], N(0, 3), N(3)))
row("cast", lambda x, dtype: x.astype(dtype), [with_(N(*s), tg.float64) for s in [(2, 2),
    (2, 3), ()]],
    torch=None)
row("clone", np.array, each(N))

# ---- Composed ------------------------------------------------------------------------------------

row("square", np.square, each(N))
row("reciprocal", np.reciprocal, each(NONZERO))
row("rsqrt", lambda x: 1 / np.sqrt(x), each(P))
row("lerp", lambda x, y, w: x + w * (y - x), with_(N(2, 3), N(2, 3), 0.3),
    with_(N(2, 3), N(2, 3), N(3)),
    with_(N(2, 1), N(2, 3), N(2, 3)))
row("log2", np.log2, each(P))
row("log10", np.log10, each(P))
row("xlogy", lambda x, y: x * np.log(y), pairs(NONZERO, P, numbers=False))
row("logaddexp", np.logaddexp, pairs(N, numbers=False))
row("tan", np.tan, each(UNIT))
row("sinh", np.sinh, each(N))
row("cosh", np.cosh, each(N))
row("softplus", lambda x, beta=1.0, threshold=20.0: np.log1p(np.exp(beta * x)) / beta,
    each(NONZERO),
    with_(NONZERO(2, 3), beta=2.0), with_(NONZERO(3), 0.5, 40.0))
row("logsigmoid", lambda x: -np.log1p(np.exp(-x)), each(NONZERO))
row("silu", lambda x: x / (1 + np.exp(-x)), each(N))
row("gelu", lambda x: x * 0.5 * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))),
    each(N))
row("gelu", None, each(N, approximate="tanh"))
row("leaky_relu", lambda x, slope=0.01: np.where(x > 0, x, slope * x), each(NONZERO),
    with_(NONZERO(3), 0.2))
row("elu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)), each(NONZERO),
    with_(NONZERO(3), alpha=1.7))
row("selu", lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    each(NONZERO))
row("mish", lambda x: x * np.tanh(np.log1p(np.exp(x))), each(NONZERO))
row("softsign", lambda x: x / (1 + np.abs(x)), each(NONZERO))
row("hardtanh", lambda x, a=-1.0, b=1.0: np.clip(x, a, b), each(STEPS), with_(STEPS(3), -2.0, 0.0))
row("glu", lambda x, dim=-1: np.split(x, 2, dim)[0] / (1 + np.exp(-np.split(x, 2, dim)[1])),
    with_(N(2, 4)), with_(N(2, 3), dim=0), with_(N(0, 4)))

# ---- Indexing ------------------------------------------------------------------------------------

INDICES = [1, -1, slice(None), slice(None, None, -1), slice(0, 0), Ellipsis, None, (1, 2),
    (Ellipsis, 0),
           (None, 1, slice(1, None)), (slice(None), None, 0), [2, 0, 2], ([0, 2], [1, 1]),
           ([[0, 1], [2, 2]], 1), (slice(None), [0, 0, 2]), (1, [0, 0]),
           np.array([True, False, True]),
           np.eye(3, dtype=bool), np.zeros((3, 3), bool), ([], [])]


def array_index(index):
    """The lists in an index as arrays of ints, as np.array([]) is one of floats."""
    if isinstance(index, tuple):
        return tuple(array_index(i) for i in index)
    return np.array(index, int) if isinstance(index, list) else index


INDICES = [array_index(i) for i in INDICES]


def np_put(x, value, index):
    out = x.copy()
    out[index] = value
    return out


def np_put_sum(x, value, index):
    out = x.copy()
    np.add.at(out, index, value)
    return out


def np_scatter(put):
    def scatter(x, dim, index, src):
        where = list(np.indices(index.shape))
        where[dim] = index
        src = src if np.isscalar(src) else src[tuple(slice(n) for n in index.shape)]
        return put(x, src, tuple(where))

    return scatter


def values_for(index) -> tuple:
    """Values that fit into x[index] of a 3 × 3 array."""
    return np.zeros((3, 3))[index].shape


row("getitem", lambda x, index: x[index], [with_(N(3, 3), index=i) for i in INDICES], torch=None)
row("put_zeros", lambda x, shape, index: np_put_sum(np.zeros(shape), x, index),
    [with_(N(*values_for(i)), shape=(3, 3), index=i) for i in INDICES], torch=None)
row("setitem", np_put, [with_(N(3, 3), N(*values_for(i)), index=i) for i in INDICES],
    with_(N(3, 3), N(3), index=slice(1, 3)), with_(N(3, 3), 0.5, index=1),
    with_(N(3, 3), N(), index=(slice(None), array_index([0, 0]))), torch=None)
row("index_put_sum", np_put_sum, [with_(N(3, 3), N(*values_for(i)), index=i) for i in INDICES[7:]],
    torch=None)
REPEATED = np.array([[2, 0, 0], [1, 2, 2]])
row("gather", lambda x, dim, index: np.take_along_axis(x, index, dim), with_(N(3, 3), 0, REPEATED),
    with_(N(2, 3), 1, REPEATED), with_(N(2, 3), -1, REPEATED[:, :1]), with_(N(4), 0, ints(3, 3, 0)),
    with_(N(3, 3), 0, REPEATED[:0]))
row("take_along_dim", lambda x, index, dim=None: np.take_along_axis(x, index, dim),
    with_(N(3, 3), REPEATED, 0), with_(N(2, 3), REPEATED, dim=-1), with_(N(2, 3), ints(5, 0, 5)),
    with_(N(2, 3), np.array([[2, 2, 0, 1]]), 1))
row("index_select", lambda x, dim, index: np.take(x, index, dim), with_(N(2, 3), 1, ints(2, 2, 0)),
    with_(N(3, 2), 0, ints(1, 1)), with_(N(3, 2), -1, ints(1)), with_(N(3, 2), 0, np.zeros(0, int)))
SCATTERED = [with_(N(3, 3), 0, REPEATED, N(2, 3)), with_(N(2, 3), 1, REPEATED, N(2, 3)),
             with_(N(4), 0, ints(3, 3, 0), N(3))]
# A src that is larger than index: torch can't differentiate it.
LARGER_SOURCE = with_(N(2, 3), -1, np.array([[2, 0], [1, 2]]), N(2, 3))
row("scatter_add", np_scatter(np_put_sum), SCATTERED)
row("scatter_add", np_scatter(np_put_sum), LARGER_SOURCE, torch=None)
DIFFERENT = np.array([[2, 0, 1], [1, 2, 0]])
row("scatter", np_scatter(np_put), with_(N(3, 3), 0, DIFFERENT, N(2, 3)),
    with_(N(2, 3), 1, DIFFERENT, 0.5))
row("scatter", np_scatter(np_put), LARGER_SOURCE, torch=None)
row("masked_fill", lambda x, mask, value: np.where(mask, value, x), with_(N(2, 3), BOOLS, 0.5),
    with_(N(2, 3), BOOLS[0], -5), with_(N(2, 3), BOOLS, N()))
row("masked_select", lambda x, mask: x[np.broadcast_to(mask, x.shape)], with_(N(2, 3), BOOLS),
    with_(N(2, 3), BOOLS[0]), with_(N(2, 3), np.zeros((2, 3), bool)))
SOME_ZEROS = np.array([[0, 3, 0], [1, 0, 2]])
row("nonzero_rows", np.argwhere, with_(SOME_ZEROS), with_(BOOLS), torch=None, differentiable=False)
row("nonzero", np.argwhere, with_(SOME_ZEROS), with_(BOOLS),
    with_(np.zeros(3)), differentiable=False)
row("embedding", lambda weight, indices: weight[indices], with_(N(3, 2), REPEATED),
    with_(N(3, 2), ints(1, 1)),
    with_(N(3, 2), np.array(2)), with_(N(3, 2), np.zeros((0, 2), int)), torch=None)
row("embedding_sum", lambda x, indices, n: np_put_sum(np.zeros((n, x.shape[-1])), x, indices),
    with_(N(2, 3, 2), REPEATED, 4), with_(N(3, 2), ints(1, 1, 0), 2),
    with_(N(0, 2), np.zeros(0, int), 3), torch=None)
row("one_hot", lambda x, n=-1: np.eye(n if n > 0 else x.max() + 1, dtype=int)[x], with_(REPEATED),
    with_(ints(0, 2), 4), differentiable=False)

# ---- Shapes --------------------------------------------------------------------------------------

row("reshape", np.reshape, with_(N(2, 3), (3, 2)), with_(N(2, 3), (-1,)), with_(N(2, 2), (2, 2)),
    with_(N(), (1, 1)), with_(N(1, 1), ()), with_(N(0, 3), (3, 0)))
row("expand", lambda x, shape: np.broadcast_to(x, [x.shape[0] if n == -1 else n for n in shape]),
    with_(N(2, 1), (2, 3)), with_(N(3), (2, 3)), with_(N(), (2, 2)), with_(N(2, 1), (4, -1, 3)),
    with_(N(2, 2), (2, 2)), with_(N(1, 3), (0, 3)), call=lambda x, shape: x.expand(shape),
    torch=None)
row("permute", np.transpose, with_(N(2, 3), (1, 0)), with_(N(2, 3, 4), (2, 0, 1)),
    with_(N(2, 2), (1, 0)),
    with_(N(2, 3, 2), (-1, 0, -2)), with_(N(0, 3), (1, 0)))
row("transpose", np.swapaxes, with_(N(2, 3), 0, 1), with_(N(2, 2), 0, 1), with_(N(2, 3, 4), -1, 0),
    with_(N(2, 3, 2), -1, -2))
row("unsqueeze", np.expand_dims, with_(N(2, 3), 0), with_(N(2, 3), -1), with_(N(), 0),
    with_(N(2, 3), 1))
row("squeeze", lambda x, dim=None: np.squeeze(x, dim), with_(N(1, 3, 1)), with_(N(1, 3, 1), 0),
    with_(N(1, 3, 1), -1), with_(N(1, 3, 1), (0, 2)), with_(N(1, 0)))
row("flatten", None, with_(N(2, 3, 2)), with_(N(2, 3, 2), 1), with_(N(2, 3, 2), 0, 1), with_(N()),
    with_(N(2, 3, 2), -2, -1), with_(N(2, 0)))
row("unflatten", None, with_(N(2, 6), 1, (2, 3)), with_(N(6), 0, (-1, 2)),
    with_(N(2, 4), -1, (2, 2)))
row("movedim", np.moveaxis, with_(N(2, 3, 4), 0, 2), with_(N(2, 3, 4), (0, 1), (-1, 0)),
    with_(N(2, 3), 1, 0))
row("narrow", lambda x, dim, start, n: np.take(x, range(start, start + n), dim),
    with_(N(3, 2), 0, 1, 2),
    with_(N(2, 3), -1, 0, 2), with_(N(2, 3), 1, 3, 0), with_(N(2, 2), 1, 0, 2))
row("embed", lambda x, shape, dim, start: np_put(np.zeros(shape),
    x, (slice(None),) * dim + (slice(start, start + x.shape[dim]),)),
    with_(N(2, 2), (2, 5), 1, 2), with_(N(2, 2), (3, 2), 0, 0),
    with_(N(0, 3), (2, 3), 0, 1), torch=None)
row("split", None, with_(N(2, 5), 2, 1), with_(N(3, 2), [1, 2]), with_(N(5), 3),
    with_(N(2, 4), 2, -1))
row("split_with_sizes", None, with_(N(2, 5), (2, 0, 3), 1), with_(N(3, 2), (1, 2), 0))
row("chunk", None, with_(N(2, 5), 2, 1), with_(N(5), 3), with_(N(2, 2), 2))
row("unbind", None, with_(N(2, 3)), with_(N(2, 3), 1), with_(N(2, 3), -1), with_(N(2, 0)))
SEVERAL = {"call": lambda *xs, dim=0: tg.cat(xs, dim), "torch": None}
row("cat", lambda *xs, dim=0: np.concatenate(xs, dim), with_(N(2, 3), N(1, 3)),
    with_(N(2, 1), N(2, 3), dim=1),
    with_(N(2, 2), N(2, 2), dim=-1), with_(N(3)), with_(N(2), N(0), N(3)), **SEVERAL)
row("stack", lambda *xs, dim=0: np.stack(xs, dim), with_(N(2, 3), N(2, 3)),
    with_(N(2, 3), N(2, 3), dim=1),
    with_(N(), N(), N()), with_(N(2), N(2), dim=-1),
    call=lambda *xs, dim=0: tg.stack(xs, dim), torch=None)
row("repeat", lambda x, *times: np.tile(x, times), with_(N(2, 3), 2, 1),
    with_(N(3), 2, 3), with_(N(2, 2), 1, 0),
    with_(N(), 3), torch=None)
row("flip", lambda x, dims: np.flip(x, dims), with_(N(2, 3), (0,)), with_(N(2, 3), (0, -1)),
    with_(N(2, 2), (1,)))
row("roll", lambda x, shifts, dims=None: np.roll(x, shifts, dims),
    with_(N(2, 3), 1), with_(N(2, 3), -1, 1),
    with_(N(2, 2), 1, 0), with_(N(2, 3), (1, 2), (0, 1)), with_(N(3, 3), 5, 0))
for name, oracle in {"tril": np.tril, "triu": np.triu}.items():
    row(name, oracle, each(N, (2, 2), (3, 2), (2, 2, 3), (0, 2)),
        with_(N(3, 3), 1), with_(N(3, 3), -1))
row("view", lambda x, *shape: x.reshape(shape), with_(N(2, 3), 3, 2),
    with_(N(4), 2, -1), torch=None)
row("t", np.transpose, with_(N(2, 3)), with_(N(3)))
# A part of the base is written to: the base's gradient there goes to what was written.
ROWS = View(None, ((OPS["narrow"], (0, 1, 2), {}), (OPS["transpose"], (0, 1), {})), 0)
row("put_view", lambda x, value: np_put(x, value.T, slice(1, 3)),
    with_(N(3, 2), N(2, 2)), with_(N(4, 3), N(3, 2)),
    call=lambda x, value: OPS["put_view"](x, value, ROWS), torch=None)

# ---- Reductions ----------------------------------------------------------------------------------


def np_softmax(x, dim):
    e = np.exp(x - x.max(dim, keepdims=True, initial=-np.inf))
    return e / e.sum(dim, keepdims=True)


def np_norm(x, p=2, dim=None, keepdim=False):
    if p == math.inf:
        return np.abs(x).max(axis=dim, keepdims=keepdim)
    p = 2 if p == "fro" else p
    return (np.abs(x) ** p).sum(axis=dim, keepdims=keepdim) ** (1 / p)


row("sum", reducing(np.sum), reductions(N))
row("mean", reducing(np.mean), reductions(N, empty=False))
row("var", lambda x, dim=None, correction=1, keepdim=False: np.var(x, dim, ddof=correction,
    keepdims=keepdim),
    reductions(N, empty=False)[:-2], with_(N(2, 3), dim=1, correction=0),
    with_(N(2, 3), correction=2))
row("std", lambda x, dim=None, correction=1, keepdim=False: np.std(x, dim, ddof=correction,
    keepdims=keepdim),
    reductions(N, empty=False)[:-2], with_(N(2, 3), dim=1, correction=0))
row("prod", reducing(np.prod), reductions(N, several=False, everything=False),
    with_(N(2, 3)), with_(N()),
    with_(np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 4.0]]), dim=1),
    with_(ints(0.0, 2.0, 0.0, 1.0, 3.0)))
row("cumsum", lambda x, dim: np.cumsum(x, dim), with_(N(2, 3), 1),
    with_(N(2, 3), 0), with_(N(3), -1),
    with_(N(2, 2), 0), with_(N(0, 3), 0))
row("logsumexp", lambda x, dim, keepdim=False: np.log(np.exp(x).sum(axis=dim, keepdims=keepdim)),
    reductions(N, everything=False, empty=False), with_(ints(800.0, 801.0) - 800, 0))
SOFTMAXED = [with_(N(2, 3), 1), with_(N(2, 3), 0), with_(N(2, 2), -1),
    with_(N(2, 3, 2), 1), with_(N(3), 0),
             with_(N(0, 3), 1)]
row("softmax", np_softmax, SOFTMAXED)
row("log_softmax", lambda x, dim: np.log(np_softmax(x, dim)), SOFTMAXED)
row("norm", np_norm, with_(N(2, 3)), with_(NONZERO(2, 3), p=1),
    with_(DISTINCT(2, 3), p=math.inf), with_(NONZERO(2, 3), p=3),
    with_(N(2, 3), "fro", 1), with_(N(2, 3), 2, (0, 1)),
    with_(N(2, 3), 2, -1, keepdim=True), with_(NONZERO(3), p=2.5))
for name in ("amax", "amin"):
    row(name, reducing(getattr(np, name)), reductions(DISTINCT, empty=False), torch=None)
for name in ("any", "all"):
    row(name, reducing(getattr(np, name)), with_(BOOLS), with_(BOOLS, dim=0),
    with_(SPECIAL, dim=-1, keepdim=True),
        with_(np.zeros((0, 2)), dim=0), differentiable=False)
row("prod", reducing(np.prod), with_(N(2, 3), keepdim=True), torch=None)
row("sum_to", lambda x, shape: np.sum(x, tuple(range(x.ndim - len(shape))),
    keepdims=False).reshape(shape),
    with_(N(2, 3), (3,)), with_(N(4, 2, 3), (2, 3)), with_(N(2, 2), ()),
    with_(N(0, 3), (3,)), torch=None)
row("sum_to", lambda x, shape: np.sum(x, -1, keepdims=True), with_(N(2, 3), (2, 1)),
    with_(N(2, 2, 3), (2, 2, 1)),
    torch=None)

# ---- Products ------------------------------------------------------------------------------------

row("matmul", np.matmul, with_(N(2, 3), N(3, 4)), with_(N(2, 2), N(2, 2)),
    with_(N(2, 2, 3), N(3, 2)),
    with_(N(2, 2, 3), N(2, 3, 2)), with_(N(2, 3), N(2, 3, 2)),
    with_(N(2, 1, 2, 3), N(3, 3, 2)), with_(N(3), N(3)),
    with_(N(3), N(3, 2)), with_(N(2, 3), N(3)), with_(N(2, 2, 3), N(3)),
    with_(N(3), N(2, 3, 2)), with_(N(2, 0), N(0, 3)),
    with_(N(0, 2), N(2, 3)), with_(N(2, 0, 3), N(3, 2)), call=tg.matmul)
row("mm", np.matmul, with_(N(2, 3), N(3, 2)))
row("mv", np.matmul, with_(N(2, 3), N(3)))
row("bmm", np.matmul, with_(N(2, 2, 3), N(2, 3, 2)))
row("dot", np.dot, with_(N(3), N(3)), with_(N(0), N(0)))
row("outer", np.outer, with_(N(2), N(3)))
row("linear", lambda x, weight, bias=0: x @ weight.T + bias, with_(N(3, 2), N(4, 2), N(4)),
    with_(N(3, 2), N(4, 2)),
    with_(N(2, 2), N(2, 2), N(2)), with_(N(2), N(3, 2), N(3)),
    with_(N(2, 2, 3), N(2, 3), N(2)), with_(N(0, 2), N(3, 2), N(3)))
row("sum_rows", lambda x: x.sum(0), each(N, (2, 2), (3, 2), (0, 2)), torch=None)
row("layer_norm", None, with_(N(2, 3), N(3), N(3)), with_(N(3), N(3)),
    with_(N(2, 2, 3)), with_(N(2, 3), None, N(3)),
    with_(N(2, 3), eps=0.1), with_(N(0, 3), N(3), N(3)), torch=None)
QKV = lambda b, h, m, k, n: (N(b, h, m, n), N(b, h, k, n), N(b, h, k, n))
row("attention", None, with_(*QKV(1, 2, 2, 3, 2)), with_(*QKV(2, 1, 3, 3, 2), causal=True),
    with_(*QKV(1, 1, 2, 2, 3), scale=0.3), torch=None)
row("softmax_cross_entropy", lambda x, t, ignore=-100: np.where(t == ignore, 0,
    -np.log(np_softmax(x, 1))[range(len(t)), t % x.shape[1]]),
    with_(N(3, 4), ints(2, 0, 3)), with_(N(3, 2), ints(1, -100, 0)), with_(N(2, 3), ints(2, 1), 1),
    with_(N(0, 3), np.zeros(0, int)), torch=None)

# ---- Order ---------------------------------------------------------------------------------------


def np_extreme(values, indices):
    def extreme(x, dim=None, keepdim=False):
        if dim is None:
            return values(x)
        if isinstance(dim, np.ndarray):
            return {np.max: np.maximum, np.min: np.minimum}[values](x, dim)
        return values(x, axis=dim, keepdims=keepdim), indices(x, axis=dim, keepdims=keepdim)

    return extreme


def np_sort(x, dim=-1, descending=False):
    order = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, order, dim), order


def np_topk(x, k, dim=-1, largest=True):
    return tuple(np.take(a, range(k), dim) for a in np_sort(x, dim, largest))


EXTREMES = reductions(DISTINCT, several=False, empty=False)
row("max", np_extreme(np.max, np.argmax), EXTREMES, with_(DISTINCT(2, 3), BETWEEN(3)), torch=None)
row("min", np_extreme(np.min, np.argmin), EXTREMES, with_(DISTINCT(2, 3), BETWEEN(3)), torch=None)
row("argmax", reducing(np.argmax), EXTREMES, with_(ints(1, 3, 3)), differentiable=False)
row("argmin", reducing(np.argmin), EXTREMES, with_(ints(1, 3, 1)), differentiable=False)
SORTED = [with_(DISTINCT(2, 3)), with_(DISTINCT(3, 2), 0), with_(DISTINCT(4), -1, True),
          with_(DISTINCT(2, 3), dim=0, descending=True)]
row("sort", np_sort, SORTED)
row("argsort", lambda *a, **o: np_sort(*a, **o)[1], SORTED, with_(ints(2, 1, 2, 1)),
    with_(ints(2, 1, 2, 1), -1, True),
    differentiable=False, torch=None)
row("topk", np_topk, with_(DISTINCT(2, 3), 2), with_(DISTINCT(3, 2), 1, 0),
    with_(DISTINCT(4), 3, largest=False),
    with_(DISTINCT(4), 0))

# ---- Losses --------------------------------------------------------------------------------------

REDUCED = [{}, {"reduction": "sum"}, {"reduction": "none"}]


def reduced(loss):
    """A NumPy loss with an argument `reduction`."""
    return lambda *args, reduction="mean", **options: {
        "mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss(*args, **options))


def losses(*args, **options) -> list:
    return [with_(*args, **options, **o) for o in REDUCED]


def np_huber(d, delta):
    return np.where(np.abs(d) < delta, d * d / 2, delta * (np.abs(d) - delta / 2))


row("mse_loss", reduced(lambda x, y: (x - y) ** 2), losses(N(2, 3), N(2, 3)))
row("l1_loss", reduced(lambda x, y: np.abs(x - y)), losses(DISTINCT(2, 3), BETWEEN(2, 3)))
row("huber_loss", reduced(lambda x, y, delta=1.0: np_huber(x - y, delta)),
    losses(DISTINCT(2, 3), BETWEEN(2, 3), delta=0.7))
row("smooth_l1_loss", reduced(lambda x, y, beta=1.0: np_huber(x - y, beta) / beta),
    losses(DISTINCT(2, 3), BETWEEN(2, 3), beta=0.7))
row("gaussian_nll_loss", reduced(lambda x, y, v: (np.log(v) + (x - y) ** 2 / v) / 2),
    losses(N(2, 3), N(2, 3), P(2, 3)))
row("binary_cross_entropy", reduced(lambda p, t: -t * np.log(p) - (1 - t) * np.log(1 - p)),
    losses(UNIT(2, 3), UNIT(2, 3)))
row("binary_cross_entropy_with_logits", reduced(lambda x, t: np.log1p(np.exp(x)) - t * x),
    losses(NONZERO(2, 3), UNIT(2, 3)))
row("kl_div", reduced(lambda x, t: t * (np.log(t) - x)), losses(LOGP(2, 3), UNIT(2, 3)))
row("kl_div", reduced(lambda x, t, log_target: np.exp(t) * (t - x)),
    losses(LOGP(2, 3), LOGP(2, 3), log_target=True))


def np_nll(x, labels, weight=None, *, ignore_index=-100, reduction="mean"):
    weight = np.ones(x.shape[1]) if weight is None else weight
    counts = np.where(labels == ignore_index, 0.0, weight[labels])
    loss = -counts * x[np.arange(len(labels)), labels]
    return {"mean": loss.sum() / counts.sum(), "sum": loss.sum(), "none": loss}[reduction]


LABELS = ints(2, 0, -1)
WEIGHTED = losses(
    LOGP(3, 4), LABELS, P(4), ignore_index=-1
)  # torch can't differentiate the weights
for name, oracle in {"nll_loss": np_nll, "cross_entropy": lambda x, *a, **o: np_nll(
        np.log(np_softmax(x, 1)), *a, **o)}.items():
    row(name, oracle, losses(LOGP(3, 4), LABELS % 4))
    row(name, oracle, WEIGHTED, torch=None)
row("cross_entropy", None, with_(N(3, 4), ints(2, 0, 3), P(4), label_smoothing=0.1), torch=None)
row("cross_entropy", None, losses(N(3, 4), UNIT(3, 4)),
    with_(N(2, 3, 2), ints([1, 0], [2, 2])), with_(N(4), np.array(2)))
row("scaled_dot_product_attention", None, with_(N(2, 3, 2), N(2, 4, 2), N(2, 4, 3)),
    with_(N(1, 2, 3, 2), N(1, 2, 3, 2), N(1, 2, 3, 2), is_causal=True),
    with_(N(2, 2), N(2, 2), N(2, 2), scale=0.4),
    with_(N(2, 3), N(3, 3), N(3, 2), BOOLS), with_(N(2, 3), N(3, 3), N(3, 2), N(2, 3)))

FUSED = [name for name, op in OPS.items() if isinstance(op, Fused)]
