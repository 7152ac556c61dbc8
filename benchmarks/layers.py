"""Layers of image models, forward and backward: 16 images of 64 channels and 32 × 32 places.

python -m benchmarks layers
"""

import importlib

import numpy as np

LAYERS = {
    "conv 1x1": lambda F, x, p: F.conv2d(x, p["w1"]),
    "conv 3x3": lambda F, x, p: F.conv2d(x, p["w3"], padding=1),
    "conv 3x3, stride 2": lambda F, x, p: F.conv2d(x, p["w3"], padding=1, stride=2),
    "conv 3x3, depthwise": lambda F, x, p: F.conv2d(x, p["each"], padding=1, groups=64),
    "transposed conv 4x4, stride 2": lambda F, x, p: F.conv_transpose2d(
        x, p["w4"], stride=2, padding=1
    ),
    "group norm": lambda F, x, p: F.group_norm(x, 8, p["scale"], p["shift"]),
    "batch norm": lambda F, x, p: F.batch_norm(
        x, None, None, p["scale"], p["shift"], training=True
    ),
    "silu": lambda F, x, p: F.silu(x),
    "leaky relu": lambda F, x, p: F.leaky_relu(x, 0.2),
    "max pool": lambda F, x, p: F.max_pool2d(x, 2),
    "max pool 3x3, stride 2": lambda F, x, p: F.max_pool2d(x, 3, 2, 1),
    "average pool": lambda F, x, p: F.avg_pool2d(x, 2),
    "adaptive average pool": lambda F, x, p: F.adaptive_avg_pool2d(x, 4),
    "adaptive max pool": lambda F, x, p: F.adaptive_max_pool2d(x, 5),
    "nearest upsampling": lambda F, x, p: F.interpolate(x, scale_factor=2),
    "pixel shuffle": lambda F, x, p: F.pixel_shuffle(x, 2),
    "embedding": lambda F, x, p: F.embedding(p["indices"], p["table"]),
    "index_add": lambda F, x, p: p["table"].index_add(0, p["indices"], p["rows"]),
    "gather": lambda F, x, p: p["table"].gather(1, p["columns"]),
    "scatter_add": lambda F, x, p: p["table"].scatter_add(1, p["columns"], p["rows"]),
}


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    rng = np.random.default_rng(0)
    draw = lambda *shape: m.tensor(rng.standard_normal(shape, np.float32)).requires_grad_()
    x = draw(16, 64, 32, 32)
    p = {"w1": draw(64, 64, 1, 1), "w3": draw(64, 64, 3, 3), "w4": draw(64, 64, 4, 4),
         "each": draw(64, 1, 3, 3), "scale": draw(64), "shift": draw(64),
         "table": draw(1000, 128), "rows": draw(800, 128)}  # fmt: skip
    draw_index = lambda n, *shape: m.tensor(rng.integers(0, n, shape))
    p |= {"indices": draw_index(1000, 800), "columns": draw_index(128, 800, 128)}
    return {name: both(m, layer, x, p) for name, layer in LAYERS.items()}


def both(m, layer, x, p):
    cotangent = m.ones_like(layer(m.nn.functional, x, p).detach())

    def call():
        for leaf in (x, *p.values()):
            leaf.grad = None
        layer(m.nn.functional, x, p).backward(cotangent)

    return call
