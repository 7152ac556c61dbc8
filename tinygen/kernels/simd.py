"""A vector of float32 for kernels: LANES numbers in one register, with Python's operators.

A loop over n numbers reads like its formula, and the last vector may be a partial one:

    for i in range(0, n, LANES):
        x = load_first(source, i, n - i)                     # zeros beyond the end
        store_first(target, i, x / (1.0 + exp(-x)), n - i)   # nothing written beyond the end

Arrays are addressed by an offset in elements from their first one, whatever their shape, and nobody
checks bounds. A plain number that meets a vector stands for all lanes. `x * y + z` may be rounded
once instead of twice; nothing else is reordered, and NaN comes through everywhere.

Here are the operations, each the LLVM instructions that it is made of, and functions written in
terms of them; `vectors` has the three types, and what an operation is.
"""

import operator

import llvmlite.ir as ir
from numba import types

from tinygen.kernels.jit import kernel
from tinygen.kernels.vectors import (
    LANES,
    bools,
    define,
    f32,
    floats,
    i32,
    i64,
    in_all_lanes,
    intrinsic,
    ints,
    memory,
    operation,
)

V = f"v{LANES}f32"  # what LLVM calls the type `floats` in the names of its functions

# ---- Arithmetic and comparison -------------------------------------------------------------------


def define_operators(result, operand, instructions, **flags):
    for function, instruction in instructions.items():

        def emit(builder, x, y, instruction=instruction):
            return getattr(builder, instruction)(x, y, **flags)

        define(function, result, (operand, operand), emit)


FUSED = {operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul"}
define_operators(floats, floats, FUSED, flags=("contract",))
define_operators(floats, floats, {operator.truediv: "fdiv"})
WRAPPING = {operator.add: "add", operator.sub: "sub", operator.mul: "mul"}
BITWISE = {operator.and_: "and_", operator.xor: "xor", operator.lshift: "shl"}
define_operators(ints, ints, {**WRAPPING, **BITWISE, operator.rshift: "lshr"})  # zeros move in
define(operator.neg, floats, (floats,), lambda builder, x: builder.fneg(x))


def define_comparison(function, sign):
    define(function, bools, (floats, floats), lambda b, x, y: b.fcmp_ordered(sign, x, y))


for function, sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
):
    define_comparison(function, sign)


define(operator.eq, bools, (ints, ints), lambda b, x, y: b.icmp_signed("==", x, y))


@operation(ints, ints, ints)
def multiply_high(builder, x, y):
    """The upper 32 of the 64 bits of x * y, of numbers without sign; x * y has the lower ones."""
    wide = ir.VectorType(i64, LANES)
    product = builder.mul(builder.zext(x, wide), builder.zext(y, wide))
    return builder.trunc(builder.lshr(product, wide([32] * LANES)), ints.llvm)


@operation(ints, types.intp)
def counting_from(builder, number):
    """number, number + 1, number + 2, ..."""
    steps = ints.llvm(list(range(LANES)))
    return builder.add(in_all_lanes(builder, builder.trunc(number, i32)), steps)


@operation(ints, types.intp)
def broadcast_int(builder, number):
    """The lower 32 bits of `number` in every lane."""
    return in_all_lanes(builder, builder.trunc(number, i32))


@operation(floats, types.float32)
def broadcast(builder, number):
    """`number` in every lane."""
    return in_all_lanes(builder, number)


@operation(floats, floats, floats, floats)
def fma(builder, x, y, z):
    """x * y + z, rounded once."""
    return intrinsic(builder, f"fma.{V}", floats.llvm, x, y, z)


@operation(floats, floats)
def sqrt(builder, x):
    return intrinsic(builder, f"sqrt.{V}", floats.llvm, x)


@operation(floats, floats, floats)
def maximum(builder, x, y):
    """The larger, lane by lane; NaN where either is NaN, as in numpy.maximum."""
    return intrinsic(builder, f"maximum.{V}", floats.llvm, x, y, fastmath=("nsz",))


