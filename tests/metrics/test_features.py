"""The classifier of digits, and what is measured in its features."""

import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.data import digits
from tinygen.metrics import (
    DigitFeatures,
    check_images,
    check_labels,
    digit_features,
    frechet_distance,
    inception_score,
    precision_recall,
)

# ---- The Inception Score -------------------------------------------------------------------------


def test_inception_scores_that_are_known():
    assert inception_score(np.full((8, 10), 0.1)) == pytest.approx(1)
    assert inception_score(np.tile(np.eye(10), (3, 1))) == pytest.approx(10)
    assert inception_score(np.eye(10)[[0, 0, 1, 1]]) == pytest.approx(2)
    p = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])
    kl = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert inception_score(tg.as_tensor(p)) == pytest.approx(math.exp(kl))


@pytest.mark.parametrize(
    ("probs", "complaint"),
    [
        (np.zeros((0, 10)), r"\[n, classes\] with at least one sample, got \(0, 10\)"),
        (np.ones(10) / 10, r"\[n, classes\]"),
        (np.ones((3, 10)), "sum to 1"),
        (np.array([[1.5, -0.5]]), "nothing below 0"),
        (np.full((2, 2), math.nan), "sum to 1"),
    ],
)
def test_what_are_no_probabilities(probs, complaint):
    with pytest.raises(ValueError, match=complaint):
        inception_score(probs)


# ---- The classifier ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    return digit_features("digits")


def test_it_knows_digits_that_it_has_not_seen(network):
    images, labels = digits("test")
    assert network.accuracy(images, labels) > 0.95
    probs = network.probs(images)
    assert probs.shape == (179, 10) and not probs.requires_grad
    np.testing.assert_allclose(probs.sum(1).array, 1, atol=1e-5)
    assert np.array_equal(network(images).argmax(1).array, probs.argmax(1).array)
    assert network.features(images).shape == (179, 64)
    assert network.accuracy(images, (labels + 1) % 10) < 0.05


def test_images_go_through_in_pieces(network):
    images, _ = digits()
    assert len(images) > 3 * 256
    np.testing.assert_allclose(
        network.features(images).array[-5:], network.features(images[-5:]).array, atol=1e-5
    )


def test_it_is_always_the_same_and_leaves_the_generator_alone(network):
    tg.manual_seed(5)
    again = digit_features.__wrapped__("digits")
    drawn = tg.rand(1).item()
    tg.manual_seed(5)
    assert drawn == tg.rand(1).item()
    a, b = network.state_dict(), again.state_dict()
    assert all(np.array_equal(a[key].array, b[key].array) for key in a)
    assert digit_features("digits") is network


def test_other_sizes():
    small = DigitFeatures(12, width=4, num_features=6)
    assert small(tg.rand(3, 1, 12, 12)).shape == (3, 10)
    assert small.features(tg.rand(3, 1, 12, 12)).shape == (3, 6)
    for size in (0, 6, 27):
        with pytest.raises(ValueError, match=f"a multiple of 4, not {size}"):
            DigitFeatures(size)
    with pytest.raises(ValueError, match="'cifar'"):
        digit_features("cifar")


# ---- Metrics in its features ---------------------------------------------------------------------


def test_real_images_are_at_the_floor_and_others_are_not(network):
    real, unseen = digits("train")[0], digits("test")[0]
    found = network.frechet_distance(real, unseen)
    assert found.n == 179 and found.value < 2 * found.floor
    features = [network.features(x).array for x in (real, unseen)]
    assert found.value == pytest.approx(frechet_distance(*features), rel=1)
    blurred = (unseen + unseen.roll(1, -1) + unseen.roll(1, -2)) / 3
    assert network.frechet_distance(real, blurred).value > 3 * found.floor
    assert network.frechet_distance(real, tg.rand(179, 1, 8, 8)).value > 5 * found.floor
    text = "Fréchet distance (DigitFeatures 8×8, 64 features): "
    assert str(found).startswith(text) and "at n = 179 (real versus real:" in str(found)


def test_the_inception_score_of_real_images_is_high(network):
    real, unseen = digits("train")[0], digits("test")[0]
    found = network.inception_score(real, unseen)
    assert 8 < found.value < 10 and 8 < found.floor < 10
    noise = network.inception_score(real, tg.rand(179, 1, 8, 8))
    assert noise.value < 6 and noise.floor > 8
    ones = tg.cat([unseen[digits("test")[1] == 1]] * 5)
    assert network.inception_score(real, ones).value < 2


def test_precision_and_recall_of_features(network):
    real, unseen = digits("train")[0], digits("test")[0]
    found = network.precision_recall(unseen, real[:179])
    features = [network.features(x) for x in (unseen, real[:179])]
    assert found == precision_recall(*features)
    assert min(found) > 0.7
    assert network.precision_recall(unseen, tg.rand(179, 1, 8, 8)).recall < 0.5


# ---- Wrong use -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "error", "complaint"),
    [
        (lambda: tg.rand(3, 1, 28, 28), ValueError, r"\[n, 1, 8, 8\] .* got \(3, 1, 28, 28\)"),
        (lambda: tg.rand(3, 3, 8, 8), ValueError, r"got \(3, 3, 8, 8\)"),
        (lambda: tg.rand(3, 64), ValueError, r"got \(3, 64\)"),
        (lambda: tg.rand(0, 1, 8, 8), ValueError, "at least one of them"),
        (lambda: 2 * tg.ones(3, 1, 8, 8) - 3, ValueError, r"\[0, 1\], got .* -1 to -1: rescale"),
        (lambda: 16 * tg.ones(3, 1, 8, 8), ValueError, "from 16 to 16"),
        (lambda: tg.full((3, 1, 8, 8), math.nan), ValueError, "not finite"),
        (lambda: np.zeros((3, 1, 8, 8)), TypeError, r"a tensor, got ndarray: use tg\.as_tensor"),
    ],
)
def test_images_that_are_none(images, error, complaint):
    with pytest.raises(error, match=complaint) as caught:
        DigitFeatures(8, 4, 4).features(images())
    assert "\n" not in str(caught.value)
    with pytest.raises(error, match=complaint):
        check_images(images(), 1, 8)


@pytest.mark.parametrize(
    ("labels", "error", "complaint"),
    [
        (lambda: tg.tensor([0, 10, 3]), ValueError, "between 0 and 9; number 1 is 10"),
        (lambda: tg.tensor([0, 1, -3]), ValueError, "between 0 and 9; number 2 is -3"),
        (lambda: tg.tensor([0, 1]), ValueError, r"one label for each of 3 images, got \(2,\)"),
        (lambda: tg.zeros(3), TypeError, "a tensor of integers, got float32"),
        (lambda: [0, 1, 2], TypeError, "a tensor of integers, got list"),
    ],
)
def test_labels_that_are_none(labels, error, complaint):
    images = tg.rand(3, 1, 8, 8)
    with pytest.raises(error, match=complaint):
        DigitFeatures(8, 4, 4).fit(images, labels(), 1)
    with pytest.raises(error, match=complaint):
        check_labels(labels(), 10, 3)
