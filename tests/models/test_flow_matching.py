"""Flow matching between normals, where the velocity, its error, the paths and their straightness
have closed forms; and the mixture, whose velocity a trained network is held against."""

import math
from itertools import permutations

import numpy as np
import pytest
from models.exact_networks import f64, mixture, trained

import tinygen as tg
from tinygen import sde
from tinygen.metrics import sliced_wasserstein
from tinygen.models.flow_matching import FlowMatching, optimal_assignment, straightness
from tinygen.nn import MLPDenoiser

STD = 0.4
SCHEDULE = sde.FlowMatchingSchedule()


class BetweenNormals(tg.nn.Module):
    """E[x1 - x0 | x(t) = x] for independent x0 ~ N(m0, s0²) and x1 ~ N(m1, s1²)."""

    def __init__(self, m0=0.0, s0=STD, m1=0.0, s1=1.0, wrong_by=0.0):
        super().__init__()
        self.m0, self.s0, self.m1, self.s1, self.wrong_by = m0, s0, m1, s1, wrong_by

    def forward(self, x, t):
        t = t.reshape(-1, *(1,) * (x.ndim - 1))
        variance = (1 - t) ** 2 * self.s0**2 + t**2 * self.s1**2
        slope = (t * self.s1**2 - (1 - t) * self.s0**2) / variance
        middle = (1 - t) * self.m0 + t * self.m1
        return self.m1 - self.m0 + slope * (x - middle) + self.wrong_by


class Straight(tg.nn.Module):
    """The velocity of x(t) = ((1 - t) s + t) x1: each point has a straight line of its own."""

    def forward(self, x, t):
        return (1 - STD) / ((1 - t[:, None]) * STD + t[:, None]) * x


class ExactVelocity(tg.nn.Module):
    def __init__(self, exact):
        super().__init__()
        self.denoiser = exact.denoiser()

    def forward(self, x, t):
        return self.denoiser.velocity(x, t.clamp(1e-9, 1 - 1e-9))


def normal_flow(**options):
    return trained(FlowMatching(BetweenNormals(**options)), tg.randn(2, 1, **f64))


# ---- The loss ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong_by", [0.0, 0.5])
@pytest.mark.parametrize("times", ["uniform", "logit-normal"])
def test_the_loss_of_the_exact_velocity_is_the_variance_of_a_line_given_a_point(times, wrong_by):
    """Var(x1 - x0 | x(t)) = s0² s1² / ((1 - t)² s0² + t² s1²), whose mean over t is π s0 s1 / 2."""
    B, s0, s1 = 100_000, STD, 1.3
    network = BetweenNormals(0.5, s0, -1.0, s1, wrong_by)
    z = np.linspace(-8, 8, 2001)
    t = 1 / (1 + np.exp(-z)) if times == "logit-normal" else (np.arange(2001) + 0.5) / 2001
    weight = np.exp(-(z**2) / 2) if times == "logit-normal" else np.ones(2001)
    each = (s0 * s1) ** 2 / ((1 - t) ** 2 * s0**2 + t**2 * s1**2)
    expected = (weight * each).sum() / weight.sum()
    if times == "uniform":
        assert expected == pytest.approx(math.pi * s0 * s1 / 2, rel=1e-6)
    error = math.sqrt(3 * (weight * (each + wrong_by**2) ** 2).sum() / weight.sum() / B)
    x0, x1 = 0.5 + s0 * tg.randn(B, 1, **f64), -1.0 + s1 * tg.randn(B, 1, **f64)
    found = FlowMatching(network, times=times).loss(x0, source=x1).item()
    assert found == pytest.approx(expected + wrong_by**2, abs=4 * error)
    assert 4 * error < 0.05 * expected


def test_by_default_lines_end_in_noise():
    x0 = STD * tg.randn(100_000, 1, 1, **f64)
    found = FlowMatching(BetweenNormals()).loss(x0).item()
    assert found == pytest.approx(math.pi * STD / 2, rel=0.02)


def test_the_best_assignment_is_that_of_all():
    x0, x1 = tg.randn(6, 2, 2), tg.randn(6, 2, 2)
    cost = lambda order: ((x0.array - x1.array[list(order)]) ** 2).sum()
    order = optimal_assignment(x0, x1)
    assert sorted(order) == list(range(6))
    assert cost(order) == pytest.approx(min(cost(p) for p in permutations(range(6))), rel=1e-6)


