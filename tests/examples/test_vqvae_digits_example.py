"""examples/vqvae_digits.py runs, draws, and says whether it found what it should."""

import gan_digits
import numpy as np
import pytest
import vqvae_digits

import tinygen as tg
from tinygen.data import digits
from tinygen.metrics import DigitFeatures


@pytest.fixture
def example(monkeypatch):
    network = DigitFeatures().fit(*digits("train"), steps=2)
    monkeypatch.setattr(gan_digits, "digit_features", lambda data: network)
    for name, value in {"BATCH": 32, "CHANNELS": 4, "K": 12, "SAMPLES": 1500}.items():
        monkeypatch.setattr(vqvae_digits, name, value)
    return vqvae_digits


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    for name in ("vqvae.png", "loss.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_loss_of_the_prior_is_that_of_one_code_after_the_other(example):
    """By the chain rule, each place being told the label and the codes before it, and no more."""
    prior = example.make_prior().eval()
    codes, labels = tg.randint(0, 12, (3, 16)), tg.tensor([0, 4, 9])
    tokens = tg.cat([labels[:, None], codes], 1)
    total = 0.0
    for place in range(16):
        logits, _ = prior(tokens[:, : place + 1])
        log_prob = logits[:, -1].log_softmax(-1).detach().numpy()  # [3, 12]
        total += log_prob[range(3), codes.array[:, place]].mean()
    np.testing.assert_allclose(example.code_loss(prior, [codes, labels]).item(), -total / 16, 1e-5)


def test_codes_are_drawn_in_the_order_in_which_they_were_read(example):
    model, images = example.make_vqvae().eval(), digits("test")[0][:5]
    codes = model.encode(images).flatten(1)

    class Knowing:
        def generate(self, tokens, length, do_sample):
            return tg.cat([tokens, codes], 1)

    new = example.drawn(model, Knowing(), tg.arange(5))
    np.testing.assert_array_equal(new.array, model.reconstruct(images).clamp(0, 1).array)
