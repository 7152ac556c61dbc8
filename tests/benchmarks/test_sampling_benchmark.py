"""The sampling benchmark: the same images in both engines, by the network of the example."""

import pathlib
import sys

import numpy as np
import pytest

sys.path.append(str(pathlib.Path(__file__).parent.parent.parent))

from benchmarks import sampling
from tinygen import sde


def test_it_takes_the_network_and_the_schedule_of_the_example(monkeypatch):
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "examples")
    import diffusion_digits as example

    for setting in (example.DIGITS, example.MNIST):
        assert sampling.NETWORKS[setting.size] == setting.network
    schedule, heun = sde.CosineSchedule(), sde.Heun()
    assert schedule.end == sampling.END and schedule.s == sampling.SHIFT
    assert heun.sigma_min == sampling.SIGMA_MIN and heun.sigma_max == sampling.SIGMA_MAX
    assert heun.rho == sampling.RHO


@pytest.mark.parametrize("name", ["DDPM", "DDIM", "Heun"])
def test_both_engines_make_the_same_images(monkeypatch, name):
    pytest.importorskip("torch")
    monkeypatch.setitem(sampling.NETWORKS, 8, {"channels": 8, "channel_mults": (1, 2)})
    shape = (3, 1, 8, 8)
    ours = sampling.in_tinygen(name, 5, sampling.network("tinygen", 8), shape)
    theirs = sampling.in_torch(name, 5, sampling.network("torch", 8), shape)
    found = ours()
    assert found.shape == shape and found.std() > 0.1
    np.testing.assert_allclose(found, theirs(), atol=1e-4)
    np.testing.assert_array_equal(found, ours())
