"""Losses and layers."""

import math

import numpy as np

import tinygen as tg
from tinygen.kernels.dropout import factors

from .table import *

# fmt: off

# ---- Losses --------------------------------------------------------------------------------------

REDUCED = [{}, {"reduction": "sum"}, {"reduction": "none"}]


def reduced(loss):
    """A NumPy loss with an argument `reduction`."""
    return lambda *args, reduction="mean", **options: {
        "mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss(*args, **options))


def losses(*args, **options) -> list:
    return [with_(*args, **options, **o) for o in REDUCED]


def np_huber(d, delta):
    return np.where(np.abs(d) < delta, d * d / 2, delta * (np.abs(d) - delta / 2))


row("mean_squared_error", lambda x, y: np.mean((x - y) ** 2),
    with_(N(2, 3), N(2, 3)), with_(N(), N()), with_(N(300, 2), N(300, 2)), torch=None)
row("mse_loss", reduced(lambda x, y: (x - y) ** 2), losses(N(2, 3), N(2, 3)))
row("l1_loss", reduced(lambda x, y: np.abs(x - y)), losses(DISTINCT(2, 3), BETWEEN(2, 3)))
row("huber_loss", reduced(lambda x, y, delta=1.0: np_huber(x - y, delta)),
    losses(DISTINCT(2, 3), BETWEEN(2, 3), delta=0.7))
row("smooth_l1_loss", reduced(lambda x, y, beta=1.0: np_huber(x - y, beta) / beta),
    losses(DISTINCT(2, 3), BETWEEN(2, 3), beta=0.7))
row("gaussian_nll_loss", reduced(lambda x, y, v: (np.log(v) + (x - y) ** 2 / v) / 2),
    losses(N(2, 3), N(2, 3), P(2, 3)))
row("binary_cross_entropy", reduced(lambda p, t: -t * np.log(p) - (1 - t) * np.log(1 - p)),
    losses(UNIT(2, 3), UNIT(2, 3)))
row("binary_cross_entropy_with_logits", reduced(lambda x, t: np.log1p(np.exp(x)) - t * x),
    losses(NONZERO(2, 3), UNIT(2, 3)))
row("kl_div", reduced(lambda x, t: t * (np.log(t) - x)), losses(LOGP(2, 3), UNIT(2, 3)))
row("kl_div", reduced(lambda x, t, log_target: np.exp(t) * (t - x)),
    losses(LOGP(2, 3), LOGP(2, 3), log_target=True))


def np_nll(x, labels, weight=None, *, ignore_index=-100, reduction="mean"):
    weight = np.ones(x.shape[1]) if weight is None else weight
    counts = np.where(labels == ignore_index, 0.0, weight[labels])
    loss = -counts * x[np.arange(len(labels)), labels]
    return {"mean": loss.sum() / counts.sum(), "sum": loss.sum(), "none": loss}[reduction]


row("poisson_nll_loss", reduced(lambda x, t: np.exp(x) - t * x), losses(N(2, 3), N(2, 3)))
row("poisson_nll_loss", None, losses(P(2, 3), STEPS(2, 3), log_input=False, full=True, eps=1e-4),
    torch=None)  # which has NaN for the gradient of targets below 1
for name in ("mse_loss", "l1_loss", "huber_loss"):
    row(name, None, losses(DISTINCT(2, 3), BETWEEN(2, 3), P(2, 3)), torch=None,
        call=lambda x, y, weight, op=OPS[name], **options: op(x, y, weight=weight, **options))

# ---- Losses with a margin ------------------------------------------------------------------------

SIGNS = np.array([[1, -1, 1], [-1, -1, 1]])
row("soft_margin_loss", reduced(lambda x, t: np.log1p(np.exp(-t * x))), losses(N(2, 3), SIGNS))
row("hinge_embedding_loss", reduced(lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(
    0, margin - x))), losses(STEPS(2, 3), SIGNS), losses(STEPS(2, 3), SIGNS, 2.0))
row("margin_ranking_loss", reduced(lambda x, y, t, margin=0.0: np.maximum(
    0, margin - t * (x - y))), losses(DISTINCT(2, 3), BETWEEN(2, 3), SIGNS),
    losses(DISTINCT(2, 3), BETWEEN(2, 3), SIGNS, 0.5))
