"""Softmax cross-entropy, the loss of classifiers and language models."""

from ...kernels import cross_entropy as kernels
from ..fused import Fused
from .along import gather
from .choose import where
from .compare import eq
from .reduce import logsumexp, mean
from .shape import squeeze, unsqueeze


@Fused
def softmax_cross_entropy(logits, targets, ignore_index=-100, label_smoothing=0.0):
    """-log softmax(logits)[target] for every row: logits [rows, classes], targets and out [rows].
    A row whose target is ignore_index counts 0. label_smoothing: how much of the target to spread
    evenly over all classes."""
    ignored = eq(targets, ignore_index)
    chosen = gather(logits, 1, unsqueeze(where(ignored, 0, targets), 1))
    chosen = squeeze(chosen, 1)
    if label_smoothing:
        chosen = (1 - label_smoothing) * chosen + label_smoothing * mean(logits, 1)
    return where(ignored, 0.0, logsumexp(logits, 1) - chosen)


@softmax_cross_entropy.kernel
def _(logits, targets, ignore_index, label_smoothing):
    losses, lse = kernels.forward(logits, targets, ignore_index, label_smoothing)
    return losses, (lse,)


@softmax_cross_entropy.gradient
def _(g, saved, wanted, logits, targets, ignore_index, label_smoothing):
    (lse,) = saved
    dlogits = kernels.backward(g, logits, targets, lse, ignore_index, label_smoothing)
    return dlogits, None, None, None
