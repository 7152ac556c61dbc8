"""Expressions: what a formula computes, found out by calling it once with numbers not yet known.

    x = variables("x", 2)                         # an array of two of them
    y = x - x**3 + np.sin(x[0])                   # an array of two expressions
    slopes = cotangents(y, [1.0, 1.0], x)         # d(y[0] + y[1])/dx, again expressions

An expression is an operation and what it is applied to. Ordinary formulas of NumPy make them: an
array of expressions is an object array, on which NumPy's own indexing, broadcasting, sums and
products work. Where a formula asks what an unknown number is (`if x[0] > 0`, float(x[0])), it
cannot be known, and Untraceable is raised.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


class Untraceable(Exception):
    """A formula did something with an unknown number that an expression cannot stand for."""


def unknown(what: str) -> Callable:
    def refuse(self, *_):
        raise Untraceable(f"{what} of a number that is not yet known")

    return refuse


def by_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **settings):
    """NumPy's functions of expressions, and of arrays in which there are some."""
    inputs = tuple(np.asarray(x, object) for x in inputs)
    if method == "__call__" and ufunc.signature is None:
        if ufunc.__name__ not in UFUNCS:
            raise Untraceable(f"np.{ufunc.__name__}")
        found = np.frompyfunc(UFUNCS[ufunc.__name__], ufunc.nin, 1)(*inputs)
    else:  # sums and products of matrices, of which NumPy knows how to make them
        found = getattr(ufunc, method)(*inputs, **settings)
    found = found.view(Expressions) if isinstance(found, np.ndarray) else found
    if out is not None:
        out[0][...] = found
        return out[0]
    return found


class Expressions(np.ndarray):
    """An array of expressions and numbers."""

    __array_ufunc__ = by_ufunc

    def __array_function__(self, function, types, args, kwargs):
        if function is np.where and len(args) == 3:
            found = np.frompyfunc(where, 3, 1)(*(np.asarray(x, object) for x in args))
            return found.view(Expressions) if isinstance(found, np.ndarray) else found
        return super().__array_function__(function, types, args, kwargs)


class Expression:
    """operation(*inputs). Of a variable the operation is "variable", of a number "number", and what
    it is called or is stands in `value`.

    uniform: whether it is the same number on all paths, as a function of time alone is.
    """

    __slots__ = ("inputs", "operation", "uniform", "value")

    def __init__(self, operation: Any, inputs: tuple[Expression, ...] = (), value: Any = None,
                 uniform: bool = True):  # fmt: skip
        self.operation, self.inputs, self.value = operation, inputs, value
        self.uniform = uniform and all(i.uniform for i in inputs)

    __array_ufunc__ = by_ufunc
    __array_function__ = Expressions.__array_function__
    __bool__ = unknown("the truth")
    __float__, __int__, __index__ = unknown("the value"), unknown("the value"), unknown("the value")
    __hash__ = object.__hash__

    # fmt: off
    def __add__(self, other): return binary("add", self, other)
    def __radd__(self, other): return binary("add", other, self)
    def __sub__(self, other): return binary("sub", self, other)
    def __rsub__(self, other): return binary("sub", other, self)
    def __mul__(self, other): return binary("mul", self, other)
    def __rmul__(self, other): return binary("mul", other, self)
    def __truediv__(self, other): return binary("div", self, other)
    def __rtruediv__(self, other): return binary("div", other, self)
    def __pow__(self, other): return binary("pow", self, other)
    def __rpow__(self, other): return binary("pow", other, self)
    def __lt__(self, other): return binary("lt", self, other)
    def __le__(self, other): return binary("le", self, other)
    def __gt__(self, other): return binary("gt", self, other)
    def __ge__(self, other): return binary("ge", self, other)
    __eq__ = __ne__ = unknown("equality")
    def __neg__(self): return applied("neg", self)
    def __pos__(self): return self
    def __abs__(self): return applied("abs", self)
    # fmt: on


