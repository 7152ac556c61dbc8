"""Programs written for PyTorch run when their import is changed, and give PyTorch's numbers."""

import numpy as np
import pytest
from parity.programs import PROGRAMS

import tinygen as tg


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_it_runs(program):
    losses, _ = program(tg)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_its_numbers_are_torchs(program):
    torch = pytest.importorskip("torch")
    found, start = program(tg)
    expected, _ = program(torch, start)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
