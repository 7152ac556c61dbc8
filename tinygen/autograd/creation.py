"""Making tensors. `device` is accepted if it is the CPU; there is no other."""

from __future__ import annotations

import numpy as np

from .devices import check_device
from .dtypes import as_array, get_default_dtype
from .random import as_shape
from .tensor import Tensor

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full",
    "full_like", "is_floating_point", "is_tensor", "linspace", "numel", "ones", "ones_like",
    "tensor", "zeros", "zeros_like",
]  # fmt: skip


def tensor(data, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, an array. Floats become float32."""
    check_device(device)
    if isinstance(data, list | tuple):
        data = _plain(data)
    data = data.array if isinstance(data, Tensor) else data
    return Tensor(np.array(as_array(data, dtype)), requires_grad)


def _plain(data):
    """Nested lists without tensors in them."""
    if isinstance(data, list | tuple):
        return [_plain(x) for x in data]
    return data.array if isinstance(data, Tensor) else data


def as_tensor(data, dtype=None, device=None) -> Tensor:
    """`data` as a tensor, sharing its memory where possible."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    return Tensor(as_array(data, dtype))


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of an ndarray."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy takes an ndarray; got {type(array).__name__}: use tg.tensor")
    return Tensor(array)


def from_dlpack(data) -> Tensor:
    """A tensor that shares the memory of another library's, through the DLPack protocol."""
    return Tensor(np.from_dlpack(data))


def filled(shape, value, dtype, device, requires_grad) -> Tensor:
    check_device(device)
    return Tensor(np.full(shape, value, dtype or get_default_dtype()), requires_grad)


def zeros(*size, dtype=None, device=None, requires_grad=False) -> Tensor:
    return filled(as_shape(size), 0, dtype, device, requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False) -> Tensor:
    return filled(as_shape(size), 1, dtype, device, requires_grad)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """`fill_value` everywhere; its type decides the dtype if none is given."""
    value = getattr(fill_value, "array", fill_value)
    return filled(tuple(size), value, dtype or as_array(value).dtype, device, requires_grad)


def empty(*size, dtype=None, device=None, requires_grad=False) -> Tensor:
    """Memory that nobody has written to: its contents are arbitrary."""
    check_device(device)
    return Tensor(np.empty(as_shape(size), dtype or get_default_dtype()), requires_grad)


def zeros_like(x: Tensor, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    return filled(x.shape, 0, dtype or x.dtype, device, requires_grad)


def ones_like(x: Tensor, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    return filled(x.shape, 1, dtype or x.dtype, device, requires_grad)


def full_like(x: Tensor, fill_value, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    return filled(x.shape, fill_value, dtype or x.dtype, device, requires_grad)


def empty_like(x: Tensor, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    return empty(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """start, start + step, ... below `end`; `arange(end)` begins at 0."""
    check_device(device)
    start, end = (0, start) if end is None else (start, end)
    whole = all(isinstance(n, int | np.integer) for n in (start, end, step))
    return Tensor(
        np.arange(start, end, step).astype(dtype or (np.int64 if whole else get_default_dtype())),
        requires_grad,
    )


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """`steps` numbers at equal distances, the first `start`, the last `end`."""
    check_device(device)
    return Tensor(np.linspace(start, end, steps, dtype=dtype or get_default_dtype()), requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False) -> Tensor:
    """The n × m matrix with 1 on the diagonal, else 0."""
    check_device(device)
    return Tensor(np.eye(n, m, dtype=dtype or get_default_dtype()), requires_grad)


def is_tensor(x: object) -> bool:
    """Whether x is a tensor."""
    return isinstance(x, Tensor)


def is_floating_point(x: Tensor) -> bool:
    """Whether x holds floats."""
    return x.dtype.kind == "f"


def numel(x: Tensor) -> int:
    """How many elements x has."""
    return x.array.size
