"""Gradient of a lookup in an embedding table: rows of dy are added up where they came from.

    dweight[indices[i]] += dy[i],   i = 0, 1, 2, ...

Shapes: dy [n, width], indices (int64) [n], dweight [num_embeddings, width]. An index may come up
any number of times. Threads share the columns, so each sum is made in the order of i.
"""

import numpy as np

from tinygen.kernels.jit import ENABLED, kernel, plain, prange, threads_for

PARALLEL = (
    32_768  # elements of dy from which two threads are faster than one: there each takes 8 µs
)


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
    width = dy.shape[1]
    if threads == 1:
        add_columns(dy, indices, dweight, 0, width)
    else:
        for t in prange(threads):
            begin, end = t * width // threads, (t + 1) * width // threads
            add_columns(dy, indices, dweight, begin, end)


@kernel
def add_columns(dy, indices, dweight, begin, end):
    for i in range(len(indices)):
        row = indices[i]
        for c in range(begin, end):
            dweight[row, c] += dy[i, c]