# ---- Making them ---------------------------------------------------------------------------------


def variables(name: str, *shape: int, uniform: bool = False) -> Expressions:
    """An array of that shape of variables name0, name1, …"""
    found = np.empty(shape, object)
    for i in range(found.size):
        found.flat[i] = Expression("variable", value=f"{name}{i}", uniform=uniform)
    return found.view(Expressions)


def expression(x: Any) -> Expression:
    """x as an expression; numbers become constants."""
    if isinstance(x, Expression):
        return x
    if isinstance(x, np.ndarray) and x.ndim == 0:
        return expression(x.item())
    if not isinstance(x, int | float | np.number | np.bool_):
        raise Untraceable(f"a {type(x).__name__}")
    return Expression("number", value=float(x))


def of_time(function: Callable) -> Callable[[Any], Expression]:
    """A function of time alone, arrays to arrays, that is evaluated as it is: not traced."""
    return lambda t: Expression(function, (expression(t),))


def is_number(x: Expression, value: float) -> bool:
    return x.operation == "number" and x.value == value


def binary(operation: str, x: Any, y: Any) -> Any:
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        return NotImplemented  # NumPy does it for each element
    return SIMPLER.get(operation, applied_to_two(operation))(expression(x), expression(y))


def applied_to_two(operation: str) -> Callable:
    return lambda x, y: applied(operation, x, y)


def applied(operation: str, *inputs: Any) -> Expression:
    """operation(*inputs), computed at once if all are numbers."""
    inputs = tuple(expression(x) for x in inputs)
    if all(x.operation == "number" for x in inputs):
        with np.errstate(all="ignore"):
            return expression(NUMPY[operation](*(np.float64(x.value) for x in inputs)))
    return Expression(operation, inputs)


def add(x: Expression, y: Expression) -> Expression:
    if is_number(x, 0):
        return y
    return x if is_number(y, 0) else applied("add", x, y)


def sub(x: Expression, y: Expression) -> Expression:
    if is_number(x, 0):
        return -y
    return x if is_number(y, 0) else applied("sub", x, y)


def mul(x: Expression, y: Expression) -> Expression:
    if is_number(x, 0) or is_number(y, 0):
        return expression(0.0)
    if is_number(x, 1):
        return y
    return x if is_number(y, 1) else applied("mul", x, y)


def div(x: Expression, y: Expression) -> Expression:
    """x / y; with the inverse of y, if that is one number for all paths: it is found once."""
    return x * applied("div", 1.0, y) if y.uniform and not x.uniform else applied("div", x, y)


def power(x: Expression, y: Expression) -> Expression:
    """x^y; products, where y is a small whole number."""
    if x.uniform and y.uniform:
        return applied("pow", x, y)
    if y.operation != "number":
        if not x.uniform:
            raise Untraceable("a power whose exponent is not a constant")
        return applied("exp", y * applied("log", x))
    n = abs(y.value)
    if n != int(n) or n > 64:
        if 2 * n == int(2 * n) and n < 64:
            found = power(x, expression(n - 0.5)) * applied("sqrt", x)
        else:
            return applied("exp", y * applied("log", x))
    else:
        found = raised(x, int(n))
    return found if y.value >= 0 else 1.0 / found


