"""The networks of GANs: what goes in and comes out, what they are made of, and that no sample has a
part in the score of another."""

import itertools
import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.models.gan import GAN
from tinygen.models.gan_networks import (
    Conditional,
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
)


def kinds(network):
    return [type(layer).__name__ for layer in network.layers]


def scattered(network, seed=0):
    """The network with weights that are large and all different, as after a training."""
    rng = np.random.default_rng(seed)
    for p in network.parameters():
        p.array[...] = 0.5 * rng.standard_normal(p.shape)
    return network


# ---- What goes in and comes out ------------------------------------------------------------------

SIZES = [((1, 8, 8), 2), ((1, 28, 28), 2), ((3, 16, 16), 3), ((3, 64, 64), 4), ((2, 6, 10), 1)]


@pytest.mark.parametrize(("shape", "layers"), SIZES)
def test_images_of_any_size_that_can_be_halved(shape, layers):
    gan = GAN(DCGANGenerator(5, shape, 2, layers), DCGANDiscriminator(shape, 2, layers))
    images = gan.sample(3)
    assert images.shape == (3, *shape) and images.dtype == tg.float32
    assert abs(images.array).max() < 1
    assert gan.discriminator(images).shape == (3,)
    assert gan.discriminator_loss(images).shape == () == gan.generator_loss(3).shape


def test_the_networks_of_the_paper():
    """Radford et al. 2016, figure 1: 1024, 512, 256, 128 and 3 channels at 4² to 64²."""
    generator, seen = DCGANGenerator(100, (3, 64, 64), 128, 4), []
    for layer in generator.layers:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.register_forward_hook(lambda m, inputs, output: seen.append(
                (inputs[0].shape[1:], output.shape[1:])
            ))  # fmt: skip
    with tg.no_grad():
        generator.eval()(tg.randn(1, 100))
    sides = [(1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64)]
    assert seen == list(itertools.pairwise(sides))
    discriminator = DCGANDiscriminator((3, 64, 64), 128, 4)
    widths = [m.out_channels for m in discriminator.layers if isinstance(m, nn.Conv2d)]
    assert widths == [128, 256, 512, 1024]


def test_points_are_not_squashed_and_images_are():
    assert "Tanh" not in kinds(MLPGenerator(2, (2,), (4,)))
    assert kinds(MLPGenerator(2, (1, 4, 4), (4,)))[-1] == "Tanh"
    assert kinds(MLPGenerator(2, (16,), (4,), tanh=True))[-1] == "Tanh"
    assert MLPGenerator(3, (1, 4, 4), (4,))(tg.randn(5, 3)).shape == (5, 1, 4, 4)


# ---- What they are made of -----------------------------------------------------------------------


def test_the_first_and_last_layers_are_not_normalised():
    """Radford et al. 2016, section 3: the scale of the data would be lost."""
    assert kinds(MLPGenerator(2, (2,), (4, 4), norm="batch")) == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear",
    ]  # fmt: skip
    assert kinds(MLPDiscriminator((2,), (4, 4), norm="layer")) == [
        "Linear", "LeakyReLU", "Linear", "LayerNorm", "LeakyReLU", "Linear",
    ]  # fmt: skip
    assert kinds(DCGANGenerator(2, (1, 8, 8), 4, 2)) == [
        "Linear", "Unflatten", "BatchNorm2d", "ReLU", "ConvTranspose2d", "BatchNorm2d", "ReLU",
        "ConvTranspose2d", "Tanh",
    ]  # fmt: skip
    assert kinds(DCGANDiscriminator((1, 8, 8), 4, 2)) == [
        "Conv2d", "LeakyReLU", "Conv2d", "BatchNorm2d", "LeakyReLU", "Flatten", "Linear",
    ]  # fmt: skip


def test_weights_of_a_dcgan_start_from_the_distribution_of_the_paper():
    for network in (DCGANGenerator(64), DCGANDiscriminator()):
        weights = [p.array.ravel() for name, p in network.named_parameters() if p.ndim > 1]
        all_of_them = np.concatenate(weights)
        assert all_of_them.std() == pytest.approx(0.02, rel=0.02)
        assert abs(all_of_them.mean()) < 3 * 0.02 / math.sqrt(len(all_of_them))


