"""The U-Net: shapes, gradients, the same numbers as in PyTorch, and mistakes."""

import pathlib
import sys

import numpy as np
import pytest

import tinygen as tg
from tinygen.models.diffusion import DDPM
from tinygen.nn import UNet

f64 = {"dtype": tg.float64}
TINY = {"channels": 4, "channel_mults": (1, 2), "groups": 2}


def draw(network, std=0.3):
    """Weights that are not zero."""
    for p in network.parameters():
        tg.nn.init.normal_(p, std=std)
    return network


@pytest.mark.parametrize("options, side", [
    ({}, (8, 12)), ({"channel_mults": (1,), "attention_levels": ()}, (3, 5)),
    ({"channel_mults": (1, 1, 2, 2), "attention_levels": (0, 2), "heads": 2, "blocks": 2}, (8, 8)),
])  # fmt: skip
def test_it_starts_with_0_and_then_depends_on_all_it_is_told(options, side):
    network = UNet(3, **{**TINY, **options}, num_classes=2, class_dropout=0.0)
    x, t, classes = tg.randn(5, 3, *side), tg.rand(5), tg.tensor([0, 1, 0, 1, 1])
    np.testing.assert_array_equal(network(x, t, classes).array, np.zeros(x.shape))
    y = draw(network)(x, t, classes).array
    assert y.shape == x.shape
    changed = [
        network(x + 0.1, t, classes),
        network(x, t + 0.1, classes),
        network(x, t, 1 - classes),
    ]
    for other in changed:
        assert np.abs(other.array - y).max(axis=(1, 2, 3)).min() > 1e-3
    one = network(x[2:3], t[2:3], classes[2:3]).array
    np.testing.assert_allclose(y[2:3], one, rtol=1e-3, atol=1e-4)  # no image looks at another
    (network(x, t, classes) ** 2).sum().backward()
    assert all(p.grad is not None and p.grad.array.any() for p in network.parameters()
               if p is not network.classes.embedding.weight)  # fmt: skip


def test_gradients():
    network = draw(UNet(1, **TINY, num_classes=3, class_dropout=0.0).double())
    network.embedding.frequencies.array[:] = [1.0, 3.0]
    t, classes = tg.rand(2, **f64), tg.tensor([0, 2])
    x = tg.randn(2, 1, 4, 2, **f64, requires_grad=True)
    tg.autograd.gradcheck(lambda x: network(x, t, classes), x)
    parameters, g = list(network.parameters()), tg.randn(x.shape, **f64)
    directions = [tg.randn(p.shape, **f64).array for p in parameters]

    def along(step):
        for p, d in zip(parameters, directions):
            p.array[...] += step * d
        value = (network(x, t, classes) * g).sum().item()
        for p, d in zip(parameters, directions):
            p.array[...] -= step * d
        return value

    network(x, t, classes).backward(g)
    slope = sum((p.grad.array * d).sum() for p, d in zip(parameters, directions))
    assert slope == pytest.approx((along(1e-6) - along(-1e-6)) / 2e-6, rel=1e-6)


def test_the_same_network_in_pytorch():
    torch = pytest.importorskip("torch")
    sys.path.append(str(pathlib.Path(__file__).parents[2]))
    from benchmarks.unet_in_torch import UNet as Theirs

    options = {"channels": 8, "channel_mults": (1, 2, 2), "blocks": 2, "attention_levels": (1,),
               "heads": 2, "groups": 4, "num_classes": 3, "class_dropout": 0.0}  # fmt: skip
    ours, theirs = draw(UNet(2, **options).double(), 0.1), Theirs(2, **options).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 2, 2, 8, 12))
    t, classes = rng.random(2), np.array([2, 0])
    y = ours(tg.tensor(x), tg.tensor(t), tg.tensor(classes))
    expected = theirs(torch.tensor(x), torch.tensor(t), torch.tensor(classes))
    np.testing.assert_allclose(y.array, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
    y.backward(tg.tensor(g)), expected.backward(torch.tensor(g))
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(
            p.grad.array, q.grad.numpy(), rtol=1e-4, atol=1e-5 * np.abs(q.grad.numpy()).max(),
            err_msg=name,
        )  # fmt: skip


# ---- Mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, sentence", [
    ((2, 1, 28, 30), r"be multiples of 4; got 28 × 30: pad them to 28 × 32"),
    ((2, 1, 7, 8), "got 7 × 8: pad them to 8 × 8, or take fewer channel_mults"),
    ((2, 1, 0, 8), "got 0 × 8: pad them to 4 × 8"),
    ((2, 3, 8, 8), r"takes images \[B, 1, H, W\]; got \[2, 3, 8, 8\]"),
    ((2, 8, 8), r"takes images \[B, 1, H, W\]; got \[2, 8, 8\]"),
])  # fmt: skip
def test_images_that_do_not_fit_get_a_sentence(shape, sentence):
    network = UNet(channels=8, channel_mults=(1, 1, 1), attention_levels=())
    with pytest.raises(ValueError, match=sentence):
        network(tg.zeros(shape), tg.rand(2))


@pytest.mark.parametrize("options, sentence", [
    ({"channel_mults": ()}, "channel_mults has a number for each level, and there is none"),
    ({"attention_levels": (0, 3)}, "attention_levels has 3, but levels are counted from 0 to 2"),
    ({"channels": 12}, r"divisible by groups=8 and heads=1; 12 · 1 = 12 are not"),
    ({"heads": 3}, r"divisible by groups=8 and heads=3; 32 · 1 = 32 are not"),
])  # fmt: skip
def test_levels_that_do_not_fit_get_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        UNet(**options)


def test_wrong_use_of_a_model_of_it_gets_a_sentence():
    x, classes = tg.randn(4, 1, 4, 4), tg.tensor([0, 2, 0, 2])
    with pytest.raises(ValueError, match="this UNet knows no classes: make it with num_classes"):
        UNet(**TINY)(x, tg.rand(4), classes)
    model = DDPM(UNet(**TINY, num_classes=3, class_dropout=0.5), steps=10)
    with pytest.raises(RuntimeError, match="DDPM: this model was never trained"):
        model.sample(x.shape)
    for _ in range(5):
        model.loss(x, classes)
    with pytest.raises(ValueError, match=r"trained with 10 steps.*cannot be sampled in 11"):
        model.sample(x.shape, steps=11)
    with pytest.raises(ValueError, match=r"class 1 was never trained; those that were: \[0, 2\]"):
        model.sample(x.shape, steps=2, condition=tg.tensor([0, 1, 2, 0]), guidance=2.0)
    found = model.sample(x.shape, steps=2, condition=classes, guidance=2.0)
    assert found.shape == x.shape and not found.requires_grad
