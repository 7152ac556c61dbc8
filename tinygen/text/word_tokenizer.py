"""WordTokenizer: one token per word, for short texts of few different words, such as captions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .ids import Ids, as_ids


class WordTokenizer:
    """The words of `vocabulary`, numbered from 0 in the order given.

    Words are what white space separates, in lower case. `decode(encode(text)) == text` for words in
    lower case with single spaces between them.
    """

    def __init__(self, vocabulary: Iterable[str]):
        self.vocabulary = list(vocabulary)
        for word in self.vocabulary:
            if not isinstance(word, str) or word.lower().split() != [word]:
                raise ValueError(
                    f"a vocabulary consists of words in lower case, without white space; got "
                    f"{word!r}"
                )
        self._ids = {word: i for i, word in enumerate(self.vocabulary)}
        if not self.vocabulary or len(self._ids) < len(self.vocabulary):
            raise ValueError("a vocabulary has at least one word, and each of them once")

    @classmethod
    def train(cls, texts: Iterable[str]) -> WordTokenizer:
        """The tokenizer for the words that occur in `texts`, in alphabetical order."""
        return cls(sorted({word for text in texts for word in text.lower().split()}))

    @property
    def vocab_size(self) -> int:
        """How many words there are."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """The ids of the words; ValueError for those that are not in the vocabulary."""
        words = text.lower().split()
        unknown = [word for word in words if word not in self._ids]
        if unknown:
            raise ValueError(
                f"not among the {self.vocab_size} words of the vocabulary: {', '.join(unknown)}; "
                f"there are {', '.join(self.vocabulary[:40])}{' …' * (self.vocab_size > 40)}"
            )
        return [self._ids[word] for word in words]

    def decode(self, ids: Ids) -> str:
        """The text of `ids` [n], a list, ndarray or Tensor; ValueError for an id out of range."""
        return " ".join([self.vocabulary[i] for i in as_ids(ids, self.vocab_size)])

    def state_dict(self) -> dict[str, Any]:
        """What `from_state_dict` needs, in types that JSON has."""
        return {"vocabulary": " ".join(self.vocabulary)}

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> WordTokenizer:
        """The tokenizer whose `state_dict` this is."""
        return cls(state["vocabulary"].split())
