"""Sums of products over chosen dimensions, brought down to matrix products."""

import functools
import math
import string

import numpy as np

from ...registry import ShapeError, composition
from ..diagonal import diagonal
from ..reduce import sum
from ..shape import permute, reshape, squeeze
from .products import matrix_product

__all__ = ["einsum", "kron", "tensordot"]


# ---- einsum --------------------------------------------------------------------------------------


@composition
def einsum(equation, *operands):
    """Einstein's summation: einsum("bij,bjk->bik", x, y) is a batch of matrix products.

    Each letter names a dimension. One that several operands have runs through them together, one
    that the result lacks is summed over, and one that an operand has twice takes its diagonal.
    `...` stands for dimensions without names, which are broadcast. Without `->` the result has, in
    the order of the alphabet, the letters that occur once. Instead of an equation there may be
    lists of numbers: einsum(x, [0, 1], y, [1, 2], [0, 2]).

    Two operands at a time are contracted, by a matrix product; next are always those two whose
    product is smallest beside them.
    """
    if not isinstance(equation, str):
        equation, operands = from_lists([equation, *operands])
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = operands[0]
    inputs, output = parsed(equation, tuple(x.ndim for x in operands))
    sizes = sizes_of(inputs, operands, equation)
    if unknown := [c for c in output if c not in sizes]:
        raise RuntimeError(f"einsum: {unknown[0]!r} of the result is in no operand of {equation!r}")
    terms = [simplified(x, labels, sizes) for x, labels in zip(operands, inputs)]
    while len(terms) > 1:
        i, j = cheapest_pair(terms, output, sizes)
        y, x = terms.pop(j), terms.pop(i)
        needed = set(output).union(*[labels for _, labels in terms])
        terms.append(contracted(x, y, needed))
    x, labels = summed_but(*terms[0], set(output))
    return arranged(x, labels, output)


def arranged(x, labels, order):
    """x, whose dimensions have these labels, with its dimensions in another order."""
    return x if labels == order else permute(x, tuple(labels.index(c) for c in order))


def shaped(x, shape):
    return x if x.shape == shape else reshape(x, shape)


def from_lists(parts):
    """Operands that alternate with lists of numbers, as (equation, operands)."""
    letters = string.ascii_uppercase + string.ascii_lowercase
    text = lambda labels: "".join("..." if n is Ellipsis else letters[n] for n in labels)
    pairs = len(parts) // 2
    equation = ",".join(text(labels) for labels in parts[1 : 2 * pairs : 2])
    if len(parts) % 2:
        equation += "->" + text(parts[-1])
    return equation, parts[: 2 * pairs : 2]


