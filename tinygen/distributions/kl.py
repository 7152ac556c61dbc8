"""The Kullback-Leibler divergence KL(p || q) = E_p[log p(x) - log q(x)] in closed form, in nats.

    @register_kl(Normal, Normal)
    def _(p, q): ...

adds a pair of types; of several that fit, the one for the most special types is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..autograd.ops.choose import where
from ..autograd.ops.elementwise import abs, exp, log, logsigmoid
from ..autograd.ops.linalg.products import matmul
from ..autograd.ops.shape import unsqueeze
from ..autograd.ops.special import digamma, lgamma, xlogy
from ..autograd.tensor import Tensor
from .categorical import Categorical
from .composite import Independent, TransformedDistribution
from .discrete import Bernoulli, Binomial, Geometric, Poisson
from .distribution import Distribution
from .location_scale import EULER, Gumbel, Laplace, Normal
from .multivariate_normal import (
    LowRankMultivariateNormal,
    MultivariateNormal,
    half_log_det,
    inverse_factor,
    times,
)
from .positive import Beta, Dirichlet, Exponential, Gamma, Uniform
from .transform import sum_last

__all__ = ["kl_divergence", "register_kl"]

FORMULAS: dict[tuple[type, type], Callable] = {}


def register_kl(type_p: type, type_q: type) -> Callable:
    """Decorator: f(p, q) is the divergence of p from q, for these types and those derived."""

    def decorator(function: Callable) -> Callable:
        FORMULAS[type_p, type_q] = function
        return function

    return decorator


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), [batch_shape]. Raises NotImplementedError if nobody has registered a formula."""
    for type_p in type(p).__mro__:
        for type_q in type(q).__mro__:
            if (type_p, type_q) in FORMULAS:
                return FORMULAS[type_p, type_q](p, q)
    raise NotImplementedError(
        f"no closed form of KL({type(p).__name__} || {type(q).__name__}) is registered: add one by "
        "register_kl, or estimate it by (p.log_prob(x) - q.log_prob(x)).mean(0), x = p.sample((n,))"
    )


# ---- On the real line ----------------------------------------------------------------------------


@register_kl(Normal, Normal)
def _(p, q):
    ratio = p.scale / q.scale
    away = (p.loc - q.loc) / q.scale
    return 0.5 * (ratio * ratio + away * away - 1) - log(ratio)


@register_kl(Laplace, Laplace)
def _(p, q):
    distance = abs(p.loc - q.loc)
    near = p.scale * exp(-distance / p.scale)
    return log(q.scale / p.scale) + (near + distance) / q.scale - 1


@register_kl(Laplace, Normal)
def _(p, q):
    square = 2 * p.scale * p.scale + (p.loc - q.loc) ** 2
    return square / (2 * q.scale**2) + log(q.scale) + 0.5 * math.log(2 * math.pi) - p.entropy()


@register_kl(Gumbel, Gumbel)
def _(p, q):
    ratio, away = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return -log(ratio) + EULER * (ratio - 1) + exp(lgamma(1 + ratio) - away) - 1 + away


@register_kl(Uniform, Uniform)
def _(p, q):
    inside = (p.low >= q.low) & (p.high <= q.high)
    return where(inside, log((q.high - q.low) / (p.high - p.low)), math.inf)


@register_kl(Uniform, Normal)
def _(p, q):
    square = p.variance + (p.mean - q.loc) ** 2
    return square / (2 * q.scale**2) + log(q.scale) + 0.5 * math.log(2 * math.pi) - p.entropy()


# ---- Positive numbers and proportions ------------------------------------------------------------


@register_kl(Exponential, Exponential)
def _(p, q):
    ratio = q.rate / p.rate
    return ratio - 1 - log(ratio)


def kl_gamma(a, rate, b, other_rate) -> Tensor:
    """Of Gamma(a, rate) from Gamma(b, other_rate)"""
    shapes = lgamma(b) - lgamma(a) + (a - b) * digamma(a)
    return shapes + b * log(rate / other_rate) + a * (other_rate / rate - 1)


@register_kl(Gamma, Gamma)
def _(p, q):
    return kl_gamma(p.concentration, p.rate, q.concentration, q.rate)


@register_kl(Exponential, Gamma)
def _(p, q):
    return kl_gamma(p.rate * 0 + 1, p.rate, q.concentration, q.rate)


@register_kl(Gamma, Exponential)
def _(p, q):
    return kl_gamma(p.concentration, p.rate, q.rate * 0 + 1, q.rate)


@register_kl(Beta, Beta)
def _(p, q):
    total_p, total_q = p._total, q._total
    one = (p.concentration1 - q.concentration1) * digamma(p.concentration1)
    other = (p.concentration0 - q.concentration0) * digamma(p.concentration0)
    return q._log_beta - p._log_beta + one + other + (total_q - total_p) * digamma(total_p)


@register_kl(Dirichlet, Dirichlet)
def _(p, q):
    scores = digamma(p.concentration) - unsqueeze(digamma(p._total), -1)
    return q._log_beta - p._log_beta + ((p.concentration - q.concentration) * scores).sum(-1)


# ---- Whole numbers and classes -------------------------------------------------------------------


def kl_bernoulli(p, q) -> Tensor:
    """0 log 0 being 0, and infinite where p can do what q can't"""
    one = xlogy(p.probs, p.probs) - times_log(p.probs, logsigmoid(q.logits), q.probs == 0)
    other = xlogy(1 - p.probs, 1 - p.probs)
    return one + other - times_log(1 - p.probs, logsigmoid(-q.logits), q.probs == 1)


def times_log(p, log_q, impossible) -> Tensor:
    """p log q: 0 for p = 0, else -inf where q is impossible"""
    return where(impossible, where(p == 0, 0.0, -math.inf), p * log_q)


@register_kl(Bernoulli, Bernoulli)
def _(p, q):
    return kl_bernoulli(p, q)


@register_kl(Binomial, Binomial)
def _(p, q):
    """Infinite if p counts further than q. For q that counts further there is no closed form."""
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials has a closed form for equal counts only")
    return where(p.total_count > q.total_count, math.inf, p.total_count * kl_bernoulli(p, q))


@register_kl(Geometric, Geometric)
def _(p, q):
    return kl_bernoulli(p, q) / p.probs


@register_kl(Poisson, Poisson)
def _(p, q):
    return xlogy(p.rate, p.rate) - xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Categorical, Categorical)
def _(p, q):
    terms = xlogy(p.probs, p.probs) - times_log(p.probs, q.logits, q.probs == 0)
    return terms.sum(-1)


# ---- Vectors, and what is made of others ---------------------------------------------------------


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p, q):
    whitener = inverse_factor(q.scale_tril)
    mixed, away = matmul(whitener, p.scale_tril), times(whitener, p.loc - q.loc)
    trace = (mixed * mixed).sum((-2, -1))
    log_ratio = half_log_det(q.scale_tril) - half_log_det(p.scale_tril)
    return log_ratio + 0.5 * (trace + (away * away).sum(-1) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p, q):
    dense = lambda d: MultivariateNormal(d.loc, d.covariance_matrix, validate_args=False)
    return kl_divergence(dense(p), dense(q))


@register_kl(Independent, Independent)
def _(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL between Independents needs equal reinterpreted_batch_ndims")
    return sum_last(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p, q):
    """An invertible function changes nothing, if it is the same"""
    if p.transforms != q.transforms:
        raise NotImplementedError("KL between TransformedDistributions needs the same transforms")
    inner = len(p.event_shape) - len(p.base_dist.event_shape)
    return sum_last(kl_divergence(p.base_dist, q.base_dist), max(inner, 0))
