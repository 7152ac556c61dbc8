"""Dropout, as a function of the uniforms that it is decided by."""

from ...kernels import dropout as kernels
from ..fused import Fused
from ..tensor import Tensor


@Fused
def dropped_at_random(x, p, seed, call):
    """x / (1 - p), with zeros where the uniforms of this call of this seed lie below p (Srivastava
    et al. 2014): a generator's `next_call` gives the two."""
    return x * Tensor(kernels.factors(x.shape, p, seed, call, x.dtype))


@dropped_at_random.kernel
def _(x, p, seed, call):
    return kernels.drop(x, p, seed, call), ()


@dropped_at_random.gradient
def _(g, saved, wanted, x, p, seed, call):
    return kernels.drop(g, p, seed, call), None, None, None
