"""Every flow as a change of variables: its log-determinant is that of the dense Jacobian, in both
directions; the way there and back is the identity; gradients agree with finite differences."""

import numpy as np
import pytest
from flows import randomized

import tinygen as tg
from tinygen.autograd import grad
from tinygen.autograd.functional import jacobian
from tinygen.models import flow as flows
from tinygen.models.flow import (
    FFJORD,
    IAF,
    MAF,
    ActNorm,
    Affine,
    Autoregressive,
    Compose,
    ConvCoupling,
    Coupling,
    Couplings,
    Elementwise,
    Glow,
    Inverse,
    Logit,
    LULinear,
    NeuralSpline,
    Permutation,
    Planar,
    Radial,
    RationalQuadraticSpline,
    RealNVP,
    Split,
    Squeeze,
)  # fmt: skip
from tinygen.models.flow.glow import Flatten

SMALL = (8,)  # the hidden layers
EXACT = {"rtol": 1e-9, "atol": 1e-9, "method": "dopri8"}


def spline(bins: int = 5) -> RationalQuadraticSpline:
    return RationalQuadraticSpline(bins, bound=2.0)


MADE_BY = {
    "permutation": lambda: Permutation([2, 0, 3, 1]),
    "actnorm": lambda: ActNorm((3,)),
    "actnorm of images": lambda: ActNorm((2, 2, 3)),
    "LU": lambda: LULinear((4,)),
    "1x1 convolution": lambda: LULinear((3, 2, 2)),
    "elementwise affine": lambda: Elementwise(3, Affine(0.5)),
    "elementwise spline": lambda: Elementwise(3, spline()),
    "logit": lambda: Logit((1, 2, 3), 0.1),
    "affine coupling": lambda: Coupling(4, hidden=SMALL),
    "spline coupling": lambda: Coupling(4, spline(), hidden=SMALL),
    "affine autoregressive": lambda: Autoregressive(4, Affine(2.0), hidden=(8, 8)),
    "spline autoregressive": lambda: Autoregressive(3, spline(), hidden=SMALL),
    "one feature": lambda: Autoregressive(1, spline(1), hidden=SMALL),
    "planar": lambda: Planar(3),
    "radial": lambda: Radial(3),
    "planar, turned round": lambda: Inverse(Compose(Planar(2), Radial(2))),
    "squeeze": lambda: Squeeze((2, 4, 2)),
    "flatten": lambda: Flatten((2, 1, 3)),
    "convolutional coupling": lambda: ConvCoupling((4, 2, 2), 4),
    "split": lambda: Split((2, 2, 2), Flatten((1, 2, 2))),
    "continuous": lambda: FFJORD(2, hidden=SMALL, **EXACT),
    "RealNVP": lambda: RealNVP(4, 3, SMALL),
    "neural spline": lambda: NeuralSpline(4, 2, SMALL, bins=4),
    "MAF": lambda: MAF(3, 2, SMALL),
    "IAF": lambda: IAF(3, 2, SMALL, transformer=spline(4)),
    "Glow": lambda: Glow((1, 4, 4), 2, 2, 4),
}


def points(flow: flows.Flow, n: int, seed: int = 1) -> tg.Tensor:
    """Points where the flow is defined, also beyond the bound of the splines."""
    x = 1.5 * np.random.default_rng(seed).standard_normal((n, *flow.event_shape))
    parts = [flow, *flow.modules()]
    return tg.tensor(1 / (1 + np.exp(-x)) if any(isinstance(p, Logit) for p in parts) else x)


@pytest.fixture(params=MADE_BY, scope="module")
def flow(request):
    tg.manual_seed(0)
    return randomized(MADE_BY[request.param](), 0.2)


def dense_log_det(function, x: tg.Tensor) -> float:
    """log |det| of the Jacobian of one event"""
    matrix = jacobian(lambda x: function(x[None])[0][0], x).array
    return np.linalg.slogdet(matrix.reshape(x.array.size, -1))[1]


def test_log_det_is_that_of_the_dense_jacobian(flow):
    x = points(flow, 3)
    z, log_det = flow(x)
    assert z.shape == (3, *flow.latent_shape) and log_det.shape == (3,)
    dense = [dense_log_det(flow, one) for one in x]
    np.testing.assert_allclose(log_det.array, dense, rtol=0, atol=1e-7)


def test_log_det_of_the_inverse_is_that_of_the_dense_jacobian(flow):
    z = flow(points(flow, 3))[0].detach()
    x, log_det = flow.inverse(z)
    assert x.shape == (3, *flow.event_shape) and log_det.shape == (3,)
    dense = [dense_log_det(flow.inverse, one) for one in z]
    np.testing.assert_allclose(log_det.array, dense, rtol=0, atol=1e-7)


