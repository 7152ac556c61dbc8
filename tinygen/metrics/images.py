"""Images and labels that are what they should be, or one sentence that says what is wrong."""

from __future__ import annotations

import numpy as np

from ..autograd.tensor import Tensor

__all__ = ["check_images", "check_labels"]


def check_images(images: Tensor, channels: int, size: int) -> None:
    """Raises ValueError unless `images` is [n, channels, size, size] in [0, 1] with n > 0."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images are a tensor, got {type(images).__name__}: use tg.as_tensor")
    if images.ndim != 4 or images.shape[1:] != (channels, size, size) or not len(images):
        raise ValueError(
            f"images must be [n, {channels}, {size}, {size}] with at least one of them, got"
            f" {images.shape}"
        )
    low, high = images.array.min(), images.array.max()
    if not np.isfinite([low, high]).all():  # NaN passes through both
        raise ValueError("images have numbers that are not finite; has the model diverged?")
    if low < -1e-6 or high > 1 + 1e-6:
        raise ValueError(
            f"images lie in [0, 1], got numbers from {low:.3g} to {high:.3g}: rescale them, such as"
            " (x + 1) / 2 from [-1, 1], or x.clamp(0, 1)"
        )


def check_labels(labels: Tensor, num_classes: int, n: int) -> None:
    """Raises ValueError unless `labels` is [n] with 0 <= label < num_classes."""
    if not isinstance(labels, Tensor) or labels.array.dtype.kind not in "iu":
        kind = labels.dtype if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(f"labels are a tensor of integers, got {kind}")
    if labels.shape != (n,):
        raise ValueError(f"there must be one label for each of {n} images, got {labels.shape}")
    outside = np.flatnonzero((labels.array < 0) | (labels.array >= num_classes))
    if outside.size:
        i = outside[0]
        raise ValueError(
            f"labels lie between 0 and {num_classes - 1}; number {i} is {labels.array[i]}"
        )
