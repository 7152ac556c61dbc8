"""Transformer layers and stacks against PyTorch's: states, outputs, gradients."""

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn

E, H, T, S, N = 6, 2, 4, 3, 2
RNG = np.random.default_rng(0)
SETTINGS = {"d_model": E, "nhead": H, "dim_feedforward": 5, "dropout": 0.0}
PADDING = np.array([[False] * T, [False] * (T - 1) + [True]])


def build(library, name, settings):
    """A layer, a stack of two, or the whole, in float64."""
    modules = library.nn
    if name == "Transformer":
        settings = {**settings, "num_encoder_layers": 2, "num_decoder_layers": 1}
    if name in ("TransformerEncoder", "TransformerDecoder"):
        layer = getattr(modules, f"{name}Layer")(**settings)
        return getattr(modules, name)(layer, 2, modules.LayerNorm(E)).double()
    return getattr(modules, name)(**settings).double()


def results(library, module, arrays, masks):
    make = lambda a: library.tensor(a)
    inputs = [make(a).requires_grad_() for a in arrays]
    out = module(*inputs, **{k: v if isinstance(v, bool) else make(v) for k, v in masks.items()})
    (out * make(np.random.default_rng(1).standard_normal(tuple(out.shape)))).sum().backward()
    gradients = [x.grad for x in (*inputs, *module.parameters())]
    return [x.detach().numpy() for x in (out, *gradients)]


MODULES = ["TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder",
           "TransformerDecoder", "Transformer"]  # fmt: skip
OPTIONS = [{}, {"batch_first": True, "norm_first": True, "activation": "gelu"}, {"bias": False}]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # torch
@pytest.mark.parametrize("settings", OPTIONS)
@pytest.mark.parametrize("name", MODULES)
def test_it_is_pytorchs(name, settings):
    torch = pytest.importorskip("torch")
    ours, theirs = (build(library, name, SETTINGS | settings) for library in (tg, torch))
    state = {k: RNG.standard_normal(tuple(v.shape)) for k, v in theirs.state_dict().items()}
    assert list(state) == list(ours.state_dict())
    theirs.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    ours.load_state_dict(state)
    causal = np.triu(np.full((T, T), -np.inf), 1)
    arrays, masks = [RNG.standard_normal((T, N, E)), RNG.standard_normal((S, N, E))], {}
    if name == "Transformer":
        arrays = arrays[::-1]
        masks = {"tgt_mask": causal, "src_key_padding_mask": PADDING[:, 1:].copy()}
    elif "Decoder" in name:
        masks = {"tgt_mask": causal, "tgt_key_padding_mask": np.where(PADDING, -1.0, 0.0)}
    else:
        arrays = arrays[:1]
        masks = {"src_mask" if "Layer" in name else "mask": causal < 0}
        masks["src_key_padding_mask"] = PADDING
    if settings.get("batch_first"):
        arrays = [a.swapaxes(0, 1).copy() for a in arrays]
    found, expected = results(tg, ours, arrays, masks), results(torch, theirs, arrays, masks)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-10)


def test_causal_encoder_does_not_look_ahead():
    layer = nn.TransformerEncoderLayer(**SETTINGS, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(T)
    x = tg.randn(1, T, E, requires_grad=True)
    (g,) = tg.autograd.grad((layer(x, mask, is_causal=True)[0, 1] ** 3).sum(), x)
    assert g.array[0, :2].any() and not g.array[0, 2:].any() and g.dtype == np.float32


def test_copies_in_a_stack_are_their_own():
    layer = nn.TransformerEncoderLayer(**SETTINGS)
    stack = nn.TransformerEncoder(layer, 2)
    first, second = (next(block.parameters()) for block in stack.layers)
    assert np.array_equal(first.array, second.array) and first is not second
    with pytest.raises(RuntimeError, match="'sine'"):
        nn.TransformerEncoderLayer(4, 2, activation="sine")
