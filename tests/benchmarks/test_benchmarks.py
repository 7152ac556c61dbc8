"""The benchmark command: it compares the same work, and writes what it measured."""

import math
import pathlib
import sys

import pytest

sys.path.append(str(pathlib.Path(__file__).parent.parent.parent))

from benchmarks import __main__ as command
from benchmarks import report, runner, steps
from benchmarks.steps import flow, gpt
from benchmarks.steps.in_torch import training_step

CASES = """
import numpy as np

def make(engine):
    value = {"tinygen": 1.0, "torch": %s}[engine]
    return {"one": lambda: value, "an array": lambda: np.full(9, value), "none": lambda: None}
"""


@pytest.fixture
def cases(tmp_path):
    def write(other):
        path = tmp_path / "cases.py"
        path.write_text(CASES % other)
        return str(path)

    return write


def measure(path, only=""):
    pytest.importorskip("torch")
    return list(runner.run(path, ["tinygen", "torch"], only, rounds=2, threads=1))


def test_times_and_ratios(cases):
    results = measure(cases(1.00001))
    assert [r.case for r in results] == ["one", "an array", "none"]
    assert all(r.values.keys() == {"tinygen", "torch"} and r.ratios["torch"] > 0 for r in results)
    assert [r.case for r in measure(cases(1.0), only="arr")] == ["an array"]


@pytest.mark.parametrize("case", ["one", "an array"])
@pytest.mark.parametrize("other", ["1.001", "float('nan')"])
def test_different_work_is_not_compared(cases, case, other):
    with pytest.raises(SystemExit, match="torch computes something else"):
        measure(cases(other), case)


def test_an_engine_that_cannot_is_left_out(cases, capsys):
    path = cases("1 / 0 if engine == 'torch' else 1.0")
    (result,) = runner.run(path, ["tinygen", "torch"], "^one$", rounds=1, threads=1)
    assert result.values.keys() == {"tinygen"}
    assert "without torch" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, sentence", [
    (["nonsense"], "no suite nonsense"), (["nowhere.py"], "no file nowhere.py"),
    (["--engines", "theano"], "no engine theano"), (["--rounds", "0"], "at least 1"),
])  # fmt: skip
def test_mistakes_get_a_sentence(monkeypatch, capsys, arguments, sentence):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit):
        command.main()
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("task", [gpt.Task(1, 2, 16, 8, 2), flow.Task()])
def test_a_step_learns_and_can_be_repeated(task):
    runs = []
    for _ in range(2):
        step = training_step(task, "tinygen")
        runs.append([step()[0] for _ in range(9)])
    assert runs[0] == runs[1]
    assert runs[0][-1] < runs[0][0] and all(math.isfinite(loss) for loss in runs[0])


def test_every_step_has_a_loss_for_jax():
    for build in steps.STEPS.values():
        task = build()
        assert all(callable(getattr(task, f"jax_{name}")) for name in task.losses.values())


def test_the_page(tmp_path, monkeypatch):
    for name in ("RESULTS", "PAGE", "PLOT"):
        monkeypatch.setattr(report, name, tmp_path / getattr(report, name).name)
    gpt_result = runner.Result("steps", "GPT", {"tinygen": 0.01, "torch": 0.02}, {"torch": 0.5})
    vae_result = runner.Result("steps", "VAE", {"tinygen": 0.02, "torch": 0.01}, {"torch": 2.0})
    report.write([gpt_result], 2)
    report.write([vae_result], 2)  # beside what was there
    page = report.PAGE.read_text()
    assert "| Training steps | torch | ≤ 0.75 | 1.00 (missed) |" in page
    assert "| GPT | 10 | 0.50 |" in page and "| VAE | 20 | 2.00 |" in page
    assert report.PLOT.stat().st_size > 1000


def test_slopes():
    results = [runner.Result("scaling", f"matmul, {n}", {"tinygen": 1e-9 * n**3, "torch": n**2})
               for n in (64, 128, 256)]  # fmt: skip
    found = report.slopes(results)["matmul"]
    assert found == pytest.approx({"tinygen": 3, "torch": 2})
