"""Optimizer steps: the kernel against the NumPy lines, and the table of addresses."""

import copy
import pickle

import numpy as np
import pytest

from tinygen.kernels import jit, optimizers
from tinygen.kernels.optimizers import ADAGRAD, ADAM, RMSPROP, SGD, Table

SHAPES = [(3, 5), (), (0, 4), (40_001,), (1,), (16, 16), (2, 3, 7)]

CASES = {  # the form, how many arrays of state, the options
    "sgd": (SGD, 0, (0.1, 0, 0, 0.1, 0, 1, 0, 0)),
    "sgd, momentum": (SGD, 1, (0.1, 0.9, 0.2, 0.1, 0, -1, 0, 0)),
    "sgd, nesterov": (SGD, 1, (0.1, 0.9, 0, 0.1, 1, 1, 0, 0)),
    "adam": (ADAM, 2, (0.1, 0.8, 0.9, 1e-8, 0.1, 0, 0, 1)),
    "adamw": (ADAM, 2, (0.1, 0.8, 0.9, 1e-3, 0.1, 1, 0, -1)),
    "amsgrad": (ADAM, 3, (0.1, 0.8, 0.9, 1e-8, 0, 0, 1, 1)),
    "rmsprop": (RMSPROP, 1, (0.1, 0.9, 1e-8, 0.1, 0, 0, 1, 0)),
    "rmsprop, momentum": (RMSPROP, 2, (0.1, 0.9, 1e-8, 0, 0.8, 0, 1, 0)),
    "rmsprop, centered": (RMSPROP, 2, (0.1, 0.9, 1e-3, 0, 0, 1, -1, 0)),
    "rmsprop, both": (RMSPROP, 3, (0.1, 0.9, 1e-3, 0, 0.8, 1, 1, 0)),
    "adagrad": (ADAGRAD, 1, (0.1, 0.1, 1e-8, 0.1, 1, 0, 0, 0)),
}


def run(case, dtype=np.float32, shapes=SHAPES, spoil=None):
    """Three steps; the arrays of every parameter and its state, one after the other."""
    form, count, options = CASES[case]
    draw = np.random.default_rng(3).standard_normal
    params = [np.array(draw(shape), dtype) for shape in shapes]
    states = [[np.zeros_like(p) for p in params] for _ in range(count)]
    table = Table()
    for step in (1, 2, 3):
        grads = [np.array(draw(shape), dtype) for shape in shapes]
        if spoil:
            spoil(grads)
        steps = [step + k % 2 * (step > 1) for k in range(len(params))]  # not the same for all
        optimizers.step(form, params, grads, states, steps, options, table)
    return tuple(a for arrays in (params, *states) for a in arrays)


@pytest.mark.parametrize("case", CASES)
def test_kernel_equals_reference(call, case):
    for result, expected in zip(call(run, case), run(case, np.float64)):
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_arrays_of_any_strides_and_types(case):
    """The NumPy lines take them: here float64, once with a transposed parameter and gradient."""
    form, count, options = CASES[case]
    results = []
    for turn in (lambda a: a, lambda a: np.ascontiguousarray(a.T).T):
        draw = np.random.default_rng(3).standard_normal
        p, g = (turn(draw((300, 100))) for _ in range(2))
        state = [[np.zeros((300, 100))] for _ in range(count)]
        for step in (1, 2):
            optimizers.step(form, [p], [g], state, [step], options, Table())
        results.append(p)
    np.testing.assert_allclose(*results, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_nan_and_infinity_stay_where_they_are(case):
    def spoil(grads):
        grads[0][1, 2], grads[3][7] = np.nan, np.inf

    clean, spoilt = run(case), run(case, spoil=spoil)
    for k, (one, other) in enumerate(zip(clean[: len(SHAPES)], spoilt)):
        places = {0: (1, 2), 3: (7,)}
        keep = np.ones(one.shape, bool)
        if k in places:
            keep[places[k]] = False
            assert not np.isfinite(other[places[k]])
        np.testing.assert_array_equal(one[keep], other[keep])


def test_a_table_notices_other_arrays():
    options, table = CASES["sgd"][2], Table()
    params, grads = [np.ones(5, np.float32)] * 1, [np.ones(5, np.float32)]
    optimizers.step(SGD, params, grads, [], [1], options, table)
    other = np.ones((2, 2), np.float32)
    optimizers.step(SGD, [other], [np.ones((2, 2), np.float32)], [], [1], options, table)
    optimizers.step(
        SGD, [*params, other], [*grads, np.ones_like(other)], [], [1, 1], options, table
    )
    once = 1 - 0.1 * 1.1
    np.testing.assert_allclose(params[0], once - 0.1 * (1 + 0.1 * once), rtol=1e-6)
    np.testing.assert_allclose(other, once - 0.1 * (1 + 0.1 * once), rtol=1e-6)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_copied_table_has_no_addresses(copied):
    table = Table()
    table.served([[np.ones(5, np.float32)]])
    assert table.arrays and not copied(table).arrays


@pytest.mark.skipif(not jit.ENABLED, reason="what kernels need")
def test_addresses_are_those_that_numpy_tells(normal):
    arrays = [normal(3, 4), normal(5)[2:], normal(2, 2).T, np.zeros((0, 3), np.float32)]
    assert optimizers.addresses(arrays).tolist() == [a.ctypes.data for a in arrays]
