"""What all examples share: their arguments, one line for a mistake, and the band of a result."""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress


def parser(description: str | None, out: str, steps: int) -> argparse.ArgumentParser:
    """A parser with --seed, --steps and --out; the example adds its own to it.

    description: usually the module's docstring, of which the first line is shown.
    """
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    add = made.add_argument
    add("--seed", type=not_negative, default=0, help="of all random numbers (%(default)s)")
    add("--steps", type=positive, default=steps, help=f"of training ({steps})")
    add("--out", metavar="DIR", default=f"runs/{out}", help="where results go (%(default)s)")
    return made


def add_mnist(made: argparse.ArgumentParser) -> None:
    """Add --mnist to an example on the 8×8 digits that come with scikit-learn."""
    made.add_argument(
        "--mnist", action="store_true", help="28×28 digits of MNIST instead of 8×8; takes longer"
    )


# ---- Types of arguments --------------------------------------------------------------------------


def positive(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def not_negative(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def above_0(text: str) -> float:
    with suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


# ---- Running -------------------------------------------------------------------------------------


def run_example(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """The exit code of `run(args)`; a user's mistake gets one line and 2, Ctrl-C gets 130."""
    try:
        os.makedirs(args.out, exist_ok=True)
        tempfile.TemporaryFile(dir=args.out).close()  # if that fails, better now than at the end
        return run(args)
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # one that training didn't catch
        return 130


def report_band(name: str, measured: float, low: float, high: float, unit: str = "") -> int:
    """Print what was expected and measured; 1 if it lies outside, for the exit code."""
    inside = low <= measured <= high
    print(
        f"{name:46s} expected: {low:g} to {high:g}   measured: {measured:.4g}"
        f"{' ' + unit if unit else ''}{'' if inside else '   <-- outside'}"
    )
    return int(not inside)
