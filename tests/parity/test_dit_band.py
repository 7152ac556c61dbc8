"""The band of text_to_digit comes from the same network in PyTorch: with the same weights, it gives
the same numbers, and its loss the same gradients."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

import tinygen as tg

torch = pytest.importorskip("torch")
BAND = pathlib.Path(__file__).parents[2] / "benchmarks" / "bands" / "text_to_digit.py"


@pytest.fixture
def band(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("band_of_text_to_digit", BAND)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_same_network(band):
    ours = band.example.make_model().network
    ours.text.dropout = 0.0
    for p in ours.parameters():
        tg.nn.init.normal_(p, std=0.2)
    twin = band.DiT()
    state = {k: torch.from_numpy(v.numpy().copy()) for k, v in ours.state_dict().items()}
    del state["text.seen"]
    twin.load_state_dict(state)
    x, t = tg.randn(3, 1, 8, 8), tg.rand(3)
    tokens = band.example.tokens_of(["a bold 3", "", "draw a thin digit seven"])
    y = ours(x, t, tokens)
    expected = twin(*(torch.from_numpy(part.numpy().copy()) for part in (x, t, tokens)))
    np.testing.assert_allclose(y.array, expected.detach().numpy(), rtol=1e-3, atol=1e-3)
    (y**2).mean().backward()
    (expected**2).mean().backward()
    gradients = dict(ours.named_parameters())
    for name, p in twin.named_parameters():
        found, size = gradients[name].grad.array, p.grad.abs().max().item()
        np.testing.assert_allclose(found, p.grad.numpy(), rtol=1e-2, atol=1e-3 * size)
