"""Losses: against PyTorch, value and gradient; against closed forms; and what they refuse."""

import math

import numpy as np
import pytest

from tinygen import nn
from tinygen.autograd import grad
from tinygen.autograd.creation import tensor, zeros
from tinygen.autograd.dtypes import float64
from tinygen.nn import functional as F

RNG = np.random.default_rng(0)
NUMBERS, OTHERS = RNG.standard_normal((4, 3)), 2 * RNG.standard_normal((4, 3))
OTHERS[0, 0] = NUMBERS[0, 0]  # a difference of exactly 0
PROBABILITIES, TARGETS = RNG.random((4, 3)), RNG.random((4, 3))
WEIGHTS = RNG.random((4, 3)) + 0.5
LOG_PROBS = np.log(PROBABILITIES / PROBABILITIES.sum(1, keepdims=True))
DISTRIBUTIONS = TARGETS / TARGETS.sum(1, keepdims=True)
DISTRIBUTIONS[1] = [0.0, 0.25, 0.75]  # 0 log 0
VARIANCES = RNG.random((4, 3)) + 0.1
VARIANCES[2, 1] = 1e-9  # below eps

ELEMENTWISE = [  # name, arrays, which of them want a gradient, options
    ("mse_loss", (NUMBERS, OTHERS), 2, {}),
    ("l1_loss", (NUMBERS, OTHERS), 2, {}),
    ("huber_loss", (NUMBERS, OTHERS), 2, {"delta": 0.7}),
    ("smooth_l1_loss", (NUMBERS, OTHERS), 2, {"beta": 0.7}),
    ("smooth_l1_loss", (NUMBERS, OTHERS), 2, {"beta": 0.0}),
    ("gaussian_nll_loss", (NUMBERS, OTHERS, VARIANCES), 3, {}),
    ("gaussian_nll_loss", (NUMBERS, OTHERS, VARIANCES[:, :1]), 3, {"full": True, "eps": 1e-3}),
    ("gaussian_nll_loss", (NUMBERS, OTHERS, VARIANCES[:, 0]), 3, {}),
    ("binary_cross_entropy", (PROBABILITIES, TARGETS), 2, {}),
    ("binary_cross_entropy", (PROBABILITIES, TARGETS, WEIGHTS), 1, {}),
    ("binary_cross_entropy_with_logits", (30 * NUMBERS, TARGETS), 2, {}),
    ("binary_cross_entropy_with_logits", (NUMBERS, TARGETS, WEIGHTS), 1, {}),
    ("mse_loss", (NUMBERS, OTHERS), 2, {"weight": WEIGHTS}),
    ("l1_loss", (NUMBERS, OTHERS), 2, {"weight": WEIGHTS}),
    ("huber_loss", (NUMBERS, OTHERS), 2, {"weight": WEIGHTS, "delta": 0.7}),
    ("gaussian_nll_loss", (NUMBERS, OTHERS, VARIANCES[:1]), 3, {}),
    ("poisson_nll_loss", (NUMBERS, 3 * TARGETS), 1, {"full": True}),
    ("poisson_nll_loss", (PROBABILITIES, TARGETS), 1, {"log_input": False, "eps": 0.1}),
    ("soft_margin_loss", (NUMBERS, np.sign(OTHERS)), 1, {}),
    ("hinge_embedding_loss", (NUMBERS, np.sign(OTHERS)), 1, {"margin": 0.5}),
    ("margin_ranking_loss", (NUMBERS, OTHERS, np.sign(WEIGHTS - 1)), 2, {"margin": 0.0}),
    ("cosine_embedding_loss", (NUMBERS, OTHERS, np.array([1, -1, -1, 1])), 2, {"margin": 0.1}),
    ("multi_margin_loss", (NUMBERS, np.array([2, 0, 1, 1])), 1, {"p": 2, "weight": WEIGHTS[0]}),
    (
        "multilabel_margin_loss",
        (NUMBERS, np.array([[2, -1, 0], [2, 0, -1], [1, 1, 1], [-1] * 3])),
        1,
        {},
    ),
    ("multilabel_soft_margin_loss", (NUMBERS, TARGETS, WEIGHTS), 1, {}),
    ("triplet_margin_loss", (NUMBERS, OTHERS, WEIGHTS), 3, {"margin": 3.0, "swap": True}),
    ("triplet_margin_with_distance_loss", (NUMBERS, OTHERS, WEIGHTS), 3, {"margin": 3.0}),
    ("kl_div", (LOG_PROBS, DISTRIBUTIONS), 1, {}),
    ("kl_div", (LOG_PROBS, np.log(TARGETS)), 2, {"log_target": True}),
]


