"""The incomplete gamma function, the distribution function of gamma variables, and its inverse.

For L = log x, with h(ℓ) = exp(a (ℓ - L) - e^ℓ + e^L), the tails are

    P(a, x) = x^a e^-x / Γ(a) ∫_-∞^L h dℓ        1 - P(a, x) = x^a e^-x / Γ(a) ∫_L^∞ h dℓ

A derivative with respect to a puts a factor ℓ - L under the integral. So the moments of h are
closed under derivatives of any order, and the derivative of a quantile needs nothing else.
"""

import math

import numpy as np

from ..primitive import primitive
from ..tensor import Tensor
from .choose import where
from .elementwise import exp, log, real_function
from .quadrature import NODES, WEIGHTS, both_tails, in_float64, piecewise, quantile, times, wide
from .special import BERNOULLI, digamma, lgamma, polygamma, xlogy

__all__ = ["gammainc", "gammaincc", "gammaincinv"]

lgamma_array, digamma_array = lgamma.forward, digamma.forward


# ---- Moments of the nearer tail ------------------------------------------------------------------


def is_low(a, L):
    """Whether the lower tail is the one that is integrated."""
    return np.exp(L) <= np.maximum(a, 1)


def gamma_moments(a, L, n: int) -> np.ndarray:
    """K0, ..., Kn: Kn = ∫ (ℓ - L)^n h dℓ over the nearer tail; of arrays [size], [n + 1, size]."""
    return piecewise(is_low(a, L), lower_gamma_moments, upper_gamma_moments, (a, L), n)


def lower_gamma_moments(a, L, n):
    """From those for a + 1, where the integrand has one scale even if a is tiny: by parts,
    a K0(a) = 1 + e^L K0(a + 1); the others are derivatives of this."""
    g = np.exp(L)
    y = NODES[:, None] * (width := 1 / (np.maximum(a + 1 - g, 0) + np.sqrt(a + 1)))
    h = np.exp(-(a + 1) * y - g * np.expm1(-y)) * WEIGHTS[:, None] * width
    moments = [(1 + g * h.sum(0)) / a]
    for i in range(1, n + 1):
        moments.append((g * (h * (-y) ** i).sum(0) - i * moments[-1]) / a)
    return np.stack(moments)


def upper_gamma_moments(a, L, n):
    """In y = e^ℓ - e^L, which makes the decay that of e^-y"""
    g = np.exp(L)
    y = NODES[:, None] * (width := 1 / (1 - a / g + 1 / np.sqrt(g)))
    distance = np.log1p(y / g)
    h = np.exp(a * distance - y) * WEIGHTS[:, None] * width / (y + g)
    moments = np.stack([(h * distance**i).sum(0) for i in range(n + 1)])
    return np.where(np.isposinf(L), 0.0, moments)


@primitive(promotes="float", pointwise=True)
def gamma_tail_moment(a, L, n):
    """∫ (ℓ - L)^n exp(a (ℓ - L) - e^ℓ + e^L) dℓ over ℓ < L where e^L <= max(a, 1), else over ℓ > L;
    n = 0, 1, ..."""
    return in_float64(lambda a, L: gamma_moments(a, L, n)[n])(a, L)


def gamma_moment_by_limit(g, a, L, n):
    start = -n * gamma_tail_moment(a, L, n - 1) if n else gamma_side(a, L)
    return g * (start - (a - exp(L)) * gamma_tail_moment(a, L, n))


gamma_tail_moment.vjp(
    a=lambda g, a, L, n: g * gamma_tail_moment(a, L, n + 1), L=gamma_moment_by_limit
)


def gamma_side(a, L):
    """1 where the nearer tail is the lower one, else -1; as far as there is a derivative, fixed"""
    a, L = (np.asarray(getattr(v, "array", v)) for v in (a, L))
    return Tensor(np.where(is_low(a, L), 1, -1))


