"""examples/neural_ode_spiral.py runs, draws, and says whether it found what it should."""

import importlib.util
import pathlib
import re

import pytest

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "neural_ode_spiral.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("neural_ode_spiral", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.STEP_COUNTS = (2, 4)
    return module


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    rows = re.findall(r"^(.+?) +expected: (\S+) to (\S+)   measured: (\S+)(.*)$", out, re.M)
    assert [row[0] for row in rows] == list(example.EXPECTED)
    for what, low, high, value, mark in rows:
        assert (float(low), float(high)) == example.EXPECTED[what]
        assert (float(low) <= float(value) <= float(high)) == (not mark)
    assert (tmp_path / "spiral.png").read_bytes().startswith(b"\x89PNG")


def test_what_lies_inside_of_its_band_passes(example, capsys):
    assert (
        example.check({what: (low + high) / 2 for what, (low, high) in example.EXPECTED.items()})
        == 0
    )
    assert "outside" not in capsys.readouterr().out
