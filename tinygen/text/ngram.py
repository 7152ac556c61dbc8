"""NGram: the language model that only counts. It is the baseline that a neural one has to beat.

An n-gram model predicts a token from the n-1 before it, by how often each token followed them in
the training text. Most long contexts were seen rarely or never, so everything depends on what is
borrowed from shorter ones. Here that is interpolated, modified Kneser-Ney smoothing:

    p(w | c) = (N(c w) - D(N(c w))) / N(c) + G(c) p(w | c'),    N(c) = sum over w of N(c w),

where c' is the context c without its first token, each count N > 0 pays a discount D, and
G(c) = sum over w of D(N(c w)) / N(c) hands out what the discounts took, so that p sums to 1 by
construction. Below the shortest context lies the uniform distribution, p = 1 / vocab_size. For a
context that was never seen p(w | c) = p(w | c').

N is the number of occurrences in the highest order only. In the orders below it is the number of
*different* tokens v for which v c w occurred: a shorter context is consulted when the longer one
failed, so what counts is in how many ways it can be arrived at (Kneser & Ney 1995, "Improved
backing-off for m-gram language modeling"). The discounts D(1), D(2), D(3 or more) are estimated
from the numbers of n-grams that were counted once, twice, ... (Chen & Goodman 1999, "An empirical
study of smoothing techniques for language modeling", section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..autograd.random import Generator, rng_of
from .ids import Ids, as_ids

_UNSEEN = np.iinfo(np.int64).max  # sorts behind every n-gram


@dataclass(frozen=True)
class _Level:
    """The G different n-grams of one length, as a level of a trie, with their share of probability.

    An n-gram is numbered by its place in `ngrams`, and is a context of the level above under this
    number. The last place, number G, stands for all n-grams that were not seen.
    """

    vocab_size: int
    ngrams: np.ndarray  # int64 [G + 1], sorted: number of the context * vocab_size + token
    share: (
        np.ndarray
    )  # float64 [G + 1]: (N - D) / N(c), the part of p that needs no shorter context
    rest: np.ndarray  # float64 [contexts + 1]: G(c), the part of p that shorter contexts hand out

    def find(self, contexts: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """The numbers [m] of the n-grams made of `contexts` [m], by number, and `tokens` [m]."""
        wanted = contexts * self.vocab_size + tokens
        places = np.searchsorted(self.ngrams, wanted)
        return np.where(self.ngrams[places] == wanted, places, len(self.ngrams) - 1)


class NGram:
    """An n-gram model of `order` n (1: unigram, 2: bigram) over token ids 0 <= id < vocab_size."""

    def __init__(self, order: int, vocab_size: int):
        if order < 1 or vocab_size < 1:
            raise ValueError(f"order and vocab_size are at least 1, got {order=}, {vocab_size=}")
        self.order, self.vocab_size = order, vocab_size
        self._levels: list[_Level] = []

    def fit(self, ids: Ids) -> NGram:
        """Count the training text `ids` [n], and forget an earlier one. Returns the model."""
        ids = as_ids(ids, self.vocab_size)
        if not len(ids):
            raise ValueError("fit: the training text has no tokens")
        self._levels, contexts = [], 1
        for ngrams, counts in _count(ids, self.order, self.vocab_size):
            self._levels.append(_smooth(ngrams, counts, contexts, self.vocab_size))
            contexts = len(ngrams)
        return self

    def log_prob(self, ids: Ids) -> np.ndarray:
        """log p(id | the order - 1 ids before it) for each of `ids` [n]: float64 [n], in nats.

        The first ids have fewer before them, and are predicted from those alone.
        """
        ids = as_ids(ids, self.vocab_size)
        p = np.full(len(ids), 1 / self.vocab_size)
        ngrams = np.zeros(len(ids) + 1, np.int64)  # there is one 0-gram, number 0, at every place
        for n, level in enumerate(self._fitted(), start=1):
            contexts = ngrams[:-1]  # the (n-1)-gram that starts here, and has a token behind it
            ngrams = level.find(contexts, ids[n - 1 :])
            p[n - 1 :] = level.share[ngrams] + level.rest[contexts] * p[n - 1 :]
        return np.log(p)

    def cross_entropy(self, ids: Ids) -> float:
        """The mean of -log p over `ids` [n], in nats per token: the loss to compare with."""
        log_prob = self.log_prob(ids)
        if not len(log_prob):
            raise ValueError("cross_entropy: there are no tokens to predict")
        return float(-log_prob.mean())

    def probs(self, context: Ids) -> np.ndarray:
        """p(w | context) for every token w: float64 [vocab_size]; the last order - 1 ids count."""
        context = as_ids(context, self.vocab_size)
        levels = self._fitted()
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        for n, level in enumerate(levels[: len(context) + 1], start=1):
            number = np.zeros((), np.int64)  # of the last n - 1 ids
            for shorter, token in zip(levels, context[len(context) - (n - 1) :]):
                number = shorter.find(number, token)
            p = level.share[level.find(number, np.arange(self.vocab_size))] + level.rest[number] * p
        return p

    def sample(self, n: int, generator: Generator | None = None, context: Ids = ()) -> np.ndarray:
        """`n` tokens that continue `context`, drawn one after the other: int64 [n]."""
        rng = rng_of(generator)
        ids = list(as_ids(context, self.vocab_size))
        for _ in range(n):
            p = self.probs(ids[-self.order :])
            ids.append(rng.choice(self.vocab_size, p=p))
        return np.array(ids[len(ids) - n :], np.int64)

    def _fitted(self) -> list[_Level]:
        if not self._levels:
            raise RuntimeError("this NGram has not seen a text yet; call fit(ids) first")
        return self._levels


def _count(ids: np.ndarray, order: int, vocab_size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For n = 1 ... order the different n-grams in `ids`, [G] int64, sorted, and N of each, [G]."""
    found = []
    numbers = np.zeros(len(ids) + 1, np.int64)  # of the (n-1)-grams that start at each place
    for n in range(1, order + 1):
        at_each_place = numbers[:-1] * vocab_size + ids[n - 1 :]
        ngrams, first, numbers_n, counts = np.unique(
            at_each_place, return_index=True, return_inverse=True, return_counts=True
        )
        if found:  # v c w starts at `first`, so c w starts one later: count it once for each v
            shorter = found[-1][0]
            found[-1] = shorter, np.bincount(numbers[first + 1], minlength=len(shorter))
        found.append((ngrams, counts))
        numbers = numbers_n
    return found


