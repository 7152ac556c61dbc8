"""Data types: NumPy's, under PyTorch's names, combined by PyTorch's rules."""

from __future__ import annotations

from functools import reduce

import numpy as np

float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
float16 = np.dtype(np.float16)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool_ = np.dtype(np.bool_)

_default = float32


def get_default_dtype() -> np.dtype:
    """The type of a tensor made from Python floats."""
    return _default


def set_default_dtype(dtype) -> None:
    """Let Python floats become `dtype` (float32 or float64) from now on."""
    global _default
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(
            f"the default dtype must be a floating one, such as tg.float64; got {dtype}"
        )
    _default = dtype


def category(dtype: np.dtype) -> int:
    """0 for bool, 1 for integers, 2 for floats: a higher category wins a promotion."""
    return {"b": 0, "i": 1, "u": 1, "f": 2}[dtype.kind]


def promote_types(x, y) -> np.dtype:
    """The smallest type that both fit, where an integer meeting a float takes the float's type."""
    x, y = np.dtype(x), np.dtype(y)
    if category(x) == category(y):
        return np.promote_types(x, y)
    return x if category(x) > category(y) else y


def result_dtype(operands, floating: bool = False) -> np.dtype:
    """The type that an elementwise op on these arrays and numbers computes in.

    PyTorch's rule: arrays with dimensions decide; a 0-d array, and after it a Python number, only
    counts when its category is higher (int tensor + 0.5 is float). `floating` ops, such as division
    and exp, take integers as the default float type.
    """
    arrays = [x.dtype for x in operands if isinstance(x, np.ndarray) and x.ndim]
    zero_d = [x.dtype for x in operands if isinstance(x, np.ndarray) and not x.ndim]
    numbers = [_number_dtype(x) for x in operands if not isinstance(x, np.ndarray)]
    result = None
    for group in (arrays, zero_d, numbers):
        if group:
            found = reduce(promote_types, group)
            if result is None or category(found) > category(result):
                result = found
    assert result is not None
    return _default if floating and category(result) < 2 else result


def result_type(x, y) -> np.dtype:
    """The type of x + y, for tensors and numbers."""
    return result_dtype([getattr(a, "array", a) for a in (x, y)])


def can_cast(from_, to) -> bool:
    """Whether values of one type may be written into another: not floats into integers, say."""
    return category(np.dtype(from_)) <= category(np.dtype(to))


class finfo:
    """What a float type can hold, in Python numbers: eps, max, min, tiny, bits, resolution."""

    def __init__(self, dtype=None):
        info = np.finfo(dtype or _default)
        self.dtype, self.bits = str(info.dtype), info.bits
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(f"1e-{info.precision}")


class iinfo:
    """What an integer type can hold: max, min, bits."""

    def __init__(self, dtype):
        info = np.iinfo(dtype)
        self.dtype, self.bits = str(info.dtype), info.bits
        self.max, self.min = int(info.max), int(info.min)


def _number_dtype(x) -> np.dtype:
    if isinstance(x, bool | np.bool_):
        return bool_
    return int64 if isinstance(x, int | np.integer) else _default


def as_array(data, dtype=None) -> np.ndarray:
    """`data` (numbers, nested lists, arrays) as an ndarray; Python floats get the default type."""
    array = np.asarray(data, dtype)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"a tensor holds numbers or bools; can't make one of {type(data).__name__} with "
            f"elements of type {array.dtype}"
        )
    if isinstance(data, np.ndarray | np.generic) or dtype is not None:
        return array
    return array.astype(_default) if array.dtype.kind == "f" and _all_python(data) else array


def _all_python(data) -> bool:
    """Whether no ndarray, whose own type would count, hides in a nested list."""
    if isinstance(data, list | tuple):
        return all(_all_python(x) for x in data)
    return not isinstance(data, np.ndarray | np.generic)
