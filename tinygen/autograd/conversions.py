"""A tensor as something else: an ndarray, another library's array, a Python number, text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .tensor import Tensor

    class Attached:
        """What methods.py attaches to Tensor, for type checkers."""

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index) -> Tensor: ...
        def __setitem__(self, index, value) -> None: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __add__(self, other) -> Tensor: ...
        def __neg__(self) -> Tensor: ...

        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __mod__ = __floordiv__ = __add__
        __and__ = __or__ = __xor__ = __lt__ = __le__ = __gt__ = __ge__ = __add__
        __invert__ = __abs__ = __neg__

else:
    Attached = object


class Conversions(Attached):
    """The part of Tensor that leads out of tinygen."""

    array: np.ndarray

    def numpy(self) -> np.ndarray:
        """The array itself, shared with the tensor. Refused if the tensor requires grad."""
        if self.requires_grad:
            raise RuntimeError(
                "this tensor requires grad, which an ndarray can't carry on; "
                "use x.detach().numpy() to leave the graph"
            )
        return self.array

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any):
        if self.requires_grad:
            raise BufferError("this tensor requires grad; export x.detach() instead")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def item(self) -> float | int | bool:
        """The only element, as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(
                f"item() needs a tensor with one element; this has shape {self.shape}"
            )
        return self.array.item()

    def tolist(self):
        return self.array.tolist()

    def __repr__(self) -> str:
        text = np.array2string(self.array, separator=", ", prefix="tensor(", precision=4)
        notes = [] if self.dtype.name in ("float32", "int64", "bool") else [f"dtype={self.dtype}"]
        if self.grad_fn is not None:
            notes.append(f"grad_fn=<{self.grad_fn.op.name}>")
        elif self._requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join([text, *notes])})"

    def __len__(self) -> int:
        if not self.array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __bool__(self) -> bool:
        if self.array.size != 1:
            raise RuntimeError(
                f"the truth of a tensor of shape {self.shape} is ambiguous; use .any() or .all()"
            )
        return bool(self.array.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self.array.__index__()

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.array.size == 1 and spec else str(self), spec)
