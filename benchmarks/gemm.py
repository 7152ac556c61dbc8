"""Matrix products of float32: square ones, small ones, and those of a training step.

    python -m benchmarks gemm
    python -m benchmarks gemm --only square --threads 1

A linear layer of `rows` inputs makes three: x W' forward, and backward g W and g' x, which are
named after what they compute. A case of small matrices is 100 products.
"""

import importlib

import numpy as np

CALLS = 100

SQUARES = (256, 384, 512, 768, 1024)
SMALL = [(4, 4, 4), (16, 16, 16), (32, 32, 32), (64, 64, 64), (64, 32, 64)]
BATCHES = (12, 4), (64,)
LAYERS = {  # rows, and the layers' numbers of inputs and outputs
    "gpt 128": (768, (128, 384), (128, 128), (128, 512), (512, 128), (128, 65)),
    "gpt 384": (1024, (384, 1152), (384, 384), (384, 1536), (1536, 384), (384, 65)),
    "vae": (128, (784, 512), (512, 256), (256, 64), (32, 256), (256, 512), (512, 784)),
    "gan": (128, (64, 256), (256, 512), (512, 784), (784, 256), (256, 1)),
    "flow": (512, (2, 128), (128, 128), (128, 4)),
    "diffusion": (512, (2, 128), (128, 256), (256, 256), (256, 2)),
}


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    random = np.random.default_rng(0)
    draw = lambda *shape: m.tensor(random.standard_normal(shape, np.float32))
    cases = {f"square {n}": product(draw(n, n), draw(n, n)) for n in SQUARES}
    for i, k, j in SMALL:
        cases[f"small {i}×{k}×{j}"] = repeated(product(draw(i, k), draw(k, j)))
    for batch in BATCHES:
        for i, k, j in SMALL:
            name = "×".join(str(n) for n in (*batch, i, k, j))
            cases[f"batched {name}"] = repeated(product(draw(*batch, i, k), draw(*batch, k, j)))
    for model, (rows, *layers) in LAYERS.items():
        for inputs, outputs in layers:
            x, w, g = draw(rows, inputs), draw(outputs, inputs), draw(rows, outputs)
            name = f"{model} {rows}×{inputs}×{outputs}"
            cases[f"{name} forward"] = product(x, w.T)
            cases[f"{name} input gradient"] = product(g, w)
            cases[f"{name} weight gradient"] = product(g.T, x)
    return cases


def product(a, b):
    return lambda: a @ b


def repeated(call):
    def calls():
        for _ in range(CALLS):
            call()

    return calls
