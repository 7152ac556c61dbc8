"""DDPM: the chain against its published formulas, losses and bounds against those of normal data,
guidance and inpainting against the conditional distributions of a mixture."""

import math

import numpy as np
import pytest
from models.exact_networks import (
    MEANS,
    STD,
    WEIGHTS,
    OfNormal,
    f64,
    kolmogorov_smirnov,
    mixture,
    trained,
)  # fmt: skip

import tinygen as tg
from tinygen import sde
from tinygen.metrics import sliced_wasserstein
from tinygen.models.diffusion import DDPM
from tinygen.models.diffusion import WEIGHTS as LOSS_WEIGHTS
from tinygen.nn import MLPDenoiser

BETAS = np.linspace(1e-3, 0.15, 40)
ALPHA_BAR = np.cumprod(1 - BETAS)


def chain():
    return DDPM(MLPDenoiser(2, 8, 1), sde.DiscreteSchedule(BETAS), len(BETAS))


# ---- The chain -----------------------------------------------------------------------------------


def test_noise_is_added_as_published():
    """x_n = √ᾱ_n x_0 + √(1 - ᾱ_n) ε (Ho, Jain & Abbeel 2020, equation 4)."""
    x0, noise, n = tg.randn(3, 2, **f64), tg.randn(3, 2, **f64), tg.tensor([1, 17, 40])
    bar = ALPHA_BAR[n.array - 1][:, None]
    expected = np.sqrt(bar) * x0.array + np.sqrt(1 - bar) * noise.array
    np.testing.assert_allclose(chain().q_sample(x0, n, noise).array, expected, rtol=1e-10)


def test_the_posterior_is_the_published_one():
    """Equation 7."""
    x0, xn, n = tg.randn(3, 2, **f64), tg.randn(3, 2, **f64), tg.tensor([2, 17, 40])
    beta, bar, before = (v[:, None] for v in (BETAS[n.array - 1], ALPHA_BAR[n.array - 1],
                                              ALPHA_BAR[n.array - 2]))  # fmt: skip
    mean, variance = chain().q_posterior(x0, xn, n)
    expected = np.sqrt(before) * beta / (1 - bar) * x0.array
    expected = expected + np.sqrt(1 - beta) * (1 - before) / (1 - bar) * xn.array
    np.testing.assert_allclose(mean.array, expected, rtol=1e-9)
    np.testing.assert_allclose(variance.array, (1 - before) / (1 - bar) * beta, rtol=1e-9)
    first, none = chain().q_posterior(x0, xn, tg.tensor([1, 1, 1]))  # x_0 itself
    np.testing.assert_allclose(first.array, x0.array, rtol=1e-9, atol=1e-12)
    assert none.array.max() < 1e-12


def test_forward_and_posterior_steps_give_the_same_pairs():
    """x_0 -> x_n -> x_{n-1} by the posterior has the mean and the variance of x_0 -> x_{n-1}."""
    ddpm, N = chain(), 40_000
    x0, n = tg.full((N, 1), 1.5, **f64), tg.full((N,), 25)
    xn = ddpm.q_sample(x0, n, tg.randn(N, 1, **f64))
    mean, variance = ddpm.q_posterior(x0, xn, n)
    before = (mean + variance.sqrt() * tg.randn(N, 1, **f64)).array
    alpha, sigma = math.sqrt(ALPHA_BAR[23]), math.sqrt(1 - ALPHA_BAR[23])
    assert before.mean() == pytest.approx(1.5 * alpha, abs=5 * sigma / math.sqrt(N))
    assert before.std() == pytest.approx(sigma, rel=5 / math.sqrt(2 * N))


