"""Markov chains against what is known of them in closed form."""

import numpy as np
import pytest
from scipy import stats

import tinygen as tg

S = tg.sampling
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.8]])
MEAN = np.array([0.5, -1.0])


def normal_2d():
    precision = tg.tensor(np.linalg.inv(COVARIANCE))

    def log_prob(x):
        d = x - tg.tensor(MEAN)
        return -0.5 * (d @ precision * d).sum(-1)

    return log_prob


def standard_normal(x):
    return -0.5 * (x * x).sum(-1)


def starts(chains, dim, seed=5):
    return tg.randn(chains, dim, dtype=tg.float64, generator=tg.Generator(seed))


def assert_mean_is(expected, values, deviations=4.5):
    """The mean of values [draws, chains], within its own error."""
    x = tg.tensor(values)
    error = values.std() / np.sqrt(S.effective_sample_size(x).item())
    assert abs(values.mean() - expected) < deviations * error
    assert S.r_hat(x) < 1.05


def conditional(i):
    """x_i given the other one, of the 2-d normal"""
    j, slope = 1 - i, COVARIANCE[0, 1] / COVARIANCE[1 - i, 1 - i]
    width = np.sqrt(COVARIANCE[i, i] - slope * COVARIANCE[0, 1])

    def draw(x, generator):
        z = tg.randn(len(x), dtype=x.dtype, generator=generator)
        return MEAN[i] + slope * (x[:, j] - MEAN[j]) + width * z

    return draw


