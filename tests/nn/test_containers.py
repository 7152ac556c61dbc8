"""Containers: order, names, slices."""

from collections import OrderedDict

import pytest

from tinygen import nn
from tinygen.autograd import Tensor
from tinygen.autograd.creation import ones, zeros


class Add(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        return 10 * x + self.n


def test_sequential_applies_in_order():
    model = nn.Sequential(Add(1), Add(2), Add(3))
    assert model(0) == 123 and len(model) == 3
    assert model[0].n == 1 and model[-1].n == 3
    assert model[1:](0) == 23 and model[:-1](0) == 12
    assert model.append(Add(4)) is model and model(0) == 1234
    model[1] = Add(7)
    assert model(0) == 1734
    del model[0]
    assert model(0) == 734 and list(model._modules) == ["0", "1", "2"]
    assert [m.n for m in model] == [7, 3, 4]
    with pytest.raises(IndexError, match="index 3 is out of range: there are 3 modules"):
        model[3]


def test_sequential_takes_names():
    model = nn.Sequential(OrderedDict(first=nn.Linear(1, 2), act=nn.ReLU(), last=nn.Linear(2, 1)))
    assert list(model.state_dict()) == ["first.weight", "first.bias", "last.weight", "last.bias"]
    assert model.first is model[0]
    assert [name for name, _ in model[1:].named_children()] == ["act", "last"]


def test_sequential_slices_keep_a_module_that_comes_twice():
    step = Add(1)
    model = nn.Sequential(step, Add(2), step)
    assert model(0) == 121 and model[:](0) == 121 and len(list(model.children())) == 2


def test_module_list():
    modules = nn.ModuleList([Add(1), Add(2)])
    modules.append(Add(3)).extend([Add(4)]).insert(0, Add(0))
    assert [m.n for m in modules] == [0, 1, 2, 3, 4] and len(modules) == 5
    assert isinstance(modules[1:3], nn.ModuleList) and [m.n for m in modules[1:3]] == [1, 2]
    assert list(modules._modules) == ["0", "1", "2", "3", "4"]
    del modules[1:3]
    assert [m.n for m in modules] == [0, 3, 4] and list(modules._modules) == ["0", "1", "2"]
    with pytest.raises(NotImplementedError):
        modules(1)
    with pytest.raises(TypeError, match="must be a Module"):
        modules.append(3)


def test_module_dict():
    modules = nn.ModuleDict({"a": nn.Linear(1, 1)})
    modules["b"] = nn.ReLU()
    modules.update([("c", nn.Identity())])
    assert list(modules) == ["a", "b", "c"] and "b" in modules and len(modules) == 3
    assert modules.pop("b").__class__ is nn.ReLU
    del modules["c"]
    assert [k for k, _ in modules.items()] == list(modules.keys()) == ["a"]
    assert list(modules.values()) == [modules["a"]]
    assert list(modules.state_dict()) == ["a.weight", "a.bias"]


def test_parameter_containers():
    params = nn.ParameterList([ones(2), nn.Parameter(zeros(3))])
    params.append(ones(1))
    assert [p.shape for p in params] == [(2,), (3,), (1,)] and len(params) == 3
    params[-1] = zeros(4)
    assert params[2].shape == (4,) and all(isinstance(p, nn.Parameter) for p in params)
    assert list(params.state_dict()) == ["0", "1", "2"]
    named = nn.ParameterDict({"w": ones(2, 2)})
    named["b"] = nn.Parameter(zeros(2))
    assert list(named) == ["w", "b"] and "w" in named and len(named) == 2
    del named["w"]
    assert list(named.keys()) == ["b"] and isinstance(named["b"], Tensor)
    assert "b: [2]" in repr(named) and [k for k, _ in named.items()] == ["b"]
    assert list(named.values()) == [named["b"]]
