"""The norm of many arrays together, and their scaling."""

import numpy as np
import pytest

from tinygen.kernels import clip

SHAPES = [(3, 5), (), (0, 4), (16_384,), (140_003,), (2, 3, 7)]


@pytest.fixture
def arrays(normal):
    return [np.asarray(normal(*shape), np.float32) for shape in SHAPES]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norm_equals_reference(call, arrays, dtype):
    (norm,) = call(lambda *a: clip.norm(list(a)), *(a.astype(dtype) for a in arrays))
    assert norm.dtype == dtype
    expected = np.sqrt(sum((a.astype(np.float64) ** 2).sum() for a in arrays))
    np.testing.assert_allclose(norm, expected, rtol=1e-6)
    assert clip.norm([np.zeros((0, 3), dtype)]) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_norm_of_nan_and_infinity(arrays, value):
    arrays[4][70_000] = value
    np.testing.assert_equal(clip.norm(arrays), np.float32(value))


def test_norm_and_scale_of_any_strides(normal):
    x, y = normal(30, 40), normal(300)
    np.testing.assert_allclose(clip.norm([x.T, y[::2]]), clip.norm([x, y[::2].copy()]), rtol=1e-6)
    views, expected = [x.T, y[::2]], [0.5 * x.T, 0.5 * y[::2]]
    clip.scale(views, 0.5)
    for view, right in zip(views, expected):
        np.testing.assert_array_equal(view, right)


def test_scale(call, arrays):
    def scaled(*arrays):
        copies = [a.copy() for a in arrays]
        clip.scale(copies, 0.3)
        return tuple(copies)

    for one, other in zip(call(scaled, *arrays), arrays):
        np.testing.assert_array_equal(one, np.float32(0.3) * other)
