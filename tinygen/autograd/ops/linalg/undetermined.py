"""Factors that are not determined, and gradients by way of them.

Eigenvectors of equal eigenvalues λi = λj may be rotated into one another; so may the singular
vectors of equal singular values, and, of those that are 0, the left and the right ones each for
themselves. In the gradients, this is a division by λj - λi = 0.

- The numerator is then 0 if the loss does not depend on which vectors were found. The term is left
  out. That is right for functions of the values alone that treat equal ones equally (at others it
  gives a subgradient), and of projectors on all of the vectors of equal values.
- If the numerator is not 0, the loss depends on the arbitrary choice: it has no gradient, and a
  RuntimeError says so, with the numbers of both values.
- Where the loss reads values and vectors together, as in V f(Λ) Vᵀ, there is a gradient, but it is
  0/0 here: the factors don't tell it. That is a RuntimeError, too. (Not noticed if f(λ) is 0 for
  the repeated λ, so that vectors seem to have no part in the loss.)

Equal means: to k eps of the largest of k values. Values closer to one another than √eps are told
apart, but the gradient of their vectors loses as many digits as they have in common.

What completes an orthonormal basis may be rotated likewise.
"""

import numpy as np

from ...primitive import primitive
from ..choose import where
from ..join import cat
from ..shape import unsqueeze
from .common import one_of

# ---- Dividing by the gaps between values ---------------------------------------------------------


def differences(values):
    """[..., i, j]: value j - value i"""
    return unsqueeze(values, -2) - unsqueeze(values, -1)


def sums(values):
    return unsqueeze(values, -2) + unsqueeze(values, -1)


def scale_of(*tensors):
    """The largest size of an element of each matrix [..., 1, 1], an array"""
    sizes = [np.abs(t.array).max((-2, -1), keepdims=True, initial=0) for t in tensors]
    return np.maximum.reduce(sizes)


def require_small(numerator, scale, message, where=True) -> None:
    """An error if, where it should, the numerator isn't 0 but for rounding; `scale` [..., 1, 1]
    says what large numbers are here."""
    size = np.abs(numerator.array)
    large = np.argwhere((size > np.sqrt(np.finfo(size.dtype).eps) * scale) & where)
    if len(large):
        *batch, i, j = (int(n) for n in large[0])
        raise RuntimeError(message(batch, i, j))


class Quotient:
    """Numerators [..., i, j] divided by gaps between values [..., k], as the head of this file
    says."""

    def __init__(self, op: str, name: str, values):
        self.op, self.name = op, name
        self.detached = values.detach()
        eps, k = np.finfo(values.dtype).eps, values.shape[-1]
        largest = np.abs(values.array).max(-1, initial=0)[..., None, None]
        self.smallest_gap = 10 * k * eps * largest

    def __call__(self, numerator, gap, scale, g_values=None):
        """numerator / gap, or 0 where the gap is. g_values: the cotangents of values, which must be
        0 where the value itself is the gap and 0."""
        closed = np.abs(gap.array) <= self.smallest_gap
        alone = g_values is not None
        require_small(
            numerator, scale, lambda batch, i, j: self.undetermined(batch, i, j, alone), closed
        )
        if alone and scale.any():
            g = unsqueeze(g_values.detach(), -2)
            require_small(g, scale_of(g), lambda batch, i, j: self.lost(batch, i, j, alone), closed)
        return where(closed, 0.0, numerator / where(closed, 1.0, gap))

    def check_values(self, g_values, inner) -> None:
        """An error if the loss reads values and vectors together where values are equal."""
        if not inner.array.any():
            return
        k = inner.shape[-1]
        equal = np.abs(differences(self.detached).array) <= self.smallest_gap
        equal &= ~np.eye(k, dtype=bool)
        g = g_values.detach()
        largest = scale_of(unsqueeze(g, -1))
        require_small(differences(g), largest, self.lost, equal)
        present = np.abs(g.array[..., None, :]) > np.sqrt(np.finfo(g.dtype).eps) * largest
        together = inner.detach() + inner.detach().mT
        require_small(together, scale_of(inner), self.lost, equal & present)

    def which(self, batch, i, j, alone) -> str:
        if alone:
            return f"{self.op}: of the {self.name} of {one_of(batch)}, number {j} is 0"
        return (
            f"{self.op}: of the {self.name} of {one_of(batch)}, numbers {i} and {j} are equal or 0"
        )

    def undetermined(self, batch, i, j, alone=False) -> str:
        return (
            f"{self.which(batch, i, j, alone)}, so that other vectors would do as well, and the "
            f"loss depends on which were found: it has no gradient. Use the {self.name} alone, "
            "projectors on all the vectors of equal ones, or a function of the matrix itself (such "
            "as pinv, matrix_exp, solve)"
        )

    def lost(self, batch, i, j, alone=False) -> str:
        return (
            f"{self.which(batch, i, j, alone)}, and the loss reads values and vectors together: "
            "its gradient can't be had from the factors. Use a function of the matrix itself (such "
            "as pinv, matrix_exp, solve)"
        )


# ---- Completing a basis --------------------------------------------------------------------------


@primitive
def complement(basis, rest, op):
    """`rest`, an orthonormal basis of what is orthogonal to `basis`, as a function of `basis`"""
    return np.array(rest)


def gradient_of_complement(g, basis, out, op):
    """From outᵀ basis = 0: d out = -basis d basisᵀ out, but for a rotation within"""
    if not basis.shape[-1]:
        return basis * 0.0
    turn = out.mT @ g
    require_small(turn - turn.mT, scale_of(turn), lambda batch, i, j: (
        f"{op}: the loss depends on which basis completes the first {basis.shape[-1]} columns; any "
        "would do, so it has no gradient. Use the reduced form, or what is the same for all of them"
    ))  # fmt: skip
    return -(out @ g.mT @ basis)


complement.vjp(basis=gradient_of_complement)


def completed(basis, rest, op):
    """A basis of everything, the columns of `rest` behind those of `basis`."""
    return cat([basis, complement(basis, np.ascontiguousarray(rest), op)], -1)
