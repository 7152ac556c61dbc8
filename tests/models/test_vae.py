"""The VAE against what has a closed form: linear Gaussian models, whose likelihood is known."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.distributions import Normal, kl_divergence
from tinygen.models.vae import (
    VAE,
    Autoencoder,
    Bernoulli,
    ConvDecoder,
    ConvEncoder,
    Gaussian,
    MLPDecoder,
    MLPEncoder,
    gaussian_kl,
    log_ratio,
)

# ---- A linear VAE, of which everything is known --------------------------------------------------

D, L = 6, 2


class Images(nn.Module):
    """Rows [B, D] as images [B, 1, 1, D], as a decoder gives them."""

    def forward(self, x):
        return x.reshape(len(x), 1, 1, -1)


def linear_vae(dtype=tg.float64) -> VAE:
    """p(x | z) = N(W z + b, σ² I), and q(z | x) with a mean and a log-variance linear in x."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(D, 2 * L))
    decoder = nn.Sequential(nn.Linear(L, D), Images())
    return VAE(encoder, decoder, L, Gaussian(0.7)).to(dtype)


def data(n: int) -> np.ndarray:
    """Gaussian rows [n, D] around a plane, with variances 9, 4, and 0.25 beside it."""
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.standard_normal((D, D)))
    scales = np.array([3.0, 2.0, *[0.5] * (D - 2)])
    return rng.standard_normal((n, D)) * scales @ rotation.T + 0.3 * np.arange(D)


def as_images(rows: np.ndarray) -> tg.Tensor:
    return tg.tensor(rows).reshape(-1, 1, 1, D)


def log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(x; mean, covariance) of rows [n, D]"""
    whole = covariance.shape[0] * math.log(2 * math.pi) + np.linalg.slogdet(covariance)[1]
    delta = x - mean
    return -0.5 * (whole + (delta @ np.linalg.inv(covariance) * delta).sum(-1))


def parts(model: VAE) -> tuple[np.ndarray, np.ndarray, float]:
    """W [D, L], b [D] and σ² of a linear VAE."""
    layer = model.decoder[0]
    weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
    return weight, bias, math.exp(2 * model.likelihood.log_scale.item())


def true_log_prob(model: VAE, x: np.ndarray) -> np.ndarray:
    """log p(x) [n]: x is Gaussian with covariance W Wᵀ + σ² I."""
    W, b, variance = parts(model)
    return log_normal(x, b, W @ W.T + variance * np.eye(D))


def true_elbo(model: VAE, x: np.ndarray) -> np.ndarray:
    """log p(x) − KL(q(z | x) ‖ p(z | x)) [n], with the posterior of Tipping & Bishop's equation 9:
    N(M⁻¹ Wᵀ (x − b), σ² M⁻¹), M = Wᵀ W + σ² I."""
    W, b, variance = parts(model)
    M = W.T @ W + variance * np.eye(L)
    posterior, covariance = (x - b) @ W @ np.linalg.inv(M), variance * np.linalg.inv(M)
    mean, log_var = (t.detach().numpy() for t in model.encode(as_images(x)))
    precision = np.linalg.inv(covariance)
    delta = posterior - mean
    divergence = 0.5 * (
        (np.diag(precision) * np.exp(log_var)).sum(-1)
        + (delta @ precision * delta).sum(-1)
        - L
        + np.linalg.slogdet(covariance)[1]
        - log_var.sum(-1)
    )
    return true_log_prob(model, x) - divergence


def random_linear_vae() -> VAE:
    """Weights that fit nothing, but q(z | x) not so far from p(z | x) that k samples are no use."""
    tg.manual_seed(3)
    model = linear_vae()
    with tg.no_grad():
        model.decoder[0].weight.mul_(1.5)
        model.encoder[1].weight.mul_(0.3)
    return model


def many(bound, x: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of a random bound over `times` draws for each row, and its standard error."""
    repeated = as_images(np.repeat(x, times, axis=0))
    with tg.no_grad():
        values = bound(repeated).numpy().reshape(len(x), times)
    return values.mean(1), values.std(1) / math.sqrt(times)


@pytest.mark.parametrize("closed_form", [True, False])
def test_the_elbo_is_log_p_minus_the_divergence_from_the_posterior(closed_form):
    model, x = random_linear_vae(), np.random.default_rng(0).standard_normal((5, D))
    tg.manual_seed(0)
    mean, error = many(lambda x: model.elbo(x, closed_form=closed_form), x, 40_000)
    assert error.max() < 0.05
    assert (np.abs(mean - true_elbo(model, x)) < 4 * error).all()
    assert (mean < true_log_prob(model, x) + 4 * error).all()