row("cosine_embedding_loss", None, losses(N(3, 4), N(3, 4), ints(1, -1, -1)),
    losses(N(3, 4), N(3, 4), ints(1, -1, -1), margin=-0.3),
    losses(N(4), N(4), np.array(-1)))
row("multi_margin_loss", None, losses(DISTINCT(3, 4), ints(2, 0, 3)), losses(DISTINCT(3, 4),
    ints(2, 0, 3), p=2, margin=0.7), with_(DISTINCT(4), np.array(2)))
row("multi_margin_loss", None, with_(DISTINCT(3, 4), ints(2, 0, 3), 2, 1.0, P(4)),
    torch=None)  # which can't differentiate the weights
MARKED = np.array([[2, 0, -1, 1], [1, -1, 0, 0], [-1, 0, 0, 1], [0, 1, 3, 2]])
row("multilabel_margin_loss", None, losses(DISTINCT(4, 4), MARKED), with_(DISTINCT(4), MARKED[0]))
row("multilabel_soft_margin_loss", None, losses(N(2, 3), UNIT(2, 3)),
    losses(N(2, 3), UNIT(2, 3), P(3)))
for options in ({}, {"swap": True}, {"p": 1.0, "margin": 3.0}):
    row("triplet_margin_loss", None, losses(N(3, 4), N(3, 4), N(3, 4), **options))

# ---- Losses of labels ----------------------------------------------------------------------------

LABELS = ints(2, 0, -1)
WEIGHTED = losses(
    LOGP(3, 4), LABELS, P(4), ignore_index=-1
)  # torch can't differentiate the weights
for name, oracle in {"nll_loss": np_nll, "cross_entropy": lambda x, *a, **o: np_nll(
        np.log(np_softmax(x, 1)), *a, **o)}.items():
    row(name, oracle, losses(LOGP(3, 4), LABELS % 4))
    row(name, oracle, WEIGHTED, torch=None)
row("cross_entropy", None, with_(N(3, 4), ints(2, 0, 3), P(4), label_smoothing=0.1), torch=None)
row("cross_entropy", None, losses(N(3, 4), UNIT(3, 4)),
    with_(N(2, 3, 2), ints([1, 0], [2, 2])), with_(N(4), np.array(2)))
row("scaled_dot_product_attention", None, with_(N(2, 3, 2), N(2, 4, 2), N(2, 4, 3)),
    with_(N(1, 2, 3, 2), N(1, 2, 3, 2), N(1, 2, 3, 2), is_causal=True),
    with_(N(2, 2), N(2, 2), N(2, 2), scale=0.4),
    with_(N(2, 3), N(3, 3), N(3, 2), BOOLS), with_(N(2, 3), N(3, 3), N(3, 2), N(2, 3)),
    with_(N(2, 3), N(3, 3), N(3, 2), BOOLS & False), with_(N(2, 2, 3), N(3, 3), N(3, 3)),
    with_(N(4, 2, 2), N(2, 3, 2), N(2, 3, 2), enable_gqa=True),
    with_(N(1, 2, 2, 3), N(1, 1, 2, 3), N(1, 1, 2, 2), is_causal=True, enable_gqa=True))

# ---- Layers --------------------------------------------------------------------------------------

row("layer_norm", None, with_(N(2, 3), N(3), N(3)), with_(N(3), N(3)),
    with_(N(2, 2, 3)), with_(N(2, 3), None, N(3)),
    with_(N(2, 3), eps=0.1), with_(N(0, 3), N(3), N(3)), torch=None)
NP_ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0), "leaky_relu": lambda z: np.where(z > 0, z, z / 100),
    "tanh": np.tanh, "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "gelu": lambda z: z * normal_cdf(z), "gelu_tanh": lambda z: z / (1 + np.exp(
        -2 * np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))}
normal_cdf = np.vectorize(lambda z: math.erfc(-z / math.sqrt(2)) / 2, otypes=[float])
for name, f in NP_ACTIVATIONS.items():
    row("linear_activation", lambda x, w, b=0, *, activation, f=f: f(x @ w.T + b),
        with_(N(3, 2), N(4, 2), N(4), activation=name), with_(N(2, 2, 3), N(2, 3), activation=name),
        with_(N(3), N(2, 3), N(2), activation=name), with_(N(0, 2), N(3, 2), N(3), activation=name),
        torch=None)
row("linear_activation", None, with_(N(3, 2), N(4, 2), N(4), "leaky_relu", 0.3),
    with_(N(3, 2), N(4, 2), None, "leaky_relu", 1.5), torch=None)
