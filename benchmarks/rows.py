"""Functions of rows and of elements: normalisation, losses, activations, arithmetic, sums.

    python -m benchmarks rows

Forward and backward, on two threads; "forward" says that there is nothing to differentiate.
"""

import importlib
from functools import partial

import numpy as np

ROWS = [(768, 128), (1024, 384), (4096, 768)]
LOGITS = [(768, 65), (512, 32_000)]
IMAGES = (16, 64, 32, 32)
LARGE = (1024, 1536)

OF_ROWS = {
    "softmax": lambda m, F, x, p: F.softmax(x, -1),
    "log softmax": lambda m, F, x, p: F.log_softmax(x, -1),
    "logsumexp": lambda m, F, x, p: m.logsumexp(x, -1),
    "layer norm": lambda m, F, x, p: F.layer_norm(x, p["scale"].shape, p["scale"], p["shift"]),
    "rms norm": lambda m, F, x, p: F.rms_norm(x, p["scale"].shape, p["scale"]),
    "gelu": lambda m, F, x, p: F.gelu(x),
    "gelu, tanh": lambda m, F, x, p: F.gelu(x, approximate="tanh"),
}
LOSSES = {
    "cross entropy": lambda m, F, x, p: F.cross_entropy(x, p["labels"]),
    "cross entropy, smoothed": lambda m, F, x, p: F.cross_entropy(
        x, p["labels"], label_smoothing=0.1
    ),
}
OF_CHANNELS = {
    "group norm": lambda m, F, x, p: F.group_norm(x, 8, p["scale"], p["shift"]),
    "batch norm": lambda m, F, x, p: F.batch_norm(
        x, None, None, p["scale"], p["shift"], training=True
    ),
}
ACTIVATIONS = [
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "tanh",
    "sigmoid",
    "silu",
    "gelu",
    "mish",
    "softplus",
    "hardtanh",
    "relu6",
    "hardswish",
    "hardsigmoid",
    "logsigmoid",
    "softsign",
]
FUNCTIONS = ["exp", "log", "sin", "cos", "tanh", "sqrt", "abs", "neg"]
ARITHMETIC = {
    "add": lambda m, x, y: x + y,
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y,
    "div": lambda m, x, y: x / y,
    "add, a number": lambda m, x, y: x + 0.5,
    "mul, a number": lambda m, x, y: x * 0.5,
    "add, a row": lambda m, x, y: x + y[:1],
    "mul, a column": lambda m, x, y: x * y[..., :1],
    "maximum": lambda m, x, y: m.maximum(x, y),
    "where": lambda m, x, y: m.where(x > 0, x, y),
    "sum": lambda m, x, y: x.sum(),
    "sum, last dim": lambda m, x, y: x.sum(-1),
    "sum, first dim": lambda m, x, y: x.sum(0),
    "mean": lambda m, x, y: x.mean(),
}


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    m.set_num_threads(2)
    F = m.nn.functional
    rng = np.random.default_rng(0)
    draw = lambda *shape: m.tensor(rng.standard_normal(shape, np.float32)).requires_grad_()
    cases = {}

    def add(name, op, x, p):
        cases[name] = both(m, lambda x: op(m, F, x, p), x, p)

    for rows, columns in ROWS:
        p = {"scale": draw(columns), "shift": draw(columns)}
        for name, op in OF_ROWS.items():
            add(f"{name} {rows}x{columns}", op, draw(rows, columns), p)
    for rows, classes in LOGITS:
        p = {"labels": m.tensor(rng.integers(0, classes, rows))}
        for name, op in LOSSES.items():
            add(f"{name} {rows}x{classes}", op, draw(rows, classes), p)
    for shape in (IMAGES, (128, 512)):
        p = {"scale": draw(shape[1]), "shift": draw(shape[1])}
        for name, op in OF_CHANNELS.items():
            add(f"{name} {'x'.join(map(str, shape))}", op, draw(*shape), p)
    for shape in (IMAGES, LARGE):
        size, x, y = "x".join(map(str, shape)), draw(*shape), draw(*shape)
        for name in ACTIVATIONS:
            op = getattr(F, name, None) or getattr(m, name)
            add(f"{name} {size}", lambda m, F, x, p, op=op: op(x), x, {})
        x, y = x.detach().abs() + 0.1, y.detach()
        for name in FUNCTIONS:
            cases[f"{name} {size}, forward"] = partial(getattr(m, name), x)
        for name, op in ARITHMETIC.items():
            cases[f"{name} {size}, forward"] = partial(op, m, x, y)
    return cases


def both(m, op, x, parameters):
    cotangent = m.ones_like(op(x).detach())
    leaves = [x, *[p for p in parameters.values() if p.requires_grad]]

    def call():
        for leaf in leaves:
            leaf.grad = None
        op(x).backward(cotangent)

    return call
