"""examples/latent_diffusion_ring.py runs, draws, and tells a ring from a filled one."""

import latent_diffusion_ring
import numpy as np
import pytest

import tinygen as tg
from tinygen.data.toys import ring


@pytest.fixture
def example(monkeypatch):
    for name, value in {"BATCH": 32, "SAMPLES": 500, "SAMPLER_STEPS": 2, "HIDDEN": (8,),
                        "WIDTH": 8, "BLOCKS": 1}.items():  # fmt: skip
        monkeypatch.setattr(latent_diffusion_ring, name, value)
    return latent_diffusion_ring


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    assert (tmp_path / "latent_diffusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_plane_keeps_distances(example):
    x = example.points(100)
    assert x.shape == (100, example.DIMENSIONS)
    np.testing.assert_allclose((x**2).sum(1).sqrt().array, np.full(100, 2), atol=0.5)
    np.testing.assert_allclose((x @ example.PLANE.T @ example.PLANE).array, x.array, atol=1e-5)


def test_the_ring_itself_meets_the_bands_of_latent_diffusion_and_normal_points_do_not():
    n = latent_diffusion_ring.SAMPLES
    measured = latent_diffusion_ring.measure(tg.randn(n, 2), ring(n))
    for what, (low, high) in latent_diffusion_ring.EXPECTED.items():
        assert (low <= measured[what] <= high) == what.startswith("latent diffusion"), what
