"""Reductions: ops that combine the elements along some dimensions into one.

`dim` is None or () for all dimensions, an int, or several ints; `keepdim` leaves size 1 in their
place. Where there is nothing to combine, the result is what changes nothing (0 for a sum, 1 for a
product, False for any); an extreme of nothing is an error.
"""

import math
import operator
from collections import namedtuple
from typing import Any

import numpy as np

from ...kernels import softmax
from ..dtypes import float32, result_dtype
from ..primitive import primitive
from ..quiet import quiet
from ..registry import composition, registry
from ..tensor import Tensor
from .choose import where
from .compare import eq, isnan, ne
from .elementwise import cast, exp
from .join import cat
from .shape import checked_dims, expand, narrow, reshape, squeeze

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "count_nonzero", "logsumexp", "mean",
    "nanmean", "nansum", "norm", "prod", "sum",
]  # fmt: skip


# ---- Which dimensions ----------------------------------------------------------------------------


def dims_of(dim, ndim: int, op: str = "") -> tuple[int, ...]:
    """The dimensions meant by `dim`, counted from the front. A 0-d tensor has none, but may be
    asked for its dim 0 or -1. Errors name `op`, unless a primitive does so anyway."""
    if dim.__class__ is int and -ndim <= dim < ndim:
        return (dim % ndim,)
    if dim is None or dim == () or dim == []:
        return tuple(range(ndim))
    several = dim if isinstance(dim, list | tuple) else (dim,)
    dims = checked_dims([operator.index(d) for d in several], ndim, op)
    return dims if ndim else ()


def axis_of(dim, ndim: int, op: str = "") -> Any:
    """A single `dim` as NumPy wants it: an int, but None for a 0-d array."""
    return (dims_of(operator.index(dim), ndim, op) or (None,))[0]


def dims_with_elements(x, dim, op: str = "") -> tuple[int, ...]:
    """`dims_of`; an error if there is nothing along one of them, for an op without identity."""
    dims, prefix = dims_of(dim, len(x.shape), op), op and f"{op}: "
    if 0 not in x.shape:
        return dims
    if dim is None:
        raise RuntimeError(f"{prefix or 'the '}extreme of a tensor of shape {x.shape}, which has "
                           "no elements, does not exist; give a `dim` that has some")  # fmt: skip
    for d in dims:
        if not x.shape[d]:
            raise IndexError(f"{prefix}dim {d} of shape {x.shape} has no elements to choose from")
    return dims


def with_kept_dims(g, x_shape, dim):
    """A reduced tensor with size 1 in place of the dimensions that were reduced away."""
    gone = dims_of(dim, len(x_shape))
    return reshape(g, tuple(1 if i in gone else n for i, n in enumerate(x_shape)))


def spread(g, x_shape, dim, keepdim):
    """The opposite of a reduction: every element that was reduced gets the value g."""
    if dim is not None and x_shape and not keepdim:
        g = with_kept_dims(g, x_shape, dim)
    return expand(g, x_shape)


def as_type(g, dtype):
    """A cotangent in the type of what it is for."""
    return g if g.array.dtype == dtype else cast(g, dtype)


def reduced_count(shape, dim) -> int:
    """How many elements are combined into one."""
    return math.prod([shape[d] for d in dims_of(dim, len(shape))])


def check_float(x, op: str) -> None:
    if x.dtype.kind != "f":
        raise RuntimeError(
            f"{op} needs a float tensor; this one is {x.dtype}: use x.float().{op}()"
        )


# ---- Sums ----------------------------------------------------------------------------------------


