"""examples/text_to_digit.py: its captions say what is true of the images and leave out what it is
asked about later, it runs, and its measure tells a model that reads from one that does not."""

import numpy as np
import pytest
import text_to_digit

import tinygen as tg
from tinygen.data import digits


@pytest.fixture
def example(monkeypatch):
    for name, value in {"BATCH": 256, "WIDTH": 8, "BLOCKS": 1, "HEADS": 2, "SAMPLER_STEPS": 2,
                        "SAMPLES": 1}.items():  # fmt: skip
        monkeypatch.setattr(text_to_digit, name, value)
    return text_to_digit


# ---- Captions ------------------------------------------------------------------------------------


def test_captions_are_about_their_image(example):
    images, labels = digits("train")
    ink = images.numpy().mean((1, 2, 3))
    batches, words = example.Captioned(images, labels), example.TOKENIZER
    place = {image.tobytes(): at for at, image in enumerate(2 * images.array - 1)}
    for _ in range(2):
        batch, tokens = batches()
        assert batch.shape == (256, 1, 8, 8) and batch.array.min() == -1 and batch.array.max() == 1
        for image, row in zip(batch, tokens.array):
            caption = set(words.decode(row[row < words.vocab_size]).split())
            at = place[image.array.tobytes()]
            label = labels[at].item()
            named = caption & {*example.NAMES, *"0123456789"}
            assert named <= {example.NAMES[label], str(label)}
            assert not caption & {("odd", "even")[label % 2]}
            if inked := caption & {"bold", "thin"}:
                below = (ink[labels.array == label] < ink[at]).mean()
                assert below >= 0.63 if inked == {"bold"} else below <= 0.34


def test_what_is_asked_was_in_no_caption_but_its_words_were(example):
    seen = {caption for kind in example.KINDS for caption in example.captions_of(*kind)}
    phrases, pairs, _ = example.questions()
    assert len(phrases) == 16 * 3 * 2 and len(pairs) == 4 * 8 * 2
    for caption, label, ink in phrases + pairs:
        assert caption not in seen
        example.TOKENIZER.encode(caption)
        assert ink in caption and {example.NAMES[label], str(label)} & set(caption.split())
    for ink, label in example.NEW_PAIRS:
        for name in (example.NAMES[label], str(label)):
            assert not any({ink, name} <= set(caption.split()) for caption in seen)
            assert any(name in caption.split() for caption in seen)


# ---- Runs ----------------------------------------------------------------------------------------


def test_a_run_too_short_to_learn_says_so_and_text_takes_it(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED)
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert example.main(["--text", "Draw a bold three", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "text.png" in out and "loss" not in err  # nothing was trained
    assert (tmp_path / "text.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_words_get_one_sentence(example, tmp_path, capsys):
    assert example.main(["--text", "a purple three", "--out", str(tmp_path)]) == 2
    _, err = capsys.readouterr()
    assert len(err.splitlines()) == 1 and "words of the vocabulary: purple; there are 0," in err
    assert not list(tmp_path.iterdir())


# ---- The measure ---------------------------------------------------------------------------------


class Reader:
    """Draws real digits: what is asked for, or with `deaf` any."""

    def __init__(self, example, deaf=False):
        self.words, self.example, self.deaf = example.TOKENIZER, example, deaf
        self.images, labels = digits("train")
        self.labels = labels.numpy()
        borders = example.borders_of_ink(self.images, labels)
        self.inks = example.thirds_of(self.images, self.labels, borders)
        self.rng = np.random.default_rng(0)

    def sample(self, shape, sampler, steps, condition, guidance):
        return 2 * self.images[[self.pick(row) for row in condition.array]] - 1

    def pick(self, row):
        words = self.words.decode(row[row < self.words.vocab_size]).split()
        fits = np.ones(len(self.labels), bool)
        for word in words if not self.deaf else ():
            for number, name in enumerate(self.example.NAMES):
                if word in (name, str(number)):
                    fits &= self.labels == number
            if word in ("bold", "thin"):
                fits &= self.inks == self.example.INKS.index(word)
            if word in ("even", "odd"):
                fits &= self.labels % 2 == (word == "odd")
        return self.rng.choice(np.flatnonzero(fits))


def test_the_bands_are_met_by_real_digits_and_missed_by_who_cannot_read(example):
    measured = example.measure(Reader(example))
    for what, (low, high) in example.EXPECTED.items():
        assert low <= measured[what] <= high and measured[what] > 0.99
    for what, value in example.measure(Reader(example, deaf=True)).items():
        assert value < example.EXPECTED[what][0]


def test_an_empty_caption_is_no_text(example):
    assert tg.equal(example.tokens_of([""]), tg.tensor([[example.TOKENIZER.vocab_size]]))
