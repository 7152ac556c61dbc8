"""Softmax cross-entropy of rows, forward and backward.

    loss = Σ q (lse - logits),   lse = log sum exp(logits) = m + log sum exp(logits - m),   m = max

    dlogits = dloss (softmax(logits) Σ q - q),   softmax(logits) = exp(logits - lse)

where q = weight [class = target], the weight of a class being 1 if none are given. With label
smoothing s, a part s of the target is spread evenly over all classes (Szegedy et al. 2016, section
7): q = weight ((1 - s) [class = target] + s / classes).

Shapes: logits, dlogits [rows, classes]; targets (int64), losses, dlosses, lse [rows]; weight
[classes]. A row whose target is `ignore_index` has loss 0 and gradient 0. A logit may be -inf:
probability 0. A row with a NaN has a NaN loss, and leaves the others alone. One row after the
other, twice forward, once backward, while it is in the L1 cache.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for
from tinygen.kernels.scatter import inside

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.reductions import sum_of
    from tinygen.kernels.simd import LANES, broadcast, exp, load_first, store_first, sum_lanes
    from tinygen.kernels.softmax import exponentials, largest_number

PARALLEL = 16_384  # elements: there one thread takes 21 µs and two 20, backward 16 and 19


def forward_reference(logits, targets, ignore_index, smoothing, weight=None):
    peak, weight = logits.max(1), weights(logits, weight)
    with np.errstate(invalid="ignore"):  # a row of -inf alone has no probabilities: NaN
        lse = peak + np.log(np.exp(logits - peak[:, None]).sum(1))
    ignored = targets == ignore_index
    rows, classes = np.arange(len(logits)), np.where(ignored, 0, targets)
    losses = (1 - smoothing) * weight[classes] * (lse - logits[rows, classes])
    if smoothing:
        losses += smoothing * ((lse[:, None] - logits) * weight).mean(1)
    return np.where(ignored, 0, losses).astype(logits.dtype), lse


def backward_reference(dlosses, logits, targets, lse, ignore_index, smoothing, weight=None):
    ignored, weight = targets == ignore_index, weights(logits, weight)
    rows, classes = np.arange(len(logits)), np.where(ignored, 0, targets)
    own = (1 - smoothing) * weight[classes]
    total = own + smoothing * weight.mean()
    dlogits = np.exp(logits - lse[:, None]) * total[:, None] - smoothing / len(weight) * weight
    dlogits[rows, classes] -= own
    return np.where(ignored[:, None], 0, dlogits * dlosses[:, None]).astype(logits.dtype)


def weights(logits, weight):
    return np.ones(logits.shape[1], logits.dtype) if weight is None else weight


def forward(
    logits: np.ndarray,
    targets: np.ndarray,
    ignore_index: int,
    smoothing: float = 0.0,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(losses, lse), both [rows]. Raises IndexError for a target that is not a class."""
    targets = np.ascontiguousarray(targets, np.int64)
    check(targets, logits.shape[1], ignore_index)
    if not serves(logits) or logits.size == 0:
        return forward_reference(logits, targets, ignore_index, smoothing, weight)
    losses, lse = np.empty((2, len(logits)), np.float32)
    threads, weight = threads_for(logits.size, PARALLEL), plain(weights(logits, weight))
    logits, targets = plain(logits), plain(targets)
    forward_rows(logits, targets, ignore_index, smoothing, weight, losses, lse, threads)
    return losses, lse


