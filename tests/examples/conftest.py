"""Examples are scripts: their folder is on the path when one is run, and so it is for the tests."""

import pathlib
import re
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))

BAND = r"^(.+?) +expected: (\S+) to (\S+)   measured: (\S+)(.*)$"


@pytest.fixture
def outside():
    """outside(out, expected): the names of what is marked as outside of its band in what an example
    printed, after checking that these are the bands expected, and rightly marked."""
    return checked_bands


def checked_bands(out: str, expected: dict[str, tuple[float, float]]) -> list[str]:
    rows = re.findall(BAND, out, re.M)
    printed = [(what, (float(low), float(high))) for what, low, high, _, _ in rows]
    assert printed == list(expected.items())
    marked = ["outside" in row[-1] for row in rows]
    values = [float(row[3]) for row in rows]
    assert marked == [not low <= x <= high for (_, (low, high)), x in zip(printed, values)]
    return [row[0] for row, mark in zip(rows, marked) if mark]
