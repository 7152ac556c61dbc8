"""Gradient of a lookup in an embedding table: rows of dy are added up where they came from.

    dweight[indices[i]] += dy[i],   i = 0, 1, 2, ...

Shapes: dy [n, width], indices (int64) [n], dweight [num_embeddings, width]. An index may come up
any number of times. Each thread looks at all indices and adds up the rows that are its own, so each
sum is made in the order of i. (Given some of the columns instead, two threads pulled cache lines to
and fro: five times slower than one.)
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

PARALLEL = 131_072  # elements of dy: there one thread takes 29 µs


def backward_reference(dy, indices, num_embeddings):
    dweight = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    np.add.at(dweight, indices, dy)
    return dweight


def backward(dy: np.ndarray, indices: np.ndarray, num_embeddings: int) -> np.ndarray:
    """dweight [num_embeddings, width]. Raises IndexError for an index that is not a row."""
    indices = plain(np.asarray(indices, np.int64))
    if indices.size and not 0 <= indices.min() <= indices.max() < num_embeddings:
        worst = indices.min() if indices.min() < 0 else indices.max()
        raise IndexError(f"embedding: index {worst} is not a row of a table of {num_embeddings}")
    if not ENABLED or dy.dtype not in (np.float32, np.float64):
        return backward_reference(dy, indices, num_embeddings)
    dweight = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    add_rows(plain(dy), indices, dweight, threads_for(dy.size, PARALLEL))
    return dweight


@kernel(parallel=True)
def add_rows(dy, indices, dweight, threads):
    if threads == 1:
        add_own_rows(dy, indices, dweight, 0, 1)
    else:
        for t in prange(threads):
            add_own_rows(dy, indices, dweight, t, threads)


@kernel
def add_own_rows(dy, indices, dweight, t, threads):
    """Thread t owns rows t, t + threads, ... of the table: frequent ones are often neighbours."""
    for i in range(len(indices)):
        row = indices[i]
        if row % threads == t:
            for c in range(dy.shape[1]):
                dweight[row, c] += dy[i, c]