def _smooth(ngrams: np.ndarray, counts: np.ndarray, contexts: int, vocab_size: int) -> _Level:
    """The level for `ngrams` [G] with `counts` N [G], on a level of `contexts` shorter n-grams."""
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    context = ngrams // vocab_size
    # Every length has one context more, the unseen one, for which nothing was counted.
    total = np.bincount(context, counts, contexts + 1)
    rest = np.bincount(context, discounts, contexts + 1)
    share = (counts - discounts) / np.maximum(total[context], 1)
    rest = np.where(total > 0, rest / np.maximum(total, 1), 1.0)
    return _Level(vocab_size, np.append(ngrams, _UNSEEN), np.append(share, 0.0), rest)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """D(0) = 0, D(1), D(2) and D(3 or more), [4], from how many n-grams have which count.

    With n_k the number of n-grams counted k times and Y = n_1 / (n_1 + 2 n_2):
    D(k) = k - (k + 1) Y n_{k+1} / n_k (Chen & Goodman 1999, section 3); D(1) comes out as Y.
    Where a text has too few different n-grams for that, D(k) = k / 2, KenLM's fallback. D is never
    0, or an unseen token would have probability 0.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    k = np.arange(1, 4)
    discounts = k / 2
    if n[1:5].all():
        y = n[1] / (n[1] + 2 * n[2])
        estimates = k - (k + 1) * y * n[2:5] / n[1:4]
        discounts = estimates if (estimates > 0).all() else discounts
    return np.append(0.0, discounts)
