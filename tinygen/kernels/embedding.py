"""Gradient of a lookup in an embedding table: rows of dy are added up where they came from.

    dweight[indices[i]] += dy[i],   i = 0, 1, 2, ...

Shapes: dy [n, width], indices (int64) [n], dweight [num_embeddings, width]. An index may come up
any number of times; each sum is made in the order of i (see `scatter`).
"""

import numpy as np

from tinygen.kernels.jit import plain, threads_for
from tinygen.kernels.scatter import PARALLEL, add_rows, inside, serve


def backward_reference(dy, indices, num_embeddings):
    dweight = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    np.add.at(dweight, indices, dy)
    return dweight


def backward(dy: np.ndarray, indices: np.ndarray, num_embeddings: int) -> np.ndarray:
    """dweight [num_embeddings, width]. Raises IndexError for an index that is not a row."""
    indices = plain(np.asarray(indices, np.int64))
    if not inside(indices, num_embeddings):
        worst = indices.min() if indices.min() < 0 else indices.max()
        raise IndexError(f"embedding: index {worst} is not a row of a table of {num_embeddings}")
    if not serve(dy):
        return backward_reference(dy, indices, num_embeddings)
    dweight = np.zeros((num_embeddings, dy.shape[1]), dy.dtype)
    add_rows(plain(dy)[None], indices, dweight[None], threads_for(dy.size, PARALLEL))
    return dweight
