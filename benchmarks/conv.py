"""Convolutions of a small U-Net and of a DCGAN, forward and backward, with bias.

The U-Net sees 16 images of 28 × 28, the DCGAN's generator makes 32 of 32 × 32 from noise.

python -m benchmarks conv
"""

import importlib

import numpy as np

# name: shape of x, shape of the filters, options, and whether x needs a gradient
SAME, HALVE = {"padding": 1}, {"padding": 1, "stride": 2}
CONV = {
    "unet 1 -> 32, 28": ((16, 1, 28, 28), (32, 1, 3, 3), SAME, False),
    "unet 32 -> 32, 28": ((16, 32, 28, 28), (32, 32, 3, 3), SAME, True),
    "unet 32 -> 64, 28, stride 2": ((16, 32, 28, 28), (64, 32, 3, 3), HALVE, True),
    "unet 64 -> 64, 14": ((16, 64, 14, 14), (64, 64, 3, 3), SAME, True),
    "unet 64 -> 128, 14, stride 2": ((16, 64, 14, 14), (128, 64, 3, 3), HALVE, True),
    "unet 128 -> 128, 7": ((16, 128, 7, 7), (128, 128, 3, 3), SAME, True),
    "unet 128 -> 64, 14": ((16, 128, 14, 14), (64, 128, 3, 3), SAME, True),
    "unet 64 -> 32, 28": ((16, 64, 28, 28), (32, 64, 3, 3), SAME, True),
    "unet 32 -> 1, 28": ((16, 32, 28, 28), (1, 32, 3, 3), SAME, True),
    "unet 64 -> 32, 1x1, 28": ((16, 64, 28, 28), (32, 64, 1, 1), {}, True),
    "dcgan 3 -> 64, 32, 4x4 stride 2": ((32, 3, 32, 32), (64, 3, 4, 4), HALVE, False),
    "dcgan 64 -> 128, 16, 4x4 stride 2": ((32, 64, 16, 16), (128, 64, 4, 4), HALVE, True),
    "depthwise 64, 32": ((16, 64, 32, 32), (64, 1, 3, 3), {"padding": 1, "groups": 64}, True),
    "8 groups of 8, 32": ((16, 64, 32, 32), (64, 8, 3, 3), {"padding": 1, "groups": 8}, True),
    "1-D 64 -> 64, 512": ((16, 64, 512), (64, 64, 5), {"padding": 4, "dilation": 2}, True),
    "one image 64 -> 64, 64": ((1, 64, 64, 64), (64, 64, 3, 3), SAME, True),
}  # fmt: skip
TRANSPOSED = {
    "unet transposed 128 -> 64, 7": ((16, 128, 7, 7), (128, 64, 4, 4), HALVE, True),
    "unet transposed 64 -> 32, 14, 2x2": ((16, 64, 14, 14), (64, 32, 2, 2), {"stride": 2}, True),
    "dcgan transposed 100 -> 256, 1": ((32, 100, 1, 1), (100, 256, 4, 4), {}, True),
    "dcgan transposed 256 -> 128, 4": ((32, 256, 4, 4), (256, 128, 4, 4), HALVE, True),
    "dcgan transposed 128 -> 64, 8": ((32, 128, 8, 8), (128, 64, 4, 4), HALVE, True),
    "dcgan transposed 64 -> 3, 16": ((32, 64, 16, 16), (64, 3, 4, 4), HALVE, True),
}  # fmt: skip


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    m.set_num_threads(2)
    cases = {name: case(m, "conv", *spec) for name, spec in CONV.items()}
    return cases | {name: case(m, "conv_transpose", *spec) for name, spec in TRANSPOSED.items()}


def case(m, name, x_shape, w_shape, options, of_x):
    """A function that convolves and goes back."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: m.tensor(0.1 * rng.standard_normal(shape, np.float32))
    groups = options.get("groups", 1)
    outputs = w_shape[0] if name == "conv" else w_shape[1] * groups
    x, w, b = draw(*x_shape), draw(*w_shape).requires_grad_(), draw(outputs).requires_grad_()
    if of_x:
        x.requires_grad_()
    conv = getattr(m.nn.functional, f"{name}{len(x_shape) - 2}d")
    cotangent = m.ones_like(conv(x, w, b, **options).detach())

    def call():
        x.grad = w.grad = b.grad = None
        conv(x, w, b, **options).backward(cotangent)

    return call
