"""The bands of compare_families come from the same models in PyTorch: given the same parameters,
data and noise, their losses are the same numbers."""

import importlib.util
import math
import pathlib

import numpy as np
import pytest

import tinygen as tg
from tinygen.models.energy import score

torch = pytest.importorskip("torch")
BANDS = pathlib.Path(__file__).parents[2] / "benchmarks" / "bands"
Z, U = 0.3, 0.5  # what takes the place of all normal and all uniform random numbers
NAMES = ("VAE", "GAN", "flow", "diffusion", "energy", "autoregressive")


@pytest.fixture
def band(monkeypatch):
    monkeypatch.syspath_prepend(BANDS)
    path = BANDS / "compare_families.py"
    spec = importlib.util.spec_from_file_location("band_of_compare_families", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def our_losses(name, model, x, settings) -> list[tg.Tensor]:
    z = tg.full((len(x), 2), Z)
    if name == "VAE":
        return [model.loss(x, noise=z)]
    if name == "GAN":
        return [model.discriminator_loss(x, z), model.generator_loss(z)]
    if name == "diffusion":
        start = settings.diffusion_2d.START
        return [model.denoising_loss(x, tg.full((len(x),), start + (1 - start) * U), noise=z)]
    if name == "energy":
        h, negatives = settings.LANGEVIN["step_size"], settings.LANGEVIN["scale"] * z
        for _ in range(settings.LANGEVIN["steps"]):
            negatives = negatives + h * score(model, negatives) + math.sqrt(2 * h) * z
        return [model(x).mean() - model(negatives).mean()]
    return [settings.negative_log_likelihood(model, x)]


@pytest.mark.parametrize("name", NAMES)
def test_the_band_comes_from_the_same_model(name, band, monkeypatch):
    family = band.example.FAMILIES[name]
    twin = band.TWINS[name]()
    with torch.no_grad():
        for p in twin.parameters:  # no layer stays as it begins, at 0 or 1
            p += 0.1 * torch.randn_like(p)
    model = band.in_tinygen(family, twin.parameters)
    monkeypatch.setattr(torch, "randn", lambda *shape: torch.full(shape, Z))
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.full(x.shape, Z))
    monkeypatch.setattr(torch, "rand", lambda *shape: torch.full(shape, U))
    if name == "energy":  # whose chains begin with the noise
        twin = with_parameters(band.TWINS[name](), twin.parameters)
    x = band.example.points(32)
    theirs = [loss(torch.tensor(x.numpy())).item() for _, loss in twin.descents]
    ours = [loss.item() for loss in our_losses(name, model, x, band.example)]
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-5)
    mine = [p for parameters, _ in twin.descents for p in parameters]
    assert {id(p) for p in mine} == {id(p) for p in twin.parameters}  # all of it is trained


def with_parameters(twin, parameters):
    with torch.no_grad():
        for p, value in zip(twin.parameters, parameters):
            p.copy_(value)
    return twin
