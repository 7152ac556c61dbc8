"""Making tensors. `**place` takes what scripts say of devices and layouts: see devices.py."""

from __future__ import annotations

import math
import operator

import numpy as np

from .devices import check_place
from .dtypes import as_array, get_default_dtype
from .random import as_shape
from .tensor import Tensor

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "eye", "from_dlpack", "from_numpy",
    "full", "full_like", "is_complex", "is_floating_point", "is_nonzero", "is_tensor", "linspace",
    "logspace", "numel", "ones", "ones_like", "scalar_tensor", "tensor", "tril_indices",
    "triu_indices", "zeros", "zeros_like",
]  # fmt: skip

# ---- From data -----------------------------------------------------------------------------------


def tensor(data, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, an array. Floats become float32."""
    check_place(**place)
    return Tensor(np.array(as_array(_plain(data), dtype)), requires_grad)


def _plain(data):
    """Nested lists without tensors in them."""
    if isinstance(data, list | tuple):
        return [_plain(x) for x in data]
    return data.array if isinstance(data, Tensor) else data


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """`data` as a tensor, sharing its memory where possible."""
    check_place(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return Tensor(as_array(_plain(data), dtype))


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """`obj` as a tensor, sharing its memory where possible, or always copied with copy=True."""
    if copy:
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    out = as_tensor(obj, dtype, device)
    return out.detach().requires_grad_() if requires_grad else out


def scalar_tensor(value, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """A number as a 0-d tensor, of the default float type if no other is given."""
    return tensor(value, dtype=dtype or get_default_dtype(), requires_grad=requires_grad, **place)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of an ndarray."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes an ndarray; got {type(array).__name__}: use tg.tensor")
    return Tensor(as_array(array))


def from_dlpack(data) -> Tensor:
    """A tensor that shares the memory of another library's, through the DLPack protocol."""
    return Tensor(np.from_dlpack(data))


# ---- Filled --------------------------------------------------------------------------------------


def filled(shape, value, dtype, requires_grad, place) -> Tensor:
    check_place(**place)
    return Tensor(np.full(shape, value, dtype or get_default_dtype()), requires_grad)


def zeros(*shape, size=None, dtype=None, requires_grad=False, **place) -> Tensor:
    """0 everywhere"""
    return filled(as_shape(shape, size), 0, dtype, requires_grad, place)


def ones(*shape, size=None, dtype=None, requires_grad=False, **place) -> Tensor:
    """1 everywhere"""
    return filled(as_shape(shape, size), 1, dtype, requires_grad, place)


def full(size, fill_value, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """`fill_value` everywhere; its type decides the dtype if none is given."""
    value = getattr(fill_value, "array", fill_value)
    dtype = dtype or as_array(value).dtype
    return filled(as_shape((), size), value, dtype, requires_grad, place)


def empty(*shape, size=None, dtype=None, requires_grad=False, **place) -> Tensor:
    """Memory that nobody has written to: its contents are arbitrary."""
    check_place(**place)
    return Tensor(np.empty(as_shape(shape, size), dtype or get_default_dtype()), requires_grad)


def zeros_like(x: Tensor, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """0 everywhere, in the shape and type of x"""
    return filled(x.shape, 0, dtype or x.dtype, requires_grad, place)


def ones_like(x: Tensor, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """1 everywhere, in the shape and type of x"""
    return filled(x.shape, 1, dtype or x.dtype, requires_grad, place)


def full_like(x: Tensor, fill_value, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """`fill_value` everywhere, in the shape and type of x"""
    value = getattr(fill_value, "array", fill_value)
    return filled(x.shape, value, dtype or x.dtype, requires_grad, place)


def empty_like(x: Tensor, *, dtype=None, **options) -> Tensor:
    """Memory that nobody has written to, for the shape and type of x"""
    return empty(x.shape, dtype=dtype or x.dtype, **options)


# ---- Sequences -----------------------------------------------------------------------------------


def arange(start, end=None, step=1, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """start, start + step, ... before `end`; `arange(end)` begins at 0."""
    check_place(**place)
    start, end = (0, start) if end is None else (start, end)
    start, end, step = numbers = [_number(n, "arange") for n in (start, end, step)]
    whole = all(isinstance(n, int) for n in numbers)
    dtype = np.dtype(dtype or (np.int64 if whole else get_default_dtype()))
    if dtype == np.int64:  # as in PyTorch, which counts in the type that it makes
        start, end, step = (int(n) for n in numbers)
    if step == 0 or (end - start) / step < 0:
        raise RuntimeError(f"arange: no steps of {step} lead from {start} to {end}")
    count = math.ceil((end - start) / step)
    return Tensor((start + step * np.arange(count)).astype(dtype), requires_grad)


def linspace(start, end, steps, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """`steps` numbers at equal distances, the first `start`, the last `end`."""
    check_place(**place)
    dtype = np.dtype(dtype or get_default_dtype())
    return Tensor(_spaced(start, end, steps, dtype).astype(dtype), requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """`steps` powers of the base, whose exponents are at equal distances from start to end."""
    check_place(**place)
    dtype = np.dtype(dtype or get_default_dtype())
    powers = np.power(float(base), _spaced(start, end, steps, dtype))
    return Tensor(powers.astype(dtype), requires_grad)


def _spaced(start, end, steps, dtype) -> np.ndarray:
    """In float64, counted from the nearer end, so that both are met exactly."""
    start, end = (_number(n, "linspace") for n in (start, end))
    if dtype.kind != "f":
        start, end = int(start), int(end)
    if operator.index(steps) < 0:
        raise RuntimeError(f"the number of steps must not be negative; got {steps}")
    step, i = (end - start) / max(steps - 1, 1), np.arange(steps)
    return np.where(i < (steps + 1) // 2, start + step * i, end - step * (steps - 1 - i))


def _number(x, name: str) -> int | float:
    """x as a finite Python number: a tensor must have one element."""
    if getattr(x, "ndim", 0) or not math.isfinite(x):
        raise RuntimeError(f"{name} takes finite numbers, or tensors of no dimension; got {x}")
    x = x.item() if hasattr(x, "item") else x
    return int(x) if isinstance(x, bool) else x


# ---- Matrices ------------------------------------------------------------------------------------


def eye(n, m=None, *, dtype=None, requires_grad=False, **place) -> Tensor:
    """The n × m matrix with 1 on the diagonal, else 0."""
    check_place(**place)
    n, m = as_shape((n, n if m is None else m))
    return Tensor(np.eye(n, m, dtype=dtype or get_default_dtype()), requires_grad)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype=None, **place) -> Tensor:
    """Rows and columns [2, count] of the lower triangle of a matrix [row, col]."""
    check_place(**place)
    return Tensor(np.stack(np.tril_indices(row, offset, col)).astype(dtype or np.int64))


def triu_indices(row: int, col: int, offset: int = 0, *, dtype=None, **place) -> Tensor:
    """Rows and columns [2, count] of the upper triangle of a matrix [row, col]."""
    check_place(**place)
    return Tensor(np.stack(np.triu_indices(row, offset, col)).astype(dtype or np.int64))


# ---- Questions -----------------------------------------------------------------------------------


def is_tensor(obj: object) -> bool:
    """Whether obj is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(x: Tensor) -> bool:
    """Whether x holds floats."""
    return x.dtype.kind == "f"


def is_complex(x: Tensor) -> bool:
    """Whether x holds complex numbers: there are none."""
    return False


def is_nonzero(x: Tensor) -> bool:
    """Whether the one element of x is not 0."""
    return bool(x)


def numel(x: Tensor) -> int:
    """How many elements x has."""
    return x.array.size