@pytest.mark.parametrize("variance", ["small", "large"])
def test_a_step_back_is_algorithm_2(variance):
    """x_{n-1} = (x_n - β/√(1 - ᾱ_n) ε) / √(1 - β) + σ z."""
    epsilon, x, z = (tg.randn(5, 2, **f64) for _ in range(3))
    denoiser = sde.Denoiser(lambda x, t: epsilon, sde.DiscreteSchedule(BETAS), "epsilon")
    n, beta = 17, BETAS[16]
    found = sde.Ancestral(variance)(denoiser, x, n / 40, (n - 1) / 40, lambda x: z)
    mean = (x - beta / math.sqrt(1 - ALPHA_BAR[16]) * epsilon) / math.sqrt(1 - beta)
    share = (1 - ALPHA_BAR[15]) / (1 - ALPHA_BAR[16]) if variance == "small" else 1
    np.testing.assert_allclose(found.array, (mean + math.sqrt(share * beta) * z).array, rtol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 0.6])
def test_a_step_of_ddim_is_equation_12(eta):
    epsilon, x, z = (tg.randn(5, 2, **f64) for _ in range(3))
    denoiser = sde.Denoiser(lambda x, t: epsilon, sde.DiscreteSchedule(BETAS), "epsilon")
    bar, before = ALPHA_BAR[29], ALPHA_BAR[19]  # from step 30 to step 20
    sigma = eta * math.sqrt((1 - before) / (1 - bar) * (1 - bar / before))
    x0 = (x - math.sqrt(1 - bar) * epsilon) / math.sqrt(bar)
    expected = math.sqrt(before) * x0 + math.sqrt(1 - before - sigma**2) * epsilon + sigma * z
    found = sde.DDIM(eta)(denoiser, x, 30 / 40, 20 / 40, lambda x: z)
    np.testing.assert_allclose(found.array, expected.array, rtol=1e-8)


# ---- Losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", sde.PREDICTIONS)
@pytest.mark.parametrize("weight", LOSS_WEIGHTS)
def test_the_loss_of_the_best_network_for_normal_data(prediction, weight):
    """E (x0 - E[x0 | x])² = s² σ² / (α² s² + σ²), times the weight, over all steps."""
    std, steps, B = 0.7, 12, 60_000
    schedule = sde.LinearSchedule(0.5, 6.0)
    n = tg.arange(1, steps + 1)
    ddpm = DDPM(OfNormal(schedule, std, prediction), schedule, steps, prediction, weight)
    t = ddpm.time(n)
    alpha, sigma = schedule.alpha(t).array, schedule.sigma(t).array
    snr, of_x0 = (alpha / sigma) ** 2, std**2 * sigma**2 / (alpha**2 * std**2 + sigma**2)
    slopes = schedule.alpha_slope(t).array, schedule.sigma_slope(t).array
    larger = {  # by how much the error of a prediction is larger than that of x0
        "epsilon": snr, "x0": 1.0, "v": 1 / sigma**2, "score": snr / sigma**2,
        "velocity": (slopes[0] - slopes[1] * alpha / sigma) ** 2,
    }[prediction]  # fmt: skip
    weights = {
        "simple": larger, "snr": snr, "truncated snr": np.maximum(snr, 1),
        "min snr": np.minimum(snr, 5),
    }[weight]  # fmt: skip
    tg.manual_seed(0)
    found = ddpm.loss(std * tg.randn(B, 1, **f64)).item()
    squares = 3 * (weights * of_x0) ** 2
    error = math.sqrt((squares.mean() - (weights * of_x0).mean() ** 2) / B)
    assert found == pytest.approx((weights * of_x0).mean(), abs=5 * error)


def even_steps(N):
    """A chain that goes from α²/σ² = 10⁴ to 10⁻³ by equal factors."""
    snr = np.geomspace(1e4, 1e-3, N)
    alpha_bar = np.concatenate([[1.0], snr / (1 + snr)])
    return sde.DiscreteSchedule(1 - alpha_bar[1:] / alpha_bar[:-1])


