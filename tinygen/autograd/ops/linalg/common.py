"""What the files on linear algebra share: errors that name the matrix, and checks of shapes."""

import numpy as np

from ...registry import ShapeError, composition
from ...tensor import Tensor


def linalg_op(function):
    """Decorator: a composition, registered as linalg_<name>, for what is only in tg.linalg."""
    return composition(function, f"linalg_{function.__name__.removeprefix('linalg_')}")


class LinAlgError(RuntimeError, np.linalg.LinAlgError):
    """A matrix for which there is no result: singular, or not positive-definite."""


def checked_matrices(x, op: str, square: bool = False, finite: bool = False) -> Tensor:
    """x, if it is a matrix or a stack of them, of floats; an error that says what it is, if not."""
    if x.ndim < 2:
        raise ShapeError(f"{op} takes matrices [..., m, n]; this is a tensor of shape {x.shape}")
    if x.dtype.kind != "f":
        raise RuntimeError(f"{op} takes matrices of floats; these are {x.dtype}: use .float()")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{op} takes square matrices [..., n, n]; the shape is {x.shape}")
    if finite and not np.isfinite(x.array).all():
        wrong = np.argwhere(~np.isfinite(x.array).all((-2, -1)))[0]
        raise LinAlgError(f"{op}: {one_of(wrong)} holds NaN or infinity")
    return x


def one_of(index) -> str:
    """How an error calls the matrix with this index in a stack."""
    return f"matrix {tuple(int(i) for i in index)} of the stack" if len(index) else "the matrix"


def or_nan(function, *stacks):
    """function(*stacks), shaped like the last; NaN for those matrices on which LAPACK gives up."""
    try:
        return function(*stacks)
    except np.linalg.LinAlgError:
        batch = np.broadcast_shapes(*[a.shape[:-2] for a in stacks])
        stacks = [np.broadcast_to(a, batch + a.shape[-2:]) for a in stacks]
        out = np.full(stacks[-1].shape, np.nan, stacks[-1].dtype)
        for i in np.ndindex(batch) if batch else ():
            out[i] = or_nan(function, *[a[i] for a in stacks])
        return out


def failures(out: Tensor, *inputs: Tensor):
    """Which matrices of `out` or_nan gave up on: all NaN, though no input was NaN or infinite."""
    if not out.array.size:
        return np.zeros(out.shape[:-2], bool)
    failed = np.isnan(out.array[..., 0, 0])
    if failed.any():
        failed = np.isnan(out.array).all((-2, -1))
        for x in inputs:
            failed = failed & np.isfinite(x.array).all((-2, -1))
    return failed


def without_failures(out: Tensor, *inputs: Tensor, message: str) -> Tensor:
    """`out`, if there is a result for every matrix; else a LinAlgError that names one without."""
    failed = failures(out, *inputs)
    if failed.any():
        raise LinAlgError(message.format(one_of(np.argwhere(failed)[0])))
    return out


def symmetric(x):
    """(x + xᵀ) / 2, of which both triangles have the same bits"""
    return (x + x.mT) / 2


def above_one_another(*factors):
    """Arrays [..., ?, k], and vectors [..., k], in one array."""
    k = factors[-1].shape[-1]
    return np.concatenate([f.reshape(*f.shape[:-1], 1, k) if f.ndim < factors[-1].ndim else f
                           for f in factors], -2)  # fmt: skip
