"""Spectral norm and weight norm in both forms, against PyTorch's; parametrisation in general."""

import copy

import numpy as np
import pytest

import tinygen as tg
from tinygen import nn
from tinygen.nn.utils import parametrizations, parametrize

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5))


def unit_norm(torch_or_tg, form: str, kind: str):
    """The function that normalises, in the older or the newer form."""
    utils = torch_or_tg.nn.utils
    return getattr(utils.parametrizations if form == "new" else utils, kind)


def pair(torch, form, kind, **options):
    theirs = unit_norm(torch, form, kind)(torch.nn.Linear(5, 3).double(), **options)
    ours = unit_norm(tg, form, kind)(nn.Linear(5, 3).double(), **options)
    state = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    assert [k for k, _ in ours.named_parameters()] == [k for k, _ in theirs.named_parameters()]
    ours.load_state_dict(state)
    return ours, theirs


KINDS = [
    ("spectral_norm", {}),
    ("spectral_norm", {"dim": 1, "n_power_iterations": 3}),
    ("weight_norm", {}),
    ("weight_norm", {"dim": 1}),
    ("weight_norm", {"dim": None}),
]


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("form", ["old", "new"])
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_values_states_and_training_are_pytorchs(kind, options, form):
    """Over several steps: a power iteration is made at each, but not in evaluation."""
    torch = pytest.importorskip("torch")
    if form == "new" and options == {"dim": None}:
        options = {"dim": -1}  # PyTorch's newer form calls all axes -1
    layers, runs = pair(torch, form, kind, **options), []
    for library, layer in zip((tg, torch), layers):
        optimizer, outputs = library.optim.SGD(layer.parameters(), lr=0.1), []
        for step in range(6):
            layer.train(step % 3 != 2)
            out = layer(library.tensor(X))
            optimizer.zero_grad()
            (out**3).sum().backward()
            optimizer.step()
            outputs.append(out.detach().numpy())
        outputs += [v.detach().numpy() for v in layer.state_dict().values()]
        runs.append(outputs)
    for found, expected in zip(*runs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("form", ["old", "new"])
def test_spectral_norm_divides_by_the_largest_singular_value(form):
    layer = unit_norm(tg, form, "spectral_norm")(nn.Linear(5, 3), n_power_iterations=50)
    layer(tg.randn(1, 5))
    singular = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)
    assert singular[0] == pytest.approx(1, rel=1e-5) and layer.weight.dtype == np.float32
    before = {k: v.array.copy() for k, v in layer.state_dict().items()}
    layer.eval()(tg.randn(1, 5))
    assert all(np.array_equal(v.array, before[k]) for k, v in layer.state_dict().items())


@pytest.mark.parametrize("form", ["old", "new"])
def test_two_passes_before_one_backward(form):
    """loss = D(real) − D(fake), in a GAN: the second must not spoil what the first has kept."""
    layer = unit_norm(tg, form, "spectral_norm")(nn.Linear(5, 3))
    (layer(tg.randn(2, 5)) - layer(tg.randn(2, 5))).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")
