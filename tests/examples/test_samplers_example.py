"""examples/samplers.py runs, draws, and says whether it found what it should."""

import re

import pytest
import samplers


@pytest.fixture
def example(monkeypatch):
    for name, value in {"SAMPLES": 300, "REAL": 2000, "ORDER_STEPS": (8, 16, 32),
                        "BUDGETS": (5, 10, 20, 40)}.items():  # fmt: skip
        monkeypatch.setattr(samplers, name, value)
    return samplers


def test_it_measures_and_draws(example, tmp_path, capsys, outside):
    code = example.main(["--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == ("outside" in out)
    table = re.findall(r"^  (.+?)((?: +\d+\.\d{4})+)$", out, re.M)
    assert [name for name, _ in table[:-1]] == list(example.SAMPLERS)
    floor = float(table[-1][1])
    for _, values in table[:-1]:
        first, *_, last = map(float, values.split())
        assert last < max(first, 3 * floor)  # more evaluations, better samples
    outside(out, example.EXPECTED)
    assert (tmp_path / "samplers.png").read_bytes().startswith(b"\x89PNG")


def test_an_unwritable_place_is_said_before_the_work(example, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert example.main(["--out", str(file)]) == 2
    assert "File exists" in capsys.readouterr().err
