"""Matrix product."""

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul(a, b)


def column_sum(x: np.ndarray) -> np.ndarray:
    return x.sum(0)
