"""The bands of the GAN examples come from the same training in PyTorch: given the same weights,
data and noise, all losses and the average of the generator are the same numbers."""

import importlib.util
import pathlib

import numpy as np
import pytest

import tinygen as tg
from tinygen.optim.lr_scheduler import LambdaLR
from tinygen.train import Trainer

torch = pytest.importorskip("torch")
BANDS = pathlib.Path(__file__).parents[2] / "benchmarks" / "bands"
STEPS = 10


@pytest.fixture
def band_of(monkeypatch):
    def load(name):
        monkeypatch.syspath_prepend(BANDS)
        spec = importlib.util.spec_from_file_location(f"band_of_{name}", BANDS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def ours(example, gan, data, noise):
    """The networks at first, the losses, and the averaged generator."""
    start = [{k: v.numpy().copy() for k, v in network.state_dict().items()}
             for network in (gan.generator, gan.discriminator)]  # fmt: skip

    def update(trainer, batch):
        real, z = (tg.tensor(array) for array in batch)
        return {"D": trainer.descend(gan.discriminator_loss(real, z[0]), "D"),
                "G": trainer.descend(gan.generator_loss(z[1]), "G")}  # fmt: skip

    optimizers = {
        "D": tg.optim.Adam(gan.discriminator.parameters(), example.LR, example.BETAS),
        "G": tg.optim.Adam(gan.generator.parameters(), example.LR, example.BETAS),
    }
    schedules = {k: LambdaLR(o, example.decay(STEPS)) for k, o in optimizers.items()}
    run = Trainer(gan, optimizers, zip(data, noise), update=update, scheduler=schedules,
                  grad_clip=None, ema=example.EMA, ema_of=gan.generator)  # fmt: skip
    for _ in range(STEPS):
        run.train_step()
    return start, run.losses, list(run.ema.module.state_dict().values())


def theirs(example, G, D, start, data, noise, monkeypatch):
    import gan_training as in_torch

    for network, arrays in zip((G, D), start):
        values = [torch.tensor(array) for array in arrays.values()]
        network.load_state_dict(dict(zip(network.state_dict(), values)))
    losses, step = [], in_torch.step
    monkeypatch.setattr(
        in_torch, "step", lambda o, loss: (losses.append(loss.item()), step(o, loss))
    )
    draws, batches = iter(noise), iter(torch.tensor(data))
    monkeypatch.setattr(torch, "randn", lambda *shape: torch.tensor(next(draws)))
    average = in_torch.trained(
        G, D, batches.__next__, example.LATENT, STEPS, example.LR, example.BETAS, example.EMA,
        example.GAMMA, example.decay,
    )  # fmt: skip
    return losses, list(average.state_dict().values())


@pytest.mark.parametrize(("name", "shape"), [("gan_digits", (1, 8, 8)), ("gan_25gaussians", (2,))])
def test_the_band_comes_from_the_same_training(name, shape, band_of, monkeypatch):
    band = band_of(name)
    example, setting = band.example, [band.example.DIGITS] if name == "gan_digits" else []
    rng = np.random.default_rng(0)
    data = rng.uniform(-1, 1, (STEPS, 8, *shape))
    noise = rng.standard_normal((STEPS, 2, 8, example.LATENT))
    start, losses, average = ours(example, example.networks(*setting).double(), data, noise)
    G, D = (network.double() for network in band.networks(*setting))
    their_losses, their_average = theirs(example, G, D, start, data, noise, monkeypatch)
    np.testing.assert_allclose(losses["D"], their_losses[0::2], rtol=1e-10)
    np.testing.assert_allclose(losses["G"], their_losses[1::2], rtol=1e-10)
    assert len(average) == len(their_average)
    for mine, its in zip(average, their_average):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-8, atol=1e-12)