def test_more_samples_tighten_the_bound_towards_log_p():
    model, x = random_linear_vae(), np.random.default_rng(0).standard_normal((5, D))
    truth, before = true_log_prob(model, x), None
    tg.manual_seed(0)
    for k, times in ((1, 40_000), (2, 20_000), (8, 5_000), (64, 500), (2000, 20)):
        mean, error = many(lambda x, k=k: model.iwae(x, k=k), x, times)
        assert (mean < truth + 4 * error).all()
        if before is None:
            assert (np.abs(mean - true_elbo(model, x)) < 4 * error).all()  # with one, the ELBO
        else:
            assert (mean > before).all()
        before = mean
    assert error.max() < 0.05 and (np.abs(before - truth) < 4 * error).all()
    assert (true_elbo(model, x) < truth - 0.05).all()  # there was something to tighten


def test_one_importance_sample_is_the_elbo_to_the_bit():
    model, x = random_linear_vae(), as_images(data(7))
    tg.manual_seed(5)
    one = model.iwae(x, k=1)
    tg.manual_seed(5)
    elbo = model.elbo(x, closed_form=False)
    np.testing.assert_allclose(one.detach().numpy(), elbo.detach().numpy(), rtol=1e-12)


def fit(model: VAE, x: tg.Tensor, steps: int) -> None:
    """Full batches; the learning rate falls to 0 so that the noise of the gradients dies out."""
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(x).backward()
        optimizer.step()
        schedule.step()


@pytest.fixture(scope="module")
def trained():
    """A linear VAE trained on 400 rows, and these."""
    tg.manual_seed(0)
    model, rows = linear_vae(), data(400)
    fit(model, as_images(rows), 1500)
    return model, rows


def test_a_linear_vae_reaches_the_likelihood_of_probabilistic_pca(trained):
    """Tipping & Bishop 1999, equations 7 and 8: σ² is the mean of the eigenvalues left out, W spans
    the others; that a VAE's maximum is the same: Lucas et al. 2019, "Don't blame the ELBO!"."""
    model, rows = trained
    covariance = np.cov(rows.T, bias=True)
    values = np.linalg.eigvalsh(covariance)[::-1]
    variance = values[L:].mean()
    best = -0.5 * (
        D * math.log(2 * math.pi) + np.log(values[:L]).sum() + (D - L) * math.log(variance) + D
    )
    found = true_log_prob(model, rows).mean()
    assert best - 0.01 < found <= best + 1e-9
    assert abs(parts(model)[2] / variance - 1) < 0.03
    # And the bound that was trained is tight there: the posterior is found as well.
    assert found - 0.02 < true_elbo(model, rows).mean() <= found


def test_a_linear_vae_finds_the_principal_subspace(trained):
    model, rows = trained
    _, vectors = np.linalg.eigh(np.cov(rows.T))
    basis, _ = np.linalg.qr(parts(model)[0])
    cosines = np.linalg.svd(basis.T @ vectors[:, -L:])[1]
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).max() < 1.5
    # An untrained one does not.
    basis, _ = np.linalg.qr(parts(random_linear_vae())[0])
    assert np.degrees(np.arccos(np.linalg.svd(basis.T @ vectors[:, -L:])[1].min())) > 20


# ---- Divergences and likelihoods -----------------------------------------------------------------


def test_the_divergence_is_that_of_the_two_gaussians():
    mean, log_var = tg.randn(2, 4, 3, dtype=tg.float64).unbind(0)
    q = Normal(mean, (0.5 * log_var).exp())
    expected = kl_divergence(q, Normal(tg.zeros_like(mean), tg.ones_like(mean))).sum(-1)
    np.testing.assert_allclose(gaussian_kl(mean, log_var).numpy(), expected.numpy(), rtol=1e-10)


def test_the_closed_form_is_the_mean_of_samples():
    tg.manual_seed(0)
    mean, log_var = tg.randn(2, 5, 3, dtype=tg.float64).unbind(0)
    z = mean + (0.5 * log_var).exp() * tg.randn(50_000, 5, 3, dtype=tg.float64)
    found = log_ratio(z, mean, log_var).numpy()
    error = found.std(0) / math.sqrt(len(found))
    assert error.max() < 0.05
    assert (np.abs(found.mean(0) - gaussian_kl(mean, log_var).numpy()) < 4 * error).all()


