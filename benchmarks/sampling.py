"""Images out of noise: samplers with the U-Net of examples/diffusion_digits.py.

    python -m benchmarks sampling

DDPM-100 are 100 calls of the network, DDIM-20 are 20, and Heun-20 are 39 (its last step takes one).
"tinygen" is tinygen.sde.sample; "torch" is the same loop in eager PyTorch, in inference mode, its
coefficients being numbers of Python. Both have the same weights and noise, drawn by NumPy, and so
the same images. Images a second are the batch divided by the seconds.
"""

import importlib
import math
from itertools import pairwise

import numpy as np

from .steps.task import set_weights

ENGINES = ("tinygen", "torch")
NETWORKS = {  # by the side of the images
    8: {"channels": 16, "channel_mults": (1, 2)},
    28: {"channels": 16, "channel_mults": (1, 2, 2), "attention_levels": (2,)},
}
CASES = [("DDPM", 100, 8, 64), ("DDIM", 20, 8, 64), ("Heun", 20, 8, 64), ("DDIM", 20, 28, 64)]
CLASSES, END, SHIFT = 10, 0.9946, 0.008  # of the digits; of the cosine schedule
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0  # of Heun's times


def make(engine: str) -> dict:
    sampler = {"tinygen": in_tinygen, "torch": in_torch}[engine]
    networks = {side: network(engine, side) for side in NETWORKS}
    return {f"{name}-{steps}, {batch} of {side} × {side}":
            sampler(name, steps, networks[side], (batch, 1, side, side))
            for name, steps, side, batch in CASES}  # fmt: skip


def network(engine: str, side: int):
    """It knows all classes, and its last layer is not zeros, as after training."""
    m = importlib.import_module(engine)
    home = m.nn if engine == "tinygen" else importlib.import_module("benchmarks.unet_in_torch")
    made = home.UNet(**NETWORKS[side], num_classes=CLASSES)
    set_weights(made, m)
    made.classes.seen[:] = True
    return made.eval()


def noise(m):
    """Standard normal tensors of any shape, the same in every call of a sampler."""
    random = np.random.default_rng(0)
    return lambda shape: m.from_numpy(random.standard_normal(shape, np.float32))


# ---- tinygen -------------------------------------------------------------------------------------


def in_tinygen(name: str, steps: int, network, shape):
    import tinygen as tg

    sampler = {"DDPM": tg.sde.Ancestral(), "DDIM": tg.sde.DDIM(), "Heun": tg.sde.Heun()}[name]
    denoiser = tg.sde.Denoiser(network, tg.sde.CosineSchedule(), "v", tg.arange(shape[0]) % CLASSES)

    class WithNoise:
        """The sampler, but for where its noise is from."""

        times = sampler.times

        def __init__(self):
            self.draw = noise(tg)

        def __call__(self, denoiser, x, t, s, _):
            return sampler(denoiser, x, t, s, lambda x: self.draw(x.shape))

    def call():
        given = WithNoise()
        return tg.sde.sample(denoiser, shape, given, steps, x=given.draw(shape)).numpy()

    return call


# ---- PyTorch -------------------------------------------------------------------------------------


def in_torch(name: str, steps: int, network, shape):
    import torch

    loop = {"DDPM": ddpm, "DDIM": ddim, "Heun": heun}[name]
    classes = torch.arange(shape[0]) % CLASSES

    @torch.inference_mode()
    def call():
        draw = noise(torch)
        predict = lambda x, t: network(x, torch.full(shape[:1], t), classes)
        return loop(predict, draw(shape), steps, draw).numpy()

    return call


def alpha_sigma(t: float) -> tuple[float, float]:
    quarter = math.pi / 2 / (1 + SHIFT)
    alpha = math.cos((t + SHIFT) * quarter) / math.cos(SHIFT * quarter)
    return alpha, math.sqrt(1 - alpha * alpha)


def ddpm(predict, x, steps: int, draw):
    """Ho et al. 2020, algorithm 2, of v prediction: x0 = α x - σ v."""
    for n in range(steps, 0, -1):
        (alpha, sigma), (alpha_s, sigma_s) = (alpha_sigma(END * i / steps) for i in (n, n - 1))
        v = predict(x, END * n / steps)
        a, share = alpha / alpha_s, (sigma_s / sigma) ** 2
        of_x0, variance = alpha_s - alpha * a * share, (sigma**2 - (a * sigma_s) ** 2) * share
        x = (a * share + of_x0 * alpha) * x - (of_x0 * sigma) * v
        if n > 1:
            x = x + math.sqrt(variance) * draw(x.shape)
    return x


def ddim(predict, x, steps: int, draw):
    """Song et al. 2021, equation 12, without noise: ε = σ x + α v."""
    for n in range(steps, 0, -1):
        (alpha, sigma), (alpha_s, sigma_s) = (alpha_sigma(END * i / steps) for i in (n, n - 1))
        v = predict(x, END * n / steps)
        x = (alpha_s * alpha + sigma_s * sigma) * x + (sigma_s * alpha - alpha_s * sigma) * v
    return x


def heun(predict, x, steps: int, draw):
    """Karras et al. 2022, algorithm 2, in x/α as a function of σ/α."""

    def time_of(ratio: float) -> float:  # at which σ/α is that
        cosine = math.cos(SHIFT * math.pi / 2 / (1 + SHIFT)) / math.sqrt(1 + ratio * ratio)
        return min(math.acos(cosine) * (1 + SHIFT) * 2 / math.pi - SHIFT, END)

    def epsilon(x, t: float):
        alpha, sigma = alpha_sigma(t)
        return sigma * x + alpha * predict(x, t)

    last = alpha_sigma(END)
    ends = (min(SIGMA_MAX, last[1] / last[0]) ** (1 / RHO), SIGMA_MIN ** (1 / RHO))
    times = [time_of(float(root) ** RHO) for root in np.linspace(*ends, steps)]
    for t, s in pairwise(times):
        (alpha, sigma), (alpha_s, sigma_s) = alpha_sigma(t), alpha_sigma(s)
        size, e = sigma_s / alpha_s - sigma / alpha, epsilon(x, t)
        euler = alpha_s * (x / alpha + size * e)
        x = alpha_s * (x / alpha + (size / 2) * (e + epsilon(euler, s)))
    alpha, sigma = alpha_sigma(times[-1])
    return alpha * x - sigma * predict(x, times[-1])
