"""GANs: losses at the optimum that is known for fixed densities, a discriminator that is trained to
it, the divergence that the generator descends, and penalties of critics whose slope is known."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.autograd import grad
from tinygen.models.gan import GAN, LOSSES, gradient_penalty, r1_penalty
from tinygen.models.gan_networks import Conditional, DCGANDiscriminator, MLPDiscriminator

X = np.linspace(-9, 9, 18001)


def normal(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def data_density(x):
    return 0.6 * normal(x, -1.0, 0.5) + 0.4 * normal(x, 1.2, 0.4)


def integral(values):
    return np.trapezoid(values, X)


def relative_entropy(p, q):
    """KL(p ‖ q) of densities on X"""
    return integral(np.where(p > 0, p * np.log(p / q), 0))


def jensen_shannon(p, q):
    return 0.5 * relative_entropy(p, (p + q) / 2) + 0.5 * relative_entropy(q, (p + q) / 2)


def quantiles(density, n=20_000):
    """n points that stand for a density on X: the middles of n pieces of equal probability."""
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp((np.arange(n) + 0.5) / n, cumulative / cumulative[-1], X)


class Shift(nn.Module):
    """The generator θ + z, whose density is N(θ, 1)."""

    latent_dim, shape = 1, (1,)

    def __init__(self, start):
        super().__init__()
        self.shift = nn.Parameter(tg.tensor(start, dtype=tg.float64))

    def forward(self, z):
        return self.shift + z


class Score(nn.Module):
    """A discriminator that is any function of arrays of real numbers."""

    def __init__(self, function, shape=(1,)):
        super().__init__()
        self.function, self.shape = function, shape

    def forward(self, x):
        return self.function(x)


# ---- Losses --------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


EXPECTED = {  # of NumPy arrays: the discriminator's loss, and the generator's
    "minimax": (
        lambda r, f: -np.log(sigmoid(r)).mean() - np.log(1 - sigmoid(f)).mean(),
        lambda f: np.log(1 - sigmoid(f)).mean(),
    ),
    "non-saturating": (
        lambda r, f: -np.log(sigmoid(r)).mean() - np.log(1 - sigmoid(f)).mean(),
        lambda f: -np.log(sigmoid(f)).mean(),
    ),
    "hinge": (
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda f: -f.mean(),
    ),
    "least-squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f: ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_at_known_scores(name):
    real, fake = np.array([-3.0, 0.0, 0.5, 4.0, 9.0]), np.array([-5.0, -1.0, 0.25, 2.0])
    for_discriminator, for_generator = EXPECTED[name]
    found = LOSSES[name].discriminator(tg.tensor(real), tg.tensor(fake)).item()
    assert found == pytest.approx(for_discriminator(real, fake), rel=1e-12)
    found = LOSSES[name].generator(tg.tensor(fake)).item()
    assert found == pytest.approx(for_generator(fake), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_scores_however_large_are_finite(name):
    scores = tg.tensor([-1e4, 1e4, 0.0], dtype=tg.float32, requires_grad=True)
    loss = LOSSES[name].discriminator(scores, scores) + LOSSES[name].generator(scores)
    loss.backward()
    assert np.isfinite(loss.item()) and np.isfinite(scores.grad.array).all()


def test_the_minimax_loss_saturates_and_its_twin_does_not():
    """Where D(G(z)) ≈ 0, as at the beginning (Goodfellow et al. 2014, section 3)."""
    slopes = {}
    for name in ("minimax", "non-saturating"):
        score = tg.tensor([-20.0], dtype=tg.float64, requires_grad=True)
        slopes[name] = grad(LOSSES[name].generator(score), score)[0].item()
    assert slopes["minimax"] == pytest.approx(-math.exp(-20), rel=1e-8)
    assert slopes["non-saturating"] == pytest.approx(-1, rel=1e-8)


# ---- The best discriminator of two densities -----------------------------------------------------

P, Q = data_density(X), normal(X, 0.2, 1.0)
BEST = {  # name: (the best score at x, the loss there)
    "non-saturating": (lambda p, q: np.log(p / q), math.log(4) - 2 * jensen_shannon(P, Q)),
    "least-squares": (lambda p, q: p / (p + q), integral(P * Q / (P + Q)) / 2),
    "hinge": (lambda p, q: np.sign(p - q), 2 * integral(np.minimum(P, Q))),
}


@pytest.mark.parametrize("name", BEST)
def test_the_best_discriminator_has_the_loss_of_theory_and_none_has_less(name):
    """−log 4 + 2 JSD is the value of the game, minus the loss (Goodfellow et al. 2014, theorem 1);
    hinge: Lim & Ye 2017, section 3; least squares: Mao et al. 2017, equation 4."""
    score, least = BEST[name]
    real, fake = quantiles(P), quantiles(Q)
    at = lambda x: score(data_density(x), normal(x, 0.2, 1.0))
    loss = lambda bump: (
        LOSSES[name]
        .discriminator(tg.tensor(at(real) + bump(real)), tg.tensor(at(fake) + bump(fake)))
        .item()
    )
    assert loss(np.zeros_like) == pytest.approx(least, abs=2e-4)
    for bump in (np.ones_like, np.sin, np.cos, lambda x: np.exp(-(x**2))):
        for size in (-0.1, 0.1):
            assert loss(lambda x: size * bump(x)) > loss(np.zeros_like)  # noqa: B023


def trained_scores(name, steps=700):
    """The scores on X of a discriminator trained on samples of the two densities."""
    tg.manual_seed(0)
    rng = np.random.default_rng(0)
    gan = GAN(Shift(0.2), MLPDiscriminator((1,), (32, 32)).double(), name)
    optimizer = tg.optim.Adam(gan.discriminator.parameters(), lr=1e-2)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        first = rng.random((1024, 1)) < 0.6
        draws = rng.standard_normal((1024, 1))
        real = np.where(first, 0.5 * draws - 1.0, 0.4 * draws + 1.2)
        gan.discriminator_loss(tg.tensor(real)).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    with tg.no_grad():
        return gan.discriminator(tg.tensor(X[:, None])).array


def test_the_trained_discriminator_is_p_over_p_plus_q():
    found, best = sigmoid(trained_scores("non-saturating")), P / (P + Q)
    assert integral(abs(found - best) * (P + Q) / 2) < 0.015
    value = integral(P * np.log(found) + Q * np.log1p(-found))
    best_value = -math.log(4) + 2 * jensen_shannon(P, Q)
    assert best_value - 0.004 < value < best_value
    # What is missing is how far the Bernoulli D(x) is from D*(x), on average over x.
    divergence = best * np.log(best / found) + (1 - best) * np.log((1 - best) / (1 - found))
    assert best_value - value == pytest.approx(integral((P + Q) * divergence), rel=1e-6)


def test_with_least_squares_the_score_itself_is_p_over_p_plus_q():
    found = trained_scores("least-squares")
    assert integral(abs(found - P / (P + Q)) * (P + Q) / 2) < 0.02


def test_told_the_class_the_discriminator_has_a_best_for_each():
    """p(x | y) / (p(x | y) + q(x)) for data N(-1, 0.5²) of class 0 and N(1.2, 0.4²) of class 1."""

    class Same(Shift):
        def forward(self, z, labels):
            return super().forward(z)

    gan = GAN(Same(0.2), Conditional(MLPDiscriminator((3,), (32, 32)), 2).double())
    optimizer = tg.optim.Adam(gan.discriminator.parameters(), lr=1e-2)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 700)
    rng = np.random.default_rng(0)
    for _ in range(700):
        labels, draws = rng.integers(0, 2, 1024), rng.standard_normal(1024)
        real = np.where(labels == 0, 0.5 * draws - 1.0, 0.4 * draws + 1.2)[:, None]
        gan.discriminator_loss(tg.tensor(real), labels=tg.tensor(labels)).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    for label, p in enumerate((normal(X, -1.0, 0.5), normal(X, 1.2, 0.4))):
        with tg.no_grad():
            score = gan.discriminator(tg.tensor(X[:, None]), tg.full((len(X),), label))
        found = sigmoid(score.array)
        assert integral(abs(found - p / (p + Q)) * (p + Q) / 2) < 0.02


@pytest.mark.parametrize("shift", [-0.7, 0.2, 1.5])
@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("minimax", lambda p, q: 2 * jensen_shannon(p, q)),
        ("non-saturating", lambda p, q: relative_entropy(q, p) - 2 * jensen_shannon(p, q)),
    ],
)
def test_the_generator_descends_the_divergence_of_theory(name, objective, shift):
    """Against the best discriminator: JSD (Goodfellow et al. 2014, theorem 1), and KL − 2 JSD
    (Arjovsky & Bottou 2017, "Towards principled methods", theorem 2.5)."""

    def log_ratio(x):
        parts = [math.log(w / s) - 0.5 * ((x - m) / s) ** 2
                 for w, m, s in ((0.6, -1.0, 0.5), (0.4, 1.2, 0.4))]  # fmt: skip
        return tg.logaddexp(*parts).squeeze(1) + 0.5 * ((x - shift) ** 2).squeeze(1)

    generator = Shift(shift)
    gan = GAN(generator, Score(log_ratio), name)
    z = tg.tensor(quantiles(normal(X, 0.0, 1.0))[:, None])
    (found,) = grad(gan.generator_loss(z), generator.shift)
    at = lambda theta: objective(P, normal(X, theta, 1.0))
    expected = (at(shift + 1e-4) - at(shift - 1e-4)) / 2e-4
    assert found.item() == pytest.approx(expected, rel=2e-3, abs=2e-4)


# ---- Penalties -----------------------------------------------------------------------------------


def draw(*shape, seed=0):
    return tg.tensor(np.random.default_rng(seed).standard_normal(shape))


def seeded(penalty, *args):
    """The penalty with the same α whenever it is called."""
    return penalty(*args, generator=tg.Generator(3)) if penalty is gradient_penalty else (
        penalty(args[0], args[1])
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4)])
def test_penalties_of_a_linear_critic(shape):
    """‖w‖ is its slope everywhere: over all numbers of a sample, whatever their shape."""
    w = (3 * draw(*shape)).requires_grad_()
    critic = lambda x: (x * w).flatten(1).sum(1) + 5.0
    real, fake = draw(7, *shape, seed=1), draw(7, *shape, seed=2)
    norm = math.sqrt((w.array**2).sum())
    penalty, r1 = gradient_penalty(critic, real, fake), r1_penalty(critic, real)
    assert penalty.item() == pytest.approx((norm - 1) ** 2, rel=1e-12)
    assert r1.item() == pytest.approx(norm**2, rel=1e-12)
    np.testing.assert_allclose(grad(penalty, w)[0].array, 2 * (1 - 1 / norm) * w.array, rtol=1e-12)
    np.testing.assert_allclose(grad(r1, w)[0].array, 2 * w.array, rtol=1e-12)


def test_penalties_of_a_quadratic_critic():
    """D(x) = ½ xᵀA x has the slope A x: (‖A x̂‖ − 1)² is that of the x̂ that it was asked at."""
    A = draw(3, 3).array
    A, seen = A + A.T, []

    def critic(x):
        seen.append(x.array)
        return 0.5 * (x @ tg.tensor(A) * x).sum(1)

    real, fake = draw(9, 3, seed=1), draw(9, 3, seed=2)
    found = gradient_penalty(critic, real, fake).item()
    slopes = np.linalg.norm(seen[0] @ A, axis=1)
    assert found == pytest.approx(((slopes - 1) ** 2).mean(), rel=1e-12)
    assert r1_penalty(critic, real).item() == pytest.approx(
        ((real.array @ A) ** 2).sum(1).mean(), rel=1e-12
    )


def test_the_penalty_is_taken_on_straight_lines_between_pairs():
    """x̂ = α x + (1 − α) G(z): one α a sample, uniform in [0, 1]."""
    real, fake, seen = draw(4000, 2, 2, 3, seed=1), draw(4000, 2, 2, 3, seed=2), []

    def critic(x):
        seen.append(x.array)
        return x.flatten(1).sum(1)

    gradient_penalty(critic, real, fake)
    along = (seen[0] - fake.array) / (real.array - fake.array)
    alpha = along.reshape(4000, -1)
    np.testing.assert_allclose(alpha, np.broadcast_to(alpha[:, :1], alpha.shape), atol=1e-6)
    steps = np.sort(alpha[:, 0]) - (np.arange(4000) + 0.5) / 4000  # Kolmogorov and Smirnov's
    assert abs(steps).max() < 1.95 / math.sqrt(4000)  # passes 999 of 1,000 uniform samples


@pytest.mark.parametrize("penalty", [gradient_penalty, r1_penalty])
@pytest.mark.parametrize(
    "critic",
    [
        MLPDiscriminator((1, 4, 4), (8, 6)),
        MLPDiscriminator((1, 4, 4), (8, 6), norm="layer"),
        MLPDiscriminator((1, 4, 4), (8, 6), spectral_norm=True),
        DCGANDiscriminator((1, 4, 4), 3, 2, norm="layer"),
        DCGANDiscriminator((1, 4, 4), 3, 2, norm=None, spectral_norm=True),
    ],
    ids=["MLP", "MLP, layer norm", "MLP, spectral norm", "DCGAN, layer norm", "DCGAN, spectral"],
)
def test_gradients_of_penalties_by_finite_differences(penalty, critic):
    critic = critic.double().eval()  # so that spectral norm makes no steps
    rng = np.random.default_rng(0)
    parameters = list(critic.parameters())
    for p in parameters:
        p.array[...] = 0.7 * rng.standard_normal(p.shape)
    real, fake = draw(5, 1, 4, 4, seed=1), draw(5, 1, 4, 4, seed=2)
    directions = [rng.standard_normal(p.shape) for p in parameters]

    def at(step):
        for p, d in zip(parameters, directions):
            p.array[...] += step * d
        value = seeded(penalty, critic, real, fake).item()
        for p, d in zip(parameters, directions):
            p.array[...] -= step * d
        return value

    found = grad(seeded(penalty, critic, real, fake), parameters, materialize_grads=True)
    slope = sum((g.array * d).sum() for g, d in zip(found, directions))
    assert slope == pytest.approx((at(1e-6) - at(-1e-6)) / 2e-6, rel=1e-5)


def test_penalties_of_a_batch_are_the_means_of_those_of_its_samples():
    for norm in ("layer", None):
        critic = MLPDiscriminator((2,), (8, 8), norm=norm).double()
        real = draw(6, 2)
        alone = [r1_penalty(critic, real[i : i + 1]).item() for i in range(6)]
        assert r1_penalty(critic, real).item() == pytest.approx(np.mean(alone), rel=1e-12)


def test_a_critic_under_penalty_finds_the_slope_of_theory():
    """Two points at distance s: −s a + λ (a − 1)² is least at the slope a = 1 + s / 2λ, across."""
    here, there = np.array([1.0, 2.0]), np.array([4.0, -2.0])

    class There(Shift):
        latent_dim, shape = 2, (2,)

        def forward(self, z):
            return tg.tensor(there) + self.shift * z

    critic = MLPDiscriminator((2,), ()).double()
    gan = GAN(There(0.0), critic, "wasserstein", gradient_penalty_weight=10.0)
    optimizer = tg.optim.SGD(critic.parameters(), lr=0.02)
    real = tg.tensor(np.tile(here, (4, 1)))
    for _ in range(300):
        loss = gan.discriminator_loss(real)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    across = here - there
    expected = (1 + 5 / 20) * across / 5
    np.testing.assert_allclose(critic.layers[0].weight.array[0], expected, rtol=1e-6)
    assert loss.item() == pytest.approx(-5 - 25 / 40, rel=1e-9)


# ---- The game ------------------------------------------------------------------------------------


def test_penalties_enter_the_loss_with_their_weights():
    critic, real, z = MLPDiscriminator((1,), (8,)).double(), draw(6, 1), draw(6, 1, seed=1)
    make = lambda **weights: GAN(Shift(0.5), critic, "hinge", **weights)
    loss = lambda **weights: make(**weights).discriminator_loss(real, z).item()
    plain = loss()
    assert loss(r1_gamma=3.0) - plain == pytest.approx(1.5 * r1_penalty(critic, real).item())
    tg.manual_seed(5)
    found = loss(gradient_penalty_weight=10.0) - plain
    tg.manual_seed(5)
    assert found == pytest.approx(10 * gradient_penalty(critic, real, z + 0.5).item())


def test_each_loss_has_gradients_for_its_own_network_only():
    gan = GAN(Shift(0.5), MLPDiscriminator((1,), (8,)).double(), gradient_penalty_weight=1.0)
    own, others = list(gan.generator.parameters()), list(gan.discriminator.parameters())
    gan.generator_loss(5).backward()
    assert all(p.grad is None and p.requires_grad for p in others)
    assert all(p.grad is not None for p in own)
    gan.zero_grad()
    gan.discriminator_loss(draw(5, 1)).backward()
    assert all(p.grad is None and p.requires_grad for p in own)
    assert all(p.grad is not None for p in others)


def test_the_generator_keeps_what_was_frozen_frozen():
    gan = GAN(Shift(0.5), MLPDiscriminator((1,), (8,)).double())
    first = next(gan.discriminator.parameters()).requires_grad_(False)
    gan.generator_loss(5).backward()
    assert not first.requires_grad


def test_batch_norm_sees_real_and_fake_samples_apart():
    """Together, the statistics of the one would give away the other."""
    gan = GAN(Shift(50.0), MLPDiscriminator((1,), (8, 8), norm="batch").double())
    seen = []
    gan.discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].array))
    gan.discriminator_loss(draw(6, 1))
    assert [len(batch) for batch in seen] == [6, 6]
    assert seen[0].max() < 10 and seen[1].min() > 40


@pytest.mark.parametrize("name", LOSSES)
def test_a_generator_learns_where_the_data_are(name):
    """θ + z from θ = −2 to the data, N(1, 1), where R1 lets it come to rest (Mescheder 2018)."""
    gan = GAN(Shift(-2.0), MLPDiscriminator((1,), (32,)).double(), name, r1_gamma=1.0)
    for_d = tg.optim.Adam(gan.discriminator.parameters(), lr=1e-2, betas=(0.0, 0.9))
    for_g = tg.optim.Adam(gan.generator.parameters(), lr=2e-2, betas=(0.0, 0.9))
    places = []
    for step in range(500):
        gan.discriminator_loss(draw(128, 1, seed=step) + 1.0).backward()
        for_d.step()
        for_d.zero_grad()
        gan.generator_loss(128).backward()
        for_g.step()
        for_g.zero_grad()
        places.append(gan.generator.shift.item())
    assert np.mean(places[-200:]) == pytest.approx(1.0, abs=0.15)


def test_samples_are_drawn_from_the_generator_given():
    gan = GAN(Shift(7.0), Score(None))
    first, second = (gan.sample(3, generator=tg.Generator(1)) for _ in range(2))
    assert first.shape == (3, 1) and not first.requires_grad and first.dtype == tg.float64
    np.testing.assert_array_equal(first.array, second.array)
    np.testing.assert_array_equal(
        first.array, 7 + tg.randn(3, 1, dtype=tg.float64, generator=tg.Generator(1)).array
    )


# ---- Mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_data_that_are_not_finite_are_refused(bad):
    gan = GAN(Shift(0.0), MLPDiscriminator((1,), (4,)).double())
    with pytest.raises(ValueError, match="1 of the 3 real samples holds NaN or infinity"):
        gan.discriminator_loss(tg.tensor([[0.0], [bad], [1.0]], dtype=tg.float64))


def test_mistakes_get_a_sentence():
    generator, discriminator = Shift(0.0), MLPDiscriminator((1,), (4, 4)).double()
    with pytest.raises(ValueError, match=r"minimax, non-saturating, hinge.*not 'lsgan'"):
        GAN(generator, discriminator, "lsgan")
    with pytest.raises(ValueError, match="must not be negative"):
        GAN(generator, discriminator, r1_gamma=-1.0)
    with pytest.raises(ValueError, match=r"shape \(1,\), but the discriminator takes \(2,\)"):
        GAN(generator, MLPDiscriminator((2,)))
    with pytest.raises(ValueError, match="batch norm in the discriminator mixes the samples"):
        GAN(generator, MLPDiscriminator((1,), norm="batch"), gradient_penalty_weight=10.0)
    with pytest.raises(ValueError, match=r"in pairs.*\(3, 1\) and \(4, 1\)"):
        gradient_penalty(discriminator, draw(3, 1), draw(4, 1))
    with pytest.raises(ValueError, match=r"samples \[batch, 1\], not \[3, 2\]"):
        GAN(generator, discriminator).discriminator_loss(draw(3, 2))
