"""Flows as densities: they integrate to 1, learn what is known exactly, and say what is wrong."""

import math
import re

import numpy as np
import pytest
from flows import randomized

import tinygen as tg
from tinygen.distributions import Independent, MultivariateNormal, Normal, Uniform
from tinygen.models.flow import (
    FFJORD,
    IAF,
    MAF,
    ActNorm,
    Affine,
    Compose,
    ConvCoupling,
    Coupling,
    Elementwise,
    Flow,
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
    Squeeze,
)  # fmt: skip

# ---- The density ---------------------------------------------------------------------------------

PLANE = {
    "RealNVP": lambda: RealNVP(2, 4, (16,)),
    "neural spline": lambda: NeuralSpline(2, 3, (16,)),
    "MAF": lambda: MAF(2, 3, (16,)),
    "IAF": lambda: IAF(2, 2, (16,), transformer=RationalQuadraticSpline(5)),
    "planar": lambda: Compose(*[Planar(2) for _ in range(4)]),
    "radial, turned round": lambda: Inverse(Compose(*[Radial(2) for _ in range(3)])),
    "actnorm and LU": lambda: Compose(ActNorm((2,)), LULinear((2,)), Permutation.reverse(2)),
    "continuous": lambda: FFJORD(2, hidden=(16,)),
    "another base": lambda: RealNVP(2, 2, (16,), base=Independent(Normal(tg.ones(2), 2.0), 1)),
}


def grid(half: float, side: int) -> tuple[tg.Tensor, float]:
    """The middles of side × side squares that cover [-half, half]², and the area of one."""
    middles = (np.arange(side) + 0.5) / side * 2 * half - half
    return tg.tensor(np.stack(np.meshgrid(middles, middles), -1)), (2 * half / side) ** 2


@pytest.mark.parametrize("name", PLANE)
@tg.no_grad()
def test_the_density_integrates_to_one(name):
    flow = randomized(PLANE[name]())
    points, area = grid(15.0, 400)
    total = float(flow.log_prob(points).exp().sum()) * area
    assert total == pytest.approx(1.0, abs=2e-3)


@tg.no_grad()
def test_samples_have_the_density_that_log_prob_gives():
    """The mean of a function over samples is its integral over the density."""
    flow = randomized(MAF(2, 2, (16,)), seed=3)
    assert abs(float(flow.log_prob(tg.zeros(2).double())) + 1.84) > 0.05  # not the normal any more
    points, area = grid(14.0, 280)
    density = flow.log_prob(points).exp() * area
    x = flow.sample(20_000, generator=tg.Generator(0))
    functions = [lambda x: x[..., 0], lambda x: (2 * x[..., 1]).sin(), lambda x: x[..., 1] > 0]
    for f in functions:
        values = f(x).double()
        expected = float((f(points).double() * density).sum())
        spread = float(values.std()) / math.sqrt(len(x))
        assert abs(float(values.mean()) - expected) < 4 * spread


def test_a_base_other_than_the_normal():
    base = Independent(Uniform(tg.zeros(1), tg.ones(1)), 1)
    flow = Compose(Elementwise(1, Affine()), base=base)
    x = flow.sample(100, generator=tg.Generator(1))
    assert ((x.array > 0) & (x.array < 1)).all()
    np.testing.assert_allclose(flow.log_prob(x).array, 0.0, atol=1e-6)


# ---- Learning what is known ----------------------------------------------------------------------


def trained(flow, draw, steps: int, lr: float) -> float:
    """Maximum likelihood on fresh batches; the mean log-density of new data, in nats."""
    optimizer = tg.optim.Adam(flow.parameters(), lr=lr)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        loss = -flow.log_prob(draw(256)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with tg.no_grad():
        return float(flow.eval().log_prob(draw(20_000)).mean())


def correlated(n: int) -> tg.Tensor:
    """N(0, Σ), Σ = [[1, 0.8], [0.8, 1]]"""
    z = tg.randn(n, 2)
    return tg.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], -1)


def banana(n: int) -> tg.Tensor:
    """x ~ N(0, 1), y ~ N(x² / 2, 0.5²): its entropy is that of the two normals."""
    z = tg.randn(n, 2)
    return tg.stack([z[:, 0], 0.5 * z[:, 0] ** 2 - 0.5 + 0.5 * z[:, 1]], -1)


ENTROPY = {correlated: math.log(2 * math.pi * math.e * 0.6), banana: math.log(math.pi * math.e)}


