"""Denoising networks: the shapes, what time and class change, and mistakes."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.nn import ClassEmbedding, MLPDenoiser, SinusoidalEmbedding


def draw(network):
    """Weights that are not zero."""
    for p in network.parameters():
        tg.nn.init.normal_(p, std=0.3)
    return network


def test_times_are_sines_and_cosines():
    found = SinusoidalEmbedding(6, 100.0)(tg.tensor([0.0, 0.3])).array
    angles = np.array([0.0, 0.3])[:, None] * np.array([1, 10, 100])
    np.testing.assert_allclose(found, np.hstack([np.sin(angles), np.cos(angles)]), atol=1e-5)


def test_the_mlp_starts_with_0_and_then_depends_on_point_and_time():
    network, x, t = MLPDenoiser(3, 16, 2), tg.randn(5, 3), tg.rand(5)
    np.testing.assert_array_equal(network(x, t).array, np.zeros((5, 3)))
    y = draw(network)(x, t).array
    assert y.shape == (5, 3)
    assert np.abs(network(x, t + 0.01).array - y).min() > 1e-4
    one = network(x[2:3], t[2:3]).array
    np.testing.assert_allclose(y[2:3], one, rtol=1e-4, atol=1e-5)  # no row looks at another


def test_gradients_of_the_mlp():
    network = draw(MLPDenoiser(2, 6, 2, num_classes=3, class_dropout=0.0).double())
    x, t = tg.randn(4, 2, dtype=tg.float64), tg.rand(4, dtype=tg.float64)
    network.embedding.frequencies.array[:] = [1.0, 3.0, 7.0]
    classes = tg.tensor([0, 2, 1, 2])

    def along(step):
        for p, d in zip(network.parameters(), directions):
            p.array[...] += step * d
        value = (network(x, t, classes) ** 2).sum().item()
        for p, d in zip(network.parameters(), directions):
            p.array[...] -= step * d
        return value

    directions = [np.random.default_rng(0).standard_normal(p.shape) for p in network.parameters()]
    (network(x, t, classes) ** 2).sum().backward()
    slope = sum((p.grad.array * d).sum() for p, d in zip(network.parameters(), directions))
    assert slope == pytest.approx((along(1e-6) - along(-1e-6)) / 2e-6, rel=1e-6)


def test_classes_change_the_prediction_and_none_is_a_class_of_its_own():
    network = draw(MLPDenoiser(2, 16, 1, num_classes=3, class_dropout=0.5))
    x, t = tg.randn(1, 2).expand(64, 2), tg.full((64,), 0.5)
    classes = tg.arange(64) % 3
    trained = network(x, t, classes).array.round(4)
    assert len(np.unique(trained, axis=0)) == 4  # three classes, and none, by dropout
    network.eval()
    asked = network(x, t, classes).array.round(4)
    assert len(np.unique(asked, axis=0)) == 3
    none = network(x, t).array
    np.testing.assert_array_equal(none, network(x, t, network.null_condition(classes)).array)
    assert np.abs(none[0] - asked).max(1).min() > 1e-4


def test_without_a_gradient_no_class_is_dropped():
    network = draw(MLPDenoiser(2, 16, 1, num_classes=2, class_dropout=0.5))
    x, t, classes = tg.randn(50, 2), tg.rand(50), tg.zeros(50, dtype=tg.int64)
    network(x, t, classes)
    with tg.no_grad():
        found = network(x, t, classes).array
    np.testing.assert_array_equal(found, network.eval()(x, t, classes).array)


def test_mistakes_get_a_sentence():
    x, t = tg.randn(4, 2), tg.rand(4)
    with pytest.raises(ValueError, match=r"takes x \[B, 2\]; got \[4, 3\]"):
        MLPDenoiser(2, 8, 1)(tg.randn(4, 3), t)
    with pytest.raises(ValueError, match="a time a sample"):
        MLPDenoiser(2, 8, 1)(x, t[:, None])
    with pytest.raises(ValueError, match="dim must be even"):
        SinusoidalEmbedding(5)
    plain = MLPDenoiser(2, 8, 1)
    with pytest.raises(ValueError, match="knows no classes: make it with num_classes"):
        plain(x, t, tg.tensor([0, 1, 0, 1]))
    embedding = ClassEmbedding(3, 4, dropout=0.0)
    with pytest.raises(ValueError, match="there is no class 4; there are 0 to 2"):
        embedding(tg.tensor([0, 4]), 2)
    with pytest.raises(ValueError, match=r"a whole number a sample, \[2\]; got \[2\] of float32"):
        embedding(tg.tensor([0.0, 1.0]), 2)
    embedding(tg.tensor([0, 2]), 2)
    embedding.eval()
    with pytest.raises(ValueError, match=r"class 1 was never trained; those that were: \[0, 2\]"):
        embedding(tg.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match="never trained without a class"):
        embedding(None, 2)
