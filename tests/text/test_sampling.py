"""Choosing the next token: what is kept, how often each comes, and what is refused."""

import math

import numpy as np
import pytest
from scipy.stats import chisquare

import tinygen as tg
from tinygen.text.sampling import cut, next_token

P = np.array([[0.1, 0.4, 0.05, 0.3, 0.15]])  # in order of likelihood: tokens 1, 3, 4, 0, 2


def kept(p, top_k=None, top_p=None):
    """Which tokens can still be chosen, row by row."""
    logits = np.log(p)
    before = logits.copy()
    cut_logits = cut(logits, top_k, top_p)
    np.testing.assert_array_equal(logits, before)  # the caller's array stays as it is
    there = np.isfinite(cut_logits)
    np.testing.assert_array_equal(cut_logits[there], logits[there])
    return [list(np.flatnonzero(row)) for row in there]


# ---- What is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "tokens"),
    [(1, [1]), (2, [1, 3]), (4, [0, 1, 3, 4]), (5, [0, 1, 2, 3, 4]), (99, [0, 1, 2, 3, 4])],
)
def test_top_k_keeps_the_k_likeliest(k, tokens):
    assert kept(P, top_k=k) == [tokens]


@pytest.mark.parametrize(
    ("p", "tokens"),
    [
        (1e-9, [1]),  # one token at least
        (0.39, [1]),
        (0.41, [1, 3]),  # 0.4 is not enough: the token that crosses the line belongs to the set
        (0.69, [1, 3]),
        (0.71, [1, 3, 4]),
        (0.94, [0, 1, 3, 4]),
        (0.96, [0, 1, 2, 3, 4]),
        (1.0, [0, 1, 2, 3, 4]),
    ],
)
def test_top_p_keeps_the_fewest_that_add_up_to_p(p, tokens):
    assert kept(P, top_p=p) == [tokens]


def test_top_p_is_of_what_top_k_left():
    # Of 0.4 and 0.3, the first has 0.571.
    assert kept(P, top_k=2, top_p=0.56) == [[1]]
    assert kept(P, top_k=2, top_p=0.58) == [[1, 3]]


def test_every_row_is_cut_by_itself():
    both = np.concatenate([P, P[:, ::-1], [[0.96, 0.01, 0.01, 0.01, 0.01]]])
    assert kept(both, top_k=2)[:2] == [[1, 3], [1, 3]]
    assert kept(both, top_p=0.5) == [[1, 3], [1, 3], [0]]


def test_ties():
    equal = np.full((1, 4), 0.25)
    assert kept(equal, top_k=2) == [[0, 1, 2, 3]]  # none of them is likelier than another
    assert kept(np.array([[0.2, 0.3, 0.3, 0.2]]), top_k=1) == [[1, 2]]
    assert kept(equal, top_p=0.6) == [[0, 1, 2]]  # the fewest: of equals the first


def test_p_of_1_keeps_what_rounding_would_drop():
    p = np.array([[1.0, 1e-30, 1e-30, 1e-30]])
    assert kept(p, top_p=1.0) == [[0, 1, 2, 3]]


def test_tokens_ruled_out_before_stay_out():
    with np.errstate(divide="ignore"):
        logits = np.log([[0.0, 0.5, 0.5]])
    np.testing.assert_array_equal(np.isfinite(cut(logits, 3, 1.0)), [[False, True, True]])
    drawn = {int(next_token(tg.tensor(logits))[0]) for _ in range(50)}
    assert drawn == {1, 2}


# ---- What is drawn -------------------------------------------------------------------------------


def frequencies(n=20_000, **options):
    logits = tg.tensor(np.log(P).repeat(n, 0))
    tokens = next_token(logits, generator=tg.Generator(0), **options)
    assert tokens.shape == (n,) and tokens.dtype == tg.int64
    return np.bincount(tokens.array, minlength=5)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, P[0]),
        ({"temperature": 0.5}, P[0] ** 2),
        ({"temperature": 3.0}, P[0] ** (1 / 3)),
        ({"top_k": 3}, P[0] * (P[0] > 0.12)),
        ({"top_p": 0.8}, P[0] * (P[0] > 0.12)),
        # The temperature comes first: then 0.4² and 0.3² are 0.87 of the whole.
        ({"temperature": 0.5, "top_p": 0.8}, P[0] ** 2 * (P[0] > 0.2)),
    ],
)
def test_frequencies_are_those_of_the_softmax(options, weights):
    counts = frequencies(**options)
    assert not counts[weights == 0].any()
    expected = (weights / weights.sum() * counts.sum())[weights > 0]
    assert chisquare(counts[weights > 0], expected).pvalue > 0.001


def test_a_low_temperature_is_greedy_and_a_high_one_uniform():
    assert frequencies(temperature=1e-3)[1] == 20_000
    counts = frequencies(temperature=1e6)
    assert chisquare(counts).pvalue > 0.01


def test_greedy_takes_the_likeliest_the_first_of_equals_and_heeds_nothing_else():
    logits = tg.tensor([[0.0, 2.0, 2.0], [5.0, -math.inf, 1.0]])
    tokens = next_token(logits, do_sample=False, temperature=0.0, top_k=0, top_p=7.0)
    np.testing.assert_array_equal(tokens.array, [1, 0])
    assert tokens.dtype == tg.int64


def test_greedy_draws_nothing_and_sampling_draws_from_its_generator():
    logits = tg.tensor(np.log(P))
    state = tg.get_rng_state()
    next_token(logits, do_sample=False)
    next_token(logits, generator=tg.Generator(3))
    assert tg.get_rng_state() == state
    many = tg.tensor(np.log(P).repeat(40, 0))
    first, again, other = (
        next_token(many, generator=tg.Generator(seed)).array for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_float32_logits_of_any_height_are_safe():
    tokens = next_token(tg.tensor([[1e30, -1e30], [-1e30, 1e30]]), top_p=0.9)
    np.testing.assert_array_equal(tokens.array, [0, 1])


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0; do_sample=False is greedy"),
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"temperature": math.nan}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1, not 0; None keeps every token"),
        ({"top_k": -1}, "top_k must be at least 1"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], not 0.0; None keeps every token"),
        ({"top_p": 1.1}, r"top_p must be in \(0, 1\]"),
        ({"top_p": math.nan}, r"top_p must be in \(0, 1\]"),
    ],
)
def test_settings_that_make_no_sense(options, complaint):
    with pytest.raises(ValueError, match=complaint):
        next_token(tg.tensor(np.log(P)), **options)
