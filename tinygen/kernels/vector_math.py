"""Logarithm, sine and cosine of a vector (`simd`), by polynomials."""

from tinygen.kernels.jit import kernel
from tinygen.kernels.simd import bits, fma, from_bits, to_floats, where

ONE, SQRT_HALF = 0x3F800000, 0x3F3504F3  # the bits of 1 and of sqrt(1/2)
EIGHTH_OF_A_TURN = 1 << 29  # where a turn is 2^32
RADIANS = 6.283185307179586 / 2**32


@kernel
def log(x):
    """ln x of positive normal numbers, off by at most one unit in the last place.

    x = 2^n m with m in [sqrt(1/2), sqrt(2)), and ln x = n ln 2 + ln m. The polynomial for ln m is
    that of Cephes' logf (Moshier 1992). Zero, negative numbers, infinity and NaN give nonsense.
    """
    n = ((bits(x) + (ONE - SQRT_HALF)) >> 23) - 127
    f = from_bits(bits(x) - (n << 23)) - 1.0
    p = fma(f, 7.0376836292e-2, -1.1514610310e-1)
    p = fma(f, p, 1.1676998740e-1)
    p = fma(f, p, -1.2420140846e-1)
    p = fma(f, p, 1.4249322787e-1)
    p = fma(f, p, -1.6668057665e-1)
    p = fma(f, p, 2.0000714765e-1)
    p = fma(f, p, -2.4999993993e-1)
    p = fma(f, p, 3.3333331174e-1)
    square = f * f
    p = fma(to_floats(n), -2.12194440e-4, p * f * square)  # ln 2 is split, as in `simd.exp`
    p = fma(square, -0.5, p)
    return fma(to_floats(n), 0.693359375, f + p)


@kernel
def sincos_of_turns(turns):
    """sin and cos of 2π turns / 2^32, of a vector of integers; off by at most one unit in the last
    place of 1.

    The nearest quarter of a turn is taken off in integers, so exactly. Within an eighth of a turn
    on either side of it, polynomials: those of Cephes' sinf (Moshier 1992). Then the quarters turn
    (cos, sin) by a right angle each: odd ones swap the two, and signs follow.
    """
    quarter = (turns + EIGHTH_OF_A_TURN) >> 30
    x = to_floats(turns - (quarter << 30)) * RADIANS
    z = x * x
    p = fma(z, -1.9515295891e-4, 8.3321608736e-3)
    p = fma(z, p, -1.6666654611e-1)
    sin = fma(z * x, p, x)
    p = fma(z, 2.443315711809948e-5, -1.388731625493765e-3)
    p = fma(z, p, 4.166664568298827e-2)
    cos = fma(z * z, p, fma(z, -0.5, 1.0))
    odd = (quarter & 1) == 1
    sin, cos = where(odd, cos, sin), where(odd, sin, cos)
    sin_sign, cos_sign = (quarter & 2) << 30, ((quarter + 1) & 2) << 30
    return from_bits(bits(sin) ^ sin_sign), from_bits(bits(cos) ^ cos_sign)