def test_with_optimal_transport_lines_hardly_cross():
    """On a line the best plan is the monotone one, x0 = s x1, and nothing is left to be guessed."""
    x0 = STD * tg.randn(1000, 1, **f64)
    paired = FlowMatching(Straight(), optimal_transport=True).loss(x0).item()
    assert paired < 0.02 * math.pi * STD / 2
    assert FlowMatching(Straight()).loss(x0).item() > math.pi * STD / 2


def test_optimal_transport_leaves_conditions_with_their_data():
    seen = []

    class Network(tg.nn.Module):
        def forward(self, x, t, condition):
            seen.append(((x / (1 - t[:, None])).array[:, 0], condition.array))
            return x

    k = tg.arange(50)
    x0 = 1000.0 * k[:, None] + tg.zeros(50, 1)
    FlowMatching(Network(), optimal_transport=True).loss(x0, k, source=tg.randn(50, 1) * 1e-3)
    (x, condition), = seen  # fmt: skip
    np.testing.assert_allclose(x, 1000 * condition, atol=1)


# ---- Sampling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler", [sde.AdaptiveProbabilityFlow(1e-8, 1e-8), sde.ProbabilityFlow(), None]
)
def test_between_normals_the_flow_is_the_monotone_map(sampler):
    """x0 = m0 + s0/s1 (x1 - m1): from noise, or from elsewhere, as only x1 tells."""
    flow = normal_flow(m0=0.5, s0=STD, m1=-1.0, s1=1.3)
    x1 = -1.0 + 1.3 * tg.randn(100, 1, **f64)
    expected = (0.5 + STD / 1.3 * (x1 + 1)).array
    found = flow.sample((100, 1), sampler, 400, x=x1).array
    adaptive = isinstance(sampler, sde.AdaptiveProbabilityFlow)
    np.testing.assert_allclose(found, expected, atol=1e-6 if adaptive else 0.02)
    if not adaptive:
        coarse = flow.sample((100, 1), sampler, 200, x=x1).array
        ratio = np.abs(coarse - expected).mean() / np.abs(found - expected).mean()
        assert ratio == pytest.approx(2, rel=0.1)  # of first order


def test_samples_come_from_noise():
    x = normal_flow(m0=2.0).sample((20_000, 1), steps=100, **f64).array
    assert x.mean() == pytest.approx(2.0, abs=4 * STD / math.sqrt(20_000) + 0.01)
    assert x.std() == pytest.approx(STD, rel=0.03)


def test_straightness_is_that_of_theory():
    """x(t) = std(t) x1: ∫ (1 - s - std')² dt / (1 - s)²."""
    path = normal_flow().sample(
        (50, 1),
        sde.AdaptiveProbabilityFlow(1e-9, 1e-9),
        path=True,
        times=np.linspace(1, 0, 401),
        **f64,
    )
    t = (np.arange(4000) + 0.5) / 4000
    slope = (t - (1 - t) * STD**2) / np.sqrt((1 - t) ** 2 * STD**2 + t**2)
    expected = ((1 - STD - slope) ** 2).mean() / (1 - STD) ** 2
    assert straightness(path) == pytest.approx(expected, rel=1e-3)
    assert expected > 0.1
    straight = trained(FlowMatching(Straight()), tg.randn(2, 1, **f64))
    assert straightness(straight.sample((50, 1), steps=20, path=True, **f64)) < 1e-20


def test_a_flow_learned_on_its_own_pairs_is_straight():
    """The pairs (s x1, x1) are those of straight lines: nothing is left to be guessed."""
    x0, x1 = normal_flow().reflow_pairs((2000, 1), rtol=1e-8, atol=1e-8, x=tg.randn(2000, 1, **f64))
    np.testing.assert_allclose(x0.array, STD * x1.array, atol=1e-6)
    assert FlowMatching(Straight()).loss(x0, source=x1).item() < 1e-10
    x0, x1 = normal_flow().reflow_pairs((2000, 1))
    assert x1.array.std() == pytest.approx(1, abs=0.1)


# ---- Likelihood ----------------------------------------------------------------------------------


