"""The one table that gives Tensor its operators and methods. Importing it fills the class."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np

from . import creation, engine, random
from .devices import check_device
from .dtypes import as_array, bool_, float16, float32, float64, int8, int16, int32, int64, uint8
from .inplace import check_memory, in_place
from .ops import (
    aliases,
    along,
    arrange,
    choose,
    diagonal,
    mask,
    scan,
    scatter,
    slices,
    softmax,
    special,
    statistics,
)
from .ops import compare as c
from .ops import composed as f
from .ops import elementwise as e
from .ops import index as i
from .ops import join as j
from .ops import linalg as l
from .ops import order as o
from .ops import reduce as r
from .ops import shape as s
from .tensor import Tensor

# ---- Operators -----------------------------------------------------------------------------------


def is_no_number(y) -> bool:
    """Whether a tensor can't be compared with y element by element: then they are different."""
    return y is None or isinstance(y, str)


Tensor.__add__ = Tensor.__radd__ = lambda x, y: e.add(x, y)
Tensor.__sub__ = lambda x, y: e.sub(x, y)
Tensor.__rsub__ = lambda x, y: e.sub(y, x)
Tensor.__mul__ = Tensor.__rmul__ = lambda x, y: e.mul(x, y)
Tensor.__truediv__ = lambda x, y: e.div(x, y)
Tensor.__rtruediv__ = lambda x, y: e.div(y, x)
Tensor.__floordiv__ = lambda x, y: c.floor_divide(x, y)
Tensor.__rfloordiv__ = lambda x, y: c.floor_divide(y, x)
Tensor.__mod__ = lambda x, y: c.remainder(x, y)
Tensor.__rmod__ = lambda x, y: c.remainder(y, x)
Tensor.__pow__ = lambda x, y: e.pow(x, y)
Tensor.__rpow__ = lambda x, y: e.pow(y, x)
Tensor.__matmul__ = lambda x, y: l.matmul(x, y)
Tensor.__rmatmul__ = lambda x, y: l.matmul(creation.as_tensor(y), x)
Tensor.__neg__ = lambda x: e.neg(x)
Tensor.__pos__ = lambda x: x
Tensor.__abs__ = lambda x: e.abs(x)
Tensor.__eq__ = lambda x, y: NotImplemented if is_no_number(y) else c.eq(x, y)
Tensor.__ne__ = lambda x, y: NotImplemented if is_no_number(y) else c.ne(x, y)
Tensor.__lt__ = lambda x, y: c.lt(x, y)
Tensor.__le__ = lambda x, y: c.le(x, y)
Tensor.__gt__ = lambda x, y: c.gt(x, y)
Tensor.__ge__ = lambda x, y: c.ge(x, y)
Tensor.__and__ = Tensor.__rand__ = lambda x, y: c.bitwise_and(x, y)
Tensor.__or__ = Tensor.__ror__ = lambda x, y: c.bitwise_or(x, y)
Tensor.__xor__ = Tensor.__rxor__ = lambda x, y: c.bitwise_xor(x, y)
Tensor.__lshift__ = lambda x, y: c.bitwise_left_shift(x, y)
Tensor.__rlshift__ = lambda x, y: c.bitwise_left_shift(y, x)
Tensor.__rshift__ = lambda x, y: c.bitwise_right_shift(x, y)
Tensor.__rrshift__ = lambda x, y: c.bitwise_right_shift(y, x)
Tensor.__invert__ = lambda x: c.bitwise_not(x)
Tensor.__getitem__ = i.get_item


def iterate(x: Tensor):
    """The slices along the first dimension."""
    if not x.ndim:
        raise TypeError("a 0-d tensor can't be iterated over")
    return iter(j.unbind(x))


Tensor.__iter__ = iterate

# ---- Ops that are methods under their own name ---------------------------------------------------

# Ops are methods under their own name; but these take several tensors, or sizes one by one.
NOT_METHODS = {
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes",
    "broadcast_tensors", "bucketize", "cartesian_prod", "cat", "cdist", "column_stack",
    "combinations", "concat", "concatenate", "cumulative_trapezoid", "dstack", "einsum", "hstack",
    "isin", "meshgrid", "pdist", "permute", "reshape", "row_stack", "searchsorted", "stack",
    "std_mean", "tensordot", "trapezoid", "trapz", "unravel_index", "var_mean", "vstack", "where",
}  # fmt: skip

MODULES = (c, choose, f, e, special, aliases, r, o, s, i, l, j, along, arrange, diagonal, mask,
           scatter, scan, statistics, slices, softmax)  # fmt: skip
for module in MODULES:
    for name in set(module.__all__) - NOT_METHODS:
        op = getattr(module, name)
        setattr(Tensor, name, lambda x, *args, op=op, **options: op(x, *args, **options))

Tensor.backward = lambda x, gradient=None, retain_graph=None, create_graph=False, inputs=None: (
    engine.backward(x, gradient, retain_graph, create_graph, inputs)
)

for op, name in {s.reshape: "shape", s.view: "size", s.expand: "size", s.permute: "dims",
                 j.repeat: "repeats", j.tile: "dims", arrange.flip: "dims"}.items():  # fmt: skip
    setattr(Tensor, op.__name__, s.one_by_one(op, name))
Tensor.broadcast_to, Tensor.expand_as = Tensor.expand, s.expand_as
Tensor.view_as, Tensor.reshape_as = s.view_as, s.reshape_as
Tensor.unfold = lambda x, dimension, size, step: s.unfolded(x, dimension, size, step)
Tensor.bernoulli, Tensor.multinomial = random.bernoulli, random.multinomial
Tensor.where = lambda x, condition, other: choose.where(condition, x, other)
Tensor.mT = Tensor.mH = property(s.adjoint)
Tensor.T = property(lambda x: s.permute(x, tuple(reversed(range(x.ndim)))))
Tensor.H = property(s.t)

