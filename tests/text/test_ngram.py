"""The n-gram model: a true distribution, equal to its formula, and as good as it should be."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygen.autograd.random import Generator
from tinygen.autograd.tensor import Tensor
from tinygen.text import CharTokenizer, NGram, read_text, train_val_split
from tinygen.text.ngram import _discounts

DATA = Path(os.environ.get("TINYGEN_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


class ByDefinition:
    """Interpolated modified Kneser-Ney, word for word from its formula: dicts and recursion."""

    def __init__(self, ids, order, vocab_size):
        self.vocab_size = vocab_size
        grams = [
            Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))
            for n in range(1, order + 1)
        ]
        self.counts = [Counter(gram[1:] for gram in longer) for longer in grams[1:]] + [grams[-1]]
        self.discounts = [
            _discounts(np.array(list(counts.values()), np.int64)) for counts in self.counts
        ]

    def p(self, token, context):
        """p(token | context), the context a tuple of at most order - 1 ids."""
        counts, d = self.counts[len(context)], self.discounts[len(context)]
        shorter = self.p(token, context[1:]) if context else 1 / self.vocab_size
        after = {w: counts[*context, w] for w in range(self.vocab_size)}
        total = sum(after.values())
        if not total:
            return shorter
        paid = {w: d[min(count, 3)] for w, count in after.items()}
        return (after[token] - paid[token] + sum(paid.values()) * shorter) / total


@st.composite
def texts(draw):
    vocab_size = draw(st.integers(1, 4))
    ids = draw(st.lists(st.integers(0, vocab_size - 1), min_size=1, max_size=40))
    return ids, draw(st.integers(1, 4)), vocab_size


@settings(max_examples=60, deadline=None)
@given(texts(), st.randoms(use_true_random=False))
def test_equals_the_formula(text, random):
    ids, order, vocab_size = text
    model, reference = NGram(order, vocab_size).fit(ids), ByDefinition(ids, order, vocab_size)
    new = [random.randrange(vocab_size) for _ in range(12)]
    expected = [reference.p(w, tuple(new[max(0, i - order + 1) : i])) for i, w in enumerate(new)]
    np.testing.assert_allclose(np.exp(model.log_prob(new)), expected, rtol=1e-12)
    for i, context in ((0, ()), (3, tuple(new[max(0, 4 - order) : 3]))):
        expected = [reference.p(w, context) for w in range(vocab_size)]
        np.testing.assert_allclose(model.probs(new[:i]), expected, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(texts())
def test_sums_to_one_and_excludes_nothing_in_any_context(text):
    ids, order, vocab_size = text
    model = NGram(order, vocab_size).fit(ids)
    for start in range(len(ids)):
        p = model.probs(ids[max(0, start - 5) : start])
        assert p.shape == (vocab_size,)
        assert p.min() > 0
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)


def test_sums_to_one_on_a_larger_text_in_contexts_seen_and_not():
    rng = np.random.default_rng(0)
    ids = rng.geometric(0.15, 5000) % 30
    model = NGram(5, 30).fit(ids)
    contexts = [ids[i : i + 4] for i in range(0, 4000, 100)] + list(rng.integers(0, 30, (60, 4)))
    for context in contexts:
        p = model.probs(context)
        assert p.min() > 0
        np.testing.assert_allclose(p.sum(), 1, rtol=1e-12)
        scored = [model.log_prob([*context, w])[-1] for w in range(30)]
        np.testing.assert_allclose(np.exp(scored), p, rtol=1e-12)


def test_unigram_is_the_smoothed_frequency():
    ids = [0] * 1 + [1] * 2 + [2] * 1 + [3] * 3 + [4] * 9  # and token 5 never occurs
    counts = np.array([1, 2, 1, 3, 9, 0])
    discounts = np.array([0.5, 1, 0.5, 1.5, 1.5, 0])
    expected = (counts - discounts + discounts.sum() / 6) / 16
    np.testing.assert_allclose(NGram(1, 6).fit(ids).probs([]), expected)
    np.testing.assert_allclose(np.exp(NGram(1, 6).fit(ids).log_prob(range(6))), expected)


def test_an_unseen_context_backs_off_to_the_shorter_one():
    ids = np.random.default_rng(0).integers(0, 5, 200)  # over 6 tokens: number 5 never occurs
    model = NGram(3, 6).fit(ids)
    np.testing.assert_array_equal(model.probs([5, 2]), model.probs([2]))
    np.testing.assert_array_equal(model.probs([2, 5]), model.probs([]))
    assert not np.array_equal(model.probs([1, 2]), model.probs([2]))


def test_a_shorter_context_counts_in_how_many_ways_it_was_reached():
    # Kneser and Ney's case: "Francisco" (2) is more frequent than "the" (3), but only after "San".
    san, francisco, the = 1, 2, 3
    ids = [san, francisco] * 50 + [w for before in range(4, 10) for w in (before, the)] * 5
    unseen = 10
    p = NGram(2, 11).fit(ids).probs([unseen])
    assert p[the] > 2 * p[francisco]
    p = NGram(1, 11).fit(ids).probs([])
    assert p[francisco] > p[the]


def test_discounts_are_chen_and_goodmans():
    counts = np.repeat([1, 2, 3, 4], [40, 20, 10, 6])
    y = 40 / 80
    expected = [0, y, 2 - 3 * y * 10 / 20, 3 - 4 * y * 6 / 10]
    np.testing.assert_allclose(_discounts(counts), expected)
    for too_few in ([], [9, 9], [1, 2, 3, 5], np.repeat([1, 2, 3, 4], [1, 9, 1, 99])):
        np.testing.assert_array_equal(_discounts(np.array(too_few, np.int64)), [0, 0.5, 1, 1.5])


def test_a_higher_order_finds_the_structure():
    period = np.tile([0, 0, 1], 200)
    losses = [NGram(order, 2).fit(period).cross_entropy(period) for order in (1, 2, 3)]
    assert losses[0] == pytest.approx(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)), abs=0.01)
    assert losses[0] > losses[1] > 10 * losses[2]


def test_ids_far_beyond_what_a_64_bit_power_holds():
    rng = np.random.default_rng(0)
    ids = rng.integers(50_000, 50_257, 3000)  # 50,257 ** 5 is about 3e23
    model = NGram(5, 50_257).fit(ids)
    np.testing.assert_allclose(model.probs(ids[10:14]).sum(), 1, rtol=1e-10)
    assert model.probs(ids[10:14]).argmax() == ids[14]


def test_samples_follow_the_probabilities():
    model = NGram(2, 3).fit([0, 1, 0, 2, 0, 1, 0, 1, 1])
    drawn = model.sample(3000, Generator(0), context=[2])
    assert drawn.shape == (3000,) and drawn.dtype == np.int64
    np.testing.assert_array_equal(drawn, model.sample(3000, Generator(0), context=[2]))
    after_0 = drawn[1:][drawn[:-1] == 0]
    frequency = np.bincount(after_0, minlength=3) / len(after_0)
    np.testing.assert_allclose(frequency, model.probs([0]), atol=0.05)  # four standard deviations


def test_takes_lists_arrays_and_tensors():
    ids = [0, 1, 0, 2]
    losses = [
        NGram(2, 3).fit(x).cross_entropy(x) for x in (ids, np.array(ids), Tensor(np.array(ids)))
    ]
    assert losses[0] == losses[1] == losses[2]


def test_errors():
    with pytest.raises(RuntimeError, match=r"call fit\(ids\) first"):
        NGram(2, 3).log_prob([0])
    with pytest.raises(ValueError, match="no tokens"):
        NGram(2, 3).fit([])
    with pytest.raises(ValueError, match="no tokens to predict"):
        NGram(2, 3).fit([0]).cross_entropy([])
    with pytest.raises(ValueError, match="token id 3 at position 1"):
        NGram(2, 3).fit([0]).log_prob([0, 3])
    with pytest.raises(ValueError, match="at least 1, got order=0"):
        NGram(0, 3)


@pytest.mark.skipif(not (DATA / "tinyshakespeare.txt").exists(), reason="needs tinyshakespeare.txt")
def test_shakespeare_in_nats_per_character():
    text = read_text(DATA / "tinyshakespeare.txt")
    tokenizer = CharTokenizer.train(text)
    train, val = train_val_split(np.array(tokenizer.encode(text)), 0.1)
    for order, expected in ((1, 3.3473), (2, 2.4835), (5, 1.5612)):
        model = NGram(order, tokenizer.vocab_size).fit(train)
        assert model.cross_entropy(val) == pytest.approx(expected, abs=5e-5)