def test_likelihoods_are_densities():
    x = (tg.rand(3, 1, 2, 2, dtype=tg.float64) < 0.5).double()
    out = tg.randn(3, 1, 2, 2, dtype=tg.float64)
    expected = tg.distributions.Bernoulli(logits=out).log_prob(x).flatten(1).sum(1)
    np.testing.assert_allclose(Bernoulli().log_prob(x, out).numpy(), expected.numpy(), rtol=1e-10)
    gaussian = Gaussian(0.3).double()
    expected = Normal(out, tg.full_like(out, 0.3)).log_prob(x).flatten(1).sum(1)
    found = gaussian.log_prob(x, out).detach().numpy()
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)


def test_the_best_scale_is_the_root_mean_square_error():
    x, out = tg.randn(2, 50, 1, 2, 2, dtype=tg.float64).unbind(0)
    best = (x - out).square().mean().sqrt().item()
    gaussian = Gaussian(best).double()
    (slope,) = tg.autograd.grad(gaussian.log_prob(x, out).sum(), [gaussian.log_scale])
    assert abs(slope.item()) < 1e-4
    assert not Gaussian(1.0, learn=False).log_scale.requires_grad


# ---- Networks, and what is done with them --------------------------------------------------------

IMAGE = (1, 8, 8)


def small(kind="mlp", classes=0, image=IMAGE, latent=3) -> VAE:
    tg.manual_seed(0)
    encoder, decoder, sizes = {
        "mlp": (MLPEncoder, MLPDecoder, (16, 12)),
        "conv": (ConvEncoder, ConvDecoder, (4, 6)),
    }[kind]
    return VAE(
        encoder(image, sizes, 2 * latent, classes),
        decoder(latent + classes, sizes[::-1], image),
        latent, Bernoulli(), classes,
    )  # fmt: skip


def pixels(n, image=IMAGE):
    return (tg.rand(n, *image) < 0.4).float()


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("image", [(1, 8, 8), (3, 12, 4)])
@pytest.mark.parametrize("classes", [0, 4])
def test_shapes(kind, image, classes):
    model = small(kind, classes, image)
    x, y = pixels(5, image), tg.arange(5) % 4 if classes else None
    mean, log_var = model.encode(x, y)
    assert mean.shape == log_var.shape == (5, 3)
    assert model.elbo(x, y).shape == model.iwae(x, y, k=4).shape == (5,)
    assert model.loss(x, y).shape == ()
    for images in (model.reconstruct(x, y), model.sample(5, y)):
        assert images.shape == (5, *image) and not images.requires_grad
        assert images.array.min() >= 0 and images.array.max() <= 1
    model.loss(x, y).backward()
    assert all(p.grad is not None and np.isfinite(p.grad.array).all() for p in model.parameters())


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_it_learns_and_labels_help(kind):
    """Images of one of four quarters: labels that say which spare the code."""
    tg.manual_seed(0)
    y = tg.randint(0, 4, (64,))
    x = tg.zeros(64, *IMAGE)
    for i, quarter in enumerate(y.tolist()):
        top, left = 4 * (quarter // 2), 4 * (quarter % 2)
        x[i, 0, top : top + 4, left : left + 4] = 1.0
    rates = {}
    for classes in (0, 4):
        model, labels = small(kind, classes), y if classes else None
        optimizer = tg.optim.Adam(model.parameters(), lr=1e-2)
        begin = model.loss(x, labels).item()
        for _ in range(250):
            optimizer.zero_grad()
            model.loss(x, labels).backward()
            optimizer.step()
        end = model.loss(x, labels).item()
        assert end < begin / 3
        rates[classes] = gaussian_kl(*model.encode(x, labels)).mean().item()
    assert rates[0] > 1.0 > 0.3 > rates[4]  # log 4 = 1.39 nats have to pass through the code
    # What is drawn for a label is that quarter.
    images = model.sample(4, tg.arange(4))
    for quarter, image in enumerate(images.numpy()[:, 0]):
        top, left = 4 * (quarter // 2), 4 * (quarter % 2)
        assert image[top : top + 4, left : left + 4].mean() > 0.7 and image.mean() < 0.3


def test_beta_weighs_the_divergence():
    model, x = small(), pixels(4)
    noise = tg.randn(4, 3)
    kl = gaussian_kl(*model.encode(x)).detach().numpy()
    one, four = (model.elbo(x, beta=b, noise=noise).detach().numpy() for b in (1.0, 4.0))
    np.testing.assert_allclose(one - four, 3 * kl, rtol=1e-4, atol=1e-5)
    assert -model.loss(x, beta=4.0, noise=noise).item() == pytest.approx(four.mean(), rel=1e-6)


def test_each_sample_of_an_image_has_its_own_label():
    """Where z says nothing and q(z | x) is the prior, the bound is log p(x | y) itself."""
    model, x, y = small(classes=3), pixels(4), tg.tensor([0, 2, 1, 0])
    with tg.no_grad():
        model.encoder.layers[-1].weight.zero_()
        model.encoder.layers[-1].bias.zero_()
        model.decoder[0].weight[:, :3] = 0.0
    expected = model.likelihood.log_prob(x, model.decode(tg.zeros(4, 3), y))
    found = model.iwae(x, y, k=5)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-5)


def test_noise_that_is_given_is_used():
    model, x = small(), pixels(4)
    at_mean = model.elbo(x, noise=tg.zeros(4, 3))
    misfit = model.likelihood.log_prob(x, model.decode(model.encode(x)[0]))
    expected = misfit - gaussian_kl(*model.encode(x))
    np.testing.assert_allclose(at_mean.detach().numpy(), expected.detach().numpy(), rtol=1e-6)


def test_samples_are_those_of_the_generator():
    model = small()
    a, b = (model.sample(3, generator=tg.Generator(1)) for _ in range(2))
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert model.double().sample(3).dtype == tg.float64


def test_an_autoencoder_is_the_squared_error():
    tg.manual_seed(0)
    model = Autoencoder(MLPEncoder(IMAGE, (16,), 2), MLPDecoder(2, (16,), IMAGE))
    x = pixels(6)
    expected = ((model(x) - x).detach().numpy() ** 2).sum() / 6
    assert model.loss(x).item() == pytest.approx(expected, rel=1e-6)


def test_a_linear_autoencoder_finds_the_principal_subspace():
    """Baldi & Hornik 1989: its least squared error is the sum of the eigenvalues left out."""
    tg.manual_seed(0)
    rows = data(200)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(D, L))
    model = Autoencoder(encoder, nn.Sequential(nn.Linear(L, D), Images())).double()
    fit(model, as_images(rows), 800)
    best = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[:-L].sum()
    assert best <= model.loss(as_images(rows)).item() < 1.001 * best