def backward(
    dlosses: np.ndarray,
    logits: np.ndarray,
    targets: np.ndarray,
    lse: np.ndarray,
    ignore_index: int,
    smoothing: float = 0.0,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """dlogits [rows, classes], for the cotangent dlosses [rows]. Raises IndexError as `forward`."""
    targets = np.ascontiguousarray(targets, np.int64)
    check(targets, logits.shape[1], ignore_index)
    if not serves(logits) or logits.size == 0:
        return backward_reference(dlosses, logits, targets, lse, ignore_index, smoothing, weight)
    dlogits, weight = np.empty(logits.shape, np.float32), plain(weights(logits, weight))
    threads = threads_for(logits.size, PARALLEL)
    dlosses, logits, targets, lse = (plain(a) for a in (dlosses, logits, targets, lse))
    backward_rows(dlosses, logits, targets, lse, ignore_index, smoothing, weight, dlogits, threads)
    return dlogits


def weight_gradient(dlosses, logits, targets, lse, ignore_index, smoothing) -> np.ndarray:
    """dweight [classes]: seldom wanted, so without a kernel."""
    counts = targets != ignore_index
    d, logits, targets, lse = dlosses[counts], logits[counts], targets[counts], lse[counts]
    surprise = lse[:, None] - logits
    dweight = smoothing / logits.shape[1] * (d @ surprise)
    np.add.at(dweight, targets, (1 - smoothing) * d * surprise[np.arange(len(d)), targets])
    return dweight


def check(targets, classes, ignore_index):
    if inside(targets, classes):
        return
    right = (targets >= 0) & (targets < classes) | (targets == ignore_index)
    if not right.all():
        row = int(right.argmin())
        raise IndexError(
            f"cross_entropy: the target of row {row} is {targets[row]}; expected a class in"
            f" [0, {classes}), or ignore_index = {ignore_index}"
        )


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def forward_rows(logits, targets, ignore_index, smoothing, weight, losses, lse, threads):
    rows = len(logits)
    if threads == 1:
        log_sums(logits, 0, rows, targets, ignore_index, smoothing, weight, losses, lse)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            log_sums(logits, begin, end, targets, ignore_index, smoothing, weight, losses, lse)


@kernel
def log_sums(logits, begin, end, targets, ignore_index, smoothing, weight, losses, lse):
    classes = logits.shape[1]
    mean_weight = sum_of(weight, 0, classes) / classes
    for r in range(begin, end):
        row, target = r * classes, targets[r]
        peak = largest_number(logits, row, classes)
        lse[r] = peak + math.log(exponentials(logits, row, classes, peak))
        if target == ignore_index:
            losses[r] = 0
            continue
        losses[r] = (1 - smoothing) * weight[target] * (lse[r] - logits[r, target])
        if smoothing != 0:
            mean = weighted_sum(logits, row, weight, classes) / classes
            losses[r] += smoothing * (lse[r] * mean_weight - mean)


@kernel
def weighted_sum(logits, row, weight, classes):
    total = broadcast(0.0)
    for c in range(0, classes, LANES):
        left = classes - c
        total = load_first(logits, row + c, left) * load_first(weight, c, left) + total
    return sum_lanes(total)


@kernel(parallel=True)
def backward_rows(
    dlosses, logits, targets, lse, ignore_index, smoothing, weight, dlogits, threads
):  # fmt: skip
    rows = len(logits)
    if threads == 1:
        gradients(dlosses, logits, 0, rows, targets, lse, ignore_index, smoothing, weight, dlogits)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            gradients(dlosses, logits, begin, end, targets, lse, ignore_index, smoothing, weight,
                      dlogits)  # fmt: skip


@kernel
def gradients(dlosses, logits, begin, end, targets, lse, ignore_index, smoothing, weight, dlogits):
    classes = logits.shape[1]
    mean_weight = sum_of(weight, 0, classes) / classes
    for r in range(begin, end):
        row, target = r * classes, targets[r]
        if target == ignore_index:
            dlogits[r, :] = 0
            continue
        own = (1 - smoothing) * weight[target]
        total = own + smoothing * mean_weight
        for c in range(0, classes, LANES):
            left = classes - c
            d = exp(load_first(logits, row + c, left) - lse[r]) * total
            if smoothing != 0:
                d = d - load_first(weight, c, left) * (smoothing / classes)
            store_first(dlogits, row + c, d * dlosses[r], left)
        dlogits[r, target] -= own * dlosses[r]
