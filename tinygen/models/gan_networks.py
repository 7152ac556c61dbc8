"""Generators and discriminators for GANs: multilayer perceptrons (Goodfellow et al. 2014) and DCGAN
(Radford et al. 2016, "Unsupervised representation learning with deep convolutional GANs").

    generator:      noise z [B, latent_dim] -> samples [B, *shape]
    discriminator:  samples [B, *shape] -> scores [B]

Shapes: B samples of `shape`, which is (features,) for points and (C, H, W) for images. Generators
of images end in a tanh, so real images have to lie in [−1, 1], too. The generator normalises behind
every layer but the last, the discriminator behind every one but the first and the last (Radford et
al. 2016, section 3): neither may lose the mean and scale of the data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from .. import nn
from ..autograd.ops.join import cat
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..nn.utils.parametrizations import spectral_norm as spectrally_normalised

# ---- Layers --------------------------------------------------------------------------------------

NORMS = {
    ("batch", 1): nn.BatchNorm1d,
    ("batch", 3): nn.BatchNorm2d,
    ("layer", 1): nn.LayerNorm,
    ("layer", 3): lambda channels: nn.GroupNorm(1, channels),  # over all of a sample
}


def normalisation(kind: str | None, size: int, dims: int) -> list[nn.Module]:
    """No layer, or one that normalises [B, size] (dims 1) or [B, size, H, W] (dims 3)."""
    if kind not in (None, "batch", "layer"):
        raise ValueError(f"norm must be 'batch', 'layer' or None, not {kind!r}")
    return [NORMS[kind, dims](size)] if kind else []


def check_shape(name: str, takes: str, x: Tensor, shape: tuple[int, ...]) -> None:
    if x.shape[1:] != shape:
        expected = ", ".join(map(str, ("batch", *shape)))
        raise ValueError(f"{name} takes {takes} [{expected}], not {list(x.shape)}")


def normalise_spectrally(network: nn.Module) -> None:
    """Divide each weight by its largest singular value (Miyato et al. 2018, equation 8)."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            spectrally_normalised(layer)


# ---- Multilayer perceptrons ----------------------------------------------------------------------


class MLPGenerator(nn.Module):
    """Noise [B, latent_dim] to samples [B, *shape], through layers of ReLUs (Goodfellow 2014).

    norm: "batch", "layer" or None, behind every layer but the last.
    tanh: end in one, as for images in [−1, 1]; by default if `shape` is that of images.
    """

    def __init__(
        self,
        latent_dim: int,
        shape: Sequence[int],
        hidden: Sequence[int] = (256, 512),
        *,
        norm: str | None = None,
        tanh: bool | None = None,
    ):
        super().__init__()
        self.latent_dim, self.shape = latent_dim, tuple(shape)
        sizes, layers = (latent_dim, *hidden), []
        for into, out in zip(sizes, hidden):
            layers += [nn.Linear(into, out), *normalisation(norm, out, 1), nn.ReLU()]
        layers.append(nn.Linear(sizes[-1], math.prod(self.shape)))
        if len(self.shape) == 3 if tanh is None else tanh:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        check_shape("MLPGenerator", "noise", z, (self.latent_dim,))
        return self.layers(z).view(len(z), *self.shape)


