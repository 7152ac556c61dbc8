"""Time the same work in several engines, and print how long tinygen takes beside the others.

python -m benchmarks                     everything that is on the page docs/benchmarks.md
python -m benchmarks steps --only GAN    one suite, and of it the cases whose names match
python -m benchmarks 'gemm|attention'    suites whose names match
python -m benchmarks my_cases.py         a file of your own that defines make(engine)
"""

import argparse
import os
import re
from pathlib import Path

from . import report, runner
from .worker import ENGINES, USUAL, load

SUITES = list(dict.fromkeys(section.suite for section in report.SECTIONS))
OF_TINYGEN = ["climb"]  # that are of interest for themselves, and run when they are named


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="name",
                        help=f"regex of {', '.join(available())}; or a file")  # fmt: skip
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    parser.add_argument("--engines", help=f"of {','.join(ENGINES)}; default: all of a suite")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each engine (9)")
    parser.add_argument("--threads", type=int, default=2, help="of every engine (2)")
    parser.add_argument("--write", action="store_true", help="bring docs/benchmarks.md up to date")
    args = parser.parse_args()
    engines = args.engines.split(",") if args.engines else []
    if unknown := set(engines) - set(ENGINES):
        parser.error(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(ENGINES)}")
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    results = []
    for suite in chosen(args.names, parser):
        results += measure(suite, engines or engines_of(suite), args)
        if args.write and not suite.endswith(".py"):
            report.write([r for r in results if r.suite == suite], args.threads)


def available() -> list[str]:
    """The suites that this package has."""
    here = Path(__file__).parent
    own = [name for name in SUITES + OF_TINYGEN
           if (here / f"{name}.py").exists() or (here / name).is_dir()]  # fmt: skip
    return [*own, "memory"]


def chosen(names: list[str], parser) -> list[str]:
    suites = [suite for suite in available() if suite not in OF_TINYGEN] if not names else []
    for name in names:
        if name.endswith(".py"):
            if not os.path.exists(name):
                parser.error(f"there is no file {name}")
            suites.append(os.path.abspath(name))
            continue
        matching = [suite for suite in available() if re.fullmatch(name, suite)]
        if not matching:
            parser.error(f"no suite {name}; there are {', '.join(available())}")
        suites += matching
    return suites


def engines_of(suite: str) -> list[str]:
    """Those that a suite has cases for."""
    return list(load("steps" if suite == "memory" else suite).get("ENGINES", USUAL))


def measure(suite: str, engines: list[str], args) -> list[runner.Result]:
    """Measure the cases of one suite, and print each at once, and their geometric mean."""
    print(f"\n{suite}" + (f", cases that match {args.only}" if args.only else ""), flush=True)
    if suite == "memory":
        found = runner.run_memory(engines, args.only, args.rounds, args.threads)
    else:
        found = runner.run(suite, engines, args.only, args.rounds, args.threads)
    results = []
    for result in found:
        results.append(result)
        print(report.line(result, "MB" if suite == "memory" else "ms"), flush=True)
    for name, mean in report.means(results).items():
        print(f"geometric mean of tinygen ÷ {name}: {mean:.2f}")
    if suite == "scaling":
        for what, found in report.slopes(results).items():
            powers = ", ".join(f"{slope:.2f} ({name})" for name, slope in found.items())
            print(f"{what}: time grows as size to the power of {powers}")
    return results


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("\nstopped") from None
