"""Attention: the fused path and the composed one are one function, and PyTorch's."""

import itertools
import math

import numpy as np
import pytest

import tinygen as tg
from tinygen.autograd import grad
from tinygen.autograd.creation import ones, tensor, zeros
from tinygen.autograd.dtypes import float64
from tinygen.autograd.gradcheck import gradgradcheck
from tinygen.autograd.random import manual_seed, randn
from tinygen.nn import functional as F


def inputs(*lead, queries=5, keys=7, width=4, value_width=4):
    shapes = ((queries, width), (keys, width), (keys, value_width))
    return [randn(*lead, *shape, dtype=float64, requires_grad=True) for shape in shapes]


def by_hand(q, k, v, allowed, scale):
    """The definition, query by query."""
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    for where in np.ndindex(q.shape[:-1]):
        batch, i = where[:-1], where[-1]
        keys = [j for j in range(k.shape[-2]) if allowed[i, j]]
        if keys:
            weights = np.exp([scale * q[where] @ k[(*batch, j)] for j in keys])
            out[where] = sum(w * v[(*batch, j)] for w, j in zip(weights / weights.sum(), keys))
    return out


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("causal", [False, True])
def test_it_is_the_definition_on_both_paths(lead, causal):
    manual_seed(0)
    q, k, v = inputs(*lead)
    allowed = np.tri(5, 7, dtype=bool) if causal else np.ones((5, 7), bool)
    expected = by_hand(q.array, k.array, v.array, allowed, 0.3)
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=0.3)
    composed = F.scaled_dot_product_attention(q, k, v, tensor(allowed), scale=0.3)
    np.testing.assert_allclose(fused.array, expected, rtol=1e-9)
    np.testing.assert_allclose(composed.array, expected, rtol=1e-9)
    cotangent = randn(*fused.shape, dtype=float64)
    for a, b in zip(grad(fused, (q, k, v), cotangent), grad(composed, (q, k, v), cotangent)):
        np.testing.assert_allclose(a.array, b.array, rtol=1e-9, atol=1e-12)


def test_it_is_pytorchs():
    torch = pytest.importorskip("torch")
    manual_seed(1)
    bias = randn(5, 7, dtype=float64)
    bias[0, 2] = -math.inf
    masks = [None, tensor(np.tri(5, 7, -1, dtype=bool)), bias]
    for mask, causal in itertools.product(masks, (False, True)):
        if mask is not None and causal:
            continue
        arrays = inputs(2, 3)
        out = F.scaled_dot_product_attention(*arrays, mask, is_causal=causal)
        cotangent = randn(*out.shape, dtype=float64)
        found = grad(out, arrays, cotangent)
        theirs = [torch.tensor(x.array, requires_grad=True) for x in arrays]
        expected = torch.nn.functional.scaled_dot_product_attention(
            *theirs, None if mask is None else torch.tensor(mask.array), is_causal=causal
        )
        expected.backward(torch.tensor(cotangent.array))
        np.testing.assert_allclose(out.array, expected.detach(), rtol=1e-9, atol=1e-12)
        for ours, x in zip(found, theirs):
            np.testing.assert_allclose(ours.array, x.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shapes", [[(2, 6, 70, 8), (2, 2, 90, 8), (2, 2, 90, 5)],
                                    [(3, 1, 4, 9, 8), (3, 1, 4, 9, 8), (3, 1, 4, 9, 8)],
                                    [(7, 8), (11, 8), (11, 8)],
                                    [(4, 7, 8), (4, 11, 8), (1, 11, 6)]])  # fmt: skip
