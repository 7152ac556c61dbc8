"""Programs: expressions as straight-line code, for all paths at once.

    program = Program("advance", {"x0": x0 + h * f, …})

The variables of an expression are the rows of arrays [rows, paths], "x0" being row 0 of x, and so
are its targets. What is the same on all paths is computed once, for all steps, and stands in the
columns of a table; the rest becomes either the source of a loop over paths, which Numba compiles,

    def advance(x, z, table, n, args):
        u0 = table[n, 0]
        for i in range(0, 64, LANES):
            x0 = load(x, 0 + i)
            v0 = x0 * u0
            …
            store(x, 0 + i, v7)

or, without Numba, is computed on whole rows by NumPy, one operation after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..kernels.paths import UNIT
from .expressions import NUMPY, Expression, expression, in_order

LARGEST = 5000  # operations, that are compiled in bearable time

INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">",
         "ge": ">="}  # fmt: skip
SIGNATURES = {"advance": "x, z, table, n, args", "pull": "x, z, g, p, table, n"}


class Program:
    """name: "advance" or "pull". targets: by name of a row, what it becomes."""

    def __init__(self, name: str, targets: Mapping[str, Any]):
        self.name = name
        self.targets = {row: expression(e) for row, e in targets.items()}
        order, self.numbering = numbered(in_order(self.targets.values()))
        self.body = [e for e in order if not e.uniform]
        reached = [i for e in self.body for i in e.inputs] + list(self.targets.values())
        columns = {self.numbering[id(e)]: e for e in reached
                   if e.uniform and e.operation != "number"}  # fmt: skip
        self.columns = list(columns.values())
        self.column = {number: k for k, number in enumerate(columns)}
        self.uniform_order = in_order(self.columns)

    @property
    def size(self) -> int:
        return len(self.body)

    # ---- What is the same on all paths -----------------------------------------------------------

    def table(self, known: Mapping[str, Any], steps: int, dtype: np.dtype) -> np.ndarray:
        """[steps, columns]: the values of the columns, where those of variables are numbers or
        arrays [steps]."""
        values: dict[int, Any] = {}
        with np.errstate(all="ignore"):
            for e in self.uniform_order:
                values[id(e)] = value_of(e, known, values)
        table = np.empty((steps, len(self.columns)), dtype)
        for k, e in enumerate(self.columns):
            table[:, k] = values[id(e)]
        return table

    # ---- By NumPy --------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def compute(self, rows: Mapping[str, np.ndarray], numbers: np.ndarray) -> dict[str, Any]:
        """The targets, from rows [paths] and the row of the table."""
        values: dict[int, Any] = {}
        paths = next(iter(rows.values())).shape

        def look_up(e: Expression) -> Any:
            if e.operation == "number":
                return e.value
            number = self.numbering[id(e)]
            return numbers[self.column[number]] if e.uniform else values[number]

        for e in self.body:
            number = self.numbering[id(e)]
            if e.operation == "variable":
                values[number] = rows[e.value]
            elif number not in values:
                values[number] = NUMPY[e.operation](*map(look_up, e.inputs))
        return {row: np.broadcast_to(look_up(e), paths) for row, e in self.targets.items()}

    # ---- By Numba --------------------------------------------------------------------------------

    def source(self, dtype: np.dtype) -> str:
        """A function for Numba: a loop over single paths of float64, or vectors of float32."""
        double = dtype == np.float64
        lines = [f"def {self.name}({SIGNATURES[self.name]}):"]
        lines += [f"    u{k} = table[n, {k}]" for k in range(len(self.columns))]
        lines.append(f"    for i in range({UNIT}):" if double else
                     f"    for i in range(0, {UNIT}, LANES):")  # fmt: skip
        done: set[int] = set()
        for e in self.body:
            number = self.numbering[id(e)]
            if number not in done:
                done.add(number)
                value = loaded(e.value, double) if e.operation == "variable" else self.written(e)
                lines.append(f"        {self.name_of(e)} = {value}")
        for row, e in self.targets.items():
            value = f"lanes({self.name_of(e)})" if e.uniform else self.name_of(e)
            lines.append(f"        {stored(row, value, double)}")
        return "\n".join(lines) + "\n"

    def written(self, e: Expression) -> str:
        names = [self.name_of(i) for i in e.inputs]
        if e.operation in INFIX:
            return f"{names[0]} {INFIX[e.operation]} {names[1]}"
        if e.operation == "neg":
            return f"-{names[0]}"
        if e.operation == "where" and e.inputs[0].uniform:
            names[0] = f"lanes({names[0]}) > 0.5"  # a column with 1 where it holds
        return f"{e.operation}({', '.join(names)})"

    def name_of(self, e: Expression) -> str:
        if e.operation == "number":
            return f"({e.value!r})" if e.value < 0 else repr(e.value)
        if e.operation == "variable" and not e.uniform:
            return e.value
        number = self.numbering[id(e)]
        return f"u{self.column[number]}" if e.uniform else f"v{number}"


def loaded(row: str, double: bool) -> str:
    array, index = row[0], int(row[1:])
    return f"{array}[{index}, i]" if double else f"load({array}, {UNIT * index} + i)"


def stored(row: str, value: str, double: bool) -> str:
    array, index = row[0], int(row[1:])
    if double:
        return f"{array}[{index}, i] = {value}"
    return f"store({array}, {UNIT * index} + i, {value})"


def numbered(order: list[Expression]) -> tuple[list[Expression], dict[int, int]]:
    """The expressions, and by the id of each a number, which is the same for those that compute the
    same: they are computed once."""
    known: dict[Any, int] = {}
    numbers: dict[int, int] = {}
    for e in order:
        key = (e.operation, e.value, tuple(numbers[id(i)] for i in e.inputs))
        numbers[id(e)] = known.setdefault(key, len(known))
    return order, numbers


def value_of(e: Expression, known: Mapping[str, Any], values: Mapping[int, Any]) -> Any:
    if e.operation == "number":
        return np.float64(e.value)
    if e.operation == "variable":
        return known[e.value]
    inputs = [values[id(i)] for i in e.inputs]
    operation: Callable = NUMPY.get(e.operation) or e.operation
    return operation(*inputs)
