"""examples/compare_families.py runs, draws, and measures densities that are densities."""

import math
import re

import compare_families
import numpy as np
import pytest

import tinygen as tg
from tinygen import nn


@pytest.fixture
def example(monkeypatch):
    for name, value in {"BATCH": 32, "SAMPLES": 60, "TEST": 5, "K": 4, "HEUN_STEPS": 2, "WALK": 2,
                        "RESOLUTION": 4, "BINS": 6}.items():  # fmt: skip
        monkeypatch.setattr(compare_families, name, value)
    return compare_families


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    table = dict(re.findall(r"^(\S[A-Za-z ]*?) {2,}(\S.*)$", out, re.M))
    assert ["the data", *example.FAMILIES] == [
        name for name in table if "expected" not in table[name]
    ]
    assert table["GAN"].split()[0] == "none"
    bands = {f"{name}: {what}": band for name, bands in example.EXPECTED.items()
             for what, band in bands.items()}  # fmt: skip
    assert outside(out, bands)
    assert (tmp_path / "families.png").read_bytes().startswith(b"\x89PNG")


def test_the_data_themselves_are_inside_of_all_bands():
    tg.manual_seed(0)
    found, _ = compare_families.measure(compare_families.DATA, nn.Module())
    for name, bands in compare_families.EXPECTED.items():
        for what, (low, high) in bands.items():
            if name != "VAE":  # which is worse, and whose band says by how much
                assert low <= found[what] <= high


@pytest.fixture
def autoregressive(monkeypatch):
    monkeypatch.setattr(compare_families, "BINS", 5)
    model = compare_families.Autoregressive().eval()
    with tg.no_grad():
        for p in model.parameters():
            p += 0.15 * tg.randn(*p.shape)
    return model


def cell_probabilities(model) -> np.ndarray:
    """By log_prob at the centres of all 5 × 5 cells: [x₁, x₂]"""
    centres = (np.arange(5) + 0.5) * model.width - compare_families.EDGE
    points = np.stack(np.meshgrid(centres, centres, indexing="ij"), -1).reshape(-1, 2)
    with tg.no_grad():
        log_prob = model.log_prob(tg.tensor(points, dtype=tg.float32)).numpy()
    return np.exp(log_prob.reshape(5, 5)) * model.width**2


def test_the_autoregressive_density_is_that_of_its_samples(autoregressive):
    p = cell_probabilities(autoregressive)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-5)
    assert abs(p - np.outer(p.sum(1), p.sum(0))).max() > 0.01  # x₂ depends on x₁
    n = 20_000
    bins = autoregressive.bins(autoregressive.sample(n)).numpy()
    shares = np.bincount(bins @ [5, 1], minlength=25).reshape(5, 5) / n
    np.testing.assert_allclose(shares, p, atol=4.5 * math.sqrt(0.25 / n))


def test_points_outside_of_the_bins_get_a_sentence(autoregressive):
    with pytest.raises(ValueError, match=r"expected points between -4\.0 and 4\.0"):
        autoregressive.log_prob(tg.tensor([[0.0, 4.0]]))


def test_an_energy_is_normalised_by_its_sum_over_cells():
    """Of a normal, whose density is known."""
    sigma = 0.5
    log_prob = compare_families.energy_log_prob(lambda x: (x * x).sum(1) / (2 * sigma**2))
    x = tg.tensor([[0.0, 0.0], [1.0, -0.5]])
    expected = -np.array([0.0, 1.25]) / (2 * sigma**2) - math.log(2 * math.pi * sigma**2)
    np.testing.assert_allclose(log_prob(x).numpy(), expected, rtol=1e-4)


def test_samples_of_the_vae_have_the_noise_of_its_likelihood():
    model = compare_families.make_vae()
    with tg.no_grad():
        for p in model.decoder.parameters():
            p.fill_(0.0)  # the mean is 0 whatever z is
        x = compare_families.vae_sample(model, 20_000).numpy()
    np.testing.assert_allclose(x.std(0), math.exp(model.likelihood.log_scale.item()), rtol=0.03)
