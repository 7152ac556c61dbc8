"""Learned Schrödinger bridges between normals, whose ends have a covariance in closed form."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.models.bridge_matching import BridgeMatching, SchrodingerBridge
from tinygen.nn import MLPDenoiser

f64 = {"dtype": tg.float64}
P_MEAN, P_COV = np.array([-1.0, 0.5]), np.array([[1.0, 0.5], [0.5, 0.6]])
Q_MEAN, Q_COV = np.array([1.0, 0.0]), np.array([[0.5, -0.2], [-0.2, 1.2]])


def root(A):
    values, vectors = np.linalg.eigh(A)
    return vectors * np.sqrt(values) @ vectors.T


def covariance_of_ends(sigma, P=P_COV, Q=Q_COV):
    """E (x0 - E x0)(x1 - E x1)' of the bridge (Janati, Muzellec, Peyré & Cuturi 2020, theorem 1,
    for the cost |x - y|² / 2 and ε = σ²)."""
    half = root(P)
    inner = root(half @ Q @ half + sigma**4 / 4 * np.eye(len(P)))
    return half @ inner @ np.linalg.inv(half) - sigma**2 / 2 * np.eye(len(P))


def draw(mean, cov):
    factor = tg.tensor(np.linalg.cholesky(cov).T)
    return lambda n: tg.tensor(mean) + tg.randn(n, 2, **f64) @ factor


class LinearDrift(tg.nn.Module):
    """(E[x1 | x(t) = x] - x) / (1 - t) for ends that are jointly normal: the best there is."""

    def __init__(self, sigma):
        super().__init__()
        self.sigma = sigma

    def know(self, x0, x1):
        """Mean and covariance of both ends."""
        both = np.concatenate([x0.array, x1.array], 1)
        self.mean, self.cov = both.mean(0), np.cov(both.T)

    def forward(self, x, t):
        t, d = t.array[0], x.shape[1]
        assert t < 1
        P, C, Q = self.cov[:d, :d], self.cov[:d, d:], self.cov[d:, d:]
        now = (1 - t) ** 2 * P + t**2 * Q + t * (1 - t) * (C + C.T + self.sigma**2 * np.eye(d))
        with_end = (1 - t) * C + t * Q  # of x(t) and x1
        mean = (1 - t) * self.mean[:d] + t * self.mean[d:]
        end = self.mean[d:] + (x.array - mean) @ np.linalg.solve(now, with_end)
        return tg.tensor((end - x.array) / (1 - t))


def know(process, x0, x1):
    process.network.know(x0, x1)
    process.steps_trained += 1


# ---- One process ---------------------------------------------------------------------------------


def test_the_loss_of_the_exact_drift_is_the_variance_of_where_it_ends():
    """(1 - t) Var((x1 - x) / (1 - t) | x) = Var(x1 | x) / (1 - t), for normal ends on a line; and
    of a drift that is wrong by c: c² (1 - t) more."""
    p, c, q, sigma, B = 0.8, 0.3, 1.4, 0.9, 400_000
    t = (np.arange(4000) + 0.5) / 4000
    now = (1 - t) ** 2 * p + t**2 * q + 2 * t * (1 - t) * c + sigma**2 * t * (1 - t)
    with_end = (1 - t) * c + t * q
    left = (q - with_end**2 / now) / (1 - t)
    slope = (with_end / now - 1) / (1 - t)

    class Exact(tg.nn.Module):
        wrong_by = 0.0

        def forward(self, x, time):
            return x * tg.tensor(np.interp(time.array, t, slope)[:, None]) + self.wrong_by

    z = np.random.default_rng(0).multivariate_normal([0, 0], [[p, c], [c, q]], B)
    x0, x1 = tg.tensor(z[:, :1]), tg.tensor(z[:, 1:])
    process = BridgeMatching(Exact(), sigma)
    error = math.sqrt(3 * (left**2).mean() / B)
    assert process.loss(x0, x1).item() == pytest.approx(left.mean(), abs=4 * error)
    process.network.wrong_by = 0.5
    assert process.loss(x0, x1).item() == pytest.approx(left.mean() + 0.125, abs=6 * error)
    assert 6 * error < 0.02


def test_what_is_learned_from_are_brownian_bridges():
    """Around the straight line between the ends, x has the variance σ² t (1 - t)."""
    seen = []

    class Network(tg.nn.Module):
        def forward(self, x, t):
            seen.append((x.array[:, 0], t.array))
            return x

    B, sigma = 20_000, 0.8
    BridgeMatching(Network(), sigma).loss(tg.full((B, 1), 2.0), tg.full((B, 1), -1.0))
    ((x, t),) = seen
    z = (x - (2 - 3 * t)) / (sigma * np.sqrt(t * (1 - t)))
    for part in (z[t < 0.3], z[(t > 0.3) & (t < 0.7)], z[t > 0.7]):
        assert abs(part.mean()) < 4 / math.sqrt(len(part))
        assert abs(part.std() - 1) < 4 / math.sqrt(2 * len(part))


def test_a_process_carries_one_end_to_the_other_and_the_steps_converge():
    """Of independent ends: X(1) has the law of x1, but for what so many steps neglect, ~ 1/steps.
    The mean and the covariance of Euler's chain follow from its drift, as that is linear."""
    sigma = 1.0
    process = BridgeMatching(LinearDrift(sigma), sigma)
    process.network.mean = np.concatenate([P_MEAN, Q_MEAN])
    process.network.cov = np.block([[P_COV, np.zeros((2, 2))], [np.zeros((2, 2)), Q_COV]])
    process.steps_trained += 1

    def chain(steps):
        mean, cov = P_MEAN, P_COV
        for n in range(steps):
            drift = lambda x, n=n: process.f(tg.tensor(n / steps, **f64), tg.tensor(x)).array
            away = drift(np.zeros((1, 2)))
            step = np.eye(2) + (drift(np.eye(2)) - away) / steps  # x' = x @ step + …
            mean, cov = mean @ step + away[0] / steps, step.T @ cov @ step
            cov = cov + sigma**2 / steps * np.eye(2)
        return mean, cov

    errors = [np.abs(chain(steps)[1] - Q_COV).max() for steps in (50, 100, 200)]
    assert errors[2] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.15)
    n, (mean, cov) = 20_000, chain(50)
    x1 = process.sample(draw(P_MEAN, P_COV)(n), 50).array
    np.testing.assert_allclose(x1.mean(0), mean, atol=4 * math.sqrt(1.2 / n))
    np.testing.assert_allclose(np.cov(x1.T), cov, atol=4 * 1.2 * math.sqrt(2 / n))


