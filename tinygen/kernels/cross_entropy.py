"""Softmax cross-entropy."""

import numpy as np


def check(targets, classes, ignore_index):
    bad = (targets != ignore_index) & ((targets < 0) | (targets >= classes))
    if bad.any():
        row = int(bad.argmax())
        raise IndexError(
            f"cross_entropy: targets[{row}] is {targets[row]}, not in [0, {classes})"
            f" and not ignore_index={ignore_index}"
        )


def forward(logits, targets, ignore_index):
    check(targets, logits.shape[1], ignore_index)
    m = logits.max(1)
    lse = m + np.log(np.exp(logits - m[:, None]).sum(1))
    kept = targets != ignore_index
    rows = np.arange(len(targets))[kept]
    losses = np.zeros_like(lse)
    losses[kept] = lse[kept] - logits[rows, targets[kept]]
    return losses, lse


def backward(dlosses, logits, targets, lse, ignore_index):
    check(targets, logits.shape[1], ignore_index)
    kept = targets != ignore_index
    rows = np.arange(len(targets))[kept]
    dlogits = np.exp(logits - lse[:, None])
    dlogits[rows, targets[kept]] -= 1
    dlogits *= dlosses[:, None]
    dlogits[~kept] = 0
    return dlogits