def test_likelihoods_are_the_exact_ones():
    x = tg.linspace(-1.5, 1.5, 9, **f64)[:, None]
    expected = -0.5 * (x.array[:, 0] / STD) ** 2 - math.log(STD * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(normal_flow().log_prob(x).array, expected, atol=1e-4)
    exact = mixture(SCHEDULE)
    flow = trained(FlowMatching(ExactVelocity(exact)), exact.sample(4))
    x = tg.cat([exact.sample(10), 2 * tg.randn(5, 2, **f64)])
    found = flow.log_prob(x, rtol=1e-6, atol=1e-6).array
    np.testing.assert_allclose(found, exact.log_prob(x, tg.tensor(0.0, **f64)).array, atol=1e-3)


# ---- Learning ------------------------------------------------------------------------------------


def learn(flow, draw, steps):
    optimizer = tg.optim.Adam(flow.parameters(), lr=3e-3)
    decay = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        flow.loss(*draw()).backward()
        optimizer.step()
        optimizer.zero_grad()
        decay.step()
    return flow


def test_a_trained_network_has_nearly_the_exact_velocity_and_the_likelihood_of_the_data():
    exact = mixture(SCHEDULE, np.float32([[-1.5, -1], [1.5, 0], [0, 1.5]]))
    flow = learn(FlowMatching(MLPDenoiser(2, 64, 2)), lambda: (exact.sample(256),), 500)
    data = exact.sample(1000)
    for t in (0.1, 0.4, 0.7, 0.95):
        x, time = (1 - t) * data + t * tg.randn(1000, 2), tg.full((1000,), t)
        with tg.no_grad():
            truth = exact.denoiser().velocity(x, time)
            error = ((flow.velocity(x, time) - truth) ** 2).mean().item()
        assert error < 0.05 * (truth**2).mean().item()
    floor = sliced_wasserstein(exact.sample(1000), data)
    for sampler in (None, sde.AdaptiveProbabilityFlow(1e-3, 1e-3)):
        assert sliced_wasserstein(flow.sample((1000, 2), sampler), data) < 2 * floor + 0.1
    found = flow.log_prob(data[:200], rtol=1e-3, atol=1e-3).mean().item()
    zero = tg.tensor(0.0)
    assert found == pytest.approx(exact.log_prob(data[:200], zero).mean().item(), abs=0.15)


def test_a_network_learns_classes_and_is_guided_by_them():
    means = tg.tensor([[-2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])

    def draw():
        k = tg.randint(0, 3, (128,))
        return means[k] + STD * tg.randn(128, 2), k

    flow = learn(FlowMatching(MLPDenoiser(2, 32, 1, num_classes=3)), draw, 200)
    classes = tg.arange(300) % 3
    for guidance in (1.0, 2.0):
        x = flow.sample((300, 2), steps=20, condition=classes, guidance=guidance).array
        nearest = ((x[:, None] - means.array) ** 2).sum(-1).argmin(1)
        assert (nearest == classes.array).mean() > 0.95
    x0, _ = flow.reflow_pairs((300, 2), classes, rtol=1e-2, atol=1e-2)
    assert (
        ((x0.array[:, None] - means.array) ** 2).sum(-1).argmin(1) == classes.array
    ).mean() > 0.95


# ---- Mistakes ------------------------------------------------------------------------------------


def test_mistakes_get_a_sentence():
    with pytest.raises(ValueError, match="times must be uniform or logit-normal, not 'cosine'"):
        FlowMatching(BetweenNormals(), times="cosine")
    flow = FlowMatching(MLPDenoiser(2, 8, 1))
    x = tg.randn(4, 2)
    for ask in (lambda: flow.sample((2, 2)), lambda: flow.reflow_pairs((2, 2)),
                lambda: flow.log_prob(x), lambda: flow.velocity(x, tg.tensor(0.5))):  # fmt: skip
        with pytest.raises(RuntimeError, match="FlowMatching: this model was never trained"):
            ask()
    with pytest.raises(ValueError, match=r"the shape of the data, \[4, 2\]; got \[3, 2\]"):
        flow.loss(x, source=tg.randn(3, 2))
    trained(flow, x)
    with pytest.raises(ValueError, match=r"MLPDenoiser takes x \[B, 2\]; got \[4, 3\]"):
        flow.sample((4, 3))
