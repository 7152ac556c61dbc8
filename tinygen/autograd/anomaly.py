"""Where a NaN comes from: `with tg.autograd.detect_anomaly():` names the op and the line of code.

While it is on, every op, forward and backward, is looked at; while it is off it costs nothing, for
it works by putting a checking function around the one place that all ops pass through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .function import FunctionOp
from .fused import Fused
from .lines import described, user_line
from .parts import Several
from .primitive import Primitive
from .tensor import Tensor


class AnomalyError(RuntimeError):
    """A NaN, where there was none before."""


@contextmanager
def detect_anomaly(check_nan: bool = True) -> Iterator[None]:
    """Raise RuntimeError at the first op, in any thread, that makes a NaN of inputs without one.

    The message names the op and the line of the user's code; for a NaN in a gradient, also the line
    where the op whose gradient it is was called. check_nan: False looks for nothing.
    """
    if not check_nan:
        yield
        return
    before = [(kind, name, vars(kind)[name]) for kind in (Primitive, Fused, Several, FunctionOp)
              for name in ("__call__", "cotangents") if name in vars(kind)]  # fmt: skip
    for kind, name, function in before:
        wrap = checked_forward if name == "__call__" else checked_backward
        setattr(kind, name, wrap(function))
    try:
        yield
    finally:
        for kind, name, function in before:
            setattr(kind, name, function)


def checked_forward(call):
    def checked(op, *args, **options):
        outputs = call(op, *args, **options)
        for out in outputs if isinstance(outputs, tuple) else (outputs,):
            if has_nan(out) and not any(has_nan(x) for x in (*args, *options.values())):
                line = described(user_line())
                raise AnomalyError(f"{op.name} made the first NaN, called at\n{line}")
        return outputs

    return checked


def checked_backward(cotangents):
    def checked(op, node, g, needed=None):
        made = described(node.line)
        message = f"the gradient of {op.name} made the first NaN; {op.name} was called at\n{made}"
        try:
            for parent, cotangent in cotangents(op, node, g, needed):
                if has_nan(cotangent) and not has_nan(g):  # of a kernel, or the user's Function
                    raise AnomalyError(message)
                yield parent, cotangent
        except AnomalyError as error:
            raise AnomalyError(message) from error.__cause__

    return checked


def has_nan(x) -> bool:
    array = x.array if isinstance(x, Tensor) else x
    return isinstance(array, np.ndarray | float) and bool(np.isnan(np.min(array, initial=0.0)))
