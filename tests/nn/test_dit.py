"""DiT and its text encoder: the paper's arithmetic, what condition and padding change, mistakes."""

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import gradcheck
from tinygen.nn import DiT, TextEncoder

PADDING = 9


def draw(network, std=0.3):
    """Weights that are not zero."""
    for p in network.parameters():
        tg.nn.init.normal_(p, std=std)
    return network


def with_text(dropout=0.0, **options):
    return draw(DiT(1, 2, 16, 2, 2, text=TextEncoder(PADDING, 12, 1, 2, dropout), **options))


def padded(*captions, T):
    return tg.tensor([[*caption, *[PADDING] * (T - len(caption))] for caption in captions])


# ---- The network ---------------------------------------------------------------------------------


def test_it_starts_with_0_and_its_blocks_with_what_they_are_given():
    x, t = tg.randn(3, 2, 4, 6), tg.rand(3)
    network = DiT(2, 2, 8, 2, 2, text=TextEncoder(PADDING, 8))
    found = network(x, t, padded([1, 2], [3], [4, 5, 6], T=3))
    np.testing.assert_array_equal(found.array, np.zeros((3, 2, 4, 6)))
    h, told, text = tg.randn(3, 5, 8), tg.randn(3, 8), tg.randn(3, 3, 8)
    for block in network.blocks:
        np.testing.assert_array_equal(block(h, told, text, None).array, h.array)