def ours_and_torchs(torch, name, arrays, wanted, options, reduction):
    """(value, gradients) of a loss, here and there, for a random cotangent."""
    results = []
    for library in (F, torch.nn.functional):
        make = torch.tensor if library is not F else tensor
        inputs = [make(a) for a in arrays]
        given = {k: make(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        for x in inputs[:wanted]:
            x.requires_grad_()
        out = getattr(library, name)(*inputs, reduction=reduction, **given)
        cotangent = make(np.random.default_rng(1).standard_normal(tuple(out.shape)))
        out.backward(cotangent)
        results.append((out.detach().numpy(), [x.grad.numpy() for x in inputs[:wanted]]))
    return results


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9, atol=1e-12)
    for found, expected in zip(ours[1], theirs[1]):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", range(len(ELEMENTWISE)), ids=[c[0] for c in ELEMENTWISE])
def test_elementwise_losses_are_pytorchs(case, reduction):
    torch = pytest.importorskip("torch")
    assert_same(*ours_and_torchs(torch, *ELEMENTWISE[case], reduction))


def test_batchmean_is_pytorchs():
    torch = pytest.importorskip("torch")
    case = ("kl_div", (LOG_PROBS, DISTRIBUTIONS), 1, {})
    assert_same(*ours_and_torchs(torch, *case, "batchmean"))


CLASS_WEIGHTS = np.array([0.5, 2.0, 1.0, 0.1, 1.5])
LOGITS = {
    "[N, C]": 3 * RNG.standard_normal((6, 5)),
    "[C]": RNG.standard_normal(5),
    "[N, C, d]": RNG.standard_normal((3, 5, 4)),
    "[N, C, d1, d2]": RNG.standard_normal((2, 5, 3, 2)),
}


def labels_for(logits, ignored):
    axis = min(1, logits.ndim - 1)
    labels = np.random.default_rng(2).integers(0, 5, np.delete(logits.shape, axis))
    if ignored is not None and labels.ndim:
        labels.flat[1::3] = ignored
    return labels


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [None, -100, 2])
@pytest.mark.parametrize("layout", LOGITS)
def test_cross_entropy_of_labels_is_pytorchs(layout, ignored, weighted, smoothing, reduction):
    torch = pytest.importorskip("torch")
    arrays = [LOGITS[layout], labels_for(LOGITS[layout], ignored)]
    arrays += [CLASS_WEIGHTS] * weighted
    options = {"label_smoothing": smoothing, "ignore_index": -100 if ignored is None else ignored}
    assert_same(*ours_and_torchs(torch, "cross_entropy", arrays, 1, options, reduction))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", LOGITS)
def test_nll_loss_is_pytorchs(layout, weighted, reduction):
    torch = pytest.importorskip("torch")
    arrays = [LOGITS[layout], labels_for(LOGITS[layout], 2)] + [CLASS_WEIGHTS] * weighted
    options = {"ignore_index": 2}
    assert_same(*ours_and_torchs(torch, "nll_loss", arrays, 1, options, reduction))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", LOGITS)
def test_cross_entropy_of_probabilities_is_pytorchs(layout, weighted, smoothing, reduction):
    torch = pytest.importorskip("torch")
    logits = LOGITS[layout]
    targets = np.random.default_rng(3).random(logits.shape)
    arrays = [logits, targets] + [CLASS_WEIGHTS] * weighted
    options, wanted = {"label_smoothing": smoothing}, 1
    assert_same(*ours_and_torchs(torch, "cross_entropy", arrays, wanted, options, reduction))


def test_pos_weight_is_pytorchs():
    torch = pytest.importorskip("torch")
    found = F.binary_cross_entropy_with_logits(
        tensor(NUMBERS), tensor(TARGETS), pos_weight=tensor(WEIGHTS[0])
    )
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(NUMBERS), torch.tensor(TARGETS), pos_weight=torch.tensor(WEIGHTS[0])
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


# ---- Closed forms, without PyTorch ----


