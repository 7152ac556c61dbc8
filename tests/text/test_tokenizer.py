"""The character tokenizer: nothing is lost, and what it does not know it names."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.autograd.tensor import Tensor
from tinygen.text import CharTokenizer


@given(st.text(min_size=1))
def test_every_text_comes_back(text):
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(type(i) is int for i in ids)
    assert tokenizer.vocab_size == len(set(text)) == len(set(ids))
    restored = CharTokenizer.from_state_dict(json.loads(json.dumps(tokenizer.state_dict())))
    assert restored.encode(text) == ids


def test_ids_follow_the_order_of_code_points_or_of_the_vocabulary_given():
    assert CharTokenizer.train("banana").encode("abn") == [0, 1, 2]
    assert CharTokenizer("nab").encode("abn") == [1, 2, 0]


def test_decode_takes_lists_arrays_and_tensors():
    tokenizer = CharTokenizer("abc")
    for ids in ([2, 0], (2, 0), np.array([2, 0], np.uint8), Tensor(np.array([2, 0]))):
        assert tokenizer.decode(ids) == "ca"
    assert tokenizer.decode([]) == tokenizer.decode(np.zeros(0)) == ""


def test_an_unknown_character_is_named_with_its_position():
    with pytest.raises(ValueError, match=r"'é' \(U\+00E9\) at position 3 .* 3 of the vocabulary"):
        CharTokenizer("caf").encode("café?")


@pytest.mark.parametrize(
    ("ids", "error", "complaint"),
    [
        ([0, 3], ValueError, "token id 3 at position 1 is not in the vocabulary, 0 to 2"),
        ([-1], ValueError, "token id -1 at position 0"),
        ([[0, 1]], ValueError, r"got shape \[1, 2\]; pass one row at a time"),
        (0, ValueError, r"got shape \[\]"),
        ([0.5], TypeError, "token ids are integers, got float64"),
        ([True], TypeError, "token ids are integers, got bool"),
    ],
)
def test_ids_that_are_none(ids, error, complaint):
    with pytest.raises(error, match=complaint):
        CharTokenizer("abc").decode(ids)


def test_vocabularies_that_are_none():
    for vocabulary in ("", "aba"):
        with pytest.raises(ValueError, match="at least one character, and each of them once"):
            CharTokenizer(vocabulary)
    for vocabulary in (["a", "bc"], [1], [""]):
        with pytest.raises(ValueError, match="single characters"):
            CharTokenizer(vocabulary)