def raised(x: Any, n: int) -> Any:
    """x^n, by squaring."""
    if n < 2:
        return x if n else expression(1.0)
    half = raised(x, n // 2)
    return half * half * x if n % 2 else half * half


def where(condition: Any, x: Any, y: Any) -> Expression:
    return applied("where", condition, x, y)


SIMPLER = {"add": add, "sub": sub, "mul": mul, "div": div, "pow": power}

NUMPY: dict[str, Callable] = {  # what the operations are, among numbers and arrays
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge, "pow": np.power, "abs": np.abs, "exp": np.exp, "log": np.log,
    "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "maximum": np.maximum,
    "minimum": np.minimum, "where": np.where,
}  # fmt: skip

UFUNCS: dict[str, Callable] = {  # what NumPy calls them
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "power": operator.pow, "float_power": operator.pow,
    "negative": operator.neg, "positive": operator.pos, "absolute": abs, "fabs": abs,
    "less": operator.lt, "less_equal": operator.le, "greater": operator.gt,
    "greater_equal": operator.ge, "square": lambda x: x * x, "reciprocal": lambda x: 1.0 / x,
    "exp2": lambda x: applied("exp", x * math.log(2)),
    "tan": lambda x: applied("sin", x) / applied("cos", x),
    "cosh": lambda x: (applied("exp", x) + applied("exp", -x)) / 2,
    "sinh": lambda x: (applied("exp", x) - applied("exp", -x)) / 2,
    **{
        name: lambda *x, name=name: applied(name, *x)
        for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "maximum", "minimum")
    },
}  # fmt: skip


# ---- Derivatives ---------------------------------------------------------------------------------

RULES: dict[str, Callable] = {  # (cotangent of y, y, *inputs) -> those of the inputs
    "add": lambda g, y, a, b: (g, g),
    "sub": lambda g, y, a, b: (g, -g),
    "mul": lambda g, y, a, b: (g * b, g * a),
    "div": lambda g, y, a, b: (g / b, -(g * y) / b),
    "neg": lambda g, y, a: (-g,),
    "pow": lambda g, y, a, b: (g * (b * a ** (b - 1)), g * (y * applied("log", a))),
    "abs": lambda g, y, a: (where(a < 0, -g, g),),
    "exp": lambda g, y, a: (g * y,),
    "log": lambda g, y, a: (g / a,),
    "sqrt": lambda g, y, a: (g * 0.5 / y,),
    "sin": lambda g, y, a: (g * applied("cos", a),),
    "cos": lambda g, y, a: (-(g * applied("sin", a)),),
    "tanh": lambda g, y, a: (g * (1 - y * y),),
    "maximum": lambda g, y, a, b: (where(a >= b, g, 0.0), where(a >= b, 0.0, g)),
    "minimum": lambda g, y, a, b: (where(a <= b, g, 0.0), where(a <= b, 0.0, g)),
    "where": lambda g, y, c, a, b: (None, where(c, g, 0.0), where(c, 0.0, g)),
}


def in_order(outputs: Iterable[Expression]) -> list[Expression]:
    """All expressions that the outputs are made of, each after its inputs."""
    found, seen = [], set()
    waiting = [(e, False) for e in reversed(list(outputs))]
    while waiting:
        e, inputs_done = waiting.pop()
        if inputs_done:
            found.append(e)
        elif id(e) not in seen:
            seen.add(id(e))
            waiting.append((e, True))
            waiting += [(i, False) for i in reversed(e.inputs)]
    return found


def cotangents(outputs: Any, given: Any, wanted: Any) -> Any:
    """Σ given[i] ∂outputs[i]/∂w for each w that is wanted: a reverse sweep over the expressions."""
    order = in_order(expression(y) for y in outputs)
    stops = {id(w) for w in wanted}
    leads = set(stops)  # what depends on something wanted
    for e in order:
        if any(id(i) in leads for i in e.inputs):
            leads.add(id(e))
    total: dict[int, Any] = {}

    def collect(e: Expression, g: Any) -> None:
        total[id(e)] = total[id(e)] + g if id(e) in total else g

    for y, g in zip(outputs, given):
        if isinstance(y, Expression):
            collect(y, expression(g))
    for e in reversed(order):
        if id(e) not in total or id(e) not in leads or id(e) in stops:
            continue
        for i, g in zip(e.inputs, RULES[e.operation](total[id(e)], e, *e.inputs)):
            if g is not None and id(i) in leads:
                collect(i, g)
    found = np.empty(len(wanted), object)
    for k, w in enumerate(wanted):
        found[k] = total.get(id(w), expression(0.0))
    return found.view(Expressions)