# ---- Wrong use -----------------------------------------------------------------------------------


def with_pixel(value):
    x = pixels(2)
    x[1, 0, 3, 3] = value
    return x


def labelled(*labels):
    return lambda: small(classes=3).loss(pixels(2), tg.tensor(labels))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: small().loss(pixels(2, (1, 28, 28))),
            r"images \[B, 1, 8, 8\], got \(2, 1, 28, 28",
        ),
        (lambda: small("conv").loss(pixels(2, (1, 4, 8))), r"expected images \[B, 1, 8, 8\], got"),
        (lambda: small().loss(pixels(2)[:, 0]), r"expected images \[B, 1, 8, 8\], got \(2, 8, 8\)"),
        (lambda: small().loss(255 * pixels(2)), "pixels from 0 to 1, got 0 to 255: rescale"),
        (lambda: small().loss(with_pixel(float("nan"))), "takes pixels from 0 to 1, got nan"),
        (lambda: linear_vae().loss(as_images(np.full((2, D), np.nan))), "NaN or infinite"),
        (lambda: small(classes=3).loss(pixels(2)), "classes=3 was called without labels"),
        (lambda: small().loss(pixels(2), tg.tensor([0, 1])), "classes=0 was called with labels"),
        (labelled(0, 3), "labels from 0 to 2, got 3"),
        (labelled(-1, 0), "labels from 0 to 2, got -1"),
        (labelled(0.0, 1.0), "expected 2 whole numbers as labels, got float32"),
        (labelled(0, 1, 2), r"expected 2 whole numbers as labels, got int64 \(3,\)"),
        (lambda: small(classes=3).sample(2, tg.tensor([[0], [1]])), "expected 2 whole numbers"),
        (lambda: small().iwae(pixels(2), k=0), "at least 1; got 0"),
        (lambda: ConvEncoder((1, 7, 8), (4,), 2), "images of 7 × 8 can't be halved 1 times"),
        (lambda: ConvDecoder(2, (4, 4, 4, 4), IMAGE), "images of 8 × 8 can't be halved 4 times"),
        (lambda: ConvEncoder(IMAGE, (), 2), "images of 8 × 8 can't be halved 0 times"),
        (lambda: Gaussian(0.0), "scale is a standard deviation, above 0; got 0.0"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
