"""Cross-entropy beside PyTorch's: every combination of its options, value and gradient."""

from itertools import product

import numpy as np
import pytest

import tinygen as tg

torch = pytest.importorskip("torch")

SHAPES = {(6, 5): (6,), (3, 5, 4): (3, 4), (2, 5, 2, 3): (2, 2, 3), (5,): ()}
OPTIONS = [*product(SHAPES, (0.0, 0.2), (-100, 1), (False, True), ("mean", "sum", "none"))]


@pytest.mark.parametrize("shape, smoothing, ignored, weighted, reduction", OPTIONS)
def test_cross_entropy(shape, smoothing, ignored, weighted, reduction):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal(shape, np.float32)
    labels = np.asarray(rng.integers(0, 5, SHAPES[shape]))
    if labels.ndim:
        labels[(0,) * labels.ndim] = ignored
    else:
        labels = np.asarray(3)
    weight = rng.uniform(0.5, 2, 5).astype(np.float32) if weighted else None
    found = []
    for m in (tg, torch):
        x = m.tensor(logits).requires_grad_()
        loss = m.nn.functional.cross_entropy(
            x, m.tensor(labels), None if weight is None else m.tensor(weight),
            ignore_index=ignored, reduction=reduction, label_smoothing=smoothing,
        )  # fmt: skip
        cotangent = np.random.default_rng(1).standard_normal(tuple(loss.shape)).astype("f")
        loss.backward(m.tensor(np.asarray(cotangent)))
        found.append((loss.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
