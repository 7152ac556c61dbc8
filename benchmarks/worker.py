"""The process in which one engine does its work: it answers one line for each line it is sent.

    python -m benchmarks.worker SUITE ENGINE THREADS

The first answer is the list of cases; then `check CASE` asks for what the case computes, `time
CASE` for its median time, `peak CASE` for the memory it took. Answers are JSON: {"is": ...}, or
{"error": a sentence}.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import resource
import runpy
import statistics
import sys
import time

import numpy as np

TURN_SECONDS = 0.2  # how long an engine is timed in one turn
FIRST_CALLS = 5  # of a case; what they return must agree between engines
ENGINES = {"tinygen": "tinygen", "torch": "torch", "torch.compile": "torch", "jax": "jax",
           "numpy": "numpy", "torchsde": "torchsde", "diffrax": "diffrax"}  # fmt: skip
ON_JAX = ("jax", "diffrax")
USUAL = ("tinygen", "torch")  # the engines of a cases file that does not say which it has


def load(suite: str) -> dict:
    """What a cases file defines; a suite is a module of this package, or the path of a file."""
    if suite.endswith(".py"):
        return runpy.run_path(suite)
    return vars(importlib.import_module(f"benchmarks.{suite}"))


def make_cases(suite: str, engine: str, threads: int) -> dict:
    package = ENGINES[engine]
    if importlib.util.find_spec(package) is None:
        raise LookupError(f"{package} is not installed")
    if engine in ON_JAX:  # it takes as many threads as there are cores
        with contextlib.suppress(AttributeError):  # where cores cannot be chosen
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    elif engine != "numpy":  # whose loops have one thread
        importlib.import_module("torch" if engine == "torchsde" else package).set_num_threads(
            threads
        )
    cases = load(suite)
    if engine not in cases.get("ENGINES", USUAL):
        raise LookupError(f"{suite} has no cases for it")
    return cases["make"](engine)


def first_values(function) -> list[float]:
    """What the first calls return: their numbers; of an array its mean and its spread."""
    numbers = []
    for _ in range(FIRST_CALLS):
        value = function()
        if value is not None:
            value = np.asarray(value.detach() if hasattr(value, "detach") else value, np.float64)
            numbers += value.ravel().tolist() if value.size < 4 else [value.mean(), value.std()]
    return numbers


def median_seconds(function) -> float:
    function()
    times, end = [], time.perf_counter() + TURN_SECONDS
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peak_bytes(function) -> int:
    """By how much calling `function` raised the most memory that this process ever had."""
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(FIRST_CALLS):
        function()
    return unit * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


ACTIONS = {"check": first_values, "time": median_seconds, "peak": peak_bytes}


def main(suite: str, engine: str, threads: str) -> None:
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what a case prints is no answer

        def answer(action) -> None:
            try:
                reply = {"is": action()}
            except Exception as error:
                lines = str(error).strip().splitlines() or [""]
                kind = "" if isinstance(error, LookupError) else f"{type(error).__name__}: "
                reply = {"error": kind + lines[0]}
            print(json.dumps(reply), file=answers, flush=True)

        cases: dict = {}
        answer(lambda: cases.update(make_cases(suite, engine, int(threads))) or list(cases))
        for line in sys.stdin:
            verb, _, name = line.strip().partition(" ")
            answer(lambda: ACTIONS[verb](cases[name]))  # noqa: B023 (called before the next line)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
