"""A GAN in the Trainer: its two losses, the average of the generator, and a run that goes on."""

import numpy as np

import tinygen as tg
from tinygen.data import DataLoader, TensorDataset, cycle
from tinygen.models.gan import GAN
from tinygen.models.gan_networks import DCGANDiscriminator, DCGANGenerator
from tinygen.train import Trainer

DECAY = 0.8


def update(trainer, batch):
    gan, (real,) = trainer.model, batch
    return {"D": trainer.descend(gan.discriminator_loss(real), "D"),
            "G": trainer.descend(gan.generator_loss(len(real)), "G")}  # fmt: skip


def trainer(path=None):
    tg.manual_seed(0)
    images = tg.rand(12, 1, 8, 8) * 2 - 1
    gan = GAN(DCGANGenerator(3, (1, 8, 8), 4),
              DCGANDiscriminator((1, 8, 8), 4, norm="layer", spectral_norm=True),
              "hinge", r1_gamma=1.0)  # fmt: skip
    optimizers = {"D": tg.optim.Adam(gan.discriminator.parameters(), lr=1e-2),
                  "G": tg.optim.Adam(gan.generator.parameters(), lr=1e-2)}  # fmt: skip
    batches = cycle(DataLoader(TensorDataset(images), 4, shuffle=True))
    return Trainer(gan, optimizers, batches, update=update, grad_clip=None, ema=DECAY,
                   ema_of=gan.generator, checkpoint=path)  # fmt: skip


def numbers(module):
    return {name: value.array.copy() for name, value in module.state_dict().items()}


def test_the_average_follows_the_generator_and_takes_its_statistics():
    run, expected = trainer(), None
    for _ in range(4):
        run.train_step()
        new = numbers(run.model.generator)
        moving = {name: p.array.copy() for name, p in run.model.generator.named_parameters()}
        expected = moving if expected is None else {
            name: DECAY * expected[name] + (1 - DECAY) * value for name, value in moving.items()
        }  # fmt: skip
    found = numbers(run.ema.module)
    for name, value in new.items():
        np.testing.assert_allclose(found[name], expected.get(name, value), rtol=1e-5, atol=1e-7)
    assert any("running" in name for name in new)
    assert not run.ema.module.training  # so that a sample does not depend on the others


def test_a_run_that_was_interrupted_goes_on_bit_for_bit(tmp_path):
    whole = trainer()
    whole.fit(5, progress=False)
    first = trainer(tmp_path / "gan.safetensors")
    first.fit(2, progress=False)
    second = trainer(tmp_path / "gan.safetensors")
    second.resume()
    second.fit(5, progress=False)
    assert second.losses == whole.losses
    for mine, its in ((second.model, whole.model), (second.ema, whole.ema)):
        other = numbers(its)
        for name, value in numbers(mine).items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)
