"""Random numbers: few, some and many of them; and dropout, forward and backward.

python -m benchmarks random_numbers
"""

import importlib

SHAPES = [(16, 16), (10_000,), (1_000_000,), (10_000_000,)]
DRAWS = {
    "randn": lambda m, shape: m.randn(*shape),
    "rand": lambda m, shape: m.rand(*shape),
    "randint": lambda m, shape: m.randint(0, 1000, shape),
    "bernoulli": lambda m, shape: m.empty(shape).bernoulli_(0.3),
    "exponential": lambda m, shape: m.empty(shape).exponential_(),
}


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    m.set_num_threads(2)
    cases = {
        f"{name} {'x'.join(map(str, shape))}": drawing(m, draw, shape)
        for name, draw in DRAWS.items()
        for shape in SHAPES
    }
    return cases | {f"dropout {n}": dropout(m, n) for n in (16 * 16, 768 * 128, 4096 * 384)}


def drawing(m, draw, shape):
    def call():
        draw(m, shape)  # and returns nothing to compare: no two engines draw the same

    return call


def dropout(m, n):
    x = m.randn(n).requires_grad_()
    cotangent = m.ones(n)

    def call():
        x.grad = None
        m.nn.functional.dropout(x, 0.1).backward(cotangent)

    return call
