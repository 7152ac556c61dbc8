"""Softmax cross-entropy of rows, forward and backward.

    loss = lse - logits[target],   lse = log sum exp(logits) = m + log sum exp(logits - m),  m = max

    dlogits = dloss (softmax(logits) - [class = target]),   softmax(logits) = exp(logits - lse)

Shapes: logits, dlogits [rows, classes]; targets (int64), losses, dlosses, lse [rows]. A row whose
target is `ignore_index` has loss 0 and gradient 0. A logit may be -inf: probability 0. A row with a
NaN has a NaN loss, and leaves the others alone. One row after the other, twice forward, once
backward, while it is in the L1 cache.
"""

import math

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, serves, threads_for

# pyright: reportPossiblyUnboundVariable=false
if ENABLED:
    from tinygen.kernels.simd import (
        LANES,
        broadcast,
        exp,
        first,
        load_first,
        max_lanes,
        maximum,
        store_first,
        sum_lanes,
        where,
    )

PARALLEL = 4_096  # elements from which two threads are faster than one: there both take 19 µs


def forward_reference(logits, targets, ignore_index):
    peak = logits.max(1)
    with np.errstate(invalid="ignore"):  # a row of -inf alone has no probabilities: NaN
        lse = peak + np.log(np.exp(logits - peak[:, None]).sum(1))
    ignored = targets == ignore_index
    rows, classes = np.arange(len(logits)), np.where(ignored, 0, targets)
    return np.where(ignored, 0, lse - logits[rows, classes]).astype(logits.dtype), lse


def backward_reference(dlosses, logits, targets, lse, ignore_index):
    ignored = targets == ignore_index
    dlogits = np.exp(logits - lse[:, None])
    dlogits[np.arange(len(logits)), np.where(ignored, 0, targets)] -= 1
    return np.where(ignored[:, None], 0, dlogits * dlosses[:, None]).astype(logits.dtype)


def forward(
    logits: np.ndarray, targets: np.ndarray, ignore_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """(losses, lse), both [rows]. Raises IndexError for a target that is not a class."""
    targets = np.ascontiguousarray(targets, np.int64)
    check(targets, logits.shape[1], ignore_index)
    if not serves(logits) or logits.size == 0:
        return forward_reference(logits, targets, ignore_index)
    losses, lse = np.empty((2, len(logits)), np.float32)
    threads = threads_for(logits.size, PARALLEL)
    forward_rows(plain(logits), plain(targets), ignore_index, losses, lse, threads)
    return losses, lse


def backward(
    dlosses: np.ndarray, logits: np.ndarray, targets: np.ndarray, lse: np.ndarray, ignore_index: int
) -> np.ndarray:
    """dlogits [rows, classes], for the cotangent dlosses [rows]. Raises IndexError as `forward`."""
    targets = np.ascontiguousarray(targets, np.int64)
    check(targets, logits.shape[1], ignore_index)
    if not serves(logits) or logits.size == 0:
        return backward_reference(dlosses, logits, targets, lse, ignore_index)
    dlogits = np.empty(logits.shape, np.float32)
    threads = threads_for(logits.size, PARALLEL)
    backward_rows(
        plain(dlosses), plain(logits), plain(targets), plain(lse), ignore_index, dlogits, threads
    )
    return dlogits


def check(targets, classes, ignore_index):
    inside = (targets >= 0) & (targets < classes) | (targets == ignore_index)
    if not inside.all():
        row = int(inside.argmin())
        raise IndexError(
            f"cross_entropy: the target of row {row} is {targets[row]}; expected a class in"
            f" [0, {classes}), or ignore_index = {ignore_index}"
        )


# ---- Kernels -------------------------------------------------------------------------------------


@kernel(parallel=True)
def forward_rows(logits, targets, ignore_index, losses, lse, threads):
    rows = len(logits)
    if threads == 1:
        log_sums(logits, 0, rows, targets, ignore_index, losses, lse)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            log_sums(logits, begin, end, targets, ignore_index, losses, lse)


@kernel
def load_logits(logits, row, c, classes):
    """A vector of logits, -inf beyond the end of the row: neither the maximum nor the sum of
    exponentials changes by it."""
    left = classes - c
    return where(first(left), load_first(logits, row + c, left), -math.inf)


@kernel
def log_sums(logits, begin, end, targets, ignore_index, losses, lse):
    classes = logits.shape[1]
    for r in range(begin, end):
        row = r * classes
        peaks = load_logits(logits, row, 0, classes)
        for c in range(LANES, classes, LANES):
            peaks = maximum(peaks, load_logits(logits, row, c, classes))
        peak = max_lanes(peaks)
        total = broadcast(0.0)
        for c in range(0, classes, LANES):
            total = total + exp(load_logits(logits, row, c, classes) - peak)
        lse[r] = peak + math.log(sum_lanes(total))
        losses[r] = 0 if targets[r] == ignore_index else lse[r] - logits[r, targets[r]]


@kernel(parallel=True)
def backward_rows(dlosses, logits, targets, lse, ignore_index, dlogits, threads):
    rows = len(logits)
    if threads == 1:
        gradients(dlosses, logits, 0, rows, targets, lse, ignore_index, dlogits)
    else:
        for t in prange(threads):
            begin, end = t * rows // threads, (t + 1) * rows // threads
            gradients(dlosses, logits, begin, end, targets, lse, ignore_index, dlogits)


@kernel
def gradients(dlosses, logits, begin, end, targets, lse, ignore_index, dlogits):
    classes = logits.shape[1]
    for r in range(begin, end):
        row = r * classes
        if targets[r] == ignore_index:
            dlogits[r, :] = 0
        else:
            for c in range(0, classes, LANES):
                left = classes - c
                p = exp(load_first(logits, row + c, left) - lse[r])
                store_first(dlogits, row + c, p * dlosses[r], left)
            dlogits[r, targets[r]] -= dlosses[r]
