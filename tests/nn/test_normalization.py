"""Normalisation layers: running statistics, errors, and a whole training beside PyTorch's."""

import numpy as np
import pytest
from torch_twin import assert_close, assert_twins

import tinygen as tg
from tinygen import nn, ones, randn, tensor, zeros
from tinygen.nn import functional as F


@pytest.mark.parametrize(
    ("name", "options", "keywords", "shape"),
    [
        ("BatchNorm1d", (4,), {}, (5, 4)),
        ("BatchNorm1d", (4,), {"momentum": None}, (2, 4, 3)),
        ("BatchNorm2d", (4,), {"eps": 0.1, "momentum": 0.3}, (2, 4, 3, 2)),
        ("BatchNorm2d", (4,), {"affine": False}, (2, 4, 3, 2)),
        ("BatchNorm2d", (4,), {"bias": False}, (2, 4, 3, 2)),
        ("BatchNorm2d", (4,), {"track_running_stats": False}, (2, 4, 3, 2)),
        ("BatchNorm3d", (2,), {}, (2, 2, 3, 2, 2)),
        ("InstanceNorm1d", (4,), {}, (2, 4, 3)),
        ("InstanceNorm1d", (4,), {"affine": True}, (4, 3)),
        ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (3, 4, 3, 2)),
        ("InstanceNorm3d", (2,), {}, (2, 2, 3, 2, 2)),
        ("GroupNorm", (2, 4), {}, (2, 4, 3, 2)),
        ("GroupNorm", (4, 4), {"eps": 0.1, "bias": False}, (2, 4, 3)),
        ("GroupNorm", (1, 4), {"affine": False}, (2, 4)),
        ("LayerNorm", ((3, 2),), {}, (2, 4, 3, 2)),
        ("RMSNorm", (3,), {}, (2, 3)),
        ("RMSNorm", ((3, 2),), {"eps": 0.1}, (4, 3, 2)),
        ("RMSNorm", (3,), {"elementwise_affine": False}, (2, 3)),
        ("LocalResponseNorm", (3,), {"alpha": 0.5}, (2, 4, 3, 2)),
    ],
)  # fmt: skip
def test_layer_is_torchs(name, options, keywords, shape):
    assert_twins(name, *options, shapes=[shape], **keywords)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CosineSimilarity", {}),
        ("CosineSimilarity", {"dim": 0, "eps": 100.0}),  # a bound that leaves the gradient alone
        ("PairwiseDistance", {}),
        ("PairwiseDistance", {"p": 3.0, "keepdim": True}),
    ],
)
def test_comparison_is_torchs(name, options):
    assert_twins(name, shapes=[(3, 4), (3, 4)], steps=1, **options)


def test_a_training_is_torchs():
    """A small generator: convolution, batch norm, transposed convolution; 20 steps of Adam."""
    torch = pytest.importorskip("torch")

    def model(nn):
        return nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1, padding_mode="circular"),
            nn.BatchNorm2d(4),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=2),
            nn.GroupNorm(2, 4),
            nn.SiLU(),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 2, 3, padding="same"),
        )

    theirs = model(torch.nn).double()
    ours = model(nn).double()
    ours.load_state_dict({k: v.numpy().copy() for k, v in theirs.state_dict().items()})
    libraries = ((tg, ours), (torch, theirs))
    optimizers = [library.optim.Adam(net.parameters(), 0.01) for library, net in libraries]
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch = rng.standard_normal((3, 2, 6, 6))
        losses = []
        for (library, net), optimizer in zip(libraries, optimizers):
            x = library.tensor(batch)
            loss = library.nn.functional.mse_loss(net(x), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        np.testing.assert_allclose(*losses, rtol=1e-9)
    for (key, value), expected in zip(ours.state_dict().items(), theirs.state_dict().values()):
        np.testing.assert_allclose(value.numpy(), expected.numpy(), 1e-7, 1e-9, err_msg=key)
    ours.eval(), theirs.eval()
    assert_close(ours(tensor(batch)), theirs(torch.tensor(batch)))


def test_running_statistics():
    """They approach those of the data, from 0 and 1, and are what evaluation uses."""
    tg.manual_seed(0)
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [randn(8, 2) * 3 + 1 for _ in range(4)]
    for batch in batches:
        layer(batch)
    means = np.mean([b.array.mean(0) for b in batches], 0)
    variances = np.mean([b.array.var(0, ddof=1) for b in batches], 0)
    np.testing.assert_allclose(layer.running_mean.array, means, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.array, variances, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 4 and layer.running_mean.dtype == np.float32
    before = layer.running_mean.array.copy()
    out = layer.eval()(batches[0])
    expected = (batches[0].array - means) / np.sqrt(variances + 1e-5)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4)
    np.testing.assert_array_equal(layer.running_mean.array, before)
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0] and layer.running_var.tolist() == [1, 1]
    assert layer.num_batches_tracked.item() == 0


def test_an_empty_batch_leaves_the_statistics_alone():
    layer = nn.BatchNorm2d(3)
    assert layer(zeros(0, 3, 2, 2)).shape == (0, 3, 2, 2)
    assert layer.running_mean.tolist() == [0] * 3 and layer.running_var.tolist() == [1] * 3


def test_statistics_are_no_part_of_the_graph():
    layer = nn.BatchNorm1d(2)
    for _ in range(2):
        layer(randn(4, 2, requires_grad=True)).sum().backward()
    assert not layer.running_mean.requires_grad and layer.running_mean.grad_fn is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.BatchNorm1d(3)(ones(1, 3)), r"more than 1 value per channel.*size \(1, 3\)"),
        (lambda: nn.InstanceNorm1d(3)(ones(2, 3, 1)), "Expected more than 1 spatial element"),
        (lambda: nn.GroupNorm(3, 3)(ones(1, 3)), "Expected more than 1 value per channel"),
        (lambda: nn.BatchNorm2d(3)(ones(2, 3)), r"expected 4D input \(got 2D"),
        (lambda: nn.BatchNorm1d(3)(ones(2, 4)), "running_mean must have 4 elements.*shape .3,"),
        (lambda: nn.GroupNorm(3, 4), "divisible by num_groups"),
        (lambda: F.group_norm(ones(2, 4, 2), 3), "divisible by num_groups=3"),
        (lambda: F.group_norm(ones(2, 4, 2), 2, ones(3)), "weight must have 4 elements"),
        (lambda: F.rms_norm(ones(2, 4), (3,)), r"normalized_shape=\[3\] must be the end"),
        (lambda: F.layer_norm(ones(2, 4), (4,), ones(3)), r"weight must have the shape \(4,\)"),
        (lambda: F.local_response_norm(ones(2, 4), 2), "Expected 3D or higher"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_evaluation_needs_statistics():
    with pytest.raises(RuntimeError, match="are needed unless training"):
        F.batch_norm(ones(2, 3), None, None)


def test_small_vectors_have_finite_gradients():
    x = zeros(1, 3, requires_grad=True)
    (F.normalize(x) + F.cosine_similarity(x, ones(1, 3))[:, None]).sum().backward()
    assert np.isfinite(x.grad.array).all()