QKV = lambda b, h, m, k, n: (N(b, h, m, n), N(b, h, k, n), N(b, h, k, n))
row("attention", None, with_(*QKV(1, 2, 2, 3, 2)), with_(*QKV(2, 1, 3, 3, 2), causal=True),
    with_(*QKV(1, 1, 2, 2, 3), scale=0.3), with_(*QKV(1, 1, 2, 3, 2), N(2, 3)),
    with_(*QKV(1, 2, 2, 3, 2), BOOLS), with_(*QKV(1, 1, 2, 3, 2), dropout=0.4, seed=5),
    with_(N(1, 4, 2, 2), N(1, 2, 3, 2), N(1, 2, 3, 3), N(1, 2, 1), True), torch=None)
row("packed_attention", None, with_(N(2, 3, 6), 1), with_(N(1, 2, 12), 2, causal=True),
    with_(N(1, 3, 12), 2, BOOLS[:1], scale=0.3), with_(N(1, 2, 6), 1, N(1, 2)), torch=None)
row("softmax_cross_entropy", lambda x, t, ignore=-100: np.where(t == ignore, 0,
    -np.log(np_softmax(x, 1))[range(len(t)), t % x.shape[1]]),
    with_(N(3, 4), ints(2, 0, 3)), with_(N(3, 2), ints(1, -100, 0)), with_(N(2, 3), ints(2, 1), 1),
    with_(N(0, 3), np.zeros(0, int)), torch=None)
row("softmax_cross_entropy", None, with_(N(3, 4), ints(2, 0, 3), -100, 0.0, N(4)),
    with_(N(3, 2), ints(1, -100, 0), -100, 0.3, N(2)), torch=None)

# ---- Activations ---------------------------------------------------------------------------------

row("prelu", lambda x, w: np.where(x > 0, x, x * (w[:, None] if x.ndim == 3 else w)),
    with_(NONZERO(2, 3), N(1)), with_(NONZERO(2, 3), N(3)), with_(NONZERO(2, 3, 2), N(3)),
    with_(NONZERO(3), N(1)), with_(NONZERO(), N(1)), with_(NONZERO(2, 3), N()),
    with_(NONZERO(0, 3), N(3)))
row("rrelu", lambda x, lower=1 / 8, upper=1 / 3: np.where(x > 0, x, x * (lower + upper) / 2),
    each(NONZERO), with_(NONZERO(3), 0.2, 0.6))
row("celu", lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)), each(NONZERO),
    with_(NONZERO(3), 0.5), with_(NONZERO(3), alpha=2.0))
row("tanhshrink", lambda x: x - np.tanh(x), each(N))
row("relu6", lambda x: np.clip(x, 0, 6), each(STEPS), with_(ints(-1.0, 2.0, 5.9, 7.0)))
row("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1), each(STEPS), with_(ints(-4.0, 2.0, 3.5)),
    torch=None)  # whose gradient has a 1/6 rounded to float32
row("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), each(STEPS), with_(ints(-4.0, 2.0, 4.0)))
row("threshold", lambda x, threshold, value: np.where(x > threshold, x, value),
    each(STEPS, threshold=-1.0, value=-7.0), with_(STEPS(3), 0.0, 20.0))
row("hardshrink", lambda x, lambd=0.5: np.where(np.abs(x) > lambd, x, 0), each(STEPS),
    with_(STEPS(3), 1.0), with_(STEPS(3), lambd=0.0))
row("softshrink", lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0), each(STEPS),
    with_(STEPS(3), 1.0), with_(NONZERO(3), lambd=0.0))


def seeded_gumbel_softmax(logits, **options):
    return tg.nn.functional.gumbel_softmax(
        logits, **options, generator=tg.Generator().manual_seed(3))


row("gumbel_softmax", None, with_(N(2, 3)), with_(N(2, 3), tau=0.5, dim=0), with_(N(3), tau=2.0),
    with_(N(0, 3)), call=seeded_gumbel_softmax, torch=None)
row("dropped_at_random", lambda x, p, *stream: x * factors(x.shape, p, *stream, x.dtype),
    with_(N(70), 0.3, 5, 2), with_(N(3, 5), 0.0, 2**64 - 1, 0), with_(N(0, 3), 0.9, 1, 1),
    torch=None)
