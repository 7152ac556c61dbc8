"""Distributions made of others: independent parts, mixtures, and functions of a variable."""

from __future__ import annotations

import math

from ..autograd.ops.along import gather
from ..autograd.ops.choose import where
from ..autograd.ops.elementwise import exp, expm1
from ..autograd.ops.reduce import logsumexp
from ..autograd.ops.shape import squeeze, unsqueeze
from ..autograd.ops.softmax import log_softmax
from ..autograd.registry import ShapeError
from ..autograd.tensor import Tensor
from . import constraints
from .categorical import Categorical
from .distribution import Distribution
from .location_scale import Normal
from .transform import ComposeTransform, Transform, sum_last
from .transforms import ExpTransform

__all__ = ["Independent", "LogNormal", "MixtureSameFamily", "TransformedDistribution"]


class Independent(Distribution):
    """`base_distribution`, with the last `reinterpreted_batch_ndims` of its batch dimensions as one
    value: a vector of independent numbers, say. Their log_prob is summed."""

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ):
        batch, n = base_distribution.batch_shape, reinterpreted_batch_ndims
        if n > len(batch):
            raise ValueError(
                f"Independent: reinterpreted_batch_ndims is {n}, but the base distribution has "
                f"only {len(batch)} batch dimensions, {batch}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        cut = len(batch) - n
        super().__init__(batch[:cut], batch[cut:] + base_distribution.event_shape, validate_args)

    @property
    def has_rsample(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base_dist.has_rsample

    @property
    def support(self):
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    def expand(self, batch_shape) -> Independent:
        n = self.reinterpreted_batch_ndims
        base = self.base_dist.expand((*batch_shape, *self.event_shape[:n]))
        return type(self)(base, n, validate_args=False)._like(self)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        return self.base_dist.sample(sample_shape, generator=generator)

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        return self.base_dist.rsample(sample_shape, generator=generator)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_last(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_last(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """A component is drawn from `mixture_distribution`, a Categorical [..., components]; then a
    value from that component of `component_distribution`, of batch shape [..., components]."""

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ):
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        batch = component_distribution.batch_shape
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                "MixtureSameFamily: the mixture distribution must be a Categorical, not "
                f"{type(mixture_distribution).__name__}"
            )
        weights = (*mixture_distribution.batch_shape, mixture_distribution._classes)
        if not batch or weights[-1] != batch[-1] or weights[:-1] not in ((), batch[:-1]):
            raise ShapeError(
                f"MixtureSameFamily: weights of shape {weights} don't fit components of batch "
                f"shape {batch}, of which the last dimension counts the components"
            )
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    @property
    def support(self):
        return self.component_distribution.support

    def expand(self, batch_shape) -> MixtureSameFamily:
        batch_shape = tuple(batch_shape)
        components = self.component_distribution.batch_shape[-1:]
        return type(self)(
            self.mixture_distribution.expand(batch_shape),
            self.component_distribution.expand(batch_shape + components),
            validate_args=False,
        )._like(self)

    def _before_event(self, x: Tensor) -> Tensor:
        """With a dimension for the components, before those of the event"""
        return unsqueeze(x, x.ndim - len(self.event_shape))

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        drawn = self.component_distribution.sample(sample_shape, generator=generator)
        mixture = self.mixture_distribution.expand(self.batch_shape)
        chosen = mixture.sample(sample_shape, generator=generator)
        event = (1,) * len(self.event_shape)
        dim = len(chosen.shape)
        index = chosen.reshape((*chosen.shape, 1, *event))
        index = index.expand((*chosen.shape, 1, *self.event_shape))
        return squeeze(gather(drawn, dim, index), dim)

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._before_event(self._validate_sample(value))
        weights = log_softmax(self.mixture_distribution.logits, -1)
        return logsumexp(self.component_distribution.log_prob(value) + weights, -1)

    def cdf(self, value: Tensor) -> Tensor:
        value = self._before_event(self._validate_sample(value))
        return (self.component_distribution.cdf(value) * self.mixture_distribution.probs).sum(-1)

    def _average(self, x: Tensor) -> Tensor:
        """Over the components, x [batch_shape, components, event_shape]"""
        probs = self.mixture_distribution.probs
        event = (1,) * len(self.event_shape)
        return (x * probs.reshape(probs.shape + event)).sum(-1 - len(event))

    @property
    def mean(self) -> Tensor:
        return self._average(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances, and the variance of the means"""
        away = self.component_distribution.mean - self._before_event(self.mean)
        return self._average(self.component_distribution.variance + away * away)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution}, {self.component_distribution})"


class TransformedDistribution(Distribution):
    """y = f(x), x from `base_distribution`, f the `transforms` one after another."""

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | list[Transform],
        validate_args: bool | None = None,
    ):
        single = isinstance(transforms, Transform)
        self.transforms: list[Transform] = [transforms] if single else list(transforms)  # pyright: ignore
        whole = ComposeTransform(self.transforms)
        base, inner = base_distribution, whole.domain.event_dim
        shape = base.batch_shape + base.event_shape
        if len(shape) < inner:
            raise ShapeError(
                f"TransformedDistribution: the transforms need values of at least {inner} "
                f"dimensions, but the base distribution has shape {shape}"
            )
        start = whole.inverse_shape(whole.forward_shape(shape))
        if start != shape:  # a parameter of a transform has more dimensions
            base = base.expand(start[: len(start) - len(base.event_shape)])
        extra = inner - len(base.event_shape)
        self.base_dist = Independent(base, extra) if extra > 0 else base
        shape = whole.forward_shape(self.base_dist.batch_shape + self.base_dist.event_shape)
        cut = len(shape) - whole.codomain.event_dim - max(-extra, 0)
        super().__init__(shape[:cut], shape[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.base_dist.has_rsample

    @property
    def support(self):
        if not self.transforms:
            return self.base_dist.support
        codomain = self.transforms[-1].codomain
        return constraints.independent(codomain, len(self.event_shape) - codomain.event_dim)

    def expand(self, batch_shape) -> TransformedDistribution:
        base = self.base_dist.expand(batch_shape)
        return TransformedDistribution(base, self.transforms, validate_args=False)._like(self)

    def sample(self, sample_shape=(), *, generator=None) -> Tensor:
        return self._forward(self.base_dist.sample(sample_shape, generator=generator)).detach()

    def rsample(self, sample_shape=(), *, generator=None) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape, generator=generator))

    def _forward(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(x) - log |det ∂y/∂x|"""
        y = self._validate_sample(value)
        dims, total = len(self.event_shape), 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(x, y)
            total = total - sum_last(slope, dims - transform.domain.event_dim)
            y = x
        return sum_last(self.base_dist.log_prob(y), dims - len(self.base_dist.event_shape)) + total

    def _upturned(self, p: Tensor) -> Tensor:
        """p, or 1 - p where the transforms fall"""
        return where(math.prod(t.sign for t in self.transforms) > 0, p, 1 - p)

    def cdf(self, value: Tensor) -> Tensor:
        value = self._validate_sample(value)
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        return self._upturned(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._forward(self.base_dist.icdf(self._upturned(value)))

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist}, {self.transforms})"


class LogNormal(TransformedDistribution):
    """e to the power of a normal variable with mean `loc` and standard deviation `scale`"""

    arg_constraints = Normal.arg_constraints

    def __init__(self, loc, scale, validate_args: bool | None = None):
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    def expand(self, batch_shape) -> LogNormal:
        shape = tuple(batch_shape)
        loc, scale = self.loc.expand(shape), self.scale.expand(shape)
        return type(self)(loc, scale, validate_args=False)._like(self)

    @property
    def loc(self) -> Tensor:
        return vars(self.base_dist)["loc"]

    @property
    def scale(self) -> Tensor:
        return vars(self.base_dist)["scale"]

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc

    @property
    def mean(self) -> Tensor:
        return exp(self.loc + self.scale * self.scale / 2)

    @property
    def mode(self) -> Tensor:
        return exp(self.loc - self.scale * self.scale)

    @property
    def variance(self) -> Tensor:
        square = self.scale * self.scale
        return expm1(square) * exp(2 * self.loc + square)
