"""Corpora: where a text comes from, how it is split, and how training draws windows from it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..autograd.random import Generator, default_generator
from .ids import Ids, as_ids


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, with "\\n" at its line ends.

    Raises FileNotFoundError for a missing file; ValueError for a folder, an empty file, and one
    that is not text.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no text file {path}")
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder; give the path of a text file in it")
    try:
        with open(path, encoding="utf-8-sig") as file:  # a byte order mark is no part of the text
            text = file.read()
    except UnicodeDecodeError as error:
        message = f"{path} is not a UTF-8 text (byte {error.start}); convert it to UTF-8 first"
        raise ValueError(message) from None
    if "\0" in text:
        raise ValueError(f"{path} is not a text: it has a NUL at character {text.index(chr(0))}")
    if not text:
        raise ValueError(f"{path} is empty; give a file with some text")
    return text


def python_docs_text() -> str:
    """What Python's `help("topics")` shows: half a megabyte of English that lies on every machine.

    All of `pydoc_data.topics` in the order of their names, a blank line between two. The same for
    one Python version, a little different for another (3.11: 465,000 characters, 3.13: 511,000).
    """
    from pydoc_data.topics import topics  # here, as it is large and rarely wanted

    return "\n".join(topics[name] for name in sorted(topics))


def train_val_split(ids: Any, val_fraction: float = 0.1) -> tuple[Any, Any]:
    """The beginning of `ids` for training, the last `val_fraction` of it for validation.

    Cut in one place, never shuffled: neighbouring windows overlap, and would leak. `ids` is
    anything that can be sliced [n]: list, ndarray, Tensor, or the text itself.
    """
    train_size = int(len(ids) * (1 - val_fraction)) if 0 < val_fraction < 1 else 0
    if not 0 < train_size < len(ids):
        raise ValueError(
            f"val_fraction={val_fraction} of {len(ids)} tokens leaves one part empty; choose it"
            " between 0 and 1, such as 0.1, and take a longer text"
        )
    return ids[:train_size], ids[train_size:]


class RandomWindows:
    """Endless training batches: windows of `ids` [n] at random places, and what comes next in each.

    Iterating gives `(x, y)`, both int64 [batch_size, block_size], with `y[:, t]` the token that
    follows `x[:, t]`. Places are uniform and independent. The state is that of the random number
    generator: a run that loads it goes on with the batches that the saved run would have drawn.

    Without a `generator` it shares the default one, which `tg.manual_seed` seeds.
    Raises ValueError if not a single window fits into the text.
    """

    def __init__(
        self,
        ids: Ids,
        block_size: int,
        batch_size: int,
        generator: Generator | None = None,
    ):
        self.ids = as_ids(ids)
        self.block_size, self.batch_size = block_size, batch_size
        self.generator = generator or default_generator
        if block_size < 1 or batch_size < 1:
            raise ValueError(
                f"block_size and batch_size are at least 1, got {block_size=}, {batch_size=}"
            )
        if len(self.ids) < block_size + 1:
            raise ValueError(
                f"a text of {len(self.ids)} characters (tokens) is too short for"
                f" block_size={block_size}: it needs at least {block_size + 1}, one of them to"
                " follow the block"
            )

    def __iter__(self) -> RandomWindows:
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        starts = self.generator.rng.integers(len(self.ids) - self.block_size, size=self.batch_size)
        places = starts[:, None] + np.arange(self.block_size)
        return self.ids[places], self.ids[places + 1]

    def state_dict(self) -> dict[str, Any]:
        """The state of the random number generator; `tg.save` can store it."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where this state was taken."""
        self.generator.set_state(state["generator"])
