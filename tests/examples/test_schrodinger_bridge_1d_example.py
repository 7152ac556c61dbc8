"""examples/schrodinger_bridge_1d.py runs, draws, and meets its closed forms."""

import re

import pytest
import schrodinger_bridge_1d


@pytest.mark.parametrize(("steps", "code"), [(60, 0), (1, 1)])
def test_it_meets_its_bands_unless_there_are_too_few_steps(
    steps, code, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(schrodinger_bridge_1d, "FRAMES", 2)
    arguments = ["--steps", str(steps), "--out", str(tmp_path)]
    assert schrodinger_bridge_1d.main(arguments) == code
    rows = re.findall(r"^(.+?) +expected: (\S+) to (\S+) ", capsys.readouterr().out, re.M)
    assert [row[0] for row in rows] == list(schrodinger_bridge_1d.EXPECTED)
    picture = tmp_path / "schrodinger_bridge_1d.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
