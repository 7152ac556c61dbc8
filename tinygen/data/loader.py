"""DataLoader: the batches of a dataset, with the arguments of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from ..autograd.random import Generator, generator_of
from .collate import default_collate, default_convert, read_batch, read_samples
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "get_worker_info"]


def get_worker_info() -> None:
    """None: all loading is done by the process that asks for the batch."""


class DataLoader:
    """The batches of `dataset`, an epoch for each iteration.

    dataset: whatever has `len(dataset)` and `dataset[i]`, or an IterableDataset.
    batch_size: samples in a batch; None: samples come one by one, without a batch dimension.
    shuffle: a new random order for each epoch.
    sampler, batch_sampler: the order, by numbers or by lists of numbers, instead of `shuffle`.
    collate_fn: makes a batch of a list of samples; by default `default_collate`.
    drop_last: leave out a last batch that is smaller than the others.
    generator: for the order; without one, the default one that `tg.manual_seed` seeds.

    The other arguments are PyTorch's and change nothing. The loading stays in this process: tensors
    are read a whole batch at once, which takes less time than handing them over would.
    Raises ValueError for arguments that exclude one another.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable | None = None,
        batch_sampler: Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        self.dataset, self.drop_last = dataset, drop_last
        self.generator = None if generator is None else generator_of(generator)
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        self._check(batch_size, shuffle, sampler, batch_sampler)
        if sampler is None and not self._is_stream:
            if shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler or (), batch_size, drop_last)
        self.batch_size, self.sampler, self.batch_sampler = batch_size, sampler, batch_sampler
        self.collate_fn = collate_fn or (default_convert if self._is_single else default_collate)

    def _check(self, batch_size, shuffle, sampler, batch_sampler) -> None:
        if not isinstance(self.num_workers, int) or self.num_workers < 0:
            raise ValueError(f"num_workers is a whole number from 0 on, got {self.num_workers!r}")
        if not self._is_stream and not hasattr(self.dataset, "__getitem__"):
            kind = type(self.dataset).__name__
            raise TypeError(f"a dataset has dataset[i] and len(dataset); {kind} has no [i]")
        if self._is_stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "the samples of an IterableDataset have no numbers to shuffle or to choose by:"
                " leave out shuffle, sampler and batch_sampler"
            )
        if sampler is not None and shuffle:
            raise ValueError("a sampler says the order, and so does shuffle=True: choose one")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or self.drop_last
        ):
            raise ValueError(
                "a batch_sampler says which samples make a batch: leave out batch_size, shuffle,"
                " sampler and drop_last"
            )
        if batch_size is None and self.drop_last:
            raise ValueError("with batch_size=None there are no batches: leave out drop_last")

    @property
    def _is_stream(self) -> bool:
        return isinstance(self.dataset, IterableDataset)

    @property
    def _is_single(self) -> bool:
        """Whether samples come one by one."""
        return self.batch_sampler is None

    @property
    def order(self) -> Iterable[Any]:
        """The sampler that says what `fetch` gets: lists of numbers, or numbers."""
        return self.sampler if self._is_single else self.batch_sampler  # type: ignore[return-value]

    def fetch(self, numbers: Any) -> Any:
        """The batch of the samples with these `numbers`, or the one sample with this number."""
        if self._is_single:
            return self.collate_fn(self.dataset[numbers])
        if self.collate_fn is default_collate:
            return read_batch(self.dataset, numbers)
        return self.collate_fn(read_samples(self.dataset, numbers))

    def __iter__(self) -> Iterator[Any]:
        return self.epoch()

    def epoch(self, skip: int = 0) -> Iterator[Any]:
        """The batches of an epoch after the first `skip`, which are not read if they have numbers.

        By the time this returns their order has been drawn.
        """
        batches: Iterator = self._stream() if self._is_stream else iter(self.order)
        for _ in range(skip):
            next(batches, None)
        return batches if self._is_stream else map(self.fetch, batches)

    def _stream(self) -> Iterator[Any]:
        """The batches of an IterableDataset."""
        samples = iter(self.dataset)
        if self._is_single:
            yield from map(self.collate_fn, samples)
            return
        size = self.batch_size or 1
        while batch := list(islice(samples, size)):
            if len(batch) == size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        if not self._is_stream:
            return len(self.order)  # type: ignore[arg-type]
        n, size = len(self.dataset), self.batch_size or 1
        return n // size if self.drop_last else -(-n // size)


def batches_in_an_epoch(loader: DataLoader) -> int | None:
    """len(loader); None if nobody knows."""
    try:
        return len(loader)
    except TypeError:
        return None