def test_paths_begin_where_they_are_told_to_and_have_all_steps():
    process = BridgeMatching(MLPDenoiser(2, 8, 1), 1.5)
    process.loss(tg.randn(4, 2), tg.randn(4, 2))
    x0, calls = tg.randn(3000, 2), []
    process.network.register_forward_hook(lambda *_: calls.append(1))
    assert process.sample(x0, 10).shape == (3000, 2) and len(calls) == 10
    path = process.sample(x0, 10, path=True)
    assert path.shape == (11, 3000, 2) and not path.requires_grad
    np.testing.assert_array_equal(path.array[0], x0.array)
    steps = np.diff(path.array, axis=0)  # a new network's drift is 0: this is Brownian motion
    assert steps.std() == pytest.approx(1.5 / math.sqrt(10), rel=0.02)


# ---- The bridge ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.7, 1.5])
def test_fitting_in_turn_finds_the_bridge_if_every_drift_is_exact(sigma):
    """No network learns here: what is tested is the loop. 12,000 pairs, 40 steps a path."""
    bridge = SchrodingerBridge(LinearDrift(sigma), LinearDrift(sigma), sigma)
    p, q = draw(P_MEAN, P_COV), draw(Q_MEAN, Q_COV)
    bridge.fit(p, q, know, iterations=8, pairs=12_000, steps=40)
    expected = covariance_of_ends(sigma)
    assert np.abs(expected).max() > 0.2
    forwards, backwards = (process.network for process in (bridge.forwards, bridge.backwards))
    np.testing.assert_allclose(forwards.cov[:2, 2:], expected, atol=0.05)
    np.testing.assert_allclose(backwards.cov[2:, :2], expected, atol=0.05)
    for network, ends in ((forwards, (P_COV, Q_COV)), (backwards, (Q_COV, P_COV))):
        np.testing.assert_allclose(network.cov[:2, :2], ends[0], atol=0.06)
        np.testing.assert_allclose(network.cov[2:, 2:], ends[1], atol=0.06)
    np.testing.assert_allclose(forwards.mean, [*P_MEAN, *Q_MEAN], atol=0.05)


