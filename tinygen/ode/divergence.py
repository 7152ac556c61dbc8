"""The divergence of a velocity: what the log density loses as points follow dx/dt = f(t, x).

    d log p / dt = -tr ∂f/∂x        (Chen et al. 2018, "Neural ordinary differential equations",
                                     equation 8)

x is [*batch, *sample], with `batch_ndim` dimensions of the batch, and y = f(t, x) of its shape, of
which each sample is made of the same one of x.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..autograd.creation import full, zeros
from ..autograd.engine import grad
from ..autograd.random import Generator, bernoulli
from ..autograd.tensor import Tensor


def jacobian_trace(
    y: Tensor,
    x: Tensor,
    signs: Tensor | None = None,
    batch_ndim: int = 1,
    *,
    create_graph: bool = False,
) -> Tensor:
    """tr ∂y/∂x [*batch], by one backward pass for every number of a sample; or, by one for each v
    in signs [probes, *x.shape], the mean of v' ∂y/∂x v, whose expectation it is (Hutchinson 1989;
    Skilling 1989). With create_graph it can be differentiated."""
    total = zeros(y.shape[:batch_ndim], dtype=y.dtype)
    if signs is not None:
        for v in signs:
            (product,) = grad(y, x, v, retain_graph=True, create_graph=create_graph)
            assert product is not None  # for types: grad raises where x has no part in y
            total = total + (product * v).flatten(batch_ndim).sum(-1)
        return total / len(signs)
    columns = y.flatten(batch_ndim)
    for i in range(columns.shape[-1]):
        (row,) = grad(columns[..., i].sum(), x, retain_graph=True, create_graph=create_graph)
        assert row is not None
        total = total + row.flatten(batch_ndim)[..., i]
    return total


def random_signs(shape: Sequence[int], dtype, generator: Generator | None = None) -> Tensor:
    """-1 or 1, with equal probability."""
    return 2 * bernoulli(full(shape, 0.5, dtype=dtype), generator=generator) - 1