def test_uniform_logits_cost_log_classes():
    labels = tensor([0, 1, 2, 6])
    assert F.cross_entropy(zeros(4, 7), labels).item() == pytest.approx(math.log(7))
    assert F.binary_cross_entropy_with_logits(zeros(3), zeros(3)).item() == pytest.approx(
        math.log(2)
    )


def test_cross_entropy_gradient_is_softmax_minus_one_hot():
    logits = tensor(LOGITS["[N, C]"], requires_grad=True)
    labels = tensor(np.arange(6) % 5)
    F.cross_entropy(logits, labels, reduction="sum").backward()
    e = np.exp(logits.array)
    expected = e / e.sum(1, keepdims=True) - F.one_hot(labels, 5).array
    np.testing.assert_allclose(logits.grad.array, expected, rtol=1e-9, atol=1e-12)


def test_binary_losses_agree_and_slope_at_zero_logits_is_right():
    x, t = tensor(NUMBERS, requires_grad=True), tensor(TARGETS)
    from_logits = F.binary_cross_entropy_with_logits(x, t)
    from_probabilities = F.binary_cross_entropy(F.sigmoid(x), t)
    assert from_logits.item() == pytest.approx(from_probabilities.item(), rel=1e-12)
    start = zeros(3, requires_grad=True)
    F.binary_cross_entropy_with_logits(start, tensor([0.0, 0.5, 1.0]), reduction="sum").backward()
    np.testing.assert_allclose(start.grad.array, [0.5, 0, -0.5], atol=1e-7)


def test_huge_logits_neither_overflow_nor_lose_digits():
    x = tensor([-2000.0, 2000.0, -50.0], requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(x, tensor([1.0, 0.0, 0.0]), reduction="none")
    np.testing.assert_allclose(losses.array, [2000, 2000, math.exp(-50)], rtol=1e-6)
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.array, [-1, 1, 0], atol=1e-6)
    logits = tensor([[1e4, -1e4]], requires_grad=True)
    assert F.cross_entropy(logits, tensor([1])).item() == 2e4


def test_certain_probabilities_have_finite_losses_and_gradients():
    p = tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(p, tensor([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert losses.array.tolist() == [0, 0, 100, 100]
    losses.sum().backward()
    assert np.isfinite(p.grad.array).all()


def test_gaussian_nll_is_minus_the_log_density():
    x, mean, var = 0.3, -0.5, 2.0
    density = math.exp(-((x - mean) ** 2) / (2 * var)) / math.sqrt(2 * math.pi * var)
    found = F.gaussian_nll_loss(tensor([mean]), tensor([x]), var, full=True)
    assert found.item() == pytest.approx(-math.log(density), rel=1e-6)


def test_kl_of_a_distribution_from_itself_is_zero():
    p = tensor(DISTRIBUTIONS + 1e-3)
    assert abs(F.kl_div(p.log(), p, reduction="batchmean").item()) < 1e-12


def test_mean_over_nothing_is_nan_as_in_pytorch():
    assert math.isnan(F.cross_entropy(zeros(2, 3), tensor([-100, -100])).item())


# ---- Refusals ----


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}])
def test_labels_out_of_range(options):
    for label in (7, -1):
        with pytest.raises(IndexError, match=rf"{label}.*\[0, 7\)"):
            F.cross_entropy(zeros(2, 7), tensor([0, label]), **options)


def test_wrong_targets():
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\), got \(3,\)"):
        F.cross_entropy(zeros(2, 7), tensor([0, 1, 2]))
    with pytest.raises(RuntimeError, match="labels must be integers, got float32"):
        F.cross_entropy(zeros(2, 7), tensor([0.0, 1.0]))
    with pytest.raises(RuntimeError, match="class probabilities"):
        F.cross_entropy(zeros(2, 2), tensor([[0, 1], [1, 0]]))
    with pytest.raises(ValueError, match="must be the same as input size"):
        F.binary_cross_entropy(zeros(2), zeros(2, 1))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(tensor([1.5]), zeros(1))
    with pytest.raises(ValueError, match="negative"):
        F.gaussian_nll_loss(zeros(2), zeros(2), tensor([-1.0, 1.0]))
    with pytest.raises(ValueError, match="incorrect size"):
        F.gaussian_nll_loss(zeros(2, 3), zeros(2, 3), tensor([1.0, 1.0, 1.0, 1.0]))


