"""RNN, GRU and LSTM against PyTorch's: outputs, gradients, training; and against their cells."""

import copy
import math

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn

T, N, I, H = 4, 3, 5, 6
LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2, "bias": False}),
    ("RNN", {"bidirectional": True, "num_layers": 3}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("GRU", {"bias": False, "bidirectional": True}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"num_layers": 2, "proj_size": 2, "batch_first": True}),
    ("LSTM", {"bidirectional": True, "proj_size": 2, "bias": False, "num_layers": 2}),
]
CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu", "bias": False}), ("GRUCell", {}),
         ("LSTMCell", {}), ("LSTMCell", {"bias": False})]  # fmt: skip


def flat(outputs) -> list:
    return [y for x in outputs for y in flat(x)] if isinstance(outputs, tuple) else [outputs]


def pair(torch, name, options):
    theirs = getattr(torch.nn, name)(I, H, **options).double()
    ours = getattr(nn, name)(I, H, **options).double()
    state = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    assert list(state) == list(ours.state_dict())
    ours.load_state_dict(state)
    return ours, theirs


def results(library, layer, input, state):
    """Outputs and gradients of input, state and weights under random cotangents."""
    make = lambda a: library.tensor(a, requires_grad=True)
    x, hx = make(input), [make(a) for a in state]
    given = (None if not hx else hx[0] if len(hx) == 1 else tuple(hx),)
    outputs = flat(layer(x, *given))
    rng = np.random.default_rng(1)
    sum((y * library.tensor(rng.standard_normal(tuple(y.shape)))).sum() for y in outputs).backward()
    gradients = [p.grad for p in (x, *hx, *layer.parameters())]
    return [y.detach().numpy() for y in outputs + gradients]


def assert_same(torch, ours, theirs, *arrays):
    found, expected = results(tg, ours, *arrays), results(torch, theirs, *arrays)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(("name", "options"), LAYERS)
def test_layers_are_pytorchs(name, options, stated, batched):
    torch = pytest.importorskip("torch")
    ours, theirs = pair(torch, name, options)
    rng = np.random.default_rng(0)
    batch = (N,) if batched else ()
    x = rng.standard_normal((T, *batch, I))
    if batched and options.get("batch_first"):
        x = x.swapaxes(0, 1).copy()
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    sizes = [options.get("proj_size", H), H][: 1 + (name == "LSTM")]
    state = [rng.standard_normal((count, *batch, size)) for size in sizes] if stated else []
    assert_same(torch, ours, theirs, x, state)


@pytest.mark.parametrize("batch", [(), (N,)])
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(("name", "options"), CELLS)
def test_cells_are_pytorchs(name, options, stated, batch):
    torch = pytest.importorskip("torch")
    ours, theirs = pair(torch, name, options)
    rng = np.random.default_rng(0)
    state = [rng.standard_normal((*batch, H)) for _ in range(1 + (name == "LSTMCell"))] * stated
    assert_same(torch, ours, theirs, rng.standard_normal((*batch, I)), state)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_a_training_run_is_pytorchs(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x, target = rng.standard_normal((N, T, I)), rng.standard_normal((N, T, H))
    runs = []
    layers = pair(torch, name, {"batch_first": True})
    for library, layer in zip((tg, torch), layers):
        optimizer = library.optim.SGD(layer.parameters(), lr=0.5, momentum=0.5)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            out = layer(library.tensor(x))[0]
            loss = ((out - library.tensor(target)) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        runs.append(losses)
    np.testing.assert_allclose(runs[0], runs[1], rtol=1e-10)
    assert runs[0][-1] < 0.9 * runs[0][0]


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_a_layer_repeats_its_cell(name):
    layer, cell = getattr(nn, name)(I, H), getattr(nn, f"{name}Cell")(I, H)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, state = tg.randn(T, N, I), None
    output, last = layer(x)
    for t in range(T):
        state = cell(x[t], state)
        np.testing.assert_allclose(output.array[t], flat(state)[0].array, rtol=1e-5, atol=1e-6)
    for a, b in zip(flat(last), flat(state), strict=True):
        np.testing.assert_allclose(a.array[0], b.array, rtol=1e-5, atol=1e-6)
    assert output.dtype == np.float32


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_second_derivatives(name):
    layer = getattr(nn, name)(2, 3, bidirectional=True).double()
    first = lambda x, w: tg.nn.functional.tanh(layer(x)[0]) * w
    x, w = (tg.randn(2, 2, n, dtype=tg.float64, requires_grad=True) for n in (2, 6))
    assert tg.autograd.gradgradcheck(first, (x, w))


def test_initial_weights_are_uniform():
    layer = nn.LSTM(8, 25, num_layers=2)
    for param in layer.parameters():
        assert 0.15 < np.abs(param.array).max() <= 1 / math.sqrt(25)
    assert repr(nn.GRU(3, 4, 2, batch_first=True)).startswith(
        "GRU(3, 4, num_layers=2, batch_first=True)"
    )
    assert repr(nn.LSTMCell(3, 4, bias=False)).startswith("LSTMCell(3, 4, bias=False)")


def test_dropout_acts_between_layers_while_training():
    layer, x = nn.GRU(I, H, num_layers=2, dropout=0.5), tg.randn(T, N, I)
    layer.flatten_parameters()
    assert not np.array_equal(layer(x)[0].array, layer(x)[0].array)
    layer.eval()
    assert np.array_equal(layer(x)[0].array, layer(x)[0].array)
    with pytest.warns(UserWarning, match=r"dropout=0\.5 does nothing"):
        nn.GRU(I, H, dropout=0.5)


def test_a_copy_is_its_own():
    layer, x = nn.RNN(I, H, nonlinearity="relu"), tg.randn(T, N, I)
    twin = copy.deepcopy(layer)
    assert np.array_equal(twin(x)[0].array, layer(x)[0].array)
    twin.weight_hh_l0.detach().fill_(0.0)
    assert not np.array_equal(twin(x)[0].array, layer(x)[0].array)


def test_what_does_not_fit_is_named():
    layer = nn.LSTM(I, H)
    with pytest.raises(RuntimeError, match=r"Expected 5, got an input of shape \(4, 3, 2\)"):
        layer(tg.randn(4, 3, 2))
    with pytest.raises(ValueError, match=r"2D or 3D, got shape \(5,\)"):
        layer(tg.randn(5))
    with pytest.raises(RuntimeError, match=r"larger than 0, got an input of shape \(0, 3, 5\)"):
        layer(tg.randn(0, 3, 5))
    with pytest.raises(RuntimeError, match=r"\(h, c\) of shapes \(1, 3, 6\), \(1, 3, 6\), got"):
        layer(tg.randn(4, 3, 5), tg.randn(1, 3, 6))
    with pytest.raises(RuntimeError, match=r"size shape \(3, 6\), got \(2, 6\)"):
        nn.GRUCell(I, H)(tg.randn(3, 5), tg.randn(2, 6))
    with pytest.raises(ValueError, match="'tanh' or 'relu', got 'sine'"):
        nn.RNN(I, H, nonlinearity="sine")
    with pytest.raises(ValueError, match="hidden_size must be greater than zero"):
        nn.GRU(I, 0)
    with pytest.raises(ValueError, match="proj_size less than"):
        nn.LSTM(I, H, proj_size=H)
    with pytest.raises(ValueError, match="probability"):
        nn.LSTM(I, H, 2, dropout=1.5)
