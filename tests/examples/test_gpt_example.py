"""examples/gpt.py as people run it: results, going on after Ctrl-C, a clear line for mistakes."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys

import gpt
import numpy as np
import pytest

import tinygen as tg

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "gpt.py"
SMALL = shlex.split(
    "--n-layer 1 --n-head 2 --n-embd 16 --block-size 8 --batch-size 4 --eval-every 10"
)
TEXT = "".join(f"Line {i} of this text says that {i} squared is {i * i}.\n" for i in range(60))


def start(folder, *arguments, **options) -> subprocess.Popen:
    """The example in a process of its own, in `folder`."""
    paths = os.pathsep.join(p for p in [str(EXAMPLE.parents[1]), *sys.path] if p)
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"}, **options,
    )  # fmt: skip


def run(folder, *arguments) -> tuple[int, str, str]:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture
def example():
    """The example as a module: mistakes in arguments need no process of their own."""
    return gpt


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with text.txt, a run of 20 steps in `first run`, and what the run printed."""
    folder = tmp_path_factory.mktemp("example")
    (folder / "text.txt").write_text(TEXT)
    arguments = ["--text", "text.txt", "--out", "first run", "--steps", "20", "--sample", "50"]
    return folder, *run(folder, *arguments, *SMALL, "--prompt", "Line ")


def is_png(path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


# ---- Runs ----------------------------------------------------------------------------------------


def test_a_run_trains_compares_samples_and_draws(trained):
    folder, status, out, err = trained
    assert status == 0 and "Traceback" not in err and "Warning" not in err, err
    assert f"{len(TEXT):,} characters, {len(set(TEXT))} of them different" in out
    out_folder = folder / "first run"
    names = {"checkpoint.safetensors", "sample.txt", "loss.png", "attention.png"}
    assert set(os.listdir(out_folder)) == names and all(name in out for name in names)
    assert is_png(out_folder / "loss.png") and is_png(out_folder / "attention.png")
    sample = (out_folder / "sample.txt").read_text()
    assert sample.startswith("Line ") and len(sample) == 5 + 50 + 1 and sample in out
    assert set(sample) <= set(TEXT)


def test_the_table_has_nats_and_bits_of_all_models(trained):
    _, _, out, _ = trained
    rows = re.findall(r"^  (\S+) +(\d\.\d{4}) +(\d\.\d{4})$", out, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["unigram", "bigram", "5-gram", "GPT"]
    nats = {name: float(value) for name, value, _ in rows}
    assert nats["unigram"] > nats["bigram"] > nats["5-gram"] > 0.1
    for _, n, b in rows:
        assert abs(float(n) / np.log(2) - float(b)) < 2e-4
    best = min(nats[name] for name in nats if name != "GPT")
    verdict, by, difference = re.search(r"the GPT (\D+) the (\S+): (\S+) nats", out).groups()
    assert verdict == ("beats" if nats["GPT"] < best else "does not beat") and by == "5-gram"
    assert abs(float(difference) - (best - nats["GPT"])) < 2e-4


def test_resuming_goes_on_to_more_steps(trained, tmp_path):
    folder, *_ = trained
    before = tg.load(folder / "first run" / "checkpoint.safetensors")
    out_folder = tmp_path / "run"
    out_folder.mkdir()
    tg.save(before, out_folder / "checkpoint.safetensors")
    # The sizes of the model come from the checkpoint, --steps=30 from here.
    arguments = ["--text", "text.txt", "--out", str(out_folder), "--resume", "--steps=30"]
    status, out, err = run(folder, *arguments)
    assert status == 0, err
    assert "GPT" in out and is_png(out_folder / "loss.png")
    after = tg.load(out_folder / "checkpoint.safetensors")
    assert after["step"] == len(after["losses"]["loss"]) == 30
    np.testing.assert_array_equal(after["losses"]["loss"][:20], before["losses"]["loss"])
    assert [e["step"] for e in after["evaluations"]] == [10, 20, 30]
    assert after["about"]["settings"]["steps"] == 30
    assert after["about"]["settings"]["n_embd"] == 16


def test_ctrl_c_saves_and_tells_the_command_that_goes_on(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    arguments = ["--text", "text.txt", "--out", "a run", "--steps", "400", "--prompt", "Line 1"]
    process = start(tmp_path, *arguments, *SMALL, "--eval-every", "1000")
    shown = ""
    while "loss=" not in shown:
        new = process.stderr.read(1)
        assert new, shown
        shown += new
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    message, command = out.strip().split("\n")[-2:]
    step, file = re.search(r"stopped after step (\d+), saved to (.*); to go on:", message).groups()
    state = tg.load(tmp_path / file)
    assert state["step"] == int(step) < 400

    program, script, *rest = shlex.split(command)
    assert program == "python" and script == str(EXAMPLE) and rest[-1] == "--resume"
    status, out, err = run(tmp_path, *rest)
    assert status == 0, err
    after = tg.load(tmp_path / file)
    assert after["step"] == 400
    np.testing.assert_array_equal(after["losses"]["loss"][: int(step)], state["losses"]["loss"])


def test_ctrl_c_outside_of_training_needs_no_traceback(example, trained, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "run", interrupt)
    assert example.main([]) == 130


# ---- Mistakes ------------------------------------------------------------------------------------


@pytest.fixture
def fails(example, trained, monkeypatch, capsys):
    """Runs the example with these arguments in the trained folder; the one line that it says."""
    monkeypatch.chdir(trained[0])

    def call(arguments: str) -> str:
        argv = [*SMALL, "--text", "text.txt", "--out", "other", *shlex.split(arguments)]
        monkeypatch.setattr(sys, "argv", ["gpt.py", *argv])
        try:
            status = example.main(argv)
        except SystemExit as error:  # argparse
            status = error.code
        out, err = capsys.readouterr()
        assert status == 2 and "Traceback" not in err
        assert "characters" not in out  # nothing was trained
        lines = [line for line in err.splitlines() if line and not line.startswith(("usage", " "))]
        assert len(lines) == 1 and lines[0].startswith("gpt.py: ")
        return lines[0]

    return call


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--text missing.txt", "there is no text file missing.txt"),
        ("--text .", ". is a folder; give the path of a text file in it"),
        ("--prompt Ωmega", r"the character 'Ω' \(U\+03A9\) at position 0 is not among the"),
        ("--n-embd 15", r"n_embd \(15\) must be a multiple of n_head \(2\)"),
        ("--n-head 3", r"n_embd \(16\) must be a multiple of n_head \(3\)"),
        ("--n-embd 0", "argument --n-embd: '0' is not a whole number above 0"),
        ("--n-layer two", "argument --n-layer: 'two' is not a whole number above 0"),
        ("--steps -1", "argument --steps: '-1' is not a whole number above 0"),
        ("--temperature 0", "argument --temperature: '0' is not a number above 0"),
        ("--temperature nan", "argument --temperature: 'nan' is not a number above 0"),
        ("--dropout 2", "dropout probability has to be between 0 and 1"),
        ("--lr -1", "Invalid learning rate: -1.0"),
        ("--block-size 500", "too few for --block-size 500, which needs 5,010"),
        ("--resume", "No such file or directory: .*checkpoint.safetensors"),
        ("--out text.txt", "File exists: 'text.txt'"),
        ("--out text.txt/run", "Not a directory: 'text.txt/run'"),
        ("--sise 3", "unrecognized arguments: --sise 3"),
    ],
)
def test_mistakes_get_one_line_before_anything_is_trained(fails, arguments, complaint):
    assert re.search(complaint, fails(arguments))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "bad.txt is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "bad.txt is not a UTF-8 text"),
        (b"text\0more", "bad.txt is not a text: it has a NUL at character 4"),
        (b"a", "of 1 tokens leaves one part empty"),
        (b"Line 1", "the text has 6 characters, .* too few for --block-size 8, which needs 90"),
    ],
)
def test_texts_that_are_none(fails, content, complaint):
    pathlib.Path("bad.txt").write_bytes(content)
    assert re.search(complaint, fails("--text bad.txt"))


