"""The incomplete beta function, the distribution function of beta and t variables; its inverse.

For L = logit x, with u = log σ(ℓ) - log σ(L), w = log σ(-ℓ) - log σ(-L) and h(ℓ) = exp(a u + b w),

    I_x(a, b) = x^a (1-x)^b / B(a, b) ∫_-∞^L h dℓ,

and 1 - I_x(a, b) is that from L to ∞. A derivative with respect to a or b puts a factor u or w
under the integral. So the moments of h are closed under derivatives of any order.
"""

import math

import numpy as np

from ..primitive import primitive
from ..tensor import Tensor
from .choose import where
from .compare import sign
from .elementwise import abs, exp, log, log1p, logsigmoid, real_function, sigmoid
from .quadrature import NODES, WEIGHTS, both_tails, in_float64, piecewise, quantile, times, wide
from .special import digamma, lgamma, xlog1py, xlogy

__all__ = ["betainc", "betaincinv", "stdtr", "stdtrit"]

lgamma_array = lgamma.forward


# ---- Moments of the nearer tail ------------------------------------------------------------------


def log_sigmoid(L):
    return np.minimum(L, 0) - np.log1p(np.exp(-np.abs(L)))


def beta_is_low(a, b, L):
    """Whether the lower tail is the one that is integrated: where it is like that of a gamma
    variable of the smaller shape."""
    A, B = np.maximum(a, 1), np.maximum(b, 1)
    at = np.where(a <= b, L, -L) <= np.log(np.minimum(A, B)) - np.log(np.maximum(A, B))
    return at == (a <= b)


def beta_moments(a, b, L, m: int, n: int) -> np.ndarray:
    """Kmn = ∫ u^m w^n exp(a u + b w) dℓ over the nearer tail, for arrays [size]; u = log σ(ℓ) -
    log σ(L) and w = log σ(-ℓ) - log σ(-L)."""
    low = beta_is_low(a, b, L)
    ordered = lambda a, b, L, low, m, n: piecewise(
        low, lower_beta_moments, upper_beta_moments, (a, b, L), m, n
    )
    exchanged = lambda a, b, L, low, m, n: ordered(b, a, -L, ~low, n, m)
    return piecewise(a <= b, ordered, exchanged, (a, b, L, low), m, n)


def lower_beta_moments(a, b, L, m, n):
    """For a <= b, from those for a + 1: by parts, a K(a, b) = 1 + (a + b) σ(L) K(a + 1, b)."""
    X, s = np.exp(log_sigmoid(L)), a + b + 1
    q = NODES[:, None] * (width := 1 / (np.maximum(a + 1 - s * X, 0) + np.sqrt(a + 1)))
    w = -np.log1p(X * np.expm1(-q))
    u = w - q
    h = np.exp((a + 1) * u + b * w) * WEIGHTS[:, None] * width
    return by_parts(a, a + b, X, m, n, lambda i, j: (h * u**i * w**j).sum(0))


def upper_beta_moments(a, b, L, m, n):
    """For a <= b, from those for b + 1, in q = -w, which makes the decay that of e^-(a + b + 1)q"""
    X, Y, s = np.exp(log_sigmoid(L)), np.exp(log_sigmoid(-L)), a + b + 1
    q = NODES[:, None] * (width := 1 / (s - a / X + np.sqrt(s / X)))
    distance = np.log1p(np.expm1(np.minimum(q, 600)) / X) + np.maximum(q - 600, 0)
    u = distance - q
    h = np.exp(a * u - (b + 1) * q) * WEIGHTS[:, None] * width / (X - Y * np.expm1(-q))
    return by_parts(b, a + b, Y, n, m, lambda j, i: (h * u**i * (-q) ** j).sum(0))


def by_parts(a, s, X, m, n, raised):
    """Kmn from the moments raised(i, j) for a + 1: derivatives of a K(a) = 1 + s X K(a + 1), the
    m-th for a and the n-th for b, where s = a + b."""
    K = np.zeros_like(X)
    for i in range(m + 1):
        terms = s * raised(i, n)
        terms += i * raised(i - 1, n) if i else 0
        terms += n * raised(i, n - 1) if n else 0
        K = ((i == n == 0) + X * terms - i * K) / a
    return K


@primitive(promotes="float", pointwise=True)
def beta_tail_moment(a, b, L, m, n):
    """∫ u^m w^n exp(a u + b w) dℓ, u = log σ(ℓ) - log σ(L) and w = log σ(-ℓ) - log σ(-L), over the
    nearer of the tails ℓ < L and ℓ > L; m, n = 0, 1, ..."""
    return in_float64(lambda a, b, L: beta_moments(a, b, L, m, n))(a, b, L)


def beta_moment_by_limit(g, a, b, L, m, n):
    K = lambda i, j: beta_tail_moment(a, b, L, i, j)
    X, Y = sigmoid(L), sigmoid(-L)
    total = (b * X - a * Y) * K(m, n)
    total = total + (0 if m or n else beta_side(a, b, L))
    total = total - m * Y * K(m - 1, n) if m else total
    return g * (total + n * X * K(m, n - 1) if n else total)


beta_tail_moment.vjp(
    a=lambda g, a, b, L, m, n: g * beta_tail_moment(a, b, L, m + 1, n),
    b=lambda g, a, b, L, m, n: g * beta_tail_moment(a, b, L, m, n + 1),
    L=beta_moment_by_limit,
)


def beta_side(a, b, L):
    """1 where the nearer tail is the lower one, else -1; as far as there is a derivative, fixed"""
    a, b, L = (np.asarray(getattr(v, "array", v)) for v in (a, b, L))
    return Tensor(np.where(beta_is_low(a, b, L), 1, -1))