def test_the_variational_bound_tends_to_the_likelihood():
    """From above, and like 1/N: for data N(0, s²), whose likelihood is known. The sum over steps
    of (r - 1 - ln r)/2, r the factor between them, is (ln 10⁷)²/4N for each dimension, where
    noise is less than data; where it is more, there is nothing to lose."""
    std, d = 0.6, 3
    tg.manual_seed(0)
    x0 = std * tg.randn(8000, d, **f64)
    exact = (x0.array**2).sum(1) / (2 * std**2) + d * math.log(std * math.sqrt(2 * math.pi))
    gaps = []
    for steps in (40, 80, 160):
        schedule = even_steps(steps)
        ddpm = DDPM(OfNormal(schedule, std, "epsilon"), schedule, steps)
        gaps.append((trained(ddpm, x0).variational_bound(x0).array - exact).mean() / d)
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.2)
    assert gaps[1] / gaps[2] == pytest.approx(2, rel=0.2)
    assert 0 < gaps[2] < math.log(1e7) ** 2 / (4 * 160)


def test_a_trained_network_has_nearly_the_exact_score_and_gives_the_mixture():
    tg.manual_seed(0)
    exact = mixture(sde.CosineSchedule(), MEANS.astype(np.float32))
    ddpm = DDPM(MLPDenoiser(2, 64, 2), exact.schedule, steps=100, prediction="v")
    optimizer = tg.optim.Adam(ddpm.parameters(), lr=3e-3)
    decay = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        ddpm.loss(exact.sample(256)).backward()
        optimizer.step()
        optimizer.zero_grad()
        decay.step()
    data, errors = exact.sample(2000), []
    for t in (0.1, 0.3, 0.5, 0.8):
        time = tg.full((2000,), t)
        x = exact.schedule.alpha(time)[:, None] * data
        x = x + exact.schedule.sigma(time)[:, None] * tg.randn(2000, 2)
        with tg.no_grad():
            found, truth = ddpm.denoiser().score(x, time).array, exact.score(x, time).array
        errors.append(((found - truth) ** 2).mean() / (truth**2).mean())
    assert max(errors) < 0.05
    floor = sliced_wasserstein(exact.sample(2000), data)
    for sampler, steps in ((sde.Ancestral(), 100), (sde.DDIM(), 20)):
        x = ddpm.sample((2000, 2), sampler, steps)
        assert sliced_wasserstein(x, data) < 2 * floor + 0.1
    assert sliced_wasserstein(tg.randn(2000, 2), data) > 0.5


# ---- Something given -----------------------------------------------------------------------------


class Conditional(tg.nn.Module):
    """The exact score given the component, and of all of them together: class 3."""

    def __init__(self, schedule):
        super().__init__()
        self.schedule, self.means = schedule, tg.tensor(np.vstack([MEANS, [[0.0, 0.0]]]))
        self.all, self.calls = mixture(schedule), 0

    def null_condition(self, condition):
        return tg.full_like(condition, 3)

    def forward(self, x, t, condition):
        self.calls += 1
        alpha, sigma = self.schedule.alpha(t)[:, None], self.schedule.sigma(t)[:, None]
        score = (alpha * self.means[condition] - x) / (alpha**2 * STD**2 + sigma**2)
        return tg.where((condition == 3)[:, None], self.all.score(x, t), score)


def logits(schedule):
    """log p_t(x, k) [B, 3]"""
    parts = [mixture(schedule, MEANS[k : k + 1], WEIGHTS[k : k + 1]) for k in range(3)]
    return lambda x, t: (
        tg.stack([part.log_prob(x, t) for part in parts], -1) + tg.tensor(np.log(WEIGHTS))
    )