def test_resuming_with_another_text(fails):
    pathlib.Path("other.txt").write_text(TEXT.replace("text", "poem"))
    complaint = "the checkpoint in first run was trained on another text; give the same --text"
    assert complaint in fails("--resume --text other.txt --out 'first run'")


@pytest.mark.parametrize("kind", ["truncated", "empty", "state_dict", "another trainer's"])
def test_resuming_from_a_damaged_or_foreign_checkpoint(fails, kind):
    os.makedirs("damaged", exist_ok=True)
    whole = pathlib.Path("first run/checkpoint.safetensors")
    path, state = pathlib.Path("damaged", whole.name), tg.load(whole)
    if kind == "truncated":
        path.write_bytes(whole.read_bytes()[:-50])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "state_dict":
        tg.save(state["model"], path)
    else:
        tg.save({**state, "about": {}}, path)
    complaint = {
        "state_dict": "the checkpoint in damaged is not one of gpt.py",
        "another trainer's": "the checkpoint in damaged is not one of gpt.py",
    }.get(kind, "cannot load damaged/checkpoint.safetensors: not a safetensors file")
    assert complaint in fails("--resume --out damaged")


def test_a_mistake_in_a_process_of_its_own(trained):
    status, out, err = run(trained[0], "--text", "missing.txt")
    assert (status, out, err) == (2, "", "gpt.py: there is no text file missing.txt\n")


def test_help_lists_what_can_be_set(example, capsys):
    with pytest.raises(SystemExit) as caught:
        example.main(["--help"])
    out, _ = capsys.readouterr()
    assert caught.value.code == 0
    for option in ("--text", "--out", "--resume", "--steps", "--prompt", "--n-layer", "--dropout"):
        assert option in out
    assert "None" not in out  # every default is one that means something


# ---- Its measure of a model ----------------------------------------------------------------------


@pytest.mark.parametrize("skip", [0, 2, 4])
def test_the_validation_loss_counts_each_character_once(example, skip):
    """Of a text without repetitions, and a model that always says the same: the loss of a character
    is then that of its place."""
    ids, says = np.arange(61), tg.randn(61, dtype=tg.float64)
    losses = np.log(np.exp(says.array).sum()) - says.array
    windows = []

    class Model:
        config = type("Config", (), {"block_size": 8})

        def eval(self):
            pass

        def __call__(self, idx):
            windows.extend(idx.array.tolist())
            return says.expand(*idx.shape, 61), None

    found = example.validation_loss(Model(), ids, skip=skip)
    assert all(window == list(range(window[0], window[0] + 8)) for window in windows)
    last = windows[-1][-1] + 1  # what the last window predicts last
    assert last > 61 - 8
    np.testing.assert_allclose(found, losses[skip + 1 : last + 1].mean(), rtol=1e-12)

    windows.clear()
    few = example.validation_loss(Model(), ids, windows=3)
    assert [window[0] for window in windows] == [0, 24, 48]  # spread over the text
    predicted = np.concatenate([losses[start + 1 : start + 9] for start in (0, 24, 48)])
    np.testing.assert_allclose(few, predicted.mean(), rtol=1e-12)