@operation(floats, floats, floats)
def minimum(builder, x, y):
    """The smaller, lane by lane; NaN where either is NaN, as in numpy.minimum."""
    return intrinsic(builder, f"minimum.{V}", floats.llvm, x, y, fastmath=("nsz",))


@operation(floats, bools, floats, floats)
def where(builder, condition, x, y):
    """x in the lanes where `condition` holds, y in the others."""
    return builder.select(condition, x, y)


@operation(bools, types.intp)
def first(builder, count):
    """True in the first `count` lanes."""
    limit = in_all_lanes(builder, builder.trunc(count, i32))
    return builder.icmp_signed("<", ints.llvm(list(range(LANES))), limit)


@operation(types.float32, floats)
def sum_lanes(builder, x):
    """The sum over all lanes, always added in the same order."""
    return intrinsic(builder, f"vector.reduce.fadd.{V}", f32, f32(-0.0), x, fastmath=("reassoc",))


@operation(types.float32, floats)
def max_lanes(builder, x):
    """The largest lane; NaN if any lane is NaN."""
    return intrinsic(builder, f"vector.reduce.fmaximum.{V}", f32, x)


@operation(types.float32, floats)
def max_of_numbers(builder, x):
    """The largest lane where none is NaN, which takes half of the time."""
    return intrinsic(builder, f"vector.reduce.fmax.{V}", f32, x, fastmath=("nnan", "nsz"))


@operation(ints, floats)
def nearest_int(builder, x):
    """The nearest integers, of two the even one."""
    return builder.fptosi(intrinsic(builder, f"roundeven.{V}", floats.llvm, x), ints.llvm)


@operation(floats, ints)
def to_floats(builder, n):
    """The integers as numbers."""
    return builder.sitofp(n, floats.llvm)


@operation(ints, floats)
def bits(builder, x):
    """The 32 bits of each number."""
    return builder.bitcast(x, ints.llvm)


@operation(floats, ints)
def from_bits(builder, n):
    """The numbers that have these bits."""
    return builder.bitcast(n, floats.llvm)


# ---- Memory --------------------------------------------------------------------------------------
# Any element may begin a vector: nothing is assumed to be aligned better than a float32 is.


def address_of(builder, data, offset, kind):
    return builder.bitcast(builder.gep(data, [offset]), kind.as_pointer())


@operation(floats, memory, types.intp)
def load(builder, data, offset):
    """LANES elements in a row."""
    return builder.load(address_of(builder, data, offset, floats.llvm), align=4)


@operation(floats, memory, types.intp, types.intp)
def load_first(builder, data, offset, count):
    """The first `count` of LANES elements; zeros in the other lanes, whose memory is let alone."""
    address, zeros = address_of(builder, data, offset, floats.llvm), floats.llvm([0.0] * LANES)
    mask = first(builder, count)
    return intrinsic(builder, f"masked.load.{V}.p0", floats.llvm, address, i32(4), mask, zeros)


@operation(floats, memory, types.intp)
def load_same(builder, data, offset):
    """One element, in every lane."""
    return in_all_lanes(builder, builder.load(address_of(builder, data, offset, f32), align=4))


@operation(types.void, memory, types.intp, floats)
def store(builder, data, offset, x):
    builder.store(x, address_of(builder, data, offset, floats.llvm), align=4)


@operation(types.void, memory, types.intp, floats, types.intp)
def store_first(builder, data, offset, x, count):
    """Store the first `count` lanes; the memory of the others is not touched."""
    address, mask = address_of(builder, data, offset, floats.llvm), first(builder, count)
    intrinsic(builder, f"masked.store.{V}.p0", ir.VoidType(), x, address, i32(4), mask)


@operation(types.CPointer(types.float32), types.intp)
def floats_at(builder, address):
    """The memory at an address, as an operand of `load` and `store`."""
    return builder.inttoptr(address, f32.as_pointer())


