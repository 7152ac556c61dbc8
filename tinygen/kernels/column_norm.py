"""Batch normalisation of vectors (Ioffe and Szegedy 2015): each column of a matrix by itself.

    z = (x - mean) rstd,   y = z weight + bias,   rstd = 1 / sqrt(variance + eps)
    dx = rstd weight (dy - mean(dy) - z mean(dy z)),   dweight = sum dy z,   dbias = sum dy

with means over the examples. Shapes: x, y and their gradients [examples, channels]; everything else
[channels]. Columns lie side by side, so NumPy's loops over rows of the matrix are fast; only sums
over examples are taken from a kernel, which adds them in chunks.
"""

import numpy as np

from tinygen.kernels.write_back import column_sum


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance); NaN of nothing."""
    count = x.dtype.type(len(x) or np.nan)
    mean = column_sum(x) / count
    centred = x - mean
    return mean, column_sum(np.multiply(centred, centred, out=centred)) / count


def forward(
    x: np.ndarray, scale: np.ndarray, bias: np.ndarray | None, mean: np.ndarray
) -> np.ndarray:
    """y; scale is rstd weight."""
    y = x - mean
    y *= scale
    return y if bias is None else np.add(y, bias, out=y)


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, mean: np.ndarray, rstd: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dx, dweight, dbias)"""
    count = x.dtype.type(max(len(x), 1))
    z = x - mean
    z *= rstd
    dbias, dweight = column_sum(dy), column_sum(dy * z)
    z *= dweight / count
    z += dbias / count
    return np.multiply(np.subtract(dy, z, out=z), rstd * weight, out=z), dweight, dbias