@pytest.mark.parametrize("mask", [None, "causal", "bools", "numbers", "of keys"])
def test_the_kernel_in_float32_is_pytorchs(shapes, mask):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
    (*lead, L, _), (*_, S, _) = shapes[:2]
    given = None
    if mask in ("bools", "numbers", "of keys"):
        given = rng.standard_normal((1, S) if mask == "of keys" else (*lead[-1:], L, S), np.float32)
        given = given > -1 if mask != "numbers" else np.where(given > 1, -np.inf, given)
    grouped = len(lead) == 2 and shapes[0][1] != shapes[1][1]
    cotangent = rng.standard_normal((*shapes[0][:-1], shapes[2][-1]), np.float32)

    def run(library, attention):
        leaves = [library.tensor(x).requires_grad_() for x in arrays]
        there = None if given is None else library.tensor(given)
        if mask == "numbers":
            there.requires_grad_()
            leaves.append(there)
        out = attention(
            *leaves[:3], there, is_causal=mask == "causal", scale=0.4, enable_gqa=grouped
        )
        out.backward(library.tensor(cotangent))
        return [out.detach().numpy(), *[x.grad.numpy() for x in leaves]]

    expected = run(torch, torch.nn.functional.scaled_dot_product_attention)
    for ours, theirs in zip(run(tg, F.scaled_dot_product_attention), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("p", [0.0, 0.5])
def test_packed_attention_is_attention(dtype, p):
    qkv = randn(2, 70, 3 * 4 * 8, dtype=dtype, requires_grad=True)
    cotangent = randn(2, 70, 4 * 8, dtype=dtype)
    for options in ({"is_causal": True}, {"attn_mask": randn(70, 70, dtype=dtype), "scale": 0.2}):
        q, k, v = qkv.view(2, 70, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
        manual_seed(8)
        apart = F.scaled_dot_product_attention(q, k, v, dropout_p=p, **options)
        apart = apart.transpose(1, 2).flatten(2)
        manual_seed(8)
        packed = F.packed_scaled_dot_product_attention(qkv, 4, dropout_p=p, **options)
        np.testing.assert_allclose(packed.array, apart.array, rtol=1e-5, atol=1e-6)
        for a, b in zip(grad(packed, qkv, cotangent), grad(apart, qkv, cotangent)):
            np.testing.assert_allclose(a.array, b.array, rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError, match=r"\[N, L, 3 \* 5 heads \* width\], got \(2, 70, 96\)"):
        F.packed_scaled_dot_product_attention(qkv, 5)


def test_dropout_has_the_gradient_of_the_mask_it_drew():
    """The kernel draws again backward; the reference multiplies by an explicit mask."""
    q, k, v = (randn(2, 3, 150, 8, requires_grad=True) for _ in range(3))
    cotangent = randn(2, 3, 150, 8)
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.4, is_causal=True)
    kernel = grad(out, (q, k, v), cotangent, retain_graph=True)
    reference = grad(out, (q, k, v), cotangent, create_graph=True)
    for a, b in zip(kernel, reference):
        np.testing.assert_allclose(a.array, b.detach().array, rtol=1e-4, atol=1e-5)


def test_second_derivatives_with_everything():
    def attend(q, k, v, bias):
        manual_seed(2)
        return F.scaled_dot_product_attention(q, k, v, bias, dropout_p=0.3, enable_gqa=True)

    shapes = (1, 2, 3, 2), (1, 1, 4, 2), (1, 1, 4, 3), (3, 4)
    inputs = [randn(*shape, dtype=float64, requires_grad=True) for shape in shapes]
    assert gradgradcheck(attend, inputs)


def test_a_query_that_sees_nothing_gets_zeros_and_no_nan():
    q, k, v = inputs()
    mask = np.ones((5, 7), bool)
    mask[2] = False
    for given in (tensor(mask), tensor(np.where(mask, 0.0, -math.inf))):
        out = F.scaled_dot_product_attention(q, k, v, given)
        assert not out.array[2].any() and out.array[1].any()
        for g in grad(out.sum(), (q, k, v)):
            assert np.isfinite(g.array).all()


def test_gradients_reach_an_additive_mask():
    q, k, v = inputs()
    bias = zeros(5, 7, dtype=float64, requires_grad=True)
    (g,) = grad((F.scaled_dot_product_attention(q, k, v, bias) ** 2).sum(), bias)
    assert g.array.any()
    np.testing.assert_allclose(g.array.sum(1), 0, atol=1e-12)  # softmax ignores a shift of its row


def test_values_of_another_width_and_broadcast_batches():
    q, k, v = inputs(2, 3, value_width=6)
    assert F.scaled_dot_product_attention(q, k, v).shape == (2, 3, 5, 6)
    shared = F.scaled_dot_product_attention(q, k[0, 0], v[0, 0])
    assert shared.shape == (2, 3, 5, 6)
    expected = F.scaled_dot_product_attention(q[:1, :1], k[:1, :1], v[:1, :1])
    np.testing.assert_allclose(shared.array[:1, :1], expected.array, rtol=1e-9)


def test_dropout_drops_weights_and_keeps_the_mean():
    manual_seed(0)
    q, k, v = zeros(1, 1, 2000, 4), zeros(1, 1, 10, 4), ones(1, 1, 10, 4)
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    assert abs(out.array.mean() - 1) < 0.05 and out.array.std() > 0.2
    weights = F.scaled_dot_product_attention(q, k, tensor([[np.eye(10)]]), None, 0.5, True).array
    assert not np.triu(weights[0, 0], 1).any() and abs(weights.sum(-1).mean() - 1) < 0.05


def test_mask_and_causal_together_are_refused():
    with pytest.raises(RuntimeError, match="not both"):
        F.scaled_dot_product_attention(*inputs(), attn_mask=ones(5, 7), is_causal=True)


def test_grouped_queries_share_a_head_of_keys():
    q, k, v = (randn(2, heads, 5, 4, dtype=float64) for heads in (6, 2, 2))
    found = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    for head in range(6):
        alone = F.scaled_dot_product_attention(q[:, head], k[:, head // 3], v[:, head // 3])
        np.testing.assert_allclose(found.array[:, head], alone.array, rtol=1e-12)
    with pytest.raises(RuntimeError, match=r"divide.*query \(2, 6, 5, 4\), key \(2, 4, 5, 4\)"):
        F.scaled_dot_product_attention(q, *[randn(2, 4, 5, 4)] * 2, enable_gqa=True)


def test_shapes_and_masks_that_do_not_fit_are_named():
    q, k, v = inputs()
    with pytest.raises(ValueError, match=r"last axis.*query \(5, 4\), key \(7, 3\)"):
        F.scaled_dot_product_attention(q, k[:, :3], v)
    with pytest.raises(ValueError, match=r"a value for each key.*key \(7, 4\) and value \(6, 4\)"):
        F.scaled_dot_product_attention(q, k, v[:6])
    with pytest.raises(RuntimeError, match=r"\[\.\.\., L, E\].*query \(4,\)"):
        F.scaled_dot_product_attention(q[0], k, v)
    with pytest.raises(RuntimeError, match="must be bool, or floats like the query, float64; got"):
        F.scaled_dot_product_attention(q, k, v, ones(5, 7).long())
