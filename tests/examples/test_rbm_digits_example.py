"""examples/rbm_digits.py runs, draws, and says whether its machines learned what they should."""

import pytest
import rbm_digits


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(rbm_digits, "HIDDEN", 6)
    return rbm_digits


def test_a_run_too_short_to_learn_says_so_with_its_exit_code(example, tmp_path, capsys, outside):
    assert example.main(["--steps", "2", "--out", str(tmp_path)]) == 1
    assert outside(capsys.readouterr().out, example.EXPECTED) == list(example.EXPECTED)[:3]
    assert (tmp_path / "rbm_digits.png").read_bytes().startswith(b"\x89PNG")


def test_the_digits_are_bits_of_two_parts(example):
    train, test = example.bits("train"), example.bits("test")
    assert (train.shape, test.shape) == ((1618, 64), (179, 64))
    assert set(train.array.ravel()) == {0.0, 1.0}