def log_beta_density(a, b, L):
    """log(σ(L)^a σ(-L)^b / B(a, b)), for arrays"""
    log_beta = lgamma_array(a) + lgamma_array(b) - lgamma_array(a + b)
    exponent = lambda a, L: np.where(np.isneginf(L), -np.inf, a * log_sigmoid(L))
    return exponent(a, L) + exponent(b, -L) - log_beta


def log_beta_tails(a, b, L):
    """Logarithms of the probabilities below and above L, and of the density there; arrays."""
    density = log_beta_density(a, b, L)
    nearer = density + np.log(beta_moments(a, b, L, 0, 0))
    return *both_tails(nearer, beta_is_low(a, b, L)), density


# ---- The incomplete beta function ----------------------------------------------------------------


def log_odds(x):
    return np.log(x) - np.log1p(-x)


def beta_slope(a, b, L, m, n):
    """∂I/∂a for m, n = 1, 0, and ∂I/∂b for 0, 1; L is the logit of x"""
    score = m * (logsigmoid(L) - digamma(a)) + n * (logsigmoid(-L) - digamma(b)) + digamma(a + b)
    moments = beta_tail_moment(a, b, L, m, n) + score * beta_tail_moment(a, b, L, 0, 0)
    density = exp(a * logsigmoid(L) + b * logsigmoid(-L) + lgamma(a + b) - lgamma(a) - lgamma(b))
    return beta_side(a, b, L) * density * moments


def beta_by_shape(a, b, x, m, n):
    a, b, x = wide(a), wide(b), wide(x)
    inside = (x > 0) & (x < 1)
    x = where(inside, x, 0.5)
    return where(inside, beta_slope(a, b, log(x) - log1p(-x), m, n), 0.0)


def beta_density(a, b, x):
    """x^(a-1) (1-x)^(b-1) / B(a, b)"""
    log_beta = lgamma(a) + lgamma(b) - lgamma(a + b)
    return exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - log_beta)


@real_function
def betainc(a, b, x):
    """I_x(a, b) = ∫_0^x t^(a-1) (1-t)^(b-1) dt / B(a, b), the regularised incomplete beta
    function"""
    return in_float64(lambda a, b, x: np.exp(log_beta_tails(a, b, log_odds(x))[0]))(a, b, x)


betainc.vjp(
    a=lambda g, a, b, x: times(g, beta_by_shape(a, b, x, 1, 0)),
    b=lambda g, a, b, x: times(g, beta_by_shape(a, b, x, 0, 1)),
    x=lambda g, a, b, x: g * beta_density(a, b, x),
)


def beta_quantile(a, b, lower, upper):
    """The logit of x with I_x(a, b) = lower = 1 - upper, for arrays."""
    return quantile(lambda L: log_beta_tails(a, b, L), np.log(a / b), lower, upper)


@real_function
def betaincinv(a, b, p):
    """The x with I_x(a, b) = p"""
    inverse = lambda a, b, p: np.exp(
        log_sigmoid(beta_quantile(a, b, p, np.where(p <= 1, 1 - p, np.nan)))
    )
    return in_float64(inverse)(a, b, p)


betaincinv.vjp(
    a=lambda g, a, b, out: times(-g / beta_density(a, b, out), beta_by_shape(a, b, out, 1, 0)),
    b=lambda g, a, b, out: times(-g / beta_density(a, b, out), beta_by_shape(a, b, out, 0, 1)),
    p=lambda g, a, b, out: g / beta_density(a, b, out),
)


# ---- Student's t ---------------------------------------------------------------------------------
# For t < 0, F(t) = I_x(df/2, 1/2) / 2 with logit x = log df - 2 log |t|.


def t_density(df, t):
    """Γ((df+1)/2) / (Γ(df/2) √(π df)) (1 + t²/df)^(-(df+1)/2)"""
    scale = lgamma((df + 1) / 2) - lgamma(df / 2) - 0.5 * log(df * math.pi)
    return exp(scale - (df + 1) / 2 * log1p(t * t / df))


def t_by_df(df, t):
    """∂F/∂df"""
    df, t = wide(df), wide(t)
    size = abs(where(t == 0, 1.0, t))
    slope = beta_slope(df / 2, wide(0.5), log(df) - 2 * log(size), 1, 0)
    return -sign(t) * (slope / 4 + t_density(df, size) * size / (2 * df))


@real_function
def stdtr(df, t):
    """The distribution function of Student's t with df degrees of freedom"""

    def probability(df, t):
        below, _, _ = log_beta_tails(
            df / 2, np.full_like(df, 0.5), np.log(df) - 2 * np.log(np.abs(t))
        )
        return np.where(t > 0, 1 - 0.5 * np.exp(below), 0.5 * np.exp(below))

    return in_float64(probability)(df, t)


stdtr.vjp(df=lambda g, df, t: times(g, t_by_df(df, t)), t=lambda g, df, t: g * t_density(df, t))


@real_function
def stdtrit(df, p):
    """The t with stdtr(df, t) = p"""

    def inverse(df, p):
        inside, half = (p >= 0) & (p <= 1), np.full_like(df, 0.5)
        p = np.where(inside, p, np.nan)
        L = beta_quantile(df / 2, half, 2 * np.minimum(p, 1 - p), np.abs(1 - 2 * p))
        return np.sqrt(df) * np.exp(-L / 2) * np.sign(p - 0.5)

    return in_float64(inverse)(df, p)


stdtrit.vjp(
    df=lambda g, df, out: times(-g / t_density(df, out), t_by_df(df, out)),
    p=lambda g, df, out: g / t_density(df, out),
)
