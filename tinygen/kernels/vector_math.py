"""Functions of a vector (`simd`): logarithm, sine and cosine, and what activations need."""

from tinygen.kernels.jit import kernel
from tinygen.kernels.simd import (
    bits,
    fma,
    from_bits,
    maximum,
    nearest_int,
    to_floats,
    where,
)

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
def log_of_any(x):
    """ln x of all numbers: -inf at 0, NaN below."""
    small = x < 1e-37
    y = where(small, log(x * 16777216.0) - 16.635532333438687, log(x))  # 2^24, for denormals
    y = where(x < float("inf"), y, x)  # infinity, and NaN
    return where(x > 0.0, y, where(x == 0.0, -float("inf"), float("nan") + x))


@kernel
def sincos_of_turns(turns):
    """sin and cos of 2π turns / 2^32, of a vector of integers; off by at most one unit in the last
    place of 1.

    The nearest quarter of a turn is taken off in integers, so exactly.
    """
    quarter = (turns + EIGHTH_OF_A_TURN) >> 30
    return sincos_beyond(to_floats(turns - (quarter << 30)) * RADIANS, quarter)


@kernel
def sincos_beyond(x, quarter):
    """sin and cos of x + quarter π/2, for x within an eighth of a turn on either side of 0.

    Polynomials: those of Cephes' sinf (Moshier 1992). Then the quarters turn (cos, sin) by a right
    angle each: odd ones swap the two, and signs follow.
    """
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


@kernel
def sincos(x):
    """sin x and cos x, off by a unit in the last place of 1 up to |x| = 10^5; beyond, where
    neighbouring numbers lie a hundredth of a turn apart, by more."""
    quarter = nearest_int(x * 0.6366197723675814)
    n = to_floats(quarter)
    r = fma(n, -1.57079637050628662, x)  # π/2 in three parts
    r = fma(n, 4.37113900018624283e-8, r)
    r = fma(n, 1.71512451000007e-15, r)
    return sincos_beyond(r + (x - x), quarter)  # x - x: NaN, where x is infinite


@kernel
def sin(x):
    return sincos(x)[0]


@kernel
def cos(x):
    return sincos(x)[1]


@kernel
def abs(x):
    return maximum(x, -x)


@kernel
def expm1(x):
    """e^x - 1, off by at most two units in the last place.

    As in `simd.exp` e^x = 2^n e^r, and the same polynomial gives e^r - 1, which is exact where n is
    0; then e^x - 1 = 2^n (e^r - 1) + (2^n - 1). Halves, for 2^128 is no number.
    """
    y = maximum(x, -87.0)
    n = nearest_int(y * 1.4426950408889634)
    r = fma(to_floats(n), -0.693145751953125, y)
    r = fma(to_floats(n), -1.4286068203094172e-6, r)
    p = fma(r, 1.9875691500e-4, 1.3981999507e-3)
    p = fma(r, p, 8.3334519073e-3)
    p = fma(r, p, 4.1665795894e-2)
    p = fma(r, p, 1.6666665459e-1)
    p = fma(r, p, 5.0000001201e-1)
    p = fma(r * r, p, r)
    half = from_bits((n + 126) << 23)
    y = 2.0 * fma(half, p, half - 0.5)
    y = where(x > 88.72283, float("inf"), y)
    return where(x == x, y, x)


@kernel
def log1p(x):
    """log(1 + x) for x in [0, 1]: 2 atanh(s) = 2 (s + s³/3 + s⁵/5 + ...) with s = x / (2 + x),
    which is at most 1/3; what is left out is below 1e-9 of the sum."""
    s = x / (2.0 + x)
    q = s * s
    p = fma(q, 2 / 17, 2 / 15)
    p = fma(q, p, 2 / 13)
    p = fma(q, p, 2 / 11)
    p = fma(q, p, 2 / 9)
    p = fma(q, p, 2 / 7)
    p = fma(q, p, 2 / 5)
    p = fma(q, p, 2 / 3)
    return s * fma(q, p, 2.0)