class MLPDiscriminator(nn.Module):
    """Samples [B, *shape] to scores [B], through layers of leaky ReLUs.

    norm: "batch", "layer" or None, behind every layer but the first and the last: the first sees
        the data as they are (Radford et al. 2016, section 3).
    spectral_norm: bound the slope of every layer by 1 (Miyato et al. 2018).
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int] = (512, 256),
        *,
        norm: str | None = None,
        spectral_norm: bool = False,
    ):
        super().__init__()
        self.shape = tuple(shape)
        sizes, layers = (math.prod(self.shape), *hidden), []
        for i, (into, out) in enumerate(zip(sizes, hidden)):
            between = normalisation(norm, out, 1) if i else []
            layers += [nn.Linear(into, out), *between, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        if spectral_norm:
            normalise_spectrally(self)

    def forward(self, x: Tensor) -> Tensor:
        check_shape("MLPDiscriminator", "samples", x, self.shape)
        return self.layers(x.flatten(1)).squeeze(1)


# ---- Convolutional networks ----------------------------------------------------------------------


def smallest(image_shape: tuple[int, ...], layers: int) -> tuple[int, int]:
    """Height and width of an image (C, H, W) that was halved `layers` times."""
    if len(image_shape) != 3:
        raise ValueError(f"image_shape must be (channels, height, width), not {image_shape}")
    _, H, W = image_shape
    if layers < 1 or H % 2**layers or W % 2**layers or not H * W:
        raise ValueError(
            f"a DCGAN halves images once a layer: with layers={layers} (at least 1 is needed) "
            f"height and width must be multiples of {2 ** max(layers, 1)}, not {H} × {W}; pad or "
            "crop the images, or use fewer layers"
        )
    return H >> layers, W >> layers


def initialise(module: nn.Module) -> None:
    """All weights from N(0, 0.02²) (Radford et al. 2016, section 4); biases start from 0."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class DCGANGenerator(nn.Module):
    """Noise [B, latent_dim] to images [B, *image_shape] in (−1, 1) (Radford et al. 2016, figure 1).

    The noise is projected to a small image of many channels; each of `layers` transposed
    convolutions doubles its sides. The last but one has `channels` channels, each before it twice
    as many. The paper's network is latent_dim=100, image_shape=(3, 64, 64), channels=128, layers=4.
    """

    def __init__(
        self,
        latent_dim: int = 100,
        image_shape: Sequence[int] = (1, 28, 28),
        channels: int = 64,
        layers: int = 2,
        *,
        norm: str | None = "batch",
    ):
        super().__init__()
        self.latent_dim, self.shape = latent_dim, tuple(image_shape)
        height, width = smallest(self.shape, layers)
        widths = [channels << i for i in reversed(range(layers))]  # 28 × 28: 128 and 64
        modules = [nn.Linear(latent_dim, widths[0] * height * width, bias=not norm),
                   nn.Unflatten(1, (widths[0], height, width))]  # fmt: skip
        for into, out in itertools.pairwise(widths):
            modules += [*normalisation(norm, into, 3), nn.ReLU(),
                        nn.ConvTranspose2d(into, out, 4, 2, 1, bias=not norm)]  # fmt: skip
        modules += [*normalisation(norm, channels, 3), nn.ReLU(),
                    nn.ConvTranspose2d(channels, self.shape[0], 4, 2, 1), nn.Tanh()]  # fmt: skip
        self.layers = nn.Sequential(*modules).apply(initialise)

    def forward(self, z: Tensor) -> Tensor:
        check_shape("DCGANGenerator", "noise", z, (self.latent_dim,))
        return self.layers(z)


class DCGANDiscriminator(nn.Module):
    """Images [B, *image_shape] to scores [B] by strided convolutions (Radford et al. 2016).

    The generator in reverse: the first of `layers` convolutions has `channels` channels, each after
    it twice as many. norm and spectral_norm as in MLPDiscriminator.
    """

    def __init__(
        self,
        image_shape: Sequence[int] = (1, 28, 28),
        channels: int = 64,
        layers: int = 2,
        *,
        norm: str | None = "batch",
        spectral_norm: bool = False,
    ):
        super().__init__()
        self.shape = tuple(image_shape)
        height, width = smallest(self.shape, layers)
        modules = [nn.Conv2d(self.shape[0], channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(layers - 1):
            into, out = channels << i, channels << i + 1
            modules += [nn.Conv2d(into, out, 4, 2, 1, bias=not norm),
                        *normalisation(norm, out, 3), nn.LeakyReLU(0.2)]  # fmt: skip
        last = (channels << layers - 1) * height * width
        self.layers = nn.Sequential(*modules, nn.Flatten(), nn.Linear(last, 1)).apply(initialise)
        if spectral_norm:
            normalise_spectrally(self)

    def forward(self, x: Tensor) -> Tensor:
        check_shape("DCGANDiscriminator", "images", x, self.shape)
        return self.layers(x).squeeze(1)


# ---- Networks that are told a class --------------------------------------------------------------


class Conditional(nn.Module):
    """A network that is told the class of each sample (Mirza & Osindero 2014, "Conditional
    generative adversarial nets"): the label joins the input, one number a class, or one channel.

    network: one that takes num_classes more numbers or channels than there are to be, such as
        DCGANGenerator(100 + 10, ...) or DCGANDiscriminator((1 + 10, 28, 28), ...).
    """

    def __init__(self, network: nn.Module, num_classes: int):
        super().__init__()
        self.network, self.num_classes = network, num_classes
        if hasattr(network, "latent_dim"):
            self.latent_dim, self.shape = network.latent_dim - num_classes, network.shape
        else:
            self.shape = (network.shape[0] - num_classes, *network.shape[1:])

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """x [B, C] or [B, C, H, W], labels [B] from 0 to num_classes - 1."""
        if labels.shape != x.shape[:1]:
            raise ValueError(f"expected a label for each of {len(x)} inputs, not {labels.shape}")
        y = F.one_hot(labels, self.num_classes).to(x.dtype)  # [B, classes]
        y = y.view(*y.shape, *[1] * (x.ndim - 2)).expand(*y.shape, *x.shape[2:])
        return self.network(cat([x, y], 1))
