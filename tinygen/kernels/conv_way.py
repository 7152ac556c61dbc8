"""Which kernel a convolution of some shapes goes to.

To find out takes as long as a small one, so it is kept for the next call.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from tinygen.kernels import conv_columns as columns
from tinygen.kernels import winograd
from tinygen.kernels.conv_plan import Pairs, Sizes
from tinygen.kernels.jit import serves


class Way(NamedTuple):
    """How a convolution of some shapes is computed."""

    kernel: str  # "slide", "winograd", or "columns": as a matrix product, or by the NumPy lines
    places: Sizes
    cuts: bool  # whether padding is negative somewhere


@functools.lru_cache(maxsize=1024)
def way_of(
    x_shape: Sizes, w_shape: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int
) -> Way:
    padded_sizes = columns.padded_sizes(x_shape[2:], padding)
    places = columns.places_of(padded_sizes, w_shape[2:], stride, dilation)
    empty = not math.prod(x_shape) * math.prod(w_shape) or min(places) < 1
    if empty or columns.one_tap(w_shape[2:], stride, padding) or not serve(places):
        kernel = "columns"
    elif winograd.fits(places, w_shape, stride, dilation, groups):
        kernel = "winograd"
    else:
        kernel = "slide"
    return Way(kernel, places, min(map(min, padding)) < 0)


def serve(places: Sizes, *arrays: np.ndarray) -> bool:
    """Whether the kernels here take these arrays: float32, and something in them. (If there is but
    one place, an ordinary matrix product will do.)"""
    fitting = len(places) <= 3 and min(places) > 0 and math.prod(places) > 1
    return fitting and all(serves(a) and a.size for a in arrays)
