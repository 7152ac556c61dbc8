"""The word tokenizer: words come back, and what it does not know it names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygen.text import WordTokenizer

WORDS = st.lists(st.text("abcxyzäß", min_size=1, max_size=4), min_size=1)


@given(WORDS)
def test_every_text_comes_back(words):
    text = " ".join(words)
    tokenizer = WordTokenizer.train([text])
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.vocab_size == len(set(words)) == len(set(ids))
    restored = WordTokenizer.from_state_dict(json.loads(json.dumps(tokenizer.state_dict())))
    assert restored.encode(text) == ids


def test_words_are_in_alphabetical_order_and_case_and_spaces_make_no_difference():
    tokenizer = WordTokenizer.train(["a bold three", "A thin seven"])
    assert tokenizer.vocabulary == ["a", "bold", "seven", "thin", "three"]
    assert tokenizer.encode("  A Bold\tTHREE\n") == [0, 1, 4]
    assert tokenizer.encode("") == []


def test_unknown_words_are_named():
    tokenizer = WordTokenizer(["a", "three"])
    with pytest.raises(ValueError, match=r"the 2 words .*: blue, horse; there are a, three$"):
        tokenizer.encode("a Blue three horse")
    with pytest.raises(ValueError, match="token id 2 at position 1"):
        tokenizer.decode([0, 2])


@pytest.mark.parametrize("vocabulary", [["a b"], ["A"], [""], [3]])
def test_vocabularies_hold_words(vocabulary):
    with pytest.raises(ValueError, match="words in lower case, without white space; got"):
        WordTokenizer(vocabulary)


@pytest.mark.parametrize("vocabulary", [[], ["a", "b", "a"]])
def test_vocabularies_hold_each_word_once(vocabulary):
    with pytest.raises(ValueError, match="at least one word, and each of them once"):
        WordTokenizer(vocabulary)
