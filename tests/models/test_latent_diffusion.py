"""Latent diffusion: with an autoencoder and a denoiser that are exact, samples have the mean and
the covariance of the data; what is trained, what is frozen, what is refused."""

import numpy as np
import pytest
from models.exact_networks import f64

import tinygen as tg
from tinygen import sde
from tinygen.models.diffusion import DDPM
from tinygen.models.latent_diffusion import LatentDiffusion
from tinygen.models.vae import VAE, Gaussian, MLPDecoder, MLPEncoder
from tinygen.nn import MLPDenoiser

BASIS = np.array([[2.0, 0.5], [-1.0, 1.5], [0.3, -0.7]])
MEAN, COVARIANCE = np.array([1.0, -2.0]), np.array([[9.0, 3.0], [3.0, 4.0]])  # of z
SCHEDULE = sde.LinearSchedule()


class Linear(tg.nn.Module):
    """x = A z, and z back from it, with a deviation of q(z | x) that is the same for all x."""

    def __init__(self, std):
        super().__init__()
        self.basis = tg.nn.Parameter(tg.tensor(BASIS))
        self.inverse, self.std = tg.tensor(np.linalg.pinv(BASIS)), std

    def encode(self, x):
        mean = x @ self.inverse.T
        return mean, tg.full_like(mean, 2 * np.log(self.std))

    def mean_image(self, z):
        return z @ self.basis.T


class ExactDenoiser(tg.nn.Module):
    """E ε given x(t), of normal latents over their scale."""

    def __init__(self, covariance):
        super().__init__()
        self.covariance, self.scale = tg.tensor(covariance), None

    def forward(self, x, t):
        scale = self.scale[0]
        alpha, sigma = SCHEDULE.alpha(t)[:, None], SCHEDULE.sigma(t)[:, None]
        noised = alpha[:, :, None] ** 2 * self.covariance / scale**2
        noised = noised + sigma[:, :, None] ** 2 * tg.eye(2, **f64)
        residual = x - alpha * tg.tensor(MEAN) / scale
        return sigma * tg.linalg.solve(noised, residual)


def data(n):
    z = MEAN + tg.randn(n, 2, **f64).array @ np.linalg.cholesky(COVARIANCE).T
    return tg.tensor(z @ BASIS.T)


def exact(std, sampled):
    """The best latent diffusion there is, after one step of training, as far as it knows."""
    network = ExactDenoiser(COVARIANCE + (std**2 * np.eye(2) if sampled else 0))
    model = LatentDiffusion(Linear(std), DDPM(network, SCHEDULE), sampled)
    network.scale = [model.scale]
    x = data(20_000)
    return model, model.loss(x).item()


@pytest.mark.parametrize(("std", "sampled"), [(1e-6, True), (1.5, True), (1.5, False)])
def test_decoded_samples_have_the_mean_and_the_covariance_of_the_data(std, sampled):
    model, _ = exact(std, sampled)
    n = 20_000
    x = model.sample((n, 2), sampler=sde.Heun(), steps=30, dtype=tg.float64).array
    covariance = COVARIANCE + (std**2 * np.eye(2) if sampled else 0)
    expected = BASIS @ covariance @ BASIS.T
    spread = np.sqrt(np.diag(expected))
    np.testing.assert_array_less(np.abs(x.mean(0) - BASIS @ MEAN) / spread, 5 / np.sqrt(n))
    error = np.abs(np.cov(x.T) - expected) / np.outer(spread, spread)
    assert error.max() < 5 * np.sqrt(2 / n)


def test_latents_are_learned_with_variance_1():
    """The loss is that of the best network for normal latents: the mean of 1 - E ε̂² over t."""
    model, loss = exact(1.5, True)
    covariance = COVARIANCE + 1.5**2 * np.eye(2)
    assert model.scale.item() ** 2 == pytest.approx(np.trace(covariance) / 2 + MEAN.var(), rel=0.03)
    widths = np.linalg.eigvalsh(covariance) / model.scale.item() ** 2
    t = tg.tensor(np.arange(1, 1001) / 1000)
    alpha, sigma = (f(t).array[:, None] for f in (SCHEDULE.alpha, SCHEDULE.sigma))
    best = (alpha**2 * widths / (alpha**2 * widths + sigma**2)).mean()
    assert loss == pytest.approx(best, rel=0.04)


# ---- With networks -------------------------------------------------------------------------------


def small():
    vae = VAE(MLPEncoder((3,), (8,), 4), MLPDecoder(2, (8,), (3,)), 2, Gaussian())
    return LatentDiffusion(vae, DDPM(MLPDenoiser(2, 8, 1, num_classes=2, class_dropout=0.5)))


def test_training_leaves_the_autoencoder_as_it_was():
    model, x, y = small(), tg.randn(32, 3), tg.arange(32) % 2
    before = {name: p.array.copy() for name, p in model.named_parameters()}
    optimizer = tg.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        model.loss(x, y).backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name.split(".")[0] for name, p in model.named_parameters()
               if (p.array != before[name]).any()}  # fmt: skip
    assert changed == {"diffusion"}
    assert model.train().training and not model.autoencoder.training
    assert model.diffusion.training


def test_the_scale_is_that_of_the_first_batch_and_is_saved():
    model, x = small(), tg.randn(64, 3)
    model.sampled = False
    model.loss(x)
    mean, _ = model.autoencoder.encode(x)
    assert model.scale.item() == pytest.approx(mean.array.std(ddof=1), rel=1e-5)
    model.loss(10 * x)
    assert model.scale.item() == pytest.approx(mean.array.std(ddof=1), rel=1e-5)
    other = small()
    other.load_state_dict(model.state_dict())
    found = [m.sample((5, 2), steps=3, generator=tg.Generator(1)).array for m in (model, other)]
    np.testing.assert_array_equal(*found)
    assert found[0].shape == (5, 3)


def test_a_condition_reaches_the_network():
    model, x = small(), tg.randn(64, 3)
    for _ in range(5):
        loss = model.loss(x, tg.zeros(64, dtype=tg.int64))
        loss.backward()
    tg.nn.init.normal_(model.diffusion.network.last.weight)
    asked = lambda condition: (
        model.sample((4, 2), steps=3, condition=condition, generator=tg.Generator(0)).array
    )
    assert (asked(tg.zeros(4, dtype=tg.int64)) != asked(None)).any()
    with pytest.raises(ValueError, match="class 1 was never trained"):
        model.eval().sample((4, 2), steps=3, condition=tg.ones(4, dtype=tg.int64))


def test_mistakes_get_a_sentence():
    model = small()
    with pytest.raises(RuntimeError, match=r"never trained.*loss\(x\)"):
        model.sample((4, 2))
    for batch in (tg.randn(1, 3), tg.ones(8, 3)):
        model.sampled = False
        with pytest.raises(ValueError, match=r"in this one of [18] they do not differ"):
            model.loss(batch)
