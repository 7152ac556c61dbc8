"""cycle: the batches of a DataLoader without an end, resumable in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..autograd.random import Generator, generator_of
from .loader import DataLoader, batches_in_an_epoch

__all__ = ["Cycle", "cycle"]


class Cycle:
    """Epoch after epoch of `loader`, as an endless iterator; what `train.Trainer` takes.

    The state is three numbers, and the two states that the generator of the order was in when the
    epoch began and now: a run that loads it draws the same order again, skips what was seen, and
    goes on with the batches that the saved run would have seen. Samplers of your own must draw
    their order when an epoch begins, from their attribute `generator` or the loader's. The samples
    of an IterableDataset are skipped by reading them again.
    """

    def __init__(self, loader: DataLoader):
        self.loader = loader
        self.epoch = 0  # how many epochs were begun
        self.batch = 0  # how many batches of this one were given
        self._began: dict[str, int] = {}  # the state of the generator when it began
        self._batches: Iterator = iter(())

    def __iter__(self) -> Cycle:
        return self

    def __next__(self) -> Any:
        for batch in self._batches:
            self.batch += 1
            return batch
        self._began = self._generator.get_state()
        self._batches = self.loader.epoch()
        self.epoch, self.batch = self.epoch + 1, 0
        for batch in self._batches:
            self.batch = 1
            return batch
        raise ValueError(
            "cycle: the loader gives no batch at all; is its dataset empty, or smaller than one"
            " batch with drop_last=True?"
        )

    @property
    def _generator(self) -> Generator:
        sampler = getattr(self.loader.batch_sampler, "sampler", self.loader.sampler)
        return generator_of(getattr(sampler, "generator", self.loader.generator))

    def state_dict(self) -> dict[str, Any]:
        """Where in the data this is; `tg.save` can store it."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "batches_in_an_epoch": batches_in_an_epoch(self.loader),
            "generator_began": self._began,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where this state was taken. Raises ValueError if it is another loader's."""
        saved, length = state["batches_in_an_epoch"], batches_in_an_epoch(self.loader)
        if saved != length:
            raise ValueError(
                f"the state is that of a loader with {saved} batches in an epoch, and this one has"
                f" {length}: take the same data and batch_size"
            )
        self.epoch, self.batch = state["epoch"], state["batch"]
        self._began = state["generator_began"]
        self._batches = iter(())
        if self._began:
            self._generator.set_state(self._began)
            self._batches = self.loader.epoch(skip=self.batch)
        self._generator.set_state(state["generator"])


def cycle(loader: DataLoader) -> Cycle:
    """The batches of `loader` for ever; see Cycle."""
    return Cycle(loader)
