"""What all tests share: the samples are importable, and every test starts from the same seed."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(autouse=True)
def seeded():
    import tinygen as tg

    tg.manual_seed(0)