@pytest.mark.parametrize("form", ["old", "new"])
@pytest.mark.parametrize("kind", ["spectral_norm", "weight_norm"])
def test_a_gradient_penalty_is_pytorchs(kind, form):
    """It differentiates through the normalised weight twice."""
    torch = pytest.importorskip("torch")
    found = []
    for library, layer in zip((tg, torch), pair(torch, form, kind)):
        x = library.tensor(X, requires_grad=True)
        (slope,) = library.autograd.grad((layer(x) ** 3).sum(), x, create_graph=True)
        (slope**2).sum().backward()
        found.append([p.grad.numpy() for p in layer.parameters()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["spectral_norm", "weight_norm"])
@pytest.mark.parametrize("form", ["old", "new"])
def test_removed_it_is_an_ordinary_layer_that_computes_the_same(form, kind):
    layer = unit_norm(tg, form, kind)(nn.Linear(5, 3)).eval()
    twin = copy.deepcopy(layer)
    x = tg.tensor(X).float()
    before = layer(x).array.copy()
    if form == "new":
        parametrize.remove_parametrizations(layer, "weight")
    else:
        getattr(nn.utils, f"remove_{kind}")(layer)
    np.testing.assert_allclose(layer(x).array, before, rtol=1e-5, atol=1e-6)
    assert sorted(layer.state_dict()) == ["bias", "weight"] and layer.weight.is_leaf
    assert layer.weight.requires_grad
    np.testing.assert_allclose(twin(x).array, before, rtol=1e-6)
    for param in twin.parameters():
        param.detach().fill_(1.0)
    assert not np.allclose(twin(x).array, before)  # the copy has weights, and a hook, of its own


def test_transposed_convolutions_count_rows_along_axis_one():
    class ConvTranspose2d(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(tg.randn(2, 3, 4, 4))

    layer = nn.utils.spectral_norm(ConvTranspose2d())
    assert layer.weight_u.shape == (3,) and layer.weight_v.shape == (32,)
    layer = parametrizations.spectral_norm(ConvTranspose2d())
    assert layer.parametrizations.weight[0]._u.shape == (3,) and layer.weight.shape == (2, 3, 4, 4)


def test_old_forms_refuse_what_is_not_there():
    layer = nn.utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(RuntimeError, match="two weight_norm hooks on the same parameter weight"):
        nn.utils.weight_norm(layer)
    with pytest.raises(ValueError, match="spectral_norm of 'weight' not found in Linear"):
        nn.utils.remove_spectral_norm(layer)
    with pytest.raises(ValueError, match="Linear has no parameter 'gain'"):
        nn.utils.spectral_norm(layer, "gain")
    with pytest.raises(ValueError, match="n_power_iterations=0"):
        nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    with pytest.raises(ValueError, match="Linear has no parameter 'gain'"):
        parametrizations.weight_norm(layer, "gain")
    with pytest.raises(IndexError, match="dim 2 is out of range"):
        parametrizations.spectral_norm(nn.Linear(2, 2), dim=2)


# ---- In general ----------------------------------------------------------------------------------


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT


class Scaled(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, x):
        return x / 2


def test_a_parametrized_weight_is_computed_whenever_it_is_read():
    layer = nn.Linear(3, 3)
    weight = layer.weight
    assert parametrize.register_parametrization(layer, "weight", Symmetric()) is layer
    assert np.array_equal(layer.weight.array, layer.weight.array.T)
    assert layer.parametrizations.weight.original is weight  # an optimizer that has it goes on
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    layer(tg.randn(2, 3)).sum().backward()
    assert weight.grad is not None and not np.tril(weight.grad.array, -1).any()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    assert layer.weight is weight and not parametrize.is_parametrized(layer)


def test_assignment_goes_through_the_right_inverse():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Scaled())
    layer.weight = tg.tensor([[2.0, 4.0], [6.0, 8.0]])
    assert layer.parametrizations.weight.original.array.tolist() == [[1, 2], [3, 4]]
    assert layer.weight.array.tolist() == [[2, 4], [6, 8]]
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert layer.weight.array.tolist() == [[2, 4], [4, 8]]
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]


def test_assignment_to_a_weight_normed_layer_sets_length_and_direction():
    layer = parametrizations.weight_norm(nn.Linear(2, 1))
    layer.weight = tg.tensor([[3.0, 4.0]])
    assert layer.parametrizations.weight.original0.array.tolist() == [[5.0]]
    np.testing.assert_allclose(layer.weight.array, [[3, 4]], rtol=1e-6)


def test_buffers_can_be_parametrized_and_stay_buffers():
    module = nn.Module()
    module.register_buffer("table", tg.ones(2))
    parametrize.register_parametrization(module, "table", Scaled())
    assert module.table.array.tolist() == [1, 1] and not list(module.parameters())
    assert module.parametrizations.table.original.array.tolist() == [0.5, 0.5]
    parametrize.remove_parametrizations(module, "table")
    assert [k for k, _ in module.named_buffers()] == ["table"]


def test_what_parametrize_refuses():
    class Shorter(nn.Module):
        def forward(self, x):
            return x[:1]

    layer = nn.Linear(2, 1)
    layer.weight = nn.Parameter(tg.ones(2, 2))
    with pytest.raises(ValueError, match=r"weight was \(2, 2\) float32, Shorter gives \(1, 2\)"):
        parametrize.register_parametrization(layer, "weight", Shorter())
    assert list(layer.state_dict()) == ["weight", "bias"]
    parametrize.register_parametrization(layer, "weight", Shorter(), unsafe=True)
    assert layer(tg.randn(3, 2)).shape == (3, 1)
    with pytest.raises(ValueError, match="no parameter or buffer 'gain'"):
        parametrize.register_parametrization(layer, "gain", Scaled())
    with pytest.raises(ValueError, match=r"Linear\.bias is not parametrised"):
        parametrize.remove_parametrizations(layer, "bias")
    parametrizations.weight_norm(layer, "bias")
    with pytest.raises(ValueError, match="2 originals"):
        parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False)
