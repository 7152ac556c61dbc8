"""Every transform: its inverse, and its log-determinant against the dense Jacobian."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import gradcheck
from tinygen.autograd.functional import jacobian

D = tg.distributions
rng = np.random.default_rng(5)
t = tg.tensor

NUMBERS = {
    "affine": D.AffineTransform(0.3, -2.0),
    "affine of tensors": D.AffineTransform(t(np.arange(3.0)), t(np.array([1.0, -0.5, 3.0]))),
    "exp": D.ExpTransform(),
    "power": D.PowerTransform(-1.5),
    "sigmoid": D.SigmoidTransform(),
    "tanh": D.TanhTransform(),
    "softplus": D.SoftplusTransform(),
    "log": D.ExpTransform().inv,
    "composition": D.ComposeTransform([D.AffineTransform(1.0, 0.5), D.ExpTransform()]),
    "inverse of a composition": D.ComposeTransform([D.TanhTransform(), D.ExpTransform()]).inv,
    "nothing": D.identity_transform,
}
VECTORS = {
    "stick breaking": D.StickBreakingTransform(),
    "independent": D.IndependentTransform(D.SigmoidTransform(), 1),
    "affine of vectors": D.AffineTransform(0.3, t(np.array([1.0, -0.5, 3.0])), event_dim=1),
    "composition": D.ComposeTransform([D.ExpTransform(), D.ExpTransform().inv,
                                       D.StickBreakingTransform()]),
}  # fmt: skip


def inputs(transform):
    x = rng.standard_normal((2, 3))
    positive = isinstance(transform, D.PowerTransform) or not (
        transform.domain.check(t(np.array([[-1.0] * 3]))).all()
    )
    x = np.abs(x) + 0.1 if positive else x
    if transform is NUMBERS["inverse of a composition"]:
        x = np.exp(np.tanh(x))
    return t(x, requires_grad=True)


@pytest.mark.parametrize("transform", [*NUMBERS.values(), *VECTORS.values()], ids=str)
def test_inverse_and_shapes(transform):
    x = inputs(transform)
    y = transform(x)
    np.testing.assert_allclose(transform.inv(y).detach().numpy(), x.detach().numpy(), 1e-8)
    np.testing.assert_allclose(transform.inv.inv(x).detach().numpy(), y.detach().numpy(), 1e-12)
    assert transform.forward_shape(x.shape) == y.shape
    assert transform.inverse_shape(y.shape) == x.shape
    assert transform.codomain.check(y).all()


@pytest.mark.parametrize("transform", NUMBERS.values(), ids=NUMBERS)
def test_slope_of_functions_of_numbers(transform):
    x = inputs(transform)
    y = transform(x)
    (slope,) = tg.autograd.grad(y.sum(), x)
    found = transform.log_abs_det_jacobian(x, y)
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found.detach().numpy(), np.log(np.abs(slope.numpy())), 1e-9, 1e-12)
    np.testing.assert_array_equal(
        np.broadcast_to(getattr(transform.sign, "array", transform.sign), (2, 3)),
        np.sign(slope.numpy()),
    )
    backwards = transform.inv.log_abs_det_jacobian(y, x)
    np.testing.assert_allclose(backwards.detach().numpy(), -found.detach().numpy(), 1e-12)
    assert gradcheck(lambda x: transform.log_abs_det_jacobian(x, transform(x)), (x,))


@pytest.mark.parametrize("transform", VECTORS.values(), ids=VECTORS)
def test_log_determinant_of_functions_of_vectors(transform):
    x = inputs(transform)
    found = transform.log_abs_det_jacobian(x, transform(x)).detach().numpy()
    assert found.shape == (2,)
    for row, expected in zip(x.detach(), found):
        dense = jacobian(lambda v: transform(v)[..., :3], row).numpy()  # the last part is the rest
        np.testing.assert_allclose(np.linalg.slogdet(dense)[1], expected, 1e-9)


def test_equal_transforms():
    assert D.ExpTransform() == D.ExpTransform() != D.TanhTransform()
    assert D.AffineTransform(1.0, t([2.0])) == D.AffineTransform(1.0, t([2.0]))
    assert D.AffineTransform(1.0, t([2.0])) != D.AffineTransform(1.0, t([3.0]))
    assert D.ComposeTransform([D.AffineTransform(1, 2)]) != D.ComposeTransform([])
    assert D.ExpTransform().inv == D.ExpTransform().inv


def test_stick_breaking_makes_zero_uniform():
    np.testing.assert_allclose(
        D.StickBreakingTransform()(tg.zeros(4)).numpy(), np.full(5, 0.2), 1e-6
    )