@pytest.mark.parametrize(
    "network",
    [
        MLPDiscriminator((1, 4, 4), (6, 5), norm="layer"),
        MLPDiscriminator((1, 4, 4), (6, 5), spectral_norm=True).eval(),  # makes no steps then
        DCGANDiscriminator((1, 4, 4), 4, norm="layer"),
        DCGANDiscriminator((1, 4, 4), 4, norm=None, spectral_norm=True).eval(),
        MLPGenerator(3, (2,), norm="layer"),
        DCGANGenerator(3, (1, 4, 4), 4, norm="layer"),
    ],
)
def test_what_becomes_of_a_sample_does_not_depend_on_the_others(network):
    network = scattered(network)
    shape = (network.latent_dim,) if hasattr(network, "latent_dim") else network.shape
    batch = tg.randn(6, *shape)
    with tg.no_grad():
        together = network(batch).array
        alone = np.concatenate([network(batch[i : i + 1]).array for i in range(6)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    assert np.ptp(together) > 0.01


def test_with_spectral_norm_no_slope_exceeds_1():
    network = scattered(MLPDiscriminator((3,), (16, 16), spectral_norm=True)).double()
    x, y = (tg.randn(500, 3, dtype=tg.float64) for _ in range(2))
    for _ in range(100):  # steps of the power iteration
        network(x)
    with tg.no_grad():
        change = abs(network(x).array - network(y).array)
    distance = np.linalg.norm(x.array - y.array, axis=1)
    assert 0.05 < (change / distance).max() <= 1.0 + 1e-9


def test_spectral_norm_is_on_every_layer():
    network = scattered(DCGANDiscriminator((1, 8, 8), 4, spectral_norm=True, norm=None)).double()
    x = tg.randn(2, 1, 8, 8, dtype=tg.float64)
    for _ in range(200):
        network(x)
    network.eval()
    layers = [m for m in network.layers if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(layers) == 3
    for layer in layers:
        largest = np.linalg.svd(layer.weight.array.reshape(len(layer.weight), -1))[1][0]
        assert largest == pytest.approx(1.0, abs=1e-6)


def test_state_comes_back():
    for make in (lambda: DCGANGenerator(3, (1, 4, 4), 4),
                 lambda: DCGANDiscriminator((1, 4, 4), 4, spectral_norm=True)):  # fmt: skip
        one, other = make(), make()
        x = tg.randn(4, 3) if hasattr(one, "latent_dim") else tg.randn(4, 1, 4, 4)
        one(x)  # moves the running statistics and the singular vectors
        other.load_state_dict(one.state_dict())
        np.testing.assert_array_equal(one.eval()(x).array, other.eval()(x).array)


# ---- Mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "layers", "sentence"), [
    ((1, 27, 27), 2, "multiples of 4, not 27 × 27"), ((1, 8, 12), 3, "multiples of 8, not 8 × 12"),
    ((1, 8, 8), 0, r"layers=0 \(at least 1 is needed\)"), ((1, 0, 0), 2, "not 0 × 0"),
    ((8, 8), 2, r"\(channels, height, width\), not \(8, 8\)"),
])  # fmt: skip
def test_images_that_cannot_be_halved(shape, layers, sentence):
    for make in (lambda: DCGANGenerator(2, shape, 4, layers),
                 lambda: DCGANDiscriminator(shape, 4, layers)):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            make()


@pytest.mark.parametrize(("network", "given", "sentence"), [
    (MLPGenerator(3, (2,)), (4, 5), r"MLPGenerator takes noise \[batch, 3\], not \[4, 5\]"),
    (MLPDiscriminator((2,)), (4, 3), r"MLPDiscriminator takes samples \[batch, 2\]"),
    (DCGANGenerator(3, (1, 8, 8), 4), (3,), r"DCGANGenerator takes noise \[batch, 3\], not \[3\]"),
    (DCGANDiscriminator((1, 8, 8), 4), (2, 1, 28, 28),
     r"DCGANDiscriminator takes images \[batch, 1, 8, 8\], not \[2, 1, 28, 28\]"),
    (DCGANDiscriminator((1, 8, 8), 4), (2, 8, 8), r"\[batch, 1, 8, 8\], not \[2, 8, 8\]"),
])  # fmt: skip
def test_inputs_of_the_wrong_shape(network, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        network(tg.randn(*given))


# ---- Classes -------------------------------------------------------------------------------------


def pair_for_classes():
    return GAN(Conditional(DCGANGenerator(3 + 10, (1, 8, 8), 4), 10),
               Conditional(DCGANDiscriminator((1 + 10, 8, 8), 4, norm=None), 10),
               gradient_penalty_weight=1.0, r1_gamma=1.0)  # fmt: skip


def test_both_networks_are_told_the_class():
    gan, labels = pair_for_classes().eval(), tg.tensor([7, 0, 9])
    images = gan.sample(3, labels, generator=tg.Generator(1))
    assert images.shape == (3, 1, 8, 8)
    same = gan.sample(3, labels, generator=tg.Generator(1))
    other = gan.sample(3, tg.tensor([7, 1, 9]), generator=tg.Generator(1))
    np.testing.assert_array_equal(images.array, same.array)
    assert [(a != b).any() for a, b in zip(images.array, other.array)] == [False, True, False]
    scores, others = gan.discriminator(images, labels), gan.discriminator(images, labels * 0)
    assert (scores.array != others.array).tolist() == [True, False, True]
    gan.discriminator_loss(images, labels=labels).backward()
    gan.generator_loss(3, labels).backward()
    assert all(p.grad is not None for p in gan.parameters())


@pytest.mark.parametrize(("labels", "error", "sentence"), [
    ([7, 0, 10], IndexError, "10"), ([7, 0, -1], IndexError, "-1"),
    ([7, 0], ValueError, "a label for each of 3 inputs"),
])  # fmt: skip
def test_labels_that_are_not_there(labels, error, sentence):
    with pytest.raises(error, match=sentence):
        pair_for_classes().sample(3, tg.tensor(labels))


def test_unknown_norms():
    with pytest.raises(ValueError, match="norm must be 'batch', 'layer' or None, not 'group'"):
        MLPGenerator(2, (2,), norm="group")
