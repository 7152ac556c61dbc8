"""`python -m tinygen`: warmup compiles all that training needs, and mistakes get a sentence."""

import importlib
import os
import pathlib
import pkgutil
import signal
import subprocess
import sys
import time

import pytest

import tinygen.kernels
from tinygen.__main__ import main
from tinygen.kernels import jit

ROOT = pathlib.Path(__file__).parent.parent
needs_compiler = pytest.mark.skipif(not jit.ENABLED, reason="TINYGEN_JIT=0")


@pytest.fixture(scope="module")
def warm():
    from tinygen.warmup import EXAMPLES, run

    for name in EXAMPLES:
        run(name)


def kernels_that_python_calls():
    """By name: those with threads, or a type of their own. Others are parts of these."""
    for module in pkgutil.iter_modules(tinygen.kernels.__path__):
        for name, value in vars(importlib.import_module(f"tinygen.kernels.{module.name}")).items():
            if getattr(value, "targetoptions", {}).get("parallel"):
                yield f"{module.name}.{name}", value


@needs_compiler
def test_examples_reach_every_kernel(warm):
    missed = [name for name, kernel in kernels_that_python_calls() if not kernel.overloads]
    assert not missed, "no example in tinygen/warmup.py reaches these"


@needs_compiler
@pytest.mark.parametrize(
    "name", ["GPT, 4 × 128 × 64 × 12", "VAE", "GAN", "flow", "diffusion", "U-Net"]
)
def test_training_compiles_nothing_after_warmup(warm, monkeypatch, name):
    monkeypatch.syspath_prepend(str(ROOT))
    steps = importlib.import_module("benchmarks.steps")
    step = steps.make("tinygen")[name]
    before = list(jit.prepared)
    step()
    assert jit.prepared == before


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "tinygen", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=300, **options,
    )  # fmt: skip


def test_help(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert "warmup" in printed and "info" in printed


def test_unknown_command():
    done = run("wramup")
    assert done.returncode == 2
    assert "invalid choice: 'wramup'" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("compiler", ["0", "1"])
def test_info(compiler):
    done = run("info", env={**os.environ, "TINYGEN_JIT": compiler, "TINYGEN_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
    assert "threads        2\n" in done.stdout and "numba" in done.stdout


def test_nothing_to_compile():
    done = run("warmup", env={**os.environ, "TINYGEN_JIT": "0"})
    assert done.returncode == 0 and "nothing to compile" in done.stdout


@needs_compiler
@pytest.mark.slow
def test_warmup_from_a_full_cache(warm):
    done = run("warmup")
    assert done.returncode == 0, done.stderr
    assert "100%" in done.stderr and "all kernels are in" in done.stdout


@needs_compiler
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups")
def test_interrupted_warmup(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "tinygen", "warmup"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TINYGEN_CACHE": str(tmp_path)}, start_new_session=True,
    )  # fmt: skip
    while not list(tmp_path.glob("*/*/*.nbc")) and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in said and "Traceback" not in said
    for _ in range(50):  # nobody is left behind
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a process goes on")
    kept = [path.name for path in tmp_path.glob("*/*/*.nbc")]
    assert kept
    assert not [path for path in tmp_path.glob("*/*/*") if path.suffix not in (".nbi", ".nbc")]
