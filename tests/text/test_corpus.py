"""Corpora: files that are texts and files that are not, the split, and the random windows."""

import numpy as np
import pytest

from tinygen.autograd.random import Generator, manual_seed
from tinygen.autograd.tensor import Tensor
from tinygen.serialization import load, save
from tinygen.text import RandomWindows, python_docs_text, read_text, train_val_split

# ---- Texts ---------------------------------------------------------------------------------------


def test_read_text_gives_characters_without_bom_and_with_plain_line_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffGrüße\r\n🙂\n".encode())
    assert read_text(tmp_path / "a.txt") == "Grüße\n🙂\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "a is empty"),
        (b"caf\xe9", r"a is not a UTF-8 text \(byte 3\)"),
        ("text".encode("utf-16"), "a is not a UTF-8 text"),
        (b"text\0more", "it has a NUL at character 4"),
    ],
)
def test_read_text_refuses_what_is_no_text(tmp_path, content, complaint):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=complaint) as caught:
        read_text(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_read_text_refuses_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no text file .*missing"):
        read_text(tmp_path / "missing")
    with pytest.raises(ValueError, match="is a folder"):
        read_text(tmp_path)


def test_python_docs_text_is_half_a_megabyte_and_always_the_same():
    text = python_docs_text()
    assert 400_000 < len(text) < 900_000
    assert text == python_docs_text()
    assert text.index('The "assert" statement') < text.index('The "with" statement')
    assert len(set(text)) < 200


# ---- The split -----------------------------------------------------------------------------------


def test_the_last_part_is_for_validation():
    train, val = train_val_split(np.arange(100))
    np.testing.assert_array_equal(train, np.arange(90))
    np.testing.assert_array_equal(val, np.arange(90, 100))
    assert train_val_split("abcd", 0.5) == ("ab", "cd")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_split_with_an_empty_part_is_refused(fraction):
    with pytest.raises(ValueError, match="choose it between 0 and 1"):
        train_val_split(list(range(10)), fraction)


def test_a_text_too_short_to_split_is_refused():
    with pytest.raises(ValueError, match="leaves one part empty"):
        train_val_split([1], 0.1)


# ---- Random windows ------------------------------------------------------------------------------


def test_y_is_what_follows_x():
    ids = np.random.default_rng(0).permutation(50).astype(np.uint8)  # all different: a place each
    x, y = next(RandomWindows(ids, block_size=7, batch_size=5, generator=Generator(1)))
    assert x.shape == y.shape == (5, 7)
    assert x.dtype == y.dtype == np.int64
    assert x.flags.c_contiguous and y.flags.c_contiguous
    places = np.argsort(ids)
    np.testing.assert_array_equal(places[y], places[x] + 1)
    np.testing.assert_array_equal(places[x], places[x[:, :1]] + np.arange(7))


def test_every_window_is_drawn_the_last_one_too():
    x, y = next(
        RandomWindows(list(range(10)), block_size=4, batch_size=2000, generator=Generator(0))
    )
    starts, counts = np.unique(x[:, 0], return_counts=True)
    np.testing.assert_array_equal(starts, np.arange(6))
    assert y.max() == 9
    assert counts.min() > 250  # of 333 expected, with a standard deviation of 17


def test_a_resumed_run_draws_the_same_batches(tmp_path):
    ids = np.arange(100)
    windows = RandomWindows(ids, 8, 4, Generator(3))
    next(windows)
    save(windows.state_dict(), tmp_path / "sampler.safetensors")
    expected = [next(windows) for _ in range(3)]
    resumed = RandomWindows(Tensor(ids), 8, 4, Generator(99))
    resumed.load_state_dict(load(tmp_path / "sampler.safetensors"))
    for (x, y), (resumed_x, resumed_y) in zip(expected, resumed):
        np.testing.assert_array_equal(resumed_x, x)
        np.testing.assert_array_equal(resumed_y, y)


def test_without_a_generator_the_default_one_is_seeded():
    draws = []
    for _ in range(2):
        manual_seed(5)
        draws.append(next(RandomWindows(range(100), 8, 4))[0])
    np.testing.assert_array_equal(*draws)


def test_a_text_needs_one_character_more_than_a_block():
    x, y = next(RandomWindows([5, 6, 7], block_size=2, batch_size=1))
    assert (x.tolist(), y.tolist()) == ([[5, 6]], [[6, 7]])
    with pytest.raises(ValueError, match=r"2 characters .* too short .* needs at least 3"):
        RandomWindows([5, 6], block_size=2, batch_size=1)
    with pytest.raises(ValueError, match="at least 1, got block_size=0"):
        RandomWindows([5, 6], block_size=0, batch_size=1)
