"""NumPy's warnings, of 0 / 0 and the like, turned off for a function, in no time."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable

import numpy as np

context = contextvars.copy_context()
context.run(np.seterr, all="ignore")


def quietly(function: Callable, *args, **options):
    """function(*args, **options) without warnings. To enter `np.errstate` anew takes longer than an
    op on a small array, and NumPy keeps that state in the context; but one serves one call at a
    time."""
    try:
        return context.run(function, *args, **options)
    except RuntimeError:  # another call is in it, or the function's own error comes again
        with np.errstate(all="ignore"):
            return function(*args, **options)


def quiet(function: Callable) -> Callable:
    """Decorator: a function that gives no warnings."""
    return functools.wraps(function)(functools.partial(quietly, function))
