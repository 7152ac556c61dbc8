"""Scaled dot-product attention, forward and backward, [batch, heads, length, width].

python -m benchmarks attention
"""

import importlib

import numpy as np

SHAPES = [(12, 4, 64, 32), (4, 4, 256, 64), (2, 4, 512, 64), (1, 4, 1024, 64), (1, 1, 2048, 64)]


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    m.set_num_threads(2)
    return {
        f"{'x'.join(map(str, shape))} {name}": both(m, shape, **options)
        for shape in SHAPES
        for name, options in {"full": {}, "causal": {"is_causal": True}}.items()
    }


def both(m, shape, **options):
    rng = np.random.default_rng(0)
    q, k, v, cotangent = (m.tensor(rng.standard_normal(shape, np.float32)) for _ in range(4))
    leaves = [x.requires_grad_() for x in (q, k, v)]

    def call():
        for leaf in leaves:
            leaf.grad = None
        m.nn.functional.scaled_dot_product_attention(q, k, v, **options).backward(cotangent)

    return call
