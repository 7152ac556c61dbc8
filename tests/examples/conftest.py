"""Examples are scripts: their folder is on the path when one is run, and so it is for the tests."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))
