"""The examples of flows: they run, draw, and report what they measure against their bands."""

import math

import flow_1d
import flow_2d
import flow_digits
import numpy as np
import pytest

import tinygen as tg

QUICK = {flow_1d: [], flow_2d: ["--data", "two_moons"], flow_digits: []}


@pytest.mark.parametrize("example", QUICK, ids=lambda module: module.__name__)
def test_a_run_draws_and_says_that_a_few_steps_are_too_few(example, tmp_path, capsys):
    status = example.main(["--steps", "2", "--out", str(tmp_path), *QUICK[example]])
    out, err = capsys.readouterr()
    assert status == 1 and "expected: " in out and "<-- outside" in out
    assert (tmp_path / f"{example.__name__}.png").read_bytes().startswith(b"\x89PNG")
    assert "2/2" in err  # the progress bar


def test_within_the_band_the_exit_code_is_0(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(flow_1d, "EXPECTED", (0.0, 1.0))
    assert flow_1d.main(["--steps", "2", "--out", str(tmp_path)]) == 0
    assert "outside" not in capsys.readouterr().out


def test_data_without_a_band_say_so(tmp_path, capsys):
    assert flow_2d.main(["--data", "ring", "--steps", "1", "--out", str(tmp_path)]) == 0
    assert "no band was measured" in capsys.readouterr().out


def test_unknown_data_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        flow_2d.main(["--data", "three_moons", "--out", str(tmp_path)])
    assert caught.value.code == 2 and "two_moons" in capsys.readouterr().err


def test_the_divergence_of_a_normal_is_the_known_one():
    """A flow that only standardises is the normal of the same mean and variance."""
    flow = flow_1d.make_flow()
    flow.log_prob(flow_1d.truth().sample((400_000, 1)))  # actnorm sets mean and variance
    assert flow_1d.divergence(flow.eval()) == pytest.approx(0.3641, abs=2e-3)


def test_a_uniform_density_has_the_bits_of_a_guess():
    class Guess:
        def log_prob(self, x):
            assert (x.array >= 0).all() and (x.array < 1).all()
            return tg.zeros(len(x))

    assert flow_digits.bits(Guess(), tg.rand(5, 1, 8, 8).round(), 17) == pytest.approx(
        math.log2(17)
    )


def test_images_are_of_the_size_that_the_flow_takes():
    assert flow_digits.load(False, "test").shape == (179, *flow_digits.SIZES[False][0])
    images = flow_digits.load(False, "train").array
    assert np.array_equal(np.round(images * 16), images * 16)  # 17 levels
