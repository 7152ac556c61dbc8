"""The numbers of the methods satisfy the order conditions, for all rooted trees."""

from dataclasses import replace

import numpy as np
import pytest
from ode.problems import density, size, stage_weights, trees

from tinygen.ode import METHODS

ORDERS = {"euler": 1, "midpoint": 2, "heun2": 2, "rk4": 4, "bosh3": 3, "dopri5": 5, "tsit5": 5,
          "dopri8": 8}  # fmt: skip
DENSE_ORDERS = {"euler": 1, "midpoint": 2, "heun2": 2, "rk4": 3, "bosh3": 3, "dopri5": 4,
                "tsit5": 4, "dopri8": 7}  # fmt: skip
TREES = {n: trees(n) for n in range(1, 10)}

tableaux = pytest.mark.parametrize("tableau", METHODS.values(), ids=METHODS)
embedded = pytest.mark.parametrize(
    "tableau", [t for t in METHODS.values() if t.adaptive], ids=lambda t: t.name
)


def matrix(rows, stages: int) -> np.ndarray:
    a = np.zeros((stages, stages))
    for i, row in enumerate(rows):
        a[i, : len(row)] = row
    return a


def residual(a, b, tree) -> float:
    """|Σ bᵢ Φᵢ(τ) - 1/γ(τ)|, in units of the sum of the sizes of the terms."""
    terms = np.abs(b) @ stage_weights(tree, np.abs(a))
    return abs(np.dot(b, stage_weights(tree, a)) - 1 / density(tree)) / max(terms, 1e-3)


def holds(a, b, order: int) -> bool:
    return all(residual(a, b, tree) < 1e-15 for tree in TREES[order])


def test_there_are_as_many_trees_as_cayley_counted():
    assert [len(TREES[n]) for n in range(1, 10)] == [1, 1, 2, 4, 9, 20, 48, 115, 286]
    assert [density(tree) for tree in TREES[3]] == [3, 6]
    assert all(size(tree) == 8 for tree in TREES[8])


@tableaux
def test_orders_are_those_stated_and_no_more(tableau):
    a = matrix(tableau.a, len(tableau.c))
    assert tableau.order == ORDERS[tableau.name]
    assert all(holds(a, tableau.b, n) for n in range(1, tableau.order + 1))
    assert not holds(a, tableau.b, tableau.order + 1)


@tableaux
def test_rows_add_up_to_the_times_of_the_stages(tableau):
    assert [len(row) for row in tableau.a] == list(range(len(tableau.c)))
    for c, row in [*zip(tableau.c, tableau.a), *tableau.further]:
        assert abs(sum(row) - c) <= 1e-15 * max(1, 10 * sum(map(abs, row)))


@embedded
def test_the_error_is_that_of_a_method_of_one_order_less(tableau):
    a = matrix(tableau.a, len(tableau.c))
    lower = np.subtract(tableau.b, tableau.error)
    assert all(holds(a, lower, n) for n in range(1, tableau.order))
    assert not holds(a, lower, tableau.order)
    assert tableau.first_same_as_last


@tableaux
def test_the_extension_is_of_the_order_stated_and_joins_both_ends(tableau):
    """Σᵢ bᵢ(θ) Φᵢ(τ) = θ^n / γ(τ), coefficient by coefficient."""
    rows = [*tableau.a, *[row for _, row in tableau.further]]
    a, dense = matrix(rows, len(rows)), tableau.dense
    scale = np.abs(dense).max()
    assert tableau.dense_order == DENSE_ORDERS[tableau.name]
    assert tableau.dense_order >= tableau.order - 1  # as accurate as the method, everywhere

    def off(order):
        worst = 0.0
        for tree in TREES[order]:
            wanted = np.zeros(max(dense.shape[1], order))
            wanted[order - 1] = 1 / density(tree)
            found = stage_weights(tree, a) @ dense
            worst = max(worst, np.abs(np.pad(found, (0, len(wanted) - len(found))) - wanted).max())
        return worst

    assert max(off(n) for n in range(1, tableau.dense_order + 1)) < 1e-14 * scale
    assert off(tableau.dense_order + 1) > 1e-3
    at_end = np.zeros(len(rows))
    at_end[: len(tableau.b)] = tableau.b
    np.testing.assert_allclose(dense.sum(1), at_end, atol=1e-15 * scale)


def test_slopes_are_continuous_where_the_extension_is_a_hermite_polynomial():
    for name in ("bosh3", "dopri5", "tsit5", "dopri8"):
        dense = METHODS[name].dense
        start, end = np.eye(len(dense))[[0, len(METHODS[name].c) - 1]]
        slope_at_end = dense @ np.arange(1, dense.shape[1] + 1)
        np.testing.assert_allclose(dense[:, 0], start, atol=1e-11)
        np.testing.assert_allclose(slope_at_end, end, atol=2e-11)


def test_a_wrong_digit_is_noticed():
    tableau = METHODS["dopri8"]
    wrong = list(tableau.b)
    wrong[6] += 1e-13
    a = matrix(tableau.a, len(tableau.c))
    assert not holds(a, replace(tableau, b=tuple(wrong)).b, 1)