@operation(types.intp, types.intp)
def integer_at(builder, address):
    """The 64-bit integer at an address."""
    return builder.load(builder.inttoptr(address, i64.as_pointer()))


@operation(types.void, memory, types.intp)
def prefetch(builder, data, offset):
    """Ask for an element's cache line ahead of time. The element need not exist."""
    address = address_of(builder, data, offset, f32)
    intrinsic(builder, "prefetch.p0", ir.VoidType(), address, i32(0), i32(3), i32(1))


@operation(types.intp, types.intp)
def opaque(builder, number):
    """The same number, of which LLVM no longer knows how it was computed."""
    return builder.asm(ir.FunctionType(i64, [i64]), "", "=r,0", [number], side_effect=False)


# ---- Shuffles ------------------------------------------------------------------------------------


def interleave(builder, x, y, begin):
    lanes = range(begin, begin + LANES // 2)
    order = [lane for i in lanes for lane in (i, LANES + i)]
    return builder.shuffle_vector(x, y, ints.llvm(order))


@operation(floats, floats, floats)
def interleave_low(builder, x, y):
    """x0, y0, x1, y1, ... of the lower halves."""
    return interleave(builder, x, y, 0)


@operation(floats, floats, floats)
def interleave_high(builder, x, y):
    """The same of the upper halves."""
    return interleave(builder, x, y, LANES // 2)


@operation(floats, floats, floats)
def evens(builder, x, y):
    """x0, x2, ..., y0, y2, ..."""
    return builder.shuffle_vector(x, y, ints.llvm(list(range(0, 2 * LANES, 2))))


@operation(floats, floats, floats)
def odds(builder, x, y):
    """x1, x3, ..., y1, y3, ..."""
    return builder.shuffle_vector(x, y, ints.llvm(list(range(1, 2 * LANES, 2))))


# ---- Functions made of operations ----------------------------------------------------------------


@kernel
def exp(x):
    """e^x, off by less than one unit in the last place; 0 below e^-87.33, where denormals begin.

    With n the integer nearest x / ln 2, e^x = 2^n e^r where |r| <= ln(2) / 2. The polynomial for
    e^r is that of Cephes' expf (Moshier 1992). The exponent begins at bit 23; n is added there.
    """
    n = nearest_int(x * 1.4426950408889634)
    r = fma(to_floats(n), -0.693145751953125, x)  # ln 2 is split: this part has so few bits that
    r = fma(to_floats(n), -1.4286068203094172e-6, r)  # its products are exact, this is the rest
    p = fma(r, 1.9875691500e-4, 1.3981999507e-3)
    p = fma(r, p, 8.3334519073e-3)
    p = fma(r, p, 4.1665795894e-2)
    p = fma(r, p, 1.6666665459e-1)
    p = fma(r, p, 5.0000001201e-1)
    p = fma(r * r, p, r) + 1.0
    y = from_bits(bits(p) + (n << 23))
    y = where(x > 88.72283, float("inf"), y)
    y = where(x < -87.33654, 0.0, y)
    return where(x == x, y, x)  # NaN is the one number that differs from itself


@kernel
def tanh(x):
    """tanh x, off by less than two units in the last place.

    Near 0 the polynomial of Cephes' tanhf (Moshier 1992); elsewhere 1 - 2 / (e^2|x| + 1), with the
    sign of x. From |x| = 9 on that rounds to 1.
    """
    z, size = x * x, maximum(x, -x)
    p = fma(z, -5.70498872745e-3, 2.06390887954e-2)
    p = fma(z, p, -5.37397155531e-2)
    p = fma(z, p, 1.33314422036e-1)
    p = fma(z, p, -3.33332819422e-1)
    y = 1.0 - 2.0 / (exp(2.0 * size) + 1.0)
    y = where(x < 0.0, -y, y)
    return where(size < 0.625, fma(x * z, p, x), y)