def log_gamma_density(a, L):
    """log(e^aL exp(-e^L) / Γ(a)), for arrays; with Stirling's series for large a, where much would
    cancel."""
    d, large = L - np.log(a), np.maximum(a, 16)
    series = sum(
        b * math.factorial(2 * j - 2) * large ** (1.0 - 2 * j) for j, b in enumerate(BERNOULLI, 1)
    )
    stirling = a * (d - np.expm1(d)) + 0.5 * np.log(a / (2 * np.pi)) - series
    density = np.where(a < 16, a * L - np.exp(L) - lgamma_array(a), stirling)
    return np.where(np.isposinf(L), -np.inf, density)


def log_gamma_tails(a, L):
    """Logarithms of the probabilities below and above L, and of the density there; arrays."""
    density = log_gamma_density(a, L)
    return *both_tails(density + np.log(gamma_moments(a, L, 0)[0]), is_low(a, L)), density


# ---- The incomplete gamma function ---------------------------------------------------------------


def gamma_by_shape(a, x):
    """∂P(a, x)/∂a; both tensors are positive"""
    a, x = wide(a), wide(x)
    L = log(where(x == 0, 1.0, x))
    slope = -exp(a * L - exp(L) - lgamma(a)) * log_gamma_slope(a, L)
    return where(x == 0, 0.0, slope)


@real_function
def log_gamma_slope(a, L):
    """dL/da of the logarithm L of a gamma variable that keeps its rank: -(∂F/∂a) / (∂F/∂L)
    (Figurnov et al. 2018, "Implicit reparameterization gradients", eq. 6)."""

    def slope(a, L):
        K0, K1 = gamma_moments(a, L, 1)
        return np.where(is_low(a, L), -1, 1) * (K1 + (L - digamma_array(a)) * K0)

    return in_float64(slope)(a, L)


def slope_by_shape(a, L):
    """∂slope/∂a"""
    K0, K1, K2 = (gamma_tail_moment(a, L, n) for n in range(3))
    return -gamma_side(a, L) * (K2 + (L - digamma(a)) * K1 - polygamma(1, a) * K0)


log_gamma_slope.vjp(
    a=lambda g, a, L: g * slope_by_shape(a, L),
    L=lambda g, a, L, out: g * (digamma(a) - L - out * (a - exp(L))),
)


def gamma_density(a, x):
    """x^(a-1) e^-x / Γ(a)"""
    return exp(xlogy(a - 1, x) - x - lgamma(a))


def gamma_values(which, a, x):
    return in_float64(lambda a, x: np.exp(log_gamma_tails(a, np.log(x))[which]))(a, x)


@real_function
def gammainc(a, x):
    """P(a, x) = ∫_0^x t^(a-1) e^-t dt / Γ(a), the regularised lower incomplete gamma function"""
    return gamma_values(0, a, x)


gammainc.vjp(
    a=lambda g, a, x: times(g, gamma_by_shape(a, x)), x=lambda g, a, x: g * gamma_density(a, x)
)


@real_function
def gammaincc(a, x):
    """Q(a, x) = 1 - P(a, x), the regularised upper incomplete gamma function, accurate when tiny"""
    return gamma_values(1, a, x)


gammaincc.vjp(
    a=lambda g, a, x: times(-g, gamma_by_shape(a, x)), x=lambda g, a, x: -g * gamma_density(a, x)
)


@real_function
def gammaincinv(a, p):
    """The x with P(a, x) = p"""
    inverse = lambda a, p: np.exp(
        quantile(lambda L: log_gamma_tails(a, L), np.log(a), p, np.where(p <= 1, 1 - p, np.nan))
    )
    return in_float64(inverse)(a, p)


gammaincinv.vjp(
    a=lambda g, a, out: times(-g / gamma_density(a, out), gamma_by_shape(a, out)),
    p=lambda g, a, out: g / gamma_density(a, out),
)


@primitive(promotes="float", pointwise=True)
def gamma_path(a, drawn):
    """`drawn`: logarithms of standard gamma variables of shapes a. They stay as they are, but move
    with a as quantiles do: implicit reparameterisation."""
    return np.broadcast_to(drawn, np.broadcast_shapes(np.shape(a), np.shape(drawn))).copy()


gamma_path.vjp(a=lambda g, a, out: g * log_gamma_slope(a, out))
