"""The bands of the examples on digits come from the same training in PyTorch: given the same
weights, data, times and noise, the loss and its gradients are the same numbers."""

import pathlib

import numpy as np
import pytest

import tinygen as tg
from tinygen import sde
from tinygen.models.diffusion import DDPM
from tinygen.nn import UNet

torch = pytest.importorskip("torch")


def test_the_loss_and_its_gradients(monkeypatch):
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "benchmarks" / "bands")
    import diffusion_training as band

    options = {**band.example.DIGITS.network, "num_classes": 10, "class_dropout": 0.0}
    ours, theirs = UNet(**options).double(), band.UNet(**options).double()
    for p in ours.parameters():
        tg.nn.init.normal_(p, std=0.05)
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    rng = np.random.default_rng(0)
    x0, noise = rng.standard_normal((2, 4, 1, 8, 8))
    n, classes = np.array([1, 300, 700, 1000]), np.array([3, 1, 4, 9])

    model = DDPM(ours, sde.CosineSchedule(), prediction="v")
    t = model.time(tg.tensor(n))
    loss = model.denoising_loss(tg.tensor(x0), t, tg.tensor(classes), noise=tg.tensor(noise))
    times = torch.tensor(n) * (band.SCHEDULE.end / 1000)
    assert np.allclose(t.array, times.numpy())
    arrays = (torch.tensor(array) for array in (x0, classes, noise))
    expected = band.loss_at(times.double(), theirs, *arrays)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward(), expected.backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        scale = np.abs(q.grad.numpy()).max()
        np.testing.assert_allclose(
            p.grad.array, q.grad.numpy(), rtol=1e-3, atol=1e-4 * scale, err_msg=name
        )