def test_there_and_back_is_the_identity(flow):
    x = points(flow, 50)
    z, log_det = flow(x)
    back, log_det_back = flow.inverse(z)
    tolerance = 1e-7 if isinstance(flow, FFJORD) else 1e-9  # that of its solver
    np.testing.assert_allclose(back.array, x.array, rtol=0, atol=tolerance)
    np.testing.assert_allclose(log_det_back.array, -log_det.array, rtol=0, atol=tolerance)
    again, _ = flow(back)
    np.testing.assert_allclose(again.array, z.array, rtol=0, atol=tolerance)


def check_gradients(values, parameters, seed: int = 0) -> None:
    """The gradient of a random sum of values() along a random direction, against differences."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(v.shape) for v in values()]
    total = lambda: sum((v * tg.tensor(w)).sum() for v, w in zip(values(), weights))
    way = [rng.standard_normal(p.shape) for p in parameters]
    found = sum((g.array * d).sum() for g, d in zip(grad(total(), parameters), way))

    def moved(h):
        for p, d in zip(parameters, way):
            p.array[...] += h * d
        value = float(total())
        for p, d in zip(parameters, way):
            p.array[...] -= h * d
        return value

    coarse, fine = ((moved(h) - moved(-h)) / (2 * h) for h in (2e-5, 1e-5))
    np.testing.assert_allclose(found, (4 * fine - coarse) / 3, rtol=1e-6, atol=1e-7)


def test_gradients_of_the_density_agree_with_differences(flow):
    x = points(flow, 2).requires_grad_()
    check_gradients(lambda: [flow.log_prob(x)], [x, *flow.parameters()])


def test_gradients_of_a_sample_and_its_density_agree_with_differences(flow):
    if list(flow.parameters()):
        draw = lambda: flow.sample_and_log_prob(2, generator=tg.Generator(3))
        check_gradients(draw, list(flow.parameters()))


def test_couplings_are_their_composition():
    """Couplings takes a shorter way: an odd number of layers, and spline and affine ones."""
    layers = [Coupling(4, spline(), hidden=SMALL), *(Coupling(4, hidden=SMALL) for _ in range(2))]
    long, short = randomized(Compose(*layers)), Couplings(*layers)
    x = points(long, 5)
    for way in (lambda flow: flow(x), lambda flow: flow.inverse(x)):
        for expected, found in zip(way(long), way(short)):
            np.testing.assert_allclose(found.array, expected.array, rtol=0, atol=1e-12)


def test_log_prob_and_samples_agree(flow):
    x, log_prob = flow.sample_and_log_prob(4, generator=tg.Generator(5))
    assert x.shape == (4, *flow.event_shape) and x.dtype == log_prob.dtype == flow.dtype
    np.testing.assert_allclose(flow.log_prob(x).array, log_prob.array, rtol=1e-5, atol=1e-6)
    assert np.array_equal(flow.sample(4, generator=tg.Generator(5)).array, x.array)
    assert not flow.sample(1).requires_grad
    assert flow.sample(0).shape == (0, *flow.event_shape)


def test_any_number_of_batch_dimensions(flow):
    if len(flow.event_shape) == 1:
        x = points(flow, 6)
        rows = flow.log_prob(x).array
        in_rows = flow.log_prob(x.reshape(2, 3, *flow.event_shape))
        np.testing.assert_allclose(in_rows.array, rows.reshape(2, 3), rtol=1e-9)
        np.testing.assert_allclose(flow.log_prob(x[0]).array, rows[0], rtol=1e-9)


@pytest.mark.parametrize("name", MADE_BY)
def test_float32_stays_float32(name):
    flow = MADE_BY[name]().eval() if name != "continuous" else FFJORD(2, hidden=SMALL)
    x = points(flow, 3).float()
    z, log_det = flow(x)
    back, _ = flow.inverse(z)
    assert {a.dtype for a in (z, log_det, back, flow.log_prob(x))} == {np.dtype(tg.float32)}


@pytest.mark.parametrize(
    "make",
    [
        lambda: RealNVP(4), lambda: MAF(4), lambda: IAF(4), lambda: Coupling(4, spline()),
        lambda: Elementwise(2, spline()), lambda: ActNorm((3,)), lambda: LULinear((3,)),
    ],
)  # fmt: skip
def test_a_new_flow_leaves_volumes_alone(make):
    flow = make().double().eval()
    x = points(flow, 5)
    np.testing.assert_allclose(flow(x)[1].array, 0.0, rtol=0, atol=1e-6)
