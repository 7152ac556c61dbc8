"""Each engine in a process of its own, in turns.

Two thread pools in one process disturb each other, so each engine has its own process; the speed of
a machine drifts within minutes, so the processes take turns on every case, and what counts is the
median of the ratios of neighbouring turns. Before a case is timed, all engines must have computed
the same: a benchmark that compares different work is worthless.
"""

import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TOLERANCE = 1e-4  # relative, between what two engines compute in float32 over the first steps


@dataclass
class Result:
    """One case: for each engine the median of its times in seconds (or of its bytes), and the
    median of tinygen's divided by it in the same turn."""

    suite: str
    case: str
    values: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)


class Engine:
    """A process that works on request (see `worker`)."""

    def __init__(self, suite: str, name: str, threads: int):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", suite, name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip

    def answer(self):
        """The answer; raises RuntimeError with the sentence that the engine says instead."""
        line = self.process.stdout.readline()
        reply = json.loads(line) if line else {"error": "ended without an answer"}
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["is"]

    def ask(self, request: str):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def start(suite: str, engines: list[str], threads: int) -> tuple[list[Engine], list[str]]:
    """The engines that have this suite, and the names of its cases. Says why one is left out."""
    started, names = [], []
    for name in engines:
        engine = Engine(suite, name, threads)
        try:
            names = engine.answer() if not started else (engine.answer(), names)[1]
            started.append(engine)
        except RuntimeError as error:
            print(f"{suite}: without {name}: {error}", flush=True)
            engine.close()
    return started, names


def agreeing(case: str, engines: list[Engine]) -> list[Engine]:
    """The engines that can compute this case. Raises SystemExit if they do not compute the same."""
    able, expected = [], None
    for engine in engines:
        try:
            values = engine.ask(f"check {case}")
        except RuntimeError as error:
            print(f"{case}: without {engine.name}: {error}", flush=True)
            continue
        expected = values if expected is None else expected
        if not close(values, expected):
            raise SystemExit(f"{case}: {engine.name} computes something else: "
                             f"{values}, not {expected} as {able[0].name}")  # fmt: skip
        able.append(engine)
    return able


def close(values: list[float], expected: list[float]) -> bool:
    return len(values) == len(expected) and all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in zip(values, expected)
    )


def run(suite: str, engines: list[str], only: str, rounds: int, threads: int) -> Iterator[Result]:
    """Time the cases of a suite whose names match."""
    started, names = start(suite, engines, threads)
    try:
        for case in names:
            if re.search(only, case):
                able = agreeing(case, started)
                if not able:
                    continue
                turns = [{e.name: e.ask(f"time {case}") for e in able} for _ in range(rounds)]
                yield summary(suite, case, turns)
    finally:
        for engine in started:
            engine.close()


def run_memory(engines: list[str], only: str, rounds: int, threads: int) -> Iterator[Result]:
    """The peak of memory of training steps: each case in a fresh process, for peaks never fall."""
    started, names = start("steps", engines[:1], threads)
    started[0].close()
    for case in names:
        if re.search(only, case):
            turns = [peaks(case, engines, threads) for _ in range(min(rounds, 3))]
            yield summary("memory", case, turns)


def peaks(case: str, engines: list[str], threads: int) -> dict[str, float]:
    found = {}
    for name in engines:
        engine = Engine("steps", name, threads)
        try:
            engine.answer()
            found[name] = engine.ask(f"peak {case}")
        except RuntimeError as error:
            print(f"{case}: without {name}: {error}", flush=True)
        engine.close()
    return found


def summary(suite: str, case: str, turns: list[dict[str, float]]) -> Result:
    result = Result(suite, case)
    for name in turns[0]:
        result.values[name] = statistics.median(turn[name] for turn in turns)
        if name != "tinygen" and "tinygen" in turns[0]:
            result.ratios[name] = statistics.median(turn["tinygen"] / turn[name] for turn in turns)
    return result