# ---- Types and devices ---------------------------------------------------------------------------


def to(x: Tensor, *args, dtype=None, device=None, copy=False, non_blocking=False) -> Tensor:
    """x as another dtype (also: a tensor whose dtype to take). The only device is the CPU."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, np.dtype | type):  # float is float64, as in PyTorch
            dtype = arg
        elif isinstance(arg, bool):
            pass
        else:
            device = arg
    check_device(device)
    if dtype is None or np.dtype(dtype) == x.dtype:
        return e.clone(x) if copy else x
    return e.cast(x, np.dtype(dtype))


Tensor.to = Tensor.type = to
Tensor.type_as = lambda x, other: to(x, other.dtype)
Tensor.cpu = lambda x: x
_by_name = {"float": float32, "double": float64, "half": float16, "long": int64, "int": int32,
            "short": int16, "byte": uint8, "char": int8, "bool": bool_}  # fmt: skip
for name, dtype in _by_name.items():
    setattr(Tensor, name, lambda x, dtype=dtype: to(x, dtype))


def contiguous(x: Tensor) -> Tensor:
    """x, or a copy whose elements lie in memory in the order of their indices"""
    return x if x.array.flags.c_contiguous else e.clone(x)


Tensor.contiguous = contiguous
Tensor.is_contiguous = lambda x: bool(x.array.flags.c_contiguous)
Tensor.is_floating_point = lambda x: x.dtype.kind == "f"
Tensor.dim = Tensor.ndimension = lambda x: x.ndim
Tensor.numel = Tensor.nelement = lambda x: x.array.size
Tensor.element_size = lambda x: x.array.itemsize


def at_dim(numbers, dim, op: str):
    """All of the numbers, or the one of a dimension."""
    if dim is None:
        return numbers
    if not numbers:
        raise IndexError(f"{op}: a 0-d tensor has no dimension {dim}")
    return numbers[s.checked_dim(dim, len(numbers), op)]


Tensor.size = lambda x, dim=None: at_dim(x.shape, dim, "size")
Tensor.stride = lambda x, dim=None: at_dim(
    tuple(n // x.array.itemsize for n in x.array.strides), dim, "stride"
)

for name in ("zeros", "ones", "empty", "full", "tensor"):
    make = getattr(creation, name)
    setattr(Tensor, f"new_{name}", lambda x, *args, make=make, dtype=None, **options: (
        make(*args, dtype=dtype or x.dtype, **options)))  # fmt: skip

# ---- In place ------------------------------------------------------------------------------------

# Ops that are also methods with an underscore, which write the result over x.
IN_PLACE = """
    abs absolute acos acosh add addcdiv addcmul arccos arccosh arcsin arcsinh arctan arctan2 arctanh
    asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or
    bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip copysign cos cosh deg2rad
    digamma div divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmod
    frac ge greater greater_equal gt heaviside hypot index_add index_copy index_fill index_put
    index_reduce le lerp less less_equal lgamma log log10 log1p log2 logical_and logical_not
    logical_or logical_xor logit lt masked_fill masked_scatter mul multiply nan_to_num ne neg
    negative not_equal polygamma pow put rad2deg reciprocal relu remainder round rsqrt scatter
    scatter_add scatter_reduce sgn sigmoid sign sin sinc sinh sqrt square sub subtract tan tanh tril
    triu true_divide trunc xlogy
"""

for name in IN_PLACE.split():
    setattr(Tensor, f"{name}_", in_place(getattr(Tensor, name), f"{name}_"))

for operator, op in {"iadd": e.add, "isub": e.sub, "imul": e.mul, "itruediv": e.div, "ipow": e.pow,
                     "ifloordiv": c.floor_divide, "imod": c.remainder, "iand": c.bitwise_and,
                     "ior": c.bitwise_or, "ixor": c.bitwise_xor, "ilshift": c.bitwise_left_shift,
                     "irshift": c.bitwise_right_shift}.items():  # fmt: skip
    setattr(Tensor, f"__{operator}__", in_place(op, f"{op.name}_"))


def replaced(x: Tensor, values) -> Tensor:
    """`values` in place of all of x: like x in shape and dtype, without a gradient for x"""
    values = values.to(x.dtype) if isinstance(values, Tensor) else np.asarray(values, x.dtype)
    return choose.where(np.True_, values, x)


for name, op in {
    "copy": lambda x, src, non_blocking=False: replaced(x, src),
    "fill": replaced,
    "zero": lambda x: replaced(x, 0),
    "fill_diagonal": diagonal.fill_diagonal,
}.items():
    setattr(Tensor, f"{name}_", in_place(op, f"{name}_"))

for name, draw in random.SAMPLERS.items():
    op = lambda x, *args, draw=draw, **options: replaced(x, draw(x.array, *args, **options))
    setattr(Tensor, f"{name}_", in_place(op, f"{name}_"))

set_recorded = in_place(lambda x, index, value: i.setitem(x, value, index), "x[...] = value")


def set_item(x: Tensor, index, value) -> None:
    """x[index] = value"""
    index = i.plain(index)
    if i.is_mixed(index):
        basic, index = i.in_two_steps(index)
        x = i.getitem(x, basic)
    value = value if isinstance(value, Tensor | float | int) else Tensor(as_array(value))
    if x.requires_grad or (isinstance(value, Tensor) and value.requires_grad):
        set_recorded(x, index, value)
    else:  # nothing to record: write the elements, and only them
        check_memory(x, "x[...] = value", value)
        i.put_values(x.array, index, value.array if isinstance(value, Tensor) else value)
        x.storage.note_write("x[...] = value")


Tensor.__setitem__ = set_item
