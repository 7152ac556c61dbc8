"""Softmax cross-entropy, the loss of classifiers and language models."""

from ...kernels import cross_entropy as kernels
from ..fused import Fused
from .along import gather
from .choose import where
from .compare import eq
from .reduce import logsumexp, mean
from .shape import squeeze, unsqueeze


@Fused
def softmax_cross_entropy(logits, targets, ignore_index=-100, label_smoothing=0.0, weight=None):
    """-log softmax(logits)[target] for every row, times weight[target]: logits [rows, classes],
    targets and out [rows], weight [classes]. A row whose target is ignore_index counts 0.
    label_smoothing: how much of the target to spread evenly over all classes."""
    ignored = eq(targets, ignore_index)
    safe = where(ignored, 0, targets)
    surprise = unsqueeze(logsumexp(logits, 1), 1) - logits
    if weight is not None:
        surprise = surprise * weight
    losses = squeeze(gather(surprise, 1, unsqueeze(safe, 1)), 1)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses + label_smoothing * mean(surprise, 1)
    return where(ignored, 0.0, losses)


@softmax_cross_entropy.kernel
def _(logits, targets, ignore_index, label_smoothing, weight):
    losses, lse = kernels.forward(logits, targets, ignore_index, label_smoothing, weight)
    return losses, (lse,)


@softmax_cross_entropy.gradient
def _(g, saved, wanted, logits, targets, ignore_index, label_smoothing, weight):
    (lse,) = saved
    how = (targets, lse, ignore_index, label_smoothing)
    dlogits = kernels.backward(g, logits, *how, weight) if wanted[0] else None
    dweight = kernels.weight_gradient(g, logits, *how) if wanted[4] else None
    return dlogits, None, None, None, dweight