def test_wrong_options():
    with pytest.raises(ValueError, match="'maen' is not a valid reduction"):
        F.mse_loss(zeros(2), zeros(2), reduction="maen")
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(zeros(2, 3), tensor([0, 1]), label_smoothing=2.0)
    with pytest.raises(ValueError, match="delta"):
        F.huber_loss(zeros(2), zeros(2), delta=0.0)
    with pytest.raises(ValueError, match="beta"):
        F.smooth_l1_loss(zeros(2), zeros(2), beta=-1.0)


def test_broadcasting_a_target_warns():
    """[N, 1] against [N] makes N × N differences: the best known way to train on nonsense."""
    for loss in (F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss):
        with pytest.warns(UserWarning, match=r"target size \(4,\).*input size \(4, 1\)"):
            loss(zeros(4, 1), zeros(4))


# ---- Modules ----


def test_modules_pass_their_options_on():
    x, y = tensor(NUMBERS), tensor(OTHERS)
    labels = tensor([0, 2, 1, 1])
    w = tensor(CLASS_WEIGHTS[:3])
    p, t = tensor(PROBABILITIES), tensor(TARGETS)
    pairs = [
        (nn.MSELoss(reduction="sum")(x, y), F.mse_loss(x, y, reduction="sum")),
        (nn.L1Loss(reduction="none")(x, y), F.l1_loss(x, y, reduction="none")),
        (nn.SmoothL1Loss(beta=0.3)(x, y), F.smooth_l1_loss(x, y, beta=0.3)),
        (nn.HuberLoss(delta=0.3)(x, y), F.huber_loss(x, y, delta=0.3)),
        (
            nn.CrossEntropyLoss(w, ignore_index=1, label_smoothing=0.2)(x, labels),
            F.cross_entropy(x, labels, w, ignore_index=1, label_smoothing=0.2),
        ),
        (nn.NLLLoss(w, ignore_index=1)(x, labels), F.nll_loss(x, labels, w, ignore_index=1)),
        (nn.BCELoss(w)(p, t), F.binary_cross_entropy(p, t, w)),
        (
            nn.BCEWithLogitsLoss(pos_weight=w)(x, t),
            F.binary_cross_entropy_with_logits(x, t, pos_weight=w),
        ),
        (
            nn.KLDivLoss(reduction="batchmean", log_target=True)(x, y),
            F.kl_div(x, y, reduction="batchmean", log_target=True),
        ),
        (
            nn.GaussianNLLLoss(full=True, eps=0.5)(x, y, p),
            F.gaussian_nll_loss(x, y, p, full=True, eps=0.5),
        ),
    ]
    for found, expected in pairs:
        assert np.array_equal(found.array, expected.array)
    assert list(nn.CrossEntropyLoss(w).state_dict()) == ["weight"]


def test_margin_modules_pass_their_options_on():
    x, y, z = tensor(NUMBERS), tensor(OTHERS), tensor(WEIGHTS)
    signs, labels = tensor(np.sign(OTHERS)), tensor([0, 2, 1, 1])
    lists = tensor([[0, -1, 2], [1, 2, -1], [-1, 0, 1], [2, 2, 2]])
    first = lambda a, b: (a - b).abs().amax(-1)
    pairs = [
        (
            nn.PoissonNLLLoss(False, True, eps=0.1)(z, y),
            F.poisson_nll_loss(z, y, False, True, eps=0.1),
        ),
        (nn.SoftMarginLoss(reduction="sum")(x, signs), F.soft_margin_loss(x, signs) * 12),
        (nn.HingeEmbeddingLoss(0.3)(x, signs), F.hinge_embedding_loss(x, signs, 0.3)),
        (nn.MarginRankingLoss(0.3)(x, y, signs), F.margin_ranking_loss(x, y, signs, 0.3)),
        (
            nn.CosineEmbeddingLoss(0.3)(x, y, signs[:, 0]),
            F.cosine_embedding_loss(x, y, signs[:, 0], 0.3),
        ),
        (
            nn.MultiMarginLoss(2, 0.3, z[0])(x, labels),
            F.multi_margin_loss(x, labels, 2, 0.3, z[0]),
        ),
        (nn.MultiLabelMarginLoss()(x, lists), F.multilabel_margin_loss(x, lists)),
        (nn.MultiLabelSoftMarginLoss(z)(x, y), F.multilabel_soft_margin_loss(x, y, z)),
        (
            nn.TripletMarginLoss(2.0, 1.0, 0.1, True)(x, y, z),
            F.triplet_margin_loss(x, y, z, 2.0, 1.0, 0.1, True),
        ),
        (
            nn.TripletMarginWithDistanceLoss(distance_function=first, margin=2.0, swap=True)(
                x, y, z
            ),
            F.triplet_margin_with_distance_loss(
                x, y, z, distance_function=first, margin=2.0, swap=True
            ),
        ),
    ]
    for found, expected in pairs:
        np.testing.assert_allclose(found.array, expected.array, rtol=1e-12)


