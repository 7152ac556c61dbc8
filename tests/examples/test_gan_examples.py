"""examples/gan_25gaussians.py and gan_digits.py run, draw, and say whether they found what they
should."""

import gan_25gaussians
import gan_digits
import numpy as np
import pytest

import tinygen as tg
from tinygen.data import digits
from tinygen.data.toys import gaussian_grid
from tinygen.metrics import DigitFeatures


@pytest.fixture
def quick_features(monkeypatch):
    network = DigitFeatures().fit(*digits("train"), steps=15)
    monkeypatch.setattr(gan_digits, "digit_features", lambda data: network)


def is_png(path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def test_a_run_on_gaussians_too_short_to_learn_says_so(tmp_path, capsys, outside):
    assert gan_25gaussians.main(["--steps", "5", "--out", str(tmp_path)]) == 1
    expected = {what: (low, high) for what, low, high in gan_25gaussians.EXPECTED.values()}
    assert "modes found" in outside(capsys.readouterr().out, expected)
    assert is_png(tmp_path / "gaussians.png")


def test_the_data_themselves_are_inside_of_the_bands():
    """A generator as good as the data would pass."""
    found = gan_25gaussians.coverage(gaussian_grid(gan_25gaussians.SAMPLES))._asdict()
    named = {"modes": "modes_hit", "good": "high_quality", "KL": "reverse_kl"}
    for name, (_, low, high) in gan_25gaussians.EXPECTED.items():
        assert low <= found[named[name]] <= high


def test_a_negative_gamma_gets_a_sentence(tmp_path, capsys):
    assert gan_25gaussians.main(["--gamma", "-1", "--out", str(tmp_path)]) == 2
    assert "r1_gamma must not be negative" in capsys.readouterr().err


def test_a_run_on_digits_too_short_to_learn_says_so(tmp_path, capsys, outside, quick_features):
    assert gan_digits.main(["--steps", "3", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert gan_digits.DISTANCE in outside(out, gan_digits.DIGITS.expected)
    assert "(real versus real: " in out and "64 features" in out and "n = 898" in out
    assert is_png(tmp_path / "digits.png") and is_png(tmp_path / "losses.png")


def test_real_digits_are_inside_of_the_band_of_distances(quick_features):
    images = digits()[0]
    found = gan_digits.measured(images, images, mnist=False)
    ratio = found[gan_digits.DISTANCE]
    assert 0.8 < ratio < gan_digits.DIGITS.expected[gan_digits.DISTANCE][1]


@pytest.mark.slow
def test_a_run_can_be_repeated(tmp_path, quick_features, monkeypatch):
    """The same seed draws the same pictures, another seed others."""
    monkeypatch.setattr(gan_digits, "REPEATS", 1)  # what is measured is not looked at
    pictures = []
    for seed in ("1", "1", "2"):
        gan_digits.main(["--steps", "2", "--seed", seed, "--out", str(tmp_path)])
        pictures.append((tmp_path / "digits.png").read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize("setting", [gan_digits.DIGITS, gan_digits.MNIST])
def test_networks_fit_their_images(setting):
    gan = gan_digits.networks(setting)
    with tg.no_grad():
        images = gan.sample(2)
    assert images.shape == (2, *setting.images) and np.isfinite(images.array).all()
