"""examples/neural_ode_spiral.py runs, draws, and says whether it found what it should."""

import neural_ode_spiral
import pytest


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(neural_ode_spiral, "STEP_COUNTS", (2, 4))
    return neural_ode_spiral


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    assert (tmp_path / "spiral.png").read_bytes().startswith(b"\x89PNG")


def test_what_lies_inside_of_its_band_passes(example, capsys):
    assert (
        example.check({what: (low + high) / 2 for what, (low, high) in example.EXPECTED.items()})
        == 0
    )
    assert "outside" not in capsys.readouterr().out