def test_labels_out_of_range_are_named_with_their_place():
    with pytest.raises(IndexError, match=r"Target 5 .* 5 classes.* \[0, 5\).* target\[1, 0\]"):
        F.cross_entropy(zeros(2, 5, 3), tensor([[0, 1, 2], [5, 4, -100]]))
    with pytest.raises(IndexError, match=r"nll_loss: Target -1 .* target\[2\]"):
        F.nll_loss(zeros(3, 5), tensor([0, -100, -1]))
    with pytest.raises(IndexError, match=r"multi_margin_loss: Target 3 .* target\[1\]"):
        F.multi_margin_loss(zeros(2, 3), tensor([0, 3]))
    with pytest.raises(IndexError, match=r"multilabel_margin_loss: Target 3 .* target\[0, 1\]"):
        F.multilabel_margin_loss(zeros(1, 3), tensor([[0, 3, -1]]))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"cross_entropy.*\(2, 5\).*\(2,\), got \(3,\)"):
        F.cross_entropy(zeros(2, 5), tensor([0, 1, 2]))
    with pytest.raises(RuntimeError, match=r"weight.* 5 classes.*got \(4,\)"):
        F.cross_entropy(zeros(2, 5), tensor([0, 1]), zeros(4))
    with pytest.raises(ValueError, match=r"multi_margin_loss.*\(2, 3\).*\(3,\)"):
        F.multi_margin_loss(zeros(2, 3), tensor([0, 1, 2]))
    with pytest.raises(ValueError, match=r"inconsistent target size \(2,\).*\(2, 3\)"):
        F.multilabel_margin_loss(zeros(2, 3), tensor([0, 1]))
    with pytest.raises(RuntimeError, match=r"as many axes.*\(3, 2\) and \(3,\)"):
        F.margin_ranking_loss(zeros(3, 2), zeros(3, 2), zeros(3))
    with pytest.raises(RuntimeError, match=r"as many axes.*\(3, 2\) and \(2,\)"):
        F.triplet_margin_loss(zeros(3, 2), zeros(3, 2), zeros(2))
    with pytest.raises(RuntimeError, match=r"target \[N\].*\(3, 2\) and \(3, 2\)"):
        F.cosine_embedding_loss(zeros(3, 2), zeros(3, 2), zeros(3, 2))
    with pytest.raises(ValueError, match=r"same size, got \(2,\) and \(3, 2\)"):
        F.mse_loss(zeros(3, 2), zeros(3, 2), weight=zeros(2))


def test_soft_margin_neither_overflows_nor_loses_digits():
    x = tensor([-1000.0, 1000.0, 40.0], requires_grad=True)
    losses = F.soft_margin_loss(x, tensor([1.0, 1.0, 1.0]), reduction="none")
    np.testing.assert_allclose(losses.array, [1000, 0, math.exp(-40)], rtol=1e-6)
    losses.sum().backward()
    np.testing.assert_allclose(x.grad.array, [-1, 0, -math.exp(-40)], rtol=1e-5)


def test_second_derivatives_of_composed_losses():
    """Cross-entropy's Hessian is diag(p) − p pᵀ, also by way of the fused op."""
    logits = tensor(RNG.standard_normal((1, 4)), dtype=float64, requires_grad=True)
    (first,) = grad(F.cross_entropy(logits, tensor([2])), logits, create_graph=True)
    e = np.exp(logits.array[0])
    p = e / e.sum()
    for i, row in enumerate(np.diag(p) - np.outer(p, p)):
        (second,) = grad(first[0, i], logits, retain_graph=True)
        np.testing.assert_allclose(second.array[0], row, rtol=1e-9, atol=1e-12)
