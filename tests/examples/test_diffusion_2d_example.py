"""examples/diffusion_2d.py runs, draws, and says whether it found what it should."""

import diffusion_2d
import pytest

import tinygen as tg
from tinygen import sde


@pytest.fixture
def example(monkeypatch):
    for name, value in {"BATCH": 32, "SAMPLES": 200, "SAMPLER_STEPS": 4, "TEST": 5, "RESOLUTION": 4,
                        "WIDTH": 8, "BLOCKS": 1}.items():  # fmt: skip
        monkeypatch.setattr(diffusion_2d, name, value)
    return diffusion_2d


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    assert (tmp_path / "diffusion_2d.png").read_bytes().startswith(b"\x89PNG")


def test_the_exact_score_lies_inside_of_the_bands(monkeypatch):
    """So they can be met, and hardly by something else: the same score turned by some degrees."""
    monkeypatch.setattr(diffusion_2d, "SAMPLES", 1000)
    monkeypatch.setattr(diffusion_2d, "TEST", 50)
    tg.manual_seed(0)
    exact = diffusion_2d.exact_mixture()
    measured, _ = diffusion_2d.measure(exact.denoiser())
    for what, (low, high) in diffusion_2d.EXPECTED.items():
        slack = 0.15 if "Wasserstein" in what else 0.01  # of fewer samples
        assert low - slack <= measured[what] <= high + slack
    turn = tg.tensor([[0.98, -0.2], [0.2, 0.98]])
    turned = sde.Denoiser(lambda x, t: exact.score(x, t) @ turn, exact.schedule, "score")
    measured, _ = diffusion_2d.measure(turned)
    assert any(not low <= measured[what] <= high
               for what, (low, high) in diffusion_2d.EXPECTED.items())  # fmt: skip
