"""Compile everything ahead: `python -m tinygen warmup`.

What is compiled is found by doing: `EXAMPLES` are small calls of all that has a kernel, forward and
backward. A test finds kernels that no example reaches.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

from . import nn, optim
from .autograd import Tensor
from .autograd.creation import ones, tensor
from .autograd.ops.choose import where
from .autograd.ops.join import cat
from .autograd.random import rand, randint, randn
from .kernels import jit
from .nn import functional as F

__all__ = ["EXAMPLES", "compile_all"]

EXAMPLES: dict[str, Callable[[], None]] = {}


def example(function: Callable[[], None]) -> Callable[[], None]:
    EXAMPLES[function.__name__.replace("_", " ")] = function
    return function


def leaf(*shape: int) -> Tensor:
    return randn(*shape).requires_grad_()


def both_ways(*outputs: Any) -> None:
    """Backward, with a cotangent that is laid out like any array."""
    for y in outputs:
        y.backward(randn(*y.shape), retain_graph=True)


@example
def matrix_products() -> None:
    layer = nn.Linear(96, 96)
    both_ways(layer(leaf(200, 96)), leaf(2, 8, 8) @ leaf(2, 8, 8))


@example
def convolution() -> None:
    image, signal_ = leaf(2, 4, 12, 12), leaf(2, 4, 24)
    both_ways(
        F.conv2d(image, leaf(8, 4, 3, 3), leaf(8), padding=1),
        F.conv2d(leaf(2, 32, 8, 8), leaf(32, 32, 3, 3), padding=1),
        F.conv2d(image, leaf(8, 4, 3, 3), stride=2, padding=1, dilation=2),
        F.conv2d(image, leaf(8, 2, 3, 3), padding=1, groups=2),
        F.conv_transpose2d(image, leaf(4, 8, 4, 4), stride=2, padding=1),
        F.conv1d(signal_, leaf(8, 4, 3), leaf(8), padding=1),
        F.max_pool2d(image, 2),
        F.avg_pool2d(image, 2),
        F.interpolate(image, scale_factor=2),
    )


@example
def attention() -> None:
    B, H, T, D = 2, 4, 40, 16
    packed = leaf(B, T, 3, H, D)
    q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
    mask = randn(T, T) > 0
    both_ways(
        F.scaled_dot_product_attention(q, k, v),
        F.scaled_dot_product_attention(q, k, v, is_causal=True),
        F.scaled_dot_product_attention(q, k, v, mask | ones(T, T).tril().bool()),
        F.scaled_dot_product_attention(q, k, v, randn(T, T)),
        F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=0.1),
    )


@example
def activations() -> None:
    x = leaf(32, 64)
    names = ("relu", "gelu", "silu", "softplus", "sigmoid", "tanh", "leaky_relu", "elu", "mish")
    both_ways(*(getattr(F, name)(x) for name in names), F.gelu(x, approximate="tanh"))
    both_ways(x.erf(), x.exp(), x.softmax(-1), x.log_softmax(-1), x.logsumexp(-1))


@example
def arithmetic() -> None:
    x, y = leaf(600, 600), leaf(600, 600)
    both_ways(x + y, x * y, x / y, where(x > 0, x, y), where(x > 0, x, 0.0), x.clamp(0, 1))


@example
def normalization() -> None:
    x, scale, shift = leaf(8, 16), leaf(16), leaf(16)
    image = leaf(4, 16, 6, 6)
    both_ways(
        F.layer_norm(x, (16,), scale, shift),
        F.layer_norm(x, (16,), scale),
        F.layer_norm(x, (16,)),
        F.rms_norm(x, (16,), scale),
        F.group_norm(image, 4, scale, shift),
        F.batch_norm(image, None, None, scale, shift, training=True),
        F.batch_norm(x, None, None, scale, shift, training=True),
    )


@example
def losses() -> None:
    logits, targets = leaf(12, 10), randint(0, 10, (12,))
    both_ways(
        F.cross_entropy(logits, targets),
        F.cross_entropy(logits, targets, label_smoothing=0.1),
        F.cross_entropy(logits, targets, ignore_index=3, reduction="sum"),
        F.binary_cross_entropy_with_logits(logits, rand(12, 10)),
        F.mse_loss(logits, randn(12, 10)),
    )


@example
def embedding() -> None:
    both_ways(F.embedding(randint(0, 9, (3, 4)), leaf(9, 8)), leaf(9, 8)[tensor([1, 1, 2])])


@example
def optimizers() -> None:
    for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad):
        parameters = [leaf(20, 20), leaf(20)]
        optimizer = kind(parameters, lr=1e-3)
        both_ways(*(p * p for p in parameters))
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


@example
def random_numbers() -> None:
    cat([randn(40_000), rand(40_000)])
    F.dropout(ones(64, 64), 0.5)
    randint(0, 10, (100,))


# ---- Compiling in several processes --------------------------------------------------------------


def compile_all(processes: int) -> Iterator[str]:
    """Compile all kernels into the cache, in so many processes; the names of examples when done.

    What two examples have in common one process compiles, and the other waits for.
    """
    with multiprocessing.get_context("spawn").Pool(processes, prepare_worker) as pool:
        yield from pool.imap_unordered(run, EXAMPLES)


def prepare_worker() -> None:
    """Ctrl-C is for the process that waits for this one, and ends it. This one is silent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jit.seconds_compiled = -86_400.0  # what takes long is on the progress bar


def run(name: str) -> str:
    EXAMPLES[name]()
    return name