@functools.lru_cache(maxsize=256)
def parsed(equation: str, ndims: tuple[int, ...]):
    """The labels of each operand and of the result. `...` becomes numbers, -1 the last of them."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise RuntimeError(
            f"einsum: {equation!r} is about {len(terms)} operands; there are {len(ndims)}"
        )
    inputs = [labels_of(term, ndim, equation) for term, ndim in zip(terms, ndims)]
    widest = max((-c for labels in inputs for c in labels if isinstance(c, int)), default=0)
    if arrow:
        ndim = len(right.replace("...", "")) + widest * ("..." in right)
        output = labels_of(right, ndim, equation)
    else:
        letters = [c for labels in inputs for c in labels if isinstance(c, str)]
        output = [*range(-widest, 0), *sorted(c for c in letters if letters.count(c) == 1)]
    if len(set(output)) < len(output):
        raise RuntimeError(f"einsum: a letter occurs twice in the result of {equation!r}")
    return inputs, output


def labels_of(term: str, ndim: int, equation: str) -> list:
    """ "i...j" for 4 dimensions: ["i", -2, -1, "j"]"""
    before, dots, after = term.partition("...")
    if not (before + after).isalpha() and before + after:
        raise RuntimeError(f"einsum: {term!r} in {equation!r} must be of letters and one '...'")
    free = ndim - len(before + after)
    if free < 0 or (free and not dots):
        raise RuntimeError(
            f"einsum: {term!r} in {equation!r} names {len(before + after)} dimensions of an operand"
            f" that has {ndim}; '...' stands for dimensions without a name"
        )
    return [*before, *range(-free, 0), *after]


def sizes_of(inputs, operands, equation) -> dict:
    """The size of every label; 1 gives way to others."""
    sizes = {}
    for labels, x in zip(inputs, operands):
        for c, n in zip(labels, x.shape):
            known = sizes.setdefault(c, n)
            if known != n and 1 not in (known, n):
                name = repr(c) if isinstance(c, str) else "..."
                shapes = " and ".join(str(x.shape) for x in operands)
                raise ShapeError(
                    f"einsum: {name} in {equation!r} has size {known}, and then {n}; the operands'"
                    f" shapes are {shapes}"
                )
            sizes[c] = n if known == 1 else known
    return sizes


def simplified(x, labels, sizes):
    """The diagonal where a label is repeated; no dimension that is only there to be broadcast."""
    for c in [c for c in dict.fromkeys(labels) if labels.count(c) > 1]:
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            rest = [k for k in range(len(labels)) if k not in (i, j)]
            if x.shape[i] != x.shape[j]:
                raise ShapeError(f"einsum: the diagonal {c!r} of sizes {x.shape[i]}, {x.shape[j]}")
            x, labels = diagonal(x, 0, i, j), [labels[k] for k in rest] + [c]
    spare = [i for i, c in enumerate(labels) if x.shape[i] == 1 != sizes[c]]
    kept = [c for i, c in enumerate(labels) if i not in spare]
    return (squeeze(x, spare) if spare else x), kept


def summed_but(x, labels, needed):
    """x summed over the labels that are not needed."""
    dims = tuple(i for i, c in enumerate(labels) if c not in needed)
    return (sum(x, dims) if dims else x), [c for c in labels if c in needed]


def contracted(x_term, y_term, needed):
    """The product of two operands, summed over the labels that nothing else needs."""
    x, in_x = summed_but(x_term[0], x_term[1], needed.union(y_term[1]))
    y, in_y = summed_but(y_term[0], y_term[1], needed.union(x_term[1]))
    batch = [c for c in in_x if c in in_y and c in needed]
    inner = [c for c in in_x if c in in_y and c not in needed]
    rows, columns = [c for c in in_x if c not in in_y], [c for c in in_y if c not in in_x]
    size = dict(zip(in_x + in_y, x.shape + y.shape))
    count = lambda labels: math.prod(size[c] for c in labels)
    x, y = arranged(x, in_x, batch + rows + inner), arranged(y, in_y, batch + inner + columns)
    shape = tuple(size[c] for c in batch)
    x = shaped(x, (*shape, count(rows), count(inner)))
    y = shaped(y, (*shape, count(inner), count(columns)))
    product = matrix_product(x, y) if inner else x * y
    labels = batch + rows + columns
    return shaped(product, tuple(size[c] for c in labels)), labels


def cheapest_pair(terms, output, sizes) -> tuple[int, int]:
    """The pair whose product has the fewest elements more than the two together."""
    if len(terms) == 2:
        return 0, 1
    count = lambda labels: math.prod(sizes[c] for c in labels)

    def growth(i, j):
        others = [labels for k, (_, labels) in enumerate(terms) if k not in (i, j)]
        both = set(terms[i][1]) | set(terms[j][1])
        return count(both & set(output).union(*others)) - count(terms[i][1]) - count(terms[j][1])

    return min(((i, j) for j in range(len(terms)) for i in range(j)), key=lambda p: growth(*p))


# ---- Others --------------------------------------------------------------------------------------


@composition
def tensordot(a, b, dims=2):
    """The sum over pairs of dimensions: the last `dims` of a with the first of b, or, with
    dims = (list, list), those of a in the first list with those of b in the second"""
    if isinstance(dims, int | np.integer):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot: dims = {dims} for shapes {a.shape}, {b.shape}")
        of_a, of_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        of_a = [int(d) % a.ndim for d in np.atleast_1d(dims[0])]
        of_b = [int(d) % b.ndim for d in np.atleast_1d(dims[1])]
    if len(of_a) == len(of_b):
        a = sum_where_other_is_one(a, of_a, b, of_b)
        b = sum_where_other_is_one(b, of_b, a, of_a)
    if [a.shape[d] for d in of_a] != [b.shape[d] for d in of_b]:
        raise ShapeError(
            f"tensordot: dims {of_a} of shape {a.shape} and {of_b} of {b.shape} differ in size"
        )
    rest_a = [d for d in range(a.ndim) if d not in of_a]
    rest_b = [d for d in range(b.ndim) if d not in of_b]
    shape_a, shape_b = [a.shape[d] for d in rest_a], [b.shape[d] for d in rest_b]
    count = math.prod(a.shape[d] for d in of_a)
    x = reshape(permute(a, (*rest_a, *of_a)), (math.prod(shape_a), count))
    y = reshape(permute(b, (*of_b, *rest_b)), (count, math.prod(shape_b)))
    return reshape(matrix_product(x, y), (*shape_a, *shape_b))


def sum_where_other_is_one(a, of_a, b, of_b):
    """a, summed over dimensions whose partner in b has size 1 and is there to be broadcast"""
    dims = tuple(d for d, e in zip(of_a, of_b) if b.shape[e] == 1 != a.shape[d])
    return sum(a, dims, keepdim=True) if dims else a


@composition
def kron(input, other):
    """Kronecker's product: each element of the first times the whole second, in blocks"""
    ndim = max(input.ndim, other.ndim)
    a, b = ((1,) * (ndim - x.ndim) + x.shape for x in (input, other))
    x = reshape(input, tuple(n for m in a for n in (m, 1)))
    y = reshape(other, tuple(n for m in b for n in (1, m)))
    return reshape(x * y, tuple(m * n for m, n in zip(a, b)))
