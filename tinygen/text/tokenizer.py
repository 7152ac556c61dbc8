"""CharTokenizer: one token per character, the simplest encoder that loses nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .ids import Ids, as_ids


class CharTokenizer:
    """The characters of `vocabulary`, numbered from 0 in the order given.

    A character is a Unicode code point. `decode(encode(text)) == text` for every text over the
    vocabulary.
    """

    def __init__(self, vocabulary: Iterable[str]):
        self.vocabulary = list(vocabulary)
        for character in self.vocabulary:
            if not isinstance(character, str) or len(character) != 1:
                raise ValueError(f"a vocabulary consists of single characters, got {character!r}")
        self._ids = {character: i for i, character in enumerate(self.vocabulary)}
        if not self.vocabulary or len(self._ids) < len(self.vocabulary):
            raise ValueError("a vocabulary has at least one character, and each of them once")

    @classmethod
    def train(cls, text: str) -> CharTokenizer:
        """The tokenizer for the characters that occur in `text`, in the order of code points."""
        return cls(sorted(set(text)))

    @property
    def vocab_size(self) -> int:
        """How many characters there are."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """The ids of the characters; ValueError for one that is not in the vocabulary."""
        try:
            return [self._ids[character] for character in text]
        except KeyError:
            raise ValueError(self._unknown(text)) from None

    def decode(self, ids: Ids) -> str:
        """The text of `ids` [n], a list, ndarray or Tensor; ValueError for an id out of range."""
        return "".join([self.vocabulary[i] for i in as_ids(ids, self.vocab_size)])

    def state_dict(self) -> dict[str, Any]:
        """What `from_state_dict` needs, in types that JSON has."""
        return {"vocabulary": "".join(self.vocabulary)}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> CharTokenizer:
        """The tokenizer whose `state_dict` this is."""
        return cls(state["vocabulary"])

    def _unknown(self, text: str) -> str:
        position = next(i for i, character in enumerate(text) if character not in self._ids)
        return (
            f"the character {text[position]!r} (U+{ord(text[position]):04X}) at position {position}"
            f" is not among the {self.vocab_size} of the vocabulary; take it out of the text, or"
            " train the tokenizer on a text that has it"
        )
