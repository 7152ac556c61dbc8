"""What the examples share: their arguments, one line for a mistake, and the band of a result."""

import argparse
import sys

import common
import pytest


def parse(*argv):
    made = common.parser("What it does.\n\nAnd how.", "thing", steps=7)
    common.add_mnist(made)
    return made.parse_args(argv)


def test_the_arguments_of_all():
    assert vars(parse()) == {"seed": 0, "steps": 7, "out": "runs/thing", "mnist": False}
    found = vars(parse("--seed", "3", "--steps", "9", "--out", "x", "--mnist"))
    assert found == {"seed": 3, "steps": 9, "out": "x", "mnist": True}


def test_help_shows_the_first_line_and_the_defaults(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    out = capsys.readouterr().out
    assert "What it does." in out and "And how" not in out and "runs/thing" in out


@pytest.mark.parametrize(
    ("kind", "good", "bad", "complaint"),
    [
        (common.positive, "3", ("0", "-1", "2.5", "x"), "is not a whole number above 0"),
        (common.not_negative, "0", ("-1", "x", ""), "is not a whole number from 0 on"),
        (common.above_0, "0.5", ("0", "-1", "nan", "x"), "is not a number above 0"),
    ],
)
def test_types_of_arguments(kind, good, bad, complaint):
    assert kind(good) == float(good)
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"{text!r} {complaint}"):
            kind(text)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no such digit"), 2),
        (FileNotFoundError("no such digit"), 2),
        (FloatingPointError("no such digit"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_mistake_gets_one_line(error, status, tmp_path, monkeypatch, capsys):
    def run(args):
        raise error

    monkeypatch.setattr(sys, "argv", ["folder/thing.py"])
    assert common.run_example(run, parse("--out", str(tmp_path / "new"))) == status
    assert (tmp_path / "new").is_dir()
    err = capsys.readouterr().err
    assert err == ("thing.py: no such digit\n" if status == 2 else "")


def test_a_mistake_in_the_code_keeps_its_traceback(tmp_path):
    def run(args):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        common.run_example(run, parse("--out", str(tmp_path)))


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert common.run_example(lambda args: 0, parse("--out", str(tmp_path / "file" / "x"))) == 2
    assert "Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize(("measured", "status"), [(1.0, 0), (1.23456, 0), (2.1, 1), (0.9, 1)])
def test_the_band(measured, status, capsys):
    assert common.report_band("its loss", measured, 1.0, 2.0, "nats") == status
    line = " ".join(capsys.readouterr().out.split())
    mark = " <-- outside" if status else ""
    assert line == f"its loss expected: 1 to 2 measured: {measured:.4g} nats{mark}"


def test_nothing_that_is_not_a_number_is_inside(capsys):
    assert common.report_band("its loss", float("nan"), 1.0, 2.0) == 1
