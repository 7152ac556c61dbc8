"""What flows are made of, held to the papers: masks, splines, actnorm, matrices, the ODE."""

import math

import numpy as np
import pytest
from flows import randomized

import tinygen as tg
from tinygen.autograd import gradcheck
from tinygen.autograd.functional import jacobian
from tinygen.models.flow import (
    FFJORD,
    MADE,
    MAF,
    ActNorm,
    Affine,
    Coupling,
    Glow,
    LULinear,
    RationalQuadraticSpline,
    Squeeze,
    dequantize,
)  # fmt: skip


def test_an_affine_coupling_is_that_of_the_paper():
    """Dinh et al. 2017, equations 4 and 5, with s = tanh; and what was kept comes last."""
    flow = Coupling(4, Affine(1.5), hidden=(3,))
    x = tg.randn(5, 4)
    theta = flow.net(x[:, :2]).array
    z, log_det = randomized(flow).float()(x)
    theta = flow.net(x[:, :2]).array
    s, t = 1.5 * np.tanh(theta[:, :2]), theta[:, 2:]
    expected = np.concatenate([x.array[:, 2:] * np.exp(s) + t, x.array[:, :2]], 1)
    np.testing.assert_allclose(z.array, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_det.array, s.sum(1), rtol=1e-5, atol=1e-6)


MADES = [(5, 2, (16, 16)), (3, 7, (4,)), (2, 1, ())]


@pytest.mark.parametrize(("features", "outputs", "hidden"), MADES)
def test_what_made_returns_for_a_feature_sees_the_features_before_it_all(features, outputs, hidden):
    net = randomized(MADE(features, outputs, hidden), 1.0)
    # Many points: one ReLU that happens to be off must not look like a connection that is missing.
    x = tg.randn(50, features, dtype=tg.float64)
    J = np.abs([jacobian(net, one).array for one in x]).max(0).reshape(outputs, features, features)
    strictly_lower = np.tri(features, k=-1, dtype=bool)
    assert (J[:, ~strictly_lower] == 0).all()
    assert (J[:, strictly_lower] > 0).all()


def test_an_autoregressive_jacobian_is_triangular():
    flow = randomized(MAF(4, 1, (16,)))
    J = jacobian(lambda x: flow(x)[0], tg.randn(4, dtype=tg.float64)).array
    assert (J[np.triu_indices(4, 1)] == 0).all() and (np.diag(J) > 0).all()


def test_actnorm_starts_with_mean_0_and_variance_1():
    x = 3 + 5 * tg.randn(64, 3, 4, 4)
    flow = ActNorm((3, 4, 4))
    z, _ = flow(x)
    np.testing.assert_allclose(z.array.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(z.array.std((0, 2, 3)), 1, atol=1e-5)
    again, _ = flow(x + 1)  # only the first batch counts
    np.testing.assert_allclose(again.array.mean((0, 2, 3)), 1 / x.array.std((0, 2, 3)), rtol=1e-4)
    assert np.array_equal(ActNorm((3,)).eval()(x[:, :, 0, 0])[0].array, x.array[:, :, 0, 0])


def test_actnorm_is_saved_with_what_it_has_seen():
    flow = ActNorm((2,))
    flow(tg.randn(10, 2) * 3)
    other = ActNorm((2,))
    other.load_state_dict(flow.state_dict())
    x = tg.randn(5, 2)
    assert np.array_equal(other(x)[0].array, flow(x)[0].array)  # in training mode, both


def test_actnorm_leaves_a_constant_feature_finite():
    x = tg.cat([tg.randn(8, 1), tg.ones(8, 1)], 1)
    z, log_det = ActNorm((2,))(x)
    assert np.isfinite(z.array).all() and np.isfinite(log_det.array).all()


def test_an_lu_map_starts_as_a_rotation():
    flow = LULinear((6,)).double()
    W = jacobian(lambda x: flow(x)[0], tg.zeros(6, dtype=tg.float64)).array
    np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-5)


def test_a_1x1_convolution_is_the_same_matrix_at_every_pixel():
    flow = randomized(LULinear((3, 2, 2)))
    W = randomized(LULinear((3,)))
    W.load_state_dict(flow.state_dict())
    x = tg.randn(4, 3, 2, 2, dtype=tg.float64)
    pixels = x.permute(0, 2, 3, 1)
    np.testing.assert_allclose(flow(x)[0].permute(0, 2, 3, 1).array, W(pixels)[0].array, atol=1e-12)
    np.testing.assert_allclose(flow(x)[1].array, W(pixels)[1].sum((1, 2)).array, atol=1e-12)


