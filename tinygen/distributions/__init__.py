"""Probability distributions under the names of torch.distributions.

    d = tg.distributions.Normal(loc, scale)
    x = d.rsample((10,))            # with gradients for loc and scale
    d.log_prob(x).sum().backward()

All have `sample`, `log_prob` and moments; those with `has_rsample` pathwise gradients; many `cdf`,
`icdf` and `entropy`. `sample` and `rsample` take `generator=`. Read distribution.py first.
"""

from . import constraints, transforms
from .categorical import *
from .composite import *
from .discrete import Bernoulli, Binomial, Geometric, Poisson
from .distribution import Distribution
from .kl import kl_divergence, register_kl
from .location_scale import Cauchy, Gumbel, Laplace, Normal, StudentT
from .multivariate_normal import *
from .positive import *
from .transforms import *
