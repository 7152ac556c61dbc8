"""Sums over windows, and the largest element of each."""

import numpy as np
import pytest

from tinygen.kernels import pooling

# rows, sizes, and for each dimension where windows begin, where they end, and their steps
WINDOWS = [
    (2, (1, 4, 6), ([0], [0, 2], [0, 2, 4]), ([1], [2, 4], [2, 4, 6]), (1, 1, 1)),
    (3, (1, 5, 7), ([0], [0, 1, 3], [0, 2]), ([1], [2, 4, 5], [5, 7]), (1, 2, 2)),
    (2, (3, 4, 5), ([0, 1], [0, 2], [0, 1, 3]), ([2, 3], [2, 4], [2, 3, 5]), (1, 1, 1)),
    (70, (1, 20, 30), ([0], range(0, 20, 2), range(0, 30, 2)),
     ([1], range(2, 22, 2), range(2, 32, 2)), (1, 1, 1)),
    (40, (1, 25, 37), ([0], range(23), range(0, 35, 3)),
     ([1], range(2, 25), range(3, 38, 3)), (1, 1, 1)),
    (0, (1, 2, 2), ([0], [0], [0]), ([1], [2], [2]), (1, 1, 1)),
]  # fmt: skip


def ranges_of(begins, ends):
    return [(np.array(b), np.array(e)) for b, e in zip(begins, ends)]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("rows, sizes, begins, ends, steps", WINDOWS)
def test_largest_equals_reference(normal, call, rows, sizes, begins, ends, steps, kind):
    x, ranges = np.round(2 * normal(rows, *sizes)).astype(kind), ranges_of(begins, ends)
    if x.dtype.kind == "f":  # with many that are equal, and
        x.reshape(-1)[::11] = np.nan
        x.reshape(-1)[::3] = -np.inf
    expected = pooling.largest_reference(x, ranges, steps)
    found = call(lambda x: pooling.largest(x, ranges, steps), x)[0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("rows, sizes, begins, ends, steps", WINDOWS)
def test_sums_equal_reference(normal, call, rows, sizes, begins, ends, steps, kind):
    x, ranges = (9 * normal(rows, *sizes)).astype(kind), ranges_of(begins, ends)
    found = call(lambda x: pooling.sums(x, ranges), x)[0]
    assert found.dtype == kind
    np.testing.assert_allclose(found, pooling.sums_reference(x, ranges), rtol=1e-5, atol=1e-5)
    g = (9 * normal(*found.shape)).astype(kind)
    back = call(lambda g: pooling.spread(g, sizes, ranges), g)[0]
    assert back.dtype == kind
    right = pooling.spread_reference(g, sizes, ranges)
    np.testing.assert_allclose(back, right, rtol=1e-5, atol=1e-5)
    assert np.vdot(found, g) == pytest.approx(np.vdot(x, back), rel=1e-4)  # each other's transpose


def test_sums_keep_nan_and_infinity_in_their_windows(normal):
    x = normal(2, 1, 4, 6)
    x[0, 0, 0, 1], x[0, 0, 3, 5], x[1, 0, 1, 2] = np.nan, np.inf, -np.inf
    ranges = ranges_of(([0], [0, 2], [0, 2, 4]), ([1], [2, 4], [2, 4, 6]))
    found = pooling.sums(np.asfortranarray(x), ranges)
    assert np.isnan(found[0, 0, 0, 0]) and found[0, 0, 1, 2] == np.inf
    assert found[1, 0, 0, 1] == -np.inf and np.isfinite(found).sum() == 9
    back = pooling.spread(found, (1, 4, 6), ranges)
    assert np.isnan(back[0, 0, :2, :2]).all() and np.isnan(back).sum() == 4
    assert np.isinf(back).sum() == 8