@pytest.mark.parametrize("prediction", ["epsilon", "score", "v"])
def test_both_kinds_of_guidance_are_bayes_rule(prediction):
    """∇ log p + s ∇ log p(y | x), the second term by a classifier, or by a difference of scores."""
    schedule, scale = sde.LinearSchedule(), 2.5
    network, classes = Conditional(schedule), tg.tensor([0, 1, 2, 2, 0])
    scores = sde.Denoiser(network, schedule, "score")
    convert = lambda x, t, c: scores.given(c).predict(prediction, x, t)
    convert_with_null = type("", (), {"__call__": staticmethod(convert),
                                      "null_condition": network.null_condition})()  # fmt: skip
    denoiser = sde.Denoiser(convert_with_null, schedule, prediction)
    x, t = 2 * tg.randn(5, 2, **f64), tg.tensor([0.1, 0.3, 0.5, 0.7, 0.9], **f64)
    network.calls = 0
    free = sde.classifier_free_guidance(denoiser, classes, scale).score(x, t)
    assert network.calls == 1  # both in one
    all_of_them = sde.Denoiser(network.all.score, schedule, "score")
    by_classifier = sde.classifier_guidance(all_of_them, logits(schedule), classes, scale)
    np.testing.assert_allclose(free.array, by_classifier.score(x, t).array, rtol=1e-6, atol=1e-8)
    plain = sde.classifier_free_guidance(denoiser, classes, 1.0).score(x, t)
    np.testing.assert_allclose(plain.array, network(x, t, classes).array, rtol=1e-7)
    none = sde.classifier_free_guidance(denoiser, classes, 0.0).score(x, t)
    np.testing.assert_allclose(none.array, network.all.score(x, t).array, rtol=1e-7)


def test_a_classifier_makes_samples_of_its_class():
    schedule, N = sde.LinearSchedule(), 1500
    tg.manual_seed(0)
    denoiser = sde.classifier_guidance(
        mixture(schedule).denoiser(), logits(schedule), tg.full((N,), 1)
    )
    x = sde.sample(denoiser, (N, 2), sde.Ancestral(), 100, **f64).array
    for axis in range(2):
        assert kolmogorov_smirnov(x[:, axis], MEANS[1, axis], STD, np.ones(1)) < 1.95


def test_more_guidance_makes_samples_surer():
    schedule, N = sde.LinearSchedule(), 400
    tg.manual_seed(0)
    classes, network = tg.full((N,), 2), Conditional(schedule)
    denoiser = sde.Denoiser(network, schedule, "score")
    sure = []
    for scale in (0.0, 1.0, 3.0):
        guided = sde.classifier_free_guidance(denoiser, classes, scale)
        x = sde.sample(guided, (N, 2), sde.DDIM(), 40, **f64)
        log_probs = tg.log_softmax(logits(schedule)(x, tg.tensor(0.0, **f64)), -1)
        sure.append(log_probs[:, 2].mean().item())
    assert sure[0] < sure[1] < sure[2] < 0


def test_a_classifier_free_model_by_a_network():
    """Classes learned with dropout: samples of each are where they belong."""
    tg.manual_seed(0)
    ddpm = DDPM(MLPDenoiser(2, 64, 2, num_classes=3), sde.CosineSchedule(), 50, "v")
    optimizer = tg.optim.Adam(ddpm.parameters(), lr=3e-3)
    for _ in range(300):
        k = tg.randint(0, 3, (128,))
        x0 = tg.tensor(MEANS[k.array], dtype=tg.float32) + STD * tg.randn(128, 2)
        ddpm.loss(x0, k).backward()
        optimizer.step()
        optimizer.zero_grad()
    classes = tg.arange(300) % 3
    for guidance in (1.0, 2.0):
        x = ddpm.sample((300, 2), condition=classes, guidance=guidance).array
        distance = ((x[:, None] - MEANS) ** 2).sum(-1)
        assert (distance.argmin(1) == classes.array).mean() > 0.95
    assert ddpm.sample((10, 2)).shape == (10, 2)  # of none in particular