def test_without_blocks_each_patch_is_a_function_of_the_same_patch():
    network, x, t = draw(DiT(2, 2, 8, 0, 2)), tg.randn(1, 2, 4, 6), tg.rand(1)
    before = network(x, t).array
    for row, column in ((0, 0), (2, 4), (1, 3)):
        x2 = x.clone()
        x2.array[0, 0, row, column] += 1
        changed = np.argwhere((network(x2, t).array != before).any((0, 1))) // 2
        assert {tuple(place) for place in changed} == {(row // 2, column // 2)}


def test_a_block_is_adaln_zero():
    """h + a₁ attention(γ₁ n(h) + β₁), then the same with the MLP (figure 3), in plain NumPy."""
    rng, width, heads = np.random.default_rng(0), 8, 2
    network = draw(DiT(1, 2, width, 1, heads).double())
    block, weights = network.blocks[0], {k: p.array for k, p in network.named_parameters()}
    get = lambda name: weights[f"blocks.0.{name}"]
    h, told = rng.standard_normal((3, 5, width)), rng.standard_normal((3, width))
    parts = told @ get("modulation.weight").T + get("modulation.bias")
    b1, g1, a1, b2, g2, a2 = (p[:, None] for p in np.split(parts, 6, 1))
    normal = lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)

    qkv = (normal(h) * (1 + g1) + b1) @ get("attention.in_proj_weight").T
    q, k, v = np.split((qkv + get("attention.in_proj_bias")).reshape(3, 5, -1, 4), 3, 2)
    scores = np.exp(np.einsum("bihd,bjhd->bhij", q, k) / 2)
    seen = np.einsum("bhij,bjhd->bihd", scores / scores.sum(-1, keepdims=True), v).reshape(3, 5, -1)
    seen = seen @ get("attention.out_proj.weight").T + get("attention.out_proj.bias")
    expected = h + a1 * seen
    y = (normal(expected) * (1 + g2) + b2) @ get("mlp.0.weight").T + get("mlp.0.bias")
    y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    expected = expected + a2 * (y @ get("mlp.2.weight").T + get("mlp.2.bias"))
    found = block(tg.tensor(h), tg.tensor(told), None, None).array
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_rows_columns_and_time_are_told_apart():
    network = draw(DiT(1, 2, 16, 1, 2))
    positions = network.positions(3, 4, np.float32).array
    assert positions.shape == (12, 16)
    assert len(np.unique(positions.round(4), axis=0)) == 12
    np.testing.assert_array_equal(positions[:4, :8], positions[:1, :8].repeat(4, 0))  # one row
    same = tg.ones(2, 1, 4, 4)
    y = network(same, tg.tensor([0.3, 0.3])).array
    assert y.shape == (2, 1, 4, 4) and len(np.unique(y[0].round(4))) == 16
    np.testing.assert_allclose(y[0], y[1], rtol=1e-5)
    assert np.abs(network(same, tg.tensor([0.3, 0.31])).array[1] - y[1]).min() > 1e-5


@pytest.mark.parametrize("kind", ["class", "text"])
def test_gradients(kind):
    if kind == "text":
        network = DiT(1, 2, 4, 1, 2, text=TextEncoder(3, 6, 1, 2, dropout=0.0))
        condition = tg.tensor([[0, 1, 3], [2, 3, 3]])
        network.text.places.frequencies.array[:] = [1.0, 0.5, 0.1]
    else:
        network = DiT(1, 2, 4, 1, 2, num_classes=3, class_dropout=0.0)
        condition = tg.tensor([2, 0])
    network = draw(network.double())
    network.embedding.frequencies.array[:] = [1.0, 3.0]
    x, t = tg.randn(2, 1, 4, 2, dtype=tg.float64), tg.rand(2, dtype=tg.float64)
    x, t = x.requires_grad_(), t.requires_grad_()
    assert gradcheck(
        lambda x, t: network(x, t, condition), (x.requires_grad_(), t.requires_grad_())
    )

    cotangent = tg.randn(2, 1, 4, 2, dtype=tg.float64)
    value = lambda: (network(x, t, condition) * cotangent).sum()
    value().backward()
    for name, p in network.named_parameters():
        direction = np.random.default_rng(0).standard_normal(p.shape)
        here, found = p.array.copy(), []
        for step in (1e-5, -1e-5):
            p.array[...] = here + step * direction
            found.append(value().item())
        p.array[...] = here
        slope = (p.grad.array * direction).sum()
        assert slope == pytest.approx((found[0] - found[1]) / 2e-5, rel=1e-6, abs=1e-8), name


# ---- Texts ---------------------------------------------------------------------------------------


def test_padding_changes_nothing():
    network, x, t = with_text(), tg.randn(2, 1, 4, 4), tg.rand(2)
    short = network(x, t, padded([1, 2, 3], [4], T=3)).array
    long = network(x, t, padded([1, 2, 3], [4], T=7)).array
    np.testing.assert_allclose(short, long, rtol=1e-4, atol=1e-5)
    network.text.embedding.weight.array[PADDING] += 10
    np.testing.assert_allclose(network(x, t, padded([1, 2, 3], [4], T=7)).array, long, rtol=1e-4,
                               atol=1e-5)  # fmt: skip


def test_every_word_and_its_place_change_every_patch_of_that_image_alone():
    network, x, t = with_text(), tg.randn(2, 1, 4, 4), tg.rand(2)
    before = network(x, t, padded([1, 2, 3], [4, 5], T=3)).array
    for other in ([1, 2, 6], [7, 2, 3], [3, 2, 1], [1, 2], [1, 2, 3, 8]):
        after = network(x, t, padded(other, [4, 5], T=4)).array
        assert np.abs(after[0] - before[0]).min() > 1e-6
        np.testing.assert_allclose(after[1], before[1], rtol=1e-4, atol=1e-5)


def test_training_empties_captions_and_none_is_an_empty_one():
    network = with_text(dropout=0.5)
    x, t = tg.randn(1, 1, 4, 4).expand(64, 1, 4, 4), tg.full((64,), 0.5)
    condition = padded([1, 2, 3], T=4).expand(64, 4)
    trained = network(x, t, condition).array.reshape(64, -1).round(3)
    assert len(np.unique(trained, axis=0)) == 2
    network.eval()
    asked, none = network(x, t, condition).array, network(x, t).array
    assert len(np.unique(asked.reshape(64, -1).round(3), axis=0)) == 1
    null = network.null_condition(condition)
    assert null.shape == condition.shape
    np.testing.assert_allclose(network(x, t, null).array, none, rtol=1e-4, atol=1e-5)
    assert np.abs(asked[0] - none[0]).max() > 1e-2


def test_guidance_takes_both_in_one_call():
    network = with_text(dropout=0.5)
    x, condition = tg.randn(4, 1, 4, 4), padded([1, 2], [3], [2], [1], T=2)
    for _ in range(8):
        network(x, tg.rand(4), condition)
    denoiser = tg.sde.Denoiser(network.eval(), tg.sde.CosineSchedule(), "v")
    guided = tg.sde.classifier_free_guidance(denoiser, condition, 3.0)
    with tg.no_grad():
        t = tg.full((4,), 0.5)
        without, given = network(x, t), network(x, t, condition)
        np.testing.assert_allclose(guided(x, t).array, (without + 3 * (given - without)).array,
                                   rtol=1e-4, atol=1e-4)  # fmt: skip


# ---- Mistakes ------------------------------------------------------------------------------------


def test_mistakes_get_a_sentence():
    x, t = tg.randn(2, 1, 6, 6), tg.rand(2)
    with pytest.raises(ValueError, match="6 × 6 cannot be cut into patches of 4 × 4"):
        DiT(1, 4, 8, 1, 2)(x, t)
    with pytest.raises(ValueError, match=r"takes x \[B, 3, H, W\]; got \[2, 1, 6, 6\]"):
        DiT(3, 2, 8, 1, 2)(x, t)
    for width, heads in ((6, 2), (8, 3)):
        with pytest.raises(ValueError, match="width must be a multiple of 4"):
            DiT(1, 2, width, 1, heads)
    with pytest.raises(ValueError, match="give num_classes or text"):
        DiT(1, 2, 8, 1, 2, num_classes=3, text=TextEncoder(PADDING))
    plain = DiT(1, 2, 8, 1, 2)
    for use in (lambda: plain(x, t, tg.tensor([0, 1])), lambda: plain.null_condition(t)):
        with pytest.raises(ValueError, match="this DiT knows no classes"):
            use()


def test_texts_that_mean_nothing_get_a_sentence():
    encoder = TextEncoder(PADDING, 8, dropout=0.0)
    for wrong in (tg.tensor([1, 2]), tg.tensor([[1.0], [2.0]]), tg.tensor([[1, 2]]),
                  tg.zeros(2, 0, dtype=tg.int64)):  # fmt: skip
        with pytest.raises(ValueError, match=r"a caption of whole numbers a sample, \[2, T\]"):
            encoder(wrong, 2)
    with pytest.raises(ValueError, match="there is no token 10; there are 0 to 8, and 9 for"):
        encoder(tg.tensor([[1, 10]]), 1)
    encoder(padded([1, 2], [4], T=3), 2)
    assert encoder.seen.array.nonzero()[0].tolist() == [1, 2, 4]  # padding is no empty caption
    encoder.eval()
    encoder(padded([4, 1], T=2), 1)
    with pytest.raises(ValueError, match=r"token 3 was in no caption .* 3 of 9 tokens were"):
        encoder(padded([4, 3], T=2), 1)
    with pytest.raises(ValueError, match="never trained without a text"):
        encoder(None, 2)
