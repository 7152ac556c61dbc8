"""Multi-head attention against PyTorch's, in all its layouts and with all its masks."""

import itertools
import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn

N, L, S, E, H = 2, 3, 4, 6, 2
RNG = np.random.default_rng(0)
QUERY, KEY, VALUE = (RNG.standard_normal((N, T, E)) for T in (L, S, S))
ATTN_MASKS = {
    "none": None,
    "bool": np.triu(np.ones((L, S), bool), 2),
    "float": RNG.standard_normal((L, S)),
    "per head": RNG.standard_normal((N * H, L, S)),
}
PADDING = np.zeros((N, S), bool)
PADDING[0, -1] = PADDING[1, 1:3] = True


def results(library, layer, query, key, value, **options):
    """Outputs, weights, and gradients of everything, under cotangents that are not all ones."""
    make = lambda a: library.tensor(a) if isinstance(a, np.ndarray) else a
    inputs = [make(np.ascontiguousarray(a)).requires_grad_() for a in (query, key, value)]
    out, weights = layer(*inputs, **{k: make(v) for k, v in options.items()})
    cotangent = np.random.default_rng(1).standard_normal(tuple(out.shape))
    total = (out * make(cotangent)).sum()
    if weights is not None:
        total = total + (weights * weights).sum()
    total.backward()
    arrays = [out, *[weights] * (weights is not None)]
    gradients = [x.grad for x in (*inputs, *layer.parameters())]
    return [x.detach().numpy() for x in arrays + gradients]


def pair(torch, **settings):
    """Our layer and PyTorch's, in float64 and with the same weights."""
    theirs = torch.nn.MultiheadAttention(E, H, **settings).double()
    ours = nn.MultiheadAttention(E, H, **settings).double()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    state = {k: RNG.standard_normal(tuple(v.shape)) for k, v in theirs.state_dict().items()}
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    ours.load_state_dict(state)
    return ours, theirs


def assert_same(torch, ours, theirs, arrays, **options):
    found = results(tg, ours, *arrays, **options)
    expected = results(torch, theirs, *arrays, **options)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11)


@pytest.mark.filterwarnings("ignore:Support for mismatched")  # torch, of masks of two types
@pytest.mark.parametrize("mask", ATTN_MASKS)
@pytest.mark.parametrize("padding", [None, PADDING, np.where(PADDING, -1.5, 0.0)])
@pytest.mark.parametrize("need_weights", [False, True])
def test_masks_are_pytorchs(mask, padding, need_weights):
    torch = pytest.importorskip("torch")
    for averaged, appended in itertools.product((False, True), (False, True)):
        settings = {"batch_first": True, "add_bias_kv": appended, "add_zero_attn": appended}
        options = {"key_padding_mask": padding, "attn_mask": ATTN_MASKS[mask],
                   "need_weights": need_weights, "average_attn_weights": averaged}  # fmt: skip
        assert_same(torch, *pair(torch, **settings), (QUERY, KEY, VALUE), **options)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("widths", [{}, {"kdim": 5, "vdim": 4}])
@pytest.mark.parametrize("layout", ["batch first", "batch second", "no batch"])
def test_layouts_are_pytorchs(layout, widths, bias):
    torch = pytest.importorskip("torch")
    arrays = (QUERY, KEY[..., : widths.get("kdim")], VALUE[..., : widths.get("vdim")])
    if layout == "no batch":
        arrays = [a[0] for a in arrays]
    elif layout == "batch second":
        arrays = [a.swapaxes(0, 1) for a in arrays]
    ours, theirs = pair(torch, bias=bias, batch_first=layout == "batch first", **widths)
    assert_same(torch, ours, theirs, arrays)
    assert_same(torch, ours, theirs, arrays, need_weights=False)


def test_self_attention_is_the_same_on_its_own_path():
    layer, x = nn.MultiheadAttention(E, H, batch_first=True).double(), tg.tensor(QUERY)
    once, thrice = layer(x, x, x)[0], layer(x, x.clone(), x.clone())[0]
    np.testing.assert_allclose(once.array, thrice.array, rtol=1e-12)


