"""Module: registration, walking, state, modes, hooks, repr."""

import copy
import pickle

import numpy as np
import pytest

from tinygen import nn
from tinygen.autograd import Tensor
from tinygen.autograd.creation import ones, tensor, zeros
from tinygen.autograd.dtypes import float32, float64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.scale = nn.Parameter(ones(3))
        self.register_buffer("mask", ones(2, 2))
        self.register_buffer("cache", zeros(2), persistent=False)
        self.nothing = None

    def forward(self, x):
        return self.linear(x) * self.scale


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Block(), Block()
        self.second.linear.weight = self.first.linear.weight  # tied


def test_walks_visit_shared_parts_once():
    model = Model()
    names = [name for name, _ in model.named_parameters()]
    assert names == [
        "first.scale",
        "first.linear.weight",
        "first.linear.bias",
        "second.scale",
        "second.linear.bias",
    ]
    assert len(list(model.parameters())) == 5
    assert len(list(model.named_parameters(remove_duplicate=False))) == 6
    assert [name for name, _ in model.named_buffers()] == [
        "first.mask",
        "first.cache",
        "second.mask",
        "second.cache",
    ]
    assert [name for name, _ in model.named_modules()] == [
        "",
        "first",
        "first.linear",
        "second",
        "second.linear",
    ]
    assert list(model.children()) == [model.first, model.second]
    assert list(model.parameters(recurse=False)) == []
    assert [n for n, _ in model.first.named_parameters(prefix="p", recurse=False)] == ["p.scale"]


def test_lookup_by_dotted_path():
    model = Model()
    assert model.get_submodule("first.linear") is model.first.linear
    assert model.get_submodule("") is model
    assert model.get_parameter("second.linear.weight") is model.first.linear.weight
    assert model.get_buffer("second.mask") is model.second.mask
    with pytest.raises(AttributeError, match="no submodule 'third'"):
        model.get_submodule("third.linear")
    with pytest.raises(AttributeError, match="no Parameter 'mask'"):
        model.get_parameter("first.mask")


def test_attributes_are_filed_by_what_they_are():
    block = Block()
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'missing'"):
        _ = block.missing
    block.scale = None
    assert block.scale is None and "scale" in block._parameters
    block.mask = zeros(2, 2)
    assert "mask" in block._buffers and block.mask.sum().item() == 0
    block.mask = nn.Parameter(ones(2))  # moves to the parameters
    assert "mask" in block._parameters and "mask" not in block._buffers
    del block.linear
    assert "linear" not in block._modules and not hasattr(block, "linear")
    block.plain = ones(2)  # an ordinary attribute
    assert "plain" not in block.state_dict()
    del block.plain


def test_wrong_assignments_are_refused():
    block = Block()
    with pytest.raises(TypeError, match="cannot assign 'Tensor' as 'scale'"):
        block.scale = ones(3)
    with pytest.raises(TypeError, match="cannot assign 'int' as 'linear'"):
        block.linear = 3
    with pytest.raises(TypeError, match="must be a Tensor or None"):
        block.register_buffer("new", 3)
    with pytest.raises(KeyError, match="already exists"):
        block.register_buffer("forward", ones(2))
    with pytest.raises(KeyError, match="no dot"):
        block.register_parameter("a.b", nn.Parameter(ones(2)))
    with pytest.raises(KeyError, match="empty"):
        block.add_module("", nn.Identity())


def test_parts_before_init_are_refused():
    class Forgetful(nn.Module):
        def __init__(self, part):
            self.part = part

    for part in (nn.Identity(), nn.Parameter(ones(2))):
        with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
            Forgetful(part)


def test_forward_must_be_defined():
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_state_dict_has_the_persistent_state():
    model = Model()
    state = model.state_dict()
    assert list(state) == [
        "first.scale",
        "first.mask",
        "first.linear.weight",
        "first.linear.bias",
        "second.scale",
        "second.mask",
        "second.linear.weight",  # shared, and yet listed: the file is complete for either half
        "second.linear.bias",
    ]
    assert not any(value.requires_grad for value in state.values())
    assert state["first.scale"].array is model.first.scale.array
    assert model.state_dict(keep_vars=True)["first.scale"] is model.first.scale
    assert "x.weight" in model.first.linear.state_dict(prefix="x.")


def test_load_state_dict_copies():
    source, target = Model(), Model()
    result = target.load_state_dict(source.state_dict())
    assert result.missing_keys == [] and result.unexpected_keys == []
    for (_, a), (_, b) in zip(source.named_parameters(), target.named_parameters()):
        assert a is not b and np.array_equal(a.array, b.array)
        assert not np.shares_memory(a.array, b.array)
    arrays = {key: value.array for key, value in source.state_dict().items()}
    target.load_state_dict(arrays)  # as safetensors gives them
    assert target.first.linear.weight.requires_grad


def test_load_state_dict_lists_all_that_is_wrong_and_loads_nothing():
    model = Block()
    before = copy.deepcopy(model.state_dict())
    state = {key: value * 2 + 1 for key, value in model.state_dict().items()}
    state["extra"] = ones(1)
    state["linear.weight"] = ones(3, 4)
    del state["mask"]
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(state)
    message = str(error.value)
    assert (
        'Error(s) in loading state_dict for Block:\n\tMissing key(s) in state_dict: "mask".'
        in message
    )
    assert 'Unexpected key(s) in state_dict: "extra".' in message
    assert "size mismatch for linear.weight" in message
    assert "(3, 4)" in message and "(3, 3)" in message
    for key, value in model.state_dict().items():
        assert np.array_equal(value.array, before[key].array)
    with pytest.raises(RuntimeError, match="size mismatch"):  # not even then
        model.load_state_dict(state, strict=False)
    del state["linear.weight"]
    result = model.load_state_dict(state, strict=False)
    assert result == (["linear.weight", "mask"], ["extra"]) or set(result.missing_keys) == {
        "mask",
        "linear.weight",
    }
    assert np.array_equal(model.scale.array, before["scale"].array * 2 + 1)