def add_up(x: np.ndarray, dims, keepdim=False, dtype=None) -> np.ndarray:
    """np.sum, but the rounding error of float32 hardly grows with the number of elements.

    NumPy adds in pairs only along the dimension that is contiguous in memory, and one by one along
    others: of those, the longest is first cut into runs of 32, until few sums are left.
    """
    if x.size <= 256:
        return np.add.reduce(x, axis=dims, dtype=dtype, keepdims=keepdim)
    at = max(dims, key=x.shape.__getitem__, default=0)
    in_pairs = not dims or x.strides[at] == x.itemsize or (len(dims) == x.ndim and x.flags.forc)
    if in_pairs or x.shape[at] < 64 or x.dtype.kind != "f":
        return np.add.reduce(x, axis=dims, dtype=dtype, keepdims=keepdim)
    before, n = (slice(None),) * at, x.shape[at]
    runs, rest = x[(*before, slice(n - n % 32))], x[(*before, slice(n - n % 32, n))]
    runs = runs.reshape(*x.shape[:at], n // 32, 32, *x.shape[at + 1 :])
    sums = np.add.reduce(runs, axis=at + 1, dtype=dtype)
    last = np.add.reduce(rest, axis=at, dtype=dtype, keepdims=True)
    return add_up(np.concatenate([sums, last], axis=at), dims, keepdim)


@primitive
def sum(x, dim=None, keepdim=False, dtype=None):
    """The sum over `dim`. bool and integers are summed as int64."""
    if dim is None and dtype is None and x.size <= 256 and x.dtype is float32:  # most often
        return np.add.reduce(x, axis=None, keepdims=keepdim)
    dtype = np.int64 if dtype is None and x.dtype.kind in "biu" else dtype
    return add_up(x, dims_of(dim, x.ndim), keepdim, dtype)


sum.vjp(
    x=lambda g, x_shape, x_dtype, dim, keepdim: as_type(spread(g, x_shape, dim, keepdim), x_dtype)
)


@primitive
def sum_to(x, shape):
    """Sum over the dimensions along which a tensor of `shape` would be broadcast to x's shape."""
    lead = x.ndim - len(shape)
    kept = [i + lead for i, n in enumerate(shape) if n == 1 and x.shape[i + lead] != 1]
    return add_up(x, (*range(lead), *kept), keepdim=True).reshape(shape)


sum_to.vjp(x=lambda g, x_shape: expand(g, x_shape))


@primitive
def mean(x, dim=None, keepdim=False, dtype=None):
    """The arithmetic mean over `dim`, NaN if there is nothing to average"""
    x = x if dtype is None else x.astype(dtype)
    check_float(x, "mean")
    total, count = add_up(x, dims_of(dim, x.ndim), keepdim), reduced_count(x.shape, dim)
    return total / count if count else total * math.nan


def share_of_mean(g, x_shape, x_dtype, dim, keepdim):
    return as_type(spread(g / reduced_count(x_shape, dim), x_shape, dim, keepdim), x_dtype)


mean.vjp(x=share_of_mean)


@composition
def nansum(x, dim=None, keepdim=False, dtype=None):
    """The sum over `dim` of the elements that are not NaN"""
    return sum(where(isnan(x), 0.0, x) if x.dtype.kind == "f" else x, dim, keepdim, dtype)


@composition
def nanmean(x, dim=None, keepdim=False, dtype=None):
    """The mean over `dim` of the elements that are not NaN, NaN if there are none"""
    check_float(x if dtype is None else x.to(dtype), "nanmean")
    return nansum(x, dim, keepdim, dtype) / sum(eq(x, x), dim, keepdim)


@composition
def count_nonzero(x, dim=None):
    """How many elements over `dim` are not 0 (NaN is not)"""
    return sum(ne(x, 0), dim)


@composition
def prod(x, dim=None, keepdim=False, dtype=None):
    """The product over `dim` (an int, or None for all), multiplied up in pairs: so its gradient is
    right where elements are 0, too, for which out / x would be 0 / 0."""
    x = x.to(np.int64 if dtype is None and x.dtype.kind in "biu" else dtype)
    if dim is None or not x.ndim:
        dims_of(dim, x.ndim, "prod")
        total = prod(reshape(x, (-1,)), 0)
        return reshape(total, (1,) * x.ndim) if keepdim else total
    dim = axis_of(dim, x.ndim, "prod")
    if not x.shape[dim]:
        return sum(x, dim, keepdim) + 1  # an empty product
    while (n := x.shape[dim]) > 1:
        odd = [narrow(x, dim, n - 1, 1)] if n % 2 else []
        x = cat([narrow(x, dim, 0, n // 2) * narrow(x, dim, n // 2, n // 2), *odd], dim)
    return x if keepdim else squeeze(x, dim)


# ---- Log-sum-exp ---------------------------------------------------------------------------------


@primitive
@quiet
def logsumexp(x, dim, keepdim=False):
    """log of the sum of e^x over `dim`, without overflow; -inf, with gradient 0, of nothing else"""
    x, dims = x.astype(result_dtype([x], floating=True), copy=False), dims_of(dim, x.ndim)
    if is_rows(x, dims):
        total = softmax.logsumexp(x.reshape(-1, x.shape[-1]))
        return total.reshape(x.shape[:-1] + (1,) * keepdim)
    top = np.max(x, axis=dims, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, x.dtype.type(0))
    total = np.log(add_up(np.exp(x - top), dims, keepdim=True)) + top
    return total if keepdim else np.squeeze(total, dims)


def is_rows(x: np.ndarray, dims) -> bool:
    """Whether the kernel takes it: the last dimension alone."""
    return x.ndim > 0 and dims == (x.ndim - 1,) and x.size > 0 and x.dtype is float32


def share_of_sum(g, x, out, dim, keepdim):
    """g e^x / Σ e^x, the softmax. A sum that is 0 has only terms that are 0."""
    if is_rows(x.array, dims_of(dim, x.ndim)):
        columns = (*x.shape[:-1], 1)
        return share_of_rows(reshape(g, columns), x, reshape(out, columns))
    if (out.array == -math.inf).any():
        out = where(eq(out, -math.inf), 0.0, out)
    return spread(g, x.shape, dim, keepdim) * exp(x - spread(out, x.shape, dim, keepdim))


logsumexp.vjp(x=share_of_sum)


@primitive
def share_of_rows(g, x, lse):
    """g e^(x - lse), lse [..., 1] being the log-sum-exp of rows x [..., n]; g [..., 1]"""
    rows = x.reshape(-1, x.shape[-1])
    return softmax.logsumexp_backward(g.reshape(-1), rows, lse.reshape(-1)).reshape(x.shape)


share_of_rows.vjp(
    g=lambda c, x, lse: sum(c * exp(x - where(eq(lse, -math.inf), 0.0, lse)), -1, keepdim=True),
    x=lambda c, out: c * out,
    lse=lambda c, out: -sum(c * out, -1, keepdim=True),
)


# ---- Extremes ------------------------------------------------------------------------------------

MinMax = namedtuple("MinMax", "min max")


@primitive
def amax(x, dim=None, keepdim=False):
    """The largest element over `dim`, NaN if one is. Equal ones share the gradient equally."""
    return np.maximum.reduce(x, axis=dims_with_elements(x, dim), keepdims=keepdim)


@primitive
def amin(x, dim=None, keepdim=False):
    """The smallest element over `dim`, NaN if one is. Equal ones share the gradient equally."""
    return np.minimum.reduce(x, axis=dims_with_elements(x, dim), keepdims=keepdim)


def share_among_equals(g, x, out, dim=None, keepdim=False):
    """Of several elements that are equal to the output, each gets the same part of g. Which are
    does not change with x, as far as there is a derivative: no op need be recorded for it."""
    dims = dims_of(dim, x.ndim)
    top = out.array if keepdim else np.expand_dims(out.array, dims)
    chosen = x.array == top
    share = chosen / np.add.reduce(chosen, axis=dims, keepdims=True, dtype=g.dtype)
    return spread(g, x.shape, dim, keepdim) * Tensor(share)


amax.vjp(x=share_among_equals)
amin.vjp(x=share_among_equals)


@composition
def aminmax(x, *, dim=None, keepdim=False):
    """(min, max) over `dim`, an int, or None for all"""
    dim = dim if dim is None else operator.index(dim)
    return MinMax(amin(x, dim, keepdim), amax(x, dim, keepdim))


# ---- Norms ---------------------------------------------------------------------------------------


@primitive
def root_of_sum(x):
    """√x for x >= 0, whose gradient at 0 is taken as 0"""
    return np.sqrt(x)


def half_over_root(g, out):
    zero = eq(out, 0)
    return where(zero, 0.0, g) / (2 * where(zero, 1.0, out))


root_of_sum.vjp(x=half_over_root)


@primitive(name="two_norm")
def length(x, dim=None, keepdim=False):
    """√(Σ x²) over `dim`, whose gradient at 0 is taken as 0"""
    return np.sqrt(add_up(x * x, dims_of(dim, x.ndim), keepdim))


def direction(g, x, out, dim, keepdim):
    """g x / |x|"""
    unit = x / spread(where(eq(out, 0), 1.0, out), x.shape, dim, keepdim)
    return spread(g, x.shape, dim, keepdim) * unit


length.vjp(x=direction)


@composition
def norm(x, p: float | str | None = "fro", dim=None, keepdim=False, dtype=None):
    """(Σ |x|^p)^(1/p) over `dim`. p: a number; "fro" is 2; inf and -inf the largest and smallest
    |x|, 0 the count of nonzeros; "nuc", of matrices, the sum of singular values. The subgradient at
    0 is 0."""
    x = x if dtype is None else x.to(dtype)
    check_float(x, "norm")
    if p in ("fro", 2, None):
        return length(x, dim, keepdim)
    if p == "nuc":
        dim = dims_of(dim, x.ndim, "norm")
        return registry["linalg_matrix_norm"](x, "nuc", dim, keepdim)
    if isinstance(p, str):
        raise RuntimeError(f'norm: p must be a number, "fro" or "nuc"; got "{p}"')
    return registry["linalg_vector_norm"](x, p, dim, keepdim)


# ---- Logic ---------------------------------------------------------------------------------------


def logical(function, x, dim, keepdim):
    """bool, but of uint8 uint8, as in PyTorch; where dim=() means that nothing is combined, too."""
    dims = () if dim == () else dims_of(dim, x.ndim)
    out = function(x, axis=dims, keepdims=keepdim)
    return out.astype(np.uint8) if x.dtype == np.uint8 else out


@primitive
def any(x, dim=None, keepdim=False):
    """Whether an element over `dim` is not 0"""
    return logical(np.any, x, dim, keepdim)


@primitive
def all(x, dim=None, keepdim=False):
    """Whether no element over `dim` is 0"""
    return logical(np.all, x, dim, keepdim)
