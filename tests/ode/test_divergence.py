"""The divergence of functions whose Jacobian is known."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.ode.divergence import jacobian_trace, random_signs

f64 = {"dtype": tg.float64}
A = np.random.default_rng(0).standard_normal((6, 6))


def field(x):
    """Each sample's own: sin of A times it, of any shape with 6 numbers."""
    return tg.sin(x.reshape(-1, 6) @ tg.tensor(A.T)).reshape(x.shape)


def exact(x):
    slopes = np.cos(x.array.reshape(-1, 6) @ A.T)
    return slopes @ np.diag(A)


@pytest.mark.parametrize(
    ("shape", "batch"), [((5, 6), 1), ((5, 2, 3), 1), ((6,), 0), ((2, 4, 6), 2), ((0, 6), 1)]
)
def test_it_is_the_trace_of_every_samples_jacobian(shape, batch):
    x = tg.randn(*shape, **f64).requires_grad_()
    found = jacobian_trace(field(x), x, None, batch)
    assert found.shape == shape[:batch] and not found.requires_grad
    np.testing.assert_allclose(found.array.ravel(), exact(x), rtol=1e-12)


def test_hutchinsons_estimate_has_that_mean_and_its_variance():
    """The variance of v' J v over signs v is the sum over i < j of (J_ij + J_ji)²."""
    x = tg.zeros(1, 2, 3, **f64).requires_grad_()
    one = [
        jacobian_trace(field(x), x, random_signs((1, *x.shape), x.dtype)).item() for _ in range(400)
    ]
    J = A + A.T
    variance = (np.triu(J, 1) ** 2).sum()
    assert np.var(one) == pytest.approx(variance, rel=0.4)
    found = jacobian_trace(field(x), x, random_signs((1000, *x.shape), x.dtype)).item()
    assert found == pytest.approx(np.trace(A), abs=4 * math.sqrt(variance / 1000))


def test_signs_are_signs():
    v = random_signs((100, 100), tg.float32)
    assert v.dtype == tg.float32 and set(np.unique(v.array)) == {-1.0, 1.0}
    assert abs(v.array.mean()) < 0.04


@pytest.mark.parametrize("estimated", [False, True])
def test_it_can_be_differentiated_again(estimated):
    signs = random_signs((2, 3, 6), tg.float64) if estimated else None
    x = tg.randn(3, 6, **f64).requires_grad_()

    def total(x):
        with tg.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            return jacobian_trace(field(x), x, signs, create_graph=True).sum()

    assert tg.autograd.gradcheck(total, (x,))
