"""examples/diffusion_digits.py and inpainting_digits.py run, draw, and say whether they found what
they should."""

import diffusion_digits
import inpainting_digits
import numpy as np
import pytest

import tinygen as tg
from tinygen.data import digits
from tinygen.metrics import DigitFeatures


@pytest.fixture(scope="module")
def judge():
    return DigitFeatures().fit(*digits("train"), steps=15)


@pytest.fixture(autouse=True)
def quick(monkeypatch, judge):
    """A small network, few steps and images, a judge that is quickly trained."""
    network = {"channels": 8, "channel_mults": (1, 2)}
    monkeypatch.setattr(diffusion_digits.DIGITS, "network", network)
    monkeypatch.setattr(diffusion_digits.DIGITS, "samples", 40)
    for module in (diffusion_digits, inpainting_digits):
        monkeypatch.setattr(module, "digit_features", lambda data: judge)
        monkeypatch.setattr(module, "SAMPLER_STEPS", 2)
    for name, value in {"HALVES": 2, "COLUMNS": 2}.items():
        monkeypatch.setattr(diffusion_digits, name, value)
    for name, value in {"RESAMPLE": 2, "TESTED": {False: 30}, "COLUMNS": 2}.items():
        monkeypatch.setattr(inpainting_digits, name, value)


def test_guided_digits_of_a_run_too_short_to_learn_are_outside(tmp_path, capsys, outside):
    assert diffusion_digits.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    found = outside(capsys.readouterr().out, diffusion_digits.DIGITS.expected)
    assert {diffusion_digits.DISTANCE, diffusion_digits.SHARES[1.0]} <= set(found)
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_completed_digits_keep_what_was_known(tmp_path, capsys, outside):
    assert inpainting_digits.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    found = outside(capsys.readouterr().out, inpainting_digits.EXPECTED)
    assert found == [inpainting_digits.RIGHT]
    assert (tmp_path / "inpainting.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("half", inpainting_digits.HALVES)
def test_half_of_the_pixels_are_known(half):
    mask = inpainting_digits.known_pixels(half, 8).array
    assert mask.sum() == 32 and mask[0, 0] and not mask[7, 7]
    assert mask[0, 7] == (half == "lower") and mask[7, 0] == (half == "right")


def test_digits_learned_by_heart_would_be_seen():
    """The nearest of the training digits are at 0 from themselves, and farther from others."""
    known, unseen = digits("train")[0], digits("test")[0]
    assert diffusion_digits.nearest(known[:100], known) < 1e-2
    found = diffusion_digits.nearest(unseen, known)
    each = [np.sqrt(((x - known.array) ** 2).sum((1, 2, 3))).min() for x in unseen.array]
    assert found == pytest.approx(np.mean(each), rel=1e-3)


def test_guided_digits_come_with_their_classes(monkeypatch):
    model = diffusion_digits.train(0, 2, mnist=False)
    asked, forward = [], model.network.forward

    def noting(x, t, classes):
        asked.append(classes.array)
        return forward(x, t, classes)

    monkeypatch.setattr(model.network, "forward", noting)
    x, classes = diffusion_digits.guided(model, 20, 2.0, mnist=False)
    assert x.shape == (20, 1, 8, 8) and x.array.min() >= 0 and x.array.max() <= 1
    np.testing.assert_array_equal(classes.array, np.arange(20) % 10)
    np.testing.assert_array_equal(asked[0], [10] * 20 + classes.tolist())  # without, and with


def test_mnist_fits_its_network():
    network = tg.nn.UNet(**diffusion_digits.MNIST.network)
    size = diffusion_digits.MNIST.size
    with tg.no_grad():
        assert network(tg.zeros(1, 1, size, size), tg.rand(1)).shape == (1, 1, size, size)
