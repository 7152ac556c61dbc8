"""How samples become a batch. Names are those of `torch.utils.data`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autograd.creation import as_tensor, tensor
from ..autograd.dtypes import float64
from ..autograd.ops.join import stack
from ..autograd.tensor import Tensor
from .dataset import Subset, TensorDataset

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Sequence[Any]) -> Any:
    """One object for a list of samples [n] that are alike.

    Tensors and arrays of one shape become a tensor [n, ...], numbers a tensor [n] (float64, int64,
    bool); of tuples, lists and dicts each part is collated; strings stay a list.
    """
    if not len(batch):
        raise ValueError("default_collate: there are no samples in this batch")
    first = batch[0]
    if isinstance(first, Tensor):
        return _stacked(batch)
    if isinstance(first, np.ndarray | np.generic):
        return _stacked([as_tensor(np.asarray(x)) for x in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(default_collate, _transposed(batch)))
    if isinstance(first, Sequence):
        return [default_collate(part) for part in _transposed(batch)]
    raise TypeError(
        "default_collate: samples are tensors, arrays, numbers, strings, dicts, tuples or lists;"
        f" got {type(first).__name__}: give the DataLoader a collate_fn of your own"
    )


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    shapes = sorted({x.shape for x in tensors})
    if len(shapes) > 1:
        raise RuntimeError(
            "default_collate: the samples of a batch must have one shape, got"
            f" {' and '.join(map(str, shapes))}: give the DataLoader a collate_fn of your own"
        )
    return stack(tensors)


def _transposed(batch: Sequence[Sequence[Any]]) -> list[list[Any]]:
    sizes = sorted({len(sample) for sample in batch})
    if len(sizes) > 1:
        raise RuntimeError(
            "default_collate: the samples of a batch must have the same number of parts, got"
            f" {' and '.join(map(str, sizes))}"
        )
    return [list(part) for part in zip(*batch)]


def default_convert(sample: Any) -> Any:
    """A sample with tensors instead of its arrays; for a DataLoader with batch_size=None."""
    if isinstance(sample, np.ndarray | np.generic):
        return as_tensor(np.asarray(sample))
    if isinstance(sample, Mapping):
        return {key: default_convert(value) for key, value in sample.items()}
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*map(default_convert, sample))
    if isinstance(sample, Sequence) and not isinstance(sample, str | bytes):
        return [default_convert(value) for value in sample]
    return sample


def read_batch(dataset: Any, indices: Sequence[int] | np.ndarray) -> Any:
    """default_collate of the samples with these numbers.

    Tensors are indexed once for the batch, unless a subclass has a `__getitem__` of its own.
    """
    read = getattr(type(dataset), "__getitem__", None)
    if isinstance(dataset, Tensor | np.ndarray):
        return as_tensor(dataset[np.asarray(indices)])
    if read is TensorDataset.__getitem__:
        return list(dataset[np.asarray(indices)])
    if read is Subset.__getitem__:
        return read_batch(dataset.dataset, np.asarray(dataset.indices)[indices])
    return default_collate(read_samples(dataset, indices))


def read_samples(dataset: Any, indices: Sequence[int] | np.ndarray) -> list[Any]:
    """The samples with these numbers; at once, if the dataset has PyTorch's `__getitems__`."""
    numbers = indices.tolist() if isinstance(indices, np.ndarray) else indices
    if hasattr(dataset, "__getitems__"):
        return dataset.__getitems__(numbers)
    return [dataset[i] for i in numbers]
