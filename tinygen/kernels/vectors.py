"""Vectors of LANES numbers as types that Numba knows, and how to tell it what operations they have.

`simd` defines the operations, each by the LLVM instructions that it is made of. Only these two
files speak LLVM.
"""

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import llvmlite.ir as ir
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast, models, register_model


def lanes_of_this_machine() -> int:
    """How many float32 fill a vector register: 512, 256 or 128 bits."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") and features.get("fma") else 4


LANES = int(os.environ.get("TINYGEN_LANES") or lanes_of_this_machine())


# ---- Types ---------------------------------------------------------------------------------------

f32, i32, i64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """LANES values of one kind, in a register."""

    def __init__(self, name: str, lane: ir.Type):
        super().__init__(f"{name}{LANES}")
        self.llvm = ir.VectorType(lane, LANES)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm)


floats, ints, bools = Vector("floats", f32), Vector("ints", i32), Vector("bools", ir.IntType(1))


def in_all_lanes(builder, number):
    nothing = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    one = builder.insert_element(nothing, number, i32(0))
    return builder.shuffle_vector(one, nothing, ints.llvm([0] * LANES))


@lower_cast(types.Number, floats)
def number_to_floats(context, builder, number_type, _, number):
    return in_all_lanes(builder, context.cast(builder, number, number_type, types.float32))


@lower_cast(types.Number, ints)
def number_to_ints(context, builder, number_type, _, number):
    return in_all_lanes(builder, context.cast(builder, number, number_type, types.int32))


# ---- What an operation is ------------------------------------------------------------------------

memory = (types.Array, types.CPointer)  # as an operand: a float32 array, or a pointer to float32


def accepts(operand, given, all_given) -> bool:
    """Whether a value of type `given` may stand where an operation wants `operand`."""
    if operand is memory:
        return isinstance(given, memory) and given.dtype == types.float32
    if given == operand:
        return True
    a_vector_is_given = any(isinstance(g, Vector) for g in all_given)
    return isinstance(given, types.Number) and (
        a_vector_is_given or not isinstance(operand, Vector)
    )


def define(function, result, operands, emit):
    """Let kernels call `function`; `emit(builder, *values)` writes the LLVM that computes it."""

    class Typing(AbstractTemplate):
        key = function

        def generic(self, given, _):
            if len(given) != len(operands):
                return None
            if not all(accepts(o, g, given) for o, g in zip(operands, given)):
                return None
            return signature(result, *(g if o is memory else o for o, g in zip(operands, given)))

    def lower(context, builder, typed, values):
        addresses = [
            context.make_array(kind)(context, builder, value).data
            if isinstance(kind, types.Array)
            else value
            for kind, value in zip(typed.args, values)
        ]
        value = emit(builder, *addresses)
        return context.get_dummy_value() if result is types.void else value

    infer_global(function, types.Function(Typing))
    for kind in memory if memory in operands else (None,):
        lower_builtin(function, *(kind if o is memory else o for o in operands))(lower)


def operation(result, *operands) -> Callable[[Callable], Any]:
    """Decorator for `def name(builder, x, y)`, which kernels then call as `name(x, y)`."""

    def decorate(emit):
        define(emit, result, operands, emit)
        return emit

    return decorate


def intrinsic(builder, name, result, *arguments, **flags):
    """Call LLVM's own function llvm.`name` (llvm.org/docs/LangRef.html#intrinsic-functions)."""
    function_type = ir.FunctionType(result, [argument.type for argument in arguments])
    function = get_or_insert_function(builder.module, function_type, f"llvm.{name}")
    return builder.call(function, arguments, **flags)
