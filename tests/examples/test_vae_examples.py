"""The VAE examples run, draw, and say whether they found what they should."""

import re

import numpy as np
import pytest
import vae_2d
import vae_digits

import tinygen as tg
from tinygen import nn


@pytest.mark.parametrize("example", [vae_digits, vae_2d])
def test_a_run_too_short_to_learn_says_so_with_its_exit_code(
    example, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(vae_2d, "RESOLUTION", 10)
    monkeypatch.setattr(vae_2d, "TEST", 100)
    arguments = ["--steps", "2", "--out", str(tmp_path / "run"), "--seed", "3"]
    assert example.main(arguments) == 1
    out, err = capsys.readouterr()
    assert "loss=" in err and "held out" in out
    low, high, measured, unit = re.search(
        r"expected: (\S+) to (\S+)   measured: (\S+) (\S+)   <-- outside", out
    ).groups()
    assert not float(low) <= float(measured) <= float(high) and unit == "nats"
    pictures = [path.name for path in (tmp_path / "run").iterdir()]
    assert "vae.png" in pictures
    for name in pictures:
        assert name in out
        assert (tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG")


def test_held_out_images_are_always_the_same_and_black_and_white():
    train, test = vae_digits.load(large=False)
    assert train.shape == (1618, 1, 8, 8) and test.shape == (179, 1, 8, 8)
    assert set(np.unique(test.numpy())) == {0.0, 1.0} and len(np.unique(train.numpy())) == 17
    tg.rand(3)
    np.testing.assert_array_equal(vae_digits.load(large=False)[1].numpy(), test.numpy())


def test_the_model_for_mnist_fits_its_images():
    model = vae_digits.make_model(large=True)
    x = tg.rand(2, 1, 28, 28).round()
    assert model.reconstruct(x).shape == x.shape


def test_the_measure_is_the_mean_over_all_images():
    """In pieces of 100, of which the last is smaller: each image counts the same."""

    class Model:
        def eval(self):
            pass

        def elbo(self, x):
            return -x[:, 0]

        def iwae(self, x, k):
            return -k * x[:, 0]

    x = tg.arange(130, dtype=tg.float64)[:, None]
    assert vae_digits.measure(Model(), x) == pytest.approx(64.5)
    assert vae_digits.measure(Model(), x, k=3) == pytest.approx(3 * 64.5)


def test_the_sum_over_codes_is_the_density():
    """Of a linear decoder, which is Gaussian: N(b, W Wᵀ + σ² I)."""
    tg.manual_seed(0)
    model = vae_2d.make_model()
    model.decoder = nn.Linear(2, 2)
    W, b = (p.detach().numpy().astype(float) for p in model.decoder.parameters())
    covariance = W @ W.T + 0.25 * np.eye(2)
    x = np.random.default_rng(0).standard_normal((120, 2))
    squares = ((x - b) @ np.linalg.inv(covariance) * (x - b)).sum(1)
    expected = -0.5 * (squares + np.linalg.slogdet(covariance)[1]) - np.log(2 * np.pi)
    found = vae_2d.log_prob(model, tg.tensor(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_mistake_gets_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert vae_digits.main(["--out", str(tmp_path / "file")]) == 2
    assert "File exists" in capsys.readouterr().err
