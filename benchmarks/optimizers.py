"""Optimizer steps, and clipping the norm of gradients: of a small GPT's 52 parameters (0.2 million
numbers) and of 20 large ones (20 million).

python -m benchmarks optimizers
"""

import importlib

import numpy as np

SMALL = [(65, 64), (64, 64), (64,), (64,)]
for _ in range(4):
    SMALL += [(64,), (64,), (192, 64), (192,), (64, 64), (64,)]
    SMALL += [(64,), (64,), (256, 64), (256,), (64, 256), (64,)]
SIZES = {"0.2 million": SMALL, "20 million": [(1000, 1000)] * 20}
OPTIMIZERS = {
    "AdamW": {},
    "SGD": {"lr": 1e-3, "momentum": 0.9},
    "RMSprop": {},
    "Adagrad": {},
}


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    m.set_num_threads(2)
    cases = {}
    for size, shapes in SIZES.items():
        draw = np.random.default_rng(0).standard_normal  # the same in every engine
        params = [m.tensor(draw(shape, np.float32)).requires_grad_() for shape in shapes]
        for p in params:
            p.grad = m.tensor(draw(tuple(p.shape), np.float32))
        for name, options in OPTIMIZERS.items():
            fused = {"fused": True} if engine == "torch" and name != "RMSprop" else {}
            cases[f"{name}, {size}"] = getattr(m.optim, name)(params, **options, **fused).step
        clip = m.nn.utils.clip_grad_norm_
        cases[f"clip_grad_norm_, {size}"] = lambda params=params, clip=clip: clip(params, 1.0)
    return cases