@pytest.mark.parametrize("mask", [None, "causal", "padding"])
def test_self_attention_in_float32_reads_the_packed_projection(mask):
    layer, x = nn.MultiheadAttention(E, H, batch_first=True), tg.randn(N, S, E, requires_grad=True)
    options = {
        None: {},
        "causal": {"attn_mask": tg.tensor(np.triu(np.ones((S, S), bool), 1)), "is_causal": True},
        "padding": {"key_padding_mask": tg.tensor(PADDING)},
    }[mask]
    results = []
    for need_weights in (False, True):  # one runs on the kernel, one is a composition
        out = layer(x, x, x, need_weights=need_weights, **options)[0]
        cotangent = tg.tensor(np.random.default_rng(2).standard_normal(out.shape, np.float32))
        leaves = (x, *layer.parameters())
        results.append([out, *tg.autograd.grad(out, leaves, cotangent)])
    for a, b in zip(*results):
        np.testing.assert_allclose(a.detach().array, b.detach().array, rtol=1e-4, atol=1e-5)


def test_causal_hint_is_the_causal_mask():
    layer, x = nn.MultiheadAttention(E, H, batch_first=True).double(), tg.tensor(KEY)
    mask = tg.tensor(np.triu(np.ones((S, S), bool), 1))
    masked = layer(x, x, x, attn_mask=mask)[0]
    hinted = layer(x, x, x, attn_mask=mask, is_causal=True, need_weights=False)[0]
    np.testing.assert_allclose(hinted.array, masked.array, rtol=1e-9)
    padding = tg.tensor(np.arange(S) == S - 1).expand(N, S)
    for options in ({}, {"need_weights": False, "key_padding_mask": padding}):  # not to be dropped
        plain, hinted = (layer(x, x, x, attn_mask=mask, is_causal=hint, **options)[0]
                         for hint in (False, True))  # fmt: skip
        np.testing.assert_allclose(hinted.array, plain.array, rtol=1e-12)
    with pytest.raises(RuntimeError, match="give attn_mask as well"):
        layer(x, x, x, is_causal=True)


def test_a_query_that_sees_nothing_gets_the_output_bias_and_no_nan():
    layer = nn.MultiheadAttention(E, H, batch_first=True)
    q, k = tg.randn(N, L, E, requires_grad=True), tg.randn(N, S, E)
    mask = tg.zeros(N, S).bool()
    mask[1] = True
    for need_weights in (False, True):
        out, weights = layer(q, k, k, key_padding_mask=mask, need_weights=need_weights)
        np.testing.assert_allclose(out.array[1], 0, atol=1e-7)  # which starts as zeros
        (g,) = tg.autograd.grad(out.sum(), q)
        assert np.isfinite(g.array).all() and out.dtype == np.float32
    assert not weights.array[1].any() and np.allclose(weights.array[0].sum(-1), 1)


def test_initial_weights():
    layer = nn.MultiheadAttention(64, 4)
    bound = math.sqrt(6 / (64 + 3 * 64))
    weight = layer.in_proj_weight.array
    assert 0.95 * bound < np.abs(weight).max() <= bound
    assert not layer.in_proj_bias.array.any() and not layer.out_proj.bias.array.any()
    assert list(layer.state_dict()) == [
        "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias",
    ]  # fmt: skip
    assert "q_proj_weight" in nn.MultiheadAttention(4, 2, kdim=3).state_dict()


def test_dropout_is_for_training():
    layer, x = nn.MultiheadAttention(E, H, dropout=0.5, batch_first=True), tg.randn(N, L, E)
    weights = layer(x, x, x, average_attn_weights=False)[1].array
    assert (weights == 0).any()
    assert not (layer.eval()(x, x, x, average_attn_weights=False)[1].array == 0).any()


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="divisible by num_heads, got 5 and 2"):
        nn.MultiheadAttention(5, 2)
    layer, x = nn.MultiheadAttention(E, H, batch_first=True), tg.randn(N, L, E)
    with pytest.raises(RuntimeError, match=r"last axes must be \(6, 6, 6\).*key \(2, 3, 5\)"):
        layer(x, x[..., :5], x)
    with pytest.raises(RuntimeError, match=r"a value for each key.*key \(2, 3, 6\) and value"):
        layer(x, x, x[:, :2])
    with pytest.raises(RuntimeError, match=r"2 \(no batch\).*value \(3, 6\)"):
        layer(x, x, x[0])
    with pytest.raises(RuntimeError, match=r"attn_mask is \(3, 2\).*\(3, 3\) or \(4, 3, 3\)"):
        layer(x, x, x, attn_mask=tg.zeros(3, 2))
    with pytest.raises(RuntimeError, match=r"key_padding_mask is \(3, 2\).*\(2, 3\)"):
        layer(x, x, x, key_padding_mask=tg.zeros(3, 2))