MASSES = np.array([2.0, 0.5])
HMC = {"step_size": 0.4, "num_steps": 5}
RUNS = {
    "metropolis_hastings": lambda x0, n, g: S.metropolis_hastings(
        normal_2d(), x0, 8 * n, scale=1.2, burn_in=n, generator=g),
    "mala": lambda x0, n, g: S.mala(
        normal_2d(), x0, 5 * n, step_size=0.25, burn_in=n, generator=g),
    "hmc": lambda x0, n, g: S.hmc(normal_2d(), x0, 2 * n, warmup=n // 2, generator=g, **HMC),
    "hmc with masses": lambda x0, n, g: S.hmc(
        normal_2d(), x0, 2 * n, mass=tg.tensor(MASSES), generator=g, **HMC),
    "gibbs": lambda x0, n, g: S.gibbs([conditional(0), conditional(1)], x0, 5 * n, generator=g),
    "random gibbs": lambda x0, n, g: S.gibbs(
        [conditional(0), conditional(1)], x0, 5 * n, random_scan=True, thinning=2, generator=g),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_normal_vector_has_its_moments(name):
    chains = RUNS[name](starts(40, 2), 100, tg.Generator(2))
    x = chains.samples.numpy()
    assert x.shape[1:] == (40, 2) and chains.flat.shape == (x.shape[0] * 40, 2)
    assert ((chains.acceptance_rate > 0.3) & (chains.acceptance_rate <= 1)).all()
    away = x - MEAN
    for i in range(2):
        assert_mean_is(MEAN[i], x[..., i])
        assert_mean_is(COVARIANCE[i, i], away[..., i] ** 2)
    assert_mean_is(COVARIANCE[0, 1], away[..., 0] * away[..., 1])


@pytest.mark.parametrize("name", RUNS)
def test_the_generator_decides(name):
    x, y, z = (RUNS[name](starts(3, 2), 2, tg.Generator(s)).samples for s in (1, 1, 2))
    assert (x == y).all() and not (x == z).all() and not x.requires_grad


def test_float32_stays_float32():
    for run in (lambda x: S.mala(standard_normal, x, 3, step_size=0.1),
                lambda x: S.hmc(standard_normal, x, 3, warmup=3),
                lambda x: S.metropolis_hastings(standard_normal, x, 3),
                lambda x: S.langevin(lambda y: -y, x, 3, step_size=0.1)):  # fmt: skip
        chains = run(tg.zeros(2, 3))
        assert chains.samples.dtype == chains.acceptance_rate.dtype == tg.float32


# ---- Langevin ------------------------------------------------------------------------------------


@pytest.mark.parametrize("h", [0.1, 0.8])
def test_bias_of_unadjusted_langevin_is_that_of_its_recursion(h):
    """x ← (1 - h/σ²) x + √(2h) z has the variance σ² / (1 - h / (2 σ²))."""
    square, n = 1.7, 20000
    score = S.score_of(lambda x: -0.5 * (x * x).sum(-1) / square)
    x0 = np.sqrt(square) * starts(n, 1)
    last = S.langevin(score, x0, 1, step_size=h, burn_in=60, generator=tg.Generator(3)).flat.numpy()
    expected = square / (1 - h / (2 * square))
    assert abs(last.var() - expected) < 4 * expected * np.sqrt(2 / n)


def test_mala_has_no_bias_and_accepts_as_it_should():
    """For a standard normal target the log of the acceptance ratio is -h/4 (|y|² - |x|²)."""
    dim, h, n = 20, 0.4, 4000
    chains = S.mala(standard_normal, starts(n, dim), 20, step_size=h, generator=tg.Generator(4))
    last = chains.samples[-1].numpy()
    assert abs(last.var() - 1) < 4 * np.sqrt(2 / (n * dim))
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((2, 200000, dim))
    y = (1 - h) * x + np.sqrt(2 * h) * z
    expected = np.minimum(1, np.exp(-h / 4 * ((y * y).sum(1) - (x * x).sum(1)))).mean()
    assert abs(chains.acceptance_rate.mean().item() - expected) < 0.006


def test_annealing_finds_modes_in_their_proportion():
    """Two modes 12 apart: Langevin dynamics stays in the one where it starts; annealed, it finds
    both, as the score of the noised mixture leads there."""
    weights, modes = np.array([0.25, 0.75]), np.array([-6.0, 6.0])

    def score(x, sigma):
        d = tg.distributions
        spread = tg.full((2,), np.sqrt(0.25 + sigma**2), dtype=tg.float64)
        mixture = d.MixtureSameFamily(
            d.Categorical(tg.tensor(weights)), d.Normal(tg.tensor(modes), spread)
        )
        return S.score_of(lambda x: mixture.log_prob(x).sum(-1))(x)

    sigmas = np.geomspace(20, 0.05, 18)
    x0 = 20 * starts(1500, 1)
    x = S.annealed_langevin(
        score, x0, sigmas, steps=40, epsilon=4e-4, generator=tg.Generator(1)
    ).numpy()
    right = x > 0
    assert abs(right.mean() - 0.75) < 0.06
    assert abs(x[right].mean() - 6) < 0.1 and abs(x[~right].mean() + 6) < 0.15
    stuck = S.langevin(lambda x: score(x, 0.0), x0 * 0 + 6, 1, step_size=0.1, burn_in=300).flat
    assert (stuck > 0).all()


# ---- Hamiltonian ---------------------------------------------------------------------------------


def step_matrix(h, steps):
    """Of leapfrog for the standard normal, (x, p) ↦ its end"""
    kick, drift = np.array([[1, 0], [-h / 2, 1]]), np.array([[1, h], [0, 1]])
    return np.linalg.matrix_power(kick @ drift @ kick, steps)


def test_leapfrog_is_linear_here_and_runs_backwards():
    x, p = starts(4, 3), starts(4, 3, seed=6)
    y, q, log_p, score = S.leapfrog(standard_normal, x, p, -x, 0.3, 7)
    A = step_matrix(0.3, 7)
    np.testing.assert_allclose(y.numpy(), (A[0, 0] * x + A[0, 1] * p).numpy(), 1e-12)
    np.testing.assert_allclose(q.numpy(), (A[1, 0] * x + A[1, 1] * p).numpy(), 1e-12)
    np.testing.assert_allclose(log_p.numpy(), standard_normal(y).numpy(), 1e-12)
    back, minus, _, _ = S.leapfrog(standard_normal, y, -q, score, 0.3, 7)
    np.testing.assert_allclose(back.numpy(), x.numpy(), 1e-12)
    np.testing.assert_allclose(minus.numpy(), -p.numpy(), 1e-12)


def test_energy_error_is_of_second_order():
    log_prob = lambda x: -(x**4).sum(-1) / 4
    x, p = tg.tensor([[1.0]]).double(), tg.tensor([[0.5]]).double()
    energy = lambda x, p: (p * p / 2 + x**4 / 4).item()
    errors = []
    for steps in (20, 40, 80, 160):
        y, q, _, _ = S.leapfrog(log_prob, x, p, -(x**3), 1.0 / steps, steps)
        errors.append(abs(energy(y, q) - energy(x, p)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 2) < 0.1).all()


def test_hmc_accepts_as_theory_says():
    """2 Φ(-√(μ/2)) in many dimensions, μ the mean energy error, as the error is N(μ, 2μ) (Beskos
    et al. 2013, theorem 3.6); for linear dynamics A, μ is tr(Aᵀ A) / 2 - 1 for each dimension."""
    dim, h, steps = 300, 0.5, 3
    A = step_matrix(h, steps)
    mu = dim * (np.trace(A.T @ A) / 2 - 1)
    chains = S.hmc(standard_normal, starts(400, dim), 20, step_size=h, num_steps=steps, jitter=0.0,
                   generator=tg.Generator(8))  # fmt: skip
    found = chains.acceptance_rate.mean().item()
    assert abs(found - 2 * stats.norm.cdf(-np.sqrt(mu / 2))) < 0.015


@pytest.mark.parametrize("first", [1e-3, 3.0])
def test_warmup_finds_the_step_size(first):
    chains = S.hmc(standard_normal, starts(50, 100), 50, step_size=first, num_steps=3, warmup=150,
                   target_accept=0.7, generator=tg.Generator(1))  # fmt: skip
    assert abs(chains.acceptance_rate.mean().item() - 0.7) < 0.05
    assert 0.1 < chains.step_size < 2


def test_hmc_on_a_banana():
    """x ~ N(0, 1), y | x ~ N((x² - 1) / 2, 1/4): E y = 0, Var y = 3/4, E x² y = 1."""

    def log_prob(p):
        x, y = p[:, 0], p[:, 1]
        return -0.5 * x * x - 2 * (y - 0.5 * x * x + 0.5) ** 2

    chains = S.hmc(log_prob, starts(200, 2), 150, step_size=0.2, num_steps=8,
                   generator=tg.Generator(9))  # fmt: skip
    x, y = chains.samples.numpy()[20:].transpose(2, 0, 1)
    assert_mean_is(1, x * x)
    assert_mean_is(0, y)
    assert_mean_is(0.75, y * y)
    assert_mean_is(1, x * x * y)


# ---- Metropolis and Gibbs on few states ----------------------------------------------------------


def empirical(states, run, n=100000):
    """The share of chains that go in one step from each state (a row of `states`) to each other."""
    found = []
    for state in states:
        x0 = tg.tensor(np.tile(state, (n, 1)))
        x = run(x0).samples[0].numpy()
        found.append([(x == other).all(1).mean() for other in states])
    return np.array(found)


def assert_transitions(P, exact, n=100000):
    assert (np.abs(P - exact) < 4.5 * np.sqrt(exact * (1 - exact) / n) + 1e-12).all()


def assert_reversible(P, pi):
    """Detailed balance: as much goes from i to j as from j to i"""
    flow = pi[:, None] * P
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)


def test_detailed_balance_of_metropolis_hastings_with_an_uneven_proposal():
    pi = np.array([0.1, 0.2, 0.3, 0.4])
    Q = np.array([[0.1, 0.6, 0.2, 0.1], [0.3, 0.1, 0.3, 0.3], [0.5, 0.2, 0.2, 0.1],
                  [0.25, 0.25, 0.4, 0.1]])  # fmt: skip

    def propose(x, generator):
        y = tg.multinomial(tg.tensor(Q[x.numpy()[:, 0]]), 1, generator=generator)
        i, j = x.numpy()[:, 0], y.numpy()[:, 0]
        return y, tg.tensor(np.log(Q[j, i]) - np.log(Q[i, j]))

    ratio = pi[None] * Q.T / (pi[:, None] * Q)
    exact = Q * np.minimum(1, ratio)
    exact += np.diag(1 - exact.sum(1))
    log_pi = tg.tensor(np.log(pi))
    P = empirical(
        np.arange(4)[:, None],
        lambda x0: S.metropolis_hastings(
            lambda x: log_pi[x[:, 0]], x0, 1, proposal=propose, generator=tg.Generator(1)
        ),
    )
    assert_transitions(P, exact)
    assert_reversible(exact, pi)


@pytest.mark.parametrize("random_scan", [False, True])
def test_transitions_of_gibbs(random_scan):
    """Of two bits: one after the other, or one of them, which is reversible."""
    table = np.array([[0.1, 0.2], [0.3, 0.4]])
    ones = [table[1] / table.sum(0), table[:, 1] / table.sum(1)]  # p(x_i = 1 | other)

    def conditional(i):
        def draw(x, generator):
            p = tg.tensor(ones[i])[x[:, 1 - i]]
            return (tg.rand(len(x), dtype=tg.float64, generator=generator) < p).long()

        return draw

    states = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    changes = np.zeros((2, 4, 4))  # from a to b, when bit i is drawn
    for i, a, b in np.ndindex(changes.shape):
        if states[a, 1 - i] == states[b, 1 - i]:
            one = ones[i][states[a, 1 - i]]
            changes[i, a, b] = one if states[b, i] else 1 - one
    exact, pi = changes.mean(0) if random_scan else changes[0] @ changes[1], table.ravel()
    P = empirical(
        states,
        lambda x0: S.gibbs([conditional(0), conditional(1)], x0, 1, random_scan=random_scan,
                           generator=tg.Generator(3)),
    )  # fmt: skip
    assert_transitions(P, exact)
    np.testing.assert_allclose(pi @ exact, pi)
    if random_scan:
        assert_reversible(exact, pi)


# ---- Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: S.mala(standard_normal, tg.zeros(3), 5, step_size=0.1), r"\[chains, dim\]; got"),
        (lambda: S.mala(lambda x: -x * x, tg.zeros(3, 2), 5, step_size=0.1), r"sum over the last"),
        (
            lambda: S.hmc(standard_normal, tg.zeros(3, 2), 0),
            "num_samples must be at least 1; got 0",
        ),
        (lambda: S.hmc(standard_normal, tg.zeros(3, 2), 1, num_steps=0), "num_steps must be at"),
        (lambda: S.hmc(standard_normal, tg.zeros(3, 2), 1, target_accept=1.2), "between 0 and 1"),
        (lambda: S.gibbs([], tg.zeros(3, 2), 1), "for each of the 2 coordinates of x0; got 0"),
        (lambda: S.annealed_langevin(None, tg.zeros(3, 2), [0.1, 1.0]), "from the largest"),
        (lambda: S.metropolis_hastings(standard_normal, tg.zeros(2, 2), 2, thinning=0), "thinning"),
    ],
)
def test_bad_input_gets_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_integers_have_no_gradient():
    with pytest.raises(TypeError, match=r"pass x0.float\(\)"):
        S.mala(standard_normal, tg.zeros(3, 2).long(), 5, step_size=0.1)


def test_a_nan_is_never_accepted():
    log_prob = lambda x: tg.where(x[:, 0] > 0.5, float("nan"), -0.5 * x[:, 0] ** 2)
    for run in (S.metropolis_hastings, S.hmc):
        chains = run(log_prob, -tg.ones(20, 1), 50, generator=tg.Generator(0))
        assert (chains.samples <= 0.5).all() and chains.acceptance_rate.mean() > 0.1