@pytest.mark.parametrize(
    ("make", "draw", "gap"),
    [
        (lambda: RealNVP(2, 2, (16,)), correlated, 0.02),
        (lambda: MAF(2, 1, (16,)), correlated, 0.02),
        (lambda: Compose(ActNorm((2,)), LULinear((2,))), correlated, 0.01),
        (lambda: RealNVP(2, 4, (32,)), banana, 0.04),
        (lambda: MAF(2, 2, (32,)), banana, 0.04),
        (lambda: NeuralSpline(2, 2, (32,)), banana, 0.08),
        (lambda: Compose(*[Planar(2) for _ in range(8)]), banana, 0.3),
    ],
)  # fmt: skip
def test_the_likelihood_of_a_known_density_is_reached(make, draw, gap):
    """E log q(x) = -entropy - KL: no more than -entropy, and less by the stated gap at most."""
    found = trained(make(), draw, 250, 1e-2)
    assert -ENTROPY[draw] - gap < found < -ENTROPY[draw] + 0.03  # 0.007 of the mean over 20,000


def test_a_flow_learns_by_its_samples_too():
    """Variational inference (Rezende & Mohamed 2015): E_q[log q - log p] falls to 0."""
    target = MultivariateNormal(tg.tensor([1.0, -1.0]), tg.tensor([[1.0, 0.6], [0.6, 0.8]]))
    flow = IAF(2, 1, (16,))
    optimizer = tg.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(300):
        x, log_q = flow.sample_and_log_prob(128)
        kl = (log_q - target.log_prob(x)).mean()
        optimizer.zero_grad()
        kl.backward()
        optimizer.step()
    x, log_q = flow.sample_and_log_prob(20_000)
    assert abs(float((log_q - target.log_prob(x)).mean())) < 0.02
    np.testing.assert_allclose(x.detach().array.mean(0), [1.0, -1.0], atol=0.06)


# ---- Wrong use -----------------------------------------------------------------------------------

x3 = lambda: tg.randn(4, 3)
WRONG = [
    (lambda: RealNVP(3), ValueError, "halves, which 3 can't be"),
    (lambda: Coupling(0), ValueError, "halves"),
    (lambda: ConvCoupling((3, 4, 4)), ValueError, "channels in halves, which 3 can't be"),
    (lambda: Squeeze((1, 5, 4)), ValueError, "5 × 4 pixels can't be squeezed"),
    (lambda: Glow((1, 28, 28), 3), ValueError, "multiples of 8; 28 × 28 are not"),
    (lambda: Glow((1, 8, 8), 0), ValueError, "halves images 0 times"),
    (lambda: RealNVP(4).log_prob(x3()), ValueError, "(batch, 4); this one has shape (4, 3)"),
    (lambda: MAF(4).inverse(x3()), ValueError, "z of shape (batch, 4)"),
    (lambda: Glow((1, 8, 8)).log_prob(tg.rand(2, 1, 8, 4)), ValueError, "(batch, 1, 8, 8)"),
    (lambda: MAF(3).log_prob(np.zeros((4, 3))), TypeError, "takes a tensor x, not ndarray"),
    (lambda: MAF(3).log_prob(x3() * math.nan), ValueError, "12 of the 12 numbers in x are NaN"),
    (lambda: MAF(3).log_prob(x3() / 0), ValueError, "NaN or infinite"),
    (lambda: MAF(3).sample((2, 3)), ValueError, "the number of samples is an int"),
    (lambda: MAF(3).sample(-1), ValueError, "at least 0, not -1"),
    (lambda: MAF(0), ValueError, "at least one feature"),
    (lambda: MAF(2, 0), ValueError, "takes at least one flow"),
    (lambda: Permutation([0, 2, 2]), ValueError, "each of 0, …, 2 once; got [0, 2, 2]"),
    (lambda: Compose(Planar(2), Radial(3)), ValueError, "Planar returns z of shape (2,), but"),
    (lambda: MAF(2, base=Normal(tg.zeros(2), 1.0)), ValueError, "Independent(base, n)"),
    (lambda: FFJORD(2, trace="hutch"), ValueError, '"exact" or "hutchinson", not \'hutch\''),
    (lambda: Affine(0), ValueError, "must be positive, not 0"),
    (lambda: RationalQuadraticSpline(0), ValueError, "from 1 to 999 bins, not 0"),
    (lambda: RationalQuadraticSpline(bound=-1.0), ValueError, "bound must be > 0"),
    (lambda: Logit((1,), 0.5), ValueError, "below 1/2, not 0.5"),
    (lambda: Logit((3,))(x3() * 9), ValueError, "numbers from 0 to 1"),
    (lambda: ActNorm((3,))(x3()[:1]), ValueError, "begin with a larger one"),
    (lambda: Flow((2,)).log_prob(tg.zeros(1, 2)), NotImplementedError, "Flow has no forward"),
    (lambda: Flow((2,)).sample(1), NotImplementedError, "Flow has no inverse"),
]  # fmt: skip


@pytest.mark.parametrize(("use", "error", "says"), WRONG)
def test_wrong_use_is_told_in_a_sentence(use, error, says):
    with np.errstate(all="ignore"), pytest.raises(error, match=re.escape(says)) as caught:
        use()
    assert "\n" not in str(caught.value)