def test_a_spline_is_the_identity_outside_and_smooth_at_its_knots():
    spline = RationalQuadraticSpline(6, bound=2.0)
    rng = np.random.default_rng(0)
    theta = tg.tensor(rng.standard_normal(spline.parameters))
    f = lambda x: tuple(a.array for a in spline.forward(tg.tensor(np.asarray(x)[:, None]), theta))
    outside = np.array([-9.0, -2.0, 2.0, 5.0])
    y, slope = f(outside)
    assert np.array_equal(y[:, 0], outside) and (slope == 0).all()
    # At a knot a cubic would do, too; but values and derivatives come from different bins.
    knots = spline.knots(theta).array[0]
    assert (np.diff(knots[:2]) > 0).all() and (knots[2] > 0).all()
    for x, y, d in knots.T:
        (before, after), (log_before, log_after) = (a[:, 0] for a in f([x - 1e-9, x + 1e-9]))
        assert before == pytest.approx(y, abs=1e-7) == after
        assert math.exp(log_before) == pytest.approx(d, abs=1e-6) == math.exp(log_after)


def test_a_spline_is_monotone_where_theta_is_extreme():
    spline = RationalQuadraticSpline(8)
    theta = tg.tensor(20 * np.random.default_rng(0).standard_normal(spline.parameters))
    x = np.linspace(-4, 4, 2001)
    y, slope = spline.forward(tg.tensor(x[:, None]), theta)
    assert (np.diff(y.array[:, 0]) > 0).all() and np.isfinite(slope.array).all()
    back, _ = spline.inverse(y, theta)
    np.testing.assert_allclose(back.array[:, 0], x, atol=1e-5)


def test_squeezing_and_glow_keep_every_number():
    x = tg.arange(32).reshape(1, 2, 4, 4).float()
    z, log_det = Squeeze((2, 4, 4))(x)
    assert z.shape == (1, 8, 2, 2) and float(log_det) == 0
    assert np.array_equal(z.array[0, :4, 0, 0], [0, 1, 4, 5])  # a square of four pixels
    images = tg.rand(2, 1, 8, 8)
    sizes = {levels: Glow((1, 8, 8), levels, 1, 4)(images)[0].shape for levels in (1, 2, 3)}
    assert set(sizes.values()) == {(2, 64)}


def test_dequantized_images_stay_in_their_level():
    images = tg.randint(0, 17, (1000,)) / 16
    x = dequantize(images, 17).array
    assert ((x >= 0) & (x < 1)).all()
    assert np.array_equal(np.floor(x * 17), np.round(images.array * 16))
    assert len(np.unique(x)) > 900


# ---- The continuous flow -------------------------------------------------------------------------


def linear_field(A: np.ndarray):
    class Field(tg.nn.Module):
        def forward(self, t, x):
            return x @ tg.tensor(A.T)

    return Field()


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_a_linear_ode_has_the_determinant_of_its_matrix_exponential(trace):
    """x(1) = e^A x, log det e^A = tr A. Hutchinson's estimate is exact for a diagonal A."""
    A = np.random.default_rng(0).standard_normal((3, 3))
    A = np.diag(np.diag(A)) if trace == "hutchinson" else A
    flow = FFJORD(3, linear_field(A), trace=trace, rtol=1e-9, atol=1e-9)
    x = tg.randn(5, 3, dtype=tg.float64)
    z, log_det = flow(x)
    expected = x.array @ tg.linalg.matrix_exp(tg.tensor(A)).array.T
    np.testing.assert_allclose(z.array, expected, atol=1e-7)
    np.testing.assert_allclose(log_det.array, np.trace(A), atol=1e-7)


@tg.no_grad()
def test_hutchinsons_estimate_has_no_bias():
    steps = {"method": "rk4", "options": {"step_size": 0.1}}
    exact = randomized(FFJORD(3, hidden=(8,), **steps))
    flow = FFJORD(3, exact.dynamics.field, trace="hutchinson", **steps)
    x = tg.randn(1, 3, dtype=tg.float64)
    estimates = flow(x.expand(4000, 3))[1].array
    error = estimates.std() / math.sqrt(4000)
    assert estimates.std() > 0.01  # it is an estimate, and
    assert abs(estimates.mean() - float(exact(x)[1])) < 4 * error


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_gradients_by_the_adjoint_equation_are_those_through_the_steps(trace):
    x = tg.randn(4, 2, dtype=tg.float64)
    found = []
    for adjoint in (False, True):
        tg.manual_seed(0)
        flow = FFJORD(2, hidden=(8,), trace=trace, adjoint=adjoint, rtol=1e-8, atol=1e-8).double()
        (-flow.log_prob(x).mean()).backward()
        found.append(np.concatenate([p.grad.array.ravel() for p in flow.parameters()]))
        assert flow.sample(3).shape == (3, 2)
    assert np.abs(found[0]).max() > 0.01
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-6)


def test_gradients_of_a_continuous_flow_agree_with_differences():
    flow = FFJORD(2, hidden=(4,), method="rk4", options={"step_size": 0.25}).double()
    x = tg.randn(3, 2, dtype=tg.float64, requires_grad=True)
    assert gradcheck(flow.log_prob, x)
