"""What a call of an op costs where there is little to compute: tensors of 16 × 16, one thread.

    python -m benchmarks op_overhead

Each case is 100 calls, forward alone on tensors that want no gradient, or forward and backward.
"""

import importlib

import numpy as np

CALLS = 100

OPS = {
    "add": lambda m, x, y: x + y,
    "add, a number": lambda m, x, y: x + 0.5,
    "add, a row": lambda m, x, y: x + y[0],
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y,
    "div": lambda m, x, y: x / y,
    "pow 2": lambda m, x, y: x**2,
    "neg": lambda m, x, y: -x,
    "abs": lambda m, x, y: x.abs(),
    "exp": lambda m, x, y: x.exp(),
    "log": lambda m, x, y: x.log(),
    "sqrt": lambda m, x, y: x.sqrt(),
    "sin": lambda m, x, y: x.sin(),
    "tanh": lambda m, x, y: x.tanh(),
    "sigmoid": lambda m, x, y: x.sigmoid(),
    "relu": lambda m, x, y: x.relu(),
    "gelu": lambda m, x, y: m.nn.functional.gelu(x),
    "silu": lambda m, x, y: m.nn.functional.silu(x),
    "softplus": lambda m, x, y: m.nn.functional.softplus(x),
    "clamp": lambda m, x, y: x.clamp(0.6, 1.5),
    "maximum": lambda m, x, y: m.maximum(x, y),
    "where": lambda m, x, y: m.where(x > y, x, y),
    "lerp": lambda m, x, y: m.lerp(x, y, 0.3),
    "sum": lambda m, x, y: x.sum(),
    "sum, a dim": lambda m, x, y: x.sum(1),
    "mean": lambda m, x, y: x.mean(),
    "mean, a dim": lambda m, x, y: x.mean(-1, keepdim=True),
    "var": lambda m, x, y: x.var(-1),
    "amax": lambda m, x, y: x.amax(-1),
    "max": lambda m, x, y: x.max(-1)[0],
    "norm": lambda m, x, y: x.norm(),
    "cumsum": lambda m, x, y: x.cumsum(0),
    "logsumexp": lambda m, x, y: x.logsumexp(-1),
    "softmax": lambda m, x, y: x.softmax(-1),
    "log_softmax": lambda m, x, y: x.log_softmax(-1),
    "matmul": lambda m, x, y: x @ y,
    "linear": lambda m, x, y: m.nn.functional.linear(x, y, y[0]),
    "reshape": lambda m, x, y: x.reshape(4, 64),
    "transpose": lambda m, x, y: x.transpose(0, 1),
    "permute": lambda m, x, y: x.permute(1, 0),
    "unsqueeze": lambda m, x, y: x.unsqueeze(1),
    "expand": lambda m, x, y: x[:1].expand(16, 16),
    "slice": lambda m, x, y: x[2:5],
    "cat": lambda m, x, y: m.cat([x, y]),
    "stack": lambda m, x, y: m.stack([x, y]),
    "chunk": lambda m, x, y: x.chunk(2)[0],
    "layer_norm": lambda m, x, y: m.nn.functional.layer_norm(x, (16,), y[0], y[1]),
    "mse_loss": lambda m, x, y: m.nn.functional.mse_loss(x, y),
}


def make(engine: str) -> dict:
    m = importlib.import_module(engine)
    m.set_num_threads(1)
    values = np.random.default_rng(0).uniform(0.5, 2, (2, 16, 16)).astype(np.float32)
    cases = {}
    for name, op in OPS.items():
        cases[f"{name}: forward"] = forward(m, op, values)
        cases[f"{name}: forward + backward"] = both(m, op, values)
    return cases


def forward(m, op, values):
    x, y = m.tensor(values[0]), m.tensor(values[1])

    def call():
        for _ in range(CALLS):
            op(m, x, y)

    return call


def both(m, op, values):
    x, y = (m.tensor(v).requires_grad_() for v in values)
    cotangent = m.ones_like(op(m, x, y).detach())

    def call():
        for _ in range(CALLS):
            x.grad = y.grad = None
            op(m, x, y).backward(cotangent)

    return call