@pytest.mark.parametrize("sampler", [sde.Ancestral(), sde.DDIM(), sde.EulerMaruyama()])
def test_inpainting_gives_the_conditional_distribution(sampler):
    """Of normals with correlation ρ: given the first, the second is N(ρ first, 1 - ρ²). That
    replacement alone does not get there is known (Lugmayr et al. 2022, section 4.1)."""
    schedule, N, rho, first = sde.LinearSchedule(), 2000, 0.8, 1.5
    values, vectors = np.linalg.eigh([[1, rho], [rho, 1]])
    vectors, values = tg.tensor(vectors), tg.tensor(values)

    def score(x, t):
        alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
        return -((x @ vectors) / (alpha**2 * values + sigma**2)) @ vectors.T

    denoiser, tell = sde.Denoiser(score, schedule, "score"), {}
    known, mask = tg.full((N, 2), first, **f64), tg.tensor([True, False])
    for resample in (1, 10):
        tg.manual_seed(0)
        repaint = sde.Inpaint(sampler, known, mask, resample)
        x = sde.sample(denoiser, (N, 2), repaint, 60, **f64).array
        assert (x[:, 0] == first).all()
        tell[resample] = x[:, 1]
    error = {n: abs(x.mean() - rho * first) for n, x in tell.items()}
    assert error[10] < 0.15 and error[10] < error[1] / 2
    assert tell[10].std() == pytest.approx(math.sqrt(1 - rho**2), rel=0.2)


def test_clipping_holds_the_data_in_their_range():
    denoiser = sde.clipped(mixture(sde.LinearSchedule()).denoiser(), -1.0, 1.0)
    x = sde.sample(denoiser, (200, 2), sde.DDIM(), 20, **f64).array
    assert np.abs(x).max() <= 1 and np.abs(x).max() > 0.99


# ---- Mistakes ------------------------------------------------------------------------------------


def test_mistakes_get_a_sentence():
    network = MLPDenoiser(2, 8, 1)
    with pytest.raises(ValueError, match="min snr, not 'vlb'"):
        DDPM(network, weight="vlb")
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        DDPM(network, steps=0)
    with pytest.raises(ValueError, match=r"lie in \(0, 1\)|lies in \(0, 1\)"):
        DDPM(network, sde.DiscreteSchedule([0.5, 1.0]), 2)
    ddpm = DDPM(network, steps=50)
    with tg.no_grad():
        ddpm.loss(tg.randn(4, 2))  # which is no training
    with pytest.raises(RuntimeError, match="DDPM: this model was never trained"):
        ddpm.sample((4, 2))
    trained(ddpm, tg.randn(4, 2))
    with pytest.raises(ValueError, match="trained with 50 steps, and knows no times between"):
        ddpm.sample((4, 2), steps=51)
    with pytest.raises(ValueError, match="knows no classes"):
        ddpm.sample((4, 2), condition=tg.tensor([0, 1, 2, 3]), guidance=2.0)
    x = tg.randn(4, 2)
    with pytest.raises(ValueError, match="mask is bool"):
        sde.Inpaint(sde.DDIM(), x, tg.ones(4, 2))
    with pytest.raises(ValueError, match="resample must be 1 or more"):
        sde.Inpaint(sde.DDIM(), x, x > 0, resample=0)
    labelled = DDPM(MLPDenoiser(2, 8, 1, num_classes=3, class_dropout=0.0), steps=5)
    labelled.loss(tg.randn(4, 2), tg.tensor([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="class 2 was never trained"):
        labelled.sample((2, 2), condition=tg.tensor([2, 2]))
    with pytest.raises(ValueError, match="never trained without a class"):
        labelled.sample((2, 2), condition=tg.tensor([0, 1]), guidance=2.0)


def test_a_checkpoint_remembers_that_it_was_trained():
    ddpm = trained(DDPM(MLPDenoiser(2, 8, 1), steps=5), tg.randn(4, 2))
    other = DDPM(MLPDenoiser(2, 8, 1), steps=5)
    other.load_state_dict(ddpm.state_dict())
    assert other.sample((3, 2)).shape == (3, 2)
