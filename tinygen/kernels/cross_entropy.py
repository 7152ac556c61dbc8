"""Softmax cross-entropy of rows, forward and backward.

    loss = lse - logits[target],   lse = log sum exp(logits) = m + log sum exp(logits - m),  m = max

    dlogits = dloss (softmax(logits) - [class = target]),   softmax(logits) = exp(logits - lse)

With label smoothing s, a part s of the target is spread evenly over all classes (Szegedy et al.
2016, section 7): (1 - s) logits[target] + s mean(logits) takes the place of logits[target], and
(1 - s) [class = target] + s / classes that of [class = target].

Shapes: logits, dlogits [rows, classes]; targets (int64), losses, dlosses, lse [rows]. A row whose
target is `ignore_index` has loss 0 and gradient 0. A logit may be -inf: probability 0. A row with a
NaN has a NaN loss, and leaves the others alone. One row after the other, twice forward, once
backward, while it is in the L1 cache.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for
from tinygen.kernels.scatter import inside

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.reductions import sum_of
    from tinygen.kernels.simd import LANES, exp, load_first, store_first
    from tinygen.kernels.softmax import exponentials, largest

PARALLEL = 4_096  # elements from which two threads are faster than one: there both take 19 µs


def forward_reference(logits, targets, ignore_index, smoothing):
    peak = logits.max(1)
    with np.errstate(invalid="ignore"):  # a row of -inf alone has no probabilities: NaN
        lse = peak + np.log(np.exp(logits - peak[:, None]).sum(1))
    ignored = targets == ignore_index
    rows, classes = np.arange(len(logits)), np.where(ignored, 0, targets)
    expected = logits[rows, classes]
    if smoothing:
        expected = (1 - smoothing) * expected + smoothing * logits.mean(1)
    return np.where(ignored, 0, lse - expected).astype(logits.dtype), lse


def backward_reference(dlosses, logits, targets, lse, ignore_index, smoothing):
    ignored = targets == ignore_index
    dlogits = np.exp(logits - lse[:, None]) - smoothing / logits.shape[1]
    dlogits[np.arange(len(logits)), np.where(ignored, 0, targets)] -= 1 - smoothing
    return np.where(ignored[:, None], 0, dlogits * dlosses[:, None]).astype(logits.dtype)


def forward(
    logits: np.ndarray, targets: np.ndarray, ignore_index: int, smoothing: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(losses, lse), both [rows]. Raises IndexError for a target that is not a class."""
    targets = np.ascontiguousarray(targets, np.int64)
    check(targets, logits.shape[1], ignore_index)
    if not serves(logits) or logits.size == 0:
        return forward_reference(logits, targets, ignore_index, smoothing)
    losses, lse = np.empty((2, len(logits)), np.float32)
    threads = threads_for(logits.size, PARALLEL)
    logits, targets = plain(logits), plain(targets)
    forward_rows(logits, targets, ignore_index, smoothing, losses, lse, threads)
    return losses, lse


def backward(
    dlosses: np.ndarray,
    logits: np.ndarray,
    targets: np.ndarray,
    lse: np.ndarray,
    ignore_index: int,
    smoothing: float = 0.0,
) -> np.ndarray:
    """dlogits [rows, classes], for the cotangent dlosses [rows]. Raises IndexError as `forward`."""
    targets = np.ascontiguousarray(targets, np.int64)
    check(targets, logits.shape[1], ignore_index)
    if not serves(logits) or logits.size == 0:
        return backward_reference(dlosses, logits, targets, lse, ignore_index, smoothing)
    dlogits = np.empty(logits.shape, np.float32)
    threads = threads_for(logits.size, PARALLEL)
    dlosses, logits, targets, lse = (plain(a) for a in (dlosses, logits, targets, lse))
    backward_rows(dlosses, logits, targets, lse, ignore_index, smoothing, dlogits, threads)
    return dlogits


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
def forward_rows(logits, targets, ignore_index, smoothing, losses, lse, threads):
    rows = len(logits)
    if threads == 1:
        log_sums(logits, 0, rows, targets, ignore_index, smoothing, losses, lse)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            log_sums(logits, begin, end, targets, ignore_index, smoothing, losses, lse)


@kernel
def log_sums(logits, begin, end, targets, ignore_index, smoothing, losses, lse):
    classes = logits.shape[1]
    for r in range(begin, end):
        row = r * classes
        peak = largest(logits, row, classes)
        lse[r] = peak + math.log(exponentials(logits, row, classes, peak))
        if targets[r] == ignore_index:
            losses[r] = 0
        elif smoothing == 0:
            losses[r] = lse[r] - logits[r, targets[r]]
        else:
            mean = sum_of(logits, row, classes) / classes
            losses[r] = lse[r] - (1 - smoothing) * logits[r, targets[r]] - smoothing * mean


@kernel(parallel=True)
def backward_rows(dlosses, logits, targets, lse, ignore_index, smoothing, dlogits, threads):
    rows = len(logits)
    if threads == 1:
        gradients(dlosses, logits, 0, rows, targets, lse, ignore_index, smoothing, dlogits)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            gradients(dlosses, logits, begin, end, targets, lse, ignore_index, smoothing, dlogits)


@kernel
def gradients(dlosses, logits, begin, end, targets, lse, ignore_index, smoothing, dlogits):
    classes = logits.shape[1]
    evenly = smoothing / classes
    for r in range(begin, end):
        row = r * classes
        if targets[r] == ignore_index:
            dlogits[r, :] = 0
        else:
            for c in range(0, classes, LANES):
                left = classes - c
                p = exp(load_first(logits, row + c, left) - lse[r])
                store_first(dlogits, row + c, (p - evenly) * dlosses[r], left)
            dlogits[r, targets[r]] -= (1 - smoothing) * dlosses[r]
