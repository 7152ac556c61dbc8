"""Reading and adding where an index says."""

import numpy as np
import pytest

from tinygen.kernels import scatter

INDICES = [
    np.array([2, 0, 2, -1, 2]),
    np.array([[1, 1], [-4, 3]]),
    (np.array([1, 1, 3]), np.array([0, 0, 2])),
    (np.array([[3], [1]]), np.array([0, 2, 0])),
    (slice(1, 3), np.array([0, 0, 1])),
    (np.array([0, 3, 3]), slice(None, None, -1), None),
    (np.array([1, 1]), 2),
    (..., np.array([1, 1, 0])),
    np.array([True, False, True, True]),
    np.zeros(0, np.int64),
    (),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("index", INDICES)
def test_add_at_equals_numpy(normal, index, dtype):
    start = (9 * normal(4, 3, 5)).astype(dtype)
    values = (9 * normal(*start[index].shape)).astype(dtype)
    expected, found = np.array(start), np.array(start)
    np.add.at(expected, index, values)
    scatter.add_at(found, index, values)
    np.testing.assert_array_equal(found, expected)
    scatter.add_at(found, index, dtype(2))  # one value for all
    np.add.at(expected, index, dtype(2))
    np.testing.assert_array_equal(found, expected)


def test_add_at_refuses_what_is_outside(normal):
    out = normal(3, 4)
    with pytest.raises(IndexError, match="out of bounds"):
        scatter.add_at(out, np.array([0, 3]), normal(2, 4))
    with pytest.raises(ValueError, match="broadcast"):
        scatter.add_at(out, np.array([0, 2]), normal(3, 4))


def test_many_repetitions_give_the_same_bits(normal, call):
    values, index = normal(5000, 40), np.arange(5000) ** 2 % 17
    expected = np.zeros((17, 40), np.float32)
    np.add.at(expected, index, values)

    def added(values, index):
        out = np.zeros((17, 40), np.float32)
        scatter.add_at(out, index, values)
        return out

    np.testing.assert_array_equal(call(added, values, index)[0], expected)


@pytest.mark.parametrize("shape, size", [((3, 5), 4), ((1, 1), 1), ((0, 2), 3), ((2, 0), 3),
    ((300, 200), 150)])  # fmt: skip
def test_each_row_by_its_own_index(normal, call, shape, size):
    x, values = normal(shape[0], size), normal(*shape)
    values[:1, :1] = np.nan
    index = (np.arange(values.size) ** 2 % size).reshape(shape)
    np.testing.assert_array_equal(
        call(scatter.pick_each, x, index)[0], np.take_along_axis(x, index, 1)
    )
    expected = np.zeros((shape[0], size), np.float32)
    np.add.at(expected, (np.arange(shape[0])[:, None], index), values)
    np.testing.assert_array_equal(call(scatter.collect_each, values, index, size)[0], expected)
