"""What all tests share: the samples are importable, and every test starts from the same seed."""

import pathlib
import sys

import pytest
from hypothesis import settings

sys.path.insert(0, str(pathlib.Path(__file__).parent))


# The same examples in every run, however busy the machine is.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")


@pytest.fixture(autouse=True)
def seeded():
    import tinygen as tg

    tg.manual_seed(0)


def pytest_collection_modifyitems(items):
    """Slow tests first: several workers finish together only if what takes long is begun early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