def test_each_direction_learns_from_what_the_other_made():
    """And begins with real data: at each end the first of a pair is drawn, the last is sampled."""
    seen = []

    class Tracked(BridgeMatching):
        def __init__(self, name):
            super().__init__(MLPDenoiser(1, 8, 1), 1.0)
            self.name = name

        def sample(self, x0, steps=50, *, path=False):
            return x0 + (0.25 if self.name == "forwards" else 0.5)

    bridge = SchrodingerBridge(MLPDenoiser(1, 8, 1), MLPDenoiser(1, 8, 1), 1.0)
    bridge.forwards, bridge.backwards = Tracked("forwards"), Tracked("backwards")
    train = lambda process, x0, x1: seen.append((process.name, x0[0].item(), x1[0].item()))
    bridge.fit(lambda n: tg.zeros(n, 1), lambda n: tg.full((n, 1), 8.0), train, iterations=2)
    assert seen == [("backwards", 8.0, 0.0), ("forwards", 8.5, 8.0),
                    ("backwards", 0.25, 0.0), ("forwards", 8.5, 8.0)]  # fmt: skip


@pytest.mark.slow
def test_networks_learn_the_bridge_between_normals():
    """The covariance of the ends to a tenth, and that of each distribution."""
    sigma, batch, steps = 1.0, 256, 400

    def train(process, x0, x1):
        optimizer = tg.optim.Adam(process.parameters(), lr=2e-3)
        decay = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            rows = tg.randint(0, len(x0), (batch,))
            process.loss(x0[rows].float(), x1[rows].float()).backward()
            optimizer.step()
            optimizer.zero_grad()
            decay.step()

    p, q = draw(P_MEAN, P_COV), draw(Q_MEAN, Q_COV)
    bridge = SchrodingerBridge(MLPDenoiser(2, 64, 2), MLPDenoiser(2, 64, 2), sigma)
    bridge.fit(lambda n: p(n).float(), lambda n: q(n).float(), train, iterations=4, pairs=5000)
    x0 = p(20_000).float()
    both = np.cov(np.concatenate([x0.array, bridge.forwards.sample(x0, 100).array], 1).T)
    expected = covariance_of_ends(sigma)
    np.testing.assert_allclose(both[:2, 2:], expected, atol=0.1)
    np.testing.assert_allclose(both[2:, 2:], Q_COV, atol=0.1)


def test_mistakes_get_a_sentence():
    with pytest.raises(ValueError, match="needs sigma above 0; got 0"):
        SchrodingerBridge(MLPDenoiser(), MLPDenoiser(), 0.0)
    process = BridgeMatching(MLPDenoiser(2, 8, 1), 1.0)
    with pytest.raises(RuntimeError, match="this process was never trained"):
        process.sample(tg.randn(3, 2))
    with pytest.raises(ValueError, match=r"got \[3, 2\] and \[4, 2\]"):
        process.loss(tg.randn(3, 2), tg.randn(4, 2))
    with pytest.raises(ValueError, match=r"two ends, of the same shape \[B, d\]; got \[3\]"):
        process.loss(tg.randn(3), tg.randn(3))
