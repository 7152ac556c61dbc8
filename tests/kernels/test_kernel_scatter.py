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
    (slice(None), slice(None), np.array([[4, -5], [0, 4]])),
    (slice(None), np.array([2, 2, 0]), slice(1, 3)),
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


@pytest.mark.parametrize("shape, size", [((3, 5, 1), 4), ((1, 1, 1), 1), ((0, 2, 1), 3),
    ((2, 0, 3), 3), ((300, 200, 1), 150), ((4, 90, 130), 70)])  # fmt: skip
def test_each_line_by_its_own_index(normal, call, shape, size):
    lead, _, rest = shape
    x, values = normal(lead, size, rest), normal(*shape)
    values[:1, :1] = np.nan
    index = (np.arange(values.size) ** 2 % size).reshape(shape)
    np.testing.assert_array_equal(
        call(scatter.pick_along, x, index)[0], np.take_along_axis(x, index, 1)
    )
    expected = np.array(x)
    np.add.at(expected, (np.arange(lead)[:, None, None], index, np.arange(rest)), values)

    def added(values, index):
        out = np.array(x)
        scatter.add_along(out, index, values)
        return out

    np.testing.assert_array_equal(call(added, values, index)[0], expected)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_inside(kind):
    assert scatter.inside(np.array([], kind), 0)
    assert scatter.inside(np.array([[0, 4], [3, 1]], kind).T, 5)
    assert not scatter.inside(np.array([0, 5], kind), 5)
    assert kind is np.uint8 or not scatter.inside(np.array([4, -1], kind), 5)