def test_assigned_state_is_taken_over():
    layer, given = nn.Linear(2, 2), nn.Linear(2, 2).double()
    weight = layer.weight
    result = layer.load_state_dict(given.state_dict(), assign=True)
    assert repr(result) == "<All keys matched successfully>"
    assert layer.weight is weight and weight.requires_grad and weight.dtype == float64
    assert np.shares_memory(weight.array, given.weight.array)
    assert "missing_keys=['bias']" in repr(layer.load_state_dict({"weight": given.weight}, False))


def test_load_state_dict_wants_tensors_in_a_mapping():
    with pytest.raises(TypeError, match="dict-like"):
        nn.Linear(1, 1).load_state_dict([1, 2])
    with pytest.raises(TypeError, match=r"'bias'.*got float"):
        nn.Linear(1, 1).load_state_dict({"weight": ones(1, 1), "bias": 1.0})


def test_a_loaded_value_invalidates_a_graph_that_needs_the_old_one():
    layer = nn.Linear(2, 2)
    x = tensor([[1.0, 2.0]], requires_grad=True)
    loss = layer(x).sum()
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(RuntimeError, match="in-place"):
        loss.backward()


def test_modes_reach_all_modules():
    model = Model()
    assert model.eval() is model and not any(m.training for m in model.modules())
    assert all(m.training for m in model.train().modules())
    model.requires_grad_(False)
    assert not any(p.requires_grad for p in model.parameters())


def test_apply_visits_children_first():
    seen = []
    model = Model()
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["Linear", "Block", "Linear", "Block", "Model"]


def test_zero_grad():
    layer = nn.Linear(2, 1)
    layer(ones(1, 2)).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.abs().sum().item() == 0
    layer.zero_grad()
    assert layer.weight.grad is None


def test_to_converts_floats_in_place():
    block = Block()
    block.register_buffer("count", tensor([1, 2]))
    weight = block.linear.weight
    block(ones(1, 3)).sum().backward()
    assert block.double() is block and block.linear.weight is weight
    assert weight.dtype == float64 and weight.grad.dtype == float64 and weight.requires_grad
    assert block.mask.dtype == float64 and block.count.dtype == np.int64
    assert block.to(float32).scale.dtype == float32
    assert block.to("cpu", float64).scale.dtype == float64
    assert block.to(ones(1)).scale.dtype == float32
    assert block.to(device="cpu", dtype=float64).scale.dtype == float64
    assert block.float().to("cpu").cpu().scale.dtype == float32
    with pytest.raises(RuntimeError, match="cuda"):
        block.to("cuda")


def test_hooks():
    layer, calls = nn.Linear(2, 2), []
    before = layer.register_forward_pre_hook(
        lambda m, args: calls.append(args[0]) or (args[0] * 0,)
    )
    after = layer.register_forward_hook(lambda m, args, out: out + 1)
    x = ones(1, 2)
    out = layer(x)
    assert calls[0] is x
    np.testing.assert_allclose(out.detach().numpy(), layer.bias.detach().numpy()[None] + 1)
    before.remove()
    after.remove()
    assert np.array_equal(layer(x).array, layer.forward(x).array) and len(calls) == 1


def test_repr_shows_structure_and_counts():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), Block(), nn.Linear(1000, 1))
    assert repr(model) == (
        "Sequential(  # 1,041 parameters\n"
        "  (0): Linear(in_features=4, out_features=5, bias=True)  # 25 parameters\n"
        "  (1): ReLU()\n"
        "  (2): Block(  # 15 parameters\n"
        "    (linear): Linear(in_features=3, out_features=3, bias=True)  # 12 parameters\n"
        "  )\n"
        "  (3): Linear(in_features=1000, out_features=1, bias=True)  # 1,001 parameters\n"
        ")"
    )
    blocks = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(3)])
    assert repr(blocks) == (
        "ModuleList(  # 3 parameters\n"
        "  (0-2): 3 x Linear(in_features=1, out_features=1, bias=False)  # 1 parameter\n"
        ")"
    )


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_their_own(copied):
    model = Model()
    twin = copied(model)
    assert twin.second.linear.weight is twin.first.linear.weight  # still tied
    assert isinstance(twin.first.scale, nn.Parameter) and twin.first.scale.requires_grad
    twin.first.scale.detach().fill_(5)
    assert model.first.scale.sum().item() == 3
    twin.first(ones(1, 3)).sum().backward()
    assert twin.first.scale.grad is not None and model.first.scale.grad is None


def test_parameter_is_a_leaf_that_shares_memory():
    data = ones(3)
    param = nn.Parameter(data)
    assert isinstance(param, Tensor) and param.is_leaf and param.requires_grad
    assert param.array is data.array
    assert not nn.Parameter([1.0, 2.0], requires_grad=False).requires_grad
    assert repr(param).startswith("Parameter containing:\ntensor([1., 1., 1.]")
