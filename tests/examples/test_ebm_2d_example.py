"""examples/ebm_2d.py runs, draws, and measures the divergence that it says it does."""

import math
import re

import ebm_2d
import numpy as np
import pytest

import tinygen as tg


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(ebm_2d, "RESOLUTION", 60)
    monkeypatch.setattr(ebm_2d, "SAMPLES", (50, 3))
    ebm_2d.true_log_share.cache_clear()
    yield ebm_2d
    ebm_2d.true_log_share.cache_clear()


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    ((low, high, value, mark),) = re.findall(
        r"^KL.* expected: (\S+) to (\S+)   measured: (\S+) nats(.*)$", out, re.M
    )
    assert (float(low), float(high)) == example.EXPECTED and "outside" in mark
    assert float(value) > example.EXPECTED[1]
    assert (tmp_path / "ebm_2d.png").read_bytes().startswith(b"\x89PNG")


def test_the_density_of_the_data_is_that_of_the_points(example):
    """It adds up to 1, and the mean of its log at points is minus its entropy on the grid."""
    cells = np.exp(example.on_grid(example.true_log_prob)) * (example.WIDTH / 60) ** 2
    assert cells.sum() == pytest.approx(1, abs=1e-4)
    entropy = -(cells * np.log(cells / (example.WIDTH / 60) ** 2)).sum()
    found = example.true_log_prob(example.moons(2000).double()).array
    assert abs(found.mean() + entropy) < 4 * found.std() / math.sqrt(2000)


def test_the_divergence_is_that_of_two_normal_densities(example, monkeypatch):
    """KL(N(0, 1) ‖ N(m, s²)) in two dimensions: 2 log s + 1/s² + m²/(2 s²) − 1"""
    example.true_log_share.cache_clear()
    monkeypatch.setattr(example, "BOUNDS", (-8.0, 8.0, -8.0, 8.0))
    monkeypatch.setattr(example, "true_log_prob", lambda x: -0.5 * (x * x).sum(1))
    shift = tg.tensor([0.6, 0.0])
    found = example.divergence(lambda x: 0.5 * ((x - shift) ** 2).sum(1) / 1.3**2 + 7.0)
    expected = 2 * math.log(1.3) + 1 / 1.3**2 + 0.36 / (2 * 1.3**2) - 1
    assert found == pytest.approx(expected, abs=1e-3)
