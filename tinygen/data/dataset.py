"""Datasets: samples by their number. Names and arguments are those of `torch.utils.data`."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..autograd.creation import as_tensor
from ..autograd.random import Generator, randperm
from ..autograd.tensor import Tensor

__all__ = ["ConcatDataset", "Dataset", "IterableDataset", "Subset", "TensorDataset", "random_split"]


class Dataset:
    """Samples by number: a subclass has `__getitem__(i)`, and `__len__()` for samplers."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(index)")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples that come one after the other, and have no numbers: a subclass has `__iter__()`."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")


class TensorDataset(Dataset):
    """Sample i is the tuple of the i-th rows of `tensors`, each [n, ...].

    A DataLoader reads whole batches from it, not sample after sample.
    Raises ValueError if the tensors have different n, or none.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor):
        self.tensors = tuple(as_tensor(tensor) for tensor in tensors)
        shapes = [tensor.shape for tensor in self.tensors]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1:
            raise ValueError(
                "TensorDataset takes tensors [n, ...] with one n for all of them, the number of"
                f" samples; got shapes {', '.join(map(str, shapes)) or 'of nothing'}"
            )

    def __getitem__(self, index) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The samples of `dataset` that have the numbers `indices` [n], in this order."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """The samples of `datasets`, one dataset after the other."""

    datasets: list[Any]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset takes at least one dataset; got an empty list")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise ValueError("ConcatDataset can't number the samples of an IterableDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        total = len(self)
        if not -total <= index < total:
            raise IndexError(f"there is no sample {index} among {total}")
        index = index % total
        which = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """`dataset` cut at random into parts that share no sample, of these `lengths`.

    Lengths are numbers of samples that sum to len(dataset), or fractions that sum to 1; what
    rounding them down leaves over goes to the first parts, one sample each.
    """
    n = len(dataset)
    sizes = _sizes_from_fractions(lengths, n) if math.isclose(sum(lengths), 1) else list(lengths)
    if sum(sizes) != n or not all(isinstance(k, int | np.integer) and k >= 0 for k in sizes):
        raise ValueError(
            f"random_split takes lengths that sum to the {n} samples of the dataset, or fractions"
            f" that sum to 1; got {list(lengths)}, which sum to {sum(lengths)}"
        )
    order = randperm(n, generator=generator).array
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def _sizes_from_fractions(fractions: Sequence[float], n: int) -> list[int]:
    if min(fractions) < 0:
        raise ValueError(f"a fraction of a dataset lies between 0 and 1; got {list(fractions)}")
    sizes = [math.floor(n * fraction) for fraction in fractions]
    for i in range(n - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes
