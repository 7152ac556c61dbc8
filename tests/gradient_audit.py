"""The gradient audit: how far is every op's gradient from the truth?

    python tests/gradient_audit.py                  # print the table; exit code 1 if it is too far
    python tests/gradient_audit.py --write          # and write it into docs/gradient_audit.md
    python tests/gradient_audit.py softmax conv2d   # only these ops

Every op in the registry, on all of its samples: float64 and float32, four layouts in memory, first
and second order, under random cotangents. The truth is the derivative of the op in float64 by a
complex step, Im f(x + ih)/h, exact to rounding where the op is analytic (Squire & Trapp 1998), and
by central differences with Richardson extrapolation elsewhere. The error of a gradient is the
largest difference of an element, relative to the largest element of the true gradient.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import sys
import warnings

import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parent.parent)]

from samples import BY_OP, Sample, is_float  # noqa: E402

import tinygen as tg  # noqa: E402
from tinygen.autograd.tensor import Tensor  # noqa: E402

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "gradient_audit.md"
LAYOUTS = {
    "contiguous": lambda a: np.array(a, order="C"),
    "transposed": lambda a: np.array(a.T, order="C").T,
    "reversed": lambda a: np.flip(np.flip(a).copy()) if a.ndim else a.copy(),
    "strided": lambda a: np.repeat(a, 2, -1)[..., ::2] if a.ndim else a.copy(),
}
DTYPES = {"float64": np.float64, "float32": np.float32}
BOUNDS = {("float64", 1): 1e-7, ("float64", 2): 1e-7, ("float32", 1): 2e-5, ("float32", 2): 2e-4}
COLUMNS = [(dtype, order, layout) for dtype in DTYPES for order in (1, 2) for layout in LAYOUTS]
NEEDS_LAYOUT = {"view"}  # refuses memory that is not contiguous, as it should


class Truth:
    """The derivative of Σ cotangent · outputs for every float argument of a function."""

    def __init__(self, function, arrays, cotangents):
        self.function, self.arrays, self.cotangents = function, arrays, cotangents
        self.exact = True  # as long as complex steps serve
        self.gradients = [
            np.array([self.slope(i, at) for at in np.ndindex(a.shape)]).reshape(a.shape)
            for i, a in enumerate(arrays) if is_float(a)
        ]  # fmt: skip

    def value(self, i: int, x):
        """What is differentiated, with x for argument i: the terms, yet to be summed up."""
        outputs = self.function(*self.arrays[:i], x, *self.arrays[i + 1 :])
        return sum((np.sum(y * c) for y, c in zip(outputs, self.cotangents)), 0.0)

    def slope(self, i: int, at) -> float:
        differences = self.by_differences(i, at)
        if self.exact:
            step = self.by_complex_step(i, at)
            if step is not None and abs(step - differences) <= 1e-6 * max(1, abs(differences)):
                return step
            self.exact = False  # not analytic here, or not made for complex numbers
        return differences

    def by_complex_step(self, i: int, at) -> float | None:
        x = self.arrays[i].astype(np.complex128)
        x[at] += 1e-30j
        try:
            with warnings.catch_warnings(action="ignore"):  # of imaginary parts that got lost
                value = self.value(i, x)
        except Exception:
            return None
        return value.imag / 1e-30 if np.iscomplexobj(value) else None

    def by_differences(self, i: int, at) -> float:
        def central(h):
            up, down = self.arrays[i].copy(), self.arrays[i].copy()
            up[at] += h
            down[at] -= h
            return (self.value(i, up) - self.value(i, down)) / (2 * h)

        h = 1e-3 * max(1.0, abs(self.arrays[i][at]))
        return (64 * central(h / 4) - 20 * central(h / 2) + central(h)) / 45


def as_arguments(arrays):
    """Tensors of arrays; those of floats require grad."""
    return [Tensor(a, is_float(a)) if isinstance(a, np.ndarray) else a for a in arrays]


def differentiable(outputs) -> list[Tensor]:
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    return [y for y in outputs if isinstance(y, Tensor) and y.dtype.kind == "f" and y.requires_grad]


def random_like(outputs, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(y.shape)) for y in outputs]


def audit(sample: Sample) -> tuple[dict, bool]:
    """{(dtype, order, layout): error}, and whether the truth is that of complex steps."""
    arrays = [np.asarray(a) if isinstance(a, np.generic) else a for a in sample.arrays()]
    outputs = differentiable(sample.function(*as_arguments(arrays)))
    cotangents = random_like(outputs, 1)
    first = Truth(lambda *a: values_of(sample, a), arrays, cotangents)
    orders = {1: (first, None)}
    if sample.smooth:
        gradients = gradients_of(sample, as_arguments(arrays), as_tensors(cotangents), True)
        seconds = random_like(gradients, 2)
        orders[2] = (Truth(lambda *a: first_order(sample, a), [*arrays, *cotangents], seconds),
                     seconds)  # fmt: skip
    found = {}
    for dtype, order, layout in COLUMNS:
        if order in orders and not (sample.op in NEEDS_LAYOUT and layout != "contiguous"):
            truth, seconds = orders[order]
            errors = measured(sample, DTYPES[dtype], LAYOUTS[layout], arrays, cotangents, seconds)
            found[dtype, order, layout] = worst(errors, truth.gradients)
    return found, first.exact


def values_of(sample, arrays) -> list[np.ndarray]:
    """The outputs as arrays, for arrays that may be complex."""
    outputs = sample.function(*[Tensor(a) if isinstance(a, np.ndarray) else a for a in arrays])
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    return [y.array for y in outputs if isinstance(y, Tensor) and y.dtype.kind in "fc"]


def first_order(sample, arrays) -> list[np.ndarray]:
    """The gradients, as a function of the arguments and of the cotangents behind them."""
    if any(np.iscomplexobj(a) for a in arrays):
        raise TypeError("gradients are those of real numbers")
    count = len(sample.args)
    args = as_arguments(arrays[:count])
    return [g.array for g in gradients_of(sample, args, as_tensors(arrays[count:]), False)]


def as_tensors(arrays) -> list[Tensor]:
    return [Tensor(a, requires_grad=True) for a in arrays]


def gradients_of(sample, args, cotangents, create_graph: bool) -> list[Tensor]:
    outputs = differentiable(sample.function(*args))
    inputs = [a for a in args if isinstance(a, Tensor) and a.requires_grad]
    if not outputs:
        return [tg.zeros_like(x) for x in inputs]
    found = tg.autograd.grad(
        outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True
    )
    return [tg.zeros_like(x) if g is None else g for g, x in zip(found, inputs)]


def measured(sample, dtype, layout, arrays, cotangents, seconds) -> list[np.ndarray]:
    """tinygen's gradients, or with `seconds` those of the gradients, for arguments in this type
    and layout."""
    convert = lambda a: layout(a.astype(dtype)) if is_float(a) else a
    args = as_arguments([convert(a) for a in arrays])
    vs = as_tensors([convert(c) for c in cotangents])
    gradients = gradients_of(sample, args, vs, seconds is not None)
    if seconds is None:
        return [g.array for g in gradients]
    inputs = [*[a for a in args if isinstance(a, Tensor) and a.requires_grad], *vs]
    pairs = [(g, Tensor(u.astype(dtype))) for g, u in zip(gradients, seconds) if g.requires_grad]
    if not pairs:
        return [np.zeros(x.shape) for x in inputs]
    outputs, cotangents = zip(*pairs)
    found = tg.autograd.grad(outputs, inputs, cotangents, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.array for g, x in zip(found, inputs)]


def worst(found, true) -> float:
    """The largest error of an element, relative to the largest element there is."""
    size = max([np.abs(t).max(initial=0.0) for t in true], default=0.0)
    error = max([np.abs(f - t).max(initial=0.0) for f, t in zip(found, true)], default=0.0)
    return math.inf if math.isnan(error) else float(error / max(size, 1e-3))


# ---- The table -----------------------------------------------------------------------------------


def rows(names) -> dict[str, tuple[dict, str]]:
    """For every op: its worst error in each column, and where the truth is from."""
    table = {}
    for name in names:
        samples = [s for s in BY_OP[name] if s.differentiable]
        total: dict = {}
        exact = bool(samples)
        for sample in samples:
            try:
                found, by_complex_step = audit(sample)
            except Exception as error:
                error.add_note(f"sample {sample.name}: {sample.args} {sample.options}")
                raise
            exact = exact and by_complex_step
            for column, error in found.items():
                total[column] = max(total.get(column, 0.0), error)
        if samples:
            table[name] = total, "complex step" if exact else "differences"
    return table


def broken(table) -> list[str]:
    return [f"{name}: {dtype}, {layout}, order {order}: {error:.1e} > {BOUNDS[dtype, order]:.0e}"
            for name, (errors, _) in table.items()
            for (dtype, order, layout), error in errors.items()
            if error > BOUNDS[dtype, order]]  # fmt: skip


def shown(error: float | None) -> str:
    return "–" if error is None else "0" if error == 0 else f"{error:.0e}".replace("e-0", "e-")


def markdown(table) -> str:
    groups = [(dtype, order) for dtype in DTYPES for order in (1, 2)]
    head = ["op", "truth", *[f"{d}, order {o}" for d, o in groups]]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, (errors, truth) in sorted(table.items()):
        cells = [" · ".join(shown(errors.get((d, o, layout))) for layout in LAYOUTS)
                 for d, o in groups]  # fmt: skip
        lines.append("| " + " | ".join([f"`{name}`", truth, *cells]) + " |")
    return "\n".join(lines)


INTRODUCTION = """# The gradient audit

How far every op's gradient is from the truth: written by `python tests/gradient_audit.py --write`
from the registry of ops, of which each must have samples (`tests/samples/`). Errors are the worst
over all samples of an op, under random cotangents, relative to the largest element of the true
gradient; the four numbers of a cell are for arguments that lie in memory {layouts}.
The truth is computed in float64: by complex steps, exact to rounding, where the op is analytic;
elsewhere by central differences, whose own error is about 1e-10. Order 2 is the
gradient of the gradient, for the arguments and for the cotangent; – stands where there is none (the
op is not smooth, or not for that layout). The command fails if an error exceeds its bound:
{bounds}.

{count} ops with a gradient.

"""


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description="How far is every op's gradient from the truth?")
    parser.add_argument("ops", nargs="*", help="names of ops (default: all)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} in docs/")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.ops if name not in BY_OP]:
        parser.error(f"there is no op {', '.join(unknown)}")
    if args.write and args.ops:
        parser.error("--write writes the page of all ops: leave their names out")
    table = rows(args.ops or BY_OP)
    print(markdown(table))
    if args.write:
        bounds = "; ".join(f"{d}, order {o}: {b:.0e}" for (d, o), b in BOUNDS.items())
        text = INTRODUCTION.format(layouts=", ".join(LAYOUTS), bounds=bounds, count=len(table))
        PAGE.write_text(text + markdown(table) + "\n", encoding="utf-8")
    failures = broken(table)
    print(*failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
