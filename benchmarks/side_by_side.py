"""Time the same work in several engines, taking turns, and print ratios.

Each engine runs in a process of its own, for two thread pools in one process disturb each other;
the processes take turns on every case, for the speed of a machine drifts within minutes. A cases
file has

    def make(engine: str) -> dict[str, Callable]:     # by name of the case, a function to time

and `python benchmarks/side_by_side.py cases.py tinygen,torch` prints, for each case, the median
time in each engine and the median of the ratios of neighbouring turns, torch / tinygen: above 1,
tinygen is the faster one.
"""

import argparse
import json
import math
import re
import runpy
import statistics
import subprocess
import sys
import time

TURN_SECONDS = 0.2  # how long an engine is timed in one turn


def work(cases_file: str, engine: str) -> None:
    """In the engine's process: for each name of a case on standard input, its time in seconds."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a case prints is no answer
    cases = runpy.run_path(cases_file)["make"](engine)
    print(json.dumps(list(cases)), file=answers, flush=True)
    for line in sys.stdin:
        function, times = cases[line.strip()], []
        function()
        end = time.perf_counter() + TURN_SECONDS
        while time.perf_counter() < end or len(times) < 3:
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
        print(statistics.median(times), file=answers, flush=True)


class Engine:
    """A process that times cases on request."""

    def __init__(self, cases_file: str, name: str):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, __file__, cases_file, name, "--work"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer")
        return json.loads(line)

    def time(self, case: str) -> float:
        print(case, file=self.process.stdin, flush=True)
        return self.answer()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", help="the file that defines make(engine)")
    parser.add_argument(
        "engines", help="separated by commas; the first is compared with the others"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.cases, args.engines)
        return
    engines = [Engine(args.cases, name) for name in args.engines.split(",")]
    first, *others = engines
    names, *_ = [engine.answer() for engine in engines]
    names = [name for name in names if re.search(args.only, name)]
    logs = {other.name: [] for other in others}
    for name in names:
        times = [[engine.time(name) for engine in engines] for _ in range(args.rounds)]
        medians = [statistics.median(column) for column in zip(*times)]
        cells = [f"{e.name} {1e3 * t:9.3f} ms" for e, t in zip(engines, medians)]
        for i, other in enumerate(others, 1):
            ratio = statistics.median(turn[i] / turn[0] for turn in times)
            logs[other.name].append(math.log(ratio))
            cells.append(f"{other.name}/{first.name} {ratio:5.2f}")
        print(f"{name:36s} " + "   ".join(cells), flush=True)
    for name, values in logs.items():
        mean = math.exp(statistics.mean(values))
        print(f"geometric mean of {name}/{first.name}: {mean:.2f}")


if __name__ == "__main__":
    main()
